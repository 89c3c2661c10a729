"""Proxies that no gate waits for, because a person said so, by name and with a reason.

For pods that nothing can make follow in time: of a Job, without an owner, of a workload that may not be restarted. The
waiver is kept with the change, in the standby Secret, so that whoever goes on with it, or looks at it, knows. What a
gate waits for must never be waived for the others' sake: a gateway, a waypoint and istiod speak with everybody.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from meshwright.certs.mesh import Mesh
from meshwright.errors import BadInput, Exit, MeshwrightError, Refused
from meshwright.options import Options
from meshwright.plan import Action, Change

__all__ = ["WAIVED", "asked", "changes", "kept", "text"]

WAIVED = "meshwright/waived"
"""The annotation of the standby Secret: a JSON mapping of NAMESPACE/POD to the reason."""

_COST = "no gate waits for it; where it has not followed when the next phase comes, its connections fail"


def kept(annotations: Mapping[str, Any]) -> dict[str, str]:
    """The waivers of a change: reasons by NAMESPACE/POD. Raises MeshwrightError: nobody wrote that as we do."""
    said = annotations.get(WAIVED)
    try:
        found = json.loads(said) if said else {}
    except ValueError:
        found = None
    if not isinstance(found, dict) or not all(isinstance(each, str) for pair in found.items() for each in pair):
        raise MeshwrightError(f"the annotation {WAIVED} of the standby Secret is not a mapping of pods to reasons")
    return found


def text(waived: Mapping[str, str]) -> str:
    """The annotation for these."""
    return json.dumps(dict(waived), sort_keys=True, ensure_ascii=False)


def asked(options: Options, mesh: Mesh, already: Collection[str] = ()) -> dict[str, str]:
    """Those that this run is to add, with its reason. Raises BadInput: no such proxy; Refused: it is one that everybody
    needs; MeshwrightError (64): no reason was given."""
    new = sorted(options.waive - set(already))
    if new and not options.reason.strip():
        raise MeshwrightError(
            "a waiver needs a reason, which is kept with the change",
            hint='Say why: --waive NAMESPACE/POD --reason "ends tonight"',
            exit_code=Exit.USAGE,
        )
    roles = {str(proxy): proxy.role for proxy in mesh.proxies} | {str(each): "istiod" for each in mesh.istiods}
    for name in new:
        if name not in roles:
            near = difflib.get_close_matches(name, roles, 1, 0.6)
            known = f"; the nearest is {near[0]}" if near else ""
            raise BadInput(
                f"--waive {name}: no proxy of the mesh has that name{known}",
                hint="Write NAMESPACE/POD, as `meshwright certs verify` names those that lag",
            )
        if roles[name] != "sidecar":
            kind = roles[name]
            raise Refused(
                f"--waive {name}: it is {'an' if kind == 'istiod' else 'a'} {kind}, which is never waived",
                hint="Everybody speaks with it: make it follow, or take the change back",
            )
    return {name: options.reason.strip() for name in new}


def changes(new: Mapping[str, str]) -> Iterable[Change]:
    """What a plan shows of waivers that it adds."""
    return [Change(Action.ADD, "Waiver", name, why=f"{reason}: {_COST}") for name, reason in sorted(new.items())]
