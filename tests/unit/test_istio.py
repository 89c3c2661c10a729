"""What an installation of Istio would change, by the rules of its installer."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import yaml
from fakes import FakeSession, FakeTarget, environment

from meshwright import cluster, istio, tools
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError, ProcessError, Unverified
from meshwright.plan import Action, Field, Plan

ADMISSION = "admissionregistration.k8s.io/v1"
ENV = environment(istio={"version": "1.30.3", "hub": "docker.io/istio", "timeout": 1})
OURS = {
    "operator.istio.io/managed": "Reconcile",
    "operator.istio.io/version": "1.30.3",
    "install.operator.istio.io/owning-resource-namespace": "istio-system",
    "istio.io/rev": "default",
}
COMPONENT = {"operator.istio.io/component": "Pilot"}


def obj(kind: str, name: str, api: str, namespace: str = "istio-system", **rest: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api, "kind": kind, "metadata": metadata | rest.pop("metadata", {}), **rest}


def hook(name: str, **rest: Any) -> dict[str, Any]:
    return {
        "name": name,
        "clientConfig": {"service": {"name": "istiod", "namespace": "istio-system", "path": "/x"}},
        "failurePolicy": "Ignore",
        "namespaceSelector": {"matchLabels": {"istio-injection": "enabled"}},
        "objectSelector": {},
        **rest,
    }


ISTIOD = obj(
    "Deployment",
    "istiod",
    "apps/v1",
    metadata={"labels": {"app": "istiod"}},
    spec={"template": {"spec": {"containers": [{"name": "discovery", "env": [{"name": "A", "value": "1"}]}]}}},
)
VALIDATOR = obj(
    "ValidatingWebhookConfiguration",
    "istio-validator-istio-system",
    ADMISSION,
    "",
    metadata={"labels": {"istio": "istiod"}},
    webhooks=[hook("rev.validation.istio.io")],
)
INJECTOR = obj(
    "MutatingWebhookConfiguration",
    "istio-sidecar-injector",
    ADMISSION,
    "",
    webhooks=[hook("namespace.sidecar-injector.istio.io", failurePolicy="Fail")],
)
MANIFEST = [ISTIOD, VALIDATOR, INJECTOR]


def installed() -> FakeSession:
    """A cluster after `istioctl install`, when istiod has done its part."""
    session = FakeSession(obj("Namespace", "istio-system", "v1", ""))
    for made in copy.deepcopy(MANIFEST):
        made["metadata"]["labels"] = {**made["metadata"].get("labels", {}), **OURS, **COMPONENT}
        session.apply(made, manager="istio-operator", force=True)
    never = {"matchLabels": {"istio.io/deactivated": "never-match"}}
    for key, live in session.objects.items():
        for each in live.get("webhooks", []):
            each["clientConfig"]["caBundle"] = "LS0tLS1CRUdJTg=="
            each["failurePolicy"] = "Fail"
            if key[1].startswith("Mutating"):
                each["namespaceSelector"] = each["objectSelector"] = never
    for kind, name in (("Mutating", "istio-revision-tag-default"), ("Validating", "istiod-default-validator")):
        session.put(obj(f"{kind}WebhookConfiguration", name, ADMISSION, ""))
    return session


@pytest.fixture
def ready(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> FakeTarget:
    """A host with istioctl, which renders MANIFEST."""
    monkeypatch.setattr(tools, "installed", lambda _target, _env, tool: f"/tools/{tool}")
    monkeypatch.setattr(tools, "path", lambda _target, _env, tool: f"/tools/{tool}")
    monkeypatch.setattr(istio, "_PAUSE", 0.01)
    host.answer("manifest generate", yaml.safe_dump_all([*MANIFEST, None]))
    return host


def use(monkeypatch: pytest.MonkeyPatch, session: FakeSession | None) -> None:
    monkeypatch.setattr(cluster, "session", lambda _target, _env: session)


def plan(host: FakeTarget, env: Environment = ENV) -> Plan:
    return istio.install.plan(host, env)


def shown(made: Plan) -> list[tuple[str, str, str]]:
    return [(change.action.value, change.kind, change.name) for change in made.changes]


# The plan


def test_what_comes_first(ready: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, None)
    assert plan(ready).after == "cluster"
    use(monkeypatch, FakeSession())
    monkeypatch.setattr(tools, "installed", lambda _target, _env, _tool: None)
    assert plan(ready).after == "tools"
    assert ready.commands == []


def test_the_plan_for_a_cluster_without_istio(ready: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeSession())
    made = plan(ready)
    assert shown(made) == [
        ("+", "Namespace", "istio-system"),
        ("+", "Deployment", "istio-system/istiod"),
        ("+", "MutatingWebhookConfiguration", "istio-sidecar-injector"),
        ("+", "ValidatingWebhookConfiguration", "istio-validator-istio-system"),
        ("+", "MutatingWebhookConfiguration", "istio-revision-tag-default"),
        ("+", "ValidatingWebhookConfiguration", "istiod-default-validator"),
    ]
    assert made.changes[-1].why == "istioctl makes it for the default tag"


def test_the_plan_after_an_installation_is_empty(ready: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, installed())
    made = plan(ready)
    assert shown(made) == []
    assert made.empty
    assert made.checked == 6


def test_a_deleted_deployment_is_to_add(ready: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    session = installed()
    del session.objects["apps/v1", "Deployment", "istio-system", "istiod"]
    use(monkeypatch, session)
    assert shown(plan(ready)) == [("+", "Deployment", "istio-system/istiod")]


def test_an_edited_environment_of_istiod_is_to_change(ready: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    session = installed()
    live = session.objects["apps/v1", "Deployment", "istio-system", "istiod"]
    live["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = "2"
    use(monkeypatch, session)
    [change] = plan(ready).changes
    assert change.fields == (Field("spec.template.spec.containers[discovery].env[A].value", "2", "1"),)


def test_a_newer_version_is_to_change(ready: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, installed())
    newer = environment(istio={"version": "1.30.4", "hub": "docker.io/istio"})
    made = plan(ready, newer)
    assert [change.action for change in made.changes] == [Action.CHANGE] * 3
    assert Field('metadata.labels."operator.istio.io/version"', "1.30.3", "1.30.4") in made.changes[0].fields


def test_a_default_tag_that_is_gone_is_to_add(ready: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    session = installed()
    del session.objects[ADMISSION, "MutatingWebhookConfiguration", "", "istio-revision-tag-default"]
    use(monkeypatch, session)
    assert shown(plan(ready)) == [("+", "MutatingWebhookConfiguration", "istio-revision-tag-default")]


def test_a_revision_has_no_default_tag(ready: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, FakeSession())
    blue = environment(istio={"version": "1.30.3", "hub": "docker.io/istio", "revision": "blue"})
    assert not [change for change in plan(ready, blue).changes if "tag" in change.name or "default" in change.name]


@pytest.mark.parametrize(
    ("mark", "sentence"),
    [
        ({"annotations": {"meta.helm.sh/release-name": "istiod"}}, "istiod is kept by Helm (release istiod)"),
        (
            {"ownerReferences": [{"apiVersion": "sailoperator.io/v1", "kind": "IstioRevision", "name": "default"}]},
            "istiod is kept by the Sail operator (IstioRevision default)",
        ),
    ],
)
def test_an_istio_that_another_keeps_is_left_alone(
    ready: FakeTarget, monkeypatch: pytest.MonkeyPatch, mark: dict[str, Any], sentence: str
) -> None:
    session = FakeSession(obj("Deployment", "istiod", "apps/v1", metadata={"labels": {"app": "istiod"}} | mark))
    use(monkeypatch, session)
    made = plan(ready)
    assert made.empty
    assert made.notes == (f"{sentence}: it is left alone",)
    assert ready.commands == []


def test_planning_writes_nothing(ready: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    session = installed()
    session.writes.clear()
    use(monkeypatch, session)
    plan(ready)
    assert session.writes == []


# Deletions that the installer would do


def orphan(labels: dict[str, str], name: str = "old", kind: str = "Service", api: str = "v1") -> dict[str, Any]:
    return obj(kind, name, api, metadata={"labels": labels})


@pytest.mark.parametrize(
    ("extra", "kind", "api"),
    [
        ({}, "Service", "v1"),
        ({"operator.istio.io/version": "1.29.0"}, "HorizontalPodAutoscaler", "autoscaling/v2"),
        ({}, "PodDisruptionBudget", "policy/v1"),
    ],
)
def test_what_the_manifest_has_no_more_is_to_destroy(
    ready: FakeTarget, monkeypatch: pytest.MonkeyPatch, extra: dict[str, str], kind: str, api: str
) -> None:
    session = installed()
    session.put(orphan({**OURS, **COMPONENT, **extra}, kind=kind, api=api))
    use(monkeypatch, session)
    made = plan(ready)
    assert shown(made) == [("-", kind, "istio-system/old")]
    assert made.changes[0].why == "no longer part of the installation"
    assert made.checked == 7


@pytest.mark.parametrize(
    "live",
    [
        orphan({**OURS, **COMPONENT, "istio.io/rev": "blue"}),
        orphan({**OURS, **COMPONENT, "install.operator.istio.io/owning-resource-namespace": "other"}),
        orphan({**OURS, **COMPONENT, "install.operator.istio.io/owning-resource-not-pruned": "true"}),
        orphan(OURS),
        orphan({}),
        orphan({**OURS, **COMPONENT}, kind="CustomResourceDefinition", api="apiextensions.k8s.io/v1"),
        orphan({**OURS, **COMPONENT}, kind="Namespace"),
    ],
)
def test_what_the_installer_does_not_prune(
    ready: FakeTarget, monkeypatch: pytest.MonkeyPatch, live: dict[str, Any]
) -> None:
    session = installed()
    session.put(live)
    use(monkeypatch, session)
    assert plan(ready).empty


# Fields that istiod and the default tag own


def test_a_new_webhook_is_as_the_manifest_has_it() -> None:
    assert istio._webhook(hook("a"), None) == hook("a")


def test_bundle_and_policy_of_a_live_webhook_are_istiods() -> None:
    live = hook("a", failurePolicy="Fail")
    live["clientConfig"] |= {"caBundle": "QQ=="}
    put = istio._webhook(hook("a"), live)
    assert put["failurePolicy"] == "Fail"
    assert put["clientConfig"] == hook("a")["clientConfig"] | {"caBundle": "QQ=="}


def test_other_fields_of_a_live_webhook_are_the_manifests() -> None:
    live = hook("a", namespaceSelector={"matchLabels": {"edited": "1"}})
    live["clientConfig"]["service"]["path"] = "/elsewhere"
    put = istio._webhook(hook("a"), live)
    assert put["namespaceSelector"] == hook("a")["namespaceSelector"]
    assert put["clientConfig"]["service"]["path"] == "/x"


def test_a_webhook_that_gave_way_to_the_default_tag_stays_switched_off() -> None:
    never = {"matchLabels": {"istio.io/deactivated": "never-match"}}
    put = istio._webhook(hook("a"), hook("a", namespaceSelector=never, objectSelector=never))
    assert (put["namespaceSelector"], put["objectSelector"]) == (never, never)


def test_an_object_gets_the_installers_labels_and_its_live_component() -> None:
    now = obj("Service", "istiod", "v1", metadata={"labels": COMPONENT | {"theirs": "1"}})
    wanted = obj("Service", "istiod", "v1", metadata={"labels": {"app": "istiod"}})
    before = copy.deepcopy(wanted)
    put = istio._adjusted(now, istio._labelled(wanted, OURS))
    assert put["metadata"]["labels"] == {"app": "istiod", **OURS, **COMPONENT}
    assert wanted == before


# The manifest


def test_istioctl_gets_the_environments_own_kubeconfig_and_context(ready: FakeTarget) -> None:
    name = cluster.name(ready, ENV)
    assert istio.istioctl(ready, ENV) == [
        "/tools/istioctl",
        "--kubeconfig",
        f"{ready.state}/lab/kubeconfig",
        "--context",
        f"k3d-{name}",
    ]


def test_a_manifest_is_made_once_for_its_inputs(ready: FakeTarget) -> None:
    session = FakeSession()
    assert istio.manifest(ready, ENV, session) == MANIFEST
    assert istio.manifest(ready, ENV, session) == MANIFEST
    assert len(ready.commands) == 1
    assert ready.commands[0][-4:] == ("generate", "--cluster-specific", "-f", "-")
    istio.manifest(ready, environment(istio={"version": "1.30.3", "hub": "another"}), session)
    assert len(ready.commands) == 2


def test_another_kubernetes_makes_another_manifest(ready: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    istio.manifest(ready, ENV, FakeSession())
    monkeypatch.setattr(FakeSession, "version", lambda _self: "v1.36.0")
    istio.manifest(ready, ENV, FakeSession())
    assert len(ready.commands) == 2


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"null", b'{"inputs": 1}', b"\xff"])
def test_a_kept_manifest_that_is_not_ours_is_made_anew(ready: FakeTarget, text: bytes) -> None:
    ready.write(f"{ready.state}/lab/manifest.json", text)
    assert istio.manifest(ready, ENV, FakeSession()) == MANIFEST


def test_the_operator_goes_in_by_standard_input(ready: FakeTarget) -> None:
    got: list[bytes | None] = []

    def generate(_command: object, given: bytes | None) -> str:
        got.append(given)
        return ""

    ready.answer("manifest generate", generate)
    istio.manifest(ready, ENV, FakeSession())
    assert got[0] is not None
    assert yaml.safe_load(got[0])["spec"]["hub"] == "docker.io/istio"


# Applying


def apply(host: FakeTarget) -> None:
    istio.install.apply(host, ENV, Plan("istio", "d"))


def test_an_installation(ready: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, installed())
    ready.answer("x precheck", "[]")
    ready.answer("install -y")
    apply(ready)
    path = f"{ready.state}/lab/istio-operator.yaml"
    assert ready.commands[-1][-6:] == ("install", "-y", "-f", path, "--readiness-timeout", "1s")
    text = ready.read(path)
    assert text is not None
    assert yaml.safe_load(text)["kind"] == "IstioOperator"
    assert ready.sentences == ["installing Istio 1.30.3"]


def test_a_warning_of_the_precheck_is_said_and_its_error_refuses(
    ready: FakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, installed())
    warning = {"code": "IST0117", "level": "Warning", "origin": "Namespace x", "message": "no peer"}
    error = {
        "code": "IST0141",
        "level": "Error",
        "origin": "Cluster",
        "message": "too old",
        "documentationUrl": "https://istio.io/x",
    }
    ready.answer("x precheck", json.dumps([warning]))
    ready.answer("install -y")
    apply(ready)
    assert "precheck: IST0117 Namespace x: no peer" in ready.sentences
    ready.commands.clear()
    ready.answer("x precheck", json.dumps([warning, error]))
    with pytest.raises(MeshwrightError) as caught:
        apply(ready)
    assert caught.value.message == "istioctl's precheck refuses: IST0141 Cluster: too old"
    assert caught.value.hint == "https://istio.io/x"
    assert len(ready.commands) == 1


def test_a_precheck_that_cannot_run_is_a_sentence(ready: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, installed())
    ready.answer("x precheck", "Error: connection refused")
    with pytest.raises(MeshwrightError, match=r"^istioctl x precheck failed: Error: connection refused$"):
        apply(ready)


def pod(waiting: dict[str, Any] | None) -> dict[str, Any]:
    state: dict[str, Any] = {"waiting": waiting} if waiting else {"running": {}}
    status = {"name": "discovery", "image": "docker.io/istio/pilot:1.30.3", "ready": not waiting, "state": state}
    return obj(
        "Pod",
        "istiod-1",
        "v1",
        metadata={"labels": {"install.operator.istio.io/owning-resource": "unknown"}},
        status={"phase": "Pending" if waiting else "Running", "containerStatuses": [status]},
    )


def test_an_istiod_that_never_becomes_ready_is_named_with_pod_image_and_reason(
    ready: FakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, FakeSession(pod({"reason": "ErrImagePull", "message": "not found"})))
    ready.answer("x precheck", "[]")
    ready.answer("install -y", (1, "Error: failed to wait for resource"))
    with pytest.raises(ProcessError) as caught:
        apply(ready)
    assert caught.value.message == (
        "Istio 1.30.3 did not become ready: pod istio-system/istiod-1: container discovery "
        "(image docker.io/istio/pilot:1.30.3) waits: ErrImagePull (not found)"
    )
    assert "failed to wait for resource" in caught.value.output
    assert caught.value.hint == "Mend that and run the same command again; it goes on from here"


def test_an_installation_that_fails_with_all_pods_well_is_told_in_istioctls_words(
    ready: FakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, FakeSession(pod(None)))
    ready.answer("x precheck", "[]")
    ready.answer("install -y", (1, "Error: admission webhook denied the request"))
    with pytest.raises(ProcessError, match="istioctl exited with 1: Error: admission webhook denied the request"):
        apply(ready)


@pytest.mark.parametrize(
    "change", [{"failurePolicy": "Ignore"}, {"clientConfig": {"service": {}}}, {"clientConfig": {"caBundle": ""}}]
)
def test_a_webhook_that_lets_bad_objects_in_is_not_done(change: dict[str, Any]) -> None:
    session = installed()
    key = ADMISSION, "ValidatingWebhookConfiguration", "", VALIDATOR["metadata"]["name"]
    istio.wait_for_webhooks(session, 0)
    session.objects[key]["webhooks"][0] |= change
    with pytest.raises(Unverified) as caught:
        istio.wait_for_webhooks(session, 0)
    assert caught.value.message == "istiod has not taken over its webhooks: an invalid object would be let in"


def test_a_webhook_that_is_not_there_is_waited_for_only_where_one_is_expected() -> None:
    istio.wait_for_webhooks(FakeSession(), 0)
    with pytest.raises(Unverified):
        istio.wait_for_webhooks(FakeSession(), 0, expected=True)


def test_without_a_cluster_nothing_is_installed(ready: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, None)
    with pytest.raises(MeshwrightError):
        apply(ready)
    assert ready.commands == []
