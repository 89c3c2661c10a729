"""Bodies of requests: a reader of JSON and a reader of YAML get the same value."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meshwright.kube.body import body

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(TEXTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))


@pytest.mark.parametrize("text", ["\U0001f600", "a\x85b", "\u2028", "\ufeff", "\x00\x1f\x7f", "\U0010ffff"])
def test_what_readers_disagree_on(text: str) -> None:
    assert yaml.safe_load(body({"a": text})) == json.loads(body({"a": text})) == {"a": text}


@given(VALUES)
def test_both_readers_agree(value: Any) -> None:
    assert yaml.safe_load(body([value])) == json.loads(body([value])) == [value]
