"""`meshwright logs`."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click

from meshwright.cli.common import environment_argument, json_option, opened, targets
from meshwright.cli.output import Output
from meshwright.errors import Exit, MeshwrightError

if TYPE_CHECKING:
    from meshwright.logs.choice import Filter
    from meshwright.logs.line import Line
    from meshwright.logs.reading import Pod

__all__ = ["command"]


@click.command(
    "logs",
    help="Follow the logs of the proxies of ENV, of all or those of WORKLOAD (a workload, a pod or an app label, as "
    "NAME or NAMESPACE/NAME): many at once, in the order of their times, response flags in words. A request failed "
    "when it was answered with 500 or more, or not at all, or when its proxy says why it could not go on.",
    epilog="Example: meshwright logs lab bookinfo/reviews --errors --since 5m",
)
@environment_argument
@click.argument("wanted", metavar="[WORKLOAD]", default="")
@click.option("--namespace", "-n", metavar="NS", default="", help="Only proxies in this namespace.")
@click.option("--since", metavar="TIME", default="1m", show_default=True, help="How far back to begin: 30s, 5m, 1h.")
@click.option("--no-follow", is_flag=True, help="Print what is there and stop.")
@click.option("--errors", is_flag=True, help="Only requests that failed.")
@click.option("--path", metavar="PREFIX", default="", help="Only requests whose path begins so.")
@click.option("--slow", metavar="TIME", default="", help="Only requests that took as long or longer: 500ms, 2s.")
@json_option
def command(
    environment: str,
    wanted: str,
    namespace: str,
    since: str,
    no_follow: bool,
    errors: bool,
    path: str,
    slow: str,
    as_json: bool,
) -> int:
    """Prints lines. With --json one document where it does not follow, else one document a line."""
    from meshwright import cluster, pods
    from meshwright.logs import choice
    from meshwright.logs.many import followed, pods_of, there

    start = time.time() - choice.seconds(since)
    only = choice.Filter(errors, path, choice.milliseconds(slow) if slow else None)
    output = Output(as_json, "logs", environment)
    project, loaded = opened(environment)
    with targets(project, loaded, quiet=True) as hosts:
        session = cluster.answering(hosts[0], loaded.env)

        def look() -> list[Pod]:
            return pods_of(pods.of_workload(session.list("v1", "Pod"), wanted, namespace))

        found = look()
        if not found:
            raise MeshwrightError(f"no pod of {environment} has a proxy, so there is no log to read")
        if no_follow:
            return _there(output, there(session, found, start), only, found)
        stop = threading.Event()
        try:
            _follow(output, followed(session, look, start, stop, output.human), only)
        finally:
            stop.set()
        return Exit.OK


def _there(output: Output, lines: Iterable[Line], only: Filter, found: Sequence[Pod]) -> int:
    from meshwright.logs import words

    count = requests = 0
    kept: list[dict[str, Any]] = []
    for line in lines:
        requests += line.access is not None
        if only.takes(line):
            count += 1
            if output.json:
                kept.append(words.as_json(line))
            else:
                output.answer([words.shown(line)])
    summary = {"checked": len(found), "lines": count, "requests": requests}
    output.document(ok=True, summary=summary, pods=[str(pod) for pod in found], lines=kept)
    if not requests:
        output.human(
            f"no requests in the logs of {len(found)} proxies in that time. Are access logs on? "
            f"`meshwright accesslog {output.environment} on` switches them on"
        )
    return Exit.OK


def _follow(output: Output, batches: Iterable[Sequence[Line]], only: Filter) -> None:
    from meshwright.logs import words

    for batch in batches:
        chosen = (line for line in batch if only.takes(line))
        text = [json.dumps(words.as_json(line)) if output.json else words.shown(line) for line in chosen]
        if text:
            click.echo("\n".join(text))
