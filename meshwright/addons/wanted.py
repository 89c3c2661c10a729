"""The objects of the addons that are on: those of the samples or of the user's manifests, with their images, and those
that expose them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from meshwright import documents, manifests, tools
from meshwright.addons import exposure
from meshwright.addons.table import ADDONS
from meshwright.environment import Environment
from meshwright.environment.addons import Addon, Download
from meshwright.environment.problems import nearest
from meshwright.errors import BadInput, MeshwrightError, Unreachable
from meshwright.manifests import Manifest, checked
from meshwright.target import Target

__all__ = ["containers", "wanted"]

Object = dict[str, Any]


def wanted(target: Target, env: Environment, *, kubectl: str = "kubectl") -> dict[str, list[Manifest]]:
    """The objects of each addon that is on, by addon; `kubectl` builds kustomize folders.

    Raises BadInput: a manifest or a file of users that cannot be used, an image that no manifest has. MeshwrightError:
    the samples are not there. Unreachable: a manifest that is to be downloaded cannot be.
    """
    found = {name: list(_of_one(target, env, name, addon, kubectl)) for name, addon in env.addons.on()}
    for each in exposure.exposed(env):
        found[each.addon] += exposure.rendered(target.project, env, each)
    manifests.unique(manifest for of_one in found.values() for manifest in of_one)
    return found


def _of_one(target: Target, env: Environment, name: str, addon: Addon, kubectl: str) -> Iterator[Manifest]:
    read = list(_own(target, env, name, addon, kubectl) if addon.manifests else _sample(target, env, name))
    images = {image.partition("@")[0].rpartition(":")[0] for each in read for image in _images(each.obj)}
    for key in addon.images:
        if key not in images:
            near = nearest(key, images)
            raise BadInput(
                f"{env.where('addons', name, 'images', key)}: addons.{name}.images names {key}, which no manifest of "
                f"{ADDONS[name].title} has{f'; the nearest is {near}' if near else ''}",
                hint=f"Its images: {', '.join(sorted(images)) or 'none'}",
            )
    for manifest in read:
        yield Manifest(_placed(manifest.obj, addon), manifest.place, manifest.built)


def _sample(target: Target, env: Environment, name: str) -> Iterator[Manifest]:
    place = f"{tools.samples(target, env)}/addons/{ADDONS[name].file}"
    text = target.read(place)
    if text is None:
        raise MeshwrightError(
            f"Istio {env.istio.version} has no sample of {ADDONS[name].title}: {place} is not there",
            hint=f"Put manifests of yours into addons.{name}.manifests",
        )
    called = f"samples/addons/{ADDONS[name].file} of Istio {env.istio.version}"
    for document in documents.read(text.decode(), called):
        if document.value:
            yield Manifest(checked(document.value, f"{called}:{document.line}"), f"{called}:{document.line}")


def _own(target: Target, env: Environment, name: str, addon: Addon, kubectl: str) -> Iterator[Manifest]:
    root = target.project.root
    for index, each in enumerate(addon.manifests):
        if isinstance(each, Download):
            text = _downloaded(target, each, env.where("addons", name, "manifests", index))
            for document in documents.read(text, each.url):
                yield Manifest(checked(document.value, f"{each.url}:{document.line}"), f"{each.url}:{document.line}")
        else:
            yield from manifests.read(root, [each], kubectl, said=f"addons.{name}.manifests")


def _downloaded(target: Target, wanted: Download, where: str) -> str:
    """The text of a manifest, from the project's own copy where that has the sha256."""
    from meshwright.tools import fetch
    from meshwright.tools.table import Limits

    kept: Path = target.project.state / "manifests" / f"{wanted.sha256}.yaml"
    if not kept.is_file() or hashlib.sha256(kept.read_bytes()).hexdigest() != wanted.sha256:
        kept.parent.mkdir(parents=True, exist_ok=True)
        try:
            fetch.download(wanted.url, wanted.sha256, kept, Limits(total=60))
        except fetch.NotGiven as error:
            raise Unreachable(f"{where}: {error}", hint="Or put the file into the project, and name its path") from None
    try:
        return kept.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{where}: {wanted.url} is not UTF-8") from None


def containers(obj: Object) -> list[Object]:
    """The containers of an object with a pod template; none of another."""
    spec = obj.get("spec")
    template = spec.get("template") if isinstance(spec, dict) else None
    inner = template.get("spec") if isinstance(template, dict) else None
    parts = [inner.get(key) or [] for key in ("initContainers", "containers")] if isinstance(inner, dict) else []
    return [each for part in parts for each in part if isinstance(each, dict)]


def _images(obj: Object) -> list[str]:
    return [str(each["image"]) for each in containers(obj) if each.get("image")]


def _placed(obj: Object, addon: Addon) -> Object:
    """The object with the images that the environment wants instead."""
    for container in containers(obj):
        name = str(container.get("image", "")).partition("@")[0].rpartition(":")[0]
        if name in addon.images:
            container["image"] = addon.images[name]
    return obj
