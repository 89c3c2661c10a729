"""Deploys the sample application in a mesh that is there."""

from meshwright import bookinfo, namespaces, tools
from meshwright.deploy import run

steps = [tools.install, namespaces.ensure, bookinfo.apply_sample]

run(steps)
