"""Hosts of the environment `lab`; its values are in group_data/."""

from meshwright.operations import hosts_for

hosts = hosts_for(__file__)
