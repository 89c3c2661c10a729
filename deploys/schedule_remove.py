"""Takes away what runs the environment's jobs."""

from meshwright.deploy import run
from meshwright.schedule import in_cluster
from meshwright.schedule import step as schedule

steps = [schedule.remove, in_cluster.remove]

run(steps)
