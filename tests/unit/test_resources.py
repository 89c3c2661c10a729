"""The environment's own objects: planned, applied, pruned, and finished after a kill."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from fakes import FakeSession, FakeTarget, environment

from meshwright import applyset, cluster, objects, resources, taken, tools
from meshwright.errors import BadInput, MeshwrightError, Refused, Unverified
from meshwright.kube import ApiError
from meshwright.manifests import Manifest
from meshwright.objects import applying
from meshwright.plan import Plan

ISTIO = "networking.istio.io/v1"
SET = "resources-lab"
Object = dict[str, Any]


class Cluster(FakeSession):
    """A cluster in which a CRD, once Established, makes its kind known."""

    def forget_kinds(self) -> None:
        for obj in self.objects.values():
            if obj["kind"] == "CustomResourceDefinition":
                self.unknown.discard((f"{obj['spec']['group']}/v1", obj["spec"]["names"]["kind"]))


def settled(obj: Object) -> Object:
    """What the controllers would say."""
    if obj["kind"] == "CustomResourceDefinition":
        return obj | {"status": {"conditions": [{"type": "Established", "status": "True"}]}}
    if obj["kind"] == "Deployment":
        counts = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1}
        return obj | {"status": counts | {"conditions": [{"type": "Available", "status": "True"}]}}
    return obj


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster(namespace("team"), defaults=settled)
    monkeypatch.setattr(cluster, "session", lambda _target, _env: made)
    monkeypatch.setattr(tools, "installed", lambda _target, _env, tool: f"/tools/{tool}")
    return made


def obj(
    kind: str = "ConfigMap", name: str = "x", namespace: str | None = "team", api: str = "v1", **rest: Any
) -> Object:
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api, "kind": kind, "metadata": metadata, **rest}


def namespace(name: str) -> Object:
    return obj("Namespace", name, None)


def crd(kind: str = "Widget") -> Object:
    plural = f"{kind.lower()}s.example.io"
    spec = {"group": "example.io", "names": {"kind": kind}}
    return obj("CustomResourceDefinition", plural, None, "apiextensions.k8s.io/v1", spec=spec)


def env(*paths: str, **more: Any) -> Any:
    namespaces = more.pop("namespaces", {"bookinfo": {}})
    return environment(resources={"manifests": list(paths or ["my"]), **more}, namespaces=namespaces)


def write(host: FakeTarget, *found: Object, file: str = "a.yaml") -> None:
    folder = host.project.root / "my"
    folder.mkdir(exist_ok=True)
    (folder / file).write_text(yaml.safe_dump_all(found))


def plan(host: FakeTarget, of: Any = None) -> Plan:
    host.shared.look_again()  # as between two commands
    return resources.apply_all.plan(host, of or env())


def apply(host: FakeTarget, of: Any = None) -> Plan:
    """Plans, applies, and gives the plan; nothing is left to do afterwards."""
    made = plan(host, of)
    resources.apply_all.apply(host, of or env(), made)
    assert plan(host, of).empty
    return made


def said(made: Plan) -> list[str]:
    return [f"{change.action.value} {change.kind} {change.name}" for change in made.changes]


def members(session: FakeSession) -> set[str]:
    """KIND NAME of every object with the label of the set."""
    label = applyset.identifier(SET)
    return {
        f"{each['kind']} {objects.title(each)}"
        for each in session.objects.values()
        if (each["metadata"].get("labels") or {}).get("applyset.kubernetes.io/part-of") == label
    }


# Plan and apply


def test_nothing_wanted_and_nothing_there_is_an_empty_plan(host: FakeTarget, session: Cluster) -> None:
    made = plan(host, environment())
    assert made.empty
    assert made.checked == 0
    assert session.writes == []


def test_what_is_wanted_is_added_in_order_and_the_second_plan_is_empty(host: FakeTarget, session: Cluster) -> None:
    write(
        host,
        obj("VirtualService", "r", api=ISTIO, spec={"hosts": ["r"]}),
        obj(data={"k": "v"}),
        obj("Deployment", "d", api="apps/v1", spec={"replicas": 1}),
        obj("Gadget", "g", "shop", "example.io/v1", spec={"a": 1}),
        crd("Gadget"),
        namespace("shop"),
    )
    session.unknown.add(("example.io/v1", "Gadget"))
    made = apply(host)
    assert said(made) == [
        "+ Namespace shop",
        "+ CustomResourceDefinition gadgets.example.io",
        "+ ConfigMap team/x",
        "+ Deployment team/d",
        "+ VirtualService team/r",
        "+ Gadget shop/g",
    ]
    assert made.checked == 6
    order = [f"{each['kind']} {each['metadata']['name']}" for each in session.writes]
    # The namespace of ours, the set before its first member, and the set again at the end.
    assert order[:2] == ["Namespace meshwright", f"ConfigMap {SET}"]
    assert order[-1] == f"ConfigMap {SET}"
    assert order[2:4] == ["Namespace shop", "CustomResourceDefinition gadgets.example.io"]
    assert len(order) == 9
    again = plan(host)
    assert (again.checked, again.desired) == (6, made.desired)
    assert "Deployment/team/d" in again.seen


def test_a_change_is_written_alone(host: FakeTarget, session: Cluster) -> None:
    write(host, obj(data={"k": "v"}), obj(name="y", data={"k": "v"}))
    apply(host)
    session.writes.clear()
    write(host, obj(data={"k": "new"}), obj(name="y", data={"k": "v"}))
    made = apply(host)
    assert said(made) == ["~ ConfigMap team/x"]
    assert [(f.path, f.before, f.after) for f in made.changes[0].fields] == [("data.k", "v", "new")]
    assert [each["metadata"]["name"] for each in session.writes] == ["meshwright", SET, "x", SET]


def test_what_was_edited_or_deleted_from_outside_is_put_back(host: FakeTarget, session: Cluster) -> None:
    write(host, obj(data={"k": "v"}), obj(name="y", data={"k": "v"}))
    apply(host)
    session.apply(obj(data={"k": "edited", "more": "1"}), manager="kubectl-edit", force=True)
    session.delete("v1", "ConfigMap", "y", "team")
    edited, _ = plan(host).changes
    assert edited.blocked is not None
    assert edited.blocked.reason == "data.k is of kubectl-edit"
    session.owners["v1", "ConfigMap", "team", "x"]["data", "k"] = "meshwright"
    assert said(apply(host)) == ["~ ConfigMap team/x", "+ ConfigMap team/y"]


def test_a_namespace_on_a_kind_that_has_none_means_nothing(host: FakeTarget, session: Cluster) -> None:
    write(host, obj("ClusterRole", "reader", "team", "rbac.authorization.k8s.io/v1", rules=[]))
    assert said(apply(host)) == ["+ ClusterRole reader"]


def test_a_deployment_that_does_not_get_ready_is_told(host: FakeTarget, session: Cluster) -> None:
    session.defaults = None
    write(host, obj("Deployment", "d", api="apps/v1", spec={"replicas": 1}))
    of = env().model_copy(update={"istio": env().istio.model_copy(update={"timeout": 1})})
    made = plan(host, of)
    with pytest.raises(Unverified, match=r"^Deployment team/d is not ready after 1 s"):
        resources.apply_all.apply(host, of, made)


def test_proxies_are_asked_about_what_was_written_and_what_was_deleted(
    host: FakeTarget, session: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def look(_session: object, _env: object, changed: list[Object]) -> taken.Before:
        asked.append(("before", [each["metadata"]["name"] for each in changed], len(session.writes)))
        return taken.Before(refused={"web.team": {"Listener": "no"}})

    def wait(*given: Any) -> None:
        written, deleted, before = given[3:]
        names = [[each["metadata"]["name"] for each in objs] for objs in (written, deleted)]
        asked.append(("after", *names, before.refused, before.unknown != ""))

    monkeypatch.setattr(taken, "look", look)
    monkeypatch.setattr(taken, "wait", wait)
    write(host, obj("VirtualService", "old", api=ISTIO, spec={}), obj(name="x"))
    apply(host)
    asked.clear()
    session.writes.clear()
    write(host, obj("VirtualService", "new", api=ISTIO, spec={}), obj(name="x"))
    apply(host)
    known = {"web.team": {"Listener": "no"}}
    assert asked == [("before", ["new", "old"], 0), ("after", ["new"], ["old"], known, False)]
    # An apply that was interrupted may have written what is refused now: then all is asked about, and nothing excused.
    asked.clear()
    resources.apply_all.apply(host, env(), dataclasses.replace(plan(host), unfinished=True))
    assert [each[1] for each in asked] == [["new", "x"]] * 2
    assert asked[1][2:] == ([], {}, True)


def test_no_more_writes_a_second_than_the_pace(
    host: FakeTarget, session: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    paces = []

    class Beat:
        def __init__(self, pace: float | None) -> None:
            self.pace = pace

        def wait(self) -> None:
            paces.append(self.pace)

    monkeypatch.setattr(objects, "Beat", Beat)
    monkeypatch.setattr(applying, "Beat", Beat)
    write(host, crd(), *(obj(name=f"x{i}") for i in range(5)))
    apply(host, env(pace=7))
    write(host, crd())
    apply(host, env(pace=7))
    assert paces == [7] * (1 + 5 + 5)


def test_what_an_interrupted_apply_has_written_is_waited_for(host: FakeTarget, session: Cluster) -> None:
    write(host, obj("Deployment", "d", api="apps/v1", spec={"replicas": 1}))
    of = env().model_copy(update={"istio": env().istio.model_copy(update={"timeout": 1})})
    resources.apply_all.apply(host, of, plan(host, of))
    session.objects["apps/v1", "Deployment", "team", "d"]["status"] = {"replicas": 1}
    done = plan(host, of)
    assert done.empty
    with pytest.raises(Unverified, match=r"^Deployment team/d is not ready after 1 s"):
        resources.apply_all.apply(host, of, dataclasses.replace(done, unfinished=True))


@pytest.mark.parametrize("kind", ["VirtualService", "ConfigMap"])
def test_istiods_webhooks_are_waited_for_before_its_kinds(host: FakeTarget, session: Cluster, kind: str) -> None:
    api = ISTIO if kind == "VirtualService" else "v1"
    hook = {"name": "x", "failurePolicy": "Ignore", "clientConfig": {}}
    webhooks = obj(
        "ValidatingWebhookConfiguration", "istiod", None, "admissionregistration.k8s.io/v1", webhooks=[hook]
    )  # fmt: skip
    webhooks["metadata"]["labels"] = {"istio": "istiod"}
    session.put(webhooks)
    write(host, obj(kind, "r", api=api, spec={}))
    of = env().model_copy(update={"istio": env().istio.model_copy(update={"timeout": 1})})
    made = plan(host, of)
    session.writes.clear()
    if kind == "ConfigMap":
        resources.apply_all.apply(host, of, made)
        return
    with pytest.raises(Unverified, match="istiod has not taken over its webhooks"):
        resources.apply_all.apply(host, of, made)
    assert session.writes == []


def test_what_is_to_be_left_is_neither_compared_nor_deleted(host: FakeTarget, session: Cluster) -> None:
    write(host, obj("Secret", "s"), obj(name="old"), obj())
    apply(host)
    keep = applyset.member(obj("Secret", "s"), SET) | {"digests": {}}
    found = [Manifest(obj(), "a record")]
    made = resources.planned(session, env(), found, "d", leave=[keep])
    assert said(made) == ["- ConfigMap team/old"]
    assert [each["kind"] for each in made.objects or ()] == ["ConfigMap", "Secret"]
    resources.apply(host, env(), made)
    assert members(session) == {"ConfigMap team/x", "Secret team/s"}
    # It is not forgotten: the next apply of the values can still delete it.
    write(host, obj())
    assert said(apply(host)) == ["- Secret team/s"]


# What comes first


def test_what_must_come_first(host: FakeTarget, session: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    write(host, obj("VirtualService", "r", "shop", ISTIO, spec={}), obj(namespace="shop"))
    of = env(namespaces={"shop": {}, "bookinfo": {}})
    monkeypatch.setattr(cluster, "session", lambda _target, _env: None)
    digests = {(made := plan(host, of)).desired}
    assert (made.after, made.changes) == ("cluster", ())
    monkeypatch.setattr(cluster, "session", lambda _target, _env: session)
    session.unknown.add((ISTIO, "VirtualService"))
    digests.add((made := plan(host, of)).desired)
    assert made.after == "istio"
    session.unknown.clear()
    digests.add((made := plan(host, of)).desired)
    assert made.after == "namespaces"
    session.put(namespace("shop"))
    digests.add((made := plan(host, of)).desired)
    assert made.after == ""
    # An approval of what is only known later is bound by this alone.
    assert len(digests) == 1


def test_without_a_cluster_nothing_wanted_is_nothing_to_do(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "session", lambda _target, _env: None)
    assert plan(host, environment()).empty
    with pytest.raises(MeshwrightError, match="there is no cluster"):
        resources.apply_all.apply(host, env(), Plan("resources", ""))


def test_a_kustomize_folder_waits_for_kubectl(
    host: FakeTarget, session: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(host, obj())
    folder = host.project.root / "k"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text("resources: [x.yaml]\n")
    (folder / "x.yaml").write_text(yaml.safe_dump(obj(name="built")))
    program = host.project.root / "kubectl"
    program.write_text('#!/bin/sh\n[ "$1" = kustomize ] && cat "$2/x.yaml"\n')
    program.chmod(0o755)
    where: list[str | None] = [None]
    monkeypatch.setattr(tools, "installed", lambda _target, _env, _tool: where[0])
    before = plan(host, env("my", "k"))
    assert (before.after, before.changes) == ("tools", ())
    where[0] = str(program)
    after = plan(host, env("my", "k"))
    assert said(after) == ["+ ConfigMap team/x", "+ ConfigMap team/built"]
    assert after.desired == before.desired
    (folder / "x.yaml").write_text(yaml.safe_dump(obj(name="other")))
    assert plan(host, env("my", "k")).desired != before.desired


def test_a_kind_that_nothing_brings(host: FakeTarget, session: Cluster) -> None:
    session.unknown |= {("example.io/v1", "Widget"), (ISTIO, "VirtualServices")}
    write(host, obj(), obj("Widget", "w", api="example.io/v1"))
    with pytest.raises(BadInput) as caught:
        plan(host)
    assert caught.value.message == "my/a.yaml:7: the cluster does not know Widget of example.io/v1"
    assert "typo" in caught.value.hint
    # With Istio there, a kind of its groups that is not known will not come with it.
    write(host, obj("VirtualServices", "w", api=ISTIO))
    with pytest.raises(BadInput, match=rf"my/a.yaml:1: the cluster does not know VirtualServices of {ISTIO}"):
        plan(host)
    assert session.writes == []


@pytest.mark.parametrize("spec", [None, [], {}, {"group": "example.io"}, {"group": "example.io", "names": None}])
def test_a_crd_that_is_none_brings_nothing(host: FakeTarget, session: Cluster, spec: Any) -> None:
    session.unknown.add(("example.io/v1", "Widget"))
    write(host, crd() | {"spec": spec}, obj("Widget", "w", api="example.io/v1"))
    with pytest.raises(BadInput, match="does not know Widget"):
        plan(host)


def test_an_object_without_a_namespace(host: FakeTarget, session: Cluster) -> None:
    write(host, namespace("shop"), obj(name="lost", namespace=None))
    with pytest.raises(BadInput) as caught:
        plan(host)
    assert caught.value.message == "my/a.yaml:6: ConfigMap lost has no metadata.namespace"


@pytest.mark.parametrize("more", [0, 20])
def test_an_object_in_a_namespace_that_nobody_makes(host: FakeTarget, session: Cluster, more: int) -> None:
    others = [f"n{i}" for i in range(more)]
    for name in others:
        session.put(namespace(name))
    write(host, *(obj(namespace=name) for name in others), obj(namespace="nowhere"))
    with pytest.raises(BadInput) as caught:
        plan(host)
    assert caught.value.message == f"my/a.yaml:{1 + 6 * more}: there is no namespace nowhere"
    assert "`namespaces`" in caught.value.hint
    # However many namespaces there are, this does not ask for each of them.
    assert len([asked for asked in session.asked if asked.endswith(" Namespace") or "Namespace " in asked]) <= 2


# Prune


def test_what_is_no_longer_wanted_is_shown_and_deleted_last(host: FakeTarget, session: Cluster) -> None:
    write(host, obj(data={"k": "v"}), obj("Secret", "s"), obj("VirtualService", "r", api=ISTIO, spec={}))
    apply(host)
    write(host, obj(data={"k": "new"}))
    made = plan(host)
    assert said(made) == ["~ ConfigMap team/x", "- VirtualService team/r", "- Secret team/s"]
    assert {change.why for change in made.changes[1:]} == {"no longer in the values"}
    assert made.checked == 3
    assert session.deletes == []
    apply(host)
    assert [key[1] for key in session.deletes] == ["VirtualService", "Secret"]
    assert members(session) == {"ConfigMap team/x"}


def test_everything_goes_only_where_that_is_said(host: FakeTarget, session: Cluster) -> None:
    write(host, obj(), namespace("shop"))
    apply(host)
    nothing = environment(namespaces={"bookinfo": {}})
    with pytest.raises(Refused, match="would delete all 1 objects of resources-lab"):
        plan(host, nothing)
    allowed = environment(resources={"allow_empty": True})
    assert said(apply(host, allowed)) == ["- ConfigMap team/x"]
    # The namespace stays, and everything that others have in it.
    assert ("v1", "Namespace", "", "shop") in session.objects


def test_an_object_that_was_made_anew_is_not_deleted(host: FakeTarget, session: Cluster) -> None:
    write(host, obj(), obj(name="old"))
    apply(host)
    write(host, obj())
    made = plan(host)
    session.objects["v1", "ConfigMap", "team", "old"]["metadata"]["uid"] = "another"
    with pytest.raises(Refused) as caught:
        resources.apply_all.apply(host, env(), made)
    assert caught.value.message == "ConfigMap team/old was made anew by somebody else since its plan was made"
    assert ("v1", "ConfigMap", "team", "old") in session.objects


def test_a_delete_that_fails_says_why(host: FakeTarget, session: Cluster) -> None:
    write(host, obj(), obj(name="old"))
    apply(host)
    write(host, obj())
    session.failing["delete ConfigMap"] = ApiError("no", status=500, body={"reason": "InternalError"})
    with pytest.raises(ApiError):
        resources.apply_all.apply(host, env(), plan(host))
    session.failing.clear()
    assert said(apply(host)) == ["- ConfigMap team/old"]


def test_a_deleted_list_of_what_is_kept_comes_back(host: FakeTarget, session: Cluster) -> None:
    write(host, obj(), obj("Secret", "s"))
    apply(host)
    session.delete("v1", "ConfigMap", SET, applyset.NAMESPACE)
    made = apply(host)
    assert said(made) == [f"+ ConfigMap meshwright/{SET}"]
    write(host, obj())
    assert said(apply(host)) == ["- Secret team/s"]


@pytest.mark.parametrize("known", [True, False])
def test_an_object_of_another_environment_is_not_taken_from_it(
    host: FakeTarget, session: Cluster, *, known: bool
) -> None:
    write(host, obj(data={"k": "v"}))
    other = environment("dev", resources={"manifests": ["my"]}, namespaces={"bookinfo": {}})
    apply(host, other)
    if not known:
        session.delete("v1", "ConfigMap", "resources-dev", applyset.NAMESPACE)
    write(host, obj(data={"k": "v"}), obj(name="y"))
    made = plan(host)
    whose = "meshwright/resources-dev" if known else applyset.identifier("resources-dev")
    blocked = {change.name: change.blocked for change in made.changes}
    assert blocked.keys() == {"team/x", "team/y"}  # the one does not hide the other
    assert blocked["team/y"] is None
    assert blocked["team/x"] is not None
    assert blocked["team/x"].reason == f"another ApplySet keeps it, {whose}"
    assert "Take it out of one of the two" in blocked["team/x"].hint


# Killed


class Killed(BaseException):
    """kill -9 has no handler either."""


def killed_after(session: FakeSession, writes: int) -> Callable[[], bool]:
    """From now on only so many writes go through; whether it has come to that."""
    left = itertools.count(writes, -1)
    lock = threading.Lock()
    hit = threading.Event()

    def guard() -> None:
        with lock:
            if next(left) <= 0 or hit.is_set():
                hit.set()
                raise Killed

    session.guard = guard
    return hit.is_set


BEFORE = [
    obj(data={"k": "v"}),
    obj("Secret", "s"),
    obj("VirtualService", "r", api=ISTIO, spec={}),
    crd(),
    namespace("a"),
]
AFTER = [
    obj(data={"k": "new"}),
    obj("DestinationRule", "r", api=ISTIO, spec={"host": "r"}),
    obj("Widget", "w", "b", "example.io/v1", spec={}),
    obj("Service", "s", "b"),
    crd(),
    namespace("b"),
]


def state(session: FakeSession) -> dict[Any, Any]:
    """The cluster, without what the API server counts."""
    return {
        key: {**each, "metadata": {k: v for k, v in each["metadata"].items() if k not in ("uid", "resourceVersion")}}
        for key, each in session.objects.items()
    }


def test_killed_between_any_two_writes_the_next_run_ends_in_the_same_state(
    host: FakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fresh() -> Cluster:
        made = Cluster(namespace("team"), obj(name="bystander"), defaults=settled)
        monkeypatch.setattr(cluster, "session", lambda _target, _env: made)
        write(host, *BEFORE)
        apply(host)
        write(host, *AFTER)
        return made

    monkeypatch.setattr(tools, "installed", lambda _target, _env, tool: f"/tools/{tool}")
    session = fresh()
    apply(host)
    wanted = state(session)
    assert members(session) == {
        "ConfigMap team/x", "DestinationRule team/r", "Widget b/w", "Service b/s",
        "CustomResourceDefinition widgets.example.io", "Namespace a", "Namespace b",
    }  # fmt: skip
    kills = 0
    for writes in itertools.count():
        session = fresh()
        hit = killed_after(session, writes)
        with pytest.raises(Killed) if writes < 9 else contextlib.suppress(Killed):
            resources.apply_all.apply(host, env(), plan(host))
        if not hit():
            break
        kills += 1
        session.guard = lambda: None
        second = plan(host)
        if not second.empty:
            resources.apply_all.apply(host, env(), second)
        assert plan(host).empty
        assert state(session) == wanted, f"killed after {writes} writes"
    # Two of the set, a namespace, three new objects, a change, and two deletions.
    assert kills >= 9


def test_killed_and_then_the_wish_changes_nothing_is_forgotten(
    host: FakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed run has made goes too when the manifests no longer want it."""
    monkeypatch.setattr(tools, "installed", lambda _target, _env, tool: f"/tools/{tool}")
    for writes in range(12):
        session = Cluster(namespace("team"), defaults=settled)
        monkeypatch.setattr(cluster, "session", lambda _target, _env, made=session: made)
        write(host, *BEFORE)
        apply(host)
        write(host, *AFTER)
        killed_after(session, writes)
        with contextlib.suppress(Killed):
            resources.apply_all.apply(host, env(), plan(host))
        session.guard = lambda: None
        write(host, obj(name="last"))
        made = plan(host)
        resources.apply_all.apply(host, env(), made)
        assert plan(host).empty
        stay = {each for each in members(session) if each.startswith(("Namespace", "CustomResourceDefinition"))}
        assert members(session) - stay == {"ConfigMap team/last"}, f"killed after {writes} writes"
