"""Options: what pyinfra is given, and what it makes of that again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshwright.errors import BadInput
from meshwright.options import Options


def test_options_from_what_pyinfra_was_given() -> None:
    assert Options.of({}) == Options()
    given = {"approved": "sha256:12", "allow_recreate": True, "reason": 7, "other": 1}
    assert Options.of(given) == Options("sha256:12", True, "7")


@pytest.mark.parametrize("value", [12e45678, 12, "12e4", "SHA256:12", "", True, ["sha256:1"]])
def test_an_approval_without_its_prefix_is_bad_input(value: Any) -> None:
    with pytest.raises(BadInput) as caught:
        Options.of({"approved": value})
    assert caught.value.message == f"approved={value} is not the digest of a plan"
    assert caught.value.hint == "Give it as it was printed, with its prefix: --data approved=sha256:..."


def test_each_host_has_its_own_approval() -> None:
    given = {"approved": {"h1": "sha256:1", "h2": "sha256:2"}}
    assert [Options.of(given, host).approved for host in ("h1", "h2")] == ["sha256:1", "sha256:2"]


@pytest.mark.parametrize("mapping", [{}, {"h1": "sha256:1"}, {"h2": None}, {"h2": 12e45678}])
def test_a_host_without_its_approval_is_not_one_that_needs_none(mapping: Any) -> None:
    with pytest.raises(BadInput, match=r"^approved has no digest for h2\. Give one"):
        Options.of({"approved": mapping}, "h2")


@pytest.mark.parametrize("value", ["yes", "false", 1, 0, None])
def test_a_consent_that_is_no_truth_value_is_bad_input(value: Any) -> None:
    with pytest.raises(BadInput, match=f"^allow_recreate={value} is neither true nor false$"):
        Options.of({"allow_recreate": value})


_TEXT = st.text() | st.sampled_from(["42", "true", "null", '"so"', '{"a": 1}', "1e5", "[]"])
_NAMES = st.frozensets(st.sampled_from(["ConfigMap/shop/a", "Secret/shop/b-1", "Namespace/shop"]))
_HOSTS = st.lists(st.sampled_from(["@local", "10.0.0.1", "h2"]), unique=True)


def read(text: str) -> Any:
    """What pyinfra takes a value of `--data` for. Importing its own function would patch this whole process."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, json.loads):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@settings(max_examples=200)
@given(st.booleans(), _TEXT, _NAMES, _TEXT, st.booleans(), _HOSTS)
def test_each_host_finds_the_options_again_that_were_passed_on(
    recreate: bool, reason: str, adopt: frozenset[str], to: str, override: bool, hosts: list[str]
) -> None:
    options = Options(None, recreate, reason, adopt, to, override and bool(reason.strip()), mode=to, waive=adopt)
    approved = {host: f"sha256:{number}" for number, host in enumerate(hosts)}
    data = {key: read(text) for key, text in options.data(approved).items()}
    assert data.keys() <= set(Options.names())
    for host in hosts or ["@local"]:
        expected = Options(approved.get(host), recreate, reason, adopt, to, options.override, to, waive=adopt)
        assert Options.of(data, host) == expected


def test_what_was_not_said_is_not_passed_on() -> None:
    assert Options().data({}) == {}
    assert Options(reason="42").data({"@local": "sha256:1"}) == {"approved": "sha256:1", "reason": '"42"'}
