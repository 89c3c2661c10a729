"""Changed from outside in a real cluster with the real kubectl: shown as what it is, with who and when (#4)."""

from __future__ import annotations

import re
import time

import killing
import pytest
from owning import ISTIO, Owned, config, entry, lines, reached, secret

from meshwright import cluster, tools
from meshwright.kube import rollout

IMAGE = "meshwright.lab/stand-in/examples-bookinfo-details-v1:1.20.3"
WHEN = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


def sleeper(name, namespace, image=IMAGE):
    """A Deployment whose pod does little."""
    labels = {"app": name}
    pod = {"containers": [{"name": "sleeper", "image": image}], "terminationGracePeriodSeconds": 0}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


@pytest.fixture(scope="module")
def own(lab, space):
    made = Owned(lab, "drifting")
    yield made
    made.clean()


@pytest.fixture
def kubectl(lab):
    """Somebody else at work with kubectl."""
    program = tools.path(lab.target, lab.env, "kubectl")
    config_ = cluster.kubeconfig_path(lab.target, lab.env)

    def run(*words):
        done = lab.driver.run(program, "--kubeconfig", config_, *words)
        assert done.code == 0, done.err
        return done.out

    return run


def drift(own, *words, of=None):
    return own.lab.driver.meshwright("drift", of or own.name, *words)


def test_where_nothing_was_ever_applied_nothing_is_checked(lab):
    ran = drift(Owned(lab, "never"), "resources")
    assert (ran.code, ran.out) == (1, "0 checked: nothing was applied here yet, as far as is known.\n")
    assert "hint: `meshwright apply never resources`" in ran.err


def test_each_change_is_shown_as_what_it_is(own, space, kubectl):
    own.write(
        config("edited", space, text="one", gone="1"),
        config("deleted", space, text="two"),
        entry("labelled", space),
        sleeper("scaled", space),
        secret("secret", space, "first"),
    )
    own.applied()
    clean = drift(own, "resources")
    assert (clean.code, clean.out) == (0, "Drift: 0 deleted, 0 changed; 5 objects checked.\n")
    # An editor for `kubectl edit` that does what a person would.
    script = own.lab.driver.home / "editor"
    script.write_text('#!/bin/sh\nsed -i -e "s/text: one/text: theirs/" -e "/gone:/d" "$1"\n')
    script.chmod(0o755)
    kubectl("-n", space, "label", "serviceentry", "labelled", "team=a")
    kubectl("-n", space, "scale", "deployment", "scaled", "--replicas=2")
    kubectl("-n", space, "patch", "secret", "secret", "--type=merge", "-p", '{"stringData":{"password":"other"}}')
    kubectl("-n", space, "delete", "configmap", "deleted")
    edit = own.lab.driver.run(
        "env", f"KUBE_EDITOR={str(script).replace(' ', chr(92) + ' ')}",
        tools.path(own.lab.target, own.lab.env, "kubectl"),
        "--kubeconfig", cluster.kubeconfig_path(own.lab.target, own.lab.env),
        "-n", space, "edit", "configmap", "edited",
    )  # fmt: skip
    assert edit.code == 0, edit.err
    ran = drift(own, "resources")
    assert ran.code == 2
    expected = [
        "resources:",
        f"~ ConfigMap {space}/edited",
        '- data.gone: "1" -> (removed)  (nobody records by whom)',
        rf'~ data.text: "one" -> "theirs"  (kubectl-edit, {WHEN})',
        f"- ConfigMap {space}/deleted: deleted; nobody records by whom",
        f"~ Deployment {space}/scaled",
        r"~ spec.replicas: 1 -> 2  \(kubectl.*\)",
        f"~ Secret {space}/secret",
        rf'~ data.password: "(sha256 ........)" -> "(sha256 ........)"  (kubectl-patch, {WHEN})',
        f"~ ServiceEntry {space}/labelled",
        rf'+ metadata.labels.team: "a"  (kubectl-label, {WHEN})',
        "Drift: 1 deleted, 4 changed; 5 objects checked.",
    ]
    found = lines(ran)
    # Sorted by kind and name: `deleted` before `edited`.
    expected[1:5] = [expected[4], *expected[1:4]]
    assert len(found) == len(expected), ran.out
    for line, pattern in zip(found, expected, strict=True):
        literal = pattern if "\\(" in pattern else re.sub(r"([()+?\[])", r"\\\1", pattern)
        assert re.fullmatch(literal, line), (line, pattern)
    document = drift(own, "resources", "--json").document
    assert document["ok"] is False
    assert document["summary"] == {
        "checked": 5, "deleted": 1, "changed": 4, "fields": 5, "pending": 0, "not_verified": 0,
    }  # fmt: skip
    # Nothing that a person wrote into the Secret is in anything that is kept or shown.
    assert "other" not in ran.out + str(document)


def test_ones_own_changes_are_counted_apart(own, space):
    own.write(config("edited", space, text="mine"), entry("labelled", space, 8443), sleeper("scaled", space))
    ran = drift(own, "resources")
    assert ran.code == 2
    assert "Of your own, 4 objects are changed and not applied" in ran.out
    assert "8443" not in ran.out
    # What was deleted is not wanted any more either.
    assert lines(ran)[-1] == "Drift: 0 deleted, 4 changed; 5 objects checked."
    done = own.apply("--adopt", f"ConfigMap/{space}/edited", "--adopt", f"Deployment/{space}/scaled")
    assert done.code == 0, done.err
    ran = drift(own, "resources")
    assert lines(ran)[1:-1] == [f"~ ServiceEntry {space}/labelled", lines(ran)[2]]
    own.session.patch(
        ISTIO, "ServiceEntry", "labelled", space, body={"metadata": {"labels": {"team": None}}}, manager="kubectl"
    )
    assert drift(own, "resources").code == 0


def test_an_istiod_and_a_namespace_that_were_changed(lab, own, kubectl):
    kubectl("-n", "istio-system", "set", "env", "deployment/istiod", "ISTIO_MULTIROOT_MESH=false", "FOO=bar")
    kubectl("label", "namespace", "bookinfo", "istio-injection-")
    try:
        ran = drift(own, "istio", of="lab")
        assert ran.code == 2
        at = lines(ran).index("~ Deployment istio-system/istiod")
        variable = "spec.template.spec.containers[discovery].env"
        assert lines(ran)[at + 1].startswith(
            f'~ {variable}[ISTIO_MULTIROOT_MESH].value: "true" -> "false"  (kubectl-set,'
        )
        assert lines(ran)[at + 2].startswith(f"+ {variable}[FOO]: ")
        assert '- metadata.labels.istio-injection: "enabled" -> (removed)  (nobody records by whom)' in lines(ran)
    finally:
        kubectl("-n", "istio-system", "set", "env", "deployment/istiod", "FOO-")
        done = lab.driver.meshwright("apply", "lab", "--yes")
    assert done.code == 0, done.err
    assert drift(own, "istio", of="lab").code == 0


def test_a_run_that_was_killed_is_told_from_drift_and_finished(own, space):
    before = [config(f"c{number}", space, k="1") for number in range(40)]
    own.write(*before)
    own.applied()
    own.allow(pace=10)
    own.write(*(config(f"c{number}", space, k="2") for number in range(40)), config("new", space))
    process = own.begun(lambda: own.session.get("v1", "ConfigMap", "c5", space)["data"]["k"] == "2")
    killing.kill(process)
    ran = drift(own, "resources")
    assert (ran.code, lines(ran)[-1]) == (0, "Drift: 0 deleted, 0 changed; 41 objects checked.")
    assert "was interrupted" in ran.out
    own.session.patch("v1", "ConfigMap", "c1", space, body={"data": {"k": "3"}}, manager="somebody")
    own.session.delete("v1", "ConfigMap", "c39", space)
    ran = drift(own, "resources")
    assert ran.code == 2
    assert lines(ran)[1:4] == [
        f"~ ConfigMap {space}/c1",
        lines(ran)[2],
        f"- ConfigMap {space}/c39: deleted; nobody records by whom",
    ]
    assert lines(ran)[2].startswith('~ data.k: "2" -> "3"  (somebody, ')
    assert lines(own.plan())[-1].endswith("; to finish: resources.")
    own.allow(pace=None)
    done = own.apply("--adopt", f"ConfigMap/{space}/c1")
    assert done.code == 0, done.err
    assert own.plan("--detailed-exitcode").code == 0
    assert drift(own, "resources").code == 0


def test_a_run_that_was_killed_while_it_waited_is_waited_for_again(own, space):
    own.write(sleeper("slow", space, "meshwright.lab/stand-in/nowhere:1"))
    process = own.begun(lambda: own.session.get("apps/v1", "Deployment", "slow", space) is not None)
    time.sleep(1)
    killing.kill(process)
    plan = own.plan("--detailed-exitcode")
    assert plan.code == 2
    assert lines(plan)[-1] == "Plan: 0 to add, 0 to change, 0 to destroy; to finish: resources."
    # Somebody mends it from outside as the next run waits: this one is not done before it is ready.
    process, journal = killing.begin(own.lab.driver, own.name, "resources")
    reached(process, lambda: "resources started" in killing.steps(journal))
    time.sleep(2)
    assert process.poll() is None, process.communicate()[0]
    body = {"spec": {"template": {"spec": {"containers": [{"name": "sleeper", "image": IMAGE}]}}}}
    own.session.patch(
        "apps/v1", "Deployment", "slow", space, body=body, manager="meshwright-test",
        content_type="application/strategic-merge-patch+json",
    )  # fmt: skip
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 0, out
    assert rollout.progress(own.session.get("apps/v1", "Deployment", "slow", space)).done
    assert "to finish" not in own.plan().out


def test_a_converged_run_writes_nothing(own, space):
    own.write(config("still", space, k="1"))
    own.applied()

    def versions():
        found = own.session.list("v1", "ConfigMap", "meshwright", metadata_only=True)
        return {obj["metadata"]["name"]: obj["metadata"]["resourceVersion"] for obj in found}

    before = versions()
    ran = own.lab.driver.pyinfra("-y", f"inventory/{own.name}.py", "deploys/resources.py")
    assert ran.code == 0, ran.err
    assert versions() == before
