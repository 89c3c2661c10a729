"""Telemetry: one request through the gateway, and what it must leave; where a link is broken, which one."""

from __future__ import annotations

from meshwright.addons import asking, calling, telemetry
from meshwright.addons.table import ADDONS
from meshwright.check import Check, Failed, NotVerified
from meshwright.checks.facts import session
from meshwright.environment import Environment
from meshwright.target import Target

__all__ = ["CHECKS"]


def _key(env: Environment) -> tuple[str, str]:
    return "telemetry", env.name


def _sent(target: Target, env: Environment) -> telemetry.Sent:
    return target.shared.get(_key(env), lambda: telemetry.send(target, env, session(target, env)))


def _request(target: Target, env: Environment) -> str:
    target.shared.forget(_key(env))
    sent = _sent(target, env)
    if sent.status != 200:
        target.shared.forget(_key(env))
        raise Failed(f"{sent.url} answers {sent.status}")
    return f"{sent.url}, trace {sent.trace}"


def _vouched(target: Target, env: Environment, name: str, detail: str) -> str:
    """The detail, with the name of a stand-in that alone vouches for it."""
    if asking.backend(session(target, env), env, name).stand_in:
        return f"{detail} (only a stand-in for {ADDONS[name].title} vouches for it)"
    return detail


def _metric(target: Target, env: Environment) -> str:
    live, sent = session(target, env), _sent(target, env)
    name = telemetry.metric(env)[0]

    def risen() -> str:
        now = telemetry.count(live, env)
        return f"{name} rose from {sent.before:g} to {now:g}" if now > sent.before else ""

    found = telemetry.until(env, risen)
    if not found:
        raise Failed(f"{name} did not rise within {telemetry.proof(env).deadline} s: {telemetry.uncounted(live, env)}")
    return _vouched(target, env, "prometheus", found)


def _panel(target: Target, env: Environment) -> str:
    live = session(target, env)

    def shown() -> str:
        found = telemetry.count(live, env, through="grafana")
        return f"its data source has {found:g} requests" if found else ""

    found = telemetry.until(env, shown)
    if not found:
        raise Failed(f"Grafana's data source has no {telemetry.metric(env)[0]}, although Prometheus has it")
    return _vouched(target, env, "grafana", found)


def _trace(target: Target, env: Environment) -> str:
    live, sent = session(target, env), _sent(target, env)
    backend = asking.backend(live, env, "jaeger")
    if backend.stand_in:
        raise NotVerified(f"{backend.image} is a stand-in, which keeps no traces")
    found = telemetry.until(env, lambda: telemetry.traced(live, env, sent.trace))
    if not found:
        late = f"Jaeger has not trace {sent.trace} after {telemetry.proof(env).deadline} s"
        raise Failed(f"{late}: {telemetry.untraced(live, env)}")
    return found


def _graph(target: Target, env: Environment) -> str:
    live, wanted = session(target, env), telemetry.proof(env).service
    own = telemetry.gateway(live, env)

    def drawn() -> str:
        found = calling.callers(live, env, [wanted])[wanted]
        from_gateway = [name for name in found if name == f"{own.namespace}/{telemetry.deployment(own.pod)}"]
        return f"{wanted} is called by {', '.join(found)}" if from_gateway else ""

    # A graph shows rates: a first request alone is none.
    found = telemetry.until(env, drawn, lambda: telemetry.send(target, env, live))
    if not found:
        said = calling.callers(live, env, [wanted])[wanted]
        raise Failed(
            f"Kiali draws no edge from the gateway to {wanted} within {telemetry.proof(env).deadline} s"
            + (f"; it is called by {', '.join(said)}" if said else ", nor one from anybody else")
        )
    return _vouched(target, env, "kiali", found)


_LINKS = {"prometheus": "a metric", "grafana": "data for a panel", "jaeger": "a trace", "kiali": "an edge in a graph"}


def _off(env: Environment) -> list[str]:
    return [name for name in _LINKS if env.addons.get(name) is None]


def _watched(_target: Target, env: Environment) -> str:
    off = [f"{_LINKS[name]}, because {ADDONS[name].title} is off" for name in _off(env)]
    raise NotVerified(f"nobody can say whether it leaves {'; '.join(off)}")


CHECKS = (
    Check(
        group="telemetry",
        claim="a request through the gateway is answered",
        find=_request,
        anchor="telemetry-request",
        hint="`meshwright check {env.name} --group ingress` looks at the way; addons.proof says what is asked for",
        retry=20,
        needs=("api-server-ready",),
    ),
    Check(
        group="telemetry",
        claim="the metric of its Service has risen by the request",
        find=_metric,
        anchor="telemetry-metric",
        hint="`meshwright check {env.name} --group addons` looks at Prometheus itself",
        needs=("telemetry-request",),
        applies=lambda env: env.addons.get("prometheus") is not None,
    ),
    Check(
        group="telemetry",
        claim="a panel of Grafana has data",
        find=_panel,
        anchor="telemetry-panel",
        hint="Look at Grafana's data source: it must lead to this Prometheus",
        needs=("telemetry-metric",),
        applies=lambda env: env.addons.get("grafana") is not None,
    ),
    Check(
        group="telemetry",
        claim="the trace of the request is found",
        find=_trace,
        anchor="telemetry-trace",
        hint="meshConfig.extensionProviders and defaultProviders.tracing name the tracer (docs/addons.md)",
        needs=("telemetry-request",),
        applies=lambda env: env.addons.get("jaeger") is not None,
    ),
    Check(
        group="telemetry",
        claim="the edge of the request is in the graph",
        find=_graph,
        anchor="telemetry-graph",
        hint="`meshwright check {env.name} --group addons` looks at Kiali itself; it reads Prometheus",
        needs=("telemetry-metric",),
        applies=lambda env: env.addons.get("kiali") is not None,
    ),
    Check(
        group="telemetry",
        claim="all that the request leaves is looked at",
        find=_watched,
        anchor="telemetry-unwatched",
        hint="Switch it on under `addons` in group_data/{env.environment}.yaml, and run "
        "`meshwright apply {env.name} addons`",
        fatal=False,
        applies=lambda env: bool(_off(env)),
    ),
)
