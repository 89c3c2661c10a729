"""Log lines in k3s's form. k3d follows them: some of its steps wait for a certain text."""

import sys
from datetime import UTC, datetime


def _write(level: str, text: str) -> None:
    moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    quoted = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    print(f'time="{moment}" level={level} msg="{quoted}"', file=sys.stderr, flush=True)


def info(text: str) -> None:
    """Something that happened."""
    _write("info", text)


def fatal(text: str) -> None:
    """Why this node stops."""
    _write("fatal", text)
