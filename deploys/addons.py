"""Kiali, Prometheus, Grafana, Jaeger and Loki: those that are on are brought up, those that are off removed.

The first three steps are for the lab, whose nodes can pull no image; elsewhere they do nothing.
"""

from meshwright import checks, tools
from meshwright.addons.step import install
from meshwright.deploy import run
from meshwright.lab import images, nodes, programs

steps = [
    programs.bundle("addons"),
    images.bundle("addons"),
    nodes.load("addons"),
    tools.install,
    install,
    checks.made("addons"),
]

run(steps)
