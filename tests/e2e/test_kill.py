"""kill -9 of a bring-up loses nothing: the next run finds out where things stand and goes on (#3)."""

from __future__ import annotations

import random
import re

import pytest
from killing import kill_in_step

SEED = 3


@pytest.fixture
def killed(lab):
    """An environment of its own, on a cluster of its own."""
    lab.driver.add_environment("killed", (lab.driver.root / "group_data" / "lab.yaml").read_text())
    yield "killed"
    assert lab.driver.meshwright("destroy", "killed", "--confirm", "killed").code == 0


def test_a_bring_up_killed_three_times_is_finished_by_the_fourth_run(lab, killed, capsys):
    # Reference: how long each step of the lab's own bring-up took.
    took = {step: float(seconds) for step, seconds in re.findall(r"(?m)^(\w+): changed \(([\d.]+) s\)$", lab.first.err)}
    chance = random.Random(SEED)
    for step in ("cluster", "istio", "bookinfo"):
        hit = kill_in_step(lab.driver, killed, step, chance.uniform(0.1, 0.9) * took[step])
        with capsys.disabled():
            print(f"\nkilled: {hit}")
        assert hit == f"{step} started"
    last = lab.driver.meshwright("apply", killed, "--yes")
    assert last.code == 0, last.err + last.out
    plan = lab.driver.meshwright("plan", killed, "--detailed-exitcode")
    assert plan.code == 0, plan.out
    checked = lab.driver.meshwright("check", killed)
    assert checked.code == 0, checked.out
