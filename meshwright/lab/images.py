"""The lab's images in the container engine, and the archives with which nodes get theirs.

One archive has the images that every node reads when it starts; each bundle has one of its own (meshwright.lab.nodes).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from meshwright import engine
from meshwright.environment import Environment
from meshwright.errors import BadInput, MeshwrightError, ProcessError, Unreachable
from meshwright.lab import programs, recipes, rootfs, store
from meshwright.lab.recipes import BASE, Image
from meshwright.plan import Action, Change, Plan
from meshwright.step import Step
from meshwright.target import Target
from meshwright.tools import golang

__all__ = ["archive", "build", "bundle", "key"]

_LABEL = "lab.meshwright.key"
_ARCHIVES = {
    "": "images for the nodes",
    "addons": "images of the addons",
    "tests": "images that only tests need",
    "tracing": "images of the tracer",
}
# BuildKit needs a plugin of docker that Debian has not; the recipes use nothing of it.
_BUILDER = {"DOCKER_BUILDKIT": "0"}


def archive(target: Target, bundle: str = "") -> Path:
    """The archive of the images that pods run, or of a bundle of them.

    Its folder is mounted into every node. A node that starts reads all archives that lie in it, not those in folders
    below, which it is told to read.
    """
    folder = store.folder(target) / "images"
    return folder / "bundles" / f"{bundle}.tar" if bundle else folder / "node.tar"


def key(target: Target, bundle: str) -> str:
    """The digest of all that the images of a bundle are made from."""
    return _archive_key(_images(target, bundle))


def _plan(target: Target, env: Environment, step: str, bundle: str) -> Plan:
    if not store.needed(env):
        return Plan(step, store.key())
    built = recipes.ISTIO.builds
    if env.istio.hub.startswith("meshwright.lab/") and (env.istio.tag or env.istio.version) != built:
        raise BadInput(
            f"{env.name} wants Istio {env.istio.tag or env.istio.version} from {env.istio.hub}, the lab builds {built}",
            hint=f"Set istio.version to {built}, or istio.hub to a registry that has the other",
        )
    images = _images(target, bundle)
    wanted = _keys(target, images)
    desired = store.key(*(f"{name} {key}" for name, key in wanted.items()))
    found = engine.find(target, env)
    if found is None or shutil.which("docker") is None:
        return Plan(step, desired, after="engine")
    changes = list(_stale(wanted, _present(target, found.environ, list(wanted))))
    packed = store.change("Archive", _ARCHIVES[bundle], archive(target, bundle), _archive_key(images))
    if packed:
        changes.append(packed)
    return Plan(step, desired, tuple(changes), checked=len(wanted) + 1)


def _images(target: Target, bundle: str) -> list[Image]:
    wanted = (bundle,) if bundle else ("engine", "node")
    return [image for image in recipes.all_images(target) if image.bundle in wanted]


def _keys(target: Target, images: Sequence[Image]) -> dict[str, str]:
    return {BASE: rootfs.key(target), **{image.name: image.key for image in images}}


def _archive_key(images: Sequence[Image]) -> str:
    return store.key(*(f"{image.name} {image.key}" for image in images if image.bundle != "engine"))


def _stale(wanted: Mapping[str, str], present: Mapping[str, str]) -> Iterable[Change]:
    for name, key in wanted.items():
        if name not in present:
            yield Change(Action.ADD, "Image", name)
        elif present[name] != key:
            yield Change(Action.CHANGE, "Image", name, why="what it is made from has changed")


def _present(target: Target, environ: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """Which of these images the engine has, each with its key (empty: it is not the lab's)."""
    command = ["docker", "image", "inspect", *names]
    done = target.run(command, env=environ, timeout=30, ok=(0, 1))
    for line in done.stderr.decode(errors="replace").splitlines():
        # A missing image is said here; anything else is an engine in trouble, which says nothing about images.
        if line.strip() and "no such image" not in line.lower():
            raise Unreachable(f"the container engine does not say which images it has: {line.strip()}")
    found = json.loads(done.stdout or b"[]")
    return {tag: (one["Config"]["Labels"] or {}).get(_LABEL, "") for one in found for tag in one["RepoTags"] or ()}


def _apply(target: Target, env: Environment, plan: Plan, bundle: str) -> None:
    if plan.empty:
        return
    found = engine.find(target, env)
    if found is None:
        raise Unreachable("the container engine does not run", hint="Put the step `engine` before `images`")
    images = _images(target, bundle)
    wanted = _keys(target, images)
    stale = {change.name for change in _stale(wanted, _present(target, found.environ, list(wanted)))}
    environ = {**found.environ, **_BUILDER}
    if BASE in stale:
        target.say(f"making image {BASE}")
        label = f"LABEL {_LABEL}={wanted[BASE]}"
        target.run(["docker", "import", "--change", label, str(rootfs.path(target)), BASE], env=environ, timeout=300)
    for image in images:
        if image.name in stale:
            target.say(f"making image {image.name}")
            with store.work(target, "image") as work:
                _build(target, image, work, environ)
    if not store.current(archive(target, bundle), _archive_key(images)):
        _pack(target, images, archive(target, bundle), environ)
    # What lost its name to a newer image; only images with our label.
    target.run(["docker", "image", "prune", "--force", f"--filter=label={_LABEL}"], env=environ, timeout=120, ok=None)


def _build(target: Target, image: Image, work: Path, environ: Mapping[str, str]) -> None:
    for source in image.context:
        _put(source, work / source.name)
    if image.bootstrap:
        istio = golang.source(programs.go(target, recipes.ISTIO), target.project.root, recipes.ISTIO)
        _put(istio / recipes.BOOTSTRAP, work / "envoy_bootstrap.json")
    # The host's network, because the lab's engine gives a build no way out.
    command = ["docker", "build", "--quiet", "--network=host", "--file", str(image.recipe), "--tag", image.name]
    command += [f"--label={_LABEL}={image.key}"]
    command += [f"--build-arg={name}={value}" for name, value in image.arguments]
    try:
        target.run([*command, str(work)], env=environ, timeout=1200)
    except ProcessError as error:
        lines = [line for line in error.output.splitlines() if line.strip()] or [error.message]
        raise MeshwrightError(
            f"the image {image.name} cannot be made: {lines[-1].strip()}",
            hint=f"Its recipe is {image.recipe.name} in lab/images",
        ) from None


def _put(source: Path, into: Path) -> None:
    """Puts a file or folder into a build's context; a large file by a second name for it, not by a copy."""
    if source.is_dir():
        shutil.copytree(source, into, ignore=shutil.ignore_patterns("__pycache__"))
        return
    try:
        os.link(source, into)
    except OSError:
        shutil.copy2(source, into)


def _pack(target: Target, images: Sequence[Image], into: Path, environ: Mapping[str, str]) -> None:
    target.say("packing the images that nodes need")
    with store.work(target, "archive") as work:
        made = work / into.name
        names = [image.name for image in images if image.bundle != "engine"]
        target.run(["docker", "save", "--output", str(made), *names], env=environ, timeout=600)
        store.publish(made, into, _archive_key(images))


def _step(name: str, of: str) -> Step:
    return Step(
        name,
        lambda target, env: _plan(target, env, name, of),
        lambda target, env, plan: _apply(target, env, plan, of),
        cluster=False,
    )


def bundle(name: str) -> Step:
    """The step that makes and packs the images of a bundle, such as `addons`."""
    return _step(f"{name} images", name)


build = _step("images", "")
