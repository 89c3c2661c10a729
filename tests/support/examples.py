"""The worked examples of docs/templates: what tests render, and what they apply to a real mesh."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

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


def strict(schema: Any) -> Any:
    """A structural schema that refuses unknown fields, as the API server does with fieldValidation=Strict."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: strict(value) for key, value in schema.items()}
    whole = "additionalProperties" in schema or schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and "type" in schema and not whole:
        found["additionalProperties"] = False
    return found


def put_files(root: Path, page: str) -> None:
    """Makes the files that the references of a page's example name; made up, and the same every time."""
    for name in re.findall(r"\{file: ([^},]+)\}", example(page)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"made for {name}", encoding="utf-8")
