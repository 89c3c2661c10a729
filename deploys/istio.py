"""Installs Istio in a cluster that is there, and labels the environment's namespaces."""

from meshwright import istio, namespaces, tools
from meshwright.deploy import run

steps = [tools.install, istio.install, namespaces.ensure]

run(steps)
