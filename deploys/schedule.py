"""Has systemd or cron run the environment's jobs at their times, on this machine."""

from meshwright.deploy import run
from meshwright.schedule import step as schedule

steps = [schedule.ensure]

run(steps)
