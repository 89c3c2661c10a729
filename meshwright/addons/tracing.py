"""Whether anything has the mesh's proxies send spans, for a plan that has Jaeger on."""

from __future__ import annotations

from collections.abc import Iterator

from meshwright import meshconfig
from meshwright.environment import Environment
from meshwright.errors import Forbidden
from meshwright.kube import Session
from meshwright.matching import dig, items

__all__ = ["sentences"]

# Istio's own default for what nobody defines (pkg/config/mesh, DefaultMeshConfig).
_BUILT_IN = {"stackdriver"}
_LINES = "docs/addons.md#proof-of-telemetry has the lines"


def sentences(session: Session, env: Environment) -> Iterator[str]:
    """A sentence where Jaeger is on and no proxy sends spans: neither the mesh's configuration nor a live Telemetry
    names who takes them (https://istio.io/latest/docs/tasks/observability/distributed-tracing/telemetry-api/)."""
    if env.addons.get("jaeger") is None:
        return
    try:
        mesh = meshconfig.read(session, env)
        telemetries = session.list("telemetry.istio.io/v1", "Telemetry")
    except Forbidden as error:
        yield f"not verified: whether proxies send spans to Jaeger: {error.message}"
        return
    if mesh is None:
        return
    named = {str(name) for name in items(mesh, "defaultProviders", "tracing")}
    for telemetry in telemetries:
        for each in items(telemetry, "spec", "tracing"):
            named |= {str(dig(provider, "name")) for provider in items(each, "providers")}
    known = _BUILT_IN | {str(dig(each, "name")) for each in items(mesh, "extensionProviders")}
    # The older way, without a provider.
    older = mesh.get("enableTracing") and dig(mesh, "defaultConfig", "tracing")
    if not named and not older:
        yield (
            "finding: Jaeger is on, but no proxy sends it spans: neither meshConfig.defaultProviders.tracing nor a "
            f"Telemetry names a provider ({_LINES})"
        )
    elif lost := sorted(named - known):
        yield f"finding: Jaeger is on, but meshConfig.extensionProviders has no {', '.join(lost)} ({_LINES})"
