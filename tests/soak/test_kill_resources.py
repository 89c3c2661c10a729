"""An apply that adds, changes and deletes objects, killed at fifty seeded instants between its first and last write:
the plan that follows knows what is left, and the next run ends it."""

from __future__ import annotations

import random

import pytest
from killing import kill_after
from owning import ISTIO, Owned, config, entry, lines

INSTANTS = 50
SEED = 50
PACE = 20
EACH = 12


@pytest.fixture(scope="module")
def namespace(lab):
    name = "killed-resources"
    lab.session.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    lab.session.delete("v1", "Namespace", name)


@pytest.fixture(scope="module")
def owned(lab):
    made = Owned(lab, "soaked")
    yield made
    made.clean()


def turn(namespace, number):
    """What is wanted in turn `number`: EACH objects stay and change, EACH are new, and those of the turn before go."""
    half = EACH // 2
    stay = [config(f"stay-{n}", namespace, k=str(number)) for n in range(half)]
    stay += [entry(f"stay-{n}", namespace, port=1000 + number) for n in range(half)]
    own = [config(f"of-{number}-{n}", namespace, k="v") for n in range(half)]
    return [*stay, *own, *(entry(f"of-{number}-{n}", namespace) for n in range(half))]


def there(session, namespace):
    """What is there now: the content of each object by kind and name, without what Kubernetes and Istio put there."""
    found = [*session.list("v1", "ConfigMap", namespace), *session.list(ISTIO, "ServiceEntry", namespace)]
    return {
        (obj["kind"], obj["metadata"]["name"]): obj["data"] if obj["kind"] == "ConfigMap" else obj["spec"]
        for obj in found
        if obj["metadata"]["name"].startswith(("stay-", "of-", "bystander"))
    }


@pytest.mark.parametrize(
    ("number", "share"), [(n, random.Random(SEED + n).random()) for n in range(1, INSTANTS + 1)]
)  # fmt: skip
def test_an_apply_killed_anywhere_is_finished_by_the_next(owned, namespace, number, share, capsys):
    bystander = config("bystander", namespace, k="v")
    owned.session.apply(bystander, manager="somebody")
    owned.allow()
    owned.write(*turn(namespace, number - 1))
    owned.applied()
    owned.allow(pace=PACE)
    objects = turn(namespace, number)
    owned.write(*objects)
    writes = 3 * EACH  # so many are changed, added and deleted
    hit = kill_after(owned.lab.driver, owned.name, share * writes / PACE, "resources")
    wanted = {(obj["kind"], obj["metadata"]["name"]): obj.get("data") or obj["spec"] for obj in [*objects, bystander]}
    now = there(owned.session, namespace)
    left = sum(now.get(key) != content for key, content in wanted.items()) + len(now.keys() - wanted.keys())
    with capsys.disabled():
        print(f"\nkilled at {share:.0%}: {hit}, {writes - left} of {writes} writes done")
    plan = owned.plan("--json").document
    assert sum(plan["summary"][each] for each in ("add", "change", "destroy")) >= left, plan["summary"]
    owned.allow()
    owned.applied()
    assert there(owned.session, namespace) == wanted
    assert lines(owned.plan())[-1].startswith("Plan: 0 to add, 0 to change, 0 to destroy.")
