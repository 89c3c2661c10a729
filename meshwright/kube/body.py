"""Bodies of requests: JSON that every YAML reader takes too, because the API server reads an apply as YAML."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["body"]

# What YAML takes for a line end, or not for a character at all (YAML 1.1, 5.1 and 5.4).
_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def body(value: Any) -> bytes:
    """`value` as JSON in UTF-8. What is beyond U+FFFF stands as itself: as a pair of surrogates, as JSON has it in
    ASCII, it would be no character in YAML."""
    text = json.dumps(value, ensure_ascii=False)
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text).encode()
