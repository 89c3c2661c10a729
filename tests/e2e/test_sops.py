"""References to documents of the real sops, built from its pinned Go module: no cluster is needed (#7)."""

from __future__ import annotations

import json
import secrets
import shutil

import pyrage
import pytest
import sealing
from sealing import encrypted

from meshwright.environment import load
from meshwright.errors import BadInput, MeshwrightError
from meshwright.project import Project
from meshwright.secrets import Resolver, references

ALL = """\
cluster: {kind: existing, context: c}
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.3, hub: docker.io/istio}
bookinfo: {enabled: false}
"""


@pytest.fixture(scope="module")
def sops():
    """The program."""
    return sealing.program()


@pytest.fixture
def project(tmp_path, sops, monkeypatch):
    """A project with sops among its tools, and a home folder with an identity of age where sops looks."""
    root, home = tmp_path / "a project", tmp_path / "home"
    for folder in (root / "inventory", root / "group_data", root / ".meshwright" / "bin", home / ".config/sops/age"):
        folder.mkdir(parents=True)
    (root / ".meshwright" / "bin" / "sops").symlink_to(sops)
    (root / "inventory" / "lab.py").touch()
    (root / "group_data" / "all.yaml").write_text(ALL)
    identity = pyrage.x25519.Identity.generate()
    (home / ".config/sops/age/keys.txt").write_text(f"{identity}\n")
    monkeypatch.setenv("HOME", str(home))
    for name in ("SOPS_AGE_KEY_FILE", "SOPS_AGE_KEY", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    return Project(root), str(identity.to_public())


def resolved(project, **data):
    text = ", ".join(f"{name}: {reference}" for name, reference in data.items())
    (project.root / "group_data" / "lab.yaml").write_text(f"resources: {{secrets: {{shop/a: {{data: {{{text}}}}}}}}}\n")
    env = load(project, "lab").env
    resolver = Resolver(project, env)
    return {str(path[-1]): resolver.resolve(path, reference).decode() for path, reference in references(env)}


def test_values_of_documents_and_whole_files(project):
    project, recipient = project
    password, text = secrets.token_urlsafe(20), "line one\nline two\n"
    encrypted(project.root, recipient, "s.yaml", f"db:\n  password: {password}\n  port: 5432\n")
    encrypted(project.root, recipient, "s.json", json.dumps({"a": {"b": "ö"}}))
    encrypted(project.root, recipient, "s.txt", text)
    assert password not in (project.root / "s.yaml").read_text()
    before = sorted(project.root.rglob("*"))
    found = resolved(
        project, one="{sops: s.yaml, key: db/password}", two="{sops: s.json, key: a/b}", three="{sops: s.txt}"
    )
    assert found == {"one": password, "two": "ö", "three": text}
    assert sorted({*project.root.rglob("*")} - {project.root / "group_data" / "lab.yaml"}) == before
    with pytest.raises(BadInput, match=r"sops s\.yaml \(db/port\) is a number, not text"):
        resolved(project, one="{sops: s.yaml, key: db/port}")


def test_without_the_identity_and_of_a_damaged_or_plain_file(project, tmp_path):
    project, recipient = project
    password = secrets.token_urlsafe(20)
    encrypted(project.root, recipient, "s.yaml", f"password: {password}\n")
    whole = (project.root / "s.yaml").read_text()
    (project.root / "plain.yaml").write_text(f"password: {password}\n")
    (project.root / "damaged.yaml").write_text(whole.replace("data:", "data:AAAA", 1))
    for name in ("plain", "damaged"):
        with pytest.raises(MeshwrightError, match=rf"{name}\.yaml cannot be decrypted: sops exited with") as caught:
            resolved(project, one=f"{{sops: {name}.yaml, key: password}}")
        assert password not in str(caught.value)
    shutil.rmtree(tmp_path / "home" / ".config")
    with pytest.raises(MeshwrightError, match=r"s\.yaml cannot be decrypted: sops exited with 128") as caught:
        resolved(project, one="{sops: s.yaml, key: password}")
    assert caught.value.message.startswith("group_data/lab.yaml:1: ")
