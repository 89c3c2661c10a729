"""The user's own manifests: files, folders and kustomize folders of the project, each object with its place."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from meshwright import process
from meshwright.errors import BadInput, ProcessError

__all__ = ["Manifest", "read"]

_SUFFIXES = (".yaml", ".yml", ".json")
_KUSTOMIZATION = ("kustomization.yaml", "kustomization.yml", "Kustomization")
# An object may take 1.5 MiB in etcd, the data of a ConfigMap or Secret 1 MiB (Kubernetes API reference).
_LARGEST = {"ConfigMap": 1 << 20, "Secret": 1 << 20}
_LARGEST_OF_ALL = 1536 << 10


@dataclass(frozen=True)
class Manifest:
    """One object and where it stands: FILE:LINE relative to the project, or the kustomize folder."""

    obj: dict[str, Any]
    place: str


def read(root: Path, paths: Sequence[str], kubectl: str) -> list[Manifest]:
    """The objects of `paths` (relative to the project folder `root`), in order.

    A folder with a kustomization is built by `kubectl kustomize` (`kubectl` is the tool's path), another folder stands
    for its YAML and JSON files, sorted. Raises BadInput: a path that is not there, a file that is not YAML, something
    that is not a Kubernetes object, two of one name, one that is too large for the API server.
    """
    found = [manifest for path in paths for manifest in _under(root, path, kubectl)]
    places: dict[tuple[str, ...], str] = {}
    for manifest in found:
        metadata = manifest.obj["metadata"]
        key = (manifest.obj["apiVersion"], manifest.obj["kind"], metadata.get("namespace", ""), metadata["name"])
        if key in places:
            raise BadInput(
                f"{manifest.place}: {key[1]} {key[3]} is already defined at {places[key]}", hint="Keep one of the two"
            )
        places[key] = manifest.place
    return found


def _under(root: Path, path: str, kubectl: str) -> Iterator[Manifest]:
    place = root / path
    if not place.resolve().is_relative_to(root):
        raise BadInput(f"resources.manifests: {path} leads out of the project", hint="Put the manifests inside it")
    if place.is_dir():
        if any((place / name).is_file() for name in _KUSTOMIZATION):
            yield from _objects(_kustomized(place, path, kubectl), path, with_lines=False)
            return
        files = sorted(p for p in place.rglob("*") if p.suffix in _SUFFIXES and p.is_file())
        if not files:
            raise BadInput(f"resources.manifests: the folder {path} has no YAML or JSON files")
        for file in files:
            yield from _file(file, str(file.relative_to(root)))
        return
    yield from _file(place, path)


def _file(file: Path, name: str) -> Iterator[Manifest]:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise BadInput(
            f"resources.manifests: {name} does not exist", hint="Paths are relative to the project"
        ) from None
    except UnicodeDecodeError as error:
        raise BadInput(f"{name}: byte {error.start} is not UTF-8") from None
    except OSError as error:
        raise BadInput(f"{name} cannot be read: {error.strerror}") from None
    yield from _objects(text, name)


def _kustomized(place: Path, name: str, kubectl: str) -> str:
    try:
        return process.run([kubectl, "kustomize", str(place)], timeout=60).text
    except ProcessError as error:
        raise BadInput(
            f"{name}: kubectl kustomize refuses it: {error.output.splitlines()[-1:] or error.message}"
        ) from None


def _objects(text: str, name: str, *, with_lines: bool = True) -> Iterator[Manifest]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is None:
                continue
            place = f"{name}:{node.start_mark.line + 1}" if with_lines else name
            document = loader.construct_document(node)
            if document is not None:
                yield from _items(document, place)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise BadInput(f"{name}:{line}: this is not YAML: {error.problem}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise BadInput(f"{name}: this is not YAML: {error}") from None
    finally:
        loader.dispose()


def _items(document: Any, place: str) -> Iterator[Manifest]:
    if isinstance(document, dict) and str(document.get("kind", "")).endswith("List") and "items" in document:
        for item in document["items"] or []:
            yield from _items(item, place)
        return
    yield Manifest(_checked(document, place), place)


def _checked(obj: Any, place: str) -> dict[str, Any]:
    if not isinstance(obj, dict):
        raise BadInput(f"{place}: a Kubernetes object is a mapping, this is {type(obj).__name__}")
    for path in (("apiVersion",), ("kind",), ("metadata", "name")):
        value: Any = obj
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        if not isinstance(value, str) or not value:
            raise BadInput(f"{place}: {'.'.join(path)} is missing or not text", hint="Every object needs it")
    for part in ("labels", "annotations"):
        for key, value in (obj["metadata"].get(part) or {}).items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise BadInput(f"{place}: metadata.{part}: {key}: {value} must be text", hint="Put it in quotes")
    size = len(json.dumps(obj, default=str))
    most = _LARGEST.get(obj["kind"], _LARGEST_OF_ALL)
    if size > most:
        raise BadInput(
            f"{place}: {obj['kind']} {obj['metadata']['name']} has {size / 2**20:.1f} MiB, "
            f"the API server takes at most {most / 2**20:g}",
            hint="Split it",
        )
    return obj
