"""When an agent has asked for its next certificate for certain."""

from __future__ import annotations

import datetime as dt

from pki import NOW, leaf, make

from meshwright.certs.waiting import half_life, renewed

ROOT = make("cluster.local")


def test_half_of_the_life_and_a_little() -> None:
    one = leaf(ROOT, "spiffe://x").certificate
    life = one.not_after - one.not_before
    assert half_life(one) == life * 0.51
    last = renewed([one])
    assert last is not None
    # Half of its life, 1% of it for the agent's jitter, two minutes for clocks.
    assert last - one.not_before - life / 2 <= life * 0.01 + dt.timedelta(minutes=2)
    assert last < one.not_after


def test_the_last_of_several_counts() -> None:
    early, late = (leaf(ROOT, f"spiffe://{days}", days=(0, days)).certificate for days in (1, 3))
    assert renewed([early, late]) == renewed([late]) != renewed([early])
    assert renewed([]) is None
    assert late.not_after > NOW
