"""`meshwright traffic`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from meshwright.cli.common import environment_argument, json_option, opened, targets
from meshwright.cli.output import Output, table
from meshwright.errors import Exit, MeshwrightError
from meshwright.wording import counted

if TYPE_CHECKING:
    from meshwright.traffic import Report, Upstream

__all__ = ["command"]


@click.command(
    "traffic",
    help="Show what the Envoys of WORKLOAD (a workload, a pod or an app label, as NAME or NAMESPACE/NAME) count of "
    "their upstreams right now: requests, errors, connections beside their limits, ejected hosts, open circuit "
    "breakers, retries. Exits with 1 where one could not be asked.",
    epilog="Example: meshwright traffic lab bookinfo/productpage",
)
@environment_argument
@click.argument("wanted", metavar="WORKLOAD")
@click.option("--namespace", "-n", metavar="NS", default="", help="Only proxies in this namespace.")
@click.option("--all", "whole", is_flag=True, help="Upstreams that were not used, too.")
@json_option
def command(environment: str, wanted: str, namespace: str, whole: bool, as_json: bool) -> int:
    """Prints a table for each proxy, and what is wrong now."""
    from meshwright import cluster, envoys, pods, traffic

    output = Output(as_json, "traffic", environment)
    project, loaded = opened(environment)
    with targets(project, loaded, quiet=as_json) as hosts:
        session = cluster.answering(hosts[0], loaded.env)
        listed = session.list("v1", "Pod")
        chosen = [envoys.proxy_of(pod) for pod in pods.of_workload(listed, wanted, namespace)]
        addresses = {
            pod["status"]["podIP"]: f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
            for pod in listed
            if (pod.get("status") or {}).get("podIP") and not pod["spec"].get("hostNetwork")
        }
        found = traffic.look(session, [proxy for proxy in chosen if proxy is not None], addresses)
    if not found:
        raise MeshwrightError(f"no pod of {wanted or environment} has a proxy, so there is nothing to ask")
    silent = [report for report in found if report.error is not None]
    for report in found:
        output.answer(_lines(report, whole))
    if any(not report.counts for report in found if report.error is None):
        output.human(f"not counted: retries and overflows. {traffic.HINT}")
    troubles = sum(len(upstream.troubles) for report in found for upstream in report.upstreams)
    summary = {"checked": len(found), "not_verified": len(silent), "troubles": troubles}
    output.document(
        ok=not silent,
        summary=summary,
        proxies=[
            {
                "proxy": str(report.proxy),
                "counted": report.counts,
                "error": report.error.message if report.error else None,
                "upstreams": [one.as_json() for one in report.upstreams if whole or one.worth_showing],
            }
            for report in found
        ],
    )
    return Exit.ERROR if silent else Exit.OK


def _lines(report: Report, whole: bool) -> Iterator[str]:
    yield str(report.proxy)
    if report.error is not None:
        yield f"  not verified: {report.error.message}"
        return
    shown = [one for one in report.upstreams if whole or one.worth_showing]
    if not shown:
        yield f"  no requests yet to any of its {counted(len(report.upstreams), 'upstream')}"
        return
    yield from (f"  {line}" for line in _table(shown))
    for one in shown:
        yield from (f"  ! {one.name}: {trouble}" for trouble in one.troubles)


def _table(shown: Sequence[Upstream]) -> Iterator[str]:
    head = ("upstream", "hosts", "requests", "errors", "active", "pending", "connections", "retries")
    rows = [
        (
            one.name,
            f"{sum(not host.unhealthy for host in one.hosts)}/{len(one.hosts)}",
            str(one.requests),
            str(one.errors),
            _of(one.active, one.limits.get("requests")),
            _of(one.pending, one.limits.get("pending")),
            _of(one.connections, one.limits.get("connections")),
            "-" if one.counters is None else str(one.counters.get("upstream_rq_retry", 0)),
        )
        for one in shown
    ]
    return table(head, rows, numbers=head[1:])


def _of(now: int, limit: int | None) -> str:
    return str(now) if limit is None else f"{now} of {limit}"
