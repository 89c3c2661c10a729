"""Asking an addon over a port-forward to one of its pods: whatever else is between, it is the addon that answers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from meshwright import pods
from meshwright.addons.table import Place, place
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.kube import Session
from meshwright.kube.portforward import http_get

__all__ = ["Backend", "ask", "backend", "value"]

Object = dict[str, Any]


@dataclass(frozen=True)
class Backend:
    """A ready pod of an addon, and the port of it that its Service leads to."""

    place: Place
    pod: str
    port: int
    image: str

    @property
    def stand_in(self) -> bool:
        """Whether it is one of the lab's stand-ins, by its image."""
        return "/stand-in/" in self.image


def backend(session: Session, env: Environment, name: str) -> Backend:
    """The pod that answers for the addon `name`: the first that is ready.

    Raises MeshwrightError: no such Service, no such port of it, or none of its pods is ready.
    """
    at = place(env, name)
    service = session.get("v1", "Service", at.service, at.namespace)
    if service is None:
        raise MeshwrightError(
            f"there is no {at}, where {at.title} should answer", hint=f"`meshwright apply {env.name} addons` brings it"
        )
    ports: list[Object] = service["spec"].get("ports") or []
    port = next((each for each in ports if each["port"] == at.port), None)
    if port is None:
        there = ", ".join(str(each["port"]) for each in ports) or "none"
        raise MeshwrightError(
            f"{at} has no port {at.port} (its ports: {there})", hint=f"Say which: addons.{name}.port of {env.name}"
        )
    labels = ",".join(f"{key}={value}" for key, value in (service["spec"].get("selector") or {}).items())
    found = session.list("v1", "Pod", at.namespace, labels=labels) if labels else []
    ready = sorted((pod for pod in found if pods.ready(pod)), key=lambda pod: str(pod["metadata"]["name"]))
    if not ready:
        raise MeshwrightError(
            f"no pod behind {at} is ready", hint=f"`kubectl -n {at.namespace} get pods -l {labels}` shows them"
        )
    container, number = _target(ready[0], port)
    return Backend(at, str(ready[0]["metadata"]["name"]), number, str(container.get("image", "")))


def _target(pod: Object, port: Object) -> tuple[Object, int]:
    """The container and the number of the port that a port of a Service means in a pod."""
    wanted = port.get("targetPort") or port["port"]
    containers: list[Object] = pod["spec"]["containers"]
    for container in containers:
        for each in container.get("ports") or []:
            if wanted in (each.get("name"), each["containerPort"]):
                return container, int(each["containerPort"])
    if isinstance(wanted, str):
        raise MeshwrightError(f"pod {pod['metadata']['name']} has no port named {wanted}")
    # A port need not be declared.
    return containers[0], int(wanted)


def ask(session: Session, env: Environment, name: str, path: str, timeout: float = 10) -> tuple[int, bytes]:
    """Status and body of a GET of `path`, relative to where the addon's pages begin. Raises as `backend` does, and
    Unreachable."""
    found = backend(session, env, name)
    return http_get(session, found.place.namespace, found.pod, found.port, f"{found.place.path}{path}", timeout)


def value(
    session: Session, env: Environment, name: str, path: str, timeout: float = 10, *, absent: int | None = None
) -> Any:
    """The JSON value that the addon answers with; None where it answers with the status `absent`. Raises as `ask` does;
    MeshwrightError: another status than 200, or no JSON."""
    status, body = ask(session, env, name, path, timeout)
    at = place(env, name)
    if status == absent:
        return None
    if status != 200:
        raise MeshwrightError(f"{at.title} answers {status} to {at.path}{path}: {body.decode(errors='replace')[:80]!r}")
    try:
        return json.loads(body)
    except ValueError:
        raise MeshwrightError(f"{at.title} answers {at.path}{path} with something that is no JSON") from None
