"""A real Chromium without a window, driven over a pipe: what it shows, says and asks for.

The protocol is that of its developer tools, JSON that ends with NUL on descriptors 3 and 4
(--remote-debugging-pipe): no port is opened, and no library is needed.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_PATIENCE = 120
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_SWITCHES = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-default-browser-check",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
# Puts the pipe where Chromium looks for it. By way of high numbers: either may be 3 or 4 already.
_LAUNCH = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 20) for number in sys.argv[1:3]]
os.dup2(ends[0], 3)
os.dup2(ends[1], 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""

Message = dict[str, Any]


def chromium() -> str:
    """Where it is; the test is skipped where there is none, and fails in CI."""
    found = next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("there is no chromium, which .ci/run installs")
        pytest.skip("there is no chromium: apt-get install chromium")
    return found


class Browser:
    """One page of one Chromium. `events` is all that it said."""

    def __init__(self, reads: int, writes: int) -> None:
        self._reads, self._writes = reads, writes
        self._rest = b""
        self._number = 0
        self._session = ""
        self.events: list[Message] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> Message:
        """One question of the protocol, and its answer."""
        self._number += 1
        question: Message = {"id": self._number, "method": method, "params": params}
        if self._session:
            question["sessionId"] = self._session
        os.write(self._writes, json.dumps(question).encode() + b"\0")
        while True:
            said = self._next()
            if said.get("id") == self._number:
                assert "error" not in said, said
                result: Message = said["result"]
                return result
            self.events.append(said)

    def _next(self) -> Message:
        deadline = time.monotonic() + _PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._reads], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "chromium does not answer"
            piece = os.read(self._reads, 1 << 20)
            assert piece, "chromium has ended"
            self._rest += piece
        said, _, self._rest = self._rest.partition(b"\0")
        found: Message = json.loads(said)
        return found

    def open(self, url: str, width: int, scheme: str) -> None:
        """Opens a page, this wide, light or dark; returns when it is loaded."""
        self.events.clear()
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.call("Page.navigate", url=url)
        while not any(each.get("method") == "Page.loadEventFired" for each in self.events):
            self.events.append(self._next())

    def value(self, script: str) -> Any:
        """What a piece of JavaScript gives; the page's own policy does not bind it."""
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def picture(self, file: Path) -> None:
        """The whole page as a PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))

    def pdf(self) -> bytes:
        """The page as it would be printed."""
        return base64.b64decode(self.call("Page.printToPDF")["data"])

    def requests(self) -> list[str]:
        """The URLs that were asked for."""
        return [
            each["params"]["request"]["url"]
            for each in self.events
            if each.get("method") == "Network.requestWillBeSent"
        ]

    def complaints(self) -> list[str]:
        """What stands in the console, whatever its level."""
        said = []
        for each in self.events:
            params = each.get("params") or {}
            if each.get("method") == "Log.entryAdded":
                said.append(str(params["entry"]["text"]))
            elif each.get("method") == "Runtime.consoleAPICalled":
                said.append(str(params["args"]))
            elif each.get("method") == "Runtime.exceptionThrown":
                said.append(str(params["exceptionDetails"]))
        return said


@contextmanager
def opened(folder: Path, *switches: str) -> Iterator[Browser]:
    """A Chromium with its profile in `folder` and further `switches`; ended at the end."""
    program = chromium()
    theirs_in, ours_out = os.pipe()
    ours_in, theirs_out = os.pipe()
    command = [sys.executable, "-c", _LAUNCH, str(theirs_in), str(theirs_out), program, *_SWITCHES, *switches]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--user-data-dir={folder / 'profile'}"],
            pass_fds=(theirs_in, theirs_out), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Browser(ours_in, ours_out)
    finally:
        os.close(ours_out)  # which ends it
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(ours_in)
