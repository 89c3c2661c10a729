from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshwright.errors import Unreachable
from meshwright.kube import ApiError, following
from meshwright.logs import reading
from meshwright.logs.reading import Pod, follow, read

POD = Pod("a", "b", "uid")


class Kubelet:
    """The edge: a log of a container. Each connection gives what is in it since a second and dies after `pieces` lines
    have come; when the log has been read whole, the pod is gone."""

    def __init__(self, log, pieces=()):
        self.log, self.pieces, self.asked = list(log), list(pieces), []
        self.whole = False

    @contextmanager
    def open(self, _session, _namespace, _pod, _container, *, follow, since, silence=60.0):
        self.asked.append(since)
        found = [raw for raw in self.log if raw[:19] >= since[:19]]
        yield self._lines(found)

    def _lines(self, found):
        if not self.pieces:
            self.whole = True
            yield from found
            return
        yield from found[: self.pieces.pop(0)]
        raise Unreachable("the connection died")

    def get(self, _api, _kind, _name, _namespace):
        return None if self.whole else {"metadata": {"uid": "uid"}, "status": {"phase": "Running"}}


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(reading, "_PAUSE", 0.0)


def texts(lines):
    return [one.text for one in lines]


def followed(kubelet, monkeypatch):
    monkeypatch.setattr(following, "log", kubelet.open)
    return texts(follow(kubelet, POD, 0, threading.Event(), lambda _: None))


def raw(second, fraction, text):
    return f"2026-11-22T10:00:{second:02d}.{fraction:09d}Z {text}"


def test_what_was_given_before_a_connection_died_does_not_come_again(monkeypatch):
    log = [raw(1, 5, "a"), raw(1, 5, "a"), raw(1, 5, "b"), raw(2, 0, "c"), raw(2, 0, "c"), raw(9, 0, "d")]
    kubelet = Kubelet(log, pieces=[2, 4, 1])
    assert followed(kubelet, monkeypatch) == ["a", "a", "b", "c", "c", "d"]
    assert len(kubelet.asked) == 4


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.sampled_from("ab")), max_size=30),
    st.lists(st.integers(0, 12), max_size=6),
)
def test_wherever_connections_die_every_line_comes_once(lines, pieces):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(reading, "_PAUSE", 0.0)
        log = [raw(*line) for line in sorted(lines)]
        assert followed(Kubelet(log, pieces), monkeypatch) == [line[2] for line in sorted(lines)]


def test_lines_of_two_streams_that_are_out_of_order_are_all_there(monkeypatch):
    log = [raw(2, 1, "late"), raw(1, 9, "early"), raw(3, 0, "c")]
    assert followed(Kubelet(log, pieces=[1, 2]), monkeypatch) == ["late", "early", "c"]


def test_only_what_was_written_since(monkeypatch):
    kubelet = Kubelet([raw(1, 0, "a"), raw(1, 900_000_000, "b"), raw(2, 0, "c")])
    monkeypatch.setattr(following, "log", kubelet.open)
    assert texts(read(kubelet, POD, 1795341601.5)) == ["b", "c"]
    assert kubelet.asked == ["2026-11-22T10:00:01Z"]


@pytest.mark.parametrize(("status", "lines"), [(404, []), (400, [])])
def test_a_pod_without_a_log_has_no_lines(monkeypatch, status, lines):
    @contextmanager
    def log(*_args, **_more):
        raise ApiError("no", status=status, body={})
        yield

    monkeypatch.setattr(following, "log", log)
    assert texts(read(Kubelet([]), POD, 0)) == lines


def test_a_cluster_that_is_away_is_said_once_and_so_is_its_return(monkeypatch):
    kubelet, said, times = Kubelet([raw(1, 0, "a"), raw(2, 0, "b")], pieces=[1, 0, 0]), [], iter(range(9))

    def get(*_):
        if kubelet.whole:
            return None
        if next(times) < 2:
            raise Unreachable("the API server is away")
        return {"metadata": {"uid": "uid"}, "status": {}}

    kubelet.get = get
    monkeypatch.setattr(following, "log", kubelet.open)
    assert texts(follow(kubelet, POD, 0, threading.Event(), said.append)) == ["a", "b"]
    assert said == ["a/b: the API server is away; trying again", "a/b answers again"]


def test_a_proxy_that_is_silent_costs_one_look_at_its_pod(monkeypatch):
    kubelet, looks, said = Kubelet([raw(1, 0, "a")], pieces=[1, 0]), [], []

    def get(*_):
        looks.append(len(kubelet.asked))
        return None if kubelet.whole else {"metadata": {"uid": "uid"}, "status": {}}

    kubelet.get = get
    monkeypatch.setattr(following, "log", kubelet.open)
    assert texts(follow(kubelet, POD, 0, threading.Event(), said.append)) == ["a"]
    assert looks == [1, 2, 3]
    assert said == []


def test_a_kubelet_that_gives_no_answer_is_asked_again(monkeypatch):
    kubelet, said, times = Kubelet([raw(1, 0, "a")]), [], iter(range(9))

    @contextmanager
    def log(*args, **more):
        if next(times) < 2:
            raise ApiError("cannot read the log: dial tcp: connection refused", status=500, body={})
        with kubelet.open(*args, **more) as lines:
            yield lines

    monkeypatch.setattr(following, "log", log)
    assert texts(follow(kubelet, POD, 0, threading.Event(), said.append)) == ["a"]
    assert said == ["a/b: cannot read the log: dial tcp: connection refused; trying again", "a/b answers again"]
