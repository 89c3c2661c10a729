"""What the commands of `meshwright certs` that look do, in one cluster or in all clusters of an environment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from meshwright.cli.common import targets
from meshwright.cli.output import Output, table
from meshwright.cli.several import Part, in_each
from meshwright.environment import Loaded, members
from meshwright.errors import Exit, outcome
from meshwright.project import Project

if TYPE_CHECKING:
    # `--help` and completion do without the 0.1 s that cryptography takes.
    from meshwright.certs import inventory, phase, root, trust
    from meshwright.certs.finding import Finding
    from meshwright.environment import Environment
    from meshwright.kube import Session

__all__ = ["roots", "served", "standing", "trusted", "versions"]

T = TypeVar("T")

_HEAD = ("namespace", "pod", "part", "version", "by", "revision")


def _looked(output: Output, project: Project, loaded: Loaded, look: Callable[[Session, Environment], T]) -> T:
    """`look` at the cluster, through its first host."""
    from meshwright import cluster

    with targets(project, loaded, quiet=output.json) as hosts:
        return look(cluster.answering(hosts[0], loaded.env), loaded.env)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _closing(summary: dict[str, int]) -> str:
    states = [key for key in ("ok", "warning", "failed", "not_verified") if summary[key] or key == "ok"]
    counted = ", ".join(f"{summary[key]} {key.replace('_', ' ')}" for key in states)
    return f"{summary['checked']} looked at: {counted}."


def roots(output: Output, environment: str, textfile: str | None, *, secrets: bool) -> int:
    """`certs check-root`."""
    from meshwright.certs import finding, root
    from meshwright.certs import textfile as metrics

    def one(out: Output, project: Project, loaded: Loaded) -> int:
        found = _looked(out, project, loaded, lambda live, env: root.check(live, env, _now(), secrets=secrets))
        if textfile:
            # Of several clusters each has a file of its own: the collector reads all in its folder.
            short = loaded.env.name.rpartition("/")[2] if loaded.env.name != environment else ""
            metrics.write_here(_beside(textfile, short), found, loaded.env.name)
        out.answer(_chain(found))
        out.answer(finding.lines(found.all))
        out.answer([_closing(found.summary)])
        used = found.authority.used
        out.document(
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

    return in_each(output, environment, one)


def _beside(file: str, cluster: str) -> str:
    path = Path(file)
    return str(path.with_name(f"{path.stem}-{cluster}{path.suffix}")) if cluster else file


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


def versions(output: Output, environment: str) -> int:
    """`certs check-version`."""
    from meshwright.certs import finding, inventory

    def one(out: Output, project: Project, loaded: Loaded) -> int:
        found = _looked(out, project, loaded, inventory.check)
        out.answer(table(_HEAD, map(_row, found.parts)))
        out.answer(finding.lines(found.findings))
        summary = finding.counts(found.findings) | {"checked": len(found.parts)}
        out.answer([f"{len(found.parts)} pods looked at; the oldest version is {found.oldest or 'not known'}."])
        out.document(
            ok=found.ok,
            summary=summary,
            oldest=found.oldest or None,
            parts=[part.as_json() for part in found.parts],
            findings=[each.as_json() for each in found.findings],
        )
        return Exit.OK if found.ok else Exit.ERROR

    return in_each(output, environment, one)


def _row(part: inventory.Part) -> tuple[str, ...]:
    kind = "native sidecar" if part.native and part.kind == "sidecar" else part.kind
    return (part.namespace, part.pod, kind, part.version or "not known", part.source or "nothing", part.revision)


def trusted(output: Output, environment: str, looks: trust.Looks, *, whole: bool) -> int:
    """`certs verify`; of several clusters also what each is to the others."""
    from meshwright.certs import across, finding, trust

    seen: dict[str, trust.Report] = {}

    def one(out: Output, project: Project, loaded: Loaded) -> int:
        found = _looked(out, project, loaded, lambda live, env: trust.verify(live, env, _now(), looks))
        seen[loaded.env.name] = found
        out.answer(trust.told(found.expected, found.seen.now))
        out.answer(_tally(found))
        out.answer(finding.lines(found.findings if whole else found.laggards))
        out.answer([_closing(found.summary)])
        out.document(ok=found.ok, summary=found.summary, **found.as_json())
        return Exit.OK if found.ok else Exit.ERROR

    return _all(output, environment, one, lambda _parts: (across.findings(seen), ()))


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


def served(output: Output, environment: str, proxy: str) -> int:
    """`certs live`."""
    from meshwright.certs import live as page

    def one(out: Output, project: Project, loaded: Loaded) -> int:
        found = _looked(out, project, loaded, lambda session, _env: page.look(session, proxy))
        for each in found:
            out.answer([f"{each.proxy} ({each.proxy.role})"])
            if each.error is not None:
                out.answer([f"  not verified: {each.error.message}"])
            for one in each.details:
                names = f" {', '.join(one.names)}" if one.names else ""
                out.answer([f"  {one.use:<8}{names} serial {one.serial}, until {one.expires}, {one.days} days left"])
        silent = [each for each in found if each.error is not None]
        summary = {"checked": len(found), "not_verified": len(silent)}
        out.document(ok=not silent, summary=summary, proxies=[each.as_json() for each in found])
        return Exit.ERROR if silent else Exit.OK

    return in_each(output, environment, one)


def standing(output: Output, environment: str, looks: trust.Looks) -> int:
    """`certs status`; of several clusters each in the change that any of them means, and a table of all."""
    from meshwright.certs import finding, phase, trust

    common = _meant(environment)
    rows: dict[str, tuple[str, str]] = {}

    def look(live: Session, env: Environment) -> tuple[trust.Report, phase.Position]:
        found = trust.verify(live, env, _now(), looks)
        at = phase.where(live, found)
        # One that has not begun yet, or has ended, stands somewhere in the change of the others too.
        own = common is None or phase.intention(live, env.istio.namespace) is not None
        return found, at if own else phase.position(found, common)

    def one(out: Output, project: Project, loaded: Loaded) -> int:
        found, at = _looked(out, project, loaded, look)
        rows[loaded.env.name] = at.phase, "holds" if at.stable else f"{len(at.waiting)} have not followed"
        out.answer(_position(at))
        out.answer(_tally(found))
        out.answer(finding.lines(at.waiting))
        out.document(ok=at.stable, summary=found.summary, **at.as_json())
        return Exit.OK if at.stable else Exit.ERROR

    def lines(parts: Iterable[str]) -> Iterator[str]:
        yield ""
        yield from table(("cluster", "phase", "gate"), [(name, *rows.get(name, ("not known", ""))) for name in parts])

    return _all(output, environment, one, lambda parts: ([], lines(parts)))


def _meant(environment: str) -> phase.Intention | None:
    """The change that is under way in any of several clusters; what gives no answer is told later."""
    from meshwright.certs import phase

    project = Project.find()
    found = members(project, environment)
    if len(found) == 1:
        return None

    def look(live: Session, env: Environment) -> phase.Intention | None:
        return phase.intention(live, env.istio.namespace)

    silent = Output(json=True)
    said = [outcome(lambda each=each: _looked(silent, project, each, look)) for each in found]  # type: ignore[misc]
    return next((each for each in said if isinstance(each, phase.Intention)), None)


def _all(
    output: Output,
    environment: str,
    one: Callable[[Output, Project, Loaded], int],
    between: Callable[[Iterable[str]], tuple[list[Finding], Iterable[str]]],
) -> int:
    """`one` for each cluster; of several, what `between` finds about them together, by their names, comes after."""
    from meshwright.certs import finding

    whole = Part(output.json, output.command, environment)
    code = in_each(whole, environment, one)
    said: Mapping[str, object] = {key: value for key, value in whole.kept.items() if key != "environment"}
    if "clusters" not in said:
        output.document(**said)  # type: ignore[arg-type]
        return code
    found, lines = between([part["environment"] for part in whole.kept["clusters"]])
    output.answer(lines)
    output.answer(finding.lines(found))
    fine = finding.fine(found)
    parts = [each.as_json() for each in found]
    output.document(**{**said, "ok": bool(said["ok"]) and fine, "between": parts})  # type: ignore[arg-type]
    return code if fine else code or Exit.ERROR


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
