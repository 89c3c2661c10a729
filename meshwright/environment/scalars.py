"""What a plain (unquoted) scalar of a values file means.

Readers of YAML disagree: those of YAML 1.1 (PyYAML, Go's for Helm values) and those of 1.2 (editors, JSON Schema) take
`no`, `0644`, `1:30`, `1e3` or `2026-01-01` for different things. Here a scalar has a meaning only where both agree;
the others are refused, and the reader is told to use quotes. Sources: yaml.org/type for 1.1, yaml.org/spec/1.2.2
section 10.3.2 (the core schema) for 1.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Refusal", "Scalar", "resolve"]

Scalar = str | int | float | bool | None


@dataclass(frozen=True)
class Refusal:
    """Why a plain scalar has no agreed meaning: a clause that follows "X is TEXT, which", and what to write."""

    why: str
    instead: str


_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+][0-9]+)?")
# What JSON numbers and Go's int64 hold; beyond it a number would arrive changed.
_LARGEST = 2**63

_QUOTES = 'put it in quotes: "{text}"'
_DECIMAL = f"write a plain decimal number, or {_QUOTES}"
# (shape, what readers of YAML 1.1 take it for, what those of 1.2 take it for, what to write instead)
_DISPUTED = (
    (r"y|Y|yes|Yes|YES|on|On|ON", "true", "text", f"write true, or {_QUOTES}"),
    (r"n|N|no|No|NO|off|Off|OFF", "false", "text", f"write false, or {_QUOTES}"),
    (r"[-+]?0[0-9_]+", "an octal number", "a decimal number", _DECIMAL),
    (r"0o[0-7]+", "text", "an octal number", _DECIMAL),
    (r"[-+]?0b[01_]+|[-+]0x[0-9a-fA-F_]+|0x[0-9a-fA-F_]+", "a number", "text", _DECIMAL),
    (r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?", "a number to the base 60", "text", _QUOTES),
    (r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)[eE][-+]?[0-9]+", "text", "a number", _DECIMAL),
    (r"[-+]?[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*", "a number", "text", _DECIMAL),
    (r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt \t].*)?", "a date", "text", _QUOTES),
)
_SHAPES = tuple((re.compile(row[0]), *row[1:]) for row in _DISPUTED)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def resolve(text: str) -> Scalar | Refusal:
    """The value of a plain scalar, or why it has none."""
    if text in _NULL:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        return number if abs(number) != float("inf") else _too_large(text)
    if _NOT_FINITE.fullmatch(text):
        return Refusal("JSON has no number for", f"write a finite number, or {_QUOTES.format(text=text)}")
    for shape, older, newer, instead in _SHAPES:
        if shape.fullmatch(text):
            why = f"some readers of YAML take for {older} and others for {newer}"
            return Refusal(why, instead.format(text=text))
    return text


def _integer(text: str) -> int | Refusal:
    # The length first: Python refuses to convert thousands of digits.
    if len(text) > 20:
        return _too_large(text)
    number = int(text, 16) if text.startswith("0x") else int(text)
    return number if -_LARGEST <= number < _LARGEST else _too_large(text)


def _too_large(text: str) -> Refusal:
    return Refusal("is too large for a number", f"write a smaller number, or {_QUOTES.format(text=text)}")
