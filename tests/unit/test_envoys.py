from __future__ import annotations

from typing import Any

import pytest
from fakes import FakeSession
from mesh import gateway_pod, pod

from meshwright import envoys
from meshwright.envoys import ask, ask_all, proxies, proxy_of
from meshwright.errors import MeshwrightError, Unreachable
from meshwright.kube import portforward

Object = dict[str, Any]


def router(**labels: str) -> Object:
    found = gateway_pod()
    found["metadata"]["labels"] |= labels
    found["spec"]["containers"][0]["args"] = ["proxy", "router"]
    return found


def listed(*objects: Object) -> list[envoys.Proxy]:
    return proxies(FakeSession(*objects))


def test_a_pod_without_a_proxy_has_none() -> None:
    assert proxy_of(pod("web", sidecar=False) | {}) is None
    assert listed(pod("web", sidecar=False)) == []


def test_a_native_sidecar_and_a_plain_one() -> None:
    plain = pod("old", sidecar=False)
    plain["spec"]["containers"].append({"name": "istio-proxy", "image": "hub/proxyv2:1"})
    native, old = sorted(listed(pod("new"), plain), key=lambda proxy: proxy.pod)
    assert (native.native, old.native) == (True, False)
    assert {native.role, old.role} == {"sidecar"}
    assert native.image == "hub/proxyv2:1.30.3"
    assert (str(native), native.id) == ("bookinfo/new", "new.bookinfo")


@pytest.mark.parametrize(
    ("args", "labels", "role"),
    [
        (["proxy", "router"], {}, "gateway"),
        (["proxy", "waypoint"], {}, "waypoint"),
        (["proxy", "router"], {"gateway.istio.io/managed": "istio.io-mesh-controller"}, "waypoint"),
        (["proxy", "router"], {"gateway.istio.io/managed": "istio.io-gateway-controller"}, "gateway"),
        (["proxy", "sidecar"], {}, "sidecar"),
    ],
)
def test_roles(args: list[str], labels: dict[str, str], role: str) -> None:
    found = router(**labels)
    found["spec"]["containers"][0]["args"] = args
    assert [proxy.role for proxy in listed(found)] == [role]


def test_labels_and_revision_are_the_pods() -> None:
    [proxy] = listed(pod("web", labels={"app": "web", "istio.io/rev": "canary"}))
    assert proxy.revision == "canary"
    assert proxy.labels["app"] == "web"
    # The labels do not tell proxies apart: the uid does.
    assert proxy in {proxy}


@pytest.mark.parametrize(
    "end", [{"status": {"phase": "Succeeded"}}, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}]
)
def test_what_has_ended_is_no_proxy(end: Object) -> None:
    found = pod("web")
    for part, values in end.items():
        found[part] |= values
    assert listed(found) == []


def test_one_that_is_not_ready_says_so() -> None:
    assert [proxy.ready for proxy in listed(pod("web", ready=False))] == [False]


def answering(monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> list[tuple[Any, ...]]:
    asked: list[tuple[Any, ...]] = []

    def get(_session: object, namespace: str, name: str, port: int, path: str, timeout: float) -> tuple[int, bytes]:
        asked.append((namespace, name, port, path, timeout))
        said = answers[name]
        if isinstance(said, Exception):
            raise said
        return said  # type: ignore[no-any-return]

    monkeypatch.setattr(portforward, "http_get", get)
    return asked


def test_asking_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = answering(monkeypatch, {"web": (200, b"yes")})
    session = FakeSession(pod("web"))
    [proxy] = proxies(session)
    assert ask(session, proxy, "/ready", 3) == b"yes"
    assert asked == [("bookinfo", "web", 15000, "/ready", 3)]


def test_another_status_than_200_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, {"web": (503, b"")})
    session = FakeSession(pod("web"))
    with pytest.raises(MeshwrightError, match="the Envoy of bookinfo/web answers 503 to /ready"):
        ask(session, proxies(session)[0], "/ready")


def test_one_that_does_not_answer_does_not_hide_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    away = Unreachable("nobody there")
    answering(monkeypatch, {"a": (200, b"1"), "b": away, "c": (200, b"3")})
    session = FakeSession(pod("a"), pod("b"), pod("c"))
    assert ask_all(session, proxies(session), "/ready") == [b"1", away, b"3"]
