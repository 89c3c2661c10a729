"""Takes a change of the root back, from whatever phase it is in."""

from meshwright.certs import transition
from meshwright.deploy import run

steps = [transition.rollback]

run(steps)
