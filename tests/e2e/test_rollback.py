"""Going back to what was applied earlier, in a real cluster: by default, by record, after a prune or a kill (#4)."""

from __future__ import annotations

import base64
import gzip
import json

import pytest
from killing import kill
from owning import ISTIO, Owned, config, entry, lines, secret

WORD = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def own(lab, space):
    made = Owned(lab, "rolling")
    yield made
    made.clean()


def rollback(own, *words):
    return own.lab.driver.meshwright("rollback", own.name, *words)


def newest(own):
    """The id of the newest record."""
    return own.lab.driver.meshwright("history", own.name, "--json", "--limit", "1").document["records"][0]["id"]


def text_of(own, space, name):
    found = own.session.get("v1", "ConfigMap", name, space)
    return found and found["data"]["text"]


@pytest.fixture(scope="module")
def three(own, space):
    """Three states; gives their records. The second has other values, the third lacks two objects."""
    ids = []
    b, two, hidden = config("b", space, text="one"), config("a", space, text="two"), secret("s", space, "2")
    for objects in (
        [config("a", space, text="one"), b, entry("e", space), secret("s", space, WORD)],
        [two, b, entry("e", space, 8443), hidden],
        [two, hidden],
    ):
        own.write(*objects)
        own.applied()
        ids.append(newest(own))
    return ids


def test_nothing_to_go_back_to_is_said(lab):
    ran = rollback(Owned(lab, "never"), "--plan")
    assert ran.code == 1
    assert ran.err.startswith("error: there is nothing to go back to")


def test_what_was_pruned_comes_back_and_the_second_plan_is_empty(own, space, three):
    plan = rollback(own, "--plan")
    assert plan.code == 0, plan.err
    assert [line for line in lines(plan) if line.startswith(("+", "~", "-"))] == [
        f"+ ConfigMap {space}/b",
        f"+ ServiceEntry {space}/e",
    ]
    assert f"note: this goes back to what {three[1]} has applied" in plan.out
    assert f"note: no values of Secrets are kept, so these stay as they are: {space}/s" in plan.out
    done = rollback(own, "--yes", "--reason", "it broke")
    assert done.code == 0, done.err
    assert f"the next apply of the values would do this: - ServiceEntry {space}/e, - ConfigMap {space}/b" in done.err
    assert text_of(own, space, "b") == "one"
    again = rollback(own, "--to", three[1], "--plan", "--json").document
    assert again["summary"]["add"] + again["summary"]["change"] + again["summary"]["destroy"] == 0
    drift = own.lab.driver.meshwright("drift", own.name, "resources")
    assert drift.code == 0, drift.out
    assert "Of your own, 2 objects are changed and not applied" in drift.out
    shown = own.lab.driver.meshwright("history", own.name, newest(own)).out
    assert "rollback: changed" in shown
    assert "its objects are kept as sha256:" in shown
    assert "why      it broke" in shown


def test_a_named_record_by_pyinfra_alone(own, space, three):
    ran = own.lab.driver.pyinfra("-y", f"inventory/{own.name}.py", "deploys/rollback.py", "--data", f"to={three[0]}")
    assert ran.code == 0, ran.err + ran.out
    assert text_of(own, space, "a") == "one"
    found = own.session.get(ISTIO, "ServiceEntry", "e", space)
    assert found["spec"]["ports"][0]["number"] == 443
    # A Secret is left as it was.
    kept = own.session.get("v1", "Secret", "s", space)
    assert base64.b64decode(kept["data"]["password"]) == b"2"
    assert rollback(own, "--to", three[0]).out.splitlines()[-1] == "Plan: 0 to add, 0 to change, 0 to destroy."


@pytest.mark.parametrize(("to", "said"), [("nope", "no record begins with 'nope'"), ("2", "records begin with '2'")])
def test_what_cannot_be_meant(own, three, to, said):
    ran = rollback(own, "--to", to, "--plan")
    assert ran.code == 65
    assert said in ran.err
    assert three[-1] in ran.err


def test_a_rollback_that_was_killed_is_gone_on_with(own, space, three):
    many = [config(f"many-{number}", space, text="1") for number in range(40)]
    own.write(*many)
    own.applied()
    own.allow(pace=10)
    back = ("rollback", own.name, "--to", three[0], "--yes")
    process = own.begun(lambda: own.session.get("v1", "ConfigMap", "many-35", space) is None, *back)
    kill(process)
    drift = own.lab.driver.meshwright("drift", own.name, "resources")
    assert drift.code == 0, drift.out
    own.allow(pace=None)
    plan = rollback(own, "--plan")
    assert lines(plan)[-1].endswith("; to finish: resources.")
    assert "to add, 0 to change" in lines(plan)[-1]
    done = rollback(own, "--yes")
    assert done.code == 0, done.err
    assert own.members() == ["a", "b"]
    assert lines(rollback(own, "--to", three[0], "--plan"))[-1] == "Plan: 0 to add, 0 to change, 0 to destroy."


def test_an_apply_that_was_killed_is_undone(own, space, three):
    own.allow(pace=10)
    own.write(*(config(f"new-{number}", space, text="1") for number in range(40)))
    process = own.begun(lambda: own.session.get("v1", "ConfigMap", "new-5", space) is not None)
    kill(process)
    own.allow(pace=None)
    done = rollback(own, "--yes")
    assert done.code == 0, done.err
    assert own.members() == ["a", "b"]
    assert text_of(own, space, "a") == "one"


def test_no_value_of_a_secret_is_in_anything_that_is_kept(own, three):
    found = []
    for obj in own.session.list("v1", "ConfigMap"):
        parts = [json.dumps(obj).encode()]
        for value in (obj.get("binaryData") or {}).values():
            raw = base64.b64decode(value)
            parts.append(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
        text = b"".join(parts)
        if WORD.encode() in text or base64.b64encode(WORD.encode()) in text:
            found.append(obj["metadata"]["name"])
    assert found == []
    folder = own.lab.driver.root / ".meshwright" / own.name
    assert not [file for file in folder.rglob("*") if file.is_file() and WORD.encode() in file.read_bytes()]
