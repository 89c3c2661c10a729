"""A promotion of many objects, killed at twenty seeded instants between its first write and its last: the file is what
it was or what it was to be, every object too, and whoever comes next goes on to all of it, or back to all of it."""

from __future__ import annotations

import random

import pytest
from backends import Backends
from pair import ISTIO, Pair, answers

INSTANTS = 20
SEED = 20
MORE = 8


@pytest.fixture(scope="module")
def web(lab):
    made = Backends(lab, "killed-promotion")
    made.add("a", "b")
    yield made
    lab.session.delete("v1", "Namespace", made.namespace)


@pytest.fixture(scope="module")
def pair(lab, web):
    made = Pair(lab, web.namespace)
    made.write("early", turn(made, 0))
    made.promote("--yes", code=3)  # nobody has applied it
    made.rule("  from: early\n", "  from: early\n  applied: false\n")
    made.timed()
    yield made
    made.close()


def turn(pair, number):
    """The objects of a turn: the routes that are asked, MORE that stay and change, and one that comes and goes."""
    found = pair.routes(10 + number, 90 - number)
    [whole] = found["virtual_services"].values()
    more = {f"{pair.space}/more-{n}": {"hosts": [f"more-{n}.example.com"], "http": whole["http"]} for n in range(MORE)}
    own = {f"{pair.space}/of-{number}": {"hosts": [f"of-{number}.example.com"], "http": whole["http"]}}
    return {**found, "virtual_services": {**found["virtual_services"], **more, **own}}


def there(pair):
    """The weights of all virtual services in the cluster, by name."""
    found = pair.lab.session.list(ISTIO, "VirtualService", pair.space)
    return {
        each["metadata"]["name"]: [one.get("weight", 0) for one in each["spec"]["http"][0]["route"]] for each in found
    }


def wanted(pair, number):
    """The same of a turn."""
    return {
        name.partition("/")[2]: [one["weight"] for one in each["http"][0]["route"]]
        for name, each in turn(pair, number)["virtual_services"].items()
    }


def instants():
    """One in each twentieth."""
    return [(n, round((n - random.Random(SEED + n).random()) / INSTANTS, 3)) for n in range(1, INSTANTS + 1)]


@pytest.mark.parametrize(("number", "share"), instants())
def test_a_promotion_killed_anywhere_is_whole_or_made_whole(lab, pair, number, share, capsys):
    for attempt in range(4):
        # One that was through before has changed everything: the next has other weights.
        turned = number + INSTANTS * attempt
        before, old, new = pair.path("later").read_bytes(), there(pair), wanted(pair, turned)
        hit = pair.killed(turn(pair, turned), share / 2**attempt)
        if hit:
            break
    assert hit, "every promotion was through before it could be killed"
    file, live = pair.whole(before), there(pair)
    for name, weights in live.items():
        assert weights in (old.get(name), new.get(name)), (name, weights)
    assert old.keys() & new.keys() <= live.keys()
    done = sum(live.get(name) == weights for name, weights in new.items() if old.get(name) != weights)
    way = "back" if number % 2 else "on"
    with capsys.disabled():
        print(f"\nkilled at {share:.0%}: {hit}; file {file}, {done} of {MORE + 2} objects written; goes {way}")
    if way == "back":
        ran = pair.driver.meshwright("promote", "later", "--back", "--yes")
        assert ran.code == 0, ran.err
        assert (pair.path("later").read_bytes(), there(pair)) == (before, old)
    else:
        pair.promote("--apply", "--yes")
        assert there(pair) == new
    assert not pair.note.exists()
    assert answers(lab, {"a", "b"}, 60) == {"a", "b"}
    plan = pair.driver.meshwright("plan", "later", "resources", "--detailed-exitcode")
    assert plan.code == 0, plan.out
