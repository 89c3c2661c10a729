"""Finds out whether everything that the environment needs holds; changes nothing."""

from meshwright import checks
from meshwright.deploy import run

steps = [checks.hold]

run(steps)
