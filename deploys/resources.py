"""Applies the environment's own manifests, and prunes what is no longer in them."""

from meshwright import resources
from meshwright.deploy import run

steps = [resources.apply_all]

run(steps)
