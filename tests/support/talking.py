"""A mesh that answers as istiods and Envoys do, from their debug pages and admin ports: no network, a fake clock."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fakes import FakeSession
from mesh import gateway_pod, istiod, istiod_pod, made, pod

Object = dict[str, Any]

ADMIN = "type.googleapis.com/envoy.admin.v3."
VERSION = "1.30.3"


class Clock:
    """Time that passes when somebody sleeps, and a little with each question."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Talker:
    """A proxy: what its istiod makes for it and what it holds, as {type: {name: resource}}; what it refused."""

    istiod: str = "istiod-1"
    routes: Object = field(default_factory=lambda: {"80": {"name": "80"}})
    held: Object | None = None
    sent: str = "v/1"
    acked: str = "v/1"
    error: str = ""
    version: str = VERSION
    number: int | None = None
    """The number of the push that its state in istiod is from; None: of the last one."""
    silent: Exception | None = None


class Mesh:
    """Two sidecars (web and ratings), a gateway, one istiod. `script` is called before each question is answered, with
    its number and path: what it changes is what the next answers say."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.session = FakeSession(istiod(), istiod_pod())
        self.proxies: dict[str, Talker] = {}
        self.unread: set[str] = set()
        self.pushes, self.noticed = {"istiod-1": 7}, {"istiod-1": 40}
        self.turns = 100
        self.kinds = {("networking.istio.io", kind) for kind in ("VirtualService", "Gateway", "EnvoyFilter")}
        self.overrides: dict[str, Any] = {}
        self.asked: list[tuple[str, str]] = []
        self.script: Callable[[str, str], None] = lambda _who, _path: None
        for name in ("web", "ratings"):
            self.add(name)
        gateway = gateway_pod("in")
        gateway["spec"]["containers"][0]["args"] = ["proxy", "router"]
        self.session.put(gateway)
        self.proxies["in.istio-system"] = Talker()

    def add(self, name: str, **state: Any) -> Talker:
        """A sidecar in bookinfo."""
        self.session.put(pod(name, labels={"app": name}))
        self.proxies[f"{name}.bookinfo"] = Talker(**state)
        return self.proxies[f"{name}.bookinfo"]

    def add_istiod(self, name: str) -> None:
        self.session.put(istiod_pod(name))
        self.pushes[name], self.noticed[name] = 3, 12

    def get(
        self, _session: object, namespace: str, name: str, port: int, path: str, _timeout: float = 0
    ) -> tuple[int, bytes]:
        """In place of portforward.http_get."""
        self.clock.now += 0.01
        self.asked.append((name, path))
        self.script(name, path)
        page, _, query = path.partition("?")
        answer = self.overrides.get(f"{name}{page}", self.overrides.get(page))
        if answer is None:
            answer = self._istiod(name, page, query) if port == 15014 else self._envoy(f"{name}.{namespace}")
        if isinstance(answer, Exception):
            raise answer
        return 200, answer if isinstance(answer, bytes) else json.dumps(answer).encode()

    def _istiod(self, name: str, page: str, query: str) -> Any:
        if page == "/debug/syncz":
            return [self._row(proxy, each) for proxy, each in self.proxies.items() if each.istiod == name]
        if page == "/debug/configz":
            found = self.session.objects.values()
            return [
                each
                for each in found
                if ".istio.io" in each["apiVersion"] and each["metadata"]["name"] not in self.unread
            ]
        if page == "/debug/resourcesz":
            return [{"group": group, "kind": kind} for group, kind in self.kinds]
        if page == "/debug/mesh":
            return {"rootNamespace": "istio-system"}
        if page == "/metrics":
            return self._metrics(name)
        assert page == "/debug/config_dump"
        proxy = self.proxies[query.removeprefix("proxyID=")]
        number = self.pushes[name] if proxy.number is None else proxy.number
        return _dump(proxy.routes, f"2026-01-01T00:00:00Z/{number}")

    def _metrics(self, name: str) -> bytes:
        return (
            f'pilot_inbound_updates{{type="config"}} {self.noticed[name]}\n'
            f"pilot_debounce_time_count {self.pushes[name]}\n"
            f"pilot_proxy_queue_time_count {self.turns}\n"
            f"pilot_pushcontext_init_seconds_sum {self.pushes[name] / 1000}\n"
            f"pilot_pushcontext_init_seconds_count {self.pushes[name]}\n"
            f'pilot_info{{version="{VERSION}-abc-Clean"}} 1\n'
        ).encode()

    def _row(self, name: str, proxy: Talker) -> Object:
        state = {"sent": proxy.sent, "acked": proxy.acked, "lastError": proxy.error}
        kinds = {"type.googleapis.com/envoy.config.listener.v3.Listener": state}
        return {"proxy": name, "proxy_type": "sidecar", "istio_version": proxy.version, "resources": kinds}

    def _envoy(self, name: str) -> bytes:
        proxy = self.proxies[name]
        if proxy.silent:
            raise proxy.silent
        return _dump(proxy.routes if proxy.held is None else proxy.held, "v")


def _dump(routes: Object, version: str) -> bytes:
    configs = [
        {"@type": ADMIN + "ClustersConfigDump", "version_info": version},
        {
            "@type": ADMIN + "RoutesConfigDump",
            "dynamic_route_configs": [{"route_config": route} for route in routes.values()],
        },
    ]
    return json.dumps({"configs": configs}).encode()


def virtual_service(name: str = "web", namespace: str = "bookinfo", **spec: Any) -> Object:
    """All of the mesh is told of it."""
    return made("networking.istio.io/v1", "VirtualService", name, namespace, spec={"hosts": [name], **spec})


def envoy_filter(name: str = "limit", *patches: Object, app: str = "") -> Object:
    """For the sidecars of bookinfo, or those of one app."""
    selector = {"workloadSelector": {"labels": {"app": app}}} if app else {}
    spec = {"configPatches": list(patches), **selector}
    return made("networking.istio.io/v1alpha3", "EnvoyFilter", name, "bookinfo", spec=spec)


def adding(name: str, operation: str = "INSERT_BEFORE") -> Object:
    """A patch that adds an HTTP filter."""
    patch = {"operation": operation, "value": {"name": name}}
    return {"applyTo": "HTTP_FILTER", "match": {"context": "SIDECAR_INBOUND"}, "patch": patch}
