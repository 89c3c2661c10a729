"""The container engine that k3d works with: the user's own, or the lab's dockerd."""

from __future__ import annotations

from dataclasses import dataclass

from meshwright.environment import Environment
from meshwright.errors import Unreachable
from meshwright.target import Target

__all__ = ["Found", "find"]


@dataclass(frozen=True)
class Found:
    """An engine that answers. `environ` is what docker and k3d need to find it: {} or {"DOCKER_HOST": ...}."""

    kind: str
    environ: dict[str, str]
    why: str


def find(target: Target, env: Environment) -> Found | None:
    """The engine of `env`, asked once per run. None: it is the lab's own and provably does not run (the step `engine`
    starts it). Raises Unreachable: the engine that was chosen does not answer, and it is not ours to start."""
    raise Unreachable(f"no engine for {env.name} on {target.name}")  # replaced by the engine step
