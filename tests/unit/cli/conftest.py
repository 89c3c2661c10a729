"""A project with two environments, as the current folder, and the command run in this process."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fakesteps
import pytest
from fakes import CA, UID, FakeTarget
from promoting import CHANGE, World

from meshwright import cli, cluster
from meshwright.cli import common, deploying
from meshwright.cli.planned import Planned
from meshwright.project import Project

_ALL = """\
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.3, hub: docker.io/istio}
namespaces: {bookinfo: {injection: enabled}}
"""
_ENVIRONMENTS = {
    "lab": "cluster: {kind: k3d, image: docker.io/rancher/k3s:v1.35.4-k3s1}\n",
    "prod": f"""\
protected: true
cluster: {{kind: existing, context: prod, kubeconfig: theirs.yaml, uid: {UID}, ca_sha256: {CA}}}
""",
}


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as the one JSON document that it must be."""
        found: dict[str, Any] = json.loads(self.out)
        assert {"format_version", "command", "environment", "ok", "summary"} <= found.keys()
        return found


Run = Callable[..., Ran]


@pytest.fixture
def run(host: FakeTarget, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `meshwright WORDS...` in the project, on the scripted host."""
    root = host.project.root
    (root / "group_data" / "all.yaml").write_text(_ALL)
    for name, text in _ENVIRONMENTS.items():
        (root / "group_data" / f"{name}.yaml").write_text(text)
        (root / "inventory" / f"{name}.py").touch()
    monkeypatch.chdir(root)
    monkeypatch.setattr(common, "_target", lambda _host, _project: host)
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(root.parent / "home"))

    return _runner(capsys)


@pytest.fixture
def meshwright(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `meshwright WORDS...` in the project on this machine; deploys, also those in a child, find fakesteps."""
    monkeypatch.chdir(project.root)
    path = [str(Path(fakesteps.__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
    return _runner(capsys)


def _runner(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*words: str) -> Ran:
        code = cli.run(list(words))
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Ran(int(code), said.out, said.err)

    return run


@pytest.fixture
def world(run: Run, host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> World:
    """Two environments to promote from and to; neither has a cluster."""
    made = World(host.project.root)
    monkeypatch.setattr(deploying, "planned", lambda *_of, **_more: Planned([CHANGE], {"@local": CHANGE.digest}))
    monkeypatch.setattr(deploying, "run_deploy", made.run_deploy)
    monkeypatch.setattr(cluster, "session", lambda _target, _env: None)
    monkeypatch.setattr(cluster, "no_session", lambda _target, _env: "there is none")
    host.answer("git", (128, "fatal: not a git repository"))
    return made
