"""Tests of what a user may not do, when the tests run as root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["nobody"]

_NOBODY = 65534


@contextmanager
def nobody() -> Iterator[None]:
    """Root is the user `nobody` for a while; another user stays who he is."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
