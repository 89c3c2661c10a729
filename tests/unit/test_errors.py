"""Errors as values."""

from __future__ import annotations

import pytest

from meshwright.errors import Unreachable, outcome


def test_an_error_stands_for_an_answer() -> None:
    error = Unreachable("nobody answers")

    def fail() -> int:
        raise error

    assert [outcome(lambda: 7), outcome(fail)] == [7, error]


def test_a_defect_is_no_answer() -> None:
    with pytest.raises(ZeroDivisionError):
        outcome(lambda: 1 / 0)
