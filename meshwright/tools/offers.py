"""Where a tool, or the samples of an Istio release, can come from: the sources in order, each with its reason.

First the right version on the target's own PATH, then the publisher's release with its pinned sha256, then the Go
module that the project pins.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from meshwright.errors import BadInput, MeshwrightError, ProcessError, Unreachable
from meshwright.target import Target
from meshwright.tools import archive, fetch, golang
from meshwright.tools.pathtool import on_path
from meshwright.tools.table import Catalog, Tool
from meshwright.tools.work import Work, complaints

__all__ = ["Cause", "Offer", "Passed", "for_samples", "for_tool", "none_left"]


class Cause(Enum):
    """Why a source gives nothing: what decides how the run ends when all of them do."""

    ABSENT = "there is provably no such version"
    UNPINNED = "nobody vouches for the file"
    UNREACHABLE = "no answer"
    NO_GO = "no Go to build with"


@dataclass(frozen=True)
class Passed:
    """A source that was passed over, in words."""

    why: str
    cause: Cause = Cause.ABSENT


@dataclass(frozen=True)
class Offer:
    """A source that should give it. `told` says how ("copied from ..."). `take(work, into)` puts it at `into` on the
    target; raises fetch.NotGiven when the next source has to be asked, MeshwrightError when the run has to end."""

    told: str
    take: Callable[[Work, str], None]


Options = list[Offer | Passed]


def for_tool(target: Target, catalog: Catalog, tool: Tool, version: str) -> Options:
    """All sources of a tool, in order."""
    found = on_path(target, tool, version)
    own: Options = [Passed(why) for why in found.passed]
    if found.path:
        own.append(Offer(f"copied from {found.path}", _copied(found.path, "cp")))
    return [*own, _release(target, catalog, tool, version, tool.release.program), _module(target, tool, version, None)]


def for_samples(target: Target, catalog: Catalog, tool: Tool, version: str) -> Options:
    """All sources of a release's samples: they lie in the release's archive and in the module's source. One who has
    the tool on PATH often has the whole release unpacked, with the samples beside the tool."""
    found = on_path(target, tool, version)
    own: Options = []
    if found.path:
        beside = f"{found.path.rpartition('/bin/')[0]}/{tool.release.samples}"
        there = target.run(["test", "-d", f"{beside}/bookinfo"], ok=(0, 1)).code == 0
        own.append(
            Offer(f"copied from {beside}", _copied(beside, "cp -R"))
            if there
            else Passed(f"{found.path} has no {tool.release.samples}/ beside it")
        )
    samples = tool.release.samples
    return [*own, _release(target, catalog, tool, version, samples), _module(target, tool, version, samples)]


def none_left(target: Target, catalog: Catalog, tool: Tool, version: str, passed: list[Passed]) -> MeshwrightError:
    """The error for a version that no source gives, with all that was looked at and what to do."""
    sentence = f"{tool.name} {version} ({tool.key}) cannot be had for {target.platform}: "
    sentence += "; ".join(p.why for p in passed)
    causes = {p.cause for p in passed}
    if Cause.NO_GO in causes:
        return MeshwrightError(sentence, hint=golang.HOW_TO_GET)
    if Cause.UNREACHABLE in causes:
        return Unreachable(sentence, hint="Run again where that host can be reached")
    known = sorted({tool.module.builds, *catalog.pins.get(tool.name, {})})
    return BadInput(
        sentence,
        hint=f"Set {tool.key} to a version that can be had ({', '.join(known)}), or run `make pin` where its publisher "
        "can be reached",
    )


def _copied(source: str, command: str) -> Callable[[Work, str], None]:
    # A copy, not a link: an upgrade or removal of the tool on PATH must not change what an environment runs with.
    def take(work: Work, into: str) -> None:
        script = 'mkdir -p "${2%/*}" && rm -rf "$2" && ' + command + ' "$1" "$2" && chmod -R u+rwX,go+rX "$2"'
        try:
            work.target.run(["sh", "-c", script, "sh", source, into], timeout=120)
        except ProcessError as error:
            raise MeshwrightError(f"cannot copy {source} to {into}: {error.message}") from None

    return take


def _release(target: Target, catalog: Catalog, tool: Tool, version: str, part: str) -> Offer | Passed:
    """The publisher's file; `part` is the place in it that is wanted, empty for the file itself."""
    pinned = catalog.sha256(tool, version, target.platform)
    if pinned is None:
        return Passed(
            f"no sha256 is pinned for the release {version} on {target.platform}, so it is not downloaded",
            Cause.UNPINNED,
        )
    url = tool.release.address(version, target.platform)

    def take(work: Work, into: str) -> None:
        name = Path(url).name
        packed, made = work.folder / name, work.folder / f"unpacked {part.replace('/', '-')}"
        with complaints(str(packed)):
            # Tool and samples come in one archive: what this run has downloaded and checked is not asked for twice.
            if not packed.exists():
                work.target.say(f"downloading {url}")
                fetch.download(url, pinned, packed, catalog.limits)
            if part:
                archive.unpack(packed, part, made)
        if part and made.is_dir():
            work.put_folder(made, into)
        else:
            work.put(made if part else packed, into)

    return Offer(f"downloaded from {url} (sha256 {pinned[:8]}...)", take)


def _module(target: Target, tool: Tool, version: str, samples: str | None) -> Offer | Passed:
    """The project's Go module: the program built, or, with `samples`, that folder of its source."""
    module, root = tool.module, target.project.root
    if module.builds != version:
        return Passed(f"the Go module {module.folder} builds {module.builds}")
    pinned, oldest = golang.pinned(root / module.folder, module.module)
    if pinned != module.pinned:
        says = f"pins {pinned}, not {module.pinned}" if pinned else f"does not pin {module.module}"
        return Passed(f"{module.folder}/go.mod {says}")
    found = golang.find()
    go = next((go for go in found if go.version >= oldest), None)
    if go is None:
        have = f"{found[0]} is older than" if found else "there is no Go, at least"
        needs = ".".join(map(str, oldest))
        return Passed(f"{module.folder} could be built, but {have} {needs}", Cause.NO_GO)

    def take(work: Work, into: str) -> None:
        made = work.folder / ("built" if samples is None else "source")
        if samples is None:
            work.target.say(
                f"building {module.package}; the first time this takes about {module.minutes} min on 2 cores"
            )
            golang.build(go, root, module, target.platform, made)
            work.put(made, into)
        else:
            with complaints(str(made)):
                _copy(golang.source(go, root, module) / samples, made)
            work.put_folder(made, into)

    if samples is None:
        return Offer(f"built from the Go module {module.folder} by {go}", take)
    return Offer(f"copied from {samples}/ of the Go module {module.folder}", take)


def _copy(source: Path, into: Path) -> None:
    """Copies a folder of the module cache. Its files and folders are read-only there; the copies are not, or nobody
    but root could ever replace them."""
    for folder, _, names in os.walk(source):
        place = into / Path(folder).relative_to(source)
        place.mkdir()
        for name in names:
            shutil.copyfile(Path(folder) / name, place / name)
