"""The pinned sha256 of release files: pins.toml beside this module, one line per version of a tool."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from meshwright.errors import BadInput, MeshwrightError
from meshwright.target import write_atomically

__all__ = ["FILE", "PLATFORMS", "Pins", "dump", "load", "save"]

Pins = Mapping[str, Mapping[str, Mapping[str, str]]]
"""Tool -> version -> platform ("linux-amd64") -> sha256 in hex."""

FILE = Path(__file__).with_name("pins.toml")
PLATFORMS = ("linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64")

_SHA256 = re.compile(r"[0-9a-f]{64}")
_HEAD = """\
# The sha256 of the release files of each tool: one line per version, filled by `make pin` from the publishers' own
# checksum files and never by hand from anywhere else. A release without a line here is not downloaded.
"""


def load(path: Path = FILE) -> Pins:
    """The pins of a file. Raises BadInput: not readable as TOML, or not a digest per platform."""
    import tomllib  # here, because a run with nothing to install never needs it

    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MeshwrightError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise BadInput(f"{path} cannot be read: {error}", hint="Take the file from the repository again") from None
    for tool, versions in read.items():
        for version, row in versions.items() if isinstance(versions, dict) else [("", versions)]:
            if not isinstance(row, dict) or not all(
                platform in PLATFORMS and isinstance(digest, str) and _SHA256.fullmatch(digest)
                for platform, digest in row.items()
            ):
                raise BadInput(
                    f"{path}: {tool} {version} is not a sha256 in 64 hex digits for each platform",
                    hint=f"Remove the line and run `make pin`; the platforms are {', '.join(PLATFORMS)}",
                )
    return read


def dump(pins: Pins) -> str:
    """The text of a pins file: tools and versions in a stable order, so that a diff shows what was added."""
    lines = [_HEAD]
    for tool in sorted(pins):
        lines.append(f"[{tool}]")
        for version in sorted(pins[tool], key=_natural):
            row = pins[tool][version]
            digests = ", ".join(f'{platform} = "{row[platform]}"' for platform in PLATFORMS if platform in row)
            lines.append(f'"{version}" = {{ {digests} }}')
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def save(pins: Pins, path: Path = FILE) -> None:
    """Writes a pins file in one piece. Raises MeshwrightError where that cannot be done."""
    try:
        write_atomically(path, dump(pins).encode(), 0o644)
    except OSError as error:
        raise MeshwrightError(f"cannot write {path}: {error.strerror}") from None


def _natural(version: str) -> list[tuple[int, str]]:
    """A key that puts 1.9 before 1.10."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"[.-]", version)]
