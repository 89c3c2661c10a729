"""Release archives, unpacked without trust in the names that stand in them."""

from __future__ import annotations

import gzip
import os
import posixpath
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath

from meshwright.errors import MeshwrightError

__all__ = ["unpack"]

# KeyError: a hard link to what is not in the archive. ValueError: a name that no file can have. The rest of OSError is
# about the disk, not about the archive.
_DAMAGED = (
    tarfile.TarError,
    EOFError,
    zlib.error,
    KeyError,
    ValueError,
    gzip.BadGzipFile,
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
)


def unpack(archive: Path, what: str, into: Path) -> None:
    """Puts the file or folder `what` of a .tar.gz at `into`, which must not exist yet.

    `what` is below the one top folder that release archives have. Raises MeshwrightError, and leaves nothing behind:
    a name or a link in the archive leads out of it, it holds something that is neither file, folder nor link, it
    cannot be read, or `what` is not in it.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            links = [link for member in tar if (link := _take(tar, member, PurePosixPath(what), into))]
        # Links last: so no file of the archive is ever written through one.
        for place, leads_to in links:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(leads_to)
        # Only now is it known where a link through another link leads.
        top = os.path.realpath(into)
        for place, leads_to in links:
            if not Path(os.path.realpath(place)).is_relative_to(top):
                raise MeshwrightError(f"{archive.name} is refused: the link to {leads_to!r} leads out of it")
    except _DAMAGED as error:
        _remove(into)
        raise MeshwrightError(f"{archive.name} is not an archive that can be unpacked: {error}") from None
    except BaseException:
        _remove(into)
        raise
    if not into.exists():
        raise MeshwrightError(f"{archive.name} has no {what}")


def _take(tar: tarfile.TarFile, member: tarfile.TarInfo, what: PurePosixPath, into: Path) -> tuple[Path, str] | None:
    """Unpacks one member where it belongs to `what`; a link is given back, to be made later."""
    path = PurePosixPath(member.name)
    if path.is_absolute() or ".." in path.parts:
        raise MeshwrightError(f"{_name(tar)} is refused: the name {member.name!r} leads out of it")
    if not (member.isreg() or member.isdir() or member.islnk() or member.issym()):
        raise MeshwrightError(f"{_name(tar)} is refused: {member.name!r} is neither a file nor a folder")
    if member.islnk() or member.issym():
        _inside(tar, member, path.parts[:1])
    below = PurePosixPath(*path.parts[1:])
    if not below.is_relative_to(what):
        return None
    place = into.joinpath(*below.relative_to(what).parts)
    if member.isdir():
        place.mkdir(parents=True, exist_ok=True)
        return None
    if member.issym():
        leads_to = PurePosixPath(posixpath.normpath(below.parent / member.linkname))
        # A link to a part of the archive that is not wanted would lead nowhere.
        return (place, member.linkname) if leads_to.is_relative_to(what) else None
    source = tar.extractfile(member)
    if source is None:
        raise MeshwrightError(f"{_name(tar)} is refused: {member.name!r} has no content")
    place.parent.mkdir(parents=True, exist_ok=True)
    with source, place.open("xb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    place.chmod(0o755 if member.mode & 0o100 else 0o644)
    return None


def _inside(tar: tarfile.TarFile, member: tarfile.TarInfo, top: tuple[str, ...]) -> None:
    """A symbolic link counts from its own folder, a hard link from the top of the archive."""
    start = posixpath.dirname(member.name) if member.issym() else ""
    leads_to = PurePosixPath(posixpath.normpath(posixpath.join(start, member.linkname)))
    if leads_to.is_absolute() or leads_to.parts[:1] != top:
        raise MeshwrightError(
            f"{_name(tar)} is refused: the link {member.name!r} to {member.linkname!r} leads out of it"
        )


def _name(tar: tarfile.TarFile) -> str:
    """The archive's file name, for sentences."""
    return Path(str(tar.name)).name


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place, ignore_errors=True)
    else:
        place.unlink(missing_ok=True)
