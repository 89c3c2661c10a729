"""CRDs of the Gateway API are shared by all who use it in a cluster: they are never replaced by older ones.

An older CRD lacks fields, and versions in which objects may be stored. The annotations are those of the Gateway API's
own releases (gateway-api.sigs.k8s.io, CRD management).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from meshwright.kube import Session
from meshwright.manifests import Manifest

__all__ = ["CHANNEL", "VERSION", "newer_there", "order", "said"]

_API = "apiextensions.k8s.io/v1"
_KIND = "CustomResourceDefinition"
VERSION = "gateway.networking.k8s.io/bundle-version"
CHANNEL = "gateway.networking.k8s.io/channel"


def newer_there(session: Session, found: Sequence[Manifest]) -> dict[str, str]:
    """The CRDs among `found` that the cluster has in a newer release, or with more in it (the experimental channel): by
    name, a sentence that says so."""
    wanted = {m.obj["metadata"]["name"]: m for m in found if m.obj["kind"] == _KIND and said(m.obj, VERSION)}
    if not wanted:
        return {}
    sentences = {}
    for live in session.list(_API, _KIND, metadata_only=True):
        name = live["metadata"]["name"]
        if name not in wanted:
            continue
        ours = wanted[name]
        there, here = said(live, VERSION), said(ours.obj, VERSION)
        if order(there) > order(here):
            sentences[name] = (
                f"{_KIND} {name} is of {there} in the cluster, newer than {here} ({ours.place}): left alone"
            )
        elif said(live, CHANNEL) == "experimental" and said(ours.obj, CHANNEL) == "standard":
            sentences[name] = f"{_KIND} {name} is of the experimental channel in the cluster ({ours.place}): left alone"
    return sentences


def said(obj: dict[str, Any], annotation: str) -> str:
    """What an object's annotation says; "" where it has none."""
    return str((obj["metadata"].get("annotations") or {}).get(annotation) or "")


def order(version: str) -> tuple[tuple[int, ...], bool, str]:
    """What versions are compared by: v1.6.0 comes after v1.6.0-rc.1 (semver.org, 11)."""
    main, _, candidate = version.removeprefix("v").partition("-")
    return tuple(int(part) for part in re.findall(r"[0-9]+", main)), not candidate, candidate
