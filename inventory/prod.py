"""Hosts of the environment `prod`; its values are in group_data/."""

from meshwright.operations import hosts_for

hosts = hosts_for(__file__)
