"""Two environments for `meshwright promote`, and what was run of pyinfra instead of pyinfra."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from meshwright import release
from meshwright.cli.child import Done
from meshwright.environment import load
from meshwright.plan import Action, Change, Plan
from meshwright.project import Project
from meshwright.release import Release

CLUSTER = "cluster: {kind: k3d, image: docker.io/rancher/k3s:v1.35.4-k3s1}\n"
DEV = CLUSTER + "istio: {version: 1.30.4}   # newest\n"
STAGING = "# theirs\n" + CLUSTER + "promotion:\n  from: dev\n  applied: false\nistio:\n  version: 1.30.3   # older\n"
AFTER = STAGING.replace("1.30.3", "1.30.4")
CHANGE = Plan("istio", "d", (Change(Action.CHANGE, "Deployment", "istio-system/istiod"),), checked=1)
DONE = [{"step": "istio", "state": "changed", "seconds": 1.0}]


class World:
    """The files of dev and staging; `ran` has the deploys that were run instead of pyinfra, each with the file as it
    was then, and `ends` how the next ones end."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ran: list[tuple[str, str, dict[str, str]]] = []
        self.ends: list[Any] = []
        self.put("dev", DEV)
        self.put("staging", STAGING)
        (root / "deploys" / "site.py").write_text("from meshwright.deploy import run\nsteps = []\nrun(steps)\n")

    def put(self, name: str, text: str) -> None:
        (self.root / "inventory" / f"{name}.py").touch()
        (self.root / "group_data" / f"{name}.yaml").write_text(text)

    @property
    def staging(self) -> str:
        return (self.root / "group_data" / "staging.yaml").read_text()

    @property
    def note(self) -> Path:
        return self.root / ".meshwright" / "staging" / "promotion.json"

    @property
    def dev(self) -> Release:
        """The release that dev's file holds."""
        project = Project(self.root)
        found = release.of(project, load(project, "dev").env)
        assert found is not None
        return found

    def run_deploy(self, _project: Any, environment: str, deploy: str, data: dict[str, str], **_: Any) -> Done:
        assert (environment, deploy) == ("staging", "site")
        self.ran.append((self.staging, deploy, data))
        end = self.ends.pop(0) if self.ends else Done(steps=DONE, checks=[{"check": "x", "state": "ok"}])
        if isinstance(end, BaseException):
            raise end
        assert isinstance(end, Done)
        return end

    def records(self, name: str = "staging") -> list[Any]:
        """The entries of an environment's records."""
        file = self.root / ".meshwright" / name / "records.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def everything(self) -> dict[str, bytes]:
        """Every file of the project but Git's own and locks: what must be the same after what was refused."""
        files = (path for path in self.root.rglob("*") if path.is_file() and ".git" not in path.parts)
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files if path.suffix != ".pyc"}
