"""The samples of an Istio release on a target: Bookinfo and the addons are applied from there."""

from __future__ import annotations

from meshwright.errors import MeshwrightError
from meshwright.target import Target
from meshwright.tools import store

__all__ = ["commit", "fault", "folder"]

_MUST_HAVE = "bookinfo/platform/kube/bookinfo.yaml"


def folder(target: Target, version: str) -> str:
    """The samples of one Istio version."""
    return f"{target.state}/istio/{version}/samples"


def fault(target: Target, version: str) -> str:
    """What is wrong with the samples of a version; empty where they are there.

    They get to their place by one rename, so what is there was once whole; Bookinfo's manifest stands for the rest.
    """
    place = folder(target, version)
    top, manifest = store.look(target, [place, f"{place}/{_MUST_HAVE}"])
    if top is None:
        return "they are not installed"
    return "" if manifest is not None else f"{place}/{_MUST_HAVE} is missing"


def commit(target: Target, version: str, staged: str) -> None:
    """Makes the folder at `staged` the samples of that version; what was there before is removed.

    Killed in between, the samples are absent or whole. Raises MeshwrightError: no Bookinfo in the staged folder.
    """
    (manifest,) = store.look(target, [f"{staged}/{_MUST_HAVE}"])
    if manifest is None:
        raise MeshwrightError(f"the samples of Istio {version} have no {_MUST_HAVE}; they were not installed")
    place = folder(target, version)
    old = f"{place}.old"
    target.run(["rm", "-rf", old])
    if store.look(target, [place]) != [None]:
        store.rename(target, place, old)
    store.rename(target, staged, place)
    target.run(["rm", "-rf", old])
