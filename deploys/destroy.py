"""Deletes the environment's k3d cluster with everything in it. Refused for existing and for protected clusters."""

from meshwright import destroy
from meshwright.deploy import run

steps = [destroy.remove]

run(steps)
