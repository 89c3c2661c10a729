"""Environments with a Secret of one reference, and what it stands for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from meshwright.environment import load
from meshwright.project import Project
from meshwright.secrets import Resolver, references

ALL = """\
cluster: {kind: existing, context: c}
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.3, hub: docker.io/istio}
bookinfo: {enabled: false}
"""
PLACE = 'group_data/lab.yaml:1: resources.secrets["shop/a"].data.'


@pytest.fixture(autouse=True)
def nobody_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, and none of the user's variables."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    for name in (
        "SOPS_AGE_KEY_FILE",
        "XDG_CONFIG_HOME",
        "VAULT_ADDR",
        "VAULT_TOKEN",
        "VAULT_CACERT",
        "VAULT_NAMESPACE",
    ):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def resolved(project: Project) -> Callable[..., dict[str, bytes]]:
    """`resolved(password="{file: x}")`: what the references stand for, by their names."""

    def read(**data: str) -> dict[str, bytes]:
        (project.root / "inventory" / "lab.py").touch()
        (project.root / "group_data" / "all.yaml").write_text(ALL, encoding="utf-8")
        text = ", ".join(f"{name}: {reference}" for name, reference in data.items())
        values = f"resources: {{secrets: {{shop/a: {{data: {{{text}}}}}}}}}\n"
        (project.root / "group_data" / "lab.yaml").write_text(values, encoding="utf-8")
        env = load(project, "lab").env
        resolver = Resolver(project, env)
        return {str(path[-1]): resolver.resolve(path, reference) for path, reference in references(env)}

    return read
