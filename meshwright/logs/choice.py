"""Which pods' logs, and which of their lines."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from meshwright import pods
from meshwright.errors import BadInput
from meshwright.logs.line import Line

__all__ = ["Filter", "milliseconds", "of_workload", "seconds"]

Object = dict[str, Any]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_IN_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


@dataclass(frozen=True)
class Filter:
    """Which lines are wanted. Each narrows; a line that is no access log line is wanted only where none is given."""

    errors: bool = False
    path: str = ""
    slow: int | None = None
    """Milliseconds; requests that took as long or longer."""

    @property
    def any(self) -> bool:
        """Whether it leaves anything out."""
        return self.errors or bool(self.path) or self.slow is not None

    def takes(self, line: Line) -> bool:
        """Whether a line is wanted."""
        if not self.any:
            return True
        said = line.access
        if said is None or (self.errors and not said.failed) or not said.path.startswith(self.path):
            return False
        return self.slow is None or (said.ms or 0) >= self.slow


def milliseconds(text: str) -> int:
    """A duration such as 500ms, 2s, 1m, 1.5h. Raises BadInput."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise BadInput(f"{text!r} is not a duration", hint="A number and its unit: ms, s, m, h or d, such as 500ms")
    return round(float(found[1]) * _IN_MS[found[2]])


def seconds(text: str) -> float:
    """The same, in seconds."""
    return milliseconds(text) / 1000


def of_workload(listed: Sequence[Object], wanted: str, namespace: str = "") -> list[Object]:
    """The pods with a proxy that `wanted` means: a workload, a pod, or the value of the label `app`, as NAME or
    NAMESPACE/NAME; all of them where it is empty. Raises BadInput naming the nearest: there is none."""
    with_proxy = [pod for pod in listed if pods.proxy(pod) is not None]
    space, _, name = wanted.rpartition("/")
    space = space or namespace
    if space:
        with_proxy = [pod for pod in with_proxy if pod["metadata"]["namespace"] == space]
    if not name:
        if space and not with_proxy:
            raise BadInput(f"no pod in namespace {space} has a proxy", hint="`kubectl get pods -A` shows the pods")
        return with_proxy
    found = [pod for pod in with_proxy if name in _names(pod)]
    if not found:
        known = sorted({f"{pod['metadata']['namespace']}/{pods.workload(pod)[1]}" for pod in with_proxy})
        near = difflib.get_close_matches(wanted if "/" in wanted else name, _short(known, wanted), 1, 0.5)
        where = f" in namespace {namespace}" if namespace else ""
        raise BadInput(
            f"no pod with a proxy belongs to a workload {wanted!r}{where}",
            hint=(f"Did you mean {near[0]}? " if near else "")
            + f"Workloads with a proxy: {', '.join(known[:20])}{' ...' if len(known) > 20 else ''}",
        )
    return found


def _names(pod: Object) -> set[str]:
    return {pod["metadata"]["name"], pods.workload(pod)[1], (pod["metadata"].get("labels") or {}).get("app", "")}


def _short(known: Sequence[str], wanted: str) -> list[str]:
    return list(known) if "/" in wanted else [name.rpartition("/")[2] for name in known]
