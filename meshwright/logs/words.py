"""Lines of logs as they are shown and as JSON."""

from __future__ import annotations

import datetime as dt
from typing import Any

from meshwright.logs import flags
from meshwright.logs.line import Access, Line

__all__ = ["as_json", "shown"]

# Envoy's word for an answer of the upstream, which says nothing that the code does not.
_ORDINARY = frozenset({"", "via_upstream"})


def _time(at: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(at / 10**9, dt.UTC)


def shown(line: Line) -> str:
    """A line for people: time (UTC), pod, and what happened in words."""
    said = line.text if line.access is None else _access(line.access)
    return f"{_time(line.when):%H:%M:%S.%f}"[:-3] + f"  {line.pod}  {said}"


def _access(said: Access) -> str:
    head = f"{said.method} {said.path}" if said.method else "connection"
    parts = [head, str(said.code) if said.method else ""]
    parts.append(f"{said.ms} ms" if said.ms is not None else "")
    why = [flags.in_words(said.flags)]
    if said.failed:
        why += [said.details.replace("_", " ") if said.details not in _ORDINARY else "", said.failure]
    names = ",".join(said.flags)
    reasons = "; ".join(each for each in why if each)
    parts.append(f"{names}: {reasons}" if names else reasons)
    parts.append(f"-> {said.cluster or said.upstream}" if said.cluster or said.upstream else "")
    return "  ".join(part for part in parts if part)


def as_json(line: Line) -> dict[str, Any]:
    """A line for programs: `time` (RFC 3339, nanoseconds kept in the text), `pod`, `text`, and `access` (null for a
    line that is none) with `flags` beside `flags_in_words`."""
    whole, fraction = divmod(line.when, 10**9)
    moment = dt.datetime.fromtimestamp(whole, dt.UTC)
    said = line.access
    return {
        "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{fraction:09d}Z",
        "pod": line.pod,
        "text": line.text,
        "access": None
        if said is None
        else {
            "method": said.method,
            "path": said.path,
            "protocol": said.protocol,
            "code": said.code,
            "flags": list(said.flags),
            "flags_in_words": flags.in_words(said.flags),
            "details": said.details,
            "failure": said.failure,
            "ms": said.ms,
            "authority": said.authority,
            "upstream": said.upstream,
            "cluster": said.cluster,
            "downstream": said.downstream,
            "request_id": said.request_id,
            "route": said.route,
            "failed": said.failed,
        },
    }
