"""`meshwright history`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import click

from meshwright.cli.common import environment_argument, json_option, targets
from meshwright.cli.output import Output, coloured, table
from meshwright.cli.several import in_each
from meshwright.environment import Loaded
from meshwright.errors import BadInput, Exit
from meshwright.project import Project
from meshwright.promotion.kept import known
from meshwright.promotion.words import Differing, between
from meshwright.records import Record
from meshwright.records.history import History, of
from meshwright.release import parse, short
from meshwright.render import plan_lines

__all__ = ["command"]

_HEAD = ("id", "when (UTC)", "who", "deploy", "result", "+", "~", "-", "seconds", "commit")
_NUMBERS = frozenset({"+", "~", "-", "seconds"})
_SHORT = 7
_NAMED = 5


@click.command(
    "history",
    help="Show what changed ENV: who, when, why, the plan, and how it ended; with ID, or the beginning of one, that "
    "record whole; with two, what changed from the values of the one to those of the other.",
    epilog="Example: meshwright history lab --limit 5",
)
@environment_argument
@click.argument("record", metavar="[ID]", required=False)
@click.argument("other", metavar="[ID]", required=False)
@json_option
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="Show the newest N.")
def command(environment: str, record: str | None, other: str | None, as_json: bool, limit: int) -> int:
    """Merges the file on the host and what the cluster has; the file alone where the cluster cannot be asked."""
    output = Output(as_json, "history", environment)
    return in_each(output, environment, partial(_shown, record=record, other=other, limit=limit))


def _shown(output: Output, project: Project, loaded: Loaded, record: str | None, other: str | None, limit: int) -> int:
    environment = loaded.env.name
    with targets(project, loaded, quiet=output.json) as hosts:
        history = of(hosts, loaded.env)
        there = known(hosts[0], loaded.env) if other is not None else {}
    if history.not_asked:
        output.human(f"the cluster was not asked: {history.not_asked}")
    for sentence in history.spoilt[:_NAMED]:
        output.human(f"left out: {sentence}")
    if history.cut > _NAMED:
        output.human(f"left out: {history.cut - _NAMED} more")
    if history.cut:
        output.human("hint: what is left out spoils no other record; it may be deleted")
    parts: dict[str, Any] = {}
    if record is not None and other is not None:
        pair = sorted((_chosen(history, record), _chosen(history, other)), key=lambda each: (each.started, each.id))
        differences = _between(pair, there)
        since = [each for each in history.records if pair[0].started <= each.started <= pair[1].started]
        records = since
        output.answer(_said(pair, differences, since))
        parts["differences"] = [each.as_json() for each in differences]
    elif record is None:
        records = list(history.records[:limit])
        if records:
            output.answer(table(_HEAD, map(_row, records), _NUMBERS))
        else:
            output.answer([f"no run has changed {environment} yet, as far as is known"])
        left_out = len(history.records) - len(records)
        if left_out:
            output.human(f"{left_out} older records are not shown; --limit shows more")
    else:
        records = [_chosen(history, record)]
        output.answer(_whole(records[0]))
    output.document(
        ok=True,
        summary={"checked": len(history.records), "shown": len(records), "cut": history.cut},
        cluster={"asked": not history.not_asked, "why": history.not_asked or None},
        left_out=list(history.spoilt),
        records=[each.as_json() for each in records],
        **parts,
    )
    return Exit.OK


def _chosen(history: History, beginning: str) -> Record:
    found = [each for each in history.records if each.id.startswith(beginning)]
    if len(found) == 1:
        return found[0]
    if found:
        raise BadInput(
            f"{len(found)} records begin with {beginning!r}",
            hint=f"Say more of it: {', '.join(r.id for r in found[:5])}",
        )
    newest = ", ".join(each.id for each in history.records[:3])
    raise BadInput(
        f"no record begins with {beginning!r}", hint=f"The newest are {newest}" if newest else "There are none"
    )


def _between(pair: Sequence[Record], there: Mapping[str, str]) -> list[Differing]:
    """What differs between the releases that two records have. Raises BadInput: one has none, or it is not kept."""
    found = []
    for each in pair:
        if not each.release:
            raise BadInput(f"{each.id} has no release: it applied no values", hint="Name records of an apply")
        if each.release not in there:
            raise BadInput(
                f"the release {short(each.release)} of {each.id} is no longer kept",
                hint="The newest ones are; the commit of a record has its values too",
            )
        found.append(parse(there[each.release].encode(), each.release))
    before, after = found
    return between(before.values, after.values, (before.files, after.files))


def _said(pair: Sequence[Record], differences: Sequence[Differing], since: Sequence[Record]) -> Iterator[str]:
    before, after = pair
    yield f"from {before.id} ({short(before.release)}) to {after.id} ({short(after.release)})"
    for each in differences:
        yield from (coloured(f"  {line}") for line in each.lines())
    if not differences:
        yield "  their values are the same"
    yield ""
    yield from table(_HEAD, map(_row, since), _NUMBERS)


def _row(record: Record) -> tuple[str, ...]:
    counts = record.summary
    return (
        record.id,
        record.started[:16].replace("T", " "),
        _who(record),
        record.deploy or "-",
        record.result.value,
        str(counts["add"]),
        str(counts["change"]),
        str(counts["destroy"]),
        "-" if record.seconds is None else f"{record.seconds:.1f}",
        _commit(record),
    )


def _who(record: Record) -> str:
    """USER@MACHINE; the user who used sudo rather than the one whom they became."""
    who = record.who
    return f"{who.get('sudo_user') or who.get('user') or '?'}@{who.get('machine') or '?'}"


def _commit(record: Record) -> str:
    """The commit in short, with a star where the folder differed from it."""
    if not record.commit:
        return "-"
    return str(record.commit["id"])[:_SHORT] + ("*" if record.commit["dirty"] else "")


def _whole(record: Record) -> Iterator[str]:
    yield f"{record.id}: {record.result.value}" + (f": {record.message}" if record.message else "")
    for name, text in _details(record):
        if text:
            yield f"  {name:<9}{text}"
    for note in record.notes:
        yield f"  note: {note}"
    for line in plan_lines(record.plans):
        yield coloured(line)


def _details(record: Record) -> Iterator[tuple[str, str]]:
    who, commit = record.who, record.commit
    yield "hint", record.hint
    started, ended = (text[:19].replace("T", " ") for text in (record.started, record.ended or ""))
    took = f" to {ended[11:]} ({record.seconds:.1f} s)" if record.seconds is not None else ", no end is known"
    yield "when", f"{started} UTC{took}"
    sudo = f", by sudo from {who['sudo_user']}" if who.get("sudo_user") else ""
    known = f", {who['kubernetes']} in the cluster" if who.get("kubernetes") else ""
    yield "who", f"{who.get('user') or '?'} on {who.get('machine') or '?'}{sudo}{known}"
    yield "why", record.reason
    yield "window", record.window
    yield "what", f"deploy {record.deploy or '?'}, by {record.program or '?'}"
    dirty = ", and changes that were not in it" if commit and commit["dirty"] else ""
    yield "commit", f"{commit['id']}{dirty}" if commit else "not known"
    yield "release", record.release
    if record.promotion:
        approved = ", ".join(record.promotion.get("approved_by") or ())
        yield "promoted", f"from {record.promotion.get('from')}" + (f", approved by {approved}" if approved else "")
        yield "skipped", str(record.promotion.get("skip") or "")
    yield "approved", record.approved or ""
    yield "cluster", record.cluster or ""
    for index, step in enumerate(record.steps):
        took = "" if step["seconds"] is None else f" ({step['seconds']:.1f} s)"
        kept = f", its objects are kept as {step['kept'][:19]}" if step.get("kept") else ""
        yield "" if index else "steps", f"{step['step']}: {step['state']}{took}{kept}"
    failed = [each for each in record.checks if each["state"] != "ok"]
    if record.checks:
        yield "checks", f"{len(record.checks)} made, {len(failed)} of them not ok"
    for each in failed:
        yield "", f"{each['check']}: {each['state']}: {each.get('detail') or 'no more is known'}"
