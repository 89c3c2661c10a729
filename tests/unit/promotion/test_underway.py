"""What a killed promotion has left, told by the note and the file of values."""

from __future__ import annotations

import pytest

from meshwright.errors import BadInput
from meshwright.project import Project
from meshwright.promotion import underway
from meshwright.promotion.underway import File, Stage, Underway

LEFT = Underway(
    "dev", "sha256:new", "sha256:old", "a: 1\n", underway.sha(b"a: 2\n"), True, "id", "2026-11-22T00:00:00Z"
)


def test_it_is_found_again_and_ends(project: Project) -> None:
    assert underway.read(project, "staging") is None
    underway.begin(project, "staging", LEFT)
    assert underway.read(project, "staging") == LEFT
    now = underway.begin(project, "staging", LEFT, Stage.APPLYING)
    assert underway.read(project, "staging") == now
    assert now.stage is Stage.APPLYING
    underway.end(project, "staging")
    underway.end(project, "staging")
    assert underway.read(project, "staging") is None


@pytest.mark.parametrize(("data", "file"), [(b"a: 1\n", File.BEFORE), (b"a: 2\n", File.AFTER), (b"a: 3\n", File.OTHER)])
def test_what_the_file_is_now(data: bytes, file: File) -> None:
    assert LEFT.file(data) is file


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format_version": 9}', '{"format_version": 1, "stage": "x"}'])
def test_a_note_that_is_not_as_it_was_written(project: Project, text: str) -> None:
    path = project.of("staging") / "promotion.json"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(BadInput, match=r"promotion\.json is not as it was written, so nobody knows"):
        underway.read(project, "staging")
