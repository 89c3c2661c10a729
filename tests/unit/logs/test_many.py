from __future__ import annotations

import threading

import pytest

from meshwright.errors import Forbidden
from meshwright.logs import many
from meshwright.logs.line import Access, Line
from meshwright.logs.many import Merger
from meshwright.logs.reading import Pod


def line(when, text="x", *, at=None):
    return Line(at if at is not None else when, "a/b", text, Access(began=when))


def test_lines_come_in_the_order_of_their_times():
    merger = Merger(hold=1)
    for when in (30, 10, 20):
        merger.put(line(when), now=0)
    assert merger.due(now=0.9) == []
    assert [one.when for one in merger.due(now=1)] == [10, 20, 30]
    assert merger.due(now=99) == []


def test_one_that_is_late_goes_with_the_first_that_is_newer():
    merger = Merger(hold=1)
    merger.put(line(30), now=0)
    merger.put(line(20), now=0.9)
    merger.put(line(40), now=0.9)
    assert [one.when for one in merger.due(now=1)] == [20, 30]
    assert [one.when for one in merger.rest()] == [40]


def test_a_writer_waits_while_nobody_reads():
    merger = Merger(hold=0, capacity=2)
    merger.put(line(1))
    merger.put(line(2))
    third = threading.Thread(target=merger.put, args=(line(3),), daemon=True)
    third.start()
    third.join(0.1)
    assert third.is_alive()
    assert len(merger.due()) == 2
    third.join(10)
    assert not third.is_alive()
    assert [one.when for one in merger.rest()] == [3]


def test_what_is_there_comes_in_the_order_in_which_requests_began(monkeypatch):
    second = 10**9
    logs = {
        "a": [line(2 * second, "reviews", at=3 * second), line(9 * second, "later", at=9 * second)],
        "b": [line(1 * second, "gateway", at=4 * second)],
    }
    monkeypatch.setattr(many, "read", lambda _session, pod, _since: iter(logs[pod.name]))
    found = many.there(None, [Pod("x", "a", "1"), Pod("x", "b", "2")], 0)
    assert [one.text for one in found] == ["gateway", "reviews", "later"]


def test_pods_that_come_and_go_are_followed(monkeypatch):
    said, stop, ended = [], threading.Event(), threading.Event()
    first, second = Pod("x", "first", "1"), Pod("x", "second", "2")
    looks = iter([[first], [second]])

    def follow(_session, pod, since, _stop, _say):
        yield Line(1, str(pod), f"{pod.name} since {since}", None)
        if pod is second:
            ended.set()

    monkeypatch.setattr(many, "follow", follow)
    monkeypatch.setattr(many, "_LOOK", 0.0)
    monkeypatch.setattr(many, "HOLD", 0.0)
    found = []
    for batch in many.followed(None, lambda: next(looks, [second]), 5.0, stop, said.append, beat=0.01):
        found += batch
        if ended.is_set():
            stop.set()
    assert {one.text for one in found} == {"first since 5.0", "second since 0"}
    assert said[:2] == ["x/first is gone", "x/second is new"]


def test_who_may_not_read_is_told(monkeypatch):
    def follow(*_):
        raise Forbidden("pods/log may not be read")
        yield

    monkeypatch.setattr(many, "follow", follow)
    with pytest.raises(Forbidden):
        for _ in many.followed(None, lambda: [Pod("x", "a", "1")], 0, threading.Event(), lambda _: None, beat=0.01):
            pass
