"""Logs of containers, as the kubelet keeps them: what is there, and what comes.

The kubelet gives only the file that it writes now; what it has rotated away cannot be had from an API server.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import quote, urlencode

from meshwright.kube.errors import Call, error
from meshwright.kube.session import Session

__all__ = ["LONGEST", "log"]

LONGEST = 256 * 1024
"""Bytes of a line that are kept; the rest of a longer one is left out."""

_CUT = " ... (the rest of this line was left out)"


@contextlib.contextmanager
def log(
    session: Session,
    namespace: str,
    pod: str,
    container: str,
    *,
    follow: bool,
    since: str = "",
    silence: float = 60.0,
) -> Iterator[Iterator[str]]:
    """The lines of a container's log, each with its time before it (RFC 3339), for as long as the block runs.

    `since` is a time (RFC 3339, whole seconds); the lines of that second come too. With `follow` it goes on with new
    lines until the container ends; the iterator raises Unreachable when none comes for `silence` seconds. Raises
    ApiError (no such pod, or a container that has not started yet), Forbidden, Unreachable.
    """
    query = {"container": container, "timestamps": "true", "follow": "true" if follow else "", "sinceTime": since}
    text = urlencode({key: value for key, value in query.items() if value})
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/log?{text}"
    context = session.context
    call = Call("read", f"the log of {container} in pod {namespace}/{pod}", context.server, context.name)
    with session.transport.stream(path, silence) as (answer, pieces):
        if answer.status != 200:
            raise error(answer.status, answer.body, call)
        yield _lines(pieces)


def _lines(pieces: Iterator[bytes]) -> Iterator[str]:
    """The lines in pieces of bytes; memory is bounded however long one is."""
    begun, cut = b"", False
    for piece in pieces:
        *whole, rest = piece.split(b"\n")
        for each in whole:
            yield _text(begun + each, cut=cut)
            begun, cut = b"", False
        begun += rest
        if len(begun) > LONGEST:
            begun, cut = begun[: LONGEST + 1], True
    if begun:
        yield _text(begun, cut=cut)


def _text(line: bytes, *, cut: bool) -> str:
    cut = cut or len(line) > LONGEST
    text = line[:LONGEST].decode(errors="replace").rstrip("\r")
    return text + _CUT if cut else text
