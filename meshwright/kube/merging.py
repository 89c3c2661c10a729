"""Merging one context into somebody's kubeconfig, for `meshwright kubeconfig --merge`."""

from __future__ import annotations

import posixpath
from pathlib import Path
from typing import Any

from meshwright.errors import MeshwrightError, Refused
from meshwright.kube.kubeconfig import SECTIONS, Context, Document, Read, certificates, dump, entries, material, parse
from meshwright.target import write_atomically

__all__ = ["merge", "merge_file"]


def merge(theirs: Document, ours: Document, *, file: str, read_file: Read) -> Document:
    """`theirs` with the entries of `ours` (a document of `extract`) added or brought up to date.

    Everything else stays, the current context too. `file` and `read_file` are those of `theirs`.

    Raises Refused when a name of ours means something else there: another cluster, or a user of other contexts.
    """
    context = ours["contexts"][0]["name"]
    merged = dict(theirs) or {"apiVersion": "v1", "kind": "Config"}
    hint = f"Rename it there (`kubectl config rename-context {context} NEW`) or delete it, then run this again"
    there = entries(theirs, "contexts")
    if context in there and _another(theirs, ours, there[context].get("cluster"), file, read_file):
        raise Refused(f"{file} has a context {context} that is another cluster", hint=hint)
    for section, key in SECTIONS.items():
        kept = list(theirs.get(section) or [])
        for entry in ours[section]:
            name = entry["name"]
            index = next((i for i, e in enumerate(kept) if e["name"] == name), None)
            if index is None:
                kept.append(entry)
            elif kept[index].get(key) != entry[key]:
                others = sorted(n for n, c in there.items() if n != context and c.get(key) == name)
                if others and not (key == "cluster" and not _another(theirs, ours, name, file, read_file)):
                    raise Refused(
                        f"{file} has another {key} {name}, which context {others[0]} uses",
                        hint=f"Rename that {key} there, then run this again",
                    )
                kept[index] = {**kept[index], key: entry[key]}
        merged[section] = kept
    return merged


def _another(theirs: Document, ours: Document, name: Any, file: str, read_file: Read) -> bool:
    """Whether the cluster entry `name` of `theirs` is another cluster than that of `ours`: another CA, or, where
    neither says one, another server."""
    cluster = entries(theirs, "clusters").get(name)
    if cluster is None:
        return False
    context = Context(file, str(name), "", posixpath.dirname(file))
    mine = ours["clusters"][0]["cluster"]
    before = material(context, cluster, "certificate-authority", read_file)
    after = material(context, mine, "certificate-authority", read_file)
    if before is None and after is None:
        return str(cluster.get("server") or "").rstrip("/") != str(mine.get("server") or "").rstrip("/")
    return set(certificates(before or b"")) != set(certificates(after or b""))


def merge_file(path: Path, ours: Document) -> bool:
    """Merges `ours` into the file `path` of this machine, atomically, 0600; makes the file where there is none.

    Returns whether it changed. Raises as `merge` and `parse` do, and MeshwrightError for a file that cannot be used.
    """

    def read_file(name: str) -> bytes | None:
        try:
            return Path(name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise MeshwrightError(f"cannot read {name}: {error.strerror}") from None

    path = path.resolve()  # a link stays a link
    data = read_file(str(path))
    theirs = parse(data, str(path)) if data else {}
    merged = merge(theirs, ours, file=str(path), read_file=read_file)
    if merged == theirs:
        return False
    try:
        write_atomically(path, dump(merged))
    except OSError as error:
        raise MeshwrightError(f"cannot write {path}: {error.strerror}") from None
    return True
