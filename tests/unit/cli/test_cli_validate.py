"""`meshwright validate`: all that is wrong in the values at once, in words and as JSON."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import FakeTarget

from meshwright.errors import Exit

VALUES = """\
resources:
  virtual_services:
    shop/a: {hosts: [https://a.example.com], http: [{timeout: 5, route: [{destination: {host: web}}]}]}
"""


@pytest.fixture
def wrong(host: FakeTarget) -> str:
    file = host.project.root / "group_data" / "lab.yaml"
    file.write_text(file.read_text() + VALUES)
    return f"group_data/lab.yaml:{len(file.read_text().splitlines())}"


def test_every_wrong_value_is_said(run: Any, wrong: str) -> None:
    ran = run("validate", "lab")
    assert ran.code == Exit.BAD_INPUT
    first, hint, second, other, unseen, last = ran.out.splitlines()
    assert first.startswith(
        f'{wrong}:22: error: resources.virtual_services["shop/a"].hosts[0] is https://a.example.com'
    )
    assert hint == "  Write a.example.com"
    assert second.startswith(f'{wrong}:63: error: resources.virtual_services["shop/a"].http[0].timeout is 5')
    assert other == '  Put it in quotes: "5"'
    assert unseen.startswith("not looked at: the objects")
    assert last == "No object looked at: 2 errors in the values."


def test_as_json_they_are_findings(run: Any, wrong: str) -> None:
    ran = run("validate", "lab", "--json")
    assert ran.code == Exit.BAD_INPUT
    assert ran.document["summary"] == {"checked": 0, "rules": 0, "errors": 2, "warnings": 0}
    places = [(one["rule"], one["level"], one["line"], one["column"]) for one in ran.document["findings"]]
    line = int(wrong.rpartition(":")[2])
    assert places == [("value", "error", line, 22), ("value", "error", line, 63)]
    assert ran.document["not_looked_at"]
