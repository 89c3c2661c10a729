"""docs/features.md: each line names an end-to-end test that is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (?P<feature>[^|]+) \| (?P<written>[^|]+) \| `(?P<test>\w+)` \|$", re.MULTILINE)
ROWS = [found["test"] for found in ROW.finditer((ROOT / "docs" / "features.md").read_text(encoding="utf-8"))]


def written() -> set[str]:
    """The names of the end-to-end tests."""
    return {
        node.name
        for file in (ROOT / "tests" / "e2e").glob("test_*.py")
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_line_of_the_table_is_read() -> None:
    page = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("|")]
    assert len(ROWS) == len(lines) - 2 > 20


@pytest.mark.parametrize("name", ROWS)
def test_a_feature_has_its_test(name: str) -> None:
    assert name in written()
