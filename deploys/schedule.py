"""Has systemd or cron of this machine, or CronJobs in the cluster, run the environment's jobs at their times."""

from meshwright.deploy import run
from meshwright.schedule import in_cluster
from meshwright.schedule import step as schedule

steps = [schedule.ensure, in_cluster.ensure]

run(steps)
