"""A bring-up from nothing, killed at thirty seeded instants between its first and last write: the next run ends it."""

from __future__ import annotations

import random
import re

import pytest
from killing import kill_after

INSTANTS = 30
SEED = 30


@pytest.mark.parametrize("share", [random.Random(SEED + i).random() for i in range(INSTANTS)])
def test_a_bring_up_killed_anywhere_is_finished_by_the_next_run(lab, share, capsys):
    took = sum(float(seconds) for seconds in re.findall(r"(?m)^\w+: changed \(([\d.]+) s\)$", lab.first.err))
    lab.driver.add_environment("killed", (lab.driver.root / "group_data" / "lab.yaml").read_text())
    try:
        hit = kill_after(lab.driver, "killed", share * took)
        with capsys.disabled():
            print(f"\nkilled at {share:.0%}: {hit}")
        assert lab.driver.meshwright("apply", "killed", "--yes").code == 0
        plan = lab.driver.meshwright("plan", "killed", "--detailed-exitcode")
        assert plan.code == 0, plan.out
        assert lab.driver.meshwright("check", "killed").code == 0
    finally:
        lab.driver.meshwright("destroy", "killed", "--confirm", "killed")
