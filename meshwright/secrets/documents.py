"""Values in decrypted documents."""

from __future__ import annotations

from typing import Any

from meshwright.environment.problems import nearest
from meshwright.errors import BadInput

__all__ = ["Document", "value"]

Document = dict[str, Any]
"""What sops or Vault has given, as JSON data."""


def value(document: Document, key: str | None, name: str) -> bytes:
    """The text at `key`, whose levels are parted by `/`. `name` names document and key to people.

    Raises BadInput: there is none, or it is no text. The sentence may name keys, never values.
    """
    here: Any = document
    for part in (key or "").split("/"):
        if not isinstance(here, dict) or part not in here:
            near = nearest(part, here) if isinstance(here, dict) else None
            raise BadInput(f"{name}: there is no {part!r}", hint=f"The nearest is {near!r}" if near else "")
        here = here[part]
    if not isinstance(here, str):
        kinds = {dict: "a mapping", list: "a list", bool: "true or false", type(None): "null"}
        raise BadInput(
            f"{name} is {kinds.get(type(here), 'a number')}, not text",
            hint="Name a key inside it, levels parted by /" if isinstance(here, dict) else "Put it in quotes there",
        )
    return here.encode()
