"""Files that age has encrypted (C2SP: age-encryption.org/v1), by pyrage."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from meshwright.errors import BadInput, MeshwrightError
from meshwright.project import Project
from meshwright.secrets import files

__all__ = ["decrypted", "usual"]

_MARKS = (b"age-encryption.org/", b"-----BEGIN AGE ENCRYPTED FILE-----")
_LOCKED = b"-> scrypt "


def usual(environ: Mapping[str, str] = os.environ) -> Path:
    """Where sops looks for identities, which is as near to a usual place as age has: SOPS_AGE_KEY_FILE, or keys.txt in
    the user's configuration folder (sops, README: "Encrypting using age")."""
    if named := environ.get("SOPS_AGE_KEY_FILE"):
        return Path(named).expanduser()
    home = Path(environ.get("HOME") or Path.home())
    default = home / ("Library/Application Support" if sys.platform == "darwin" else ".config")
    return Path(environ.get("XDG_CONFIG_HOME") or default) / "sops" / "age" / "keys.txt"


def decrypted(project: Project, name: str, identity: str | None) -> bytes:
    """The content of the encrypted file `name`, by the identities in the file `identity` (or the usual one).

    Raises BadInput: a file is not there, or not what it should be. MeshwrightError: it is encrypted for somebody else,
    or damaged.
    """
    import pyrage  # type: ignore[import-untyped]  # needed by few

    data = files.read(project, name)
    if not data.lstrip().startswith(_MARKS):
        hint = "`age --encrypt -r RECIPIENT FILE` makes one that is"
        raise BadInput(f"{files.shown(name)} is not encrypted by age", hint=hint)
    if _LOCKED in data[:1024]:
        raise BadInput(f"{files.shown(name)} is locked by a passphrase", hint="Encrypt it for a recipient: age -r")
    place = identity or str(usual())
    identities = _identities(project, place, named=identity is not None)
    try:
        found: bytes = pyrage.decrypt(data, identities)
    except pyrage.DecryptError as error:
        if "No matching keys" in str(error):
            raise MeshwrightError(
                f"{files.shown(name)} is not encrypted for an identity of {place}",
                hint="Have it encrypted for your recipient, or name your file as identity",
            ) from None
        raise MeshwrightError(f"{files.shown(name)} cannot be decrypted: the file is damaged ({error})") from None
    return found


def _identities(project: Project, place: str, *, named: bool) -> list[Any]:
    import pyrage

    try:
        data = files.read(project, place)
    except BadInput as error:
        if named:
            raise
        # Nothing is wrong with the values: it is this machine that has no identity.
        hint = "Name the file as identity, or set SOPS_AGE_KEY_FILE"
        raise MeshwrightError(f"there is no identity for age: {error.message}", hint=hint) from None
    hint = "`age-keygen` makes one; a private key of SSH without a passphrase does too"
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            return [pyrage.ssh.Identity.from_buffer(data)]
        lines = [line.strip() for line in data.decode().splitlines()]
        keys = [line for line in lines if line and not line.startswith("#")]
        found = [pyrage.x25519.Identity.from_str(key) for key in keys]
    except (pyrage.IdentityError, UnicodeDecodeError):
        # What pyrage says may have a part of the key in it.
        raise BadInput(f"{files.shown(place)} has no identity of age that can be used", hint=hint) from None
    if not found:
        raise BadInput(f"{files.shown(place)} has no identity of age", hint=hint)
    return found
