"""Running the project's commands as a user does, from a project folder of the tests' own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Starts a command in a process group of its own."""
        return subprocess.Popen(
            command,
            cwd=self.root,
            env=self.env(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def add_environment(self, name: str, values: str) -> None:
        """Adds an environment of this name with these values."""
        shutil.copy(self.root / "inventory" / "lab.py", self.root / "inventory" / f"{name}.py")
        (self.root / "group_data" / f"{name}.yaml").write_text(values)


def copy_of_checkout(target: Path) -> None:
    """The files of the checkout that a user's project has, without anything built in it."""
    target.mkdir(parents=True)
    for name in ("deploys", "group_data", "inventory", "templates", "lab"):
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
