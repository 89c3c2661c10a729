"""Switches access logs: `--data to=on|off|reset`, `scope=NAMESPACE[/WORKLOAD]` (none: the mesh), `format=PROVIDER`."""

from meshwright import accesslog
from meshwright.deploy import run

steps = [accesslog.step]

run(steps)
