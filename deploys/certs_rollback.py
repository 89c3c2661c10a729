"""Takes a change of the root back, from whatever phase it is in."""

from meshwright.certs import together
from meshwright.deploy import run

steps = [together.rollback]

run(steps)
