"""The real sops, built from its pinned Go module, and documents that it has encrypted."""

from __future__ import annotations

import os
import subprocess

import pytest
from driver import CHECKOUT

from meshwright.target import Platform
from meshwright.tools import golang
from meshwright.tools.table import GoModule

SOPS = GoModule(
    folder="lab/go/sops",
    module="github.com/getsops/sops/v3",
    package="github.com/getsops/sops/v3/cmd/sops",
    pinned="v3.13.3",
    builds="3.13.3",
    minutes=2,
)


def program():
    """The program, built once for a checkout."""
    found = CHECKOUT / ".meshwright" / "built" / "sops-3.13.3"
    if not found.is_file():
        gos = golang.find()
        if not gos:
            why = "there is no Go to build sops with"
            pytest.fail(why) if os.environ.get("CI") else pytest.skip(why)
        found.parent.mkdir(parents=True, exist_ok=True)
        new = found.with_name("sops.new")
        golang.build(gos[0], CHECKOUT, SOPS, Platform.of(os.uname().sysname, os.uname().machine), new)
        new.replace(found)
    return found


def encrypted(root, recipient, name, content):
    """A file of the project that sops has encrypted for a recipient of age."""
    (root / name).write_text(content)
    command = [program(), "encrypt", "--in-place", "--age", recipient, name]
    done = subprocess.run(command, cwd=root, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
