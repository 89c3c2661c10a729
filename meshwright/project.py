"""The project folder: where it is and which names derive from it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from meshwright.errors import BadInput

__all__ = ["Project"]


@dataclass(frozen=True)
class Project:
    """One checkout of a Meshwright project. `root` is absolute and resolved."""

    root: Path

    @classmethod
    def find(cls, start: Path | None = None) -> Project:
        """The folder `start` (default: the current one) or its nearest parent with inventory/ and group_data/.

        Raises BadInput where there is none.
        """
        start = (start or Path.cwd()).resolve()
        for folder in (start, *start.parents):
            if (folder / "inventory").is_dir() and (folder / "group_data").is_dir():
                return cls(folder)
        raise BadInput(
            f"{start} is not inside a Meshwright project: neither it nor a parent has inventory/ and group_data/",
            hint="Change into your project folder and run the command again",
        )

    @property
    def digest(self) -> str:
        """Eight hex digits of the folder's path: what keeps the names of two clones on one machine apart."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    @property
    def state(self) -> Path:
        """`.meshwright`, the git-ignored folder of local state."""
        return self.root / ".meshwright"

    @property
    def bin(self) -> Path:
        """Where tools land."""
        return self.state / "bin"

    def of(self, environment: str) -> Path:
        """The state folder of one environment (kubeconfig, records, lock, identity)."""
        return self.state / environment

    @property
    def environments(self) -> list[str]:
        """Names of the environments: the stems of inventory/*.py, sorted."""
        return sorted(p.stem for p in (self.root / "inventory").glob("*.py") if not p.stem.startswith("_"))
