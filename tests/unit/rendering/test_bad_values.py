"""What cannot be right, at any depth of the objects: an unknown key, a wrong type, a private key. Each is refused with
its own line, and so all of them in one file."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import yaml

from meshwright.environment import BadValues, Environment

Load = Callable[..., Environment]
WHOLE = yaml.safe_load(Path(__file__).with_name("whole.yaml").read_text(encoding="utf-8"))
# resources, a kind, and NAMESPACE/NAME: from there on the keys are the model's.
OBJECTS = 3
KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49donotshow\n-----END PRIVATE KEY-----\n"


def changed(value: Any, leaf: Callable[[Any], Any], mapping: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    """The values with something else in place of each single value, and of each mapping of an object."""

    def at(value: Any, depth: int) -> Any:
        if isinstance(value, list):
            return [at(inner, depth + 1) for inner in value]
        if not isinstance(value, dict):
            return leaf(value)
        found = {key: at(inner, depth + 1) for key, inner in value.items()}
        return mapping(found) if depth >= OBJECTS else found

    return at(value, 0)


def refused(environment: Load, values: Any) -> tuple[list[str], dict[int, str]]:
    """The lines of the file, and what is said by the number of the line."""
    text = yaml.safe_dump(values, sort_keys=False, width=10**6)
    with pytest.raises(BadValues) as caught:
        environment(text)
    return text.splitlines(), {problem.line: problem.message for problem in caught.value.problems}


def test_an_unknown_key_is_refused_wherever_it_stands(environment: Load) -> None:
    numbers = count()
    lines, said = refused(
        environment, changed(WHOLE, lambda leaf: leaf, lambda found: {**found, f"wrong{next(numbers)}": []})
    )
    wrong = [number for number, line in enumerate(lines, 1) if "wrong" in line]
    assert len(wrong) == next(numbers) > 190
    for number in wrong:
        assert lines[number - 1].split(":")[0].strip() in said.get(number, ""), lines[number - 1]


@pytest.mark.parametrize("instead", [{"wrong": 1}, ["wrong"]], ids=["mapping", "list"])
def test_a_wrong_type_is_refused_wherever_it_stands(environment: Load, instead: Any) -> None:
    lines, said = refused(environment, changed(WHOLE, lambda _: deepcopy(instead), lambda found: found))
    word = next(iter(instead))
    wrong = [number for number, line in enumerate(lines, 1) if word in line]
    assert len(wrong) > 250
    # Said of the value, or of its key, which stands before it.
    assert [number for number in wrong if not {number - 1, number} & said.keys()] == []


def test_a_private_key_is_refused_wherever_it_stands_and_never_shown(environment: Load) -> None:
    lines, said = refused(environment, changed(WHOLE, lambda _: KEY, lambda found: found))
    # In YAML it is text in quotes, over several lines; what is said names the first.
    wrong = [number for number, line in enumerate(lines, 1) if "BEGIN PRIVATE KEY" in line]
    assert len(wrong) > 250
    assert [number for number in wrong if "which is not shown here" not in said.get(number, "")] == []
    assert not any("donotshow" in sentence for sentence in said.values())
