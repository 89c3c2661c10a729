"""The real Jaeger for the lab, built from its Go modules, which takes a while: see docs/addons.md."""

from meshwright.deploy import run
from meshwright.lab import images, nodes, programs

steps = [programs.bundle("tracing"), images.bundle("tracing"), nodes.load("tracing")]

run(steps)
