"""Taking over what another tool has made: its claims to the fields that we apply become ours.

A tool that applies on the client's side leaves claims behind that nobody ever comes back for. They keep a field alive
that we no longer apply (kubernetes/kubernetes#99003). So what we have applied is taken out of these claims, and the
copy of the object that such a tool keeps in an annotation goes. What only the other has stays as it is, with its claim.

An apply comes first, then one patch of `metadata.managedFields` that is bound to the version the apply has made. A run
killed between the two leaves fields that both claim, which the next plan finds and the next run finishes.
"""

from __future__ import annotations

from typing import Any

from meshwright import managed
from meshwright.foreign import CONTROLLERS, LAST_APPLIED
from meshwright.managed import Path
from meshwright.objects.names import Object

__all__ = ["JSON_PATCH", "patch", "taken", "without_copy"]

JSON_PATCH = "application/json-patch+json"

# Managers of writes that were no server-side apply, and who they are: `kubectl apply` and its predecessor, the API
# server for objects from before such records, `kubectl create`, the Python client (Ansible's kubernetes.core has no
# name of its own; what the client's User-Agent begins with becomes the manager), Helm 3.
_LEFTOVERS = frozenset(
    {"kubectl-client-side-apply", "kubectl", "before-first-apply", "kubectl-create", "OpenAPI-Generator", "helm"}
)
_COPY: Path = ("f:metadata", "f:annotations", f"f:{LAST_APPLIED}")


def taken(now: Object, after: Object, manager: str, *, everyone: bool) -> tuple[str, ...]:
    """The managers in `now` whose claims `manager` takes when the object has become `after` by its apply: with
    `everyone` those of all but controllers, else of those that never come back for them. Sorted."""
    claims = [entry for entry in managed.entries(now) if _yields(entry, manager, everyone)]
    if not claims:
        return ()
    ours = managed.applied(after, manager) | {_COPY}
    return tuple(sorted({entry["manager"] for entry in claims if managed.paths(entry.get("fieldsV1") or {}) & ours}))


def _yields(entry: dict[str, Any], manager: str, everyone: bool) -> bool:
    who = entry.get("manager")
    if entry.get("subresource") or who == manager or who in CONTROLLERS:
        return False
    return everyone or (entry.get("operation") == "Update" and who in _LEFTOVERS)


def without_copy(obj: Object) -> Object:
    """The object without the copy of it that a client-side apply keeps."""
    annotations = {k: v for k, v in (obj["metadata"].get("annotations") or {}).items() if k != LAST_APPLIED}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def patch(obj: Object, manager: str, *, everyone: bool) -> list[dict[str, Any]]:
    """The JSON patch (RFC 6902) that takes what `manager` has applied out of the other claims to the live object. The
    API server refuses it (Conflict) when the object is no longer this version."""
    ours = managed.applied(obj, manager) | {_COPY}
    # Of a map or list that holds one of our fields, a claim to the thing itself says nothing more.
    holders = {path[:length] for path in ours for length in range(1, len(path))}
    entries = []
    for entry in obj["metadata"]["managedFields"]:
        if _yields(entry, manager, everyone):
            left = managed.paths(entry.get("fieldsV1") or {}) - ours - holders
            if left:
                entries.append({**entry, "fieldsV1": managed.fields(left)})
        else:
            entries.append(entry)
    operations = [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": obj["metadata"]["resourceVersion"]},
        {"op": "replace", "path": "/metadata/managedFields", "value": entries},
    ]
    if LAST_APPLIED in (obj["metadata"].get("annotations") or {}):
        operations.append({"op": "remove", "path": f"/metadata/annotations/{LAST_APPLIED.replace('/', '~1')}"})
    return operations
