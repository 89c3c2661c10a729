"""Whether an entry of a record is one: read from a file or a cluster it may be cut, edited, or of another version.

Keys that are not known here are of a newer version, and stay. All others have the types that the rest of the code
relies on: one bad entry is left out and named, and spoils no other.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

__all__ = ["CUT", "Unreadable", "parsed"]

CUT = "it is cut, because a run was killed while it wrote it"


class Unreadable(Exception):
    """It is no entry of a record; the text says why."""


def _time(text: str) -> str:
    """UTC in ISO 8601, as `meshwright.records.model.now` writes it."""
    if dt.datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("it has no time zone")
    return text


Time = Annotated[str, AfterValidator(_time)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)


class _Exact(BaseModel):
    """What is made into a value with just these fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


class _Value(_Exact):
    path: str
    before: Any
    after: Any


class _Blocked(_Exact):
    reason: str
    hint: str = ""
    patch: dict[str, Any] | None = None


class _Change(_Shape):
    action: Literal["add", "change", "recreate", "destroy"]
    kind: str
    name: str
    fields: list[_Value]
    why: str
    blocked: _Blocked = _Blocked(reason="")


class _Row(_Shape):
    host: str
    step: str
    known_after: str | None
    changes: list[_Change]
    unfinished: bool = False


class _Any(_Shape):
    id: Annotated[str, Field(min_length=1)]
    at: Time
    environment: str | None = None
    plan: list[_Row] | None = None
    note: str | None = None
    cluster: str | None = None


class _Commit(_Shape):
    id: str
    dirty: bool


class _Promotion(_Shape):
    approved_by: list[str] | None = None


class _Started(_Any):
    entry: Literal["started"]
    holder: str | None = None
    who: dict[str, str | None] | None = None
    commit: _Commit | None = None
    reason: str | None = None
    approved: str | None = None
    program: str | None = None
    deploy: str | None = None
    window: str | None = None
    release: str | None = None
    promotion: _Promotion | None = None


class _Step(_Any):
    entry: Literal["step"]
    host: str
    step: str


class _Done(_Shape):
    host: str
    step: str
    state: str
    seconds: Number | None
    kept: str | None = None


class _Check(_Shape):
    check: str
    state: str
    detail: str | None = None


class _Ended(_Any):
    entry: Literal["ended"]
    result: str | None = None
    message: str | None = None
    hint: str | None = None
    kubernetes: str | None = None
    steps: list[_Done] | None = None
    checks: list[_Check] | None = None


_ENTRY: TypeAdapter[Any] = TypeAdapter(Annotated[_Started | _Step | _Ended, Field(discriminator="entry")])


def parsed(text: str | bytes) -> dict[str, Any]:
    """The entry that a line of JSON is. Raises Unreadable."""
    try:
        entry = json.loads(text, parse_constant=_refused)
        json.dumps(entry, ensure_ascii=False).encode()
    except RecursionError:
        raise Unreadable("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise Unreadable("it has half of a character") from None
    except ValueError:
        raise Unreadable(CUT) from None
    try:
        _ENTRY.validate_python(entry)
    except ValidationError as error:
        raise Unreadable(_why(error)) from None
    found: dict[str, Any] = entry
    return found


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _why(error: ValidationError) -> str:
    """The first place at which it is wrong."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    # The first word is which of the three it was taken for.
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"][1:]).lstrip(".")
    if not place:
        return "it is no entry of a record, or one of a newer version"
    if first["type"] == "missing":
        return f"it has no {place}"
    return f"its {place} is not what a record has there"
