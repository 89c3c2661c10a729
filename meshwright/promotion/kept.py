"""Releases that were applied, kept where the records are: in a file on the host, and in the cluster.

So a digest in a record finds its release again. On the host they are one file that is written whole; in the cluster
each is an immutable ConfigMap. Both keep the newest ones. A release has values that are in the files of the project
anyway, and no secrets: the values hold references to these, and credentials do not travel.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from meshwright import cluster, kube, release
from meshwright.environment import Environment
from meshwright.environment.clusters import environment_of
from meshwright.errors import BadInput, MeshwrightError
from meshwright.lease import NAMESPACE
from meshwright.plan import digest
from meshwright.release import Release, short
from meshwright.run import Member, Run
from meshwright.target import Target

__all__ = ["KEPT", "find", "keep", "known", "noted"]

KEPT = 20
"""How many releases of an environment a host keeps, and how many its cluster does."""

_LABEL, _DIGEST, _KEY = "meshwright/release", "meshwright/digest", "release.json.gz"
# What a ConfigMap may have, with room for its metadata (1 MiB, Kubernetes API reference).
_LARGEST = 900 * 1024
_SHOWN = 5


def noted(run: Run, member: Member, env: Environment) -> None:
    """A step of `member` is about to change something for the values of `env`: puts the digest of their release into
    the record, and keeps the release on the host and, where there is one, in the cluster. Each is done once.

    Raises MeshwrightError: it could not be kept; then nothing is changed either.
    """
    found = release.of(member.target.project, env)
    if found is None:
        return
    run.note(release=found.digest)
    places = {"host", *(["cluster"] if member.session is not None else [])}
    for place in sorted(places - member.kept):
        if place == "host":
            keep(member.target, env.name, found)
        elif member.session is not None:
            _write(member.session, env.name, found)
        member.kept.add(place)


def keep(target: Target, environment: str, found: Release) -> None:
    """Keeps a release on the host. Raises MeshwrightError where that cannot be done."""
    there = _file(target, environment)
    if next(iter(there), None) == found.digest:
        return
    bodies = {found.digest: release.content(found).decode()} | {k: v for k, v in there.items() if k != found.digest}
    newest = dict(list(bodies.items())[:KEPT])
    target.write(_path(target, environment), json.dumps(newest, ensure_ascii=False).encode())


def known(target: Target, env: Environment) -> dict[str, str]:
    """What is kept of an environment: its releases as they were written, by digest, the newest first. A cluster that
    does not answer has none to give; a file that is not what was written has none either."""
    found = _file(target, env.name)
    with contextlib.suppress(MeshwrightError):
        session = cluster.session(target, env)
        if session is not None:
            found |= {name: body for name, body in _read(session, env.name).items() if name not in found}
    return found


def find(target: Target, env: Environment, beginning: str) -> Release:
    """The kept release of an environment whose digest begins with `beginning`.

    Raises BadInput: there is none, there are several, or it is no longer what it was.
    """
    name = release.wanted(beginning)
    there = known(target, env)
    hits = [each for each in there if each.startswith(name)]
    if len(hits) > 1:
        raise BadInput(f"{len(hits)} releases of {env.name} begin with {name}", hint=f"Say more of it: {_list(hits)}")
    if not hits:
        raise BadInput(
            f"{env.name} has no release {short(name)}, as far as is known",
            hint=f"Kept are {_list(list(there))}"
            if there
            else "None is kept: an apply that changes something keeps it",
        )
    return release.parse(there[hits[0]].encode(), hits[0])


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(short(name) for name in names[:_SHOWN]) + more


def _path(target: Target, environment: str) -> str:
    return f"{target.state}/{environment}/releases.json"


def _file(target: Target, environment: str) -> dict[str, str]:
    try:
        found = json.loads(target.read(_path(target, environment)) or b"{}")
    except ValueError:
        return {}  # cut or edited by somebody; the next apply writes it anew
    return {str(name): str(body) for name, body in found.items()} if isinstance(found, dict) else {}


# In the cluster


def _write(session: kube.Session, environment: str, found: Release) -> None:
    packed = gzip.compress(release.content(found), 6, mtime=0)
    if len(packed) > _LARGEST:
        return  # the host has it
    there = _list_all(session, environment)
    name = f"release-{environment_of(environment)}-{digest(found.digest).removeprefix('sha256:')[:16]}"
    if name not in {each["metadata"]["name"] for each in there}:
        metadata = {
            "name": name,
            "namespace": NAMESPACE,
            "labels": {_LABEL: environment_of(environment)},
            "annotations": {_DIGEST: found.digest},
        }
        data = {_KEY: base64.b64encode(packed).decode()}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "immutable": True, "binaryData": data}
        try:
            session.create(body)
        except kube.ApiError as error:
            if error.reason != "AlreadyExists":  # by its name it is the same
                raise
    ages = sorted(there, key=lambda each: each["metadata"].get("creationTimestamp") or "", reverse=True)
    for each in ages[KEPT:]:
        session.delete("v1", "ConfigMap", each["metadata"]["name"], NAMESPACE)


def _list_all(session: kube.Session, environment: str) -> list[dict[str, Any]]:
    return session.list(
        "v1", "ConfigMap", NAMESPACE, labels=f"{_LABEL}={environment_of(environment)}", metadata_only=True
    )


def _read(session: kube.Session, environment: str) -> dict[str, str]:
    found = session.list("v1", "ConfigMap", NAMESPACE, labels=f"{_LABEL}={environment_of(environment)}")
    found.sort(key=lambda each: each["metadata"].get("creationTimestamp") or "", reverse=True)
    return {name: body for each in found for name, body in _unpacked(each)}


def _unpacked(obj: Mapping[str, Any]) -> list[tuple[str, str]]:
    name = (obj["metadata"].get("annotations") or {}).get(_DIGEST, "")
    try:
        return [(name, gzip.decompress(base64.b64decode(obj["binaryData"][_KEY])).decode())] if name else []
    except (ValueError, KeyError, TypeError, OSError, EOFError, zlib.error):
        return [(name, "")] if name else []
