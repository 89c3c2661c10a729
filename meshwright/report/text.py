"""Text of others on a page."""

from __future__ import annotations

import re

__all__ = ["clean", "cut"]

# What is no character, and what turns the direction of the text around it.
_NOT_SHOWN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def clean(text: str) -> str:
    """The text with a mark in place of each character that cannot be shown, or that would make others lie."""
    return _NOT_SHOWN.sub("\ufffd", text)


def cut(text: str, most: int) -> str:
    """The first `most` characters, and a sign that there are more."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"
