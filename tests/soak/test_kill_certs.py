"""A change of the root, killed at fifty seeded instants between its first write and its end, under load: `status` says
where the mesh stands, the next run goes on or back to the end, and no request is lost.

MESHWRIGHT_INSTANTS=3,7-12 chooses some of them.
"""

from __future__ import annotations

import os
import random

import pki
import pytest
from killing import begin_command, kill_after_words
from load import fresh_handshakes, running
from rooted import NAMESPACE, bookinfo_hosts, certs, folder_of, in_order, page_load, restart_istiod

from meshwright.certs.phase import STANDBY

INSTANTS = 50
SEED = 60

# What a run says on its way: each begins a stretch in which it may be killed, of so many seconds.
STRETCHES = (
    ("certs-transition started", 3.0),
    ("for P1", 0.1),
    ("for P1", 3.0),
    ("P1: both roots are trusted, the old one signs: seen twice", 0.1),
    ("for P2", 0.1),
    ("for P2", 3.0),
    ("P2: both roots are trusted, the new one signs: seen twice", 0.1),
    ("for P3", 0.1),
    ("for P3", 3.0),
)


def chosen():
    """The instants, each with its kind of change: most without restarts, every fifth of istiod's own CA, which restarts
    it in each phase."""
    found = sorted(("IN_PLACE" if number % 5 == 0 else "REPLACE", number) for number in numbers())
    return found[::-1]


def numbers():
    said = os.environ.get("MESHWRIGHT_INSTANTS", "")
    found = []
    for part in filter(None, said.split(",")):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found or list(range(1, INSTANTS + 1))


@pytest.fixture(scope="module")
def mesh(lab, request):
    """A mesh on a CA that is to be changed, with a load on it. Gives the load and what `--to` is for turn N."""
    case = request.param
    if case == "REPLACE":
        root = pki.make("Soaked Root")
        lab.session.create(pki.plugged(pki.make("Soaked Int", root, days=(-1, 400)), root))
        restart_istiod(lab)

    def to(number):
        if case == "IN_PLACE":
            return "new-self-signed"
        new = pki.make(f"Root {number}")
        return folder_of(lab, pki.make(f"Int {number}", new, days=(-1, 400)), new, f"ca {number}")

    try:
        in_order(lab)
        with fresh_handshakes(lab.session, NAMESPACE, bookinfo_hosts(lab)), running(page_load(lab)) as load:
            yield case, load, to
    finally:
        lab.session.delete("v1", "Secret", STANDBY, NAMESPACE)
        if case == "REPLACE":
            lab.session.delete("v1", "Secret", "cacerts", NAMESPACE)
            restart_istiod(lab)
        in_order(lab)


@pytest.mark.parametrize(("mesh", "number"), chosen(), indirect=["mesh"])
def test_a_change_killed_anywhere_is_ended_by_the_next_run(lab, mesh, number, capsys):
    case, load, to = mesh
    chance = random.Random(SEED + number)
    words, most = chance.choice(STRETCHES)
    after, back = chance.uniform(0, most), number % 3 == 0
    before = len(load.lost())
    process, path = begin_command(lab.driver, "lab", "certs", "transition", "lab", "--to", to(number), "--yes")
    hit = kill_after_words(process, path, words, after)
    code, stood = certs(lab, "status")
    done = lab.driver.meshwright("certs", "rollback" if back else "transition", "lab", "--yes")
    at = f"at '{hit}'" if hit else "too late: it had ended"
    way, stable = "back" if back else "on", "stable" if stood["stable"] else "under way"
    with capsys.disabled():
        print(f"\n{number} {case}: killed {after:.2f} s after '{words}' {at}")
        print(f"   status: {stood['phase']}, {stable}; {way}: exit {done.code}")
    assert code in (0, 1)
    # Killed before it had begun: then there is nothing to go on with, and nothing to take back.
    begun = stood["new_root"] is not None or lab.session.get("v1", "Secret", STANDBY, NAMESPACE) is not None
    assert done.code == 0 or not begun, done.err
    code, stood = certs(lab, "status")
    wanted = "rest" if back or not begun else "new_alone"
    assert (code, stood["phase"], stood["stable"]) == (0, wanted, True), stood
    if wanted == "new_alone":
        assert lab.driver.meshwright("certs", "transition", "lab", "--to", "forget", "--yes").code == 0
    assert lab.session.get("v1", "Secret", STANDBY, NAMESPACE) is None
    assert certs(lab, "verify")[0] == 0
    assert load.lost()[before:] == []
