from __future__ import annotations

import pytest

from meshwright.errors import MeshwrightError
from meshwright.lab import clean, dockerd


@pytest.fixture
def removed(host, monkeypatch, places):
    """Whether the engine was removed."""
    calls = []
    monkeypatch.setattr(dockerd, "remove", calls.append)
    monkeypatch.setattr(dockerd, "process", lambda _: None)
    return calls


def test_what_was_built_goes_and_what_environments_keep_stays(host, removed):
    state = host.project.state
    for name in ("engine", "built/bin", "bin", "istio/1.30.3", "prod"):
        (state / name).mkdir(parents=True)
    (state / "prod" / "records.jsonl").write_text("{}")
    clean.clean(host)
    assert [path.name for path in state.iterdir()] == ["prod"]
    assert removed == []
    clean.clean(host)


def test_the_engine_goes_with_its_data(host, removed, monkeypatch):
    dockerd.places(host.project).data.mkdir(parents=True)
    monkeypatch.setattr(clean.os, "geteuid", lambda: 0)
    clean.clean(host)
    assert removed == [host]


def test_another_user_cannot_remove_it(host, removed, monkeypatch):
    dockerd.places(host.project).data.mkdir(parents=True)
    monkeypatch.setattr(clean.os, "geteuid", lambda: 1000)
    with pytest.raises(MeshwrightError, match="belong to root"):
        clean.clean(host)
    assert removed == []


@pytest.mark.usefixtures("removed")
def test_as_a_command(host, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(host.project.root)
    (host.project.state / "built").mkdir(parents=True)
    assert clean.main() == 0
    assert "removing" in capsys.readouterr().out
    assert clean.main() == 0
    assert capsys.readouterr().out == ""
    monkeypatch.chdir(tmp_path)
    assert clean.main() == 65
    assert "not inside a Meshwright project" in capsys.readouterr().err
