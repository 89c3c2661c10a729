from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakeapi import Authority, b64

from meshwright.errors import BadInput, Refused
from meshwright.kube.merging import merge, merge_file


def entry(name: str, server: str, ca: bytes | None, user: str | None = None, token: str = "t") -> dict[str, Any]:
    cluster = {"server": server, **({"certificate-authority-data": b64(ca)} if ca else {})}
    user = user or f"{name}-user"
    return {
        "clusters": [{"name": f"{name}-cluster", "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": f"{name}-cluster", "user": user}}],
    }


def together(*documents: dict[str, Any], **more: Any) -> dict[str, Any]:
    sections = ("clusters", "users", "contexts")
    return {s: [e for d in documents for e in d[s]] for s in sections} | more


def into(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    return merge(theirs, ours, file="/home/op/.kube/config", read_file=lambda _path: None)


def test_adds_and_keeps_everything_else(authority: Authority) -> None:
    theirs = together(entry("work", "https://w", None), **{"current-context": "work", "preferences": {"colors": True}})
    ours = entry("lab", "https://l", authority.pem)
    merged = into(theirs, ours)
    assert [c["name"] for c in merged["contexts"]] == ["work", "lab"]
    assert merged["current-context"] == "work"
    assert merged["preferences"] == {"colors": True}
    assert merged["clusters"][0] == theirs["clusters"][0]


def test_the_same_cluster_at_another_port_is_brought_up_to_date(authority: Authority) -> None:
    theirs = together(entry("lab", "https://127.0.0.1:1", authority.pem, token="old"), other=1)
    merged = into(theirs, entry("lab", "https://127.0.0.1:2", authority.pem, token="new"))
    assert merged["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:2"
    assert merged["users"] == [{"name": "lab-user", "user": {"token": "new"}}]
    assert len(merged["contexts"]) == 1
    assert into(merged, entry("lab", "https://127.0.0.1:2", authority.pem, token="new")) == merged


def test_a_context_of_that_name_for_another_cluster_is_refused(authority: Authority) -> None:
    theirs = together(entry("lab", "https://l", Authority("other").pem))
    with pytest.raises(Refused, match=r"config has a context lab that is another cluster") as error:
        into(theirs, entry("lab", "https://l", authority.pem))
    assert "rename-context" in error.value.hint
    with pytest.raises(Refused, match="another cluster"):
        into(together(entry("lab", "https://one", None)), entry("lab", "https://two", None))


def test_a_user_that_other_contexts_need_is_not_replaced(authority: Authority) -> None:
    theirs = together(entry("work", "https://w", None, user="admin", token="work's"))
    with pytest.raises(Refused, match="another user admin, which context work uses"):
        into(theirs, entry("lab", "https://l", authority.pem, user="admin", token="lab's"))


def test_a_cluster_entry_that_other_contexts_use_is_not_made_another_cluster(authority: Authority) -> None:
    theirs = together(entry("work", "https://w", None))
    theirs["clusters"][0]["name"] = theirs["contexts"][0]["context"]["cluster"] = "lab-cluster"
    with pytest.raises(Refused, match="another cluster lab-cluster, which context work uses"):
        into(theirs, entry("lab", "https://l", authority.pem))


def test_the_file_is_written_whole_and_private(tmp_path: Path, authority: Authority) -> None:
    real, link = tmp_path / "real", tmp_path / "config"
    real.write_text(
        "apiVersion: v1\ncurrent-context: work\nusers: [{name: a, user: {token: '0123'}, since: 2026-01-02}]\n"
    )
    link.symlink_to(real)
    ours = entry("lab", "https://l", authority.pem)
    assert merge_file(link, ours) is True
    assert link.is_symlink()
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    text = real.read_text()
    assert "since: 2026-01-02\n" in text.replace("'", "")
    written = yaml.safe_load(text)
    assert written["current-context"] == "work"
    assert written["users"][0]["user"] == {"token": "0123"}
    before = real.stat().st_mtime_ns
    assert merge_file(link, ours) is False
    assert real.stat().st_mtime_ns == before
    assert list(tmp_path.iterdir()) == sorted([real, link], reverse=True) or len(list(tmp_path.iterdir())) == 2


def test_a_new_file_gets_no_current_context(tmp_path: Path, authority: Authority) -> None:
    path = tmp_path / "folder" / "config"
    assert merge_file(path, entry("lab", "https://l", authority.pem)) is True
    assert "current-context" not in yaml.safe_load(path.read_text())


def test_a_broken_file_is_left_alone(tmp_path: Path, authority: Authority) -> None:
    path = tmp_path / "config"
    path.write_text("{ broken")
    with pytest.raises(BadInput, match="is not YAML"):
        merge_file(path, entry("lab", "https://l", authority.pem))
    assert path.read_text() == "{ broken"
