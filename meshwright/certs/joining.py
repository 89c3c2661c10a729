"""What is said of a change of the root over the clusters of a mesh as one: whether it may begin, and its plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from meshwright.certs import asked, authority, enabling, mesh, phase, trust
from meshwright.certs.asked import FILES, FORGET
from meshwright.certs.certificate import named
from meshwright.certs.contents import Step as At
from meshwright.certs.finding import Finding
from meshwright.certs.members import Cluster, Mesh
from meshwright.certs.phase import Intention, Position
from meshwright.certs.standby import Standby
from meshwright.check import State
from meshwright.errors import BadInput, Exit, MeshwrightError, Refused
from meshwright.options import Options
from meshwright.plan import Blocked, Change, Plan, digest
from meshwright.wording import some

__all__ = ["choose", "each_alone", "findings", "guarded", "one_change", "own", "plan", "same_roots", "standing"]

_PHASE = "Phase"


def own(to: str, each: Cluster) -> str:
    """What `to` means for one cluster of several: its own files are in the folder of its name, as istio/istio's
    tools/certs/Makefile.selfsigned.mk writes them (`make -f ... east-cacerts`)."""
    return f"{to.rstrip('/')}/{each.short}" if to.startswith(FILES) and to != FILES else to


def choose(found: Mesh, options: Options) -> None:
    """Gives each cluster its part of what a person decided: its own CA files, and the proxies that it has."""
    there = {each.name: _proxies(each) for each in found.clusters} if options.waive else {}
    nowhere = options.waive - frozenset().union(*there.values())
    for number, each in enumerate(found.clusters):
        # The first one says of a name that there is no such proxy.
        waive = options.waive & there.get(each.name, frozenset()) | (nowhere if number == 0 else frozenset())
        each.target.shared.options = replace(options, to=own(options.to, each), waive=waive)


def _proxies(each: Cluster) -> frozenset[str]:
    seen = mesh.look(each.session, each.env)
    return frozenset(map(str, (*seen.proxies, *seen.istiods)))


def one_change(found: Mesh, meant: Mapping[str, Intention], to: str = FORGET) -> None:
    """Refuses what no plan can be made of. `meant` is what clusters say of a change that was begun, by name; without a
    `to` that one goes on in all of them. Raises Refused, MeshwrightError (64)."""
    if len({(each.old, each.new) for each in meant.values()}) > 1:
        text = "; ".join(f"{name} from {each.old[:12]} to {each.new[:12]}" for name, each in meant.items())
        raise Refused(
            f"the clusters of this mesh are in different changes of their root: {text}",
            hint="Secret meshwright-ca-standby of each says what is meant there: one of them was not begun from here",
        )
    missing = [each.name for each in found.clusters if each.name not in meant]
    if meant and missing and not to:
        raise MeshwrightError(
            f"a change of the root is under way in {some(list(meant))}, and not in {some(missing)}: it was never begun "
            "there, or has ended",
            hint=f"Say --to once more to begin it there too, or --to {FORGET} where all have the new root",
            exit_code=Exit.USAGE,
        )


def findings(found: Mesh, meant: Mapping[str, Intention], to: str) -> list[Finding]:
    """What keeps a change from beginning in several clusters: a root that is not one for all, now or then."""
    if meant or not to or to == FORGET:
        return []
    if not to.startswith(FILES):
        text = f"each of the {len(found.clusters)} clusters would get a root of its own, and none would trust another"
        hint = f"Make one root with an intermediate for each cluster, and say --to {FILES}DIR"
        return [Finding(State.FAILED, "the new root", text, hint)]
    held = {each.name: _roots(each) for each in found.clusters}
    said = []
    if len(set(held.values())) > 1:
        text = "; ".join(f"{name} has {roots}" for name, roots in held.items())
        hint = "Clusters with different roots do not trust each other today: first give them one, each by itself"
        said.append(Finding(State.FAILED, "the root today", f"the clusters do not have the same: {text}", hint))
    new = {each.name: asked.from_folder(each.target, own(to, each), key=False).root for each in found.clusters}
    if len(set(new.values())) > 1:
        text = "; ".join(f"{name}: {root.label}" for name, root in new.items())
        hint = "root-cert.pem must be the same in the folders of all clusters; only the intermediates differ"
        said.append(Finding(State.FAILED, "the new root", f"the folders do not have the same: {text}", hint))
    return said


def _roots(each: Cluster) -> str:
    used = authority.find(each.session, mesh.look(each.session, each.env))
    return named(used.roots)


def same_roots(new: Mapping[str, Standby]) -> None:
    """Refuses changes that do not begin and end with the same roots. Raises BadInput."""
    for side in ("old", "new"):
        roots = {name: getattr(change, side).root for name, change in new.items()}
        if len(set(roots.values())) > 1:
            text = "; ".join(f"{name}: {root.label}" for name, root in roots.items())
            raise BadInput(f"the {side} root is not the same in all clusters: {text}", hint="Nothing was written")


def standing(each: Cluster, meant: Intention) -> Position:
    """Where a cluster stands in the change that the others mean."""
    return phase.position(trust.verify(each.session, each.env, asked.now()), meant)


def each_alone(plans: Sequence[tuple[Cluster, Plan]], to: str) -> bool:
    """Whether what is planned needs no order between the clusters: no root changes by it."""
    return to == FORGET or any(found.payload == enabling.ENABLE for _, found in plans)


def plan(name: str, plans: Sequence[tuple[Cluster, Plan]], way: Sequence[At]) -> Plan:
    """The plans of all clusters as one: every cluster goes through a phase before any begins the next."""
    enabled = [(each, found) for each, found in plans if found.payload == enabling.ENABLE]
    plans = enabled or plans
    before: list[Change] = []
    after: list[Change] = []
    phases: list[tuple[int, int, Change]] = []
    for number, (each, found) in enumerate(plans):
        place = before
        for change in found.changes:
            told = replace(change, name=f"{each.short}: {change.name}")
            if change.kind == _PHASE:
                place = after
                phases.append((way.index(At(change.name.partition(" ")[0])), number, told))
            else:
                place.append(told)
    ordered = [change for _, _, change in sorted(phases, key=lambda each: each[:2])]
    notes = [f"{each.short}: {note}" for each, found in plans for note in found.notes]
    if ordered:
        names = some([each.name for each, _ in plans])
        notes.insert(0, f"{names} are one mesh: all of them go through a phase before any begins the next")
    wanted = digest([name, *([each.name, found.desired] for each, found in plans)])
    return Plan(
        name,
        wanted,
        (*before, *ordered, *after),
        checked=sum(found.checked for _, found in plans),
        after=next((found.after for _, found in plans if found.after), ""),
        unfinished=any(found.unfinished for _, found in plans),
        notes=tuple(notes),
        payload=tuple(plans),
    )


def guarded(found: Plan, said: Iterable[Finding]) -> Plan:
    """The plan, refused for what was found about other clusters; where nothing is to be done, nothing is refused."""
    if not found.changes:
        return found
    said = list(said)
    bad = [each for each in said if each.state is State.FAILED]
    notes = [f"{each.subject}: {each.detail}" for each in said if each.state is State.WARNING or each in bad[1:]]
    changes: Sequence[Change] = found.changes
    if bad and not any(change.blocked for change in changes):
        first = replace(changes[0], blocked=Blocked(f"{bad[0].subject}: {bad[0].detail}", bad[0].hint))
        changes = (first, *changes[1:])
    elif bad:
        notes.insert(0, f"{bad[0].subject}: {bad[0].detail}")
    return replace(found, changes=tuple(changes), notes=(*found.notes, *notes))
