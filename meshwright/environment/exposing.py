"""What the addons of an environment must be beyond their shape, as rules of its values."""

from __future__ import annotations

from collections.abc import Iterator

from meshwright.environment.addons import Exposure, Jwt
from meshwright.environment.model import Environment
from meshwright.environment.problems import Path, dotted
from meshwright.environment.rules import Broken, Rule

__all__ = ["RULES"]

_SAMPLED_IN = "istio-system"


def _exposures(env: Environment) -> Iterator[tuple[Path, Exposure]]:
    for name, addon in env.addons.on():
        if addon.exposure is not None:
            yield ("addons", name, "exposure"), addon.exposure


def _sampled(env: Environment) -> Iterator[Broken]:
    for name, addon in env.addons.on():
        if not addon.manifests and env.istio.namespace != _SAMPLED_IN:
            sentence = f"addons.{name} has no manifests, which does not go with {env.istio.namespace} in"
            yield Broken(("addons", name), sentence, ("istio", "namespace"))


def _hosts(env: Environment) -> Iterator[Broken]:
    first: dict[str, Path] = {}
    for path, exposure in _exposures(env):
        at: Path = (*path, "host")
        if exposure.host in first:
            yield Broken(at, f"{dotted(at)} is {exposure.host}, the same as", first[exposure.host])
        first.setdefault(exposure.host, at)


def _keys(env: Environment) -> Iterator[Broken]:
    for path, exposure in _exposures(env):
        asked = exposure.authentication
        if isinstance(asked, Jwt) and asked.jwks is not None and asked.jwks_uri is not None:
            at: Path = (*path, "authentication", "jwks")
            yield Broken(at, f"{dotted(at)} is given beside", (*path, "authentication", "jwks_uri"))


RULES = (
    Rule("The samples of the Istio release are for istio-system: elsewhere an addon has manifests of yours", _sampled),
    Rule("Each addon is exposed on a host of its own", _hosts),
    Rule("A jwt has jwks or jwks_uri, not both", _keys),
)
