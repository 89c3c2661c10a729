"""Who can open a backup: what is a recipient, and what is not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from meshwright.environment import BadValues, load
from meshwright.project import Project

AGE = "age14f88jhg5z7fvncqd3mz7mqqc2y57m43gqwessf78aq2d8mzequfq40lrd7"


@pytest.mark.parametrize("text", [AGE, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "ssh-rsa AAAAB3Nz me@here"])
def test_recipients(project: Callable[..., Project], k3d: str, text: str) -> None:
    loaded = load(project(k3d + f'certs: {{backup: {{recipients: ["{text}"]}}}}\n'), "lab")
    assert loaded.env.certs.backup.recipients == [text]


@pytest.mark.parametrize("text", ["age1B", "age2x", "me@example.com", "ssh-dss AAAA", "ecdsa AAAA", ""])
def test_what_is_none(project: Callable[..., Project], k3d: str, text: str) -> None:
    with pytest.raises(BadValues, match="it must be a recipient of age"):
        load(project(k3d + f'certs: {{backup: {{recipients: ["{text}"]}}}}\n'), "lab")
