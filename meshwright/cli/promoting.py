"""What `meshwright promote` does when it writes: the file of values, the apply, and the way back.

In this order, so that a kill at any instant leaves nothing half: the note that a promotion is under way, its record,
the file (put in place whole), the apply (which has its own lock and record), the end of the record, that of the note.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright.cli import deploying
from meshwright.cli.child import Done
from meshwright.cli.common import places
from meshwright.cli.deploying import Plans
from meshwright.cli.output import Output, coloured
from meshwright.environment import Loaded, members
from meshwright.errors import BadInput, Exit, MeshwrightError, Refused
from meshwright.options import Options
from meshwright.project import Project
from meshwright.promotion import kept, underway
from meshwright.promotion.prepared import Prepared, file_of, prepare
from meshwright.promotion.recording import Writing
from meshwright.promotion.underway import File, Stage, Underway
from meshwright.records import Result, history
from meshwright.release import short
from meshwright.render import plan_lines
from meshwright.target import Target, write_atomically

__all__ = ["DEPLOY", "Ended", "back", "carry_out", "settle", "way_back"]

DEPLOY = "site"
"""What is applied: a release is the whole of an environment."""


@dataclass
class Ended:
    """How it ended: exit code, the apply, and what of it the JSON document has."""

    exit: Exit = Exit.OK
    done: Done | None = None
    error: dict[str, Any] | None = None
    restored: bool = False
    back: Plans | None = None


def settle(
    output: Output, project: Project, target: str, source: str, digest: str, *, apply: bool, looking: bool
) -> Underway | None:
    """What an earlier promotion to `target` has left: gives the one to go on with, None where there is none.

    With `looking` nothing is written. Raises Refused: it must be gone on with, or back, first.
    """
    left = underway.read(project, target)
    if left is None:
        return None
    now = left.file((project.root / file_of(target)).read_bytes())
    name = f"the promotion of {short(left.release)} from {left.source} to {target}"
    over = ""
    if left.stage is Stage.RESTORING and now is not File.OTHER:
        raise Refused(f"{name} was being taken back when it was interrupted", hint=_way(target))
    if now is File.BEFORE:
        over = f"{name} was interrupted before anything was changed"
        if left.stage is not Stage.WRITING:
            over = f"{name} did not hold, and {file_of(target)} is what it was before"
    elif now is File.OTHER:
        over = f"{file_of(target)} was changed since {name} was interrupted: that promotion is given up"
    elif not left.apply:
        over = f"{name} was interrupted when {file_of(target)} was written: it is whole"
    elif _holds(project, target, left):
        over = f"{name} was interrupted, and applied since"
    if over:
        output.human(over)
        if not looking:
            underway.end(project, target)
        return None
    if left.source == source and left.release == digest and apply:
        output.human(f"{name} was interrupted or failed; this goes on with it")
        return left
    how = "failed: it does not hold" if left.stage is Stage.FAILED else "was interrupted after its file was written"
    again = f"meshwright promote {left.source} {target} --release {short(left.release)} --apply"
    raise Refused(f"{name} {how}", hint=f"Go on: {again}. {_way(target)}")


def _way(target: str) -> str:
    return f"The way back: meshwright promote {target} --back"


def _holds(project: Project, target: str, left: Underway) -> bool:
    """Whether somebody has applied the release since, whole and with its checks."""
    with places(project, members(project, target), quiet=True) as found:
        return all(
            any(
                each.release == left.release
                and each.result is Result.OK
                and each.started > left.at
                and each.deploy == DEPLOY
                and each.checks
                for each in history.of(hosts, env).records
            )
            for env, hosts in found
        )


def carry_out(
    output: Output,
    project: Project,
    source: str,
    prepared: Prepared,
    options: Options,
    about: dict[str, Any],
    plans: Plans | None,
    left: Underway | None,
) -> Ended:
    """Writes the file, and with `plans` applies it and looks whether it holds. `about` goes into the record; `left` is
    what is gone on with."""
    target = prepared.loaded.env.environment
    path = project.root / file_of(target)
    with places(project, prepared.members_now, quiet=output.json) as found:
        writing = Writing(found, prepared, options.reason, about)
        previous, text = (left.previous, left.text) if left else _before(project, prepared, found[0][1])
        now = Underway(
            source,
            prepared.release.digest,
            previous,
            text,
            underway.sha(prepared.text.encode()),
            plans is not None,
            writing.id,
            writing.at,
        )
        underway.begin(project, target, now)
        writing.begin()
        if prepared.changes_file:
            _write(path, prepared.text)
            output.human(f"{file_of(target)} is written")
        if plans is None:
            writing.end(Result.OK)
            underway.end(project, target)
            return Ended()
        underway.begin(project, target, now, Stage.APPLYING)
        done = deploying.run(output, project, prepared.members, plans, DEPLOY, options)
        if done.exit is Exit.OK:
            writing.end(Result.OK, steps=done.steps, checks=done.checks)
            underway.end(project, target)
            return Ended(done=done)
        return _failed(output, project, prepared, writing, now, done)


def _before(project: Project, prepared: Prepared, hosts: Sequence[Target]) -> tuple[str, str]:
    """The release to go back to, and the file with it: what the file holds now, or, where it holds the new release
    already and that is only to be applied, the last one that was applied whole."""
    if prepared.changes_file:
        return prepared.previous, prepared.before
    env = prepared.now.env
    for record in history.of(hosts, env).records:
        other = record.release and record.release != prepared.release.digest
        if other and record.result is Result.OK and record.checks:
            try:
                found = prepare(project, env.environment, kept.find(hosts[0], env, record.release))
            except MeshwrightError:
                break  # it is no longer kept, or no longer fits: then there is none to go back to
            return record.release, found.text
    return prepared.previous, prepared.before


def _failed(output: Output, project: Project, prepared: Prepared, writing: Writing, now: Underway, done: Done) -> Ended:
    """The apply did not go well: nothing of it was done, or it does not hold."""
    rules, error = prepared.loaded.env.promotion, dict(done.error or {})
    target = prepared.loaded.env.environment
    message = str(error.get("message", ""))
    if done.exit is Exit.REFUSED and not done.changed and not any(each["state"] == "failed" for each in done.steps):
        _write(project.root / file_of(target), now.text)
        writing.end(Result.REFUSED, message, steps=done.steps)
        underway.end(project, target)
        output.human(f"nothing was applied, and {file_of(target)} is what it was before")
        return Ended(Exit.REFUSED, done, error)
    underway.begin(project, target, now, Stage.FAILED)
    code = Exit.PARTIAL if done.exit is Exit.PARTIAL else Exit.UNVERIFIED
    ended = Ended(code, done, {**error, "exit": int(code)})
    if rules is not None and rules.on_failure == "restore":
        output.human(f"it does not hold in {target}; {target} is put back")
        try:
            ended.restored = back(output, project, target, now).exit is Exit.OK
        except MeshwrightError as gone:
            output.human(f"error: {gone.message}")
        what = "file and cluster were put back" if ended.restored else "it could not be put back"
        output.human(what)
        writing.end(Result.FAILED, f"{message}; {what}", steps=done.steps, checks=done.checks)
        return ended
    writing.end(Result.FAILED, message, _way(target), steps=done.steps, checks=done.checks)
    output.human(f"{target} is left as it is now. {_way(target)}")
    try:
        ended.back = way_back(project, target, now, quiet=output.json)
    except MeshwrightError as gone:
        output.human(f"what going back would change could not be found out: {gone.message}")
    else:
        output.answer(["", f"The way back to {short(now.previous)}:"])
        output.answer(coloured(line) for line in plan_lines(ended.back.plans))
    return ended


def _options() -> Options:
    # The way back is never refused by a window (docs/windows.md).
    return Options(override=True, reason="back to the release before a promotion")


def way_back(project: Project, target: str, left: Underway, *, quiet: bool) -> Plans:
    """What going back would change. Raises what planning raises."""
    return deploying.plans_of(project, _earlier(project, target, left), DEPLOY, _options(), quiet=quiet)


def _earlier(project: Project, target: str, left: Underway) -> list[Loaded]:
    """The environment as it was before."""
    return members(project, target, left.text.encode())


def back(
    output: Output, project: Project, target: str, left: Underway, consent: Callable[[], None] | None = None
) -> Ended:
    """Puts the file back as it was before the promotion, and applies that.

    Raises BadInput: the file is neither what it was nor what the promotion wrote; what planning raises.
    """
    path = project.root / file_of(target)
    now = left.file(path.read_bytes())
    if now is File.OTHER:
        raise BadInput(
            f"{file_of(target)} was changed since the promotion of {short(left.release)}: it is not put back unseen",
            hint=f"See what `git diff {file_of(target)}` shows, put it right, and run `meshwright apply {target}`",
        )
    plans = way_back(project, target, left, quiet=output.json)
    if consent is not None:
        output.answer(coloured(line) for line in plan_lines(plans.plans))
        if plans.refusals:
            raise plans.refusals[0]
        consent()
    underway.begin(project, target, left, Stage.RESTORING)
    if now is File.AFTER:
        _write(path, left.text)
    done = deploying.run(output, project, _earlier(project, target, left), plans, DEPLOY, _options())
    if done.exit is Exit.OK:
        underway.end(project, target)
        return Ended(done=done)
    return Ended(done.exit, done, done.error)


def _write(path: Any, text: str) -> None:
    write_atomically(path, text.encode(), path.stat().st_mode & 0o777)
