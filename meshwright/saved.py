"""Saved plans: what was seen and approved, in a file, for an apply that does exactly that.

The checksum tells an edited or cut file from a whole one. It is no signature: who can write the file can approve.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meshwright.errors import BadInput, Refused
from meshwright.plan import Plan, approval, digest
from meshwright.wording import some

__all__ = ["FORMAT", "Saved", "content", "parse"]

FORMAT = 1
"""The format of the file. One with a higher number is of a newer Meshwright, and not read."""


@dataclass(frozen=True)
class Saved:
    """A saved plan. `cluster` is the uid of the cluster that it was made for; None where the deploy does not talk to
    one, or there was none. `created` is a time as ISO 8601 writes it, in UTC. `steps` are plans as `Plan.as_json` gives
    them, `adopt` the objects that are taken over."""

    environment: str
    deploy: str
    cluster: str | None
    created: str
    digest: str
    steps: tuple[dict[str, Any], ...]
    adopt: tuple[str, ...] = ()

    def meant_for(self, environment: str, deploy: str) -> None:
        """Raises Refused: the plan is for another environment or deploy."""
        if (self.environment, self.deploy) != (environment, deploy):
            raise Refused(
                f"this plan is for {self.environment} {self.deploy}, not for {environment} {deploy}",
                hint=f"Apply it with `meshwright apply {self.environment} {self.deploy} --saved FILE`",
            )

    def same_as(self, cluster: str | None, plans: Sequence[Plan]) -> None:
        """Raises Refused: what `plans` would do now, in this cluster, is not what was saved."""
        again = f"Look at it again: `meshwright plan {self.environment} {self.deploy} --out FILE`"
        if self.cluster != cluster:
            made = f"for the cluster with uid {self.cluster}" if self.cluster else "when there was no cluster"
            now = f"what answers now has uid {cluster}" if cluster else "there is none now"
            raise Refused(f"the saved plan was made {made}, and {now}", hint=again)
        if self.digest != approval(plans):
            raise Refused(
                f"the saved plan of {self.created} is stale: {'; '.join(self._differences(plans))}", hint=again
            )

    def _differences(self, plans: Sequence[Plan]) -> list[str]:
        names, now = [step["step"] for step in self.steps], [plan.step for plan in plans]
        if names != now:
            return [f"its steps were {', '.join(names)}, now they are {', '.join(now)}"]
        pairs = zip(self.steps, plans, strict=True)
        return [_difference(before, plan) for before, plan in pairs if before["digest"] != plan.digest]


def _difference(before: dict[str, Any], now: Plan) -> str:
    if now.empty:
        return f"{now.step} has nothing left to do"
    if now.after:
        return f"{now.step} is only known after {now.after}"
    was, is_ = ({_key(change) for change in changes} for changes in (before["changes"], now.as_json()["changes"]))
    differ = sorted(was ^ is_)
    if not differ:
        return f"what {now.step} would do has changed"
    return f"{now.step} differs in {some(differ, 1)}"


def _key(change: dict[str, Any]) -> str:
    return f"{change['kind']} {change['name']}"


def content(saved: Saved) -> bytes:
    """The file."""
    body = {
        "format_version": FORMAT,
        "environment": saved.environment,
        "deploy": saved.deploy,
        "cluster": saved.cluster,
        "created": saved.created,
        "digest": saved.digest,
        "adopt": sorted(saved.adopt),
        "steps": list(saved.steps),
    }
    return (json.dumps({**body, "checksum": digest(body)}, indent=2, ensure_ascii=False) + "\n").encode()


def parse(data: bytes, name: str) -> Saved:
    """The saved plan in a file whose name for people is `name`.

    Raises BadInput: it is not one, it was written by a newer Meshwright, or it is not as it was written.
    """
    try:
        body = json.loads(data)
        version, checksum = body["format_version"], body.pop("checksum")
        if not isinstance(version, int):
            raise TypeError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise BadInput(
            f"{name} is not a saved plan", hint="`meshwright plan ENV [DEPLOY] --out FILE` writes one"
        ) from None
    if version > FORMAT:
        raise BadInput(
            f"{name} was saved by a newer Meshwright: its format is {version}, this one reads {FORMAT}",
            hint="Apply it with that one, or save the plan again with this one",
        )
    try:
        if checksum != digest(body):
            raise ValueError
        steps = tuple(body["steps"])
        [Plan.of_json(step) for step in steps]
        adopt = tuple(map(str, body["adopt"]))
        return Saved(
            body["environment"], body["deploy"], body["cluster"], body["created"], body["digest"], steps, adopt
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BadInput(
            f"{name} is not as it was saved: its checksum does not match", hint="Save the plan again"
        ) from None
