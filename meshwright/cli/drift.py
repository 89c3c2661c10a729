"""`meshwright drift`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import partial

import click

from meshwright import deploy as deploys
from meshwright.cli.common import deploy_argument, environment_argument, json_option, targets
from meshwright.cli.output import Output, coloured
from meshwright.cli.several import in_each
from meshwright.drift import Drift, Touched, of
from meshwright.environment import Loaded
from meshwright.errors import BadInput, Exit
from meshwright.project import Project

__all__ = ["command"]

_SIGNS = {"added": "+", "changed": "~", "removed": "-"}
_WIDEST = 120


@click.command(
    "drift",
    help="Show what was changed from outside since DEPLOY (default: site) was applied in ENV, and by whom. Changes of "
    "your own that are not applied yet are no drift. Ends with 2 when there is any.",
    epilog="Example: meshwright drift lab",
)
@environment_argument
@deploy_argument
@json_option
def command(environment: str, deploy: str, as_json: bool) -> int:
    """Compares what each step has applied last with what is there."""
    output = Output(as_json, "drift", environment)
    return in_each(output, environment, partial(_looked, deploy=deploy))


def _looked(output: Output, project: Project, loaded: Loaded, deploy: str) -> int:
    environment = loaded.env.name
    steps = deploys.load(project, deploy)
    if not any(step.compare for step in steps):
        raise BadInput(
            f"the deploy {deploy} applies no objects that could drift", hint=f"`meshwright drift {environment}`"
        )
    found: list[Drift] = []
    with targets(project, loaded, quiet=output.json) as hosts:
        for target in hosts:
            found += of(target, loaded.env, steps)
    summary = _summary(found)
    drifted = summary["deleted"] + summary["changed"] > 0
    fine = not drifted and summary["checked"] > 0 and not summary["not_verified"]
    output.answer(coloured(line) for line in _lines(environment, deploy, found))
    output.document(ok=fine, summary=summary, steps=[each.as_json() for each in found])
    if not fine and not drifted and not summary["not_verified"]:
        output.human(
            f"hint: `meshwright apply {environment} {deploy}` keeps what it applies as soon as it changes anything"
        )
    return Exit.CHANGES if drifted else Exit.OK if fine else Exit.ERROR


def _summary(found: Sequence[Drift]) -> dict[str, int]:
    objects = [each for drift in found for each in drift.found]
    return {
        "checked": sum(drift.checked for drift in found),
        "deleted": sum(each.deleted for each in objects),
        "changed": sum(not each.deleted for each in objects),
        "fields": sum(len(each.fields) for each in objects),
        "pending": sum(drift.pending or 0 for drift in found),
        "not_verified": sum(bool(drift.not_verified) for drift in found),
    }


def _lines(environment: str, deploy: str, found: Sequence[Drift]) -> Iterator[str]:
    for drift in found:
        if drift.found or drift.notes or drift.not_verified or drift.interrupted:
            yield f"{drift.step}:"
        for each in drift.found:
            gone = ": deleted; nobody records by whom" if each.deleted else ""
            yield f"  {'-' if each.deleted else '~'} {each.kind} {each.name}{gone}"
            for field in each.fields:
                yield f"      {_SIGNS[field.how]} {field.path}: {_values(field)}{_who(field)}"
        if drift.not_verified:
            yield f"  not verified: {drift.not_verified}"
        if drift.interrupted:
            yield (
                f"  note: the run {drift.interrupted.record} was interrupted or failed; what it did, and what it did "
                "not come to, is no drift"
            )
        for note in drift.notes:
            yield f"  note: {note}"
    counts = _summary(found)
    if counts["pending"]:
        many = "1 object is" if counts["pending"] == 1 else f"{counts['pending']} objects are"
        yield f"Of your own, {many} changed and not applied; `meshwright plan {environment} {deploy}` shows that."
    if not counts["checked"] and not counts["not_verified"]:
        yield "0 checked: nothing was applied here yet, as far as is known."
    else:
        yield f"Drift: {counts['deleted']} deleted, {counts['changed']} changed; {counts['checked']} objects checked."


def _values(field: Touched) -> str:
    if field.added:
        return _value(field.after)
    return f"{_value(field.before)} -> {'(removed)' if field.after is None else _value(field.after)}"


def _value(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _who(field: Touched) -> str:
    if not field.manager:
        return "  (nobody records by whom)"
    time = f", {field.time.replace('T', ' ').replace('Z', ' UTC')}" if field.time else ""
    return f"  ({field.manager}{time})"
