"""`meshwright promote`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import click

from meshwright import deploy as deploys
from meshwright import lock, release
from meshwright.cli.common import json_option, override_option, places, reason_option, targets
from meshwright.cli.consent import ask
from meshwright.cli.deploying import Plans, plans_of
from meshwright.cli.output import Output, coloured, table
from meshwright.cli.promoting import DEPLOY, Ended, back, carry_out, settle, way_back
from meshwright.environment import Loaded, members
from meshwright.errors import BadInput, Exit, MeshwrightError, Refused
from meshwright.options import Options
from meshwright.project import Project
from meshwright.promotion import checkout, gates, kept, markdown, source, underway
from meshwright.promotion.gates import Asked, Gated, first_refusal
from meshwright.promotion.prepared import Prepared, file_of, prepare
from meshwright.promotion.underway import File, Underway
from meshwright.records import history
from meshwright.release import Release, short
from meshwright.render import plan_lines, summary

__all__ = ["command"]


@dataclass(frozen=True)
class _Typed:
    """What was typed."""

    source: str
    target: str
    release: str
    apply: bool
    plan_only: bool
    yes: bool
    markdown: bool
    skip: str
    approvals: tuple[str, ...]
    options: Options


@click.command(
    "promote",
    help="Take the release of the environment FROM over into TO: show what differs, ask, and write TO's file of "
    "values; with --apply do it in the cluster too, and look whether it holds. `promote TO --back` goes back to the "
    "release before one that failed.",
    epilog="Example: meshwright promote dev staging --plan",
)
@click.argument("first", metavar="FROM")
@click.argument("second", metavar="[TO]", required=False)
@json_option
@click.option("--release", "digest", metavar="DIGEST", default="", help="An earlier release of FROM, by its digest.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what differs and how the gates stand, and stop.")
@click.option("--apply", is_flag=True, help="Apply it, and look whether it holds.")
@click.option("--back", "going_back", is_flag=True, help="Go back to the release before a promotion that failed.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Print the difference as Markdown, for a review; stop.")
@click.option("--skip", metavar="REASON", default="", help="Leave out the environments between; recorded.")
@click.option("--approval", "approvals", metavar="FILE", multiple=True, help="A signature over the release's digest.")
@override_option
@reason_option
def command(
    first: str,
    second: str | None,
    as_json: bool,
    digest: str,
    plan_only: bool,
    apply: bool,
    going_back: bool,
    yes: bool,
    as_markdown: bool,
    skip: str,
    approvals: tuple[str, ...],
    override: bool,
    reason: str,
) -> int:
    """Works it out, shows it, looks at the gates, asks, and does it."""
    output = Output(as_json, "promote", first if going_back else second)
    if going_back:
        if second is not None:
            raise MeshwrightError("--back takes one environment: promote TO --back", exit_code=Exit.USAGE)
        return _back(output, first, plan_only=plan_only, yes=yes)
    if second is None:
        raise MeshwrightError("to which environment? promote FROM TO", exit_code=Exit.USAGE)
    options = Options(reason=reason, override=override)
    typed = _Typed(
        *(first, second, digest, apply, plan_only or as_markdown, yes, as_markdown, skip.strip(), approvals, options)
    )
    if first == second:
        raise BadInput(f"{first} cannot be promoted to itself", hint=f"An earlier one: meshwright rollback {first}")
    project = Project.find()
    origin = _whole(project, first)
    _whole(project, second)
    if typed.plan_only:
        return _promote(output, project, origin, typed)
    held = lock.acquire(f"{project.digest}-promote-{second}", f"the promotion of {first} to {second}")
    try:
        return _promote(output, project, origin, typed)
    finally:
        held.release()


def _whole(project: Project, name: str) -> list[Loaded]:
    """All clusters of an environment. Raises BadInput: there is none of that name, or it is one of several clusters."""
    found = members(project, name)
    if "/" in name:
        environment = found[0].env.environment
        raise BadInput(f"{name} is one cluster of {environment}: a release is that of all of them", hint=environment)
    return found


def _promote(output: Output, project: Project, origin: list[Loaded], typed: _Typed) -> int:
    target = typed.target
    wanted, current = _release(project, origin, typed, quiet=output.json)
    left = settle(output, project, target, typed.source, wanted.digest, apply=typed.apply, looking=typed.plan_only)
    prepared = prepare(project, target, wanted)
    gated, who = _gates(output, project, origin, prepared, typed, current=current)
    plans = None
    if typed.apply:
        plans = plans_of(project, prepared.members, DEPLOY, typed.options, quiet=output.json)
    if typed.markdown:
        output.answer(markdown.lines(typed.source, target, prepared, gated))
    else:
        output.answer(_shown(prepared, typed, gated, plans))
    if typed.plan_only:
        _document(output, typed, prepared, gated, plans)
        return Exit.OK
    refused = first_refusal(gated) or next(iter(plans.refusals if plans else ()), None)
    if refused is not None:
        raise refused
    if not prepared.changes_file and (plans is None or (not plans.changes and left is None)):
        output.human(f"{target} holds this release already")
        _document(output, typed, prepared, gated, plans)
        return Exit.OK
    _seen(project, target, prepared, left)
    # Writing a file changes no environment: only an apply asks for the name of a protected one.
    env = prepared.loaded.env if typed.apply else prepared.loaded.env.model_copy(update={"protected": False})
    ask(env, yes=typed.yes, name=target)
    about = {"from": typed.source, "skip": typed.skip or None, "approved_by": who}
    ended = carry_out(output, project, typed.source, prepared, typed.options, about, plans, left)
    _document(output, typed, prepared, gated, plans, ended)
    return ended.exit


def _release(project: Project, origin: Sequence[Loaded], typed: _Typed, *, quiet: bool) -> tuple[Release, bool]:
    """The release that is meant, and whether it is what the files of its environment hold now."""
    now = release.of(project, origin[0].env)
    assert now is not None  # it was read from files
    if not typed.release or now.digest.startswith(release.wanted(typed.release)):
        return now, True
    with targets(project, origin[0], quiet=quiet) as hosts:
        return kept.find(hosts[0], origin[0].env, typed.release), False


def _gates(
    output: Output, project: Project, origin: Sequence[Loaded], prepared: Prepared, typed: _Typed, *, current: bool
) -> tuple[list[Gated], list[str]]:
    asked = Asked(
        project,
        origin[0].env,
        prepared.loaded.env,
        prepared.release.digest,
        current,
        typed.apply,
        typed.skip,
        typed.options.override,
        typed.approvals,
    )
    # What must hold is what the environment says before the promotion; it does not travel anyway.
    with (
        places(project, origin, quiet=output.json) as there,
        places(project, prepared.members_now, quiet=output.json) as here,
    ):

        def applied() -> source.Applied:
            digest = prepared.release.digest
            return source.everywhere(
                [source.applied(project, env, hosts, history.of(hosts, env), digest) for env, hosts in there]
            )

        return gates.look(asked, applied, here, deploys.load(project, DEPLOY))


def _seen(project: Project, target: str, prepared: Prepared, left: Underway | None) -> None:
    """Raises Refused: the file has changes that no commit has, so that nobody could see what a promotion did to it."""
    if not prepared.changes_file or not checkout.here(project.root):
        return
    ours = left is not None and left.file(prepared.before.encode()) is File.AFTER
    if not ours and checkout.changed(project.root, file_of(target)):
        raise Refused(
            f"{file_of(target)} has changes that are not in a commit: it is not rewritten",
            hint=f"See `git diff {file_of(target)}`, and commit it or take it back",
        )


# What is shown


def _shown(prepared: Prepared, typed: _Typed, gated: Sequence[Gated], plans: Plans | None) -> Iterator[str]:
    release_, before = short(prepared.release.digest), short(prepared.previous)
    yield f"{typed.source} to {typed.target}: release {release_}, after {before}"
    for each in prepared.differences:
        yield from (coloured(f"  {line}") for line in each.lines())
    if not prepared.differences:
        yield "  nothing differs"
    if prepared.stays:
        yield f"  stays as it is in {typed.target}: {', '.join(prepared.stays)}"
    if gated:
        yield ""
        yield from table(("gate", "", ""), [(each.gate, each.state.value, each.text) for each in gated])
    if plans is not None:
        yield ""
        yield from (coloured(line) for line in plan_lines(plans.plans))


def _document(
    output: Output,
    typed: _Typed,
    prepared: Prepared,
    gated: Sequence[Gated],
    plans: Plans | None,
    ended: Ended | None = None,
) -> None:
    done = ended.done if ended else None
    parts: dict[str, Any] = {}
    if plans is not None:
        parts["plan"] = [plan.as_json() for plan in plans.plans]
    if done is not None:
        parts |= {"steps": done.steps, "checks": done.checks}
    if ended is not None and ended.exit is not Exit.OK:
        parts["restored"] = ended.restored
        parts["back"] = [plan.as_json() for plan in ended.back.plans] if ended.back else None
        parts["error"] = ended.error
    closed = sum(each.state is gates.State.CLOSED for each in gated)
    counts = {"checked": len(gated), "closed": closed, "differences": len(prepared.differences)}
    if plans is not None:
        counts |= {key: value for key, value in summary(plans.plans).items() if key != "checked"}
    output.document(
        ok=ended is None or ended.exit is Exit.OK,
        summary=counts,
        source=typed.source,
        release=prepared.release.digest,
        previous=prepared.previous,
        file={"path": file_of(typed.target), "changed": prepared.changes_file, "written": ended is not None},
        differences=[each.as_json() for each in prepared.differences],
        stays=list(prepared.stays),
        gates=[each.as_json() for each in gated],
        **parts,
    )


def _back(output: Output, target: str, *, plan_only: bool, yes: bool) -> int:
    project = Project.find()
    env = _whole(project, target)[0].env
    left = underway.read(project, target)
    if left is None:
        raise BadInput(
            f"no promotion to {target} has failed or was interrupted, so there is nothing to go back to",
            hint=f"`meshwright rollback {target}` goes back to earlier objects, --release DIGEST to an earlier release",
        )
    output.answer([f"{target} goes back to {short(left.previous)}, from {short(left.release)} of {left.source}"])
    ended = Ended()
    if plan_only:
        plans = way_back(project, target, left, quiet=output.json).plans
        output.answer(coloured(line) for line in plan_lines(plans))
    else:
        held = lock.acquire(f"{project.digest}-promote-{target}", f"the way back of {target}")
        try:
            ended = back(output, project, target, left, consent=lambda: ask(env, yes=yes, name=target))
        finally:
            held.release()
    output.document(
        ok=ended.exit is Exit.OK,
        summary={"checked": len(ended.done.checks) if ended.done else 0},
        source=left.source,
        release=left.previous,
        previous=left.release,
        **({"steps": ended.done.steps, "checks": ended.done.checks} if ended.done else {}),
        **({"error": ended.error} if ended.error else {}),
    )
    return ended.exit
