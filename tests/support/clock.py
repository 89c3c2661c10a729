"""A clock for tests of what waits."""

from __future__ import annotations

from typing import Any


class Clock:
    """Time that passes only by sleeping; `events` happen at their second."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events: list[tuple[float, Any]] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        while self.events and self.events[0][0] <= self.now:
            self.events.pop(0)[1]()
