"""Environments: all values of one target, typed, each knowing its file and line."""

from meshwright.environment.clusters import Several
from meshwright.environment.listing import Shown, show
from meshwright.environment.loader import Loaded, load, members, names
from meshwright.environment.model import Environment
from meshwright.environment.naming import cluster_name
from meshwright.environment.problems import BadValues, Problem

__all__ = [
    "BadValues",
    "Environment",
    "Loaded",
    "Problem",
    "Several",
    "Shown",
    "cluster_name",
    "load",
    "members",
    "names",
    "show",
]
