"""Asking a container engine whether it is there, without starting a process."""

from __future__ import annotations

import socket
from enum import StrEnum

__all__ = ["Answer", "ping"]


class Answer(StrEnum):
    """What an engine's socket says. Only NO proves that nothing listens there."""

    YES = "it answers"
    NO = "nothing listens there"
    FORBIDDEN = "this user may not use it"
    SILENT = "it gives no answer"


def ping(path: str, timeout: float) -> Answer:
    """Asks the engine at a Unix socket, for `timeout` seconds at most."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(path)
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return Answer.YES if connection.recv(64).startswith(b"HTTP/1.") else Answer.SILENT
        except PermissionError:
            return Answer.FORBIDDEN
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            return Answer.NO
        except OSError:
            return Answer.SILENT
