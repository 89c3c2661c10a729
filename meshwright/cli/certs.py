"""`meshwright certs`: the certificates of a mesh. Everything in this module only looks; `certs_change` and
`certs_backup` have the rest."""

from __future__ import annotations

import datetime as dt
import importlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

import click

from meshwright.cli.common import environment_argument, json_option, opened, targets
from meshwright.cli.output import Output, table
from meshwright.errors import Exit

if TYPE_CHECKING:
    # `--help` and completion do without the 0.1 s that cryptography takes.
    from meshwright.certs import inventory, phase, root, trust
    from meshwright.environment import Environment
    from meshwright.kube import Session

__all__ = ["command"]

T = TypeVar("T")

_HEAD = ("namespace", "pod", "part", "version", "by", "revision")
# Each with its module.
_CHANGING = {
    "transition": "certs_change",
    "rollback": "certs_change",
    "backup": "certs_backup",
    "restore": "certs_backup",
}


class _Commands(click.Group):
    """Imports the commands that change something when they are needed: they bring what a run takes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *_CHANGING]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in _CHANGING:
            module = importlib.import_module(f"meshwright.cli.{_CHANGING[cmd_name]}")
            found: click.Command = getattr(module, cmd_name)
            return found
        return super().get_command(ctx, cmd_name)


@click.group(
    "certs",
    cls=_Commands,
    help="Look at the certificates of a mesh, who signs, how long they last, who trusts what; and change its root.",
    epilog="Example: meshwright certs verify lab",
)
def command() -> None:
    """The group; its commands follow."""


def _looked(output: Output, environment: str, look: Callable[[Session, Environment], T]) -> T:
    """`look` at the cluster of the environment, through its first host."""
    from meshwright import cluster

    project, loaded = opened(environment)
    with targets(project, loaded, quiet=output.json) as hosts:
        return look(cluster.answering(hosts[0], loaded.env), loaded.env)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _closing(summary: dict[str, int]) -> str:
    states = [key for key in ("ok", "warning", "failed", "not_verified") if summary[key] or key == "ok"]
    counted = ", ".join(f"{summary[key]} {key.replace('_', ' ')}" for key in states)
    return f"{summary['checked']} looked at: {counted}."


_secrets_option = click.option(
    "--no-secrets",
    is_flag=True,
    help="Do not read the Secrets of the CA, which have its keys: the roots are those that are handed out.",
)


@command.command(
    "check-root",
    help="Show who signs the mesh of ENV, and how long its roots, intermediates, istiod's and the gateways' "
    "certificates and the workloads' still last. Exits with 1 below a threshold of `certs` in the values.",
    epilog="Example: meshwright certs check-root prod --textfile /var/lib/node_exporter/meshwright.prom",
)
@environment_argument
@json_option
@click.option("--textfile", metavar="FILE", help="Write the result for Prometheus' node exporter too (*.prom).")
@_secrets_option
def check_root(environment: str, as_json: bool, textfile: str | None, no_secrets: bool) -> int:
    """Prints the authority, every certificate that is watched, and what is to be said about them."""
    from meshwright.certs import finding, root
    from meshwright.certs import textfile as metrics

    output = Output(as_json, "certs check-root", environment)
    found = _looked(output, environment, lambda live, env: root.check(live, env, _now(), secrets=not no_secrets))
    if textfile:
        metrics.write_here(textfile, found, environment)
    output.answer(_chain(found))
    output.answer(finding.lines(found.all))
    output.answer([_closing(found.summary)])
    used = found.authority.used
    output.document(
        ok=found.ok,
        summary=found.summary,
        authority={
            "kind": found.authority.kind.name.lower(),
            "name": found.authority.kind.value,
            "why": found.authority.why,
            "secret": found.authority.secret or None,
            "driven": found.authority.driven,
            "md5_of_values": used.md5 if used else {},
            "not_used": [other.secret for other in found.authority.others],
        },
        certificates=[row.as_json(found.now) for row in found.rows],
        findings=[each.as_json() for each in found.findings],
    )
    return Exit.OK if found.ok else Exit.ERROR


def _chain(found: root.Report) -> Iterator[str]:
    authority = found.authority
    yield f"authority: {authority.kind}" + (f", Secret {authority.secret}" if authority.secret else "")
    for other in authority.others:
        yield f"  Secret {other.secret} is there too, and not used"
    for row in found.rows:
        if row.role in ("root", "intermediate"):
            each = row.certificate
            life = f"from {each.not_before:%Y-%m-%d} to {each.not_after:%Y-%m-%d}"
            yield f"  {row.role} {each.subject}, {each.key}, {life}"
            yield f"    sha256 {each.sha256}"
            yield f"    subject key id {each.ski or 'none'}"
    for name, digest in (authority.used.md5 if authority.used else {}).items():
        yield f"  md5 of {name} as root-transition.sh printed it: {digest}"


@command.command(
    "check-version",
    help="Show which version of Istio runs in every pod of the mesh of ENV, and what that means for a change of its "
    "root. Exits with 1 where a version makes one impossible or is not known.",
    epilog="Example: meshwright certs check-version prod",
)
@environment_argument
@json_option
def check_version(environment: str, as_json: bool) -> int:
    """Prints a table of the pods, and the traps that they are in."""
    from meshwright.certs import finding, inventory

    output = Output(as_json, "certs check-version", environment)
    found = _looked(output, environment, inventory.check)
    output.answer(table(_HEAD, map(_row, found.parts)))
    output.answer(finding.lines(found.findings))
    summary = finding.counts(found.findings) | {"checked": len(found.parts)}
    output.answer([f"{len(found.parts)} pods looked at; the oldest version is {found.oldest or 'not known'}."])
    output.document(
        ok=found.ok,
        summary=summary,
        oldest=found.oldest or None,
        parts=[part.as_json() for part in found.parts],
        findings=[each.as_json() for each in found.findings],
    )
    return Exit.OK if found.ok else Exit.ERROR


def _row(part: inventory.Part) -> tuple[str, ...]:
    kind = "native sidecar" if part.native and part.kind == "sidecar" else part.kind
    return (part.namespace, part.pod, kind, part.version or "not known", part.source or "nothing", part.revision)


_files_option = click.option(
    "--no-files", is_flag=True, help="Do not run `cat` in proxies for the roots mounted there."
)
_canary_option = click.option("--no-canary", is_flag=True, help="Do not ask each istiod for a certificate.")


@command.command(
    "verify",
    help="Find out whether everything in the mesh of ENV trusts the same roots and presents what all trust: the "
    "ConfigMap of every namespace, webhooks, istiod, every Envoy, mounted files. Names who lags behind, why, and what "
    "to do. Exits with 1 when something lags, could not be looked at, or nothing was there to look at.",
    epilog="Example: meshwright certs verify prod",
)
@environment_argument
@json_option
@_files_option
@_canary_option
@_secrets_option
@click.option("--all", "whole", is_flag=True, help="List what is in order too.")
def verify(environment: str, as_json: bool, no_files: bool, no_canary: bool, no_secrets: bool, whole: bool) -> int:
    """Prints what is expected, how many places of each kind have it, and the others by name."""
    from meshwright.certs import finding, trust

    output = Output(as_json, "certs verify", environment)
    looks = trust.Looks(files=not no_files, canary=not no_canary, secrets=not no_secrets)
    found = _looked(output, environment, lambda live, env: trust.verify(live, env, _now(), looks))
    output.answer(trust.told(found.expected, found.seen.now))
    output.answer(_tally(found))
    output.answer(finding.lines(found.findings if whole else found.laggards))
    output.answer([_closing(found.summary)])
    output.document(ok=found.ok, summary=found.summary, **found.as_json())
    return Exit.OK if found.ok else Exit.ERROR


_KINDS = {
    "ConfigMap": "ConfigMaps hand them out",
    "ClusterTrustBundle": "ClusterTrustBundle hands them out",
    "webhook": "webhook configurations trust them",
    "istiod": "ports of istiods present what they signed",
    "certificate": "istiods sign under them, hand them out, and take what they signed from a client",
    "proxy": "proxies trust them alone and present what they signed",
    "ztunnel": "identities in ztunnels trust them alone and present what they signed",
    "file": "proxies have them mounted",
    "machine": "machines outside the cluster trust them alone and present what they signed",
    "root file": "machines outside the cluster have them in their file",
}


def _tally(found: trust.Report) -> Iterator[str]:
    for kind, good, whole in found.tally():
        yield f"  {good} of {whole} {_KINDS[kind]}"


@command.command(
    "live",
    help="Show what the Envoys of ENV present and trust right now, as their admin page /certs says it. PROXY is "
    "NAMESPACE/POD, or a namespace for all in it.",
    epilog="Example: meshwright certs live lab bookinfo/reviews-v1-5c4d5f5b8-x2x7q",
)
@environment_argument
@click.argument("proxy", metavar="[PROXY]", default="")
@json_option
def live(environment: str, proxy: str, as_json: bool) -> int:
    """Prints each proxy with its certificates. Exits with 1 where one gave no answer."""
    from meshwright.certs import live as page

    output = Output(as_json, "certs live", environment)
    found = _looked(output, environment, lambda session, _env: page.look(session, proxy))
    for each in found:
        output.answer([f"{each.proxy} ({each.proxy.role})"])
        if each.error is not None:
            output.answer([f"  not verified: {each.error.message}"])
        for one in each.details:
            names = f" {', '.join(one.names)}" if one.names else ""
            output.answer([f"  {one.use:<8}{names} serial {one.serial}, until {one.expires}, {one.days} days left"])
    silent = [each for each in found if each.error is not None]
    summary = {"checked": len(found), "not_verified": len(silent)}
    output.document(ok=not silent, summary=summary, proxies=[each.as_json() for each in found])
    return Exit.ERROR if silent else Exit.OK


@command.command(
    "status",
    help="Show where the mesh of ENV stands in a change of its root, derived from the cluster alone: the phase, "
    "whether its gate holds, and who has not followed. Exits with 1 while the gate does not hold.",
    epilog="Example: meshwright certs status prod",
)
@environment_argument
@json_option
@_files_option
@_canary_option
def status(environment: str, as_json: bool, no_files: bool, no_canary: bool) -> int:
    """Prints the phase, its gate, and what may be done next."""
    from meshwright.certs import finding, phase, trust

    output = Output(as_json, "certs status", environment)
    looks = trust.Looks(files=not no_files, canary=not no_canary)

    def look(live: Session, env: Environment) -> tuple[trust.Report, phase.Position]:
        found = trust.verify(live, env, _now(), looks)
        return found, phase.where(live, found)

    found, at = _looked(output, environment, look)
    output.answer(_position(at))
    output.answer(_tally(found))
    output.answer(finding.lines(at.waiting))
    output.document(ok=at.stable, summary=found.summary, **at.as_json())
    return Exit.OK if at.stable else Exit.ERROR


def _position(at: phase.Position) -> Iterator[str]:
    yield f"{at.phase}, {'stable' if at.stable else 'under way'}"
    likelier = "" if at.sure else " (the likelier of two readings: nothing in the cluster says where to)"
    yield f"  because {at.why}{likelier}"
    if at.old is not None:
        yield f"  {'old ' if at.new else ''}root {at.old.label}"
    if at.new is not None:
        yield f"  new root {at.new.label}" + (", the same key" if at.same_key else "")
    for name, reason in sorted(at.waived.items()):
        yield f"  waived {name}: {reason}"
    if at.gate:
        yield f"  gate: {at.gate}: {'it holds' if at.stable else 'it does not hold'}"
        yield f"  next: {at.next}"
