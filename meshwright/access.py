"""Who may do what: the roles as manifests, and asking an API server which of their rights these credentials have.

The manifests are made from the table of `meshwright.rights`, for one environment, and not shipped as files: they name
the environment's namespaces and kinds, and what is asked for is then what was given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from meshwright import rights
from meshwright.environment import Environment
from meshwright.errors import BadInput, Forbidden
from meshwright.kube import Session
from meshwright.plan import Action, Change, Plan
from meshwright.rights import Right, Role

__all__ = ["Ask", "admit", "asks", "manifests", "missing", "of_changes", "of_plan", "subject"]

Object = dict[str, Any]

_RBAC = "rbac.authorization.k8s.io"
_REVIEWS = "authorization.k8s.io/v1"
# A namespace in which nobody was given anything: what its rules say is said of all namespaces.
_NOWHERE = "meshwright-nowhere"
_VERBS = {Action.ADD: ("create", "patch"), Action.CHANGE: ("patch",), Action.DESTROY: ("delete",)}
# What the roles may change by name only, because there is more of it in a cluster than an environment's own.
_BY_NAME = ("Namespace", "CustomResourceDefinition")
_SUBJECTS = {"user": "User", "group": "Group", "serviceaccount": "ServiceAccount"}


@dataclass(frozen=True, order=True)
class Ask:
    """One question: may we do `verb` to `resource` (with its subresource) of `group`? `namespace` is "" for all
    namespaces and for what has none, `name` "" for any object. `why` is what needs it."""

    namespace: str
    group: str
    resource: str
    verb: str
    name: str
    why: str

    def __str__(self) -> str:
        what = f"{self.resource}.{self.group}" if self.group else self.resource
        where = f" in namespace {self.namespace}" if self.namespace else ""
        return f"{self.verb} {what}{f' {self.name}' if self.name else ''}{where}"

    def as_json(self) -> dict[str, str]:
        """What `--json` shows."""
        return {
            "verb": self.verb,
            "group": self.group,
            "resource": self.resource,
            "namespace": self.namespace,
            "name": self.name,
            "why": self.why,
        }


def asks(wanted: Iterable[Right]) -> list[Ask]:
    """The rights, one by one; each once, with the first reason for it."""
    found: dict[tuple[str, ...], Ask] = {}
    for right in wanted:
        for resource in right.resources:
            for verb in right.verbs:
                for name in right.names or ("",):
                    ask = Ask(right.namespace or "", right.group, resource, verb, name, right.why)
                    found.setdefault((ask.namespace, ask.group, resource, verb, name), ask)
    return list(found.values())


def of_changes(session: Session, changes: Iterable[Change]) -> list[Right]:
    """What it takes to write the objects that are the payloads of `changes`; nothing of other payloads."""
    found = []
    for change in changes:
        obj = change.payload
        if not isinstance(obj, dict) or not {"apiVersion", "kind", "metadata"} <= obj.keys():
            continue
        known = session.resource(obj["apiVersion"], obj["kind"])
        resource = known.plural if known else rights.plural(obj["kind"])
        namespace = obj["metadata"].get("namespace") or None
        right = Right(
            f"{change.kind} {change.name}",
            obj["apiVersion"].rpartition("/")[0],
            (resource,),
            _VERBS[change.action],
            namespace,
        )
        found += _by_name(right, obj["metadata"]["name"]) if obj["kind"] in _BY_NAME else [right]
    return found


def _by_name(right: Right, name: str) -> list[Right]:
    """The right to one object. What is to be created has no name yet (Kubernetes, RBAC: referring to resources)."""
    named = tuple(verb for verb in right.verbs if verb != "create")
    creating = replace(right, verbs=("create",))
    return [*([creating] if named != right.verbs else []), replace(right, verbs=named, names=(name,))]


def missing(session: Session, wanted: Iterable[Right]) -> list[Ask]:
    """Those of the rights that these credentials do not have.

    First the rules that hold for us are asked for, one question for each namespace; an authorizer need not tell them
    all, so what they do not prove is asked one by one. Raises what a session raises.
    """
    open_ = asks(wanted)
    places = sorted({ask.namespace for ask in open_})
    rules = dict(zip(places, session.map(lambda place: _rules(session, place or _NOWHERE), places), strict=True))
    unproven = [ask for ask in open_ if not any(_covers(rule, ask) for rule in rules[ask.namespace])]
    answers = session.map(lambda ask: _allowed(session, ask), unproven)
    return [ask for ask, allowed in zip(unproven, answers, strict=True) if not allowed]


def of_plan(session: Session, env: Environment, plan: Plan) -> list[Right]:
    """What it takes to apply a plan, besides what every run needs."""
    # istioctl writes all that it has, whatever differs.
    if plan.step == "istio" and plan.changes:
        return [right for right in rights.of_role(Role.APPLY, env, ["istio"]) if right.why.startswith("istioctl")]
    return of_changes(session, plan.changes)


def admit(session: Session, env: Environment, plans: Iterable[Plan], known: set[Right]) -> None:
    """Asks whether these credentials may apply the plans, for all of them at once and before anything is written.
    `known` are the rights that they have been found to have, and grows.

    Raises Forbidden, naming all that is missing.
    """
    wanted = [right for plan in plans for right in of_plan(session, env, plan)]
    new = [right for right in dict.fromkeys([*rights.run(env), *wanted]) if right not in known]
    lacking = missing(session, new)
    if lacking:
        count = f"{len(lacking)} rights are" if len(lacking) > 1 else "a right is"
        raise Forbidden(
            f"{count} missing to context {session.context.name}, and nothing was changed: "
            + "; ".join(map(str, lacking)),
            hint=f"`meshwright access {env.name} --role apply` prints the role that has all it takes, for whoever runs "
            "the cluster",
        )
    known.update(new)


def _rules(session: Session, namespace: str) -> list[Object]:
    review = {"apiVersion": _REVIEWS, "kind": "SelfSubjectRulesReview", "spec": {"namespace": namespace}}
    return list((_reviewed(session, review).get("status") or {}).get("resourceRules") or [])


def _covers(rule: Object, ask: Ask) -> bool:
    """Whether a rule gives what is asked (k8s.io/kubernetes, pkg/apis/rbac/v1, evaluation helpers)."""

    def has(values: Sequence[str], value: str) -> bool:
        return value in values or "*" in values

    resources, names = rule.get("resources") or [], rule.get("resourceNames") or []
    sub = ask.resource.partition("/")[2]
    return (
        has(rule.get("verbs") or [], ask.verb)
        and has(rule.get("apiGroups") or [], ask.group)
        and (has(resources, ask.resource) or (bool(sub) and f"*/{sub}" in resources))
        and (not names or ask.name in names)
    )


def _allowed(session: Session, ask: Ask) -> bool:
    resource, _, subresource = ask.resource.partition("/")
    attributes = {
        "verb": ask.verb,
        "group": ask.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": ask.namespace,
        "name": ask.name,
    }
    review = {"apiVersion": _REVIEWS, "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
    return bool((_reviewed(session, review).get("status") or {}).get("allowed"))


def _reviewed(session: Session, review: Object) -> Object:
    return session.create({**review, "metadata": {}})


# The manifests


def manifests(
    env: Environment, role: Role, wanted: Sequence[Right], bind: Sequence[Object] = (), name: str = ""
) -> list[Object]:
    """A ClusterRole for what holds everywhere and a Role for each namespace, each bound to the subjects of `bind`, all
    called `name` (default: after the environment and the role). The namespaces come first: in a new cluster they are
    still to be made."""
    name = name or f"{rights.OWN}-{env.environment}-{role}"
    places = sorted({right.namespace or "" for right in wanted})
    made: list[Object] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": place}} for place in places if place
    ]
    for namespace in places:
        kind = "Role" if namespace else "ClusterRole"
        metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
        rules = [_rule(right) for right in wanted if (right.namespace or "") == namespace]
        made.append({"apiVersion": f"{_RBAC}/v1", "kind": kind, "metadata": metadata, "rules": rules})
        if bind:
            reference = {"apiGroup": _RBAC, "kind": kind, "name": metadata["name"]}
            bound = {"kind": f"{kind}Binding", "metadata": metadata, "roleRef": reference, "subjects": list(bind)}
            made.append({"apiVersion": f"{_RBAC}/v1", **bound})
    return made


def _rule(right: Right) -> Object:
    rule = {"apiGroups": [right.group], "resources": list(right.resources), "verbs": list(right.verbs)}
    return rule | ({"resourceNames": list(right.names)} if right.names else {})


def subject(text: str) -> Object:
    """The subject of a binding from KIND:NAME; KIND is user, group or serviceaccount, whose NAME is NAMESPACE/NAME.

    Raises BadInput.
    """
    kind, found, name = text.partition(":")
    namespace, slash, account = name.partition("/")
    if found and name and kind == "serviceaccount" and namespace and slash and account:
        return {"kind": _SUBJECTS[kind], "namespace": namespace, "name": account}
    if found and name and kind in ("user", "group"):
        return {"apiGroup": _RBAC, "kind": _SUBJECTS[kind], "name": name}
    raise BadInput(
        f"--bind {text} names nobody",
        hint="Give user:NAME, group:NAME or serviceaccount:NAMESPACE/NAME",
    )
