"""Faults in the middle of changes of the root of a real mesh: runs killed in every phase, a second run, a kubelet that
stands still, an API server that goes away, istiod in a crash loop, a CA that somebody deleted; and the search for keys
everywhere while that happens. What comes into being meanwhile follows too."""

from __future__ import annotations

import base64
import json
import random
import sys
import time
from types import SimpleNamespace

import pki
import pyrage
import pytest
from killing import begin_command, kill_after_words, said, stop
from leaks import Needles, Watch
from load import fresh_handshakes, running
from rooted import (
    NAMESPACE,
    Lines,
    bookinfo_hosts,
    born_in_the_middle,
    certs,
    existing,
    folder_of,
    in_order,
    kubelet_standing_still,
    page_load,
    relayed,
    restart_istiod,
    until,
)

from meshwright.certs.phase import STANDBY


@pytest.fixture(scope="module")
def plugged(lab):
    """A plugged-in CA with an intermediate; the mesh is back on its own CA afterwards."""
    root = pki.make("Plugged Root")
    middle = pki.make("Plugged Int", root, days=(-1, 400))
    lab.session.create(pki.plugged(middle, root))
    try:
        restart_istiod(lab)
        in_order(lab)
        yield root, middle
    finally:
        for name in ("cacerts", STANDBY):
            lab.session.delete("v1", "Secret", name, NAMESPACE)
        restart_istiod(lab)
        in_order(lab)


@pytest.fixture(scope="module")
def load(lab, plugged):
    """Requests through the gateway, a new mTLS connection for each hop of each, for as long as the tests below run."""
    with fresh_handshakes(lab.session, NAMESPACE, bookinfo_hosts(lab)), running(page_load(lab)) as load:
        in_order(lab)
        yield load


@pytest.fixture(scope="module")
def other(lab):
    """Another CA with an intermediate, and `--to` for it."""
    root = pki.make("Other Root")
    below = pki.make("Other Int", root, days=(-1, 400))
    return root, below, folder_of(lab, below, root, "other ca")


@pytest.fixture(scope="module")
def keys(lab, plugged, other):
    """What must not be found anywhere: the keys of both CAs, those of their roots, and that of istiod's own."""
    own = lab.session.get("v1", "Secret", "istio-ca-secret", NAMESPACE)["data"]["ca-key.pem"]
    named = {"old_root": plugged[0], "old": plugged[1], "new_root": other[0], "new": other[1]}
    return Needles(istiods_own=base64.b64decode(own).decode(), **{name: each.key_pem for name, each in named.items()})


@pytest.fixture(scope="module")
def moved(lab, plugged, other, load, keys, tmp_path_factory):
    """A change of the root that is killed in each of its phases and gone on with each time, under load. A namespace and
    a pod comes into being in the middle of each of the first two; in the third a kubelet stands still, and somebody
    begins a second run. Gives what was seen."""
    scratch = tmp_path_factory.mktemp("temporary")
    saw = SimpleNamespace(hit=[], stood=[], leaks=set(), watched=0, journals=[], spaces=[])
    chance = random.Random(SEED)
    begin, on = ["certs", "transition", "lab", "--to", other[2], "--yes"], ["certs", "transition", "lab", "--yes"]
    lab.driver.environ["TMPDIR"] = str(scratch)
    try:
        for number, phase in enumerate(("P1", "P2", "P3")):
            process, path = begin_command(lab.driver, "lab", *(on if number else begin))
            with Watch(keys, process.pid, [scratch]) as watch:
                until(lambda path=path, phase=phase: any(f"for {phase}" in text for _, text in said(path)), 300)
                if phase == "P3":
                    with kubelet_standing_still(lab):
                        time.sleep(STANDING)
                        stop(process)
                    saw.second = lab.driver.meshwright(*on)
                saw.hit.append(kill_after_words(process, path, f"for {phase}", chance.uniform(0, 2)))
            saw.leaks |= watch.found
            saw.watched += len(watch.processes)
            saw.journals.append(path)
            saw.stood.append(certs(lab, "status"))
            if phase != "P3":
                saw.spaces.append(born_in_the_middle(lab, phase.lower()))
        saw.saved = lab.driver.meshwright("plan", "lab", "certs_transition", "--out", "midway.plan", "--json")
        saw.last = lab.driver.meshwright(*on)
        saw.final = certs(lab, "verify"), certs(lab, "status")
        saw.ended = time.time()
        yield saw
    finally:
        del lab.driver.environ["TMPDIR"]
        for name in saw.spaces:
            lab.session.delete("v1", "Namespace", name)


SEED, STANDING = 6, 8


def test_a_change_killed_in_every_phase_ends_and_loses_no_request(lab, other, load, moved, capsys):
    with capsys.disabled():
        print("".join(f"\nkilled at: {hit}" for hit in moved.hit))
    for hit, phase, (_, document) in zip(moved.hit, ("P1", "P2", "P3"), moved.stood, strict=True):
        assert hit, f"it had ended before {phase}"
        assert document["phase"] in (PHASES[phase], BEFORE[phase])
        assert document["sure"]
    assert moved.last.code == 0, moved.last.err
    (verified, _), (code, document) = moved.final
    assert (verified, code, document["phase"], document["sure"]) == (0, 0, "new_alone", True)
    assert document["new_root"] == other[0].certificate.sha256
    assert load.lost() == []
    first = min(at for path in moved.journals for at, text in said(path) if text.startswith("writing Secret"))
    with capsys.disabled():
        print(f"\n{load.between(first, moved.ended)['']} requests since the first write")
    assert load.between(first, moved.ended)[""] > 200


PHASES = {"P1": "both_sign_old", "P2": "both_sign_new", "P3": "new_alone"}
BEFORE = {"P1": "rest", "P2": "both_sign_old", "P3": "both_sign_new"}


def test_what_comes_into_being_in_the_middle_follows_too(moved):
    document = moved.final[0][1]
    for space in moved.spaces:
        kinds = {each["kind"] for each in document["places"] if each["name"].startswith(f"{space}/")}
        assert kinds == {"ConfigMap", "proxy", "file"}, space


def test_a_second_run_meanwhile_is_refused(moved):
    assert (moved.second.code, "another run is changing" in moved.second.err) == (3, True), moved.second


def test_a_gate_waits_for_a_kubelet_that_stands_still(moved):
    """A gate takes four seconds else."""
    assert not any("P3" in text and "seen twice" in text for _, text in said(moved.journals[2]))


def test_no_key_is_anywhere(lab, moved, keys):
    """Not in what runs print, write down, or hand to the processes that they start; nor in the cluster outside of the
    Secrets that have it."""
    assert moved.leaks == set()
    assert moved.watched >= 6
    whole = [text for ran in (moved.second, moved.saved, moved.last) for text in (ran.out, ran.err)]
    whole += [str(document) for _, document in (*moved.stood, *moved.final)]
    assert not [found for text in whole for found in keys.within(text.encode())]
    assert keys.below(lab.driver.root / ".meshwright" / "lab") == []
    assert keys.within((lab.driver.root / "midway.plan").read_bytes()) == []
    having = {"cacerts", "istio-ca-secret", STANDBY}
    looked_at = 0
    for api, kind in (("v1", "Secret"), ("v1", "ConfigMap"), ("v1", "Event"), ("v1", "Pod"), (LEASES, "Lease")):
        for obj in lab.session.list(api, kind):
            if kind == "Secret" and obj["metadata"]["name"] in having:
                continue
            looked_at += 1
            assert keys.within(json.dumps(obj).encode()) == [], f"{kind} {obj['metadata']['name']}"
    assert looked_at > 50
    # The search itself works: it finds them where they must be.
    assert keys.within(json.dumps(lab.session.get("v1", "Secret", STANDBY, NAMESPACE)).encode()) == ["new", "old"]


LEASES = "coordination.k8s.io/v1"


def test_it_is_not_begun_again_and_no_other_beside_it(lab, moved, other):
    assert lab.driver.meshwright("certs", "transition", "lab", "--to", other[2], "--yes").code == 0
    assert lab.driver.meshwright("certs", "transition", "lab", "--to", "extend", "--yes").code == 3


def test_the_way_back_with_the_api_server_away(lab, moved, load, keys):
    """All phases backwards, at the highest verbosity; while the second gate is waited for, nothing answers."""
    with relayed(lab, "away") as relay:
        command = ["-m", "pyinfra", "-y", "-vvv", "--debug", "inventory/away.py", "deploys/certs_rollback.py"]
        process = lab.driver.start(sys.executable, *command)
        printed = Lines(process.stdout)
        try:
            with Watch(keys, process.pid) as watch:
                until(lambda: "for P1" in printed.text or process.poll() is not None, 600)
                relay.cut()
                time.sleep(AWAY)
                assert process.poll() is None, printed.text
                relay.restore()
                code = process.wait(600)
                printed.join()
        finally:
            process.kill()
    assert code == 0, printed.text
    phases = [line.partition("seen twice")[0].split()[-1] for line in printed.text.splitlines() if "seen twice" in line]
    assert len(phases) == 4, printed.text
    assert "no answer: " in printed.text
    assert watch.found == set()
    assert keys.within(printed.text.encode()) == []
    code, document = certs(lab, "status")
    assert (code, document["phase"]) == (0, "rest")
    assert lab.session.get("v1", "Secret", STANDBY, NAMESPACE) is None
    assert load.lost() == []


AWAY = 30


def test_another_cluster_behind_the_context(lab, plugged, other):
    before = lab.session.get("v1", "Secret", "cacerts", NAMESPACE)["metadata"]["resourceVersion"]
    existing(lab, "stranger", uid="00000000-0000-0000-0000-000000000000")
    ran = lab.driver.meshwright("certs", "transition", "stranger", "--to", other[2], "--yes")
    assert ran.code == 3, ran.err
    assert "00000000-0000-0000-0000-000000000000" in ran.err
    assert lab.session.get("v1", "Secret", "cacerts", NAMESPACE)["metadata"]["resourceVersion"] == before
    assert lab.session.get("v1", "Secret", STANDBY, NAMESPACE) is None


def test_an_istiod_in_a_crash_loop(lab, plugged, other):
    deployment = lab.session.get("apps/v1", "Deployment", "istiod", NAMESPACE)
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    try:
        container["command"] = ["/bin/false"]
        lab.session.replace(deployment)
        until(lambda: any(restarts(pod) for pod in lab.session.list("v1", "Pod", NAMESPACE, labels="app=istiod")), 180)
        ran = lab.driver.meshwright("certs", "transition", "lab", "--to", other[2], "--yes")
    finally:
        deployment = lab.session.get("apps/v1", "Deployment", "istiod", NAMESPACE)
        del deployment["spec"]["template"]["spec"]["containers"][0]["command"]
        lab.session.replace(deployment)
        until(lambda: len(lab.session.list("v1", "Pod", NAMESPACE, labels="app=istiod")) == 1, 120)
    assert ran.code == 3, ran.err
    assert "istiod" in ran.err
    assert lab.session.get("v1", "Secret", STANDBY, NAMESPACE) is None


def restarts(pod):
    return sum(each["restartCount"] for each in pod["status"].get("containerStatuses") or [])


def test_a_ca_that_somebody_deleted_comes_back(lab, plugged, keys, tmp_path):
    """From a sealed backup: istiod, started again, signs under the same root."""
    values = lab.driver.root / "group_data" / "lab.yaml"
    before, identity = values.read_text(), pyrage.x25519.Identity.generate()
    (tmp_path / "keys.txt").write_text(str(identity))
    lab.driver.environ["SOPS_AGE_KEY_FILE"] = str(tmp_path / "keys.txt")
    try:
        backup = {"recipients": [str(identity.to_public())], "folder": str(tmp_path)}
        values.write_text(before + f"\ncerts: {json.dumps({'backup': backup})}\n")
        made = lab.driver.meshwright("certs", "backup", "lab", "--yes")
        assert made.code == 0, made.err
        [file] = tmp_path.glob("lab-*.age")
        assert keys.within(file.read_bytes()) == []
        there = lab.session.get("v1", "Secret", "cacerts", NAMESPACE)
        lab.session.delete("v1", "Secret", "cacerts", NAMESPACE)
        ran = lab.driver.meshwright("certs", "restore", "lab", str(file), "--yes")
    finally:
        values.write_text(before)
        del lab.driver.environ["SOPS_AGE_KEY_FILE"]
    assert ran.code == 0, ran.err
    assert keys.within((made.out + made.err + ran.out + ran.err).encode()) == []
    assert lab.session.get("v1", "Secret", "cacerts", NAMESPACE)["data"] == there["data"]
    restart_istiod(lab)
    document = in_order(lab)
    assert [each["sha256"] for each in document["expected"]["roots"]] == [plugged[0].certificate.sha256]
