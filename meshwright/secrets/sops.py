"""Files that sops has encrypted, decrypted by the program of that name; its output stays in memory."""

from __future__ import annotations

import json
import os
import shutil

from meshwright import process
from meshwright.environment.problems import is_private, shortened
from meshwright.errors import BadInput, MeshwrightError, ProcessError
from meshwright.project import Project
from meshwright.secrets import files
from meshwright.secrets.documents import Document

__all__ = ["decrypted", "program"]

# Seconds. Keys in a cloud's KMS take a few; a password prompt that nobody sees takes for ever.
_LIMIT = 60


def program(project: Project) -> str:
    """Where sops is: among the project's tools, or on PATH. Raises MeshwrightError: nowhere."""
    found = shutil.which("sops", path=os.pathsep.join((str(project.bin), os.environ.get("PATH", os.defpath))))
    if found is None:
        raise MeshwrightError(
            "the program sops is not here, and only it can decrypt this",
            hint="Install sops 3.9 or newer, on PATH or in .meshwright/bin",
        )
    return found


def decrypted(project: Project, name: str, *, whole: bool) -> bytes | Document:
    """The decrypted file `name`: with `whole` its bytes, else its values.

    Raises BadInput: there is no such file, or it has no mapping of values. MeshwrightError: sops is not here, or cannot
    decrypt it.
    """
    files.read(project, name)  # that it is there, and what is wrong if not
    path = files.located(project, name)
    form = [] if whole else ["--output-type", "json"]
    command = [program(project), "decrypt", *form, str(path)]
    try:
        # It must not wait for an answer that nobody is asked for; no other code than 0 lets its output through.
        done = process.run(command, cwd=str(project.root), timeout=_LIMIT, ok=None)
    except ProcessError as error:
        # Without its output, which may be the secret.
        raise MeshwrightError(f"{files.shown(name)} cannot be decrypted: {error.message}") from None
    if done.code != 0:
        said = _said(done.stderr)
        raise MeshwrightError(
            f"{files.shown(name)} cannot be decrypted: sops exited with {done.code}: {said}",
            hint=f"`sops decrypt {files.shown(name)}` says all of it",
        )
    if whole:
        return done.stdout
    try:
        document = json.loads(done.stdout)
    except ValueError:
        raise BadInput(f"{files.shown(name)} has no values, so it takes no key") from None
    if not isinstance(document, dict):
        raise BadInput(f"{files.shown(name)} has no mapping of values, so it takes no key")
    return document


def _said(stderr: bytes) -> str:
    """The line of its complaint that says why: of several keys that it tried, the first failure."""
    lines = [line.strip(" |-\t") for line in stderr.decode(errors="replace").splitlines()]
    told = [line for line in lines if line and not is_private(line)]
    why = next((line for line in told if line.lower().startswith(("error", "failed", "caused by"))), "")
    return shortened(why or (told[-1] if told else "it said nothing"))
