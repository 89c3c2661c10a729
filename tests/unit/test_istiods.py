from __future__ import annotations

import json
from typing import Any

import pytest
from fakes import FakeSession, environment
from mesh import istiod_pod

from meshwright import istiods
from meshwright.errors import Forbidden, Unreachable
from meshwright.istiods import Istiod, Row, State
from meshwright.kube import portforward

Object = dict[str, Any]
ISTIOD = Istiod("istio-system", "istiod-1", "u", "default")
METRICS = b"""# HELP pilot_inbound_updates Total
pilot_inbound_updates{type="config"} 55
pilot_inbound_updates{type="eds"} 28
pilot_debounce_time_bucket{le="0.01"} 3
pilot_debounce_time_count 21
pilot_proxy_queue_time_count 140
pilot_pushcontext_init_seconds_sum 0.044
pilot_pushcontext_init_seconds_count 22
pilot_info{version="1.30.3-abc-Clean"} 1
"""


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the istiods answer, by path without its query."""
    said: dict[str, Any] = {}

    def get(_session: object, namespace: str, pod: str, port: int, path: str, _timeout: float) -> tuple[int, bytes]:
        assert (namespace, pod, port) == ("istio-system", "istiod-1", 15014)
        said.setdefault("asked", []).append(path)
        answer = said[path.partition("?")[0]]
        return (
            answer
            if isinstance(answer, tuple)
            else (200, answer if isinstance(answer, bytes) else json.dumps(answer).encode())
        )

    monkeypatch.setattr(portforward, "http_get", get)
    return said


def test_ready_ones_of_all_revisions() -> None:
    canary = istiod_pod("istiod-canary-1")
    canary["metadata"]["labels"]["istio.io/rev"] = "canary"
    canary["spec"]["containers"][0]["env"] = [{"name": "PILOT_DEBOUNCE_AFTER", "value": "1m1s500ms"}]
    found = istiods.ready(FakeSession(istiod_pod(), canary, istiod_pod("istiod-2", ready=False)), environment())
    assert [(each.pod, each.revision, each.debounce) for each in found] == [
        ("istiod-1", "default", 0.1),
        ("istiod-canary-1", "canary", 61.5),
    ]
    assert str(found[0]) == "istio-system/istiod-1"
    assert istiods.ready(FakeSession(), environment()) == []


@pytest.mark.parametrize(
    ("status", "error"), [(401, Forbidden), (403, Forbidden), (404, Unreachable), (503, Unreachable)]
)
def test_another_status_than_200_says_nothing_about_what_is_there(
    answers: Object, status: int, error: type[Exception]
) -> None:
    answers["/debug/config_dump"] = (status, b"no")
    with pytest.raises(error, match=f"istio-system/istiod-1 answers {status} to /debug/config_dump$"):
        istiods.generated(FakeSession(), ISTIOD, "web-1.shop")
    assert answers["asked"] == ["/debug/config_dump?proxyID=web-1.shop"]


@pytest.mark.parametrize(
    ("function", "path", "wrong"),
    [
        (istiods.connected, "/debug/syncz", {}),
        (istiods.configuration, "/debug/configz", b"<html>"),
        (istiods.kinds_read, "/debug/resourcesz", None),
        (istiods.root_namespace, "/debug/mesh", []),
        (istiods.counters, "/metrics", b"# nothing\n"),
    ],
)
def test_an_answer_of_another_form(answers: Object, function: Any, path: str, wrong: Any) -> None:
    answers[path] = wrong
    with pytest.raises(Unreachable, match="istio-system/istiod-1"):
        function(FakeSession(), ISTIOD)


def test_how_far_proxies_are(answers: Object) -> None:
    clusters = {"sent": "v/2b", "acked": "v/2b", "sentTime": "2026-01-01T00:00:02Z"}
    listeners = {"sent": "v/2c", "lastError": "bad  goo.gle/debugproto  \n: listener\n"}
    routes = {"sent": "v/2d", "acked": "v/1d"}
    kinds = {"envoy.Cluster": clusters, "envoy.Listener": listeners, "envoy.Route": routes}
    answers["/debug/syncz"] = [
        {"proxy": "web-1.shop", "proxy_type": "sidecar", "istio_version": "1.30.3", "resources": kinds},
        {"proxy": "new-1.shop", "resources": None},
        {"proxy": "slow-1.shop", "resources": {"envoy.Route": routes}},
    ]
    web, new, slow = istiods.connected(FakeSession(), ISTIOD)
    assert (web.proxy, web.role, web.version, web.istiod) == ("web-1.shop", "sidecar", "1.30.3", ISTIOD)
    assert web.refused == {"Listener": "bad listener"}
    assert web.behind == "it refused Listener: bad listener"
    assert (new.refused, new.behind) == ({}, "")
    assert (slow.refused, slow.behind) == ({}, "it has not taken the last Route yet")


def test_an_older_istiod_has_pairs(answers: Object) -> None:
    answers["/debug/syncz"] = [{"proxy": "a.b", "cluster_sent": "1", "cluster_acked": "1", "route_sent": "2"}]
    [row] = istiods.connected(FakeSession(), ISTIOD)
    assert row.states == {"cluster": State("1", "1"), "route": State("2", "")}
    assert row.behind == "it has not taken the last route yet"


def test_a_proxy_that_went_to_another_istiod_counts_once() -> None:
    other = Istiod("istio-system", "istiod-2", "v", "default")
    old = Row("web-1.shop", ISTIOD, "sidecar", "", {"Cluster": State("1", "", at="2026-01-01T00:00:01Z")})
    new = Row("web-1.shop", other, "sidecar", "", {"Cluster": State("1", "1", at="2026-01-01T00:00:02Z")})
    assert istiods.latest([old, new]) == istiods.latest([new, old]) == {"web-1.shop": new}


def test_counters(answers: Object) -> None:
    answers["/metrics"] = METRICS
    found = istiods.counters(FakeSession(), ISTIOD)
    assert (found.noticed, found.pushes, found.debounced, found.turns) == (55, 22, 21, 140)
    assert found.version == "1.30.3-abc-Clean"
    assert found.preparing == pytest.approx(0.002)


def test_an_istiod_that_has_not_pushed_yet_has_counted_nothing(answers: Object) -> None:
    answers["/metrics"] = b'pilot_info{version="1.30.3"} 1\n'
    found = istiods.counters(FakeSession(), ISTIOD)
    assert (found.noticed, found.pushes, found.debounced, found.preparing) == (0, 0, 0, 0)


def test_kinds_and_the_root_namespace(answers: Object) -> None:
    answers["/debug/resourcesz"] = [{"group": "networking.istio.io", "version": "v1", "kind": "Sidecar"}]
    answers["/debug/mesh"] = {"rootNamespace": "mesh-config"}
    assert istiods.kinds_read(FakeSession(), ISTIOD) == {("networking.istio.io", "Sidecar")}
    assert istiods.root_namespace(FakeSession(), ISTIOD) == "mesh-config"
    answers["/debug/mesh"] = {}
    assert istiods.root_namespace(FakeSession(), ISTIOD) == "istio-system"


@pytest.mark.parametrize(
    ("version", "number"), [("2026-11-22T19:13:05Z/17", 17), ("2026-11-22T19:13:05+01:00/0", 0), ("", 0), ("x", 0)]
)
def test_the_number_of_a_push(version: str, number: int) -> None:
    assert istiods.number(version) == number
