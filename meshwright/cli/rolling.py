"""The body of commands that change all clusters of an environment, where it has several.

The same as `meshwright.cli.changing` for one: plan all, show all, refuse, ask once, and then do it, cluster by cluster
as `meshwright.fanout` says. Nothing is done anywhere before every cluster has been planned and approved.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from meshwright import fanout
from meshwright.cli import canary
from meshwright.cli.child import Done, run_deploy
from meshwright.cli.output import Output, coloured
from meshwright.cli.planned import Planned, planned
from meshwright.cli.several import heading, named, summed
from meshwright.environment import Loaded
from meshwright.errors import Exit, MeshwrightError, Refused
from meshwright.execution import same
from meshwright.options import Options
from meshwright.plan import Plan, approval
from meshwright.project import Project
from meshwright.render import plan_lines, summary
from meshwright.wording import counted

__all__ = ["Rolled", "Whole", "change_all", "plan_all", "roll_out", "said"]


@dataclass
class Whole:
    """The plans of all clusters, by name, in the order in which they are changed."""

    parts: dict[str, Planned]

    @property
    def plans(self) -> list[Plan]:
        """All of them, one after the other."""
        return [plan for part in self.parts.values() for plan in part.plans]

    @property
    def refusals(self) -> list[MeshwrightError]:
        """What an apply would be refused for."""
        return [named(error, name) for name, part in self.parts.items() for error in part.refusals]

    @property
    def changes(self) -> bool:
        """Whether there is anything to do in any."""
        return any(part.changes for part in self.parts.values())

    @property
    def digest(self) -> str:
        """What covers all of it."""
        return fanout.approval({name: approval(part.plans) for name, part in self.parts.items()})

    @property
    def approved(self) -> dict[str, str]:
        """The digests of all hosts, by their names in pyinfra's inventory."""
        return {host: digest for part in self.parts.values() for host, digest in part.approved.items()}


@dataclass
class Rolled:
    """How it went: the exit code of all, the runs of the clusters that were begun, by name, and which were not."""

    exit: Exit
    done: dict[str, Done] = field(default_factory=dict)
    not_begun: tuple[str, ...] = ()

    def state(self, name: str) -> str:
        """succeeded, failed or not begun; what had nothing to do has succeeded."""
        if name in self.not_begun:
            return "not begun"
        return "succeeded" if name not in self.done or self.done[name].exit is Exit.OK else "failed"


def change_all(
    output: Output,
    project: Project,
    members: Sequence[Loaded],
    deploy: str,
    options: Options,
    *,
    plan_only: bool,
    consent: Callable[[], None],
    checks: bool = False,
) -> int:
    """What `meshwright.cli.changing.change` does, for all of `members`. Raises what planning and consent raise, and
    Refused for any cluster, before anything is done in the first."""
    whole = plan_all(project, members, deploy, options, quiet=output.json)
    for number, (name, part) in enumerate(whole.parts.items()):
        output.answer(heading(name, first=not number))
        output.answer(coloured(line) for line in plan_lines(part.plans))
    if not plan_only and whole.refusals:
        raise whole.refusals[0]
    if plan_only or not (whole.changes or (checks and any(part.checks for part in whole.parts.values()))):
        _document(output, whole, None)
        return Exit.OK
    if whole.changes:
        consent()
    rolled = roll_out(output, project, members, whole, deploy, options, checks=checks)
    output.answer(["", *said(whole, rolled)])
    _document(output, whole, rolled)
    return rolled.exit


def plan_all(
    project: Project, members: Sequence[Loaded], deploy: str, options: Options, *, quiet: bool, admit: bool = True
) -> Whole:
    """Plans `deploy` in all clusters. Raises what planning one raises, and Refused: two of them are one cluster."""
    parts = {}
    for loaded in fanout.ordered(members):
        try:
            part = planned(project, loaded, deploy, options, quiet=quiet, admit=admit, identify=True)
        except MeshwrightError as error:
            raise named(error, loaded.env.name) from None
        parts[loaded.env.name] = part
    fanout.distinct({name: part.cluster for name, part in parts.items()})
    return Whole(parts)


def roll_out(
    output: Output,
    project: Project,
    members: Sequence[Loaded],
    whole: Whole,
    deploy: str,
    options: Options,
    *,
    checks: bool,
) -> Rolled:
    """Does what was planned, where there is something to do."""
    loaded = {each.env.name: each for each in members}
    rules = fanout.rules(members)
    names = [name for name, part in whole.parts.items() if part.changes or (checks and part.checks)]
    done: dict[str, Done] = {}
    stop = threading.Event()

    def work(name: str) -> Exit:
        part = whole.parts[name]
        output.human(f"== {name}")

        def say(line: str) -> None:
            output.human(f"{name}: {line}")

        if name != names[0]:
            try:
                part = _now(project, loaded[name], part, deploy, options)
            except MeshwrightError as error:
                code = Exit(error.exit_code)
                done[name] = Done(code, error={"message": error.message, "hint": error.hint, "exit": int(code)})
                say(f"error: {error.message}")
                return code
        first = name == names[0] and len(names) > 1 and not part.checks
        before = canary.held(project, loaded[name]) if first else None
        ended = done[name] = run_deploy(
            project,
            name,
            deploy.replace("-", "_"),
            options.data(part.approved),
            say=say,
            label=name if rules.at_once > 1 else "",
            stop=stop,
        )
        if ended.exit is Exit.OK and before is not None:
            canary.judge(project, loaded[name], before, ended, say)
        return ended.exit

    try:
        begun = fanout.roll(names, rules, work, stop) if names else {}
    except KeyboardInterrupt:
        for name in names:
            output.human(f"{name}: {_state(done[name]) if name in done else 'interrupted or not begun'}")
        raise
    idle = {name: Exit.OK for name in whole.parts if name not in names}
    return Rolled(
        fanout.code(list(whole.parts), {**idle, **begun}),
        {name: done[name] for name in begun},
        tuple(name for name in names if name not in begun),
    )


def _now(project: Project, loaded: Loaded, shown: Planned, deploy: str, options: Options) -> Planned:
    """What there is to do by now. The clusters before may have done a part of it, as tools on a host that they share:
    that is no surprise, anything else is. Raises Refused, and what planning raises."""
    now = planned(project, loaded, deploy, options, quiet=True, admit=True)
    for before, plan in zip(shown.plans, now.plans, strict=True):
        if not same(before, plan):
            raise Refused(
                f"what {plan.step} would do has changed since its plan was shown",
                hint="Look at the new plan: somebody or something changed the cluster or the files meanwhile",
            )
    return now


def _state(done: Done) -> str:
    if done.exit is not Exit.OK:
        return f"failed: {(done.error or {}).get('message', 'see its log')}"
    return f"changed ({counted(done.changed, 'step')})" if done.changed else "unchanged"


def said(whole: Whole, rolled: Rolled) -> Iterator[str]:
    """One line for each cluster, and one for all."""
    for name in whole.parts:
        idle = "not begun" if name in rolled.not_begun else "nothing to do"
        yield f"{name}: {_state(rolled.done[name]) if name in rolled.done else idle}"
    counts = ", ".join(f"{count} {state}" for state, count in _counts(whole, rolled).items())
    yield f"{counted(len(whole.parts), 'cluster')}: {counts}."


def _counts(whole: Whole, rolled: Rolled) -> dict[str, int]:
    states = [rolled.state(name) for name in whole.parts]
    return {state: states.count(state) for state in ("succeeded", "failed", "not begun")}


def _document(output: Output, whole: Whole, rolled: Rolled | None) -> None:
    parts = [_part(name, part, rolled) for name, part in whole.parts.items()]
    counts = {key.replace(" ", "_"): count for key, count in _counts(whole, rolled).items()} if rolled else {}
    output.document(
        ok=rolled is None or rolled.exit is Exit.OK,
        summary={**summed(part["summary"] for part in parts), "clusters": len(parts), **counts},
        digest=whole.digest,
        digests=whole.approved,
        clusters=parts,
    )


def _part(name: str, part: Planned, rolled: Rolled | None) -> dict[str, Any]:
    """One cluster in the JSON document."""
    state = rolled.state(name) if rolled else "planned"
    said: dict[str, Any] = {"environment": name, "ok": state != "failed", "state": state}
    said |= {"summary": summary(part.plans), "digest": approval(part.plans)}
    done = rolled.done.get(name) if rolled else None
    if done is None:
        return said | {"steps": [] if rolled else [plan.as_json() for plan in part.plans]}
    said["summary"]["changed"] = done.changed
    said |= {"exit": int(done.exit), "steps": done.steps, "checks": done.checks}
    return said | ({"error": done.error} if done.error else {})
