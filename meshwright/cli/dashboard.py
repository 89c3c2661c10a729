"""`meshwright dashboard`."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING

import click

from meshwright.cli.common import environment_argument, json_option, opened, targets
from meshwright.cli.output import Output
from meshwright.errors import BadInput, Exit, MeshwrightError

if TYPE_CHECKING:
    from meshwright.environment import Environment
    from meshwright.kube import Session
    from meshwright.kube.localport import LocalPort
    from meshwright.target import Target

__all__ = ["command"]


@click.command(
    "dashboard",
    help="Open a port of this machine to the addons NAME... of ENV (kiali, prometheus, grafana, jaeger, loki) and "
    "print where they are, until you end it. A pod that moves is found again. --url-only prints the address of an "
    "addon that is on a domain, else where its port would be, and opens none.",
    epilog="Example: meshwright dashboard lab kiali grafana",
)
@environment_argument
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--address", metavar="IP", default="127.0.0.1", show_default=True, help="Where to listen.")
@click.option("--port", metavar="N", type=click.IntRange(1, 65535), help="The port of the first; others follow it.")
@click.option("--url-only", is_flag=True, help="Print the addresses and stop.")
@json_option
def command(
    environment: str, names: Sequence[str], address: str, port: int | None, url_only: bool, as_json: bool
) -> int:
    """Prints one address a line."""
    from meshwright.addons import table

    output = Output(as_json, "dashboard", environment)
    project, loaded = opened(environment)
    names = list(dict.fromkeys(names))
    for name in names:
        table.named(loaded.env, name)
    with targets(project, loaded, quiet=as_json) as hosts:
        if url_only:
            urls = [_exposed(hosts[0], loaded.env, name) or _local(loaded.env, name, address, port, at)
                    for at, name in enumerate(names)]  # fmt: skip
            return _said(output, names, urls)
        _warn(output, address)
        return _serve(output, hosts[0], loaded.env, names, address, port)


def _exposed(target: Target, env: Environment, name: str) -> str:
    """The address of an addon on its domain; "" where it is on none."""
    from meshwright import ingress
    from meshwright.addons import exposure

    found = next((one for one in exposure.exposed(env) if one.addon == name), None)
    if found is None:
        return ""
    try:
        return exposure.url(env, found, ingress.address(target, env, wait=False))
    except MeshwrightError:
        return exposure.url(env, found)  # its domain is known although the gateway is not


def _local(env: Environment, name: str, address: str, port: int | None, at: int) -> str:
    from meshwright.addons import table

    place = table.place(env, name)
    return f"http://{_host(address)}:{place.port if port is None else port + at}{place.path}"


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _warn(output: Output, address: str) -> None:
    try:
        inside = ipaddress.ip_address(address).is_loopback
    except ValueError:
        inside = address == "localhost"
    if not inside:
        output.human(f"warning: whoever reaches {address} can use these pages without a password")


def _serve(
    output: Output, target: Target, env: Environment, names: Sequence[str], address: str, port: int | None
) -> int:
    from meshwright import cluster
    from meshwright.addons import table
    from meshwright.addons.asking import backend
    from meshwright.kube import localport

    session = cluster.answering(target, env)

    def where(name: str) -> localport.Where:
        found = backend(session, env, name)
        return found.place.namespace, found.pod, found.port

    with ExitStack() as stack:
        urls = []
        for at, name in enumerate(names):
            where(name)  # what is not there is said now, not in a browser
            open_one = partial(_opened, stack, session, address, partial(where, name), _saying(output, name))
            made = open_one(table.place(env, name).port if port is None else port + at, port is None)
            urls.append(f"http://{_host(address)}:{made.port}{table.place(env, name).path}")
        _said(output, names, urls)
        output.human("Ctrl-C ends it")
        threading.Event().wait()
    return Exit.OK


def _saying(output: Output, name: str) -> Callable[[str], None]:
    return lambda sentence: output.human(f"{name}: {sentence}")


def _opened(
    stack: ExitStack,
    session: Session,
    address: str,
    where: Callable[[], tuple[str, str, int]],
    say: Callable[[str], None],
    port: int,
    any_port: bool,
) -> LocalPort:
    """The addon's own port where it is free, as people expect to find it there."""
    from meshwright.kube import localport

    try:
        return stack.enter_context(localport.opened(session, address, port, where, say))
    except BadInput:
        if not any_port:
            raise
        return stack.enter_context(localport.opened(session, address, 0, where, say))


def _said(output: Output, names: Sequence[str], urls: Sequence[str]) -> int:
    found = dict(zip(names, urls, strict=True))
    output.answer(f"{name}: {url}" if len(found) > 1 else url for name, url in found.items())
    output.document(ok=True, summary={"checked": len(found)}, dashboards=found)
    return Exit.OK
