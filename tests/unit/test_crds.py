"""CRDs of the Gateway API are never replaced by older ones."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshwright import crds
from meshwright.kube import Session
from meshwright.manifests import Manifest

NAME = "httproutes.gateway.networking.k8s.io"


def crd(version: str = "", channel: str = "standard") -> dict[str, Any]:
    annotations = {f"{crds.VERSION}": version, f"{crds.CHANNEL}": channel} if version else {}
    return {"apiVersion": crds._API, "kind": crds._KIND, "metadata": {"name": NAME, "annotations": annotations}}


class Live:
    """A cluster with one CRD."""

    def __init__(self, obj: dict[str, Any]) -> None:
        self.obj = obj

    def list(self, api: str, kind: str, *, metadata_only: bool) -> list[dict[str, Any]]:
        assert (api, kind, metadata_only) == (crds._API, crds._KIND, True)
        return [self.obj]


def look(live: dict[str, Any], ours: dict[str, Any]) -> dict[str, str]:
    return crds.newer_there(cast(Session, Live(live)), [Manifest(ours, "crds.yaml:1")])


@pytest.mark.parametrize(
    ("there", "here", "left"),
    [
        ("v1.6.0", "v1.5.1", True),
        ("v1.10.0", "v1.9.0", True),
        ("v1.6.0", "v1.6.0-rc.1", True),
        ("v1.6.0", "v1.6.0", False),
        ("v1.5.1", "v1.6.0", False),
        ("v1.6.0-rc.1", "v1.6.0", False),
        ("", "v1.6.0", False),
        # Somebody else's CRD, which says nothing of releases.
        ("v1.6.0", "", False),
    ],
)
def test_what_is_newer_there_is_left_alone(there: str, here: str, left: bool) -> None:
    found = look(crd(there), crd(here))
    said = f"CustomResourceDefinition {NAME} is of {there} in the cluster, newer than {here} (crds.yaml:1): left alone"
    assert found == ({NAME: said} if left else {})


def test_the_experimental_channel_has_more_in_it() -> None:
    assert NAME in look(crd("v1.6.0", "experimental"), crd("v1.6.0"))
    assert look(crd("v1.6.0"), crd("v1.6.0", "experimental")) == {}


@given(st.text(), st.text())
def test_any_annotation_is_compared_somehow(one: str, other: str) -> None:
    assert not (look(crd(one or "v0"), crd(other or "v0")) and look(crd(other or "v0"), crd(one or "v0")))
