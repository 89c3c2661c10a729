"""What `istioctl analyze` says about the environment's objects, beside what our own rules have said already."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from meshwright import analysis, namespaces, objects, tools
from meshwright.environment import Environment
from meshwright.errors import Forbidden, Unreachable
from meshwright.kube import Session
from meshwright.manifests import Manifest
from meshwright.target import Target
from meshwright.validation.finding import Finding, Level
from meshwright.validation.live import same

__all__ = ["analyzed"]

# What it says for want of pods, Services and Gateways that only a cluster has.
_OF_CLUSTERS = frozenset(
    {"IST0101", "IST0103", "IST0127", "IST0132", "IST0149", "IST0162", "IST0171", "IST0173", "IST0174"}
)
# What it says of every object of a kind is no finding about one.
_ALWAYS = (("IST0133", "EnvoyFilter"),)
# The rules of ours that say the same about the same object.
_SAME = {
    "IST0101": (
        *("gateway-missing", "host-missing", "subset-missing", "credential-missing", "selector", "still-named"),
        *("delegate-missing", "backend-missing"),
    ),
    "IST0106": ("refused", "schema", "unknown-field"),
    "IST0109": ("host-twice",),
    "IST0110": ("one-per-namespace",),
    "IST0111": ("one-per-namespace",),
    "IST0127": ("selector",),
    "IST0130": ("shadowed",),
    "IST0132": ("host-not-served", "gateway-missing"),
    "IST0145": ("servers-overlap",),
    "IST0161": ("credential-missing",),
    "IST0173": ("subset-of-nobody",),
    "IST0174": ("host-missing", "rule-without-host"),
}
_QUOTED = re.compile(r'"([^"]*)"')
_PAGE = "istio.io/latest/docs/reference/config/analysis"


def analyzed(
    target: Target,
    env: Environment,
    session: Session | None,
    own: Sequence[Manifest],
    beside: Iterable[Manifest],
    said: Sequence[Finding],
    skipped: list[str],
) -> list[Finding]:
    """The findings of istioctl about `own`. Without a `session`, `beside` are objects that count as there; with one the
    live objects do, but for those that an apply would replace or delete. What it could not look at is in `skipped`."""
    if tools.installed(target, env, "istioctl") is None:
        skipped.append(f"what istioctl analyze says: `meshwright apply {env.name} tools` installs istioctl")
        return []
    wanted = [manifest.obj for manifest in own]
    try:
        if session is None:
            around = [*namespaces.wanted(env), *(manifest.obj for manifest in beside)]
        else:
            stays = same(env, own)
            around = [obj for obj in analysis.live(session, env) if not stays(obj)]
        found = analysis.forecast(
            target, env, [obj for obj in (*around, *wanted) if obj["kind"] not in ("Secret", "SecretList")]
        )
    except (Forbidden, Unreachable) as error:
        # One object that it cannot read keeps it from all others.
        unread = any(ours.rule == "schema" for ours in said)
        why = "it cannot read what the schemas refuse: mend that first" if unread else " ".join(error.message.split())
        skipped.append(f"what istioctl analyze says: {why}")
        return []
    assert found is not None
    if session is None:
        skipped.append("what istioctl analyze says of pods, Services and other things that only a cluster has")
        found = [each for each in found if each.code not in _OF_CLUSTERS]
    places = {f"{manifest.obj['kind']} {objects.title(manifest.obj)}": manifest.place for manifest in reversed(own)}
    return [
        _finding(each, places[each.origin])
        for each in analysis.about(found, wanted)
        if (each.code, each.origin.partition(" ")[0]) not in _ALWAYS and not any(_repeats(each, ours) for ours in said)
    ]


def _repeats(each: analysis.Finding, ours: Finding) -> bool:
    if ours.object != each.origin or ours.rule not in _SAME.get(each.code, ()):
        return False
    # One object may name several things that are not there.
    names = [part for text in _QUOTED.findall(each.message) for part in text.split("+")]
    return each.code != "IST0101" or all(name in ours.sentence for name in names)


def _finding(each: analysis.Finding, place: str) -> Finding:
    hint = (
        f"{_PAGE}/{each.code.lower()}; where it is meant so: annotation galley.istio.io/analyze-suppress: {each.code}"
    )
    return Finding(each.code, Level(each.level.lower()), place, each.origin, f"istioctl analyze: {each.message}", hint)
