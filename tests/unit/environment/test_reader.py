from __future__ import annotations

import json
from collections.abc import Iterator
from unittest.mock import patch

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meshwright.environment import reader
from meshwright.environment.reader import MAX_BYTES, MAX_DEPTH, MAX_VALUES, read
from meshwright.environment.tree import Node, Place, find, plain

PARSERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])]


@pytest.fixture(params=PARSERS, ids=lambda parser: parser.__name__)
def parser(request: pytest.FixtureRequest) -> Iterator[None]:
    with patch.object(reader, "_Loader", request.param):
        yield


def values(text: str) -> object:
    node, problems = read(text.encode(), "f.yaml")
    assert problems == []
    assert node is not None
    return plain(node)


def messages(data: str | bytes) -> list[str]:
    raw = data if isinstance(data, bytes) else data.encode()
    return [problem.message for problem in read(raw, "f.yaml")[1]]


@pytest.mark.usefixtures("parser")
def test_values_are_json_data() -> None:
    text = "# a file\na: {b: [1, 2.5, true, null, x]}\n'c d': \"no\"\ne: |\n  two\n  lines\nf:\n"
    assert values(text) == {"a": {"b": [1, 2.5, True, None, "x"]}, "c d": "no", "e": "two\nlines\n", "f": None}


@pytest.mark.usefixtures("parser")
def test_every_value_knows_its_place_and_how_it_is_written() -> None:
    node, _ = read("top:\n  - x: 'é😀'  # said\n    y: 1.30\n".encode(), "f.yaml")
    assert node is not None
    assert find(node, ("top",)).where == Place("f.yaml", 1, 1)
    x, y = find(node, ("top", 0, "x")), find(node, ("top", 0, "y"))
    assert (x.place, x.written, x.content) == (Place("f.yaml", 2, 8), "'é😀'", "é😀")
    assert (y.place, y.written, y.content, y.key) == (Place("f.yaml", 3, 8), "1.30", 1.3, Place("f.yaml", 3, 5))


@pytest.mark.usefixtures("parser")
def test_keys_are_text_as_written() -> None:
    assert values("1.30: a\nno: b\nnull: c\n") == {"1.30": "a", "no": "b", "null": "c"}


@pytest.mark.usefixtures("parser")
def test_quotes_and_str_make_text() -> None:
    assert values("a: '1.30'\nb: !!str no\nc: ! 2026-01-01\n") == {"a": "1.30", "b": "no", "c": "2026-01-01"}


@pytest.mark.usefixtures("parser")
def test_anchors_and_merge_keys() -> None:
    text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\nc:\n  <<: [*a, *b]\n  x: 5\nd: *a\n'<<': text\n"
    assert values(text) == {
        "a": {"x": 1, "y": 2},
        "b": {"y": 3, "z": 4},
        "c": {"x": 5, "y": 2, "z": 4},
        "d": {"x": 1, "y": 2},
        "<<": "text",
    }


def test_a_value_behind_an_alias_is_at_its_anchor_and_its_key_at_the_alias() -> None:
    node, _ = read(b"a: &a {x: 1}\nb: *a\n", "f.yaml")
    assert node is not None
    assert find(node, ("b", "x")).where.line == 1
    assert find(node, ("b",)).where.line == 2


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("", "f.yaml:1:1: the file is empty; it must be a mapping of values (key: value)"),
        ("# only this\n---\n", "f.yaml:3:1: the file is empty; it must be a mapping of values (key: value)"),
        ("- a\n", "f.yaml:1:1: the file is a list; it must be a mapping of values (key: value)"),
        ("hello\n", "f.yaml:1:1: the file is hello; it must be a mapping of values (key: value)"),
        ("a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins here; a file of values is one document"),
        ("a:\n\tb: c\n", "f.yaml:2:1: a tab indents this line; YAML allows only spaces"),
        ("a:\n  b: c\n  \td: e\n", "f.yaml:3:3: a tab indents this line; YAML allows only spaces"),
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3:1: a is there twice, first in line 1"),
        ("a:\n  {b: 1, b: 2}\n", "f.yaml:2:10: a.b is there twice, first in line 2"),
        ("a: {<<: {b: 1}, <<: {c: 2}, b: 3, b: 4}\n", "f.yaml:1:35: a.b is there twice, first in line 1"),
        ("a: *b\n", "f.yaml:1:4: there is no complete value &b before the alias *b"),
        ("a: &a [*a]\n", "f.yaml:1:8: there is no complete value &a before the alias *a"),
        ("? [a]\n: b\n", "f.yaml:1:3: a key must be text, not a list, a mapping or an alias"),
        ("'': b\n", "f.yaml:1:1: there is a value without a key"),
        ("a: {<<: 1}\n", "f.yaml:1:5: << can merge only a mapping, or a list of mappings"),
        ("a: !vault x\n", "f.yaml:1:4: a has the tag !vault, which means nothing here"),
        ("a: !!binary eA==\n", "f.yaml:1:4: a has the tag !!binary, which means nothing here"),
        ("a: !!set {x}\n", "f.yaml:1:4: a has the tag !!set, which means nothing here"),
        (
            "a: {b: no}\n",
            "f.yaml:1:8: a.b is no, which some readers of YAML take for false and others for text",
        ),
        (b"a: b\nc: d\xff\n", "f.yaml:2:5: byte 9 (0xff) is not UTF-8"),
        (b"\xef\xbb\xbfa: \xc3", "f.yaml:1:4: byte 6 (0xc3) is not UTF-8"),
        (b"\xff\xfea\x00", "f.yaml:1:1: byte 0 (0xff) is not UTF-8"),
        ("a: b\n# \x00\n", "f.yaml:2:3: the character U+0000 may not stand in YAML"),
        ("a: '\x1b[31m'\n", "f.yaml:1:5: the character U+001B may not stand in YAML"),
        (b"#" * (MAX_BYTES + 1), f"f.yaml: the file has more than {MAX_BYTES} bytes, which no file of values needs"),
        (
            "a: " + "[" * 100_000,
            f"f.yaml:1:{MAX_DEPTH + 3}: values nest more than {MAX_DEPTH} levels deep here",
        ),
        (
            "\n".join(["a0: &a0 x", *(f"a{n}: &a{n} [*a{n - 1}]" for n in range(1, 60))]),
            f"f.yaml:{MAX_DEPTH}:12: values nest more than {MAX_DEPTH} levels deep through the alias *a{MAX_DEPTH - 2}",
        ),
        (
            "a0: &a0 x\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)),
            f"f.yaml:7:15: the file has more than {MAX_VALUES} values, aliases counted each time",
        ),
    ],
)
def test_what_is_refused_and_where(data: str | bytes, message: str) -> None:
    assert messages(data)[:1] == [message]


@pytest.mark.usefixtures("parser")
@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: [1, 2\n", 2),
        ("a: b: c\n", 1),
        ("a: 'x\n", 2),
        ("a:\n  - b\n c: d\n", 3),
        ("a: `b`\n", 1),
        ("%YAML 9\n---\na", 1),
    ],
)
def test_text_that_is_not_yaml_has_its_line(text: str, line: int) -> None:
    [message] = messages(text)
    assert message.startswith(f"f.yaml:{line}:")
    assert "this is not YAML: " in message


def test_syntax_says_where_the_open_bracket_is() -> None:
    [message] = messages("x: 1\na: [1,\n  2\nb: 3\n")
    assert message.endswith("(while parsing a flow sequence from line 2 on)")


def test_problems_that_leave_the_tree_whole_are_all_told() -> None:
    node, problems = read(b"a: no\nb: 1e3\na: 2\n", "f.yaml")
    assert [p.path for p in problems] == ["a", "b", "a"]
    assert node is not None
    assert plain(node) == {"a": "no", "b": "1e3"}


def test_problems_before_the_end_of_understanding_are_kept() -> None:
    assert len(messages("a: no\nb: [\n")) == 2


# Pieces that YAML gives a meaning, so that chance finds its way into every part of the reader.
PIECES = ["a", "b", ": ", ":", "- ", "? ", "  ", "\n", "\t", "[", "]", "{", "}", ", ", "'", '"', "\\", "|\n", ">\n"]
PIECES += ["&x ", "*x", "<<: ", "!!str ", "!t ", "%", "---\n", "...\n", "#", " #", "1.30", "no", "é", "\x85", "\ufeff"]
YAMLISH = st.lists(st.sampled_from(PIECES), max_size=40).map(lambda pieces: "".join(pieces).encode())


@pytest.mark.parametrize("loader", PARSERS, ids=lambda parser: parser.__name__)
@settings(max_examples=300, deadline=None)
@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode), YAMLISH))
@example(data=b"---")
@example(data=b"---\n  ")
def test_any_bytes_give_values_or_problems(loader: type, data: bytes) -> None:
    with patch.object(reader, "_Loader", loader):
        node, problems = read(data, "f.yaml")
    assert node is not None or problems
    for problem in problems:
        assert "\n" not in problem.message
        assert problem.line <= data.count(b"\n") + data.count(b"\r") + data.count(b"\xc2\x85") + data.count(b"\xe2") + 1
    if node is not None:
        assert isinstance(node, Node)
        json.dumps(plain(node), allow_nan=False).encode()
