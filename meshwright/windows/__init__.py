"""Maintenance windows: when an environment may be changed, and whether a run fits into the time that is left."""
