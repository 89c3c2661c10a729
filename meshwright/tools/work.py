"""One installation at a time per project, in a folder that starts empty and is gone afterwards."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from meshwright.errors import MeshwrightError, Refused
from meshwright.target import Target

__all__ = ["Work", "begin"]

_LONGEST_WAIT = 3600


@dataclass(frozen=True)
class Work:
    """A running installation. `folder` is on this machine, on the disk where local tools end up, so that a finished
    file gets to its place by a rename."""

    target: Target
    folder: Path

    def put(self, made: Path, into: str) -> None:
        """Puts a file of the work folder at `into` on the target, executable.

        Another host gets it by `target.write`: it may have neither Python nor curl nor a way to the release host,
        and what is checked here need not be checked there.
        """
        with complaints(str(made)):
            if not self.target.local:
                self.target.write(into, made.read_bytes(), 0o755)
                return
            made.chmod(0o755)
            with made.open("rb") as file:
                os.fsync(file.fileno())
            Path(into).parent.mkdir(parents=True, exist_ok=True)
            made.replace(into)

    def put_folder(self, made: Path, into: str) -> None:
        """Puts a folder of the work folder at `into` on the target, where nothing is yet."""
        with complaints(str(made)):
            if self.target.local:
                Path(into).parent.mkdir(parents=True, exist_ok=True)
                made.replace(into)
                return
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w:gz") as tar:
                tar.add(made, arcname=".")
        self.target.run(
            ["sh", "-c", 'mkdir -p "$1" && tar -xzf - -C "$1"', "sh", into], input=packed.getvalue(), timeout=300
        )


@contextmanager
def begin(target: Target) -> Iterator[Work]:
    """Waits for another installation in this project to end, then gives an empty folder.

    A run that was killed may have left such a folder: nothing in it was ever complete, and it is removed. The lock is
    the kernel's, so a killed holder holds nothing.

    Raises Refused: the other run did not end within an hour. MeshwrightError: the folder cannot be written.
    """
    home = target.project.bin
    with complaints(str(home)):
        home.mkdir(parents=True, exist_ok=True)
        lock = os.open(home / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _wait(lock, target)
        with complaints(str(home)):
            for left in home.glob(".work-*"):
                shutil.rmtree(left, ignore_errors=True)
            # A new name each time: a Go build that outlived its killed run may still write to the old one.
            folder = Path(tempfile.mkdtemp(prefix=".work-", dir=home))
        try:
            yield Work(target, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.close(lock)


def _wait(lock: int, target: Target) -> None:
    end, told = time.monotonic() + _LONGEST_WAIT, False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told:
                target.say("another run is installing tools in this project; waiting for it")
                told = True
        if time.monotonic() > end:
            raise Refused("another run has been installing tools in this project for an hour", hint="End that run")
        time.sleep(0.2)


_HINTS = {
    errno.ENOSPC: "Make room: tools and their samples need up to 400 MB",
    errno.EDQUOT: "Make room in your quota: tools and their samples need up to 400 MB",
    errno.EACCES: "Give yourself the right to write there",
    errno.EPERM: "Give yourself the right to write there",
    errno.EROFS: "That disk is read-only: use a project folder on another one",
}


@contextmanager
def complaints(place: str) -> Iterator[None]:
    """Turns what the disk says into one sentence: no right to write, disk full, something in the way."""
    try:
        yield
    except OSError as error:
        where = error.filename or place
        raise MeshwrightError(
            f"cannot write {where}: {error.strerror or error}; nothing was changed",
            hint=_HINTS.get(error.errno or 0, "See what is at that place"),
        ) from None
