"""Python programs that tests put on a disk."""

from __future__ import annotations

import shlex
import sys

__all__ = ["HEADER"]

HEADER = f"#!/bin/sh\n'''exec' {shlex.quote(sys.executable)} \"$0\" \"$@\"\n' '''\n"
"""The first lines of a Python program that this very interpreter runs. A `#!` line cannot name one in a folder with a
space in its path; so /bin/sh starts it, by lines that are a text to Python."""
