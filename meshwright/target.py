"""Targets: what a step may do to a host, and the one for this machine.

`meshwright.ssh` has the one for hosts behind SSH. Steps know only the `Target` protocol.
"""

from __future__ import annotations

import os
import platform as host_platform
import socket
import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from meshwright import lock, process
from meshwright.errors import MeshwrightError, Unreachable
from meshwright.lock import Lock
from meshwright.options import Options
from meshwright.process import Completed
from meshwright.project import Project

__all__ = ["Local", "Platform", "Shared", "Target", "write_atomically"]

T = TypeVar("T")


@dataclass(frozen=True)
class Platform:
    """Operating system and processor in the words of release files: linux or darwin, amd64 or arm64."""

    os: str
    arch: str

    @classmethod
    def of(cls, system: str, machine: str) -> Platform:
        """From what `uname -s` and `uname -m` print. Raises MeshwrightError for a platform that no tool ships for."""
        os_ = {"linux": "linux", "darwin": "darwin"}.get(system.lower())
        arch = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}.get(machine.lower())
        if os_ is None or arch is None:
            raise MeshwrightError(
                f"{system} on {machine} is not supported",
                hint="Meshwright runs on linux and darwin (macOS), amd64 and arm64",
            )
        return cls(os_, arch)

    def __str__(self) -> str:
        return f"{self.os}-{self.arch}"


class Shared:
    """Things that several steps of one run share on one target.

    Those with a `close` (a session with the cluster) live as long as the target; the others are views of the world
    (which clusters there are), and hold until something was changed.
    """

    def __init__(self) -> None:
        self.options = Options()
        """What a person decided for this run."""
        self.safe_point: Callable[[str], None] = _silent
        """A step that can stop here and be continued by a later run says so ("phase 2"); it raises Refused when the
        maintenance window is over."""
        self._made: dict[object, Any] = {}
        self._lasting: set[object] = set()
        self._closers = ExitStack()

    def get(self, key: object, make: Callable[[], T], close: Callable[[T], None] | None = None) -> T:
        """The thing under `key`; `make` makes it the first time, `close` ends it with the target."""
        if key not in self._made:
            made = make()
            self._made[key] = made
            if close is not None:
                self._closers.callback(close, made)
                self._lasting.add(key)
        return self._made[key]  # type: ignore[no-any-return]

    def forget(self, key: object) -> None:
        """Makes the next `get` of `key` make it anew (the cluster was recreated)."""
        self._made.pop(key, None)
        self._lasting.discard(key)

    def look_again(self) -> None:
        """Forgets all views: something was changed, or time has passed."""
        self._made = {key: made for key, made in self._made.items() if key in self._lasting}

    def close(self) -> None:
        """Closes everything that was made."""
        self._made.clear()
        self._lasting.clear()
        self._closers.close()


class Target(Protocol):
    """A host that steps work on. All paths are absolute paths on that host."""

    name: str
    project: Project
    shared: Shared
    say: Callable[[str], None]
    """Progress for a person, one short sentence; never needed for correctness, never a secret."""

    @property
    def local(self) -> bool:
        """True when the host is this machine."""

    @property
    def platform(self) -> Platform: ...

    @property
    def state(self) -> str:
        """The folder of Meshwright's state on that host (tools in its bin/)."""

    def run(
        self,
        command: Sequence[str],
        *,
        input: bytes | None = None,  # noqa: A002
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float = 60,
        ok: Collection[int] | None = (0,),
        hint: str = "",
    ) -> Completed:
        """Runs a process to its end, as `meshwright.process.run` does."""

    def read(self, path: str) -> bytes | None:
        """The content of a file, None where it provably does not exist. Raises MeshwrightError otherwise."""

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Puts a file in place atomically, with its parent folders."""

    def remove(self, path: str) -> None:
        """Removes a file; nothing where there is none."""

    def expand(self, path: str) -> str:
        """An absolute path: `~` is the home folder on that host, anything else relative is relative to the project."""

    def connect(self, host: str, port: int, timeout: float = 10) -> socket.socket:
        """A stream to `host`:`port` as seen from this host. Raises Unreachable."""

    def lock(self, name: str, purpose: str, run: str) -> Lock:
        """Takes a lock of that host, as `meshwright.lock.acquire` does here. Raises Refused, MeshwrightError."""

    def close(self) -> None: ...


def write_atomically(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Puts `data` at `path` so that a reader, or a kill at any instant, sees the old file or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)  # noqa: PTH105 - a plain name from mkstemp
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _silent(_sentence: str) -> None:
    """Says nothing."""


class Local:
    """This machine."""

    local = True

    def __init__(self, project: Project, say: Callable[[str], None] = _silent, *, name: str = "@local") -> None:
        self.name = name
        self.project = project
        self.say = say
        self.shared = Shared()

    @property
    def platform(self) -> Platform:
        """The platform of this machine."""
        return Platform.of(host_platform.system(), host_platform.machine())

    @property
    def state(self) -> str:
        """`.meshwright` of the project."""
        return str(self.project.state)

    def run(
        self,
        command: Sequence[str],
        *,
        input: bytes | None = None,  # noqa: A002
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float = 60,
        ok: Collection[int] | None = (0,),
        hint: str = "",
    ) -> Completed:
        """Runs a process on this machine; see `meshwright.process.run`."""
        return process.run(command, input=input, env=env, cwd=cwd, timeout=timeout, ok=ok, hint=hint)

    def read(self, path: str) -> bytes | None:
        """The content of a file, None where it does not exist. Raises MeshwrightError where it cannot be read."""
        try:
            return Path(path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise MeshwrightError(f"cannot read {path}: {error.strerror}") from None

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Puts a file in place atomically. Raises MeshwrightError where that cannot be done."""
        try:
            write_atomically(Path(path), data, mode)
        except OSError as error:
            raise MeshwrightError(f"cannot write {path}: {error.strerror}") from None

    def remove(self, path: str) -> None:
        """Removes a file; nothing where there is none. Raises MeshwrightError where that cannot be done."""
        try:
            Path(path).unlink(missing_ok=True)
        except OSError as error:
            raise MeshwrightError(f"cannot remove {path}: {error.strerror}") from None

    def expand(self, path: str) -> str:
        """An absolute path: `~` is the home folder, anything else relative is relative to the project folder."""
        return str(self.project.root / Path(path).expanduser())

    def connect(self, host: str, port: int, timeout: float = 10) -> socket.socket:
        """A TCP connection. Raises Unreachable."""
        try:
            return socket.create_connection((host, port), timeout)
        except OSError as error:
            raise Unreachable(f"{host}:{port} cannot be reached from this machine: {error.strerror or error}") from None

    def lock(self, name: str, purpose: str, run: str) -> Lock:
        """Takes a lock of this machine; see `meshwright.lock.acquire`."""
        return lock.acquire(name, purpose, run=run)

    def close(self) -> None:
        """Closes what steps shared on this target."""
        self.shared.close()
