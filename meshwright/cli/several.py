"""Commands that look at all clusters of an environment, one after the other, where it has several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from meshwright import fanout
from meshwright.cli.output import Output, report
from meshwright.environment import Loaded, members
from meshwright.errors import MeshwrightError
from meshwright.project import Project

__all__ = ["Part", "heading", "in_each", "named", "summed"]


@dataclass
class Part(Output):
    """The output for one of several clusters: `kept` is its JSON document, which becomes a part of the whole one."""

    kept: dict[str, Any] = field(default_factory=dict)

    def document(self, *, ok: bool, summary: dict[str, Any], **parts: Any) -> None:
        """Keeps the answer for programs, the first that is given."""
        if not self.kept:
            self.kept = {"environment": self.environment, "ok": ok, "summary": summary, **parts}


def in_each(output: Output, environment: str, look: Callable[[Output, Project, Loaded], int]) -> int:
    """Runs `look` for the environment, or for each of its clusters where it has several; gives the exit code.

    Of several, each has its own section under its name, and in the JSON document its own part of `clusters`; an error
    of one is reported there and keeps nobody from looking at the others. The code is the one of
    `meshwright.fanout.worst`.
    """
    project = Project.find()
    found = members(project, environment)
    if len(found) == 1:
        return look(output, project, found[0])
    codes: dict[str, int] = {}
    parts: dict[str, dict[str, Any]] = {}
    for loaded in found:
        name = loaded.env.name
        part = Part(output.json, output.command, name)
        output.answer(heading(name, first=not codes))
        try:
            codes[name] = look(part, project, loaded)
        except MeshwrightError as error:
            report(part, named(error, name))
            codes[name] = int(error.exit_code)
        parts[name] = {**part.kept, "exit": codes[name]}
    code = fanout.worst(codes.values())
    odd = {name: one for name, one in codes.items() if one}
    said = ", ".join(f"{name} ended with {one}" for name, one in odd.items())
    output.answer(["", f"{len(found)} clusters of {environment}: {said or 'all ended with 0'}."])
    output.document(
        ok=all(part["ok"] for part in parts.values()),
        summary={**summed(part["summary"] for part in parts.values()), "clusters": len(found)},
        clusters=list(parts.values()),
    )
    return code


def named(error: MeshwrightError, name: str) -> MeshwrightError:
    """The same error, with the cluster that it is about at its beginning."""
    if not error.message.startswith(name):
        error.message = f"{name}: {error.message}"
    return error


def heading(name: str, *, first: bool) -> list[str]:
    """What stands above the section of one cluster."""
    return ([] if first else [""]) + [f"== {name}"]


def summed(summaries: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    """The numbers of several summaries together."""
    total: Counter[str] = Counter()
    for summary in summaries:
        total.update({key: value for key, value in summary.items() if isinstance(value, int)})
    return dict(total)
