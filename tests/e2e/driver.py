"""Running the project's commands as a user does, from a project folder of the tests' own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meshwright import engine
from meshwright.environment import load, names
from meshwright.project import Project
from meshwright.target import Local

CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ran:
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.out)


@dataclass
class Driver:
    """A project folder, and the commands in it. `home` is the user's home folder there."""

    root: Path
    home: Path
    environ: dict[str, str] = field(default_factory=dict)

    def env(self) -> dict[str, str]:
        """The environment variables of every command."""
        inherited = {k: v for k, v in os.environ.items() if k not in ("KUBECONFIG", "DOCKER_HOST")}
        return {**inherited, "HOME": str(self.home), "PYINFRA_PROGRESS": "off", **self.environ}

    def run(self, *command: str, timeout: float = 600, input: str | None = None) -> Ran:
        """Runs a command in the project folder."""
        done = subprocess.run(
            command, cwd=self.root, env=self.env(), capture_output=True, text=True, timeout=timeout, input=input
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def meshwright(self, *arguments: str, timeout: float = 600, input: str | None = None) -> Ran:
        """`meshwright ARGUMENTS`."""
        return self.run(sys.executable, "-m", "meshwright", *arguments, timeout=timeout, input=input)

    def pyinfra(self, *arguments: str, timeout: float = 600, input: str | None = None) -> Ran:
        """`pyinfra ARGUMENTS`."""
        return self.run(sys.executable, "-m", "pyinfra", *arguments, timeout=timeout, input=input)

    def start(self, *command: str, preexec_fn: Callable[[], object] | None = None) -> subprocess.Popen[str]:
        """Starts a command in a process group of its own; `preexec_fn` runs in it first."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            preexec_fn=preexec_fn,
        )

    def add_environment(self, name: str, values: str) -> None:
        """Adds an environment of this name with these values."""
        shutil.copy(self.root / "inventory" / "lab.py", self.root / "inventory" / f"{name}.py")
        (self.root / "group_data" / f"{name}.yaml").write_text(values)


def build() -> None:
    """Makes the lab's engine, images and tools in the checkout, where they are missing."""
    for deploy in ("lab", "tools"):
        command = [sys.executable, "-m", "meshwright", "apply", "lab", deploy, "--yes"]
        done = subprocess.run(command, cwd=CHECKOUT, timeout=3600)
        assert done.returncode == 0, f"deploys/{deploy}.py failed"


def prepare(folder: Path) -> Driver:
    """A project below `folder`, with a space in its path, whose environment `lab` uses the checkout's engine and images
    and the tools that were built there."""
    root, home = folder / "a project", folder / "home"
    root.mkdir(parents=True, exist_ok=True)
    (home / ".kube").mkdir(parents=True, exist_ok=True)
    for name in ("deploys", "group_data", "inventory", "templates", "lab"):
        if (CHECKOUT / name).is_dir():
            shutil.rmtree(root / name, ignore_errors=True)
            shutil.copytree(CHECKOUT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    # What is built there counts here too: the keys of outputs are digests of the same files.
    (root / ".meshwright").mkdir(exist_ok=True)
    if not (root / ".meshwright" / "built").exists():
        (root / ".meshwright" / "built").symlink_to(CHECKOUT / ".meshwright" / "built")
    values = (root / "group_data" / "lab.yaml").read_text()
    values = re.sub(r"(?m)^  kind: lab$", "  kind: docker", values)
    values = values.replace("- .meshwright/built/", f"- {CHECKOUT}/.meshwright/built/")
    (root / "group_data" / "lab.yaml").write_text(values)
    checkout = Local(Project(CHECKOUT))
    found = engine.find(checkout, load(checkout.project, "lab").env)
    assert found is not None, "the lab's engine does not run"
    # Go's caches are the machine's; the home folder is not.
    names = ("GOMODCACHE", "GOCACHE")
    cache = subprocess.run(["go", "env", *names], capture_output=True, text=True).stdout.split()
    path = f"{checkout.project.bin}:{os.environ['PATH']}"
    return Driver(root, home, {**found.environ, **dict(zip(names, cache, strict=False)), "PATH": path})


def clean(driver: Driver) -> None:
    """Deletes the clusters of a project that `prepare` made."""
    for environment in names(Project(driver.root)):
        if (driver.root / ".meshwright" / environment / "k3d.yaml").is_file():
            driver.meshwright("destroy", environment, "--confirm", environment)
