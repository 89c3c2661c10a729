"""What was applied last: the objects of each step as they were sent, kept in the cluster for drift and rollback.

A set of objects is kept in immutable ConfigMaps that are named by its digest, so the same set is written once. One
more ConfigMap per environment, `applied-ENV`, says for each step which sets it has applied, the newest first, and which
one it is at. Before a step's first write the set that it is about to apply is written down, after its last word that it
has been: so a run that was killed in between is told apart. The order of the sets is kept there and not derived from
records, because a killed run's record does not say which of its steps had ended.

ENV is the environment, also where it has several clusters: each keeps what is in itself.

No set has the values of a Secret: in their place are digests (`masked`).
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

from meshwright import plan
from meshwright.environment.clusters import environment_of
from meshwright.kube import ApiError, Session
from meshwright.plan import Plan

__all__ = ["DIGESTS", "KEPT", "Mark", "State", "digest", "keeping", "load", "masked", "states"]

KEPT = 10
"""How many sets of a step a cluster keeps."""

DIGESTS = "digests"
"""The key under which a kept Secret has the digests of its values."""

NAMESPACE = "meshwright"
_LABEL, _COUNT, _KEY = "meshwright/applied", "meshwright/parts", "objects.json.gz"
# A ConfigMap may have 1 MiB of data (Kubernetes API reference).
_PART = 900 * 1024
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"

Object = dict[str, Any]


@dataclass(frozen=True)
class Mark:
    """A set that was applied: its digest, the id of the record of the run that did it first, when (UTC, ISO 8601), and
    the step that did it (a rollback applies what belongs to another step)."""

    digest: str
    record: str
    at: str
    by: str


@dataclass(frozen=True)
class State:
    """What a step has applied, the newest first, and what a run has begun to apply and not ended (None: nothing)."""

    applied: tuple[Mark, ...] = ()
    applying: Mark | None = None

    @property
    def last(self) -> Mark | None:
        """The set that was applied last."""
        return self.applied[0] if self.applied else None

    def ended(self) -> State:
        """The state when what is being applied has been."""
        if self.applying is None:
            return self
        # The same set again (somebody had changed it) keeps its first record: that is the state since then.
        before = self.applied
        same = bool(before) and before[0].digest == self.applying.digest
        return State(before if same else (self.applying, *before)[:KEPT])

    @property
    def digests(self) -> set[str]:
        """All sets that are still wanted."""
        return {mark.digest for mark in (*self.applied, *filter(None, [self.applying]))}


def masked(obj: Object) -> Object:
    """The object as it is kept. A Secret has the digests of its values under `digests` instead of `data`, and of
    annotations, where `kubectl apply` leaves a copy of the data; one that is masked already stays as it is."""
    if obj["kind"] != "Secret" or obj["apiVersion"] != "v1" or DIGESTS in obj:
        return obj
    data = {key: _decoded(value) for key, value in (obj.get("data") or {}).items()}
    # As the API server merges them.
    data |= {key: str(value).encode() for key, value in (obj.get("stringData") or {}).items()}
    kept = {key: value for key, value in obj.items() if key not in ("data", "stringData")}
    metadata = dict(obj["metadata"])
    if metadata.get("annotations"):
        metadata["annotations"] = {
            key: plan.masked(str(value)) for key, value in metadata["annotations"].items() if key != _LAST_APPLIED
        }
    return {**kept, "metadata": metadata, DIGESTS: {key: plan.masked(value) for key, value in sorted(data.items())}}


def _decoded(value: Any) -> bytes:
    try:
        return base64.b64decode(str(value))
    except ValueError:  # the API server says better what is wrong with it
        return str(value).encode()


def digest(environment: str, step: str, objects: Iterable[Object]) -> str:
    """What names a set of objects that are masked already, in whatever order they come."""
    return plan.digest([environment_of(environment), step, _ordered(objects)])


def _ordered(objects: Iterable[Object]) -> list[Object]:
    def name(obj: Object) -> tuple[str, ...]:
        metadata = obj["metadata"]
        return obj["apiVersion"], obj["kind"], metadata.get("namespace") or "", metadata["name"]

    return sorted(objects, key=name)


def states(session: Session, environment: str) -> dict[str, State]:
    """What each step has applied; a step that has never applied anything is not in it. Raises what a session raises."""
    found = session.get("v1", "ConfigMap", _pointer(environment), NAMESPACE)
    return _read((found or {}).get("data") or {})


def _read(data: Mapping[str, str]) -> dict[str, State]:
    made = {}
    for text in data.values():
        try:
            said = json.loads(text)
            marks = tuple(Mark(**mark) for mark in said["applied"])
            made[str(said["step"])] = State(marks, Mark(**said["applying"]) if said["applying"] else None)
        except (ValueError, KeyError, TypeError):
            continue  # not what we wrote; the next apply writes it anew
    return made


def load(session: Session, environment: str, step: str, wanted: str) -> list[Object] | None:
    """The objects of the set with the digest `wanted`; None where it is no longer kept whole. Raises what a session
    raises."""
    first = session.get("v1", "ConfigMap", _part(environment, step, wanted, 0), NAMESPACE)
    if first is None:
        return None
    count = int((first["metadata"].get("annotations") or {}).get(_COUNT, "1"))
    names = [_part(environment, step, wanted, number) for number in range(1, count)]
    found = [first, *session.map(lambda name: session.get("v1", "ConfigMap", name, NAMESPACE), names)]
    try:
        raw = b"".join(base64.b64decode(part["binaryData"][_KEY]) for part in found if part is not None)
        objects: list[Object] = json.loads(gzip.decompress(raw))
    except (ValueError, KeyError, TypeError, OSError, EOFError, zlib.error):
        return None
    return objects if digest(environment, step, objects) == wanted else None


@contextmanager
def keeping(session: Session, environment: str, of: Plan, *, record: str, by: str) -> Iterator[str]:
    """Keeps the objects of a plan while the step `by` applies it, in the run with this record; gives the set's digest.

    Raises what a session raises: what cannot be kept is not applied.
    """
    from meshwright.records.model import now  # needed only where something is changed

    objects = _ordered(masked(obj) for obj in of.objects or ())
    name = digest(environment, of.step, objects)
    there = {
        found["metadata"]["name"]
        for found in session.list(
            "v1", "ConfigMap", NAMESPACE, labels=f"{_LABEL}={environment_of(environment)}", metadata_only=True
        )
    }
    for part in _parts(environment, of.step, name, objects):
        if part["metadata"]["name"] not in there:
            _create(session, part)
    state = states(session, environment).get(of.step, State())
    state = replace(state, applying=Mark(name, record, now(), by))
    _write(session, environment, of.step, state)
    yield name
    _write(session, environment, of.step, state.ended())
    _prune(session, environment, there)


def _parts(environment: str, step: str, name: str, objects: Sequence[Object]) -> Iterator[Object]:
    text = json.dumps(objects, separators=(",", ":"))
    raw = gzip.compress(text.encode(), 6, mtime=0)
    pieces = [raw[start : start + _PART] for start in range(0, len(raw), _PART)]
    for number, piece in enumerate(pieces):
        yield {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": _part(environment, step, name, number),
                "namespace": NAMESPACE,
                "labels": {_LABEL: environment_of(environment)},
                "annotations": {_COUNT: str(len(pieces))},
            },
            "immutable": True,
            "binaryData": {_KEY: base64.b64encode(piece).decode()},
        }


def _create(session: Session, obj: Object) -> None:
    try:
        session.create(obj)
    except ApiError as error:
        if error.reason != "AlreadyExists":  # by its name it is the same
            raise


def _write(session: Session, environment: str, step: str, state: State) -> None:
    """Writes the state of one step; nobody else does, because this run has the Lease."""
    marks = [asdict(mark) for mark in state.applied]
    row = {"step": step, "applied": marks, "applying": asdict(state.applying) if state.applying else None}
    data = {_word(step): json.dumps(row)}
    found = session.get("v1", "ConfigMap", _pointer(environment), NAMESPACE)
    if found is None:
        metadata = {"name": _pointer(environment), "namespace": NAMESPACE}
        session.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})
    else:
        session.replace({**found, "data": {**(found.get("data") or {}), **data}})


def _prune(session: Session, environment: str, there: Iterable[str]) -> None:
    """Deletes the sets of `there` that no step is at or can go back to."""
    wanted = {
        _part(environment, step, name, 0)[:-1]
        for step, state in states(session, environment).items()
        for name in state.digests
    }
    old = [name for name in sorted(there) if name.rpartition("-")[0] + "-" not in wanted]
    session.map(lambda name: session.delete("v1", "ConfigMap", name, NAMESPACE), old)


def _pointer(environment: str) -> str:
    return f"applied-{environment_of(environment)}"


def _part(environment: str, step: str, name: str, number: int) -> str:
    return f"applied-{environment_of(environment)}-{_word(step)}-{name.removeprefix('sha256:')[:12]}-{number}"


def _word(step: str) -> str:
    """A step's name as a part of an object's name."""
    return re.sub(r"[^a-z0-9]+", "-", step.lower()).strip("-") or "step"
