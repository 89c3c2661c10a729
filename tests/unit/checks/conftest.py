"""A healthy mesh behind the core's functions, and running one check on it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSession, FakeTarget, environment
from mesh import GOOD_PAGE, VERSION, healthy, synced

from meshwright import check, checks, cluster, engine, probe
from meshwright.check import Result
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.kube import exec as kube_exec
from meshwright.kube import portforward
from meshwright.lab import dockerd
from meshwright.project import Project


@dataclass
class World:
    """What checks find. `istiod` answers by path; an error there is raised. `page` is what a request is answered."""

    host: FakeTarget
    session: FakeSession
    env: Environment
    state: cluster.State = cluster.State.UP
    after: str = ""
    engine: engine.Found | MeshwrightError | None = None
    istiod: dict[str, Any] = field(default_factory=dict)
    inside: tuple[int, bytes, bytes] = (0, GOOD_PAGE.encode(), b"")
    page: tuple[int, str] = (200, GOOD_PAGE)

    def check(self, anchor: str) -> Result:
        """One check, once, whatever the others say."""
        [found] = [each for each in checks.CHECKS if each.anchor == anchor]
        alone = check.Check(
            found.group, found.claim, found.find, found.anchor, found.hint, found.fatal, applies=found.applies
        )
        results = list(check.run([alone], self.host, self.env))
        assert results, f"{anchor} does not apply to {self.env.name}"
        return results[0]

    def all(self) -> dict[str, Result]:
        """Every check, by anchor."""
        return {result.check.anchor: result for result in check.run(checks.CHECKS, self.host, self.env, pause=30)}


@pytest.fixture
def world(host: FakeTarget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """A k3d environment in which everything holds."""
    session = healthy()
    found = engine.Found("docker", {"DOCKER_HOST": "unix:///x"}, "the engine at unix:///x answers")
    made = World(host, session, environment(namespaces={"bookinfo": {"injection": "enabled"}}), engine=found)
    made.istiod = {"/version": f"{VERSION}-abc-Clean".encode(), "/debug/syncz": None}

    def find(_target: object, _env: object) -> engine.Found | None:
        if isinstance(made.engine, MeshwrightError):
            raise made.engine
        return made.engine

    def ask(
        _session: object, _namespace: str, _pod: str, _port: int, path: str, _timeout: float = 0
    ) -> tuple[int, bytes]:
        said = made.istiod[path]
        if isinstance(said, MeshwrightError):
            raise said
        if isinstance(said, tuple):
            return said
        return 200, said if isinstance(said, bytes) else json.dumps(said or synced(session)).encode()

    up = lambda: cluster.View(made.state, after=made.after)  # noqa: E731
    monkeypatch.setattr(engine, "find", find)
    monkeypatch.setattr(cluster, "view", lambda _target, _env: up())
    monkeypatch.setattr(cluster, "session", lambda _t, _e: session if made.state is cluster.State.UP else None)
    monkeypatch.setattr(portforward, "http_get", ask)
    monkeypatch.setattr(kube_exec, "run", lambda *_args, **_more: made.inside)
    monkeypatch.setattr(probe, "get", lambda _target, url: probe.Page(url, *made.page, 0.01))
    monkeypatch.setattr(dockerd, "places", lambda _project: dockerd.Places(tmp_path, tmp_path, tmp_path))
    host.answer("sh -c", "Filesystem blocks\n/dev/x 99999999 1 50000000 50% /\n")
    for tool, (version, words, said) in _TOOLS.items():
        _install(host.project, f"{tool}-{version}", tool)
        host.answer(words, json.dumps(said))
    host.answer("analyze", "[]")
    return made


# The version, the words of the question after it that no other tool has, and the answer.
_TOOLS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "k3d": ("5.9.0", "version -o json", {"k3d": "v5.9.0"}),
    "kubectl": ("1.35.4", "version --client", {"clientVersion": {"gitVersion": "v1.35.4"}}),
    "istioctl": (VERSION, "version --remote=false", {"clientVersion": {"version": VERSION}}),
}


def _install(project: Project, folder: str, tool: str) -> None:
    path = project.bin / folder / tool
    path.parent.mkdir(parents=True)
    path.write_bytes(b"\x7fELF")
    path.chmod(0o755)
