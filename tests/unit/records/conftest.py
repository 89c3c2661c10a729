"""Entries as a run writes them."""

from __future__ import annotations

from typing import Any

import pytest

from meshwright.holder import Holder

ENTRY = dict[str, Any]
CHANGE = {
    "action": "add",
    "kind": "Deployment",
    "name": "istio-system/istiod",
    "fields": [{"path": "spec.replicas", "before": None, "after": 1}],
    "why": "",
}


class Entries:
    """Makes the entries of one run."""

    def __init__(self, name: str = "20261122-171033-bebaa2") -> None:
        self.name = name

    def started(self, **over: Any) -> ENTRY:
        entry: ENTRY = {
            "id": self.name,
            "entry": "started",
            "at": "2026-11-22T17:10:33.320Z",
            "environment": "lab",
            "holder": "laptop/b/s/1/2",
            "who": {"user": "op", "sudo_user": None, "machine": "laptop", "kubernetes": None},
            "commit": {"id": "a" * 40, "dirty": False},
            "reason": "because",
            "approved": None,
            "program": "meshwright",
            "deploy": "site",
            "steps": ["istio"],
            "cluster": None,
            "plan": [{"host": "@local", "step": "istio", "known_after": None, "changes": [CHANGE]}],
        }
        return entry | over

    def step(self, step: str = "istio", **over: Any) -> ENTRY:
        entry = {"id": self.name, "entry": "step", "at": "2026-11-22T17:10:33.330Z", "host": "@local", "step": step}
        return entry | over

    def ended(self, **over: Any) -> ENTRY:
        entry: ENTRY = {
            "id": self.name,
            "entry": "ended",
            "at": "2026-11-22T17:10:35.420Z",
            "environment": "lab",
            "result": "ok",
            "message": "",
            "hint": "",
            "steps": [{"host": "@local", "step": "istio", "state": "changed", "seconds": 2.0}],
            "plan": [],
            "checks": [],
            "cluster": "uid",
            "kubernetes": "admin",
        }
        return entry | over


@pytest.fixture
def entries() -> Entries:
    return Entries()


@pytest.fixture
def here() -> str:
    """The holder that this process is."""
    return str(Holder.here())
