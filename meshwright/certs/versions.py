"""What each version of Istio can and cannot do when the root changes: one table, and reading versions."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from meshwright.check import State

__all__ = ["TRAPS", "Trap", "Version", "of_tag", "parse", "traps"]

Version = tuple[int, int, int]

_NUMBERS = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")
_PROXIES = frozenset({"sidecar", "gateway", "waypoint"})
_ISTIOD, _ZTUNNEL = frozenset({"istiod"}), frozenset({"ztunnel"})


@dataclass(frozen=True)
class Trap:
    """What versions from `since` (with it) to `before` (without it) cannot do. FAILED: no change of root works with it;
    WARNING: it works, and costs something. `source` is where that is known from."""

    kinds: frozenset[str]
    since: Version
    before: Version
    state: State
    says: str
    todo: str
    source: str

    def catches(self, kind: str, version: Version) -> bool:
        """Whether a `kind` of this version is caught."""
        return kind in self.kinds and self.since <= version < self.before


_SPLIT = "it splits the bundle of roots, so proxies keep one root only: nobody can trust two"
_ONE_ROOT = "it keeps one root of several: it cannot trust the old and the new one"

TRAPS: tuple[Trap, ...] = (
    Trap(
        _PROXIES | _ISTIOD,
        (0, 0, 0),
        (1, 0, 8),
        State.FAILED,
        "it is older than 1.0.8, the least that could change its root at all",
        "Upgrade Istio first",
        "the minimum of root-transition.sh",
    ),
    Trap(
        _PROXIES | _ISTIOD,
        (1, 1, 0),
        (1, 1, 8),
        State.FAILED,
        "it is older than 1.1.8, the least of 1.1 that could change its root at all",
        "Upgrade Istio first",
        "the minimum of root-transition.sh",
    ),
    Trap(_ISTIOD, (1, 24, 4), (1, 24, 5), State.FAILED, _SPLIT, "Upgrade to 1.24.5 or later", "istio/istio#55793"),
    Trap(_ISTIOD, (1, 25, 1), (1, 25, 2), State.FAILED, _SPLIT, "Upgrade to 1.25.2 or later", "istio/istio#55793"),
    Trap(_ZTUNNEL, (0, 0, 0), (1, 24, 6), State.FAILED, _ONE_ROOT, "Upgrade to 1.24.6 or later", "istio/ztunnel#1510"),
    Trap(_ZTUNNEL, (1, 25, 0), (1, 25, 3), State.FAILED, _ONE_ROOT, "Upgrade to 1.25.3 or later", "istio/ztunnel#1510"),
    Trap(
        _ISTIOD,
        (1, 1, 8),
        (1, 19, 0),
        State.WARNING,
        "it reads changed files of a plugged-in CA only with AUTO_RELOAD_PLUGIN_CERTS, and a new root never",
        "Restart istiod in each phase",
        "istio/istio fc4c9f8e",
    ),
    Trap(
        _ISTIOD,
        (1, 19, 0),
        (1, 20, 0),
        State.WARNING,
        "it takes no new root over while it runs",
        "Restart istiod in each phase",
        "istio/istio#47063",
    ),
    Trap(
        _ISTIOD,
        (1, 20, 0),
        (1, 28, 0),
        State.WARNING,
        "it can miss that the files of a plugged-in CA have changed when the root in them has not",
        "Look for `detected the newly added intermediate CA` in its log, and restart it where that is missing",
        "istio/istio#57271",
    ),
    Trap(
        _ISTIOD,
        (1, 20, 0),
        (1, 30, 0),
        State.WARNING,
        "it compares bundles as text: a new one is taken over only when it contains the old one, or the old one it",
        "Add roots behind the others, with the same PEM text: A+B, then A+B+B; never B+A",
        "pilot/pkg/bootstrap/istio_ca.go of 1.29.0",
    ),
    Trap(
        _ZTUNNEL,
        (1, 24, 6),
        (1, 29, 2),
        State.WARNING,
        "it reads the roots for its connection to istiod only when it starts",
        "Restart the DaemonSet when the roots have changed",
        "istio/ztunnel#1775",
    ),
    Trap(
        _ZTUNNEL,
        (0, 0, 0),
        (99, 0, 0),
        State.WARNING,
        "it learns new roots only with its next certificate, at half of the life of the one that it has",
        "Wait for that, or restart the DaemonSet, which cuts long connections of its node",
        "istio/istio#61719",
    ),
)
"""What is known to go wrong. A version that nothing catches can change its root in every way."""


def parse(text: str) -> Version | None:
    """The numbers at the beginning of a version such as 1.24.4-distroless or 1.31-alpha.4d2f-Clean; None: no version.

    A pre-release counts as the release that it comes before: it has its code.
    """
    found = _NUMBERS.match(text.strip())
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def of_tag(image: str) -> str:
    """The tag of an image; "" where it has none but a digest."""
    name = image.partition("@")[0].rpartition("/")[2]
    return name.partition(":")[2]


def traps(kind: str, version: Version) -> Iterable[Trap]:
    """The traps that a `kind` (istiod, sidecar, gateway, waypoint, ztunnel) of this version is caught by."""
    return [each for each in TRAPS if each.catches(kind, version)]
