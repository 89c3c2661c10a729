"""A promotion as Markdown, for a review."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshwright.promotion.gates import Gated, State
from meshwright.promotion.prepared import Prepared

__all__ = ["lines"]


def lines(source: str, target: str, prepared: Prepared, gates: Sequence[Gated]) -> Iterator[str]:
    """What changes, the gates, and what stays."""
    yield f"## {source} to {target}"
    yield ""
    yield f"Release `{prepared.release.digest}`, after `{prepared.previous}`."
    yield ""
    if prepared.differences:
        yield "| | what | before | after |"
        yield "|---|---|---|---|"
    else:
        yield f"{target} holds this release already."
    for each in prepared.differences:
        yield f"| `{each.action.value}` | **{_cell(f'{each.kind} {each.name}'.strip())}** | | |"
        for said in each.said:
            yield f"| | {_cell(said.what)} | {_value(said.before)} | {_value(said.after)} |"
    if gates:
        yield ""
        yield "| gate | | |"
        yield "|---|---|---|"
    for gate in gates:
        text = f"{gate.text}. {gate.hint}" if gate.hint and gate.state is State.CLOSED else gate.text
        yield f"| {gate.gate} | {gate.state.value} | {_cell(text)} |"
    if prepared.stays:
        yield ""
        yield f"Stays as it is in {target}: {', '.join(f'`{each}`' for each in prepared.stays)}."


def _value(value: object) -> str:
    if value is None:
        return ""
    return f"`{_cell(', '.join(map(str, value)) if isinstance(value, list) else str(value))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
