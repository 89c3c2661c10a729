"""Maintenance windows and scheduled jobs on a real cluster: refused, overridden, at the edge, led back (#7)."""

from __future__ import annotations

import datetime as dt
import json
import os

import pytest
import yaml
from owning import Owned, config

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EDGE = """\
import time

from meshwright import resources
from meshwright.deploy import run
from meshwright.plan import Action, Change, Plan
from meshwright.step import Step


def _plan(target, env):
    changes = () if target.read(str(target.project.root / "waited")) else (Change(Action.ADD, "File", "waited"),)
    return Plan("waiting", "waited", changes, checked=1)


def _apply(target, env, plan):
    while time.time() < {end} + 1:
        time.sleep(0.2)
    target.write(str(target.project.root / "waited"), b"yes")


steps = [Step("waiting", _plan, _apply, cluster=False), resources.apply_all]

run(steps)
"""


def now():
    return dt.datetime.now(dt.UTC)


def another_day():
    """A window three days from now."""
    return {"weekly": f"{DAYS[(now().weekday() + 3) % 7]} 01:00-02:00"}


@pytest.fixture(scope="module")
def own(lab):
    name = f"windows-{os.getpid()}"
    lab.session.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    made = Owned(lab, "hours")
    made.space = name
    yield made
    made.clean()
    lab.session.delete("v1", "Namespace", name)


def hours(own, **values):
    """Writes the values of the environment, with windows or a schedule."""
    resources = {"manifests": [f"manifests/{own.name}"]}
    own.values.write_text(own.base + yaml.safe_dump({"resources": resources, **values}))


def closed(own):
    hours(own, windows={"timezone": "UTC", "allow": {"far": another_day()}})


def text(own, name="a"):
    found = own.session.get("v1", "ConfigMap", name, own.space)
    return found and found["data"]["text"]


def record(own):
    """The newest record, as the cluster alone has it."""
    found = own.session.list("v1", "ConfigMap", "meshwright", labels=f"meshwright/record={own.name}")
    entries = [json.loads(each["data"]["record.json"]) for each in found]
    return max((each for each in entries if each["entry"] == "started"), key=lambda each: each["at"])


def test_outside_its_windows_nothing_is_changed_and_all_can_be_looked_at(own):
    own.write(config("a", own.space, text="one"))
    closed(own)
    refused = own.apply()
    assert refused.code == 3, refused.out + refused.err
    assert f"+ ConfigMap {own.space}/a" in refused.out
    assert "error: hours is closed for changes: no window is open" in refused.err
    assert text(own) is None
    by_pyinfra = own.lab.driver.pyinfra("-y", f"inventory/{own.name}.py", "deploys/resources.py")
    assert by_pyinfra.code == 1
    assert "closed for changes" in by_pyinfra.out + by_pyinfra.err
    assert text(own) is None
    assert own.plan("--detailed-exitcode").code == 2
    document = own.lab.driver.meshwright("windows", own.name, "--json").document
    assert (document["open"], document["openings"][0]["windows"]) == (False, ["far"])


def test_an_override_does_it_and_the_cluster_knows_why(own):
    closed(own)
    assert own.apply("--override").code == 64
    done = own.apply("--override", "--reason", "ticket 4711")
    assert (done.code, text(own)) == (0, "one"), done.err
    found = record(own)
    assert (found["override"], found["reason"]) == (True, "ticket 4711")
    assert found["window"] == "closed: no window is open; overridden"


def test_a_run_at_the_edge_stops_between_two_steps_and_is_gone_on_with(own):
    """The first step takes until after the end of the window."""
    own.write(config("a", own.space, text="two"))
    deploy = own.lab.driver.root / "deploys" / "edge.py"
    waited = own.lab.driver.root / "waited"
    waited.unlink(missing_ok=True)
    end = now().replace(second=0, microsecond=0) + dt.timedelta(minutes=1 if now().second < 30 else 2)
    deploy.write_text(EDGE.replace("{end}", str(end.timestamp())))
    begin = end - dt.timedelta(hours=3)
    weekly = {"weekly": f"mon-sun {begin:%H:%M}-{end:%H:%M}"}
    try:
        hours(own, windows={"timezone": "UTC", "allow": {"edge": weekly}})
        stopped = own.lab.driver.meshwright("apply", own.name, "edge", "--yes", "--json")
        assert stopped.code == 3, stopped.err
        error = stopped.document["error"]
        assert error["message"] == "the window edge is over: stopped before resources; left: resources"
        assert "Run the same again then" in error["hint"]
        assert (waited.exists(), text(own)) == (True, "one")
        ended = own.lab.driver.meshwright("history", own.name, "--json", "--limit", "1").document["records"][0]
        assert (ended["result"], ended["window"][:10]) == ("refused", "open until")

        hours(own, windows={"timezone": "UTC"})  # the next window
        again = own.lab.driver.meshwright("apply", own.name, "edge", "--yes", "--json")
        assert again.code == 0, again.err
        assert [(step["step"], step["state"]) for step in again.document["steps"]] == [
            ("waiting", "unchanged"),
            ("resources", "changed"),
        ]
        assert text(own) == "two"
    finally:
        deploy.unlink()
        waited.unlink(missing_ok=True)


def test_a_rollback_is_never_refused_and_recorded(own):
    closed(own)
    back = own.lab.driver.meshwright("rollback", own.name, "--yes", "--reason", "it broke")
    assert (back.code, text(own)) == (0, "one"), back.err
    assert record(own)["window"] == "closed: no window is open; rollback is never refused by a window"


def test_a_scheduled_job_finds_drift(own):
    hours(own, schedule={"jobs": {"certificates": None, "verification": None}, "textfile": "jobs.prom"})
    own.write(config("a", own.space, text="one"))
    own.applied()
    fine = own.lab.driver.meshwright("schedule", own.name, "--run", "drift")
    assert (fine.code, fine.out[:10]) == (0, "drift: ok "), fine.err
    own.session.apply(config("a", own.space, text="theirs"), manager="kubectl-edit", force=True)
    found = own.lab.driver.meshwright("schedule", own.name, "--run", "drift")
    assert found.code == 2
    job = own.lab.driver.meshwright("schedule", own.name, "--json").document["jobs"][0]
    assert (job["job"], job["last"]["exit"]) == ("drift", 2)
    metrics = (own.lab.driver.root / "jobs.prom").read_text()
    assert 'meshwright_job_exit_code{environment="hours",job="drift"} 2' in metrics
