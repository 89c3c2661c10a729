"""Finds out who signs the mesh and how long its certificates last; changes nothing."""

from meshwright.certs import steps as certs
from meshwright.deploy import run

steps = [certs.check_root]

run(steps)
