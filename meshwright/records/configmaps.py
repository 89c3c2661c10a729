"""Records in the cluster, where every operator of it can read them: an immutable ConfigMap for each entry.

The API server itself refuses to edit an immutable ConfigMap; the oldest ones are deleted, so that records do not fill
the cluster's store. What is left out or deleted there is in the file on the host.
"""

from __future__ import annotations

import copy
import json
from collections import defaultdict
from typing import Any

from meshwright import kube
from meshwright.environment.clusters import environment_of
from meshwright.lease import NAMESPACE
from meshwright.records import shape
from meshwright.records.model import Entry

__all__ = ["KEPT", "LIMIT", "bounded", "prune", "read", "write"]

KEPT = 50
"""How many records of an environment a cluster keeps."""
LIMIT = 256 * 1024
"""How many bytes of JSON one ConfigMap has at most. (The API server itself takes 1 MiB.)"""

_LABEL, _ID, _KEY = "meshwright/record", "meshwright/id", "record.json"
_LONGEST_MESSAGE = 4096


def write(session: kube.Session, environment: str, entry: Entry) -> None:
    """Creates the ConfigMap of one entry, in our namespace. Raises what a session raises."""
    session.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"record-{environment_of(environment)}-{entry['id']}-{entry['entry']}",
                "namespace": NAMESPACE,
                "labels": {_LABEL: environment_of(environment), _ID: entry["id"]},
            },
            "immutable": True,
            "data": {_KEY: _text(bounded(entry))},
        }
    )


def read(session: kube.Session, environment: str) -> tuple[list[Entry], list[str]]:
    """The entries of an environment's records in the cluster; and of each ConfigMap that has none, which and why, as a
    sentence. Raises what a session raises."""
    entries, spoilt = [], []
    for found in session.list("v1", "ConfigMap", NAMESPACE, labels=f"{_LABEL}={environment_of(environment)}"):
        text = (found.get("data") or {}).get(_KEY)
        if text is None:
            continue  # somebody else put our label on it
        try:
            entries.append(shape.parsed(text))
        except shape.Unreadable as why:
            spoilt.append(f"ConfigMap {NAMESPACE}/{found['metadata']['name']}: {why}")
    return entries, spoilt


def prune(session: kube.Session, environment: str) -> None:
    """Deletes the oldest records beyond `KEPT`. Raises what a session raises."""
    by_id: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for found in session.list(
        "v1", "ConfigMap", NAMESPACE, labels=f"{_LABEL}={environment_of(environment)}", metadata_only=True
    ):
        by_id[found["metadata"]["labels"].get(_ID, "")].append(found["metadata"])
    # Their age by the API server's clock: the ids have the time of whichever machine wrote them.
    ages = sorted((min(m.get("creationTimestamp", "") for m in found), name) for name, found in by_id.items())
    old = [metadata for _, name in ages[: max(0, len(ages) - KEPT)] for metadata in by_id[name]]
    session.map(lambda metadata: session.delete("v1", "ConfigMap", metadata["name"], NAMESPACE), old)


def bounded(entry: Entry, limit: int = LIMIT) -> Entry:
    """The entry, with as little left out as it takes to stay below `limit` bytes, and a note that says what."""
    if _size(entry) <= limit:
        return entry
    entry = copy.deepcopy(entry)
    if entry.get("message"):
        entry["message"] = entry["message"][:_LONGEST_MESSAGE]
    rows = entry.get("plan") or []
    for each in rows:
        each["changes"] = [{**change, "fields": []} for change in each["changes"]]
    count = sum(len(each["changes"]) for each in rows)
    entry["note"] = f"the cluster has no fields of these {count} changes; the file on the host has them"
    if _size(entry) > limit:
        note = f"the cluster has no fields of these changes, and {{}} of {count} changes not at all; the file has them"
        entry["note"] = note.format(count)
        left = limit - _size({**entry, "plan": [{**each, "changes": []} for each in rows]})
        missing = 0
        for each in rows:
            kept = []
            for change in each["changes"]:
                left -= _size(change) + 1
                if left >= 0:
                    kept.append(change)
                else:
                    missing += 1
            each["changes"] = kept
        entry["note"] = note.format(missing)
    return entry


def _size(value: Any) -> int:
    return len(_text(value).encode("utf-8", "replace"))


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
