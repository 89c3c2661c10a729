"""An addon on a domain of its own: the objects that put it there, its address, and who is let in."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from meshwright import documents, template
from meshwright.addons.table import place
from meshwright.environment import Environment
from meshwright.environment.addons import Basic, Exposure
from meshwright.errors import BadInput
from meshwright.ingress import Address
from meshwright.manifests import Manifest, checked
from meshwright.project import Project
from meshwright.rendering.hosts import cluster_domain

__all__ = ["TEMPLATE", "Exposed", "exposed", "guards", "object_name", "rendered", "url"]

TEMPLATE = "exposure.yaml.j2"
# A line of `htpasswd -s`: the filter of Envoy takes SHA-1 alone (envoy.extensions.filters.http.basic_auth.v3).
_USER = re.compile(r"[^:\s]+:\{SHA\}[A-Za-z0-9+/]{27}=")
_GUARDS = ("EnvoyFilter", "RequestAuthentication", "AuthorizationPolicy")


@dataclass(frozen=True)
class Exposed:
    """An addon that is exposed."""

    addon: str
    exposure: Exposure


def exposed(env: Environment) -> list[Exposed]:
    """The addons of an environment that are on and on a domain."""
    return [Exposed(name, addon.exposure) for name, addon in env.addons.on() if addon.exposure is not None]


def object_name(addon: str) -> str:
    """The name of the objects that expose an addon."""
    return f"addon-{addon}"


def guards(kind: str) -> bool:
    """Whether objects of this kind keep others out, so that they are written first and deleted last."""
    return kind in _GUARDS


def url(env: Environment, found: Exposed, address: Address | None = None) -> str:
    """Where a browser finds the addon: on the port of `address`, where that is one of this machine or of a node."""
    path = place(env, found.addon).path
    port = found.exposure.port
    if address is not None and port == 443 and address.secure_port is not None:
        port = address.secure_port
    return f"https://{found.exposure.host}{'' if port == 443 else f':{port}'}{path}"


def rendered(project: Project, env: Environment, found: Exposed) -> list[Manifest]:
    """The objects of one exposure. Raises BadInput: a template with a mistake, a file of users that cannot be used."""
    exposure, at = found.exposure, place(env, found.addon)
    path = ("addons", found.addon, "exposure")
    where = env.where(*path)
    users = ""
    if isinstance(exposure.authentication, Basic):
        users = _users(project, env, (*path, "authentication", "users"), exposure.authentication.users)
    values: dict[str, Any] = {
        "metadata": {"name": object_name(found.addon), "namespace": env.ingress.namespace},
        "host": exposure.host,
        "port": exposure.port,
        "selector": exposure.selector,
        "credential": exposure.credential,
        "authentication": exposure.authentication.model_dump(),
        "users": users,
        "service": f"{at.service}.{at.namespace}.svc.{cluster_domain(env)}",
        "service_port": at.port,
        "path": at.path,
    }
    text = template.render(project, TEMPLATE, **values)
    name = f"{where}: templates/{TEMPLATE} as rendered"
    return [
        Manifest(checked(document.value, f"{name}:{document.line}"), where) for document in documents.read(text, name)
    ]


def _users(project: Project, env: Environment, path: tuple[str, ...], file: str) -> str:
    """The lines of a file of names and passwords. Raises BadInput; what stands in the file is not shown."""
    where = env.where(*path)
    try:
        text = (project.root / Path(file).expanduser()).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise BadInput(
            f"{where}: {'.'.join(path)} is {file}, which cannot be read: {why}",
            hint=f"Make it with `htpasswd -s -c {file} NAME`; paths are relative to the project",
        ) from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wrong = [
        number for number, line in enumerate(text.splitlines(), 1) if line.strip() and not _USER.fullmatch(line.strip())
    ]
    if wrong or not lines:
        what = f"line {wrong[0]} is not NAME:{{SHA}}..." if wrong else "it has no line"
        raise BadInput(
            f"{where}: {file} is no file of names and passwords for Envoy: {what}",
            hint=f"Envoy takes SHA-1 alone: `htpasswd -s {file} NAME`",
        )
    return "\n".join(lines)
