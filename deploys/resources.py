"""Applies the environment's own manifests, and prunes what is no longer in them."""

from meshwright import gateway_api, resources
from meshwright.deploy import run

steps = [gateway_api.ensure, resources.apply_all]

run(steps)
