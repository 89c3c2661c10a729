"""The worked examples of docs/templates: what tests render, and what they apply to a real mesh."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^```yaml\n(resources:\n.*?)^```$", re.MULTILINE | re.DOTALL)


def pages() -> list[str]:
    """The pages of docs/templates that have an example, without .md."""
    found = sorted(path.stem for path in (ROOT / "docs" / "templates").glob("*.md") if path.stem != "README")
    return [page for page in found if _FENCE.search(text(page))]


def text(page: str) -> str:
    """A page as it stands."""
    return (ROOT / "docs" / "templates" / f"{page}.md").read_text(encoding="utf-8")


def example(page: str) -> str:
    """The one worked example of a page: values, beginning with `resources:`."""
    [found] = _FENCE.findall(text(page))
    return str(found)
