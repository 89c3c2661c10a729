"""The root of a mesh of two real clusters, changed in both together: the order, a killed run, the way back, and a
cluster that nobody has listed."""

from __future__ import annotations

import base64
import os
import threading
import time
from types import SimpleNamespace

import pki
import pytest
from killing import begin_command, kill_after_words, said
from rooted import NAMESPACE
from united import ENVIRONMENT, NAMES, United, remote_secret

from meshwright.certs.certificate import bundle
from meshwright.certs.phase import STANDBY
from meshwright.errors import MeshwrightError

FIRST, SECOND = f"{ENVIRONMENT}/{NAMES[0]}", f"{ENVIRONMENT}/{NAMES[1]}"


@pytest.fixture(scope="module")
def mesh(driver, capsys_module):
    started, united = time.monotonic(), United(driver)
    try:
        united.up()
        with capsys_module.disabled():
            print(f"\ntwo clusters of one mesh are up after {time.monotonic() - started:.0f} s")
        yield united
    finally:
        if "MESHWRIGHT_LAB" not in os.environ:
            united.gone()


@pytest.fixture(scope="module")
def capsys_module(request):
    """What prints although output is captured."""
    return SimpleNamespace(
        disabled=request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled
    )


def step_of(secret, old):
    """The phase that a CA Secret says."""
    files = {name: base64.b64decode(text) for name, text in secret["data"].items()}
    roots, [signer] = set(bundle(files["root-cert.pem"])), bundle(files["ca-cert.pem"])
    signs_old = signer.issuer == old.certificate.subject
    if len(roots) > 1:
        return 1 if signs_old else 2
    return 0 if signs_old else 3


class Seen:
    """The phases that the CA Secrets of both clusters said, as long as it is looked: (time, cluster, phase) where one
    was another than before."""

    def __init__(self, mesh):
        self.mesh, self.steps, self.over = mesh, [], threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()

    def _look(self):
        last = {}
        while not self.over.is_set():
            for name, member in self.mesh.members.items():
                try:
                    step = step_of(member.secret(), self.mesh.root)
                except MeshwrightError:
                    continue
                if last.get(name) != step:
                    last[name] = step
                    self.steps.append((time.time(), name, step))
            time.sleep(0.05)

    def end(self):
        self.over.set()
        self.thread.join(30)
        return self.steps


@pytest.fixture(scope="module")
def moved(mesh):
    """A change of the root over both clusters, killed right after the first write of P2, and gone on with."""
    found = SimpleNamespace(before=mesh.certs("verify"), root=pki.make("Second Root"))
    found.to = mesh.folders(found.root, "second")
    found.plan = mesh.driver.meshwright("certs", "transition", ENVIRONMENT, "--to", found.to, "--plan")
    seen = Seen(mesh)
    words = ("certs", "transition", ENVIRONMENT, "--to", found.to, "--yes")
    process, path = begin_command(mesh.driver, FIRST, *words)
    found.hit = kill_after_words(process, path, "for P2", 0.1)
    found.between = mesh.certs("status")
    found.last = mesh.driver.meshwright("certs", "transition", ENVIRONMENT, "--yes")
    found.steps = seen.end()
    runs = sorted((mesh.driver.root / ".meshwright" / FIRST / "runs").glob("*-certs_transition-*.jsonl"))
    found.said = [line for run in runs for line in said(run)]
    found.after = mesh.certs("verify"), mesh.certs("status")
    return found


def test_both_trust_each_other_before(moved):
    code, document = moved.before
    assert code == 0, document
    assert [each["state"] for each in document["between"]] == ["ok", "ok"]


def test_one_plan_for_both(moved):
    assert moved.plan.code == 0, moved.plan.err
    lines = [line.strip() for line in moved.plan.out.splitlines()]
    phases = [line.split(" ")[2:4] for line in lines if line.startswith("~ Phase ")]
    assert phases == [[f"{name}:", step] for step in ("P1", "P2", "P3") for name in NAMES]
    assert f"{SECOND}" in moved.plan.out


def test_no_cluster_begins_a_phase_before_both_have_passed_the_one_before(moved, capsys):
    """By the CA Secrets themselves, and by what the runs said: the gate of a phase was seen to hold in both clusters
    before the next one was written in either."""
    begun = moved.steps[0][0]
    with capsys.disabled():
        print("".join(f"\n{at - begun:6.1f} s {name} P{step}" for at, name, step in moved.steps))
        print(f"killed at: {moved.hit}")
    assert moved.hit
    assert moved.last.code == 0, moved.last.err
    first = {(name, step): at for at, name, step in reversed(moved.steps)}
    for step in (2, 3):
        begins = min(first[name, step] for name in NAMES)
        assert max(first[name, step - 1] for name in NAMES) < begins
        held = {name: [at for at, text in moved.said if text.startswith(f"{name}: P{step - 1}: ")] for name in NAMES}
        assert all(any(at < begins + 0.1 for at in times) for times in held.values()), held
    assert [step for _, name, step in moved.steps if name == NAMES[0]] == [0, 1, 2, 3]
    assert [step for _, name, step in moved.steps if name == NAMES[1]] == [0, 1, 2, 3]


def test_where_it_was_killed_is_seen_from_the_clusters_alone(moved):
    code, document = moved.between
    stood = {each["environment"]: each["phase"] for each in document["clusters"]}
    assert stood[SECOND] == "both_sign_old"
    assert stood[FIRST] in ("both_sign_old", "both_sign_new")
    assert code in (0, 1, 5)


def test_it_ends_converged(moved, mesh):
    (verified, document), (code, status) = moved.after
    assert (verified, code) == (0, 0), document
    assert {each["phase"] for each in status["clusters"]} == {"new_alone"}
    assert {each["new_root"] for each in status["clusters"]} == {moved.root.certificate.sha256}
    assert all(member.secret(STANDBY) is not None for member in mesh.members.values())


def test_a_cluster_that_is_not_listed_is_refused_by_name(moved, mesh):
    second = mesh.members[NAMES[1]]
    # It leads nowhere, with a CA that none of the two has.
    north = remote_secret(second.session, "north", "https://192.0.2.1:6443")
    strange = base64.b64encode(pki.make("north").pem.encode()).decode()
    text = base64.b64decode(north["data"]["north"]).decode()
    lines = [
        f"    certificate-authority-data: {strange}" if "certificate-authority-data" in line else line
        for line in text.splitlines()
    ]
    north["data"]["north"] = base64.b64encode("\n".join(lines).encode()).decode()
    before = [member.secret()["metadata"]["resourceVersion"] for member in mesh.members.values()]
    second.session.create(north)
    try:
        ran = mesh.driver.meshwright("certs", "transition", ENVIRONMENT, "--to", "forget", "--yes")
    finally:
        second.session.delete("v1", "Secret", north["metadata"]["name"], NAMESPACE)
    assert ran.code == 3, ran.out + ran.err
    assert f"{SECOND} knows a cluster that the environment does not list: north" in ran.err
    assert "Traceback" not in ran.err
    assert [member.secret()["metadata"]["resourceVersion"] for member in mesh.members.values()] == before


def test_back_in_both(moved, mesh, capsys):
    seen, started = Seen(mesh), time.monotonic()
    ran = mesh.driver.meshwright("certs", "rollback", ENVIRONMENT, "--yes")
    assert ran.code == 0, ran.out + ran.err
    steps = seen.end()
    with capsys.disabled():
        print(f"\nback after {time.monotonic() - started:.1f} s")
    assert [(name, step) for _, name, step in steps if step != 3] == [(n, s) for s in (2, 1, 0) for n in NAMES]
    code, document = mesh.certs("verify")
    assert code == 0, document
    assert all(member.secret(STANDBY) is None for member in mesh.members.values())
