"""Which environment `make demo` brings up: the developer's, where its images can be had, else the lab."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from meshwright import engine
from meshwright.environment import Environment, load
from meshwright.environment.model import K3dCluster
from meshwright.errors import MeshwrightError
from meshwright.project import Project
from meshwright.target import Local

__all__ = ["BUDGET", "DEV", "LAB", "Choice", "choose", "hubs", "registries"]

DEV, LAB = "dev", "lab"
BUDGET = 3.0
"""Seconds that all probes together may take."""

# GET /v2/ of a registry answers 200, or 401 when it wants a login first (OCI distribution specification, end-1). One
# whose name is not where it lives redirects.
_FINE = frozenset({200, 301, 302, 303, 307, 308, 401})


@dataclass(frozen=True)
class Choice:
    """The environment that was chosen, and why, as a sentence."""

    environment: str
    why: str


def choose(project: Project, budget: float = BUDGET) -> Choice:
    """Asks the container engine and the image registries of `dev`, at once and for `budget` seconds at most.

    Raises BadInput: the values of `dev` cannot be used.
    """
    if DEV not in project.environments:
        return Choice(LAB, f"this project has no environment {DEV}")
    env = load(project, DEV).env
    asked = {"the container engine": lambda: _engine(project, env)}
    asked |= {f"the image registry {hub}": _asking(hub, budget) for hub in hubs(env)}
    failed = {what: why for what, why in _at_once(asked, budget).items() if why}
    if failed:
        what, why = next(iter(failed.items()))
        return Choice(LAB, f"{what} is of no use for {DEV}: {why}")
    return Choice(DEV, f"{' and '.join(asked)} answer")


def hubs(env: Environment) -> list[str]:
    """The hosts that the images of an environment come from, each once, in the order of use."""
    named = [env.cluster.image] if isinstance(env.cluster, K3dCluster) else []
    named += [env.istio.hub] + ([env.bookinfo.hub] if env.bookinfo.hub else [])
    return list(dict.fromkeys(image.partition("/")[0] for image in named))


def registries(env: Environment, budget: float = BUDGET) -> dict[str, str]:
    """Why each host of `hubs` is of no use, "" for those that answer; asked at once, for `budget` seconds at most."""
    return _at_once({hub: _asking(hub, budget) for hub in hubs(env)}, budget)


def _engine(project: Project, env: Environment) -> str:
    """Why there is no engine of the user's; "" when there is."""
    target = Local(project)
    try:
        found = engine.find(target, env)
    except MeshwrightError as error:
        return error.message
    finally:
        target.close()
    if found is None or found.kind != "docker":
        return "none of this machine's own answers"
    return ""


def _asking(hub: str, seconds: float) -> Callable[[], str]:
    return lambda: _registry(hub, seconds)


class _Still(urllib.request.HTTPRedirectHandler):
    """Stays where it was sent: that there is an answer is all that is asked for."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _registry(hub: str, seconds: float) -> str:
    """Why a registry is of no use; "" when it answers. Proxies of the environment are used, as engines do."""
    host = hub.partition(":")[0]
    # As engines do: a registry on this machine speaks HTTP.
    scheme = "http" if host == "localhost" or host.startswith("127.") else "https"
    try:
        with urllib.request.build_opener(_Still).open(f"{scheme}://{hub}/v2/", timeout=seconds) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    except urllib.error.URLError as error:
        return f"it gives no answer ({getattr(error.reason, 'strerror', None) or error.reason})"
    except (OSError, ValueError) as error:
        return f"it gives no answer ({error})"
    return "" if status in _FINE else f"it answers {status}"


def _at_once(asked: Mapping[str, Callable[[], str]], budget: float) -> dict[str, str]:
    """The answers, in order; for those that did not come in time a sentence that says so."""
    deadline = time.monotonic() + budget
    answers: dict[str, str] = {}

    def ask(what: str, question: Callable[[], str]) -> None:
        answers[what] = question()

    # Daemons: a resolver that takes its time must not keep the process from ending.
    threads = [threading.Thread(target=ask, args=item, daemon=True) for item in asked.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return {what: answers.get(what, f"no answer within {budget:g} s") for what in asked}
