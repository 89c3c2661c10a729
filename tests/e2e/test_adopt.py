"""Objects that others have made or keep, against a real API server (#4): shown as what they are, taken over by name,
and then really ours, with nothing of theirs lost."""

from __future__ import annotations

import json

import pytest
import yaml
from owning import ISTIO, Owned, config, lines, one_sentence
from test_resources import kubectl

from meshwright.foreign import LAST_APPLIED

REFUSED, BAD_INPUT = 3, 65


@pytest.fixture(scope="module")
def own(lab, space):
    # After the namespace, so that it ends before: what goes with a namespace would change the last plan.
    made = Owned(lab, "adopting", timeout=300)
    yield made
    made.clean()


def live(own, name, namespace):
    return own.session.get("v1", "ConfigMap", name, namespace)


def claims(obj):
    """The fields of `data` that each manager claims."""
    found = {}
    for entry in obj["metadata"]["managedFields"]:
        fields = entry["fieldsV1"].get("f:data") or {}
        found.setdefault(entry["manager"], set()).update(name.removeprefix("f:") for name in fields if name != ".")
    return {manager: fields for manager, fields in found.items() if fields}


def by_kubectl(own, obj, *words):
    file = own.lab.driver.root / "theirs.yaml"
    file.write_text(yaml.safe_dump(obj))
    kubectl(own, "apply", "-f", str(file), *words)


def client_side(own, obj):
    by_kubectl(own, obj)


def server_side(own, obj):
    by_kubectl(own, obj, "--server-side")


def created(own, obj):
    file = own.lab.driver.root / "theirs.yaml"
    file.write_text(yaml.safe_dump(obj))
    kubectl(own, "create", "-f", str(file))


def edited(own, obj):
    """Made by nobody in particular, then changed by hand."""
    own.session.apply({**obj, "data": {"same": "was", "differs": "was", "only": "was"}}, manager="nobody")
    metadata = obj["metadata"]
    body = {"data": obj["data"]}
    own.session.patch("v1", "ConfigMap", metadata["name"], metadata["namespace"], body=body, manager="kubectl-edit")


def as_ansible_does(own, obj):
    """A merge patch by the Python client, whose User-Agent gives its manager, with a copy in the annotation."""
    copy = json.dumps(obj)
    noted = {**obj, "metadata": {**obj["metadata"], "annotations": {LAST_APPLIED: copy}}}
    own.session.create(noted, manager="OpenAPI-Generator")


MAKERS = {
    "kubectl-client-side-apply": client_side,
    "kubectl": server_side,
    "kubectl-create": created,
    "kubectl-edit": edited,
    "OpenAPI-Generator": as_ansible_does,
}


@pytest.mark.parametrize("manager", MAKERS)
def test_an_object_of_another_is_shown_taken_over_and_then_ours(own, space, manager):
    name = f"by-{manager.lower()}"
    MAKERS[manager](own, config(name, space, same="v", differs="theirs", only="theirs"))
    before = live(own, name, space)
    wanted = config(name, space, same="v", differs="ours")
    own.write(wanted, config(f"{name}-new", space, k="v"))

    # Shown as what it is, with what can be done, and nothing else is hidden.
    plan = own.plan()
    assert plan.code == 0, plan.err
    assert f"~ ConfigMap {space}/{name}" in lines(plan)
    assert 'data.differs: "theirs" -> "ours"' in lines(plan)
    assert any(line.startswith(f"! data.differs is of {manager} since 20") for line in lines(plan)), plan.out
    assert f"+ ConfigMap {space}/{name}-new" in lines(plan)
    refused = own.apply()
    assert refused.code == REFUSED
    assert f"ConfigMap {space}/{name}: data.differs is of {manager} since 20" in refused.err
    assert f"`--adopt ConfigMap/{space}/{name}`" in refused.err
    assert f"manifests/{own.name}/a.yaml:1" in refused.err
    assert live(own, name, space) == before
    assert live(own, f"{name}-new", space) is None

    # Taken over by name.
    adopt = ("--adopt", f"ConfigMap/{space}/{name}")
    plan = own.plan(*adopt)
    header = next(line for line in lines(plan) if line.startswith(f"~ ConfigMap {space}/{name}"))
    assert manager in header.partition("(taken over from ")[2], plan.out
    assert not any(line.startswith("!") for line in lines(plan))
    done = own.apply(*adopt)
    assert done.code == 0, done.err
    now = live(own, name, space)
    assert now["data"] == {"same": "v", "differs": "ours", "only": "theirs"}
    assert LAST_APPLIED not in (now["metadata"].get("annotations") or {})
    assert claims(now) == {manager: {"only"}, "meshwright": {"same", "differs"}}

    # The second plan is empty, and says whose the rest is.
    again = own.plan("--detailed-exitcode")
    assert again.code == 0, again.out
    assert f"data.only is of {manager} since" in again.out

    # What we drop really goes; what is theirs stays.
    own.write(config(name, space, differs="ours"), config(f"{name}-new", space, k="v"))
    plan = own.plan()
    assert 'data.same: "v" -> (removed)' in lines(plan)
    own.applied()
    assert live(own, name, space)["data"] == {"differs": "ours", "only": "theirs"}


@pytest.mark.parametrize("manager", ["kubectl-client-side-apply", "OpenAPI-Generator"])
def test_with_the_same_values_it_is_taken_over_without_asking(own, space, manager):
    name = f"same-{manager.lower()}"
    MAKERS[manager](own, config(name, space, a="v", b="v", only="theirs"))
    own.write(config(name, space, a="v", b="v"))
    plan = own.plan()
    assert f"~ ConfigMap {space}/{name}  (taken over from {manager})" in lines(plan)
    assert any("last-applied-configuration" in line and line.endswith("-> (removed)") for line in lines(plan))
    own.applied()
    own.write(config(name, space, a="v"))
    own.applied()
    assert live(own, name, space)["data"] == {"a": "v", "only": "theirs"}


def test_a_route_made_by_kubectl_is_taken_over_and_loses_what_we_drop(own, space):
    metadata = {"name": "theirs", "namespace": space}
    spec = {"host": f"theirs.{space}.svc.cluster.local", "exportTo": ["."]}
    rule = {"apiVersion": ISTIO, "kind": "DestinationRule", "metadata": metadata, "spec": spec}
    by_kubectl(own, rule)
    own.write(rule)
    assert f"~ DestinationRule {space}/theirs  (taken over from kubectl-client-side-apply)" in lines(own.plan())
    own.applied()
    own.write({**rule, "spec": {"host": spec["host"]}})
    assert 'spec.exportTo: ["."] -> (removed)' in lines(own.plan())
    own.applied()
    assert own.session.get(ISTIO, "DestinationRule", "theirs", space)["spec"] == {"host": spec["host"]}


def test_killed_between_its_two_writes_the_next_run_finishes(own, space):
    client_side(own, config("halfway", space, a="v", b="v", only="theirs"))
    own.write(config("halfway", space, a="v", b="v"))
    # What such a run leaves: it has applied, and the other's claims are still there.
    parts = own.plan("--json").document["steps"]
    label = next(
        field["after"]
        for step in parts
        for change in step["changes"]
        for field in change["fields"]
        if change["name"] == f"{space}/halfway" and field["path"].startswith("metadata.labels")
    )
    labels = label if isinstance(label, dict) else {"applyset.kubernetes.io/part-of": label}
    wanted = config("halfway", space, a="v", b="v")
    own.session.apply({**wanted, "metadata": {**wanted["metadata"], "labels": labels}})
    both = claims(live(own, "halfway", space))
    assert both["meshwright"] < both["kubectl-client-side-apply"]
    assert f"~ ConfigMap {space}/halfway  (taken over from kubectl-client-side-apply)" in lines(own.plan())
    own.applied()
    assert claims(live(own, "halfway", space)) == {"kubectl-client-side-apply": {"only"}, "meshwright": {"a", "b"}}


def test_one_conflict_among_twenty_leaves_the_others_to_be_seen_and_nothing_written(own, space):
    server_side(own, config("one-7", space, k="theirs"))
    own.write(*(config(f"one-{number}", space, k="ours") for number in range(20)))
    plan = own.plan()
    assert plan.code == 0
    assert sum(line.startswith(f"+ ConfigMap {space}/one-") for line in lines(plan)) == 19
    assert sum(line.startswith("!") for line in lines(plan)) == 1
    refused = own.apply()
    assert refused.code == REFUSED
    assert {obj["metadata"]["name"] for obj in own.session.list("v1", "ConfigMap", space)} & {
        f"one-{number}" for number in range(20)
    } == {"one-7"}
    assert live(own, "one-7", space)["data"] == {"k": "theirs"}


HELM = {
    "labels": {"app.kubernetes.io/managed-by": "Helm"},
    "annotations": {"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "shop"},
}


def test_what_helm_keeps_is_read_only_and_the_patch_for_its_chart_is_printed(own, space):
    theirs = config("of-helm", space, k="theirs", more="v")
    own.session.create({**theirs, "metadata": {**theirs["metadata"], **HELM}}, manager="helm")
    before = live(own, "of-helm", space)
    own.write(config("of-helm", space, k="ours"), config("beside", space, k="v"))
    name = f"ConfigMap/{space}/of-helm"
    plan = own.plan()
    assert plan.code == 0, plan.err
    assert "! Helm (release shop) keeps it, and would take the change back" in lines(plan)
    changes = [change for step in own.plan("--json").document["steps"] for change in step["changes"]]
    assert next(c["blocked"]["patch"] for c in changes if "blocked" in c) == {"data": {"k": "ours"}}
    for words in ((), ("--adopt", name)):
        refused = own.apply(*words)
        assert refused.code == REFUSED
        assert f"ConfigMap {space}/of-helm: Helm (release shop) keeps it" in refused.err
        assert "  data:\n" in refused.err
        assert "    k: ours\n" in refused.err
    assert live(own, "of-helm", space) == before
    assert live(own, "beside", space) is None


def test_a_member_that_helm_has_taken_over_is_not_pruned(own, space):
    own.write(config("let-go", space, k="v"), config("kept", space, k="v"))
    own.applied()
    body = {"metadata": HELM}
    own.session.patch("v1", "ConfigMap", "let-go", space, body=body, manager="helm")
    own.write(config("kept", space, k="v"))
    plan = own.plan()
    assert f"- ConfigMap {space}/let-go  (no longer in the values)" in lines(plan)
    assert "! Helm (release shop) keeps it now" in lines(plan)
    refused = own.apply()
    assert refused.code == REFUSED
    command = refused.err.partition("Let go of it: `kubectl ")[2].partition("`")[0]
    assert command == f"-n {space} label ConfigMap let-go applyset.kubernetes.io/part-of-"
    kubectl(own, *command.split())
    own.applied()
    assert live(own, "let-go", space)["data"] == {"k": "v"}


def test_a_name_of_nothing_is_told_with_the_nearest(own, space):
    own.write(config("kept", space, k="v"))
    for ran in (own.plan("--adopt", f"ConfigMap/{space}/kapt"), own.apply("--adopt", "ConfigMap/x/kept")):
        assert ran.code == BAD_INPUT
        assert f"the nearest is ConfigMap/{space}/kept" in one_sentence(ran)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        # By the schema in the CRD, which needs no istiod.
        ({}, "spec.host"),
        # By istiod's webhook.
        ({"host": "a.b.svc.cluster.local", "trafficPolicy": {"tls": {"mode": "MUTUAL"}}}, "validation.istio.io"),
        # A typo.
        ({"host": "a.b.svc.cluster.local", "trafficPolcy": {}}, "trafficPolcy"),
    ],
)
def test_a_new_object_that_cannot_be_right_is_refused_in_the_plan_with_its_place(own, space, spec, words):
    rule = {"apiVersion": ISTIO, "kind": "DestinationRule", "metadata": {"name": "bad", "namespace": space}}
    own.write(config("kept", space, k="v"))
    own.write(config("first", space, k="v"), {**rule, "spec": spec}, file="bad.yaml")
    try:
        for ran in (own.plan(), own.apply()):
            assert ran.code == BAD_INPUT, ran.err
            assert f"manifests/{own.name}/bad.yaml:9: the API server refuses DestinationRule" in one_sentence(ran)
            assert words in ran.err
    finally:
        (own.folder / "bad.yaml").unlink()
    assert live(own, "first", space) is None


def test_pyinfra_takes_over_by_name_too(own, space):
    server_side(own, config("by-pyinfra", space, k="theirs"))
    own.write(config("kept", space, k="v"), config("by-pyinfra", space, k="ours"))
    command = ("-y", f"inventory/{own.name}.py", "deploys/resources.py")
    refused = own.lab.driver.pyinfra(*command)
    assert refused.code == 1
    assert "data.k is of kubectl since" in refused.out + refused.err
    assert "Traceback" not in refused.out + refused.err
    done = own.lab.driver.pyinfra(*command, "--data", f"adopt=ConfigMap/{space}/by-pyinfra,ConfigMap/{space}/kept")
    assert done.code == 0, done.err
    assert live(own, "by-pyinfra", space)["data"] == {"k": "ours"}
    assert own.plan("--detailed-exitcode").code == 0


def test_too_much_at_a_time_is_refused_where_protected_also_from_a_saved_plan(lab, space):
    guarded = Owned(lab, "limited", protected=True, timeout=300)
    guarded.write(config("first", space, k="v"), config("second", space, k="v"))
    assert guarded.apply("--saved", guarded.saved()).code == 0
    guarded.base += "limits: {changes: 1}\n"
    guarded.allow()
    try:
        guarded.write(config("first", space, k="w"), config("second", space, k="w"))
        refused = guarded.apply("--saved", guarded.saved())
        assert refused.code == REFUSED
        assert "limited is protected: this plan changes 2 things, limits.changes allows 1" in one_sentence(refused)
        assert "group_data/limited.yaml:" in refused.err
        guarded.write(config("first", space, k="w"), config("second", space, k="v"))
        assert guarded.apply("--saved", guarded.saved()).code == 0
    finally:
        guarded.clean()
