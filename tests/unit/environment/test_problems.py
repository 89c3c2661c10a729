from __future__ import annotations

import pytest

from meshwright.environment.problems import BadValues, Path, Problem, dotted, listed, nearest, shortened
from meshwright.errors import Exit


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("a",), "a"),
        (("a", 0, "b_c", "d-e"), "a[0].b_c.d-e"),
        (("labels", "istio.io/rev"), 'labels["istio.io/rev"]'),
        (("a b", "c"), '["a b"].c'),
        (("a", "x\ny"), 'a["x..."]'),
    ],
)
def test_paths_as_people_write_them(path: Path, text: str) -> None:
    assert dotted(path) == text


def test_lists_in_words() -> None:
    assert listed("a") == "a"
    assert listed("ab") == "a or b"
    assert listed("abc", "and") == "a, b and c"


def test_nearest() -> None:
    assert nearest("imgae", ["image", "name"]) == "image"
    assert nearest("zzz", ["image", "name"]) is None
    assert nearest("a", []) is None


def test_shortened() -> None:
    assert shortened("") == ""
    assert shortened("a" * 60) == "a" * 60
    assert shortened("a" * 61) == "a" * 60 + "..."
    assert shortened("|\n  text") == "|..."


def test_one_problem_is_the_message_and_the_others_are_counted() -> None:
    one = Problem("x is 1", "f.yaml", 2, 3, "x", "Write 2")
    assert one.message == "f.yaml:2:3: x is 1"
    assert str(BadValues([one])) == "f.yaml:2:3: x is 1. Write 2"
    two = BadValues([one, Problem("the file is missing", "g.yaml")])
    assert two.hint == "Write 2. One more problem: g.yaml"
    assert two.exit_code == Exit.BAD_INPUT
    five = BadValues([Problem("x", "f.yaml"), one, one, one, one])
    assert five.hint == "4 more problems: f.yaml:2:3, f.yaml:2:3, f.yaml:2:3, ..."


def test_json_of_a_whole_file() -> None:
    assert Problem("the file is missing", "g.yaml").as_json() == {
        "file": "g.yaml",
        "line": None,
        "column": None,
        "path": "",
        "message": "the file is missing",
        "hint": "",
    }
