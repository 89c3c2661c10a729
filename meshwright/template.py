"""Templates: templates/*.j2 of the project, else the ones that came with Meshwright."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateRuntimeError,
    TemplateSyntaxError,
    Undefined,
)

from meshwright.errors import BadInput
from meshwright.project import Project

__all__ = ["render"]

_NOT_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
_OWN = Path(__file__).with_name("templates")


@cache
def _jinja(folder: Path) -> Environment:
    # Not HTML: nothing is escaped; a template quotes a value by `tojson`. An undefined value is an error.
    jinja = Environment(
        loader=FileSystemLoader([folder, _OWN]),
        undefined=StrictUndefined,
        autoescape=False,
        keep_trailing_newline=True,
    )
    jinja.policies["json.dumps_function"] = _json
    return jinja


def _json(value: Any, **_: Any) -> str:
    """JSON that is YAML too. What is beyond U+FFFF stands as itself: as a pair of surrogates it would be no character.
    What YAML takes for a line end, or not for a character at all (YAML 1.1, 5.1 and 5.4), is escaped."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=_no_json)
    return _NOT_IN_YAML.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _no_json(value: Any) -> Any:
    if isinstance(value, Undefined):
        str(value)  # a StrictUndefined raises UndefinedError, which says its name
    raise TemplateRuntimeError(f"tojson cannot write {type(value).__name__}")


def render(project: Project, name: str, /, **values: Any) -> str:
    """The text of the template `name` ("k3d.yaml.j2") with `values`.

    Raises BadInput, with template and line: no such template, a mistake in it, an undefined value.
    """
    jinja = _jinja(project.root / "templates")
    try:
        return jinja.get_template(name).render(**values)
    except TemplateNotFound as error:
        raise BadInput(
            f"there is no template {error.name}", hint="Templates are in templates/ of the project"
        ) from None
    except TemplateSyntaxError as error:
        raise BadInput(f"templates/{error.name or name}:{error.lineno}: {error.message}") from None
    except TemplateError as error:
        raise BadInput(f"templates/{name}:{_line(error, name)}: {error.message}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        line = _line(error, name)
        if not line:
            raise
        # A ValueError may show the value, which may be a secret.
        why = type(error).__name__ + ("" if isinstance(error, ValueError) else f": {error}")
        raise BadInput(f"templates/{name}:{line}: the template cannot be rendered: {why}") from None


def _line(error: Exception, name: str) -> int:
    """The line of the template in which an error arose: Jinja2 leaves it in the traceback only."""
    line = 0
    frame = error.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_filename.endswith(name):
            line = frame.tb_lineno
        frame = frame.tb_next
    return line
