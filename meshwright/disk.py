"""Room on the disks of a host."""

from __future__ import annotations

import re
from collections.abc import Sequence

from meshwright.errors import MeshwrightError
from meshwright.target import Target

__all__ = ["free"]

# POSIX: `df -P` prints one line for each, with blocks of 1024 bytes because of -k.
_LINE = re.compile(r"\s(\d+)\s+(\d+)\s+(\d+)\s+\d+%\s+(/.*)$")
# A folder that is not there yet will be made on the disk of its nearest parent.
_SCRIPT = 'for d do while [ ! -d "$d" ]; do d=$(dirname "$d"); done; df -Pk "$d" || exit 1; done'


def free(target: Target, folders: Sequence[str]) -> dict[str, float]:
    """The free GiB of each disk that has one of `folders`, by the place where it is mounted.

    Raises MeshwrightError: df cannot be run or understood.
    """
    done = target.run(["sh", "-c", _SCRIPT, "sh", *folders], timeout=20)
    found = {line[4]: int(line[3]) / 2**20 for line in map(_LINE.search, done.text.splitlines()) if line}
    if not found:
        raise MeshwrightError(f"df printed no line that can be understood: {done.text[:80]!r}")
    return found
