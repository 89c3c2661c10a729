"""The gates of a promotion: what must hold first, each with its sentence. Which there are is in the environment's
`promotion`; all of them are looked at, so that a person sees at once what is missing."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from meshwright import cluster, drift
from meshwright.environment import Environment
from meshwright.environment.promotion import Promotion
from meshwright.errors import MeshwrightError, Refused
from meshwright.project import Project
from meshwright.promotion import approvals, checkout
from meshwright.promotion.source import Applied
from meshwright.release import short
from meshwright.step import Step
from meshwright.target import Target
from meshwright.windows import gate, words
from meshwright.windows.calendar import Calendar
from meshwright.windows.patterns import duration

__all__ = ["Asked", "Gated", "Place", "State", "first_refusal", "look"]

Place = tuple[Environment, Sequence[Target]]
"""A cluster and its hosts."""

_SKEW = dt.timedelta(minutes=5)


class State(StrEnum):
    """How a gate stands."""

    OPEN = "open"
    CLOSED = "closed"
    SKIPPED = "skipped"
    LATER = "at apply"


@dataclass(frozen=True)
class Gated:
    """One gate. `text` is a clause that says how it stands, `hint` what to do where it is closed."""

    gate: str
    state: State
    text: str
    hint: str = ""

    def as_json(self) -> dict[str, str]:
        """What `--json` shows."""
        return {"gate": self.gate, "state": self.state.value, "text": self.text, "hint": self.hint}


@dataclass(frozen=True)
class Asked:
    """A promotion as it was asked for: the digest of the release, from where to where (one
    cluster of each, where there are several). `apply` is whether the cluster
    is changed too, `skip` why the order may be left out, `signatures` the files with approvals."""

    project: Project
    source: Environment
    target: Environment
    digest: str
    current: bool
    """Whether the release is what the files of the source hold now."""
    apply: bool
    skip: str = ""
    override: bool = False
    signatures: tuple[str, ...] = ()


def look(
    asked: Asked, applied: Callable[[], Applied], places: Sequence[Place], steps: Sequence[Step]
) -> tuple[list[Gated], list[str]]:
    """How each gate stands, and who has approved. `applied` finds out about the source; `places` are the
    clusters of the target with their hosts, `steps` what would be applied there. Raises what the signatures are
    refused for."""
    rules = asked.target.promotion or Promotion()
    found = list(_order(asked, rules))
    about: Applied | None = None
    if rules.applied or rules.soak or rules.approvals:
        about = applied()
    if rules.applied and about is not None:
        state = State.CLOSED if about.refused else State.OPEN
        found.append(Gated("applied", state, about.refused or about.how, about.hint))
    if rules.soak is not None and about is not None:
        found.append(_soak(asked, rules.soak, about))
    who: list[str] = []
    if rules.approvals is not None:
        who, gated = _approved(asked, rules, about)
        found.append(gated)
    found += _window(asked)
    found += _drift(asked, rules, places, steps)
    return found, who


def first_refusal(found: Sequence[Gated]) -> Refused | None:
    """The error for the first gate that is closed."""
    closed = [each for each in found if each.state is State.CLOSED]
    if not closed:
        return None
    more = f" (and {len(closed) - 1} more: {', '.join(each.gate for each in closed[1:])})" if len(closed) > 1 else ""
    return Refused(f"{closed[0].text}{more}", hint=closed[0].hint)


def _order(asked: Asked, rules: Promotion) -> Iterator[Gated]:
    source, target = asked.source.environment, asked.target.environment
    if rules.from_ is None or rules.from_ == source:
        if rules.from_:
            yield Gated("order", State.OPEN, f"{target} takes releases from {source}")
        return
    if asked.skip:
        yield Gated("order", State.SKIPPED, f"{rules.from_} is left out: {asked.skip}")
        return
    hint = f"Promote it to {rules.from_} first; or leave that out with --skip REASON, which is recorded"
    yield Gated("order", State.CLOSED, f"{target} takes releases from {rules.from_}, not from {source}", hint)


def _soak(asked: Asked, wanted: str, about: Applied) -> Gated:
    source, needed, now = asked.source.environment, duration(wanted), gate.now()
    if about.since is not None and about.since > now + _SKEW:
        text = f"the clock reads {words.moment(now, dt.UTC)}, but {source} applied the release "
        text += words.moment(about.since, dt.UTC)
        return Gated("soak", State.CLOSED, text, "Soak time needs the right time: set the clock of this machine")
    lasted = about.lasted(now)
    if about.refused or lasted is None:
        return Gated("soak", State.CLOSED, f"nobody knows since when it is in {source}", about.hint)
    if lasted >= needed:
        return Gated("soak", State.OPEN, f"it has been in {source} for {words.rough(lasted)}")
    text = f"it has been in {source} for {words.rough(lasted)}, and must be there for {words.rough(needed)}"
    if about.until is not None:
        return Gated("soak", State.CLOSED, f"{text}; another release is there by now", f"Apply it in {source} again")
    assert about.since is not None
    return Gated("soak", State.CLOSED, text, f"It has been long enough at {words.moment(about.since + needed, dt.UTC)}")


def _approved(asked: Asked, rules: Promotion, about: Applied | None) -> tuple[list[str], Gated]:
    assert rules.approvals is not None
    root, name = asked.project.root, asked.target.environment
    signed = approvals.approvers(root, rules.approvals.signers, name, asked.digest, asked.signatures)
    try:
        wrote = _authors(asked, about)
    except MeshwrightError as error:
        return signed, Gated("approvals", State.CLOSED, error.message, error.hint)
    counted = approvals.others(signed, wrote)
    count = rules.approvals.count
    if len(counted) >= count:
        return counted, Gated("approvals", State.OPEN, f"approved by {', '.join(counted)}")
    own = [who for who in signed if who not in counted]
    text = f"{short(asked.digest)} needs {count} approval{'s' if count > 1 else ''} and has {len(counted)}"
    if own:
        text += f"; {', '.join(own)} wrote the change"
    return counted, Gated(
        "approvals", State.CLOSED, text, f"{approvals.signing(name, asked.digest)}; then --approval approval.sig"
    )


def _authors(asked: Asked, about: Applied | None) -> set[str]:
    root, file = asked.project.root, f"group_data/{asked.source.environment}.yaml"
    if not checkout.here(root):
        raise Refused("nobody knows who wrote the change: the project folder is no Git checkout")
    if asked.current:
        if checkout.changed(root, file):
            raise Refused(
                f"nobody knows who wrote the change: {file} has changes that are not in a commit", hint="Commit them"
            )
        return checkout.authors(root, file)
    commit = about.record.commit if about is not None and about.record is not None else None
    if not commit or commit.get("dirty"):
        raise Refused(f"nobody knows who wrote the change: no record says from which commit {short(asked.digest)} is")
    return checkout.authors(root, file, str(commit["id"]))


def _window(asked: Asked) -> Iterator[Gated]:
    if asked.target.windows is None:
        return
    if not asked.apply:
        yield Gated("window", State.LATER, "it is asked when the release is applied")
        return
    calendar, now = Calendar.of(asked.target.windows), gate.now()
    state = calendar.state(now)
    if state.opening is not None:
        end = f" until {words.moment(state.opening.end, calendar.zone)}" if state.opening.end else ""
        yield Gated("window", State.OPEN, f"{asked.target.environment} is open{end}")
    elif asked.override:
        yield Gated("window", State.SKIPPED, f"{asked.target.environment} is closed: {state.closed_by}; overridden")
    else:
        following = next(calendar.usable(now), None)
        hint = f"The next opening is {words.stretch(following, calendar.zone)}. " if following else ""
        text = f"{asked.target.environment} is closed for changes: {state.closed_by}"
        yield Gated("window", State.CLOSED, text, f"{hint}Wait for it, or use --override --reason TEXT")


def _drift(asked: Asked, rules: Promotion, places: Sequence[Place], steps: Sequence[Step]) -> Iterator[Gated]:
    name = asked.target.environment
    if not asked.apply:
        yield Gated("drift", State.LATER, "it is looked for when the release is applied")
        return
    names, checked = [], 0
    for env, host in ((env, host) for env, hosts in places for host in hosts):
        if cluster.session(host, env) is None:
            continue  # there is provably none, so nothing in it either
        for each in drift.of(host, env, steps):
            if each.not_verified:
                text = f"whether somebody has changed {each.step} in {env.name} is not known: {each.not_verified}"
                yield Gated("drift", State.CLOSED, text, f"`meshwright drift {env.name}` says more")
                return
            checked += each.checked
            # What others added to an object stays there.
            names += [
                f"{one.kind} {one.name}" for one in each.found if one.deleted or any(not f.added for f in one.fields)
            ]
    if not names:
        yield Gated("drift", State.OPEN, f"{checked} objects of {name} are as they were applied")
        return
    listed = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    if rules.drift == "overwrite":
        yield Gated("drift", State.SKIPPED, f"what somebody has changed in {name} is overwritten: {listed}")
        return
    hint = f"`meshwright drift {name}` shows it. Take it into the values, or put it back with `meshwright apply {name}`"
    yield Gated("drift", State.CLOSED, f"somebody has changed {name} from outside: {listed}", hint)
