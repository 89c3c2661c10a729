"""Changing values in a file without touching the rest of its text."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meshwright.environment.reader import read
from meshwright.environment.tree import plain
from meshwright.promotion.editing import edited

TEXT = """\
# head
resources:
  # before web
  virtual_services:
    # the web
    shop/web:   # trailing
      hosts: [a, b]   # hosts
      http:
        # first
        - route:
            - destination: {host: w, subset: v1}   # stable
              weight: 90   # mostly
            # the new one
            - destination: {host: w, subset: v2}
              weight: 10
    # before other
    shop/other:
      hosts: [x]

    # before third
    shop/third:
      hosts:
        - z

# before windows
windows: null   # any time
# tail
"""


def meaning(text: str) -> Any:
    """By the project's own reader, which refuses what other readers take for something else."""
    node, problems = read(text.encode(), "f.yaml")
    assert not problems, problems
    assert node is not None
    return plain(node)


def changed(text: str, change: Any) -> str:
    before = meaning(text)
    after = copy.deepcopy(before)
    change(after)
    made = edited(text, before, after)
    assert meaning(made) == after
    return made


def services(values: Any) -> Any:
    return values["resources"]["virtual_services"]


def test_nothing_to_change_leaves_every_byte() -> None:
    assert changed(TEXT, lambda _values: None) == TEXT


def test_a_weight_is_one_number_in_the_text() -> None:
    def change(values: Any) -> None:
        routes = services(values)["shop/web"]["http"][0]["route"]
        routes[0]["weight"], routes[1]["weight"] = 50, 50

    assert changed(TEXT, change) == TEXT.replace("weight: 90", "weight: 50").replace("weight: 10", "weight: 50")


def test_an_entry_that_goes_takes_its_own_lines_and_no_comment_of_others() -> None:
    made = changed(TEXT, lambda values: services(values).pop("shop/third"))
    assert made == TEXT.replace("    shop/third:\n      hosts:\n        - z\n", "")
    made = changed(TEXT, lambda values: services(values).pop("shop/other"))
    assert made == TEXT.replace("    shop/other:\n      hosts: [x]\n", "")


def test_a_new_route_before_another_leaves_that_as_it_is() -> None:
    def change(values: Any) -> None:
        route = {"match": [{"uri": {"prefix": "/x"}}], "route": [{"destination": {"host": "z"}}]}
        services(values)["shop/web"]["http"].insert(0, route)

    made = changed(TEXT, change)
    added = (
        "        - match:\n            - uri: {prefix: /x}\n          route:\n            - destination: {host: z}\n"
    )
    assert [line for line in made.splitlines() if line not in TEXT.splitlines()] == added.splitlines()
    assert "weight: 90   # mostly" in made


def test_a_new_section_and_a_new_entry_after_the_one_before_it() -> None:
    def change(values: Any) -> None:
        found = services(values)
        rest = dict(found)
        found.clear()
        found.update({"shop/web": rest["shop/web"], "shop/new": {"hosts": ["on", "1.30"]}, **rest})
        values["istio"] = {"version": "1.30", "values": {"a": None}}

    made = changed(TEXT, change)
    assert '              weight: 10\n    shop/new:\n      hosts: ["on", "1.30"]\n    # before other' in made
    assert made.endswith('# any time\n\nistio:\n  version: "1.30"\n  values:\n    a: null\n# tail\n') or made.endswith(
        '# any time\n\nistio:\n  version: "1.30"\n  values: {a: null}\n# tail\n'
    )


@pytest.mark.parametrize(
    ("text", "after", "made"),
    [
        ("{}\n", {"a": 1}, "a: 1\n"),
        ("a: {b: 1}", {"a": {"b": 2}}, "a: {b: 2}\n"),
        ("a:\n", {"a": {"b": 2}}, "a:\n  b: 2\n"),
        ("a: 1 # one\nb: 2\n", {"b": 2}, "b: 2\n"),
        ("a:\n  - b: 1\n    c: 2\n", {"a": [{"c": 2}]}, "a:\n  - c: 2\n"),
        ("a:\n- 1\n- 2\n", {"a": [1, 3, 2]}, "a:\n- 1\n- 3\n- 2\n"),
        ("a: |\n  x\n  y\n# z\nb: 1\n", {"a": "q", "b": 1}, "a: q\n# z\nb: 1\n"),
        ("a:\n  b: 1\n# z\n", {"a": {}}, "a: {}\n# z\n"),
    ],
)
def test_small_texts(text: str, after: Any, made: str) -> None:
    assert edited(text, meaning(text), after) == made


KEYS = st.sampled_from(["a", "b", "name", "on", "1.30", "a b", "weight"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 500),
    st.sampled_from(["x", "on", "1.30", "a: b", "# no", "", "é", "10s", "a,b"]),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=8
)
FILES = st.dictionaries(KEYS, VALUES, min_size=1, max_size=4)


@given(FILES, FILES, st.sampled_from([True, False, None]), st.integers(2, 4))
def test_any_file_can_become_any_other(before: Any, after: Any, style: bool | None, indent: int) -> None:
    text = yaml.safe_dump(before, default_flow_style=style, indent=indent, sort_keys=False, allow_unicode=True)
    lines = [f"{line}" for line in text.splitlines()]
    made = edited("# first\n" + "\n".join(lines) + "\n# last\n", before, after)
    assert yaml.safe_load(made) == after
