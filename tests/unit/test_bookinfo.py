"""The sample of the Istio release, in the environment's namespace with its images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSession, FakeTarget, environment

from meshwright import bookinfo, cluster, tools
from meshwright.errors import MeshwrightError, Unverified
from meshwright.objects import title

SAMPLE = """\
# the sample's own comment
apiVersion: v1
kind: Service
metadata: {name: details, labels: {app: details}}
spec:
  ports: [{port: 9080, name: http}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: details-v1}
spec:
  replicas: 1
  selector: {matchLabels: {app: details}}
  template:
    metadata: {labels: {app: details}}
    spec:
      containers:
      - {name: details, image: "registry.istio.io/release/examples-bookinfo-details-v1:1.20.3"}
      - {name: beside, image: "registry.example:5000/a/b/beside:2"}
---
"""
GATEWAY = """\
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: bookinfo-gateway}
spec:
  selector: {istio: ingressgateway}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: bookinfo}
spec:
  hosts: ["*"]
"""


@pytest.fixture
def samples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "samples"
    for name, text in (("platform/kube/bookinfo.yaml", SAMPLE), ("networking/bookinfo-gateway.yaml", GATEWAY)):
        file = folder / "bookinfo" / name
        file.parent.mkdir(parents=True)
        file.write_text(text)
    monkeypatch.setattr(tools, "samples", lambda _target, _env: str(folder))
    monkeypatch.setattr(tools, "installed", lambda _target, _env, tool: f"/tools/{tool}")
    return folder


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    made = FakeSession()
    monkeypatch.setattr(cluster, "session", lambda _target, _env: made)
    return made


def env(**values: Any) -> Any:
    return environment(bookinfo=values, namespaces={"bookinfo": {}})


def images(host: FakeTarget, **values: Any) -> list[str]:
    return [
        container["image"]
        for obj in bookinfo.wanted(host, env(**values))
        if obj["kind"] == "Deployment"
        for container in obj["spec"]["template"]["spec"]["containers"]
    ]


@pytest.mark.usefixtures("samples")
def test_every_object_is_in_the_environments_namespace(host: FakeTarget) -> None:
    assert [(obj["kind"], title(obj)) for obj in bookinfo.wanted(host, env(namespace="shop"))] == [
        ("Service", "shop/details"),
        ("Deployment", "shop/details-v1"),
        ("Gateway", "shop/bookinfo-gateway"),
        ("VirtualService", "shop/bookinfo"),
    ]


@pytest.mark.usefixtures("samples")
@pytest.mark.parametrize(
    ("values", "made"),
    [
        (
            {},
            ["registry.istio.io/release/examples-bookinfo-details-v1:1.20.3", "registry.example:5000/a/b/beside:2"],
        ),
        (
            {"hub": "meshwright.lab/stand-in"},
            ["meshwright.lab/stand-in/examples-bookinfo-details-v1:1.20.3", "meshwright.lab/stand-in/beside:2"],
        ),
        (
            {"tag": "7"},
            ["registry.istio.io/release/examples-bookinfo-details-v1:7", "registry.example:5000/a/b/beside:7"],
        ),
        ({"hub": "h:5000/x", "tag": "7"}, ["h:5000/x/examples-bookinfo-details-v1:7", "h:5000/x/beside:7"]),
    ],
)
def test_images_from_hub_and_tag(host: FakeTarget, values: dict[str, Any], made: list[str]) -> None:
    assert images(host, **values) == made


def test_a_missing_file_is_a_sentence(host: FakeTarget, samples: Path) -> None:
    file = samples / "bookinfo" / "networking" / "bookinfo-gateway.yaml"
    file.unlink()
    with pytest.raises(MeshwrightError) as caught:
        bookinfo.wanted(host, env())
    assert str(caught.value) == f"{file} is not there. Delete that folder and run the step `tools`"


def test_what_is_not_enabled_is_not_looked_at(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("looked")

    monkeypatch.setattr(cluster, "session", never)
    assert bookinfo.apply_sample.plan(host, env(enabled=False)).empty


def test_what_comes_first(host: FakeTarget, monkeypatch: pytest.MonkeyPatch, samples: Path) -> None:
    session = FakeSession()
    session.unknown.add(("networking.istio.io/v1", "Gateway"))
    monkeypatch.setattr(cluster, "session", lambda _target, _env: None)
    assert bookinfo.apply_sample.plan(host, env()).after == "cluster"
    monkeypatch.setattr(cluster, "session", lambda _target, _env: session)
    monkeypatch.setattr(tools, "installed", lambda _target, _env, _tool: None)
    assert bookinfo.apply_sample.plan(host, env()).after == "tools"
    monkeypatch.setattr(tools, "installed", lambda _target, _env, tool: tool)
    assert bookinfo.apply_sample.plan(host, env()).after == "istio"
    session.unknown.clear()
    assert bookinfo.apply_sample.plan(host, env()).after == ""


def rolled_out(obj: dict[str, Any]) -> dict[str, Any]:
    """What the Deployment controller would say."""
    if obj["kind"] == "Deployment":
        ready = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
        return obj | {"status": ready | {"conditions": [{"type": "Available", "status": "True"}]}}
    return obj


@pytest.mark.usefixtures("samples")
def test_applied_and_rolled_out_nothing_is_left_to_do(host: FakeTarget, session: FakeSession) -> None:
    session.defaults = rolled_out
    plan = bookinfo.apply_sample.plan(host, env())
    assert [change.name for change in plan.changes] == [
        "bookinfo/details",
        "bookinfo/details-v1",
        "bookinfo/bookinfo-gateway",
        "bookinfo/bookinfo",
    ]
    bookinfo.apply_sample.apply(host, env(), plan)
    again = bookinfo.apply_sample.plan(host, env())
    assert again.empty
    assert again.checked == 4
    assert again.desired == plan.desired
    assert host.sentences[0] == "applying Bookinfo to namespace bookinfo"


@pytest.mark.usefixtures("samples")
def test_what_does_not_get_ready_is_said(host: FakeTarget, session: FakeSession) -> None:
    plan = bookinfo.apply_sample.plan(host, env(timeout=1))
    with pytest.raises(Unverified, match=r"^Deployment bookinfo/details-v1 is not ready after 1 s"):
        bookinfo.apply_sample.apply(host, env(timeout=1), plan)


@pytest.mark.usefixtures("samples")
def test_what_an_interrupted_apply_has_written_is_waited_for(host: FakeTarget, session: FakeSession) -> None:
    session.defaults = rolled_out
    bookinfo.apply_sample.apply(host, env(timeout=1), bookinfo.apply_sample.plan(host, env(timeout=1)))
    session.objects["apps/v1", "Deployment", "bookinfo", "details-v1"]["status"] = {"replicas": 1}
    session.defaults = None
    plan = bookinfo.apply_sample.plan(host, env(timeout=1))
    assert plan.empty
    with pytest.raises(Unverified, match="Deployment bookinfo/details-v1 is not ready"):
        bookinfo.apply_sample.apply(host, env(timeout=1), replace(plan, unfinished=True))


@pytest.mark.usefixtures("samples")
def test_another_image_is_another_desired_state(host: FakeTarget, session: FakeSession) -> None:
    session.defaults = rolled_out
    bookinfo.apply_sample.apply(host, env(), bookinfo.apply_sample.plan(host, env()))
    plan = bookinfo.apply_sample.plan(host, env(tag="3"))
    assert plan.desired != bookinfo.apply_sample.plan(host, env()).desired
    [change] = plan.changes
    assert change.name == "bookinfo/details-v1"
    paths = [field.path for field in change.fields]
    assert paths == [f"spec.template.spec.containers[{name}].image" for name in ("details", "beside")]
