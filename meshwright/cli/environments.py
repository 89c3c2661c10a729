"""`meshwright environments`."""

from __future__ import annotations

import click

from meshwright.cli.common import json_option, targets
from meshwright.cli.output import Output, table
from meshwright.environment import names
from meshwright.errors import Exit
from meshwright.project import Project
from meshwright.promotion import standing

__all__ = ["command"]

_HEAD = ("environment", "release", "since (UTC)", "verified", "drift", "window", "root days", "cluster")


@click.command(
    "environments",
    help="Show all environments, each cluster of one that has several: the release that was applied last (a star: the "
    "files hold another one by now), since when, whether its checks held, drift, the next window, days left of the "
    "root, and how the cluster stands.",
    epilog="Example: meshwright environments --timeout 5",
)
@json_option
@click.option(
    "--timeout", type=click.IntRange(1, 600), default=20, show_default=True, help="Wait for none longer, in seconds."
)
def command(as_json: bool, timeout: int) -> int:
    """Looks at all at once. What does not answer has its state in the last column; that is no error."""
    output = Output(as_json, "environments")
    project = Project.find()
    found = standing.of(project, names(project), lambda *of: targets(*of, quiet=True), timeout)
    output.answer(table(_HEAD, [each.row for each in found], {"root days"}) if found else ["there are no environments"])
    up = sum(each.state == "up" for each in found)
    output.document(ok=True, summary={"checked": len(found), "up": up}, environments=[each.as_json() for each in found])
    return Exit.OK
