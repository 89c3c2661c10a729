"""What one request through the gateway leaves: a metric, a trace, an edge in the graph; and who breaks the chain.

The metric is Istio's own, `istio_requests_total`; where an environment switches Istio's statistics off
(`values.telemetry.enabled: false`, as for an Envoy without Istio's filters) it is Envoy's count of requests to the
Service's cluster.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from meshwright import envoys, ingress, probe
from meshwright.addons import asking
from meshwright.environment import Environment
from meshwright.environment.addons import Proof
from meshwright.errors import MeshwrightError
from meshwright.kube import Session
from meshwright.kube.portforward import http_get
from meshwright.rendering.hosts import cluster_domain
from meshwright.target import Target

__all__ = [
    "Sent",
    "count",
    "deployment",
    "gateway",
    "metric",
    "proof",
    "query",
    "send",
    "series",
    "traced",
    "uncounted",
    "until",
    "untraced",
]

_PAUSE = 2.0
_AGAIN = 15.0
_STATISTICS = 15020
_MOST = 200
# Of a listener's own tracing: the node's list of extensions has the names of all tracers that this Envoy knows.
_TRACERS = re.compile(r'"provider":\s*\{\s*"name":\s*"(envoy\.tracers\.[a-z_]+)"')


@dataclass(frozen=True)
class Sent:
    """The request: its trace's id (32 hex digits), the metric before it, and what it was answered."""

    trace: str
    before: float
    url: str
    status: int


def proof(env: Environment) -> Proof:
    """The request that an environment proves its telemetry by."""
    return env.addons.proof or Proof()


def series(env: Environment, service: str) -> tuple[str, str]:
    """The name of the metric, and the labels of the requests to a Service (NAMESPACE/NAME), as PromQL selects them."""
    namespace, _, name = service.partition("/")
    settings = env.istio.values.get("telemetry")
    if isinstance(settings, dict) and settings.get("enabled") is False:
        host = f"{name}.{namespace}.svc.{cluster_domain(env)}"
        # outbound|PORT|SUBSET|HOST, with ; where Istio writes it into a metric.
        pattern = rf"outbound[|;][0-9]+[|;][^|;]*[|;]{re.escape(host)};?"
        quoted = pattern.replace("\\", "\\\\")
        return "envoy_cluster_upstream_rq_total", f'cluster_name=~"{quoted}"'
    labels = f'destination_service_name="{name}",destination_service_namespace="{namespace}"'
    return "istio_requests_total", f'reporter="source",{labels}'


def metric(env: Environment) -> tuple[str, str]:
    """The name of the metric, and the query for how many requests the Service of the proof has had from proxies."""
    name, labels = series(env, proof(env).service)
    return name, f"sum({name}{{{labels}}})"


def query(session: Session, env: Environment, text: str) -> list[Any]:
    """What Prometheus answers to an instant query. Raises MeshwrightError."""
    answer = asking.value(session, env, "prometheus", f"api/v1/query?query={quote(text)}")
    found = (answer.get("data") or {}).get("result") if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise MeshwrightError(f"Prometheus answers a query with {str(answer)[:80]!r}")
    return found


def deployment(pod: str) -> str:
    """The Deployment of a pod, by the pod's name: metrics have no other."""
    return pod.rsplit("-", 2)[0]


def count(session: Session, env: Environment, *, through: str = "prometheus") -> float:
    """The metric now; 0 where there is none yet. `through` is `prometheus`, or `grafana`: by its data source. Raises
    MeshwrightError."""
    text = metric(env)[1]
    if through == "grafana":
        sources = asking.value(session, env, "grafana", "api/datasources")
        found = [each for each in sources if isinstance(each, dict) and each.get("type") == "prometheus"]
        if not found:
            raise MeshwrightError("Grafana has no data source of type prometheus")
        path = f"api/datasources/proxy/uid/{quote(str(found[0]['uid']))}/api/v1/query?query={quote(text)}"
        answer = asking.value(session, env, "grafana", path)
        result = answer["data"]["result"]
    else:
        result = query(session, env, text)
    return float(result[0]["value"][1]) if result else 0.0


def send(target: Target, env: Environment, session: Session) -> Sent:
    """Sends the request, with the headers that begin a sampled trace in all formats that proxies know (W3C
    traceparent, B3). Raises MeshwrightError, Unreachable.

    A gateway decides by itself whether it samples what comes from outside, one of a hundred requests unless told
    otherwise, whatever those headers say; only x-client-trace-id asks it for this one (Envoy, "Trace context").
    """
    asked = proof(env)
    before = count(session, env) if env.addons.get("prometheus") else 0.0
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    headers = {
        "traceparent": f"00-{trace}-{span}-01",
        "x-b3-traceid": trace,
        "x-b3-spanid": span,
        "x-b3-sampled": "1",
        "x-client-trace-id": trace,
    }
    url = f"{ingress.address(target, env).url}{asked.path}"
    page = probe.get(target, url, host=asked.host or "", headers=headers)
    return Sent(trace, before, url, page.status)


def until(env: Environment, look: Callable[[], str], again: Callable[[], object] | None = None) -> str:
    """What `look` finds, asked until it is not empty or the deadline of the proof has passed (then ""). `again` is
    called every quarter of a minute. An addon that gives no answer for a moment is asked again."""
    end = time.monotonic() + proof(env).deadline
    repeated = time.monotonic()
    while True:
        error: MeshwrightError | None = None
        try:
            if found := look():
                return found
        except MeshwrightError as failed:
            error = failed
        if time.monotonic() + _PAUSE > end:
            if error:
                raise error
            return ""
        if again and time.monotonic() - repeated > _AGAIN:
            repeated = time.monotonic()
            again()
        time.sleep(_PAUSE)


def gateway(session: Session, env: Environment) -> envoys.Proxy:
    """A proxy of the ingress gateway. Raises MeshwrightError: none is ready."""
    service = session.get("v1", "Service", env.ingress.service, env.ingress.namespace)
    wanted = ((service or {}).get("spec") or {}).get("selector") or {}
    for each in envoys.proxies(session):
        if each.namespace == env.ingress.namespace and wanted and wanted.items() <= each.labels.items():
            return each
    raise MeshwrightError(f"no proxy of Service {env.ingress.namespace}/{env.ingress.service} is there")


def uncounted(session: Session, env: Environment) -> str:
    """Which link is broken where the metric has not risen: the proxy, the collecting, or Prometheus."""
    proxy, name = gateway(session, env), metric(env)[0]
    status, body = http_get(session, proxy.namespace, proxy.pod, _STATISTICS, "/stats/prometheus", 20)
    service = proof(env).service.partition("/")[2]
    lines = [line for line in body.decode(errors="replace").splitlines() if line.startswith(name) and service in line]
    if status != 200 or not lines:
        what = (
            "meshConfig.defaultConfig.proxyStatsMatcher leaves it out"
            if name.startswith("envoy")
            else "its telemetry is off"
        )
        return f"the gateway's proxy {proxy} has no {name} of {service}: {what}"
    up = query(session, env, f'up{{namespace="{proxy.namespace}",pod="{proxy.pod}"}}')
    if not up:
        return f"Prometheus does not collect from {proxy}: its configuration finds no such target"
    if up[0]["value"][1] != "1":
        return f"Prometheus cannot collect from {proxy}: that target is down"
    return f"{proxy} counts, and Prometheus collects from it, but what it has does not rise"


def traced(session: Session, env: Environment, trace: str) -> str:
    """The spans of a trace that Jaeger has, and the workloads by whose names it finds it, in words; "" where it has
    none yet. Raises MeshwrightError: it finds the trace by its id alone."""
    # Jaeger answers 404 to a trace that it has not.
    answer = asking.value(session, env, "jaeger", f"api/traces/{trace}", absent=404) or {}
    found = answer.get("data") or []
    if not found:
        return ""
    named = sorted({each["serviceName"] for each in (found[0].get("processes") or {}).values()})
    began = [int(span["startTime"]) for span in found[0]["spans"]]
    lost = [name for name in named if not _listed(session, env, name, trace, min(began), max(began))]
    if lost:
        raise MeshwrightError(f"Jaeger has trace {trace}, but does not find it by workload {', '.join(lost)}")
    return f"{len(began)} spans, found by workload: {', '.join(named)}"


def _listed(session: Session, env: Environment, workload: str, trace: str, first: int, last: int) -> bool:
    """Whether Jaeger finds a trace by a workload and a time (microseconds since 1970), as people look for it."""
    path = f"api/traces?service={quote(workload)}&start={first - 1}&end={last + 1}&limit={_MOST}"
    found = asking.value(session, env, "jaeger", path).get("data") or []
    return any(each.get("traceID") == trace for each in found)


def untraced(session: Session, env: Environment) -> str:
    """Which link is broken where Jaeger has not the trace: the proxy, the way to Jaeger, or the sampling."""
    proxy = gateway(session, env)
    tracers = _TRACERS.search(envoys.ask(session, proxy, "/config_dump").decode(errors="replace"))
    if tracers is None:
        return (
            f"the gateway's proxy {proxy} sends no spans: neither meshConfig.defaultProviders.tracing nor a Telemetry "
            "names a provider whose Service is there"
        )
    # Jaeger keeps traces of its own work under its own name.
    known = set(asking.value(session, env, "jaeger", "api/services").get("data") or []) - {"jaeger"}
    if not known:
        return f"{proxy} has {tracers[1]}, but nothing ever reached Jaeger: does the provider name its collector?"
    return f"{proxy} has {tracers[1]} and Jaeger has traces of {', '.join(sorted(known)[:3])}, but not this one"
