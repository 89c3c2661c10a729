from __future__ import annotations

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

CAPABILITIES = {"bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "effective": ["CAP_SYS_RESOURCE"], "ambient": None}


@pytest.fixture
def runc(wrapper, monkeypatch):
    """The command lines that runc was called with."""
    calls = []
    monkeypatch.setattr(os, "execvp", lambda name, words: calls.append((name, words)))
    return calls


def process(score=-998):
    return {"args": ["sh"], "oomScoreAdj": score, "capabilities": dict(CAPABILITIES)}


REDUCED = {"bounding": ["CAP_CHOWN"], "effective": [], "ambient": []}


@pytest.mark.parametrize("words", [["create", "--bundle", "{}"], ["run", "-b", "{}"], ["create", "--bundle={}"]])
def test_a_container_asks_for_what_the_host_has(wrapper, runc, tmp_path, words):
    (tmp_path / "config.json").write_text(json.dumps({"process": process(), "root": {"path": "rootfs"}}))
    words = ["--root", "/run/runc", *(word.format(tmp_path) for word in words), "id"]
    wrapper.main(words)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["process"]["capabilities"] == REDUCED
    assert config["process"]["oomScoreAdj"] == 0
    assert config["root"] == {"path": "rootfs"}
    assert runc == [("runc", ["runc", *words])]
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]


def test_so_does_an_exec(wrapper, runc, tmp_path):
    file = tmp_path / "process"
    file.write_text(json.dumps(process(score=100)))
    wrapper.main(["exec", "--process", str(file), "id"])
    assert json.loads(file.read_text()) == {**process(score=100), "capabilities": REDUCED}
    assert len(runc) == 1


@pytest.mark.parametrize("words", [["delete", "id"], ["exec", "id", "sh"], ["state", "id"], []])
def test_everything_else_goes_straight_to_runc(wrapper, runc, words):
    wrapper.main(words)
    assert runc == [("runc", ["runc", *words])]


def test_a_record_without_capabilities_is_fine(wrapper):
    record = {"args": ["sh"]}
    wrapper.reduce(record)
    assert record == {"args": ["sh"]}


@given(st.lists(st.text(max_size=12), max_size=6), st.text(max_size=12), st.booleans())
def test_options_are_read_in_both_forms(wrapper, others, value, joined):
    others = [word for word in others if word.partition("=")[0] not in ("--bundle", "-b")]
    given_ = [f"--bundle={value}"] if joined else ["--bundle", value]
    assert wrapper.option([*others, *given_], "--bundle", "-b") == value
    assert wrapper.option(others, "--bundle", "-b") is None
