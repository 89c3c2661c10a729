"""An environment's own manifests against a real API server and mesh: planned, applied, pruned, saved, killed (#4).

They belong to an environment of their own on the lab's cluster, so that the lab's own plan stays empty.
"""

from __future__ import annotations

import html
import json
import random
import re
import time

import pytest
from killing import begin, kill, steps
from owning import ISTIO, Owned, config, lines, one_sentence, reached

from meshwright import cluster, ingress, probe, tools
from meshwright.errors import Unreachable

REVIEWS = "reviews.bookinfo.svc.cluster.local"
SEED = 4
MANY = 100


def route(version):
    """All traffic to one version of reviews."""
    metadata = {"name": "reviews", "namespace": "bookinfo"}
    destination = {"destination": {"host": REVIEWS, "subset": version}}
    subsets = [{"name": name, "labels": {"version": name}} for name in ("v1", "v3")]
    return [
        {"apiVersion": ISTIO, "kind": "DestinationRule", "metadata": metadata,
         "spec": {"host": REVIEWS, "subsets": subsets}},
        {"apiVersion": ISTIO, "kind": "VirtualService", "metadata": metadata,
         "spec": {"hosts": [REVIEWS], "http": [{"route": [destination]}]}},
    ]  # fmt: skip


@pytest.fixture(scope="module")
def own(lab):
    made = Owned(lab, "own", timeout=300)
    yield made
    made.clean()


@pytest.fixture(scope="module")
def guarded(lab):
    made = Owned(lab, "guarded", protected=True, timeout=300)
    yield made
    made.clean()


def wait_for(version, lab):
    """Until the page shows reviews of this version only, several times in a row; the last version seen."""
    address = ingress.address(lab.target, lab.env)
    url = f"http://{address.host}:{address.port}/productpage"
    deadline = time.monotonic() + 60
    row, seen = 0, ""
    while row < 10 and time.monotonic() < deadline:
        try:
            page = html.unescape(probe.get(lab.target, url).text)
        except Unreachable:
            page = ""
        found = re.search(r'"version": "(v\d)"', page)
        seen = found[1] if found else "none"
        row = row + 1 if seen == version else 0
        time.sleep(0 if row else 0.5)
    return seen


def test_a_route_is_planned_applied_and_takes_the_traffic(own):
    own.write(*route("v1"))
    plan = own.plan()
    assert plan.code == 0, plan.err
    assert lines(plan)[1] == "+ DestinationRule bookinfo/reviews"
    assert "+ VirtualService bookinfo/reviews" in lines(plan)
    assert lines(plan)[-1] == "Plan: 2 to add, 0 to change, 0 to destroy."
    own.applied()
    assert wait_for("v1", own.lab) == "v1"
    own.write(*route("v3"))
    plan = own.plan("--only", "VirtualService/bookinfo/reviews")
    assert 'spec.http[0].route[0].destination.subset: "v1" -> "v3"' in lines(plan)
    assert lines(plan)[-1] == "Plan: 0 to add, 1 to change, 0 to destroy."
    own.applied()
    assert wait_for("v3", own.lab) == "v3"


def test_pyinfra_shows_and_does_the_same(own, space):
    own.write(*route("v3"), config("by-pyinfra", space, k="v"))
    dry = own.lab.driver.pyinfra("--dry", f"inventory/{own.name}.py", "deploys/resources.py")
    assert dry.code == 0
    assert f"+ ConfigMap {space}/by-pyinfra" in dry.out + dry.err
    done = own.lab.driver.pyinfra("-y", f"inventory/{own.name}.py", "deploys/resources.py")
    assert done.code == 0, done.err
    assert own.plan("--detailed-exitcode").code == 0
    assert own.session.get("v1", "ConfigMap", "by-pyinfra", space)["data"] == {"k": "v"}


def test_what_is_not_looked_at_is_told_with_the_nearest(own):
    ran = own.plan("--only", "VirtualService/bookinfo/review")
    assert ran.code == 65
    assert "the nearest is VirtualService/bookinfo/reviews" in one_sentence(ran)


def test_kinds_in_order_a_crd_and_its_object_and_a_rollout_in_one_apply(own, space):
    group = f"g{space.rpartition('-')[2]}.example.io"
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Widget", "plural": "widgets"}
    crd = {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"widgets.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }  # fmt: skip
    [image] = {
        container["image"]
        for pod in own.session.list("v1", "Pod", "bookinfo", labels="app=details")
        for container in pod["spec"]["containers"]
        if container["name"] == "details"
    }
    labels = {"app": "more"}
    deployment = {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "more", "namespace": space},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "more", "image": image}]}},
        },
    }  # fmt: skip
    widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w", "namespace": space}}
    own.write(*route("v3"), deployment, {**widget, "spec": {"size": 3}}, crd, config("c", space, k="v"))
    try:
        own.applied()
        live = own.session.get("apps/v1", "Deployment", "more", space)
        assert live["status"]["readyReplicas"] == 1
        assert own.session.get(f"{group}/v1", "Widget", "w", space)["spec"] == {"size": 3}
        own.write(*route("v3"))
        own.applied()
        assert own.session.get(f"{group}/v1", "Widget", "w", space) is None
        assert own.session.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"widgets.{group}") is not None
    finally:
        own.session.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"widgets.{group}")


def test_prune_is_shown_first_and_takes_only_its_own(own, space):
    own.session.create(config("bystander", space, k="v"))
    own.write(*route("v3"), config("a", space, k="v"), config("b", space, k="v"))
    own.applied()
    own.write(*route("v3"), config("a", space, k="v"))
    plan = own.plan()
    assert f"- ConfigMap {space}/b  (no longer in the values)" in lines(plan)
    assert lines(plan)[-1] == "Plan: 0 to add, 0 to change, 1 to destroy."
    assert own.session.get("v1", "ConfigMap", "b", space) is not None
    own.applied()
    assert own.session.get("v1", "ConfigMap", "b", space) is None
    assert own.session.get("v1", "ConfigMap", "bystander", space) is not None


def kubectl(own, *words, **environ):
    driver = own.lab.driver
    program = tools.path(own.lab.target, own.lab.env, "kubectl")
    file = cluster.kubeconfig_path(own.lab.target, own.lab.env)
    done = driver.run("env", *(f"{k}={v}" for k, v in environ.items()), program, "--kubeconfig", file, *words)
    assert done.code == 0, done.err
    return done


def test_what_was_changed_from_outside_is_shown_with_who(own, space):
    own.write(*route("v3"), config("a", space, k="v"), config("b", space, k="v"))
    own.applied()
    kubectl(own, "-n", space, "delete", "configmap", "b")
    kubectl(own, "-n", space, "label", "configmap", "a", "theirs=1")
    plan = own.plan()
    assert f"+ ConfigMap {space}/b" in lines(plan)
    note = f"note: ConfigMap {space}/a: metadata.labels.theirs is of kubectl-label since 20"
    assert any(line.startswith(note) for line in lines(plan))
    own.applied()
    assert own.session.get("v1", "ConfigMap", "a", space)["metadata"]["labels"]["theirs"] == "1"
    kubectl(own, "-n", space, "edit", "configmap", "a", KUBE_EDITOR="sed -i s/k:.v/k:\\ edited/")
    assert own.session.get("v1", "ConfigMap", "a", space)["data"] == {"k": "edited"}
    plan = own.plan()
    assert plan.code == 0
    assert f"~ ConfigMap {space}/a" in lines(plan)
    assert any(line.startswith("! data.k is of kubectl-edit since 20") for line in lines(plan))


def test_another_managers_field_is_a_conflict_that_names_it_and_changes_nothing(own, space):
    own.session.apply(config("theirs", space, k="theirs", same="v"), manager="somebody")
    before = own.session.get("v1", "ConfigMap", "theirs", space)
    own.write(*route("v3"), config("theirs", space, k="ours", same="v"), config("new", space, k="v"))
    ran = own.apply()
    assert ran.code == 3
    assert f"ConfigMap {space}/theirs: data.k is of somebody since 20" in one_sentence(ran)
    assert "data.same" not in ran.err
    own.write(*route("v3"))
    assert own.session.get("v1", "ConfigMap", "theirs", space) == before
    assert own.session.get("v1", "ConfigMap", "new", space) is None


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([config("big", "default", k="x" * 3 * 2**20)], "ConfigMap big has 3.0 MiB, the API server takes at most 1"),
        ([{**config("x", "default"), "kind": "ConfigMapp"}], "the cluster does not know ConfigMapp of v1"),
        ([{**config("x", "default"), "apiVersion": ISTIO, "kind": "VirtualServices"}], "does not know VirtualServices"),
        ([config("x", "nowhere")], "there is no namespace nowhere"),
        ([{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}], "x has no metadata.namespace"),
        ([config("x", "default"), config("x", "default")], "ConfigMap default/x is already defined at"),
    ],
)
def test_what_cannot_be_right_is_refused_with_its_place_and_changes_nothing(own, objects, words):
    own.write(*objects, file="wrong.yaml")
    try:
        for ran in (own.plan(), own.apply()):
            assert ran.code == 65
            assert words in one_sentence(ran)
            assert f"manifests/{own.name}/wrong.yaml:" in ran.err
    finally:
        (own.folder / "wrong.yaml").unlink()
    assert not {"x", "big"} & {obj["metadata"]["name"] for obj in own.session.list("v1", "ConfigMap", "default")}


def test_a_kustomize_folder_is_built_with_the_environments_kubectl(own, space):
    own.write(*route("v3"))
    folder = own.lab.driver.root / "manifests" / "built"
    folder.mkdir()
    (folder / "kustomization.yaml").write_text(
        f"namespace: {space}\nconfigMapGenerator:\n- name: made\n  literals: [k=v]\n"
    )
    done = own.lab.driver.meshwright("apply", own.name, "tools", "--yes")
    assert done.code == 0, done.err
    own.allow(manifests=[f"manifests/{own.name}", "manifests/built"])
    try:
        own.applied()
        [made] = own.members()
        assert re.fullmatch(r"made-\w+", made)
    finally:
        own.allow()
        own.applied()
    assert own.members() == []


def test_a_saved_plan_is_the_approval_of_a_protected_environment(guarded, space):
    guarded.write(config("saved", space, k="v"))
    assert guarded.apply().code == 64  # nobody is there to type its name
    file = guarded.saved()
    body = json.loads((guarded.lab.driver.root / file).read_text())
    assert body["cluster"] == guarded.session.identity().uid
    done = guarded.apply("--saved", file)
    assert done.code == 0, done.err
    assert guarded.session.get("v1", "ConfigMap", "saved", space)["data"] == {"k": "v"}
    assert guarded.plan("--detailed-exitcode").code == 0


def test_a_stale_plan_is_refused_and_changes_nothing(guarded, space):
    guarded.write(config("one", space, k="v"), config("two", space, k="v"))
    file = guarded.saved()
    # The files have changed since.
    guarded.write(config("one", space, k="v"), config("two", space, k="new"))
    ran = guarded.apply("--saved", file)
    assert ran.code == 3
    assert "is stale: what resources would do has changed" in one_sentence(ran)
    # Somebody else has done a part of it.
    guarded.write(config("one", space, k="v"), config("two", space, k="v"))
    guarded.session.apply(config("two", space, k="v"), manager="somebody")
    ran = guarded.apply("--saved", file)
    assert ran.code == 3
    assert "is stale: what resources would do has changed" in one_sentence(ran)
    assert guarded.session.get("v1", "ConfigMap", "one", space) is None
    # For another environment it is none.
    ran = guarded.lab.driver.meshwright("apply", "own", "resources", "--saved", file)
    assert ran.code == 3
    assert "this plan is for guarded resources, not for own resources" in one_sentence(ran)
    edited = guarded.lab.driver.root / file
    edited.write_text(edited.read_text().replace("ConfigMap", "Secret"))
    ran = guarded.apply("--saved", file)
    assert ran.code == 65
    assert "is not as it was saved" in one_sentence(ran)


def test_an_object_of_another_environment_is_not_taken_from_it(own, guarded, space):
    guarded.write(config("shared", space, k="v"))
    assert guarded.apply("--saved", guarded.saved()).code == 0
    own.write(*route("v3"), config("shared", space, k="v"))
    ran = own.apply()
    assert ran.code == 3
    assert f"ConfigMap {space}/shared: another ApplySet keeps it, meshwright/resources-guarded" in one_sentence(ran)


def test_killed_three_times_among_a_hundred_objects_the_next_run_finishes(own, space, record_property):
    own.write(*route("v3"), config("old", space, k="v"))
    own.applied()
    own.allow(pace=40)  # so that there is an instant between two writes
    many = [config(f"many-{number}", space, k="v") for number in range(MANY)]
    own.write(*route("v3"), *many)
    chance = random.Random(SEED)
    for first in (1, 34, 67):
        wanted = chance.randint(first, first + 30)
        process, journal = begin(own.lab.driver, own.name, "resources")
        reached(process, lambda wanted=wanted: len(own.members()) - 1 >= wanted)
        kill(process)
        there = len(own.members()) - 1
        record_property("killed after", there)
        print(f"killed: {steps(journal)[-1]}, with {there} of {MANY} objects made")
        assert wanted <= there < MANY
        assert own.session.get("v1", "ConfigMap", "old", space) is not None
        plan = own.plan()
        assert lines(plan)[-1] == f"Plan: {MANY - there} to add, 0 to change, 1 to destroy; to finish: resources."
    own.allow(pace=None)
    own.applied()
    assert own.members() == sorted(f"many-{number}" for number in range(MANY))
    # What killed runs have made is not forgotten either.
    own.write(*route("v3"))
    plan = own.plan()
    assert lines(plan)[-1] == f"Plan: 0 to add, 0 to change, {MANY} to destroy."
    own.applied()
    assert own.members() == []


def test_an_empty_set_is_refused_until_it_is_allowed(own):
    assert own.members("VirtualService", ISTIO) == ["reviews"]
    own.allow(manifests=[])
    for ran in (own.plan(), own.apply()):
        assert ran.code == 3
        assert "would delete all 2 objects of resources-own" in one_sentence(ran)
    assert own.members("VirtualService", ISTIO) == ["reviews"]
    own.allow(manifests=[], allow_empty=True)
    plan = own.plan()
    assert lines(plan)[1:] == [
        "- VirtualService bookinfo/reviews  (no longer in the values)",
        "- DestinationRule bookinfo/reviews  (no longer in the values)",
        "Plan: 0 to add, 0 to change, 2 to destroy.",
    ]
    own.applied()
    assert own.members("VirtualService", ISTIO) == []


def test_the_labs_own_plan_is_still_empty(lab):
    plan = lab.driver.meshwright("plan", "lab", "--detailed-exitcode")
    assert plan.code == 0, plan.out
