"""What a change of the root plans in each mode, and that enabling live changes is a plan of its own."""

from __future__ import annotations

from typing import Any

import mesh as objects
import pytest
from certmesh import istiod_pod, plane
from fakes import environment

from meshwright import admission
from meshwright.certs import enabling, modes, planning, restarting, transition
from meshwright.certs.modes import Mode
from meshwright.certs.workloads import Workload
from meshwright.errors import BadInput, Refused, Unverified
from meshwright.foreign import RESTARTED
from meshwright.options import Options
from meshwright.plan import Plan

APPS = ("details-v1", "productpage-v1", "ratings-v1", "reviews-v1")
TEMPLATE = f"spec.template.metadata.annotations[{RESTARTED}]"


@pytest.fixture
def mesh(world: Any, host: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A mesh whose proxies were started before live changes were enabled. `plan` plans a change of its root."""
    session = world.session
    session.put(istiod_pod("istiod-2"))
    for app in (*APPS, "istio-ingressgateway"):
        space = "istio-system" if app.startswith("istio") else "bookinfo"
        pod = session.objects["v1", "Pod", space, f"{app}-1"]
        pod["metadata"]["ownerReferences"] = [{"kind": "ReplicaSet", "name": f"{app}-x", "controller": True}]
        owner = {"ownerReferences": [{"kind": "Deployment", "name": app, "controller": True}]}
        session.put(objects.made("apps/v1", "ReplicaSet", f"{app}-x", space, metadata=owner))
        if ("apps/v1", "Deployment", space, app) not in session.objects:
            session.put(objects.deployment(app, space, {"istio": "ingressgateway"}))
    start(world, "")
    # The gateway's agent learns roots by its start.
    args = session.objects["v1", "Pod", "istio-system", "istio-ingressgateway-1"]["spec"]["containers"][0]
    args["args"] = ["proxy", "router"]
    monkeypatch.setattr(restarting.wait, "ready", lambda *_args, **_more: None)

    def plan(mode: str = "", to: str = "new-self-signed") -> Plan:
        host.shared.options = Options(to=to, mode=mode)
        made: Plan = transition.transition.plan(host, world.env)
        return made

    world.plan, world.host = plan, host
    return world


def start(world: Any, value: str, only: str = "") -> None:
    """Starts the proxies anew, with this value of PROXY_CONFIG_XDS_AGENT."""
    for key, pod in world.session.objects.items():
        if key[1] == "Pod" and only in key[3]:
            for each in [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]:
                if each["name"] == "istio-proxy":
                    each["env"] = [{"name": "PROXY_CONFIG_XDS_AGENT", "value": value}] if value else []


def names(plan: Plan) -> list[str]:
    return [f"{change.kind} {change.name}" for change in plan.changes]


WORKLOADS = [*(f"Deployment bookinfo/{app}" for app in APPS), "Deployment istio-system/istio-ingressgateway"]


def test_enabling_is_a_plan_of_its_own_and_says_first_what_it_costs(mesh: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = mesh.plan()
    assert names(plan) == ["Mesh istio-system", *WORKLOADS]
    assert "costs ONE rolling restart of 5 workloads" in plan.changes[0].why
    real = mesh.session.patch

    def patch(api: str, kind: str, name: str, namespace: str, *, body: Any) -> Any:
        start(mesh, "true", name)
        return real(api, kind, name, namespace, body=body)

    monkeypatch.setattr(mesh.session, "patch", patch)
    transition.transition.apply(mesh.host, mesh.env, plan)
    assert [name for _, _, name, _ in mesh.session.patches] == [*APPS, "istio-ingressgateway"]
    assert ("v1", "Secret", "istio-system", "meshwright-ca-standby") not in mesh.session.objects
    # Now the change itself can be planned.
    assert "Phase P1" in names(mesh.plan())


def test_enabling_that_does_not_help_is_not_believed(mesh: Any) -> None:
    with pytest.raises(Unverified, match="5 proxies still lack PROXY_CONFIG_XDS_AGENT"):
        transition.transition.apply(mesh.host, mesh.env, mesh.plan())


@pytest.mark.parametrize(
    ("break_it", "said", "hint"),
    [
        (lambda mesh: mesh.session.put(plane()), "istiod lacks ISTIO_MULTIROOT_MESH", "Set istio.values.pilot.env."),
        (lambda mesh: config(mesh, "{}"), "the mesh config lacks PROXY_CONFIG_XDS_AGENT", "Set istio.meshConfig."),
        (lambda mesh: annotate(mesh, "ratings-v1-1"), "sets PROXY_CONFIG_XDS_AGENT itself", "Take that out"),
    ],
)
def test_live_mode_where_a_restart_would_not_help(mesh: Any, break_it: Any, said: str, hint: str) -> None:
    break_it(mesh)
    first = mesh.plan().changes[0]
    assert first.blocked is not None
    assert said in first.blocked.reason
    assert first.blocked.hint.startswith(hint)
    assert "--mode restart" in first.blocked.hint
    for mode in ("restart", "patient"):
        assert not any(change.blocked for change in mesh.plan(mode).changes)


def config(mesh: Any, text: str) -> None:
    mesh.session.put(objects.made("v1", "ConfigMap", "istio", "istio-system", data={"mesh": text}))


def annotate(mesh: Any, name: str) -> None:
    pod = mesh.session.objects["v1", "Pod", "bookinfo", name]
    value = '{"proxyMetadata": {"PROXY_CONFIG_XDS_AGENT": "false"}}'
    pod["metadata"]["annotations"] = {"proxy.istio.io/config": value}


def test_what_the_environment_says_already_is_to_be_applied(mesh: Any) -> None:
    values = {"pilot": {"env": {"ISTIO_MULTIROOT_MESH": "true"}}}
    env = environment(istio={"version": "1.30.3", "hub": "docker.io/istio", "values": values})
    mesh.session.put(plane())
    [found] = enabling.missing(certmesh_of(mesh), env)
    assert found.hint.startswith("`meshwright apply lab`; the workloads then take one rolling restart")


def certmesh_of(world: Any) -> Any:
    from meshwright.certs import mesh as looks

    return looks.look(world.session, world.env)


def test_with_restarts_each_workload_is_in_the_plan_once(mesh: Any) -> None:
    plan = mesh.plan("restart")
    phases = ["Phase P1", "Phase P2", "Phase P3"]
    istiod = "Deployment istio-system/istiod"
    assert names(plan) == ["Secret istio-system/meshwright-ca-standby", *phases, istiod, *WORKLOADS]
    [first, *_] = [change for change in plan.changes if change.kind == "Phase"]
    assert {field.path: field.after for field in first.fields}["restarts"] == ["istiod", "5 workloads"]
    [field] = plan.changes[-1].fields
    assert (field.path, field.after) == (TEMPLATE, ["P1", "P2", "P3"])
    told = " ".join(plan.notes)
    assert "in mode restart it takes about: P1 less than a minute" in told
    assert "istio-ingressgateway: it has one pod" in told
    assert mesh.plan("restart").digest == plan.digest != mesh.plan("patient").digest


def test_nobody_is_restarted_who_takes_roots_over_live(mesh: Any) -> None:
    start(mesh, "true")
    start(mesh, "", "reviews")
    assert names(mesh.plan("restart"))[5:] == ["Deployment bookinfo/reviews-v1"]
    start(mesh, "true")
    assert names(mesh.plan("restart"))[5:] == []


def test_what_cannot_be_restarted_is_refused_before_anything_is_written(mesh: Any) -> None:
    mesh.session.objects["apps/v1", "Deployment", "bookinfo", "reviews-v1"]["spec"]["paused"] = True
    job = mesh.session.objects["v1", "Pod", "bookinfo", "ratings-v1-1"]
    job["metadata"]["ownerReferences"] = [{"kind": "Job", "name": "nightly", "controller": True}]
    plan = mesh.plan("restart")
    blocked = {f"{change.kind} {change.name}": change.blocked.reason for change in plan.changes if change.blocked}
    assert blocked == {
        "Deployment bookinfo/reviews-v1": "it cannot be restarted: it is paused, so its pods are not replaced",
        "Pod bookinfo/ratings-v1-1": "it cannot be restarted: a Job's pod is never restarted",
    }
    with pytest.raises(Refused, match="and 1 more"):
        admission.admit(plan, Options())
    assert not any(change.blocked for change in mesh.plan("patient").changes)


def test_a_protected_environment_limits_the_restarts(mesh: Any) -> None:
    env = environment(protected=True, limits={"restarts": 5})
    with pytest.raises(Refused, match="restarts the pods of 6 things"):
        admission.within_limits([mesh.plan("restart")], env)
    admission.within_limits([mesh.plan("patient")], env)


def test_patience_says_how_long(mesh: Any) -> None:
    plan = mesh.plan("patient")
    waits = [field.after for change in plan.changes for field in change.fields if field.path == "waits"]
    assert waits == ["for the next certificates of those that learn late"] * 3
    assert "5 proxies learn late" in plan.notes
    # A day's certificate, a tenth of it gone; each later phase begins with new ones.
    assert "P1 9 hours" in " ".join(plan.notes)
    assert "P2 12 hours" in " ".join(plan.notes)
    assert not any(name in WORKLOADS for name in names(plan))


def test_modes_by_name() -> None:
    assert modes.mode_of("") is Mode.LIVE
    assert modes.mode_of("", "patient") is Mode.PATIENT
    assert modes.mode_of("restart", "patient") is Mode.RESTART
    with pytest.raises(BadInput, match="'soon' is no mode") as caught:
        modes.mode_of("soon")
    assert caught.value.hint == "Say one of: live, restart, patient"


def test_gateways_whose_clients_notice() -> None:
    def found(**more: Any) -> list[str]:
        return [each.detail for each in planning.gateways([Workload(True, "Deployment", "a", "b", **more)])]

    assert found(replicas=2, guarded=True) == []
    assert len(found(replicas=1, guarded=False)) == 2
    assert found(replicas=1, guarded=True) == ["it has one pod: long connections end when it is replaced"]
