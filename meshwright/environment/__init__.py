"""Environments: all values of one target, typed, each knowing its file and line."""

from meshwright.environment.listing import Shown, show
from meshwright.environment.loader import Loaded, load
from meshwright.environment.model import Environment
from meshwright.environment.naming import cluster_name
from meshwright.environment.problems import BadValues, Problem

__all__ = ["BadValues", "Environment", "Loaded", "Problem", "Shown", "cluster_name", "load", "show"]
