"""Installs k3d, kubectl and istioctl in the versions that the environment wants."""

from meshwright import tools
from meshwright.deploy import run

steps = [tools.install]

run(steps)
