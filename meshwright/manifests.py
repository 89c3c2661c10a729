"""The user's own manifests: files, folders and kustomize folders of the project, each object with its place."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshwright import documents, process
from meshwright.errors import BadInput, MeshwrightError, ProcessError

__all__ = ["Manifest", "checked", "kustomized", "read", "sources", "unique"]

_SUFFIXES = (".yaml", ".yml", ".json")
_KUSTOMIZATION = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# The values of a ConfigMap or Secret may have 1 MiB (Kubernetes API reference), and a request to etcd 1.5 MiB
# (etcd.io/docs, system limits).
_MOST_DATA = 1 << 20
_MOST = 1536 << 10
# A private key, and not only the words around one: PEM in JSON, the same in base64 (three ways, by where in a group of
# three bytes it begins), and one of age.
_KEY = re.compile(
    r"PRIVATE KEY-----(?:\\r)?\\n[A-Za-z0-9+/=:, -]{20}"
    r"|(?:UFJJVkFURSBLRVktLS0t|BSSVZBVEUgS0VZLS0tL|QUklWQVRFIEtFWS0tLS0t)[A-Za-z0-9+/]{40}"
    r"|AGE-SECRET-KEY-1[A-Z0-9]{50}"
)


@dataclass(frozen=True)
class Manifest:
    """One object and where it stands: FILE:LINE relative to the project, or the kustomize folder that it was `built`
    from."""

    obj: dict[str, Any]
    place: str
    built: bool = False


def kustomized(root: Path, paths: Sequence[str]) -> list[str]:
    """Those of `paths` that kubectl must build."""
    return [path for path in paths if any((root / path / name).is_file() for name in _KUSTOMIZATION)]


def sources(root: Path, paths: Sequence[str]) -> list[list[str]]:
    """What kubectl builds objects from: the files in kustomize folders of `paths`, each with its sha256."""
    files = sorted({p for path in kustomized(root, paths) for p in (root / path).rglob("*") if p.is_file()})
    return [[os.path.relpath(p, root), hashlib.sha256(p.read_bytes()).hexdigest()] for p in files]


def read(root: Path, paths: Sequence[str], kubectl: str, said: str = "resources.manifests") -> list[Manifest]:
    """The objects of `paths` (relative to the project folder `root`), in order; `said` is where the values have them.

    A folder with a kustomization is built by `kubectl kustomize` (`kubectl` is the tool's path), another folder stands
    for its YAML and JSON files, sorted. Raises BadInput: a path that is not there, a file that is not YAML, something
    that is not a Kubernetes object, two of one name, one that is too large for the API server.
    """
    return unique(manifest for path in paths for manifest in _under(root, path, kubectl, said))


def unique(found: Iterable[Manifest]) -> list[Manifest]:
    """`found` as a list. Raises BadInput: two of them are the same object."""
    found = list(found)
    places: dict[tuple[str, ...], str] = {}
    for manifest in found:
        kind, metadata = manifest.obj["kind"], manifest.obj["metadata"]
        # Without the version: networking.istio.io/v1 and v1beta1 are two ways to the same object.
        group = manifest.obj["apiVersion"].rpartition("/")[0]
        key = (group, kind, metadata.get("namespace") or "", metadata["name"])
        if key in places:
            name = "/".join(filter(None, key[2:]))
            raise BadInput(
                f"{manifest.place}: {kind} {name} is already defined at {places[key]}", hint="Keep one of the two"
            )
        places[key] = manifest.place
    return found


def _under(root: Path, path: str, kubectl: str, said: str) -> Iterator[Manifest]:
    place = root / path
    if not place.resolve().is_relative_to(root.resolve()):
        raise BadInput(f"{said}: {path} leads out of the project", hint="Put the manifests inside it")
    if not place.is_dir():
        yield from _file(place, path, said)
    elif kustomized(root, [path]):
        yield from _objects(_built(place, path, kubectl), path, built=True)
    else:
        files = sorted(p for p in place.rglob("*") if p.suffix in _SUFFIXES and p.is_file())
        if not files:
            raise BadInput(f"{said}: the folder {path} has no YAML or JSON files")
        for file in files:
            if file.name in _KUSTOMIZATION:
                below = file.parent.relative_to(root)
                raise BadInput(
                    f"{file.relative_to(root)}: a kustomize folder inside a folder of manifests",
                    hint=f"Put it beside {path}, and name it in {said} by itself: {below}",
                )
            yield from _file(file, str(file.relative_to(root)), said)


def _file(file: Path, name: str, said: str) -> Iterator[Manifest]:
    try:
        # A BOM, which editors on Windows write, is no part of the text.
        text = file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise BadInput(f"{said}: {name} does not exist", hint="Paths are relative to the project") from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{name}: byte {error.start} is not UTF-8", hint="Save the file as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{name} cannot be read: {error.strerror}") from None
    yield from _objects(text, name)


def _built(place: Path, name: str, kubectl: str) -> str:
    try:
        return process.run([kubectl, "kustomize", str(place)], timeout=60).text
    except ProcessError as error:
        if error.code is None:  # not started, or out of time
            raise MeshwrightError(
                f"{name} is built by kubectl: {error.message}",
                hint="`meshwright apply ENV tools` installs kubectl; what a kustomization fetches must be in reach",
            ) from None
        said = (error.output.strip().splitlines() or [error.message])[-1]
        raise BadInput(f"{name}: kubectl kustomize refuses it: {said}") from None


def _objects(text: str, name: str, *, built: bool = False) -> Iterator[Manifest]:
    for document in documents.read(text, name):
        value = document.value
        place = f"{name}:{document.line}" if not built else name
        if isinstance(value, dict) and str(value.get("kind")).endswith("List") and "items" in value:
            items = value["items"] or []
            if not isinstance(items, list):
                raise BadInput(f"{place}: items of a {value['kind']} is a list")
            lines = document.items if not built else ()
            for index, item in enumerate(items):
                at = f"{name}:{lines[index]}" if lines else place
                yield Manifest(checked(item, at), at, built)
        else:
            yield Manifest(checked(value, place), place, built)


def checked(obj: Any, place: str) -> dict[str, Any]:
    """`obj`, when it is a Kubernetes object that may be sent. Raises BadInput with `place`."""
    if not isinstance(obj, dict):
        raise BadInput(f"{place}: a Kubernetes object is a mapping, this is {_called(obj)}")
    for path in (("apiVersion",), ("kind",), ("metadata", "name")):
        value: Any = obj
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if not isinstance(value, str) or not value:
            raise BadInput(f"{place}: {'.'.join(path)} is missing or not text", hint="Every object needs it")
    metadata = obj["metadata"]
    if not isinstance(metadata.get("namespace") or "", str):
        raise BadInput(f"{place}: metadata.namespace: {metadata['namespace']} must be text", hint="Put it in quotes")
    for part in ("labels", "annotations"):
        if not isinstance(metadata.get(part) or {}, dict):
            raise BadInput(f"{place}: metadata.{part} is a mapping, this is {_called(metadata[part])}")
        for key, value in (metadata.get(part) or {}).items():
            if not isinstance(value, str):
                raise BadInput(
                    f"{place}: metadata.{part}.{key} is {json.dumps(value)}, it must be text", hint="Put it in quotes"
                )
    _small_enough(obj, place)
    _no_key(obj, place)
    return obj


def _called(value: Any) -> str:
    return "a list" if isinstance(value, list) else "a mapping" if isinstance(value, dict) else json.dumps(value)


def _small_enough(obj: dict[str, Any], place: str) -> None:
    if obj["kind"] in ("ConfigMap", "Secret"):
        size, most = _data(obj), _MOST_DATA
    else:
        size, most = len(json.dumps(obj, ensure_ascii=False).encode()), _MOST
    if size > most:
        raise BadInput(
            f"{place}: {obj['kind']} {obj['metadata']['name']} has {size / 2**20:.1f} MiB, "
            f"the API server takes at most {most / 2**20:g}",
            hint="Split it",
        )


def _no_key(obj: dict[str, Any], place: str) -> None:
    """Plans and records show what is in objects; only of Secrets they do not."""
    if obj["kind"] != "Secret" and _KEY.search(json.dumps(obj, ensure_ascii=False)):
        raise BadInput(
            f"{place}: {obj['kind']} {obj['metadata']['name']} has a private key in it, which is not shown here",
            hint="A key belongs into a Secret: resources.secrets takes it from where it is kept",
        )


def _data(obj: dict[str, Any]) -> int:
    """The bytes of a ConfigMap's or Secret's values; of those in base64 what is behind it counts."""
    size = 0
    for part, encoded in (("data", obj["kind"] == "Secret"), ("binaryData", True), ("stringData", False)):
        values = obj.get(part)
        for value in values.values() if isinstance(values, dict) else ():
            length = len(str(value).encode())
            size += length * 3 // 4 if encoded else length
    return size
