"""Which WorkloadEntries are machines of the mesh."""

from __future__ import annotations

from typing import Any

import mesh as objects
import pytest
from fakes import FakeSession

from meshwright.certs.machines import findings, in_mesh


def entry(annotations: Any = None, **spec: Any) -> Any:
    metadata = {"annotations": annotations} if annotations else {}
    return objects.made("networking.istio.io/v1", "WorkloadEntry", "vm-1", "shop", metadata=metadata, spec=spec)


@pytest.mark.parametrize(
    ("made", "inside"),
    [
        (entry(address="10.0.0.1"), False),
        (entry(address="10.0.0.1", serviceAccount="shop"), True),
        (entry({"istio.io/autoRegistrationGroup": "shop"}, address="10.0.0.1"), True),
        (entry({"istio.io/workloadController": "istiod-1"}, address="10.0.0.1"), True),
        (entry({"acme.example/x": "y"}, address="10.0.0.1"), False),
    ],
)
def test_which_are_in_the_mesh(made: Any, inside: bool) -> None:
    assert in_mesh(made) is inside
    found = list(findings(FakeSession(made)))
    assert len(found) == inside
    assert not found or (found[0].subject == "machine shop/vm-1" and found[0].hint)


def test_none_at_all() -> None:
    assert list(findings(FakeSession())) == []
