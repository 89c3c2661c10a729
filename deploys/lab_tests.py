"""The images that only tests need, built and in the nodes of the environment's cluster (docs/lab.md)."""

from meshwright.deploy import run
from meshwright.lab import images, nodes, programs

steps = [programs.bundle("tests"), images.bundle("tests"), nodes.load("tests")]

run(steps)
