"""Logs as they come over the wire: lines in pieces of any size, lines without end, answers that are none."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshwright.kube import ApiError, Session, following
from meshwright.logs.line import line


class Transport:
    """The edge: an API server that answers a GET of a log with these pieces."""

    def __init__(self, pieces: Iterator[bytes] | Sequence[bytes], status: int = 200, body: bytes = b"") -> None:
        self.answer, self.pieces = SimpleNamespace(status=status, body=body), pieces
        self.asked: list[str] = []

    @contextmanager
    def stream(self, path: str, _silence: float) -> Iterator[tuple[Any, Iterator[bytes]]]:
        self.asked.append(path)
        yield self.answer, iter(self.pieces)


def lines(transport: Transport) -> Iterator[str]:
    context = SimpleNamespace(server="https://127.0.0.1:6443", name="lab")
    session = cast(Session, SimpleNamespace(transport=transport, context=context))
    with following.log(session, "shop", "web-1", "istio-proxy", follow=True, since="2026-11-22T10:00:00Z") as found:
        yield from found


def test_it_asks_for_what_came_since_with_times() -> None:
    transport = Transport([b"a\n"])
    assert list(lines(transport)) == ["a"]
    assert transport.asked == [
        "/api/v1/namespaces/shop/pods/web-1/log?container=istio-proxy&timestamps=true&follow=true"
        "&sinceTime=2026-11-22T10%3A00%3A00Z"
    ]


@given(st.lists(st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"]))), st.integers(1, 7))
def test_lines_are_whole_wherever_the_pieces_end(texts: list[str], size: int) -> None:
    raw = "".join(f"{text}\n" for text in texts).encode()
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    assert list(lines(Transport(pieces))) == texts


def test_a_last_line_without_end_comes_too() -> None:
    assert list(lines(Transport([b"a\nb"]))) == ["a", "b"]


def test_ten_megabytes_of_a_line_are_cut_and_not_kept() -> None:
    piece, stamp = b"x" * 65536, b"2026-11-22T10:00:00.000000001Z "
    pieces = (each for each in [stamp, *[piece] * 160, b'"\n', stamp + b"next\n"])
    tracemalloc.start()
    try:
        long, after = lines(Transport(pieces))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(long.encode()) < following.LONGEST + 100
    assert long.endswith("(the rest of this line was left out)")
    assert after.endswith("next")
    assert peak < 4_000_000
    found = line("shop/web-1", long)
    assert found is not None
    assert found.access is None


@pytest.mark.parametrize("start", ["[", "{", '["', '[2026] "GET /', '{"response_code": 200, "path": "'])
def test_a_long_line_that_looks_like_a_request_is_none(start: str) -> None:
    text = start + '" 200 - "' * (following.LONGEST // 9)
    found = line("shop/web-1", f"2026-11-22T10:00:00Z {text}")
    assert found is not None
    assert found.access is None


def test_what_is_no_log_is_an_error() -> None:
    body = json.dumps({"kind": "Status", "reason": "NotFound", "message": 'pods "web-1" not found'}).encode()
    with pytest.raises(ApiError, match="web-1"):
        list(lines(Transport([], 404, body)))
