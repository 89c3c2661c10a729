"""YAML documents as kubectl reads them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meshwright import documents
from meshwright.errors import BadInput, Exit


def values(text: str) -> list[Any]:
    return [document.value for document in documents.read(text, "f.yaml")]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("text", "text"),
        ("'12'", "12"),
        ('"yes"', "yes"),
        ("yes", True),
        ("OFF", False),
        ("~", None),
        ("", None),
        ("12", 12),
        ("-3", -3),
        ("+5", 5),
        ("1_000", 1000),
        ("0644", 0o644),
        ("0o17", 0o17),
        ("0x1F", 31),
        ("0b11", 3),
        ("08", "08"),
        ("1.5", 1.5),
        ("1.0", 1),
        ("1.30", 1.3),
        ("1e3", 1000),
        ("12e2", 1200),
        ("'1e3'", "1e3"),
        (".5", 0.5),
        ("2026-01-01", "2026-01-01"),
        ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
        ("=", "="),
        ("!!str 12", "12"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)
def test_scalars(written: str, value: Any) -> None:
    [found] = values(f"k: {written}")
    assert found == {"k": value}
    assert type(found["k"]) is type(value)


def test_keys_are_text() -> None:
    assert values("1: a\ntrue: b\n2026-01-01: c\n") == [{"1": "a", "true": "b", "2026-01-01": "c"}]


def test_documents_without_anything_are_left_out_and_lines_are_counted_on() -> None:
    text = "---\n---\n# a comment\n\na: 1\n---\n\n  # another\n---\nb: 2\n...\n"
    assert [(d.value, d.line) for d in documents.read(text, "f")] == [({"a": 1}, 5), ({"b": 2}, 10)]


def test_the_entries_of_a_list_have_lines() -> None:
    text = "kind: L\nitems:\n- a: 1\n\n-\n  b: 2\n- &c {c: 3}\n- *c\n"
    [document] = documents.read(text, "f")
    assert document.items == (3, 6, 7, 8)


def test_json_has_longer_keys_and_more_escapes_than_yaml() -> None:
    text = '\n{"' + "k" * 2000 + '": "\\ud83d\\ude00", "one": 1.0, "half": 0.5}\n'
    [document] = documents.read(text, "f.json")
    assert document.line == 2
    assert document.value == {"k" * 2000: "\U0001f600", "one": 1, "half": 0.5}
    assert type(document.value["one"]) is int


def test_aliases_and_merge_keys() -> None:
    text = "base: &base {a: 1, b: 1}\nother: &other {b: 2, c: 2}\none: {<<: *base, a: 9}\ntwo: {<<: [*base, *other]}\n"
    [found] = values(text)
    assert found["one"] == {"a": 9, "b": 1}
    assert found["two"] == {"a": 1, "b": 1, "c": 2}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: the key a is there twice"),
        ("x:\n  - {b: 1, b: 2}\n", "f.yaml:2: the key b is there twice"),
        ("a: .inf", "f.yaml:1: .inf is nothing that JSON has"),
        ("a:\n- .NaN", "f.yaml:2: .NaN is nothing that JSON has"),
        ("a: !!binary aGk=", "f.yaml:1: aGk= is nothing that JSON has"),
        ("\na: !secret x", "f.yaml:2: x is nothing that JSON has"),
        ("a: !!int x", "f.yaml:1: x is nothing that JSON has"),
        ("a: 1" + "0" * 5000, "f.yaml:1: 1"),
        ("[a]: b", "f.yaml:1: a key must be text"),
        ("a: {<<: 1}", "f.yaml:1: << can merge only mappings"),
        ("a: 1\nb: [1,\n", "f.yaml:2: this is not YAML: did not find expected node content"),
        ("a: b: c", "f.yaml:1: this is not YAML: mapping values are not allowed in this context"),
        ("a: *nowhere", "f.yaml:1: this is not YAML: found undefined alias"),
        ("a: 1\n\x00", "f.yaml: this is not YAML: unacceptable character"),
        ('{"a": 1,\n"a": 2}', "f.yaml:2: the key a is there twice"),
        ('{"a": 1e999}', "f.yaml:1: 1e999 is nothing that JSON has"),
        ('{"a": "\\ud800"}', "f.yaml:1: this is not YAML: found invalid Unicode character escape code"),
        ('{"a": ' + "[" * 200 + "]" * 200 + "}", "f.yaml:1: values nest more than 100 levels deep here"),
        ("a: &a [*a]", "f.yaml:1: values nest more than 100 levels deep here"),
        ("[" * 500 + "]" * 500, "f.yaml:1: values nest more than 100 levels deep here"),
    ],
)
def test_what_is_not_taken(text: str, sentence: str) -> None:
    with pytest.raises(BadInput) as caught:
        values(text)
    assert caught.value.message.startswith(sentence)
    assert caught.value.exit_code is Exit.BAD_INPUT


def test_aliases_that_unfold_to_too_much() -> None:
    lines = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 10)}]" for i in range(9)]
    with pytest.raises(BadInput, match=r"f.yaml:7: there are more than 2000000 values here"):
        values("\n".join(lines))


def test_half_a_surrogate_pair_from_the_parser_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_Loader", yaml.SafeLoader)
    assert values("a: 1e3\nb: x") == [{"a": 1000, "b": "x"}]
    with pytest.raises(BadInput, match=r"f.yaml:1: half of a surrogate pair"):
        values('a: "\\ud800"')


# Without what YAML does not let stand as it is: controls, other ends of lines, what is no character.
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cn", "Zl", "Zp"], exclude_characters="\ufeff"))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
json_objects = st.dictionaries(texts, json_values, max_size=4)


@given(value=json_objects, escaped=st.booleans())
def test_json_is_read_as_json(value: Any, *, escaped: bool) -> None:
    assert values(json.dumps(value, ensure_ascii=escaped)) == [value]


@given(json_values)
def test_what_another_writer_writes_is_read_back(value: Any) -> None:
    text = yaml.safe_dump(value)
    assert values(text) == ([] if value is None else [value])


pieces = st.sampled_from(
    ["a", "b: ", ": ", "- ", "\n", "  ", "{", "}", "[", "]", ",", "&x ", "*x", "<<: ", "---\n", "...\n", "!!str ",
     "!t ", "'", '"', "|\n", ">\n", "# c\n", "12", "0o7", "1:30", ".inf", "~", "\t", "%YAML 1.1\n", "? ",
     "\\u", "é", "\ufeff"]
)  # fmt: skip


@given(st.text() | st.lists(pieces, max_size=30).map("".join))
def test_any_text_gives_json_or_a_sentence(text: str) -> None:
    try:
        found = list(documents.read(text, "f.yaml"))
    except BadInput as error:
        found, said = [], error.message
    else:
        said = "f.yaml:"
    assert said.startswith("f.yaml:")
    lines = len(text.splitlines())
    for document in found:
        json.dumps(document.value, allow_nan=False).encode()
        assert 1 <= document.line <= max(1, lines)
