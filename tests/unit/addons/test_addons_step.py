"""Addons as a plan: applied once, guards first, removed with nothing left."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSession, FakeTarget

from meshwright import cluster, objects
from meshwright.addons import settling, step
from meshwright.environment import Environment
from meshwright.errors import BadInput, Forbidden, MeshwrightError, Unverified
from meshwright.plan import Plan

Make = Callable[..., Environment]
HASHED = base64.b64encode(hashlib.sha1(b"secret").digest()).decode()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "_PAUSE", 0)


def apply(host: FakeTarget, env: Environment) -> Plan:
    """Plans, applies, and gives the plan; nothing is left to do afterwards."""
    made = step.install.plan(host, env)
    step.install.apply(host, env, made)
    assert step.install.plan(host, env).empty
    return made


def said(made: Plan) -> list[str]:
    return [f"{change.action.value} {change.kind} {change.name}" for change in made.changes]


def exposure(kind: str, **more: Any) -> dict[str, Any]:
    return {"host": "kiali.example.com", "credential": "kiali-cert", "authentication": {"kind": kind, **more}}


def test_none_wanted_and_none_there_is_an_empty_plan(
    host: FakeTarget, session: FakeSession, samples: Path, with_addons: Make
) -> None:
    made = step.install.plan(host, with_addons())
    assert made.empty
    assert session.writes == []


def test_what_is_on_is_applied_once_with_its_images(
    host: FakeTarget, session: FakeSession, samples: Path, with_addons: Make
) -> None:
    env = with_addons(kiali={"images": {"docker.io/x/kiali": "example.com/kiali:9"}}, grafana={"enabled": False})
    assert said(apply(host, env)) == ["+ Service istio-system/kiali", "+ Deployment istio-system/kiali"]
    live = session.get("apps/v1", "Deployment", "kiali", "istio-system")
    assert live is not None
    spec = live["spec"]["template"]["spec"]
    assert [each["image"] for each in spec["initContainers"] + spec["containers"]] == [
        "docker.io/x/before:1",
        "example.com/kiali:9",
    ]


def test_what_is_off_is_removed_with_its_claims_and_the_list(
    host: FakeTarget, session: FakeSession, samples: Path, with_addons: Make
) -> None:
    apply(host, with_addons(loki={}, kiali={}))
    for name in ("storage-loki-0", "storage-other-0"):
        metadata = {"name": name, "namespace": "istio-system"}
        session.put({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata})
    made = step.install.plan(host, with_addons(loki={"enabled": False}))
    assert said(made) == [
        "- StatefulSet istio-system/loki",
        "- Deployment istio-system/kiali",
        "- Service istio-system/kiali",
        "- PersistentVolumeClaim istio-system/storage-loki-0",
        "- ConfigMap meshwright/addons-lab",
    ]
    step.install.apply(host, with_addons(), made)
    left = {(obj["kind"], obj["metadata"]["name"]) for obj in session.objects.values()}
    assert left == {
        ("Namespace", "istio-system"),
        ("Namespace", "meshwright"),
        ("PersistentVolumeClaim", "storage-other-0"),
    }
    assert step.install.plan(host, with_addons()).empty


def test_a_guard_is_written_first_and_deleted_last(
    host: FakeTarget, session: FakeSession, samples: Path, with_addons: Make
) -> None:
    (host.project.root / "users").write_text(f"op:{{SHA}}{HASHED}\n")
    closed = with_addons(kiali={"exposure": exposure("basic", users="users")})
    made = apply(host, closed)
    assert [change.kind for change in made.changes] == [
        "EnvoyFilter",
        "Service",
        "Deployment",
        "Gateway",
        "VirtualService",
    ]
    assert any(note.startswith("Kiali is at https://kiali.example.com:8443/kiali/") for note in made.notes)
    gone = step.install.plan(host, with_addons(kiali={}))
    assert [change.kind for change in gone.changes] == ["VirtualService", "Gateway", "EnvoyFilter"]


def test_no_plan_shows_a_hashed_password(
    host: FakeTarget, session: FakeSession, samples: Path, with_addons: Make
) -> None:
    users = host.project.root / "users"
    users.write_text(f"op:{{SHA}}{HASHED}\n")
    env = with_addons(kiali={"exposure": exposure("basic", users="users")})
    first = apply(host, env)
    users.write_text(f"op:{{SHA}}{HASHED}\nother:{{SHA}}{HASHED}\n")
    second = step.install.plan(host, env)
    assert [change.kind for change in second.changes] == ["EnvoyFilter"]
    for made in (first, second):
        assert HASHED not in str(made.as_json())
        assert "(sha256 " in str(made.as_json())


def test_an_addon_that_is_not_ready_is_named_and_the_others_are_waited_for(
    host: FakeTarget, session: FakeSession, samples: Path, with_addons: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "settle", lambda *_, **__: {"kiali": "the image x cannot be pulled"})
    env = with_addons(kiali={}, grafana={})
    with pytest.raises(Unverified, match="Kiali: the image x cannot be pulled") as caught:
        step.install.apply(host, env, step.install.plan(host, env))
    assert "is ready: Grafana" in caught.value.hint
    assert session.get("apps/v1", "Deployment", "grafana", "istio-system") is not None


def test_a_domain_of_another_gateway_is_a_finding(
    host: FakeTarget, session: FakeSession, samples: Path, with_addons: Make
) -> None:
    for name, hosts, number in (
        ("wide", ["*.example.com"], 443),
        ("plain", ["kiali.example.com"], 80),
        ("far", ["a.test"], 443),
    ):
        servers = [{"hosts": hosts, "port": {"number": number, "name": "p", "protocol": "HTTPS"}}]
        spec = {"selector": {"istio": "ingressgateway"}, "servers": servers}
        metadata = {"name": name, "namespace": "shop"}
        session.put({"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": metadata, "spec": spec})
    made = step.install.plan(host, with_addons(kiali={"exposure": exposure("none")}))
    assert [note for note in made.notes if note.startswith("finding")] == [
        "finding: the domain kiali.example.com of addons.kiali overlaps *.example.com of Gateway shop/wide at port 443"
    ]


def test_without_a_cluster_or_tools_it_is_known_later(
    host: FakeTarget, samples: Path, with_addons: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "session", lambda *_: None)
    assert step.install.plan(host, with_addons(kiali={})).after == "cluster"
    from meshwright import tools

    monkeypatch.setattr(tools, "installed", lambda *_: None)
    assert step.install.plan(host, with_addons(kiali={})).after == "tools"


def test_an_image_that_no_manifest_has_is_refused_with_the_nearest(
    host: FakeTarget, session: FakeSession, samples: Path, with_addons: Make
) -> None:
    env = with_addons(kiali={"images": {"docker.io/x/kialy": "example.com/kiali:9"}})
    with pytest.raises(BadInput, match=r"names docker.io/x/kialy, .*; the nearest is docker.io/x/kiali\b"):
        step.install.plan(host, env)


def test_a_release_without_the_sample_says_what_to_do(
    host: FakeTarget, session: FakeSession, samples: Path, with_addons: Make
) -> None:
    (samples / "kiali.yaml").unlink()
    with pytest.raises(MeshwrightError, match="has no sample of Kiali") as caught:
        step.install.plan(host, with_addons(kiali={}))
    assert "addons.kiali.manifests" in caught.value.hint


def test_manifests_of_the_user_take_the_place_of_the_sample(
    host: FakeTarget, session: FakeSession, samples: Path, with_addons: Make
) -> None:
    (host.project.root / "mine.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: mine, namespace: istio-system}\n"
    )
    assert said(apply(host, with_addons(kiali={"manifests": ["mine.yaml"]}))) == ["+ ConfigMap istio-system/mine"]
    with pytest.raises(BadInput, match=r"^addons.kiali.manifests: none.yaml does not exist"):
        step.install.plan(host, with_addons(kiali={"manifests": ["none.yaml"]}))


def test_a_downloaded_manifest_is_kept_by_its_sha256(
    host: FakeTarget, session: FakeSession, samples: Path, with_addons: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from meshwright.tools import fetch

    content = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: far, namespace: istio-system}\n"
    asked: list[str] = []

    def download(url: str, sha256: str, into: Path, _limits: Any) -> None:
        asked.append(url)
        assert sha256 == hashlib.sha256(content).hexdigest()
        into.write_bytes(content)

    monkeypatch.setattr(fetch, "download", download)
    url = "https://example.com/far.yaml"
    env = with_addons(kiali={"manifests": [{"url": url, "sha256": hashlib.sha256(content).hexdigest()}]})
    assert said(apply(host, env)) == ["+ ConfigMap istio-system/far"]
    assert asked == [url], "once, and then from the project's own copy"


def test_objects_of_the_step_can_be_compared_for_drift() -> None:
    assert step.install.compare is objects.back


def test_jaeger_without_spans_is_a_finding(
    host: FakeTarget, session: FakeSession, samples: Path, with_addons: Make
) -> None:
    def findings(mesh: str) -> list[str]:
        metadata = {"name": "istio", "namespace": "istio-system"}
        session.put({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"mesh": mesh}})
        notes = step.install.plan(host, with_addons(jaeger={})).notes
        return [note for note in notes if note.startswith("finding")]

    provider = "extensionProviders: [{name: jaeger, opentelemetry: {service: s, port: 4317}}]\n"
    assert "no proxy sends it spans" in findings("{}")[0]
    assert "extensionProviders has no jaeger" in findings("defaultProviders: {tracing: [jaeger]}")[0]
    assert findings(provider + "defaultProviders: {tracing: [jaeger]}") == []
    assert findings("enableTracing: true\ndefaultConfig: {tracing: {zipkin: {address: z:9411}}}") == []
    spec = {"tracing": [{"providers": [{"name": "jaeger"}]}]}
    metadata = {"name": "all", "namespace": "istio-system"}
    session.put({"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "metadata": metadata, "spec": spec})
    assert findings(provider) == []
    session.failing["list Telemetry"] = Forbidden("you may not list telemetries")
    notes = step.install.plan(host, with_addons(jaeger={})).notes
    assert "not verified: whether proxies send spans to Jaeger: you may not list telemetries" in notes


def test_without_jaeger_nobody_asks_for_spans(
    host: FakeTarget, session: FakeSession, samples: Path, with_addons: Make
) -> None:
    assert not any("spans" in note for note in step.install.plan(host, with_addons(kiali={})).notes)
