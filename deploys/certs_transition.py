"""Changes the root of the mesh, phase by phase: `--data to=...` begins a change; else the one under way goes on."""

from meshwright.certs import transition
from meshwright.deploy import run

steps = [transition.transition]

run(steps)
