from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nobody import nobody

from meshwright.lab.api import Answer, ping


@contextlib.contextmanager
def listener(answer: bytes | None) -> Iterator[str]:
    """A socket that says `answer` to whoever connects; None: nothing, for as long as the test lasts."""
    # Not in pytest's own folder: a socket's path has to fit into 108 bytes.
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as server:
        path = f"{folder}/s"
        server.bind(path)
        server.listen(8)
        kept = []

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    kept.append(connection)
                    if answer is not None:
                        connection.recv(1024)
                        connection.sendall(answer)
                        connection.close()

        threading.Thread(target=serve, daemon=True).start()
        yield path
        server.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\nOK", Answer.YES),
        (b"HTTP/1.1 500 Internal Server Error\r\n\r\n", Answer.YES),
        (b"SSH-2.0-OpenSSH_9.2\r\n", Answer.SILENT),
        (b"", Answer.SILENT),
    ],
)
def test_what_it_says(said, answer):
    with listener(said) as path:
        assert ping(path, 2) is answer


def test_one_that_says_nothing_costs_no_more_than_was_asked_for():
    with listener(None) as path:
        begin = time.monotonic()
        assert ping(path, 0.2) is Answer.SILENT
        assert time.monotonic() - begin < 1.5


def test_a_socket_that_nobody_holds_proves_that_nobody_listens(tmp_path):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/s"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
        assert ping(path, 1) is Answer.NO
    assert ping(path, 1) is Answer.NO
    (tmp_path / "file").touch()
    assert ping(f"{tmp_path}/file/s", 1) is Answer.NO


def test_a_socket_of_somebody_else():
    with listener(b"HTTP/1.0 200 OK\r\n\r\n") as path:
        Path(path).chmod(0)
        with nobody():
            assert ping(path, 1) is Answer.FORBIDDEN


def test_a_path_that_is_too_long_is_no_answer(tmp_path):
    assert ping(f"{tmp_path}/{'x' * 200}", 1) is Answer.SILENT
