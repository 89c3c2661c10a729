"""`make pin`: fills pins.toml from the publishers' checksum files.

python -m meshwright.tools.pin                  every release that an environment of the project wants
python -m meshwright.tools.pin istioctl 1.30.4  this one
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from meshwright.errors import BadInput, MeshwrightError, Refused, Unreachable
from meshwright.project import Project
from meshwright.target import Platform
from meshwright.tools import fetch, pins
from meshwright.tools.table import STOCK, Catalog, Tool, wanted

__all__ = ["main", "pin", "row", "wanted_by_project"]

# The name that Go gives to a commit without a tag (go.dev/ref/mod#pseudo-versions).
_PSEUDO = re.compile(r"-\d{14}-[0-9a-f]{12}$")
_LINE = re.compile(r"([0-9a-fA-F]{64})(?:\s+\*?(\S+))?")


def pin(catalog: Catalog, wishes: Sequence[tuple[str, str]], say: Callable[[str], None]) -> bool:
    """Adds a row for each (tool, version) and writes the file once, when all are known; True when it has changed.

    Raises BadInput: no such tool or release. Raises Unreachable: a checksum file cannot be had. Raises Refused: the
    publisher's sha256 is another one than is pinned. In all three cases the file stays as it was.
    """
    new = {tool: dict(versions) for tool, versions in catalog.pins.items()}
    for name, version in wishes:
        if name not in catalog.tools:
            raise BadInput(f"{name} is not a tool", hint=f"The tools are {', '.join(catalog.tools)}")
        read = row(catalog, catalog.tools[name], version)
        old = new.setdefault(name, {}).get(version, {})
        for platform in old.keys() & read.keys():
            if old[platform] != read[platform]:
                raise Refused(
                    f"{name} {version} for {platform} is pinned with {old[platform]}, but its publisher's list now "
                    f"says {read[platform]}; nothing was written",
                    hint="Find out why a release was replaced before you trust it; then remove the line and run again",
                )
        new[name][version] = {**old, **read}
        missing = [platform for platform in pins.PLATFORMS if platform not in new[name][version]]
        say(f"{name} {version}: {len(read)} sha256" + (f"; none for {', '.join(missing)}" if missing else ""))
    if new == catalog.pins:
        return False
    pins.save(new, catalog.pins_file)
    return True


def row(catalog: Catalog, tool: Tool, version: str) -> dict[str, str]:
    """Platform -> sha256, as the publisher's checksum files say today; platforms that it has no file for are left out.

    Raises BadInput: it has none for any platform. Raises Unreachable: one of the files gives no answer.
    """
    lists: dict[str, str | None] = {}
    found: dict[str, str] = {}
    for text in pins.PLATFORMS:
        platform = Platform(*text.split("-"))
        url = tool.release.checksum_address(version, platform)
        if url not in lists:
            lists[url] = _list(url, catalog)
        digest = _digest(lists[url] or "", tool.release.address(version, platform).rpartition("/")[2])
        if digest:
            found[text] = digest
    if not found:
        raise BadInput(
            f"{tool.name} has no release {version}: {next(iter(lists))} has no sha256 for it",
            hint=f"See {tool.key}; the publisher's page lists the releases",
        )
    return found


def _list(url: str, catalog: Catalog) -> str | None:
    try:
        return fetch.text(url, catalog.limits)
    except fetch.NotGiven as why:
        if why.gone:
            return None
        raise Unreachable(f"{why}; nothing was written", hint="Run again where that host can be reached") from None


def _digest(text: str, name: str) -> str | None:
    """The digest of file `name`: beside its name (with or without folders), or alone in the list."""
    lines = [match for line in text.splitlines() if (match := _LINE.fullmatch(line.strip()))]
    for match in lines:
        if match[2] and match[2].rpartition("/")[2] == name:
            return match[1].lower()
    return lines[0][1].lower() if len(lines) == 1 and not lines[0][2] else None


def wanted_by_project(catalog: Catalog, project: Project) -> list[tuple[str, str]]:
    """The releases that the project's environments want and that are not pinned for every platform; a commit between
    two releases, which only a Go module builds, has none."""
    from meshwright import environment

    wishes = dict.fromkeys(
        wish for name in environment.names(project) for wish in wanted(environment.load(project, name).env).items()
    )
    return [
        (tool, version)
        for tool, version in wishes
        if not (version == catalog.tools[tool].module.builds and _PSEUDO.search(catalog.tools[tool].module.pinned))
        and set(catalog.pins.get(tool, {}).get(version, {})) != set(pins.PLATFORMS)
    ]


def main(arguments: Sequence[str] | None = None, catalog: Catalog = STOCK) -> int:
    """The command; its exit code is that of `meshwright`."""
    parser = argparse.ArgumentParser(prog="python -m meshwright.tools.pin", description=__doc__.partition("\n")[0])
    parser.add_argument("tool", nargs="?", choices=sorted(catalog.tools))
    parser.add_argument("version", nargs="?")
    given = parser.parse_args(arguments)
    if given.tool and not given.version:
        parser.error("a tool needs a version")
    try:
        wishes = [(given.tool, given.version)] if given.tool else wanted_by_project(catalog, Project.find())
        changed = pin(catalog, wishes, print)
    except MeshwrightError as error:
        print(error, file=sys.stderr)
        return int(error.exit_code)
    print(f"{_shown(catalog.pins_file)}: {'written' if changed else 'nothing to add'}")
    return 0


def _shown(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    sys.exit(main())
