"""One run at a time, and a record of each, on a real API server (#4)."""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from dataclasses import replace

import pytest
import yaml
from killing import kill

from meshwright import cluster, kube, lease
from meshwright.errors import Refused
from meshwright.holder import Holder
from meshwright.kube import ApiError
from meshwright.records import configmaps
from meshwright.target import Local

# A step that makes ConfigMaps in a namespace, one a second; under pyinfra like any other.
DEPLOY = """
import time
from meshwright import cluster
from meshwright.deploy import run
from meshwright.plan import Action, Change, Plan, digest
from meshwright.step import Step

def objects():
    for number in range({count}):
        metadata = {{"name": f"{name}-{{number}}", "namespace": "{namespace}"}}
        yield {{"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}}

def plan(target, env):
    session = cluster.session(target, env)
    there = {{obj["metadata"]["name"] for obj in session.list("v1", "ConfigMap", "{namespace}")}}
    new = [obj for obj in objects() if obj["metadata"]["name"] not in there]
    changes = tuple(Change(Action.ADD, "ConfigMap", obj["metadata"]["name"], payload=obj) for obj in new)
    return Plan("{name}", digest(list(objects())), changes, checked={count})

def apply(target, env, plan):
    for change in plan.changes:
        cluster.session(target, env).apply(change.payload)
        target.run(["sleep", "{pause}"])

steps = [Step("{name}", plan, apply)]

run(steps)
"""
ELSEWHERE = Holder("elsewhere", "another-boot", "1", 4711, "99")


def deploy(lab, namespace, name, count=1, pause=0.0):
    """A deploy `name` that makes `count` ConfigMaps in `namespace`."""
    text = DEPLOY.format(name=name, namespace=namespace, count=count, pause=pause)
    (lab.driver.root / "deploys" / f"{name}.py").write_text(text)


def made(lab, namespace, name):
    found = lab.session.list("v1", "ConfigMap", namespace)
    return sum(obj["metadata"]["name"].startswith(f"{name}-") for obj in found)


def spec(lab):
    there = lease.current(lab.session)
    assert there is not None
    return there["spec"]


def newest(lab):
    document = lab.driver.meshwright("history", "lab", "--json").document
    assert document["cluster"]["asked"], document["cluster"]
    return document["records"][0]


def begin(lab, namespace, name):
    """Starts an apply of deploy `name`; gives its process once it writes to the cluster."""
    process = lab.driver.start(sys.executable, "-m", "meshwright", "apply", "lab", name, "--yes")
    deadline = time.monotonic() + 120
    while made(lab, namespace, name) < 2:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return process


def sessions(lab, count):
    """Sessions of their own, as other machines have them."""
    targets = [Local(lab.target.project) for _ in range(count)]
    where = (cluster.kubeconfig_path(lab.target, lab.env), cluster.context(lab.target, lab.env))
    return targets, [kube.open_session(target, *where) for target in targets]


def test_a_run_lets_go_of_the_lease_and_leaves_a_record(lab, scratch):
    deploy(lab, scratch, "once", count=3)
    ran = lab.driver.meshwright("apply", "lab", "once", "--yes", "--reason", "a test")
    assert ran.code == 0, ran.err
    assert spec(lab)["holderIdentity"] == ""
    assert spec(lab)["leaseDurationSeconds"] == 60
    record = newest(lab)
    assert (record["result"], record["reason"], record["deploy"], record["program"]) == (
        "ok",
        "a test",
        "once",
        "meshwright",
    )
    assert record["summary"] == {"add": 3, "change": 0, "destroy": 0}
    assert record["cluster"] == lab.session.identity().uid
    assert record["who"]["kubernetes"]
    before = lease.current(lab.session)
    again = lab.driver.meshwright("apply", "lab", "once", "--yes")
    assert again.code == 0
    assert newest(lab)["id"] == record["id"], "a run that changes nothing leaves no record"
    assert lease.current(lab.session) == before, "nor does it touch the Lease"


def test_nobody_can_edit_a_record(lab, scratch):
    deploy(lab, scratch, "kept")
    assert lab.driver.meshwright("apply", "lab", "kept", "--yes").code == 0
    name = f"record-lab-{newest(lab)['id']}-ended"
    with pytest.raises(ApiError, match="immutable"):
        lab.session.patch("v1", "ConfigMap", name, "meshwright", body={"data": {"record.json": "{}"}})
    assert newest(lab)["result"] == "ok"


def test_a_lease_is_renewed_and_that_of_a_killed_run_is_taken_over_at_once(lab, scratch):
    deploy(lab, scratch, "long", count=60, pause=1)
    deploy(lab, scratch, "short")
    process = begin(lab, scratch, "long")
    taken = spec(lab)
    assert newest(lab)["result"] == "running"
    deadline = time.monotonic() + 90
    while spec(lab)["renewTime"] == taken["renewTime"] and time.monotonic() < deadline:
        time.sleep(0.5)
    assert spec(lab)["renewTime"] > taken["renewTime"], "not renewed under pyinfra"

    kill(process)
    assert spec(lab)["holderIdentity"] == taken["holderIdentity"]
    record = newest(lab)
    assert record["result"] == "interrupted"
    assert record["message"] == "it has no end; the last step that it began was long"

    ran = lab.driver.meshwright("apply", "lab", "short", "--yes")
    assert ran.code == 0, ran.err
    assert "waiting" not in ran.err
    assert spec(lab)["leaseTransitions"] == taken["leaseTransitions"] + 1
    assert [record["result"] for record in history(lab)[:2]] == ["ok", "interrupted"]


def history(lab):
    return lab.driver.meshwright("history", "lab", "--json").document["records"]


def test_a_run_of_another_machine_keeps_this_one_away_until_it_dies(lab, scratch):
    deploy(lab, scratch, "keptaway")
    targets, [theirs] = sessions(lab, 1)
    held = lease.take(theirs, "lab: site, by ann", holder=ELSEWHERE, duration=8)
    try:
        ran = lab.driver.meshwright("apply", "lab", "keptaway", "--yes")
        assert ran.code == 3
        assert "another run is changing this cluster: lab: site, by ann, process 4711 on elsewhere, since" in ran.err
        assert made(lab, scratch, "keptaway") == 0
        held.held()

        held.abandon()  # killed: nobody renews it, and nobody lets it go
        last = spec(lab)["renewTime"]
        started = time.monotonic()
        ran = lab.driver.meshwright("apply", "lab", "keptaway", "--yes")
        assert ran.code == 0, ran.err
        assert time.monotonic() - started > 7.5
        assert "waiting to see whether another run still lives: lab: site, by ann, process 4711 on elsewhere" in ran.err
        assert made(lab, scratch, "keptaway") == 1
        assert spec(lab)["renewTime"] > last
        with pytest.raises(Refused):
            held.held()
        theirs.guard = held.guard
        with pytest.raises(Refused):
            theirs.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "late", "namespace": scratch}})
    finally:
        held.abandon()
        for target in targets:
            target.close()


def test_a_run_that_loses_its_lease_stops_before_its_next_write(lab, scratch):
    deploy(lab, scratch, "loser", count=60, pause=1)
    process = begin(lab, scratch, "loser")
    lab.session.patch(
        "coordination.k8s.io/v1",
        "Lease",
        "meshwright",
        "meshwright",
        body={"spec": {"holderIdentity": str(ELSEWHERE)}},
    )
    try:
        out, _ = process.communicate(timeout=60)
        assert process.returncode == 3, out
        assert "this run has lost the Lease of its cluster" in out
        assert "process 4711 on elsewhere" in out
        written = made(lab, scratch, "loser")
        assert 2 <= written < 60
        assert spec(lab)["holderIdentity"] == str(ELSEWHERE), "what is not ours is not let go"
        record = newest(lab)
        assert record["result"] == "refused"
        time.sleep(2)
        assert made(lab, scratch, "loser") == written
    finally:
        lab.session.delete("coordination.k8s.io/v1", "Lease", "meshwright", "meshwright")


def test_of_eight_who_take_it_at_once_one_has_it(lab):
    targets, theirs = sessions(lab, 8)
    ready = threading.Barrier(8)
    got, refused = [], []

    def take(number):
        ready.wait()
        try:
            holder = replace(ELSEWHERE, pid=number + 1)
            got.append(lease.take(theirs[number], f"run {number}", holder=holder, duration=4))
        except Refused as error:
            refused.append(error)

    threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert (len(got), len(refused)) == (1, 7)
        got[0].held()
    finally:
        for each in got:
            each.release()
        for target in targets:
            target.close()


def test_without_the_right_to_leases_nothing_is_changed(lab, scratch):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "limited", "namespace": scratch}}
    lab.session.create(account)
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": scratch},
        "rules": [{"apiGroups": [""], "resources": ["namespaces", "configmaps"], "verbs": ["*"]}],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": scratch},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": scratch},
        "subjects": [{"kind": "ServiceAccount", "name": "limited", "namespace": scratch}],
    }
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{scratch}/serviceaccounts/limited/token"
    try:
        for obj in (role, binding):
            lab.session.create(obj)
        answer = lab.session.transport.call("POST", path, body=json.dumps(request).encode())
        existing(lab, "limited", user={"token": json.loads(answer.body)["status"]["token"]})
        deploy(lab, scratch, "limited")
        ran = lab.driver.meshwright("apply", "limited", "limited", "--yes")
    finally:
        for obj in (binding, role):
            lab.session.delete(obj["apiVersion"], obj["kind"], scratch)
    assert ran.code == 1
    assert "Traceback" not in ran.err
    [said] = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert said.startswith("error: 2 rights are missing to context ")
    assert "and nothing was changed: create leases.coordination.k8s.io in namespace meshwright" in said
    assert made(lab, scratch, "limited") == 0


def existing(lab, name, user=None, server=None):
    """An environment `name` on the lab's cluster, reached in another way."""
    document = yaml.safe_load((lab.driver.root / ".meshwright" / "lab" / "kubeconfig").read_text())
    document["users"][0]["user"] = user or document["users"][0]["user"]
    document["clusters"][0]["cluster"]["server"] = server or document["clusters"][0]["cluster"]["server"]
    file = lab.driver.home / f"{name}.kubeconfig"
    file.write_text(yaml.safe_dump(document))
    context = document["contexts"][0]["name"]
    values = {
        "cluster": {"kind": "existing", "kubeconfig": str(file), "context": context},
        "istio": {"version": "1.31-alpha.eed52ebb66ad", "hub": "meshwright.lab/istio"},
    }
    lab.driver.add_environment(name, yaml.safe_dump(values))


def test_a_history_without_its_cluster_is_that_of_the_file(lab, scratch):
    existing(lab, "away")
    deploy(lab, scratch, "seen")
    assert lab.driver.meshwright("apply", "away", "seen", "--yes").code == 0
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        existing(lab, "away", server=f"https://127.0.0.1:{closed.getsockname()[1]}")
        ran = lab.driver.meshwright("history", "away")
    assert ran.code == 0
    assert len(ran.out.splitlines()) == 2
    assert "  seen  " in ran.out
    assert "the cluster was not asked: " in ran.err
    assert "127.0.0.1" in ran.err


def test_the_cluster_keeps_the_last_fifty(lab):
    name = "fifty"
    for number in range(52):
        entry = {"id": f"20260101-0000{number:02}-abcdef", "at": "2026-01-01T00:00:00.000Z"}
        configmaps.write(lab.session, name, {**entry, "entry": "started"})
        configmaps.write(lab.session, name, {**entry, "entry": "ended", "result": "ok"})
    configmaps.prune(lab.session, name)
    entries, spoilt = configmaps.read(lab.session, name)
    for left in lab.session.list("v1", "ConfigMap", "meshwright", labels=f"meshwright/record={name}"):
        lab.session.delete("v1", "ConfigMap", left["metadata"]["name"], "meshwright")
    assert spoilt == []
    assert {entry["id"] for entry in entries} == {f"20260101-0000{number:02}-abcdef" for number in range(2, 52)}
