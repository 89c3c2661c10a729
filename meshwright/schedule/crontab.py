"""Jobs by cron: one line that asks every few minutes what is due, between two lines that mark it as ours.

One line for all and not one for each: cron itself neither knows time zones nor catches up what was missed.
"""

from __future__ import annotations

import shlex

from meshwright.project import Project
from meshwright.schedule.jobs import PERIOD, command, prefix

__all__ = ["line", "ours", "with_ours"]


def line(project: Project, environment: str) -> str:
    """The line of an environment."""
    minutes = int(PERIOD.total_seconds() // 60)
    words = shlex.join(command("schedule", environment, "--due"))
    text = f"cd {shlex.quote(str(project.root))} && {words} >/dev/null 2>&1"
    # To cron a bare % is the end of the line.
    return f"*/{minutes} * * * * " + text.replace("%", "\\%")


def ours(project: Project, environment: str, table: str) -> str:
    """What stands between our marks in a crontab; empty where they are not in it."""
    begin, end = _marks(project, environment)
    lines = table.splitlines()
    if begin not in lines or end not in lines[lines.index(begin) :]:
        return ""
    start = lines.index(begin)
    return "\n".join(lines[start + 1 : lines.index(end, start)])


def with_ours(project: Project, environment: str, table: str, new: str) -> str:
    """The crontab with `new` between our marks, or without marks where it is empty. What is not ours stays as it is."""
    begin, end = _marks(project, environment)
    lines = table.splitlines()
    at = len(lines)
    if begin in lines:
        at = lines.index(begin)
        # A mark without its end was cut off by somebody: then only the mark is ours.
        stop = lines.index(end, at) if end in lines[at:] else at
        del lines[at : stop + 1]
    if new:
        lines[at:at] = [begin, new, end]
    return "".join(f"{each}\n" for each in lines)


def _marks(project: Project, environment: str) -> tuple[str, str]:
    name = prefix(project, environment).rstrip(".")
    return f"# begin {name} (kept by meshwright schedule {environment})", f"# end {name}"
