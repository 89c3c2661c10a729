"""Private keys do not belong in values: those files are in Git, and values are printed."""

from __future__ import annotations

from meshwright.environment.problems import Problem, dotted, is_private
from meshwright.environment.tree import Node, walk

__all__ = ["check"]

_HINT = (
    "Put it into a file that Git ignores, or that sops or age has encrypted, and write a reference (docs/secrets.md)"
)


def check(tree: Node) -> list[Problem]:
    """Every value of `tree` that has a private key in it. The key is not in the sentence."""
    return [
        Problem(f"{dotted(path)} has a private key in it, which is not shown here", *node.where, dotted(path), _HINT)
        for path, node in walk(tree)
        if isinstance(node.content, str) and is_private(node.content)
    ]
