"""The only package that imports pyinfra: steps as operations, and hosts for inventory files."""

from meshwright.operations.adapter import run_steps
from meshwright.operations.inventory import hosts_for

__all__ = ["hosts_for", "run_steps"]
