"""Goes back to the objects of an earlier apply of the resources: `--data to=RECORD`, or the last ones before these."""

from meshwright import rollback
from meshwright.deploy import run

steps = [rollback.step]

run(steps)
