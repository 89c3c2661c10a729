from __future__ import annotations

import errno
import hashlib
import os
import socket
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from releases import QUICK, ReleaseHost, World, respond

from meshwright.errors import MeshwrightError
from meshwright.tools import fetch
from meshwright.tools.table import Limits

DATA = b"\x7fELF" + bytes(range(256)) * 700
SHA = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxy(world: World) -> None:
    """`world` clears the variables that name a proxy."""


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def get(host: ReleaseHost, folder: Path, sha256: str = SHA, limits: Limits = QUICK) -> bytes:
    into = folder / "tool"
    fetch.download(f"{host.url}/tool", sha256, into, limits)
    assert names(folder) == ["tool"]
    return into.read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "into"
    made.mkdir()
    return made


def test_the_right_file_arrives_whole(host: ReleaseHost, folder: Path) -> None:
    host.files["/tool"] = DATA
    assert get(host, folder) == DATA


def test_a_redirect_is_followed(host: ReleaseHost, folder: Path) -> None:
    def away(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/elsewhere")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    host.files |= {"/tool": away, "/elsewhere": DATA}
    assert get(host, folder) == DATA


def test_a_redirect_in_a_circle_ends(host: ReleaseHost, folder: Path) -> None:
    def round_and_round(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302)
        handler.send_header("Location", "/tool")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    host.files["/tool"] = round_and_round
    with pytest.raises(fetch.NotGiven, match="redirects"):
        get(host, folder)


def test_a_wrong_sha256_is_one_sentence_with_both_and_leaves_nothing(host: ReleaseHost, folder: Path) -> None:
    host.files["/tool"] = DATA + b"!"
    with pytest.raises(MeshwrightError) as caught:
        get(host, folder)
    assert SHA in caught.value.message
    assert hashlib.sha256(DATA + b"!").hexdigest() in caught.value.message
    assert "was not installed" in caught.value.message
    assert names(folder) == []


def test_a_file_that_another_run_left_is_replaced_only_by_a_whole_one(host: ReleaseHost, folder: Path) -> None:
    (folder / "tool").write_bytes(b"old")
    host.files["/tool"] = DATA[:-1]
    with pytest.raises(MeshwrightError, match="sha256"):
        get(host, folder)
    assert (folder / "tool").read_bytes() == b"old"
    host.files["/tool"] = DATA
    assert get(host, folder) == DATA


def test_a_cut_download_says_how_far_it_came(host: ReleaseHost, folder: Path) -> None:
    host.files["/tool"] = lambda handler: respond(handler, 200, DATA[:1000], len(DATA))
    with pytest.raises(MeshwrightError, match=f"was cut after 1000 of {len(DATA)} bytes") as caught:
        get(host, folder)
    assert "\n" not in caught.value.message
    assert names(folder) == []


@pytest.mark.parametrize(("status", "gone"), [(404, True), (410, True), (403, False), (500, False), (503, False)])
def test_only_404_and_410_prove_that_there_is_no_such_file(
    host: ReleaseHost, folder: Path, status: int, gone: bool
) -> None:
    host.files["/tool"] = lambda handler: respond(handler, status, b"no")
    with pytest.raises(fetch.NotGiven, match=str(status)) as caught:
        get(host, folder)
    assert caught.value.gone is gone
    assert names(folder) == []


def test_a_host_that_takes_the_connection_and_says_nothing_is_left_in_time(host: ReleaseHost, folder: Path) -> None:
    host.files["/tool"] = lambda _handler: time.sleep(3)
    start = time.monotonic()
    with pytest.raises(fetch.NotGiven, match="gave no answer"):
        get(host, folder)
    assert time.monotonic() - start < 2


def test_a_host_that_stops_in_the_middle_is_left_in_time(host: ReleaseHost, folder: Path) -> None:
    def stalls(handler: BaseHTTPRequestHandler) -> None:
        respond(handler, 200, DATA[:5000], len(DATA))
        time.sleep(3)

    host.files["/tool"] = stalls
    start = time.monotonic()
    with pytest.raises(MeshwrightError, match="was cut after 5000 of"):
        get(host, folder)
    assert time.monotonic() - start < 2


def test_a_host_that_drips_for_ever_meets_the_deadline_for_the_whole_file(host: ReleaseHost, folder: Path) -> None:
    def drips(handler: BaseHTTPRequestHandler) -> None:
        respond(handler, 200, b"", 10**9)
        for _ in range(100):
            handler.wfile.write(b"x" * 100)
            handler.wfile.flush()
            time.sleep(0.05)

    host.files["/tool"] = drips
    start = time.monotonic()
    with pytest.raises(MeshwrightError, match=r"was not downloaded within 0\.7 s \(\d+ of 1000000000 bytes\)"):
        get(host, folder, limits=Limits(connect=1, stall=1, total=0.7))
    assert time.monotonic() - start < 2
    assert names(folder) == []


def test_nobody_listens(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/tool"
        with pytest.raises(fetch.NotGiven, match=r"127\.0\.0\.1 cannot be reached \(Connection refused\)") as caught:
            fetch.download(url, SHA, folder / "tool", QUICK)
    assert not caught.value.gone


def test_a_resolver_that_takes_its_time_is_not_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object, **__: object) -> None:
        time.sleep(2)
        raise socket.gaierror("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    start = time.monotonic()
    with pytest.raises(fetch.NotGiven, match=r"release\.invalid cannot be reached \(no answer within 0\.3 s\)"):
        fetch.download("https://release.invalid/tool", SHA, folder / "tool", Limits(connect=0.3))
    assert time.monotonic() - start < 1.5


def test_a_proxy_is_what_has_to_be_reached(host: ReleaseHost, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", host.url)
    monkeypatch.setenv("HTTP_PROXY", host.url)
    host.files["http://release.invalid/tool"] = DATA
    fetch.download("http://release.invalid/tool", SHA, folder / "tool", QUICK)
    assert (folder / "tool").read_bytes() == DATA


def test_a_body_compressed_on_the_way_is_not_asked_for(host: ReleaseHost, folder: Path) -> None:
    asked: list[str | None] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.headers["Accept-Encoding"])
        respond(handler, 200, DATA)

    host.files["/tool"] = answer
    get(host, folder)
    assert asked == ["identity"]


def test_a_full_disk_leaves_nothing(host: ReleaseHost, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    host.files["/tool"] = DATA
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        get(host, folder)
    assert names(folder) == []


def test_a_checksum_file_that_never_ends_is_refused(host: ReleaseHost) -> None:
    host.files["/sums"] = b"x" * 1_200_000
    with pytest.raises(MeshwrightError, match="is not a list of checksums"):
        fetch.text(f"{host.url}/sums", QUICK)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=3000), data=st.data())
def test_whatever_is_cut_or_changed_is_never_put_in_place(
    host: ReleaseHost, folder: Path, body: bytes, data: Any
) -> None:
    sent = data.draw(st.one_of(st.just(body), st.binary(max_size=3000), st.just(body[: len(body) // 2])))
    length = data.draw(st.sampled_from([len(sent), len(body), len(sent) + 1]))
    host.files["/tool"] = lambda handler: respond(handler, 200, sent, length)
    into = folder / "tool"
    into.unlink(missing_ok=True)
    try:
        fetch.download(f"{host.url}/tool", hashlib.sha256(body).hexdigest(), into, QUICK)
    except MeshwrightError:
        assert names(folder) == []
    else:
        assert into.read_bytes() == body
