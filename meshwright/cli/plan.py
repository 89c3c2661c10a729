"""`meshwright plan`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from meshwright import saved
from meshwright.cli.common import adopt_option, deploy_argument, environment_argument, json_option, opened
from meshwright.cli.output import Output, coloured
from meshwright.cli.planned import Planned, planned
from meshwright.cli.several import in_each
from meshwright.environment import Loaded
from meshwright.errors import BadInput, Exit, MeshwrightError
from meshwright.options import Options
from meshwright.plan import Plan, approval
from meshwright.project import Project
from meshwright.render import plan_lines, summary
from meshwright.selection import only
from meshwright.target import write_atomically

__all__ = ["command", "document", "show"]


@click.command(
    "plan",
    help="Show what DEPLOY (default: site) would change in ENV. Nothing is changed.",
    epilog="Example: meshwright plan lab",
)
@environment_argument
@deploy_argument
@json_option
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@adopt_option
@click.option("--out", metavar="FILE", help="Save the plan, for `meshwright apply --saved`.")
@click.option(
    "--only",
    "names",
    metavar="KIND/NS/NAME",
    multiple=True,
    help="Show nothing but this thing (KIND/NAME where there is no namespace; may be given several times). "
    "It chooses what is shown, not what an apply does.",
)
def command(
    environment: str,
    deploy: str,
    as_json: bool,
    detailed_exitcode: bool,
    adopt: tuple[str, ...],
    out: str | None,
    names: tuple[str, ...],
) -> int:
    """Plans, shows the plan or the part of it that was asked for, and saves it where that was asked for."""
    if out and names:
        raise MeshwrightError(
            "--only and --out do not go together: a plan is saved whole",
            hint="Leave out one of the two",
            exit_code=Exit.USAGE,
        )
    options = Options(adopt=frozenset(adopt))
    if out:
        opened(environment)  # one cluster: a saved plan is of one

    def look(output: Output, project: Project, loaded: Loaded) -> int:
        made = planned(project, loaded, deploy, options, quiet=as_json, admit=False, saving=out is not None)
        plans = only(made.plans, names) if names else made.plans
        if out:
            _save(out, environment, deploy, made, adopt)
        show(output, plans, whole=not names, digests=made.approved)
        if out:
            said = f"meshwright apply {environment} {deploy} --saved {shlex.quote(out)}"
            output.human(f"saved; `{said}` does exactly this")
        return Exit.CHANGES if detailed_exitcode and any(not plan.empty for plan in plans) else Exit.OK

    return in_each(Output(as_json, "plan", environment), environment, look)


def _save(out: str, environment: str, deploy: str, made: Planned, adopt: Sequence[str]) -> None:
    steps = tuple(plan.as_json() for plan in made.plans)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    plan = saved.Saved(
        environment, deploy.replace("-", "_"), made.cluster, created, approval(made.plans), steps, tuple(adopt)
    )
    try:
        write_atomically(Path(out), saved.content(plan))
    except OSError as error:
        raise BadInput(f"--out {out}: {error.strerror}") from None


def show(output: Output, plans: list[Plan], *, whole: bool = True, digests: Mapping[str, str] | None = None) -> None:
    """Prints plans, for people and for programs. `digests` are those of each host's plan."""
    output.answer(coloured(line) for line in plan_lines(plans))
    document(output, plans, whole=whole, digests=digests)


def document(
    output: Output, plans: list[Plan], *, whole: bool = True, digests: Mapping[str, str] | None = None
) -> None:
    """Prints plans for programs. Parts of plans have no digests: nobody can approve by them."""
    digest = approval(plans) if whole else None
    steps = [plan.as_json() if whole else {**plan.as_json(), "digest": None} for plan in plans]
    output.document(
        ok=True, summary=summary(plans), digest=digest, digests=dict(digests or {}) if whole else {}, steps=steps
    )
