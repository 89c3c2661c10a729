"""Brings up the cluster, with the engine and the tools that this takes."""

from meshwright import cluster, engine, tools
from meshwright.deploy import run

steps = [engine.ensure, tools.install, cluster.ensure]

run(steps)
