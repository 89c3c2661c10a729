"""Searching for private keys: in bytes, in folders, and in what the kernel shows of processes while they run.

A key is looked for by its private numbers, so that neither its PEM layout nor what stands around it matters: as they
are (DER), in hex, in decimals, in base64 whatever comes before it, and in the base64 of a PEM, as Secrets have it.
"""

from __future__ import annotations

import base64
import os
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

__all__ = ["Needles", "Watch"]

_BLANK = re.compile(rb"\s|\\n|\\r")
_LENGTH = 28
_EVERY = 0.03
_LARGEST = 64 * 1024 * 1024
_FORMATS = (PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8)


class Needles:
    """What must not be found: the keys in these PEMs, by a name each."""

    def __init__(self, **pems: str) -> None:
        self._needles = [(name, needle) for name, text in pems.items() for needle in _needles(text)]
        assert self._needles
        self.looked = 0

    def add(self, name: str, pem: str) -> None:
        """One more key."""
        self._needles += [(name, needle) for needle in _needles(pem)]

    def within(self, data: bytes) -> list[str]:
        """The names of the keys that `data` has."""
        self.looked += 1
        pressed = _BLANK.sub(b"", data)
        return sorted({name for name, needle in self._needles if needle in data or needle in pressed})

    def below(self, folder: Path) -> list[str]:
        """`KEY in FILE` for every file in a folder."""
        found = []
        for path in folder.rglob("*"):
            try:
                if path.is_file() and path.stat().st_size < _LARGEST:
                    found += [f"{name} in {path}" for name in self.within(path.read_bytes())]
            except OSError:
                continue  # it has just gone
        return found


def _needles(pem: str) -> Iterator[bytes]:
    key = load_pem_private_key(pem.encode(), None)
    if isinstance(key, rsa.RSAPrivateKey):
        secret = key.private_numbers()
        numbers = [secret.d, secret.p, secret.q]
        size = key.key_size // 8
    else:
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        numbers, size = [key.private_numbers().private_value], (key.key_size + 7) // 8
    for number in numbers:
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        yield raw[:_LENGTH]
        yield raw.hex()[2 : 2 * _LENGTH].encode()
        yield raw.hex()[2 : 2 * _LENGTH].upper().encode()
        yield str(number)[: 2 * _LENGTH].encode()
        yield from _base64(raw[: size if size <= _LENGTH * 2 else _LENGTH * 2])
    for kind in _FORMATS:
        lines = key.private_bytes(Encoding.PEM, kind, NoEncryption()).split(b"\n")
        # Of an RSA key the first lines are its modulus, which is public; of an EC key the last its point, and what
        # stands before its number is the same in all keys.
        of_ec = [lines[1][10:]] if kind is PrivateFormat.TraditionalOpenSSL else [lines[2][:26]]
        for line in lines[len(lines) // 2 : -3] if isinstance(key, rsa.RSAPrivateKey) else of_ec:
            yield from _base64(line)


def _base64(data: bytes) -> Iterator[bytes]:
    """The base64 of something that has `data` in it, whatever is around it: there are three."""
    for skip in range(3):
        part = data[skip:]
        part = part[: len(part) // 3 * 3]
        yield base64.b64encode(part)[: 2 * _LENGTH]


class Watch:
    """Looks at a process and all below it while they run: command lines, environments, open files (deleted ones too)
    and the files below `folders`. `found` has what it saw."""

    def __init__(self, needles: Needles, root: int, folders: Iterable[Path] = ()) -> None:
        self._needles, self._root, self._folders = needles, root, tuple(folders)
        self.found: set[str] = set()
        self.processes: set[int] = set()
        self._seen: set[tuple[str, int, int]] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _look(self) -> None:
        while not self._ended.wait(_EVERY):
            for pid in (self._root, *_below(self._root)):
                self._process(pid)
            for folder in self._folders:
                for path in folder.rglob("*"):
                    self._file(path, str(path))

    def _process(self, pid: int) -> None:
        self.processes.add(pid)
        at = Path(f"/proc/{pid}")
        for name in ("cmdline", "environ"):
            try:
                data = (at / name).read_bytes()
            except OSError:
                continue
            self.found |= {f"{key} in {name} of {data[:80]!r}" for key in self._needles.within(data)}
        try:
            handles = list((at / "fd").iterdir())
        except OSError:
            return
        for handle in handles:
            try:
                named = os.readlink(handle)  # noqa: PTH115 - a deleted file has no path
            except OSError:
                continue
            if named.startswith("/") and not named.startswith(("/dev/", "/proc/", "/sys/")):
                self._file(handle, named)

    def _file(self, path: Path, name: str) -> None:
        try:
            about = path.stat()
            if not about.st_size or about.st_size > _LARGEST or not path.is_file():
                return
            mark = (name, about.st_size, about.st_mtime_ns)
            if mark in self._seen:
                return
            self._seen.add(mark)
            data = path.read_bytes()
        except OSError:
            return
        self.found |= {f"{key} in file {name}" for key in self._needles.within(data)}


def _below(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(") ")[2].split()[1])
        except (OSError, IndexError):
            continue
        found.append((parent, int(stat.parent.name)))
    below, wanted = [], {pid}
    while wanted:
        wanted = {child for parent, child in found if parent in wanted}
        below += wanted
    return below
