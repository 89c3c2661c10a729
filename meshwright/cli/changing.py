"""The body of every command that changes something: plan, show, refuse, ask, run the deploy, say how it ended.

A new one is a module with a click command that makes an `Output`, opens the environment, puts what was typed into
`Options`, and returns what `change` returns:

    output = Output(as_json, "nameplate", environment)
    project, loaded = opened(environment)
    options = Options(reason=reason, override=override)
    return change(
        output, project, loaded, "nameplate", options, plan_only=plan_only, consent=lambda: ask(loaded.env, yes=yes)
    )

What it does to the environment is in the steps of deploys/nameplate.py, because pyinfra runs that file too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from meshwright.cli.child import Done, run_deploy
from meshwright.cli.output import Output, coloured
from meshwright.cli.plan import document
from meshwright.cli.planned import planned
from meshwright.environment import Loaded
from meshwright.errors import Exit
from meshwright.options import Options
from meshwright.plan import approval
from meshwright.project import Project
from meshwright.render import plan_lines, summary
from meshwright.saved import Saved

__all__ = ["change"]


def change(
    output: Output,
    project: Project,
    loaded: Loaded,
    deploy: str,
    options: Options,
    *,
    plan_only: bool,
    consent: Callable[[], None],
    kept: Saved | None = None,
    checks: bool = False,
    parts: Callable[[Done], Mapping[str, Any]] | None = None,
) -> int:
    """Plans `deploy` with `options`, shows the plan, and does exactly that; gives the exit code.

    In this order: with `plan_only` it stops after the plan; what the plan is refused for is raised; where there is
    nothing to do it ends with 0; `consent` asks a person (`meshwright.cli.consent`) and raises where that is a no;
    pyinfra runs the deploy with the digests that were approved; and the JSON document says what was done.

    `kept` is a saved plan: it must be what would be done now, and nobody is asked. With `checks` the deploy is run
    although nothing would be changed, when a step of it only looks; and the document has what the checks found.
    `parts` gives what else the document has, from how the run ended.

    Raises what planning and consent raise; Refused: what the plan is refused for, or the saved plan is stale.
    """
    made = planned(project, loaded, deploy, options, quiet=output.json, admit=True, saving=kept is not None)
    plans = made.plans
    output.answer(coloured(line) for line in plan_lines(plans))
    # Only now: a refusal is about something that the plan shows.
    if kept:
        kept.same_as(made.cluster, plans)
    if plan_only:
        document(output, plans, digests=made.approved)
        return Exit.OK
    if made.refusals:
        raise made.refusals[0]
    if not made.changes and not (checks and made.checks):
        output.document(ok=True, summary=summary(plans), steps=[], digest=approval(plans))
        return Exit.OK
    if made.changes and not kept:
        consent()
    data = options.data(made.approved)
    done = run_deploy(project, loaded.env.name, deploy.replace("-", "_"), data, say=output.human)
    output.document(
        ok=done.exit is Exit.OK,
        summary={**summary(plans), "changed": done.changed},
        steps=done.steps,
        **({"checks": done.checks} if checks else {}),
        digest=approval(plans),
        **(parts(done) if parts else {}),
        **({"error": done.error} if done.error else {}),
    )
    return done.exit
