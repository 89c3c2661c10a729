"""Finds out which versions of Istio run, and what they can do when the root changes; changes nothing."""

from meshwright.certs import steps as certs
from meshwright.deploy import run

steps = [certs.check_version]

run(steps)
