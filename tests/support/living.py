"""A process that lives as long as a test needs it, as a holder of something."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from meshwright.holder import Holder

_SCRIPT = "from meshwright.holder import Holder; print(Holder.here(), flush=True); input()"


@contextmanager
def living() -> Iterator[tuple[Holder, subprocess.Popen[str]]]:
    """Another process of this machine, and who it is."""
    with subprocess.Popen(
        [sys.executable, "-c", _SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        holder = Holder.read(process.stdout.readline().strip())
        assert holder is not None
        try:
            yield holder, process
        finally:
            process.kill()


def dead() -> Holder:
    """A process of this machine that has ended."""
    with living() as (holder, _):
        pass
    return holder
