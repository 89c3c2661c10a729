"""Objects that the real Ansible and the real Helm made beforehand are planned as what they are (#4). What kubectl made,
and taking over as such, is in test_adopt."""

from __future__ import annotations

import json
import os
import subprocess

import peers
import pytest
import yaml
from owning import ISTIO, Owned, config, entry, lines, one_sentence

from meshwright import cluster


def _needs(make):
    """What `make` gives. Where it cannot be had, the test is skipped; in CI it can."""
    try:
        return make()
    except (AssertionError, OSError, StopIteration, subprocess.SubprocessError) as error:
        if os.environ.get("CI"):
            raise
        return pytest.skip(f"it cannot be had here: {error}")


@pytest.fixture(scope="module")
def namespace(lab):
    name = f"beforehand-{os.getpid()}"
    lab.session.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    lab.session.delete("v1", "Namespace", name)


@pytest.fixture
def owned(lab):
    made = Owned(lab, "beforehand")
    yield made
    made.clean()


@pytest.fixture
def ansible(lab, tmp_path):
    """Runs a playbook that applies objects, or takes them away."""
    _needs(peers.ansible)
    kubeconfig = cluster.kubeconfig_path(lab.target, lab.env)

    def play(*objects, **words):
        (tmp_path / "all.yaml").write_text(yaml.safe_dump_all(objects))
        command = peers.playbook(tmp_path / "play.json", kubeconfig, str(tmp_path / "all.yaml"), **words)
        done = lab.driver.run(*command)
        assert done.code == 0, done.out + done.err

    return play


@pytest.fixture
def helm(lab, namespace, tmp_path):
    """Installs a release with these objects, or upgrades it to them."""
    program = str(_needs(peers.helm))
    chart = tmp_path / "chart"
    (chart / "templates").mkdir(parents=True)
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: shop\nversion: 0.1.0\n")
    where = ["--kubeconfig", cluster.kubeconfig_path(lab.target, lab.env), "--namespace", namespace]

    def install(*objects):
        (chart / "templates" / "all.yaml").write_text(yaml.safe_dump_all(objects))
        done = lab.driver.run(program, "upgrade", "--install", "shop", str(chart), *where)
        assert done.code == 0, done.out + done.err

    yield install
    lab.driver.run(program, "uninstall", "shop", *where)


def managers(obj):
    return {each["manager"] for each in obj["metadata"]["managedFields"] if "subresource" not in each}


@pytest.mark.parametrize("server_side", [False, True])
def test_what_ansible_made_is_taken_over_whole(owned, namespace, ansible, server_side):
    objects = [config("shared", namespace, k="v", more="m"), entry("shared", namespace)]
    ansible(*objects, server_side=server_side)
    before = [owned.session.get(obj["apiVersion"], obj["kind"], "shared", namespace) for obj in objects]
    owned.write(*objects)
    plan = owned.plan()
    assert lines(plan)[-1].startswith("Plan: 0 to add, 2 to change, 0 to destroy."), plan.out + plan.err
    assert "!" not in plan.out, "nothing stands in the way of it"
    owned.applied()
    for obj, was in zip(objects, before, strict=True):
        now = owned.session.get(obj["apiVersion"], obj["kind"], "shared", namespace)
        assert now["metadata"]["uid"] == was["metadata"]["uid"]
        content = "data" if obj["kind"] == "ConfigMap" else "spec"
        assert now[content] == obj[content]
        assert "meshwright" in managers(now)
    if not server_side:
        # Fields that are no longer wanted go: no claim of the other's keeps them.
        owned.write(config("shared", namespace, k="v"), objects[1])
        owned.applied()
        assert owned.session.get("v1", "ConfigMap", "shared", namespace)["data"] == {"k": "v"}


def test_another_value_of_ansibles_is_named_and_stays_until_it_is_adopted(owned, namespace, ansible):
    ansible(config("theirs", namespace, k="theirs", same="v"))
    owned.write(config("theirs", namespace, k="ours", same="v"))
    plan = owned.plan()
    assert any(line.startswith("!") and "data.k" in line for line in lines(plan)), plan.out + plan.err
    ran = owned.apply()
    assert ran.code == 3
    assert "data.k" in one_sentence(ran)
    assert f"--adopt ConfigMap/{namespace}/theirs" in ran.err
    assert owned.session.get("v1", "ConfigMap", "theirs", namespace)["data"]["k"] == "theirs"
    done = owned.apply("--adopt", f"ConfigMap/{namespace}/theirs")
    assert done.code == 0, done.err
    assert owned.session.get("v1", "ConfigMap", "theirs", namespace)["data"] == {"k": "ours", "same": "v"}
    assert owned.plan("--detailed-exitcode").code == 0


def test_what_ansible_adds_changes_and_deletes_is_shown_as_what_it_is(owned, namespace, ansible):
    objects = [entry(name, namespace) for name in ("added", "changed", "deleted")]
    owned.write(*objects)
    owned.applied()
    added = json.loads(json.dumps(objects[0]))
    added["metadata"]["labels"] = {"theirs": "1"}
    ansible(added, entry("changed", namespace, port=8443))
    owned.session.delete(ISTIO, "ServiceEntry", "deleted", namespace)
    plan = owned.plan()
    said = lines(plan)
    note = f"note: ServiceEntry {namespace}/added: metadata.labels.theirs is of "
    assert any(line.startswith(note) for line in said), plan.out + plan.err
    assert f"+ ServiceEntry {namespace}/deleted" in said
    changed = said.index(f"~ ServiceEntry {namespace}/changed")
    assert any(line.endswith("8443 -> 443") for line in said[changed:]), plan.out
    # It was Ansible's own way to leave a copy and a claim behind: these are taken over.
    assert f"~ ServiceEntry {namespace}/added  (taken over from OpenAPI-Generator)" in said
    assert said[-1].startswith("Plan: 1 to add, 2 to change, 0 to destroy"), plan.out
    owned.write(*objects[::2])
    owned.session.delete(ISTIO, "ServiceEntry", "changed", namespace)
    owned.applied()


def test_what_helm_made_is_helms(owned, namespace, helm):
    helm(config("release", namespace, k="v"), entry("release", namespace))
    # The same as what Helm has is no change.
    owned.write(config("release", namespace, k="new"), entry("release", namespace))
    plan = owned.plan()
    assert any(line.startswith("!") and "Helm" in line for line in lines(plan)), plan.out + plan.err
    ran = owned.apply()
    assert ran.code == 3
    assert "Helm" in one_sentence(ran)
    assert "k: new" in ran.err, "the patch for Helm's values is printed"
    assert owned.session.get("v1", "ConfigMap", "release", namespace)["data"] == {"k": "v"}
    # Helm goes on as before.
    helm(config("release", namespace, k="helms"), entry("release", namespace))
    assert owned.session.get("v1", "ConfigMap", "release", namespace)["data"] == {"k": "helms"}
    assert owned.members() == []
    owned.write()
