"""Waiting for addons one beside the other: what fails is named, and the rest is waited for all the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from meshwright.errors import Unreachable, Unverified
from meshwright.kube import Session, wait
from meshwright.kube.explain import explain, selector
from meshwright.kube.rollout import KINDS, progress

__all__ = ["gone", "settle"]

Object = dict[str, Any]

_PAUSE = 0.5
_SILENCE = 30.0
# Seconds for which an image that cannot be pulled is waited for: a registry may be busy for a moment.
_PULLING = 20.0
_NOT_PULLED = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")


def settle(
    session: Session, wanted: Mapping[str, Sequence[wait.Ref]], *, timeout: float, say: Callable[[str], None]
) -> dict[str, str]:
    """Returns when each addon of `wanted` (its name, and what to wait for) is rolled out or given up: the sentences
    about those that were given up. `timeout` is in seconds, for all of them.

    Raises Unreachable when the API server gives no answer for half a minute, and Forbidden.
    """
    deadline = time.monotonic() + timeout
    waiting = {ref: addon for addon, refs in wanted.items() for ref in refs}
    pulling: dict[wait.Ref, float] = {}
    failed: dict[str, str] = {}
    answered, said = time.monotonic(), ""
    while waiting:
        now = time.monotonic()
        try:
            for ref in list(waiting):
                obj = session.get(KINDS[ref.kind], ref.kind, ref.name, ref.namespace)
                at = progress(obj) if obj else None
                if at is not None and at.done:
                    del waiting[ref]
                    continue
                image = _image(session, obj) if obj else ""
                since = pulling.setdefault(ref, now) if image else now
                if not image:
                    pulling.pop(ref, None)
                late = now > deadline
                if image and now - since > _PULLING:
                    failed[waiting.pop(ref)] = f"{ref} is not ready: {image}"
                elif late or (at is not None and at.failed):
                    failed[waiting.pop(ref)] = f"{ref} is not ready: {_why(session, ref, obj, at.why if at else '')}"
            answered = now
        except Unreachable:
            if now > min(answered + _SILENCE, deadline):
                raise
        if waiting:
            names = ", ".join(dict.fromkeys(waiting.values()))
            if names != said:
                say(f"waiting for {names}")
                said = names
            time.sleep(_PAUSE)
    return failed


def _image(session: Session, obj: Object) -> str:
    """The sentence about an image of a workload that cannot be pulled; "" where there is none."""
    namespace, labels = obj["metadata"].get("namespace"), selector(obj)
    for pod in session.list("v1", "Pod", namespace, labels=labels) if labels else ():
        status = pod.get("status") or {}
        for each in [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]:
            why = (each.get("state") or {}).get("waiting") or {}
            if why.get("reason") in _NOT_PULLED:
                return f"the image {each['image']} of container {each['name']} cannot be pulled ({why['reason']})"
    return ""


def _why(session: Session, ref: wait.Ref, obj: Object | None, why: str) -> str:
    if obj is None:
        return "it does not exist"
    lines = explain(session, ref.namespace or "", selector(obj))
    return "; ".join([why, *lines[:1]])


def gone(session: Session, deleted: Sequence[Object], *, timeout: float, say: Callable[[str], None]) -> None:
    """Returns when no pod of the workloads in `deleted` is left. Raises Unverified after `timeout` seconds."""
    wanted = [
        (obj["metadata"]["namespace"], labels) for obj in deleted if obj["kind"] in KINDS and (labels := selector(obj))
    ]
    deadline = time.monotonic() + timeout
    told = False
    for namespace, labels in wanted:
        while left := session.list("v1", "Pod", namespace, labels=labels, metadata_only=True):
            name = left[0]["metadata"]["name"]
            if time.monotonic() > deadline:
                raise Unverified(f"pod {namespace}/{name} of a removed addon is still there after {timeout:g} s")
            if not told:
                say("waiting until the pods of removed addons are gone")
                told = True
            time.sleep(_PAUSE)
