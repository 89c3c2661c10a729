"""`meshwright report`."""

from __future__ import annotations

from pathlib import Path

import click

from meshwright.cli.common import environments_argument, json_option, targets
from meshwright.cli.output import Output
from meshwright.environment import Several, load, names
from meshwright.errors import Exit, MeshwrightError
from meshwright.project import Project
from meshwright.target import write_atomically
from meshwright.windows.gate import now
from meshwright.wording import counted, utc

__all__ = ["command"]


@click.command(
    "report",
    help="Write one page of HTML about each ENV, or about all environments: state, last runs, certificates, windows, "
    "the mesh as a picture, drift. The page needs nothing else, and loads nothing. What could not be asked is marked "
    "as not verified.",
    epilog="Example: meshwright report prod --out report.html",
)
@environments_argument
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Where the page is written.")
@json_option
@click.option(
    "--timeout", type=click.IntRange(1, 600), default=60, show_default=True, help="Wait for none longer, in seconds."
)
def command(environments: tuple[str, ...], out: Path | None, as_json: bool, timeout: int) -> int:
    """Looks at all at once, and changes nothing. Ends with 1 only where not even the values of one could be read."""
    output = Output(as_json, "report", environments[0] if len(environments) == 1 else None)
    if out is None and not as_json:
        raise click.UsageError("say where the page is to be written: --out report.html", click.get_current_context())
    project = Project.find()
    wanted = list(dict.fromkeys(one for name in environments for one in _clusters(project, name))) or names(project)
    if not wanted:
        raise MeshwrightError("there are no environments", hint="One is inventory/NAME.py and group_data/NAME.yaml")
    if out is not None:
        _writable(out)
    # The models of all kinds take 0.3 s to import.
    from meshwright.report import gathering, page

    at = now()
    found = gathering.gather(project, wanted, lambda *of: targets(*of, quiet=True), timeout, at)
    if out is not None:
        text = page.rendered(found, at).encode()
        write_atomically(out, text, 0o644)
        output.answer([f"{out}: {counted(len(found), 'environment')}, {max(1, len(text) // 1024)} KiB"])
    for each in found:
        for part, why in each.not_verified.items():
            output.human(f"not verified: {part} of {each.name}: {why}")
    known = sum(each.standing.loaded is not None for each in found)
    output.document(
        ok=known > 0,
        summary={"checked": len(found), "not_verified": sum(len(each.not_verified) for each in found)},
        at=utc(at),
        out=str(out) if out else None,
        environments=[each.as_json() for each in found],
    )
    return Exit.OK if known else Exit.ERROR


def _clusters(project: Project, name: str) -> list[str]:
    """What is asked for by one name: an environment, or each of its clusters. Raises BadInput: there is none of it."""
    known = names(project)
    if name in known:
        return [name]  # also one whose values cannot be used, which its part of the page says
    try:
        load(project, name)
    except Several as several:
        return list(several.names)
    return [name]


def _writable(out: Path) -> None:
    """Raises MeshwrightError: a page cannot be put there. Asked before the environments are, which takes longer."""
    if out.is_dir():
        raise MeshwrightError(f"{out} is a folder", hint=f"Name a file in it: --out {out / 'report.html'}")
    if not out.absolute().parent.is_dir():
        raise MeshwrightError(f"there is no folder {out.parent}", hint="Make it, or name a file in another one")
