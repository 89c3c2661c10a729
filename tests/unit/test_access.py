"""Roles as manifests, the questions about them, and the stop before a run's first write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fakes import FakeSession, FakeTarget, environment

from meshwright import access, cluster, gateway_release, objects, rights
from meshwright.errors import BadInput, Forbidden
from meshwright.execution import Execution
from meshwright.kube import Session
from meshwright.options import Options
from meshwright.plan import Action, Change, Plan
from meshwright.rights import Right, Role
from meshwright.step import Step

CA = {"cacerts", "istio-ca-secret", "meshwright-ca-standby"}
SITE = ("engine", "tools", "cluster", "istio", "namespaces", "bookinfo", "resources", "check")
OBJECTS = [
    {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "a", "namespace": "shop"}},
    {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "b", "namespace": "shop"}},
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "c", "namespace": "shop"}},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
]
WRITES = {"create", "update", "patch", "delete", "deletecollection", "escalate", "bind", "impersonate"}


def asked(role: Role, steps: tuple[str, ...] = SITE, objs: Any = OBJECTS) -> list[access.Ask]:
    return access.asks(rights.of_role(role, environment(), steps, objs))


# The roles


def test_who_reads_writes_nothing() -> None:
    found = {(ask.resource, ask.verb) for ask in asked(Role.READ) if ask.verb in WRITES}
    # Both open a connection to a pod; neither writes an object.
    assert found <= {("pods/portforward", "create"), ("pods/exec", "create")}


@pytest.mark.parametrize("role", rights.ROLES)
def test_every_role_may_ask_proxies(role: Role) -> None:
    """DESIGN 4: get and create on pods/portforward."""
    assert {("get", ""), ("create", "")} <= {
        (ask.verb, ask.namespace) for ask in asked(role) if ask.resource == "pods/portforward"
    }


def test_nobody_but_certs_reads_secrets_and_certs_only_those_of_the_ca() -> None:
    assert [ask for ask in asked(Role.READ) if ask.resource == "secrets"] == []
    reading = ("get", "list", "watch", "*")
    assert [a for a in asked(Role.APPLY, ("resources",)) if a.resource == "secrets" and a.verb in reading] == []
    found = [ask for ask in asked(Role.CERTS) if ask.resource == "secrets"]
    assert {ask.name for ask in found if ask.verb != "create"} == CA
    assert {ask.namespace for ask in found} == {"istio-system"}


def test_in_an_environment_of_several_clusters_certs_finds_out_who_is_in_the_mesh() -> None:
    for name, listing in (("prod", set()), ("prod/east", {("list", "istio-system")})):
        wanted = rights.of_role(Role.CERTS, environment(name), ())
        found = [ask for ask in access.asks(wanted) if ask.resource == "secrets" and ask.verb == "list"]
        assert {(ask.verb, ask.namespace) for ask in found} == listing


def test_the_installation_alone_needs_what_makes_it_powerful() -> None:
    without = asked(Role.APPLY, ("namespaces", "resources"))
    assert not any(
        ask.verb in ("escalate", "bind") or (ask.group == "admissionregistration.k8s.io" and ask.verb in WRITES)
        for ask in without
    )
    escalating = [ask for ask in asked(Role.APPLY) if ask.verb in ("escalate", "bind")]
    assert escalating
    assert all(ask.name for ask in escalating), "limited to the roles of istiod, by their names"


def test_resources_are_written_in_their_own_namespaces() -> None:
    written = {
        (ask.namespace, ask.group, ask.resource)
        for ask in asked(Role.APPLY, ("resources",))
        if ask.verb == "delete" and ask.namespace != "meshwright"
    }
    assert ("shop", "networking.k8s.io", "networkpolicies") in written
    assert ("shop", "", "secrets") in written
    assert ("shop", "networking.istio.io", "*") in written
    assert {namespace for namespace, _, _ in written} == {"shop", "istio-system"}


def test_the_crds_of_the_gateway_api_come_with_a_deploy_of_resources() -> None:
    """Where the environment has objects of it: created as any, changed by their names."""
    route = {"apiVersion": f"{gateway_release.GROUP}/v1", "kind": "HTTPRoute", "metadata": {"name": "r"}}
    steps = ("gateway-api", "resources")

    def written(env: Any, objs: Any) -> set[tuple[str, str]]:
        found = access.asks(rights.of_role(Role.APPLY, env, steps, objs))
        return {(a.verb, a.name) for a in found if a.resource == "customresourcedefinitions" and a.verb in WRITES}

    named = {("patch", name) for name in gateway_release.wanted(environment())}
    assert written(environment(), [route]) == {("create", "")} | named
    assert written(environment(), OBJECTS) == set()
    istio = {"version": "1.30.3", "hub": "docker.io/istio", "gateway_api": {"crds": "never"}}
    assert written(environment(istio=istio), [route]) == set()


@pytest.mark.parametrize("kind", ["CustomResourceDefinition", "Namespace"])
def test_what_a_role_may_change_by_name_is_asked_for_by_name(kind: str) -> None:
    session = FakeSession()
    payload = {"apiVersion": "v1", "kind": kind, "metadata": {"name": "own"}}
    resource = rights.plural(kind)
    session.rules = {"": [rule("create", "", resource), rule("patch", "", resource, "own")]}
    for action in (Action.ADD, Action.CHANGE):
        wanted = access.of_changes(session, [Change(action, kind, "own", payload=payload)])
        assert access.missing(session, wanted) == []
    payload = {**payload, "metadata": {"name": "other"}}
    wanted = access.of_changes(session, [Change(Action.CHANGE, kind, "other", payload=payload)])
    assert [str(ask) for ask in access.missing(session, wanted)] == [f"patch {resource} other"]


def test_no_right_is_for_everything() -> None:
    for role in rights.ROLES:
        assert not any(ask.group == "*" or ask.verb == "*" for ask in asked(role))
        assert all(ask.why for ask in asked(role))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("Gateway", "gateways"),
        ("NetworkPolicy", "networkpolicies"),
        ("GatewayClass", "gatewayclasses"),
        ("Telemetry", "telemetries"),
        ("Endpoints", "endpoints"),
        ("HTTPRoute", "httproutes"),
    ],
)
def test_resources_of_kinds(kind: str, wanted: str) -> None:
    assert rights.plural(kind) == wanted


def test_the_manifests_say_what_is_asked() -> None:
    bind = [access.subject("group:mesh"), access.subject("serviceaccount:ci/deployer")]
    wanted = rights.of_role(Role.CERTS, environment(), SITE)
    made = access.manifests(environment(), Role.CERTS, wanted, bind)
    named = {obj["metadata"]["name"] for obj in made if obj["kind"] == "Namespace"}
    made = [obj for obj in made if obj["kind"] != "Namespace"]
    assert [obj["kind"] for obj in made[:2]] == ["ClusterRole", "ClusterRoleBinding"]
    assert named == {obj["metadata"]["namespace"] for obj in made if obj["kind"] == "Role"}
    given = set()
    for obj in made:
        assert obj["metadata"]["name"] == "meshwright-lab-certs"
        for rule in obj.get("rules", []):
            for verb in rule["verbs"]:
                for name in rule.get("resourceNames", [""]):
                    given |= {
                        (obj["metadata"].get("namespace", ""), rule["apiGroups"][0], r, verb, name)
                        for r in rule["resources"]
                    }
    assert given == {(a.namespace, a.group, a.resource, a.verb, a.name) for a in access.asks(wanted)}
    assert made[1]["subjects"] == [
        {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "mesh"},
        {"kind": "ServiceAccount", "namespace": "ci", "name": "deployer"},
    ]


@pytest.mark.parametrize(
    "text", ["", "mesh", "group:", "serviceaccount:ci", "serviceaccount:/x", "team:x", "serviceaccount:ci/"]
)
def test_a_subject_that_is_nobody(text: str) -> None:
    with pytest.raises(BadInput, match="names nobody"):
        access.subject(text)


# Asking


def rule(verbs: str, group: str, resources: str, *names: str) -> dict[str, Any]:
    found = {"verbs": verbs.split(), "apiGroups": [group], "resources": resources.split()}
    return found | ({"resourceNames": list(names)} if names else {})


WANTED = Right("plans", "apps", ("deployments",), ("get",))


@pytest.mark.parametrize(
    ("given", "wanted", "held"),
    [
        (rule("get list", "apps", "deployments"), WANTED, True),
        (rule("*", "*", "*"), WANTED, True),
        (rule("list", "apps", "deployments"), WANTED, False),
        (rule("get", "", "deployments"), WANTED, False),
        (rule("get", "apps", "deployments", "istiod"), WANTED, False),
        (rule("get", "", "secrets", "cacerts"), Right("x", "", ("secrets",), ("get",), None, ("cacerts",)), True),
        (rule("get", "", "secrets", "cacerts"), Right("x", "", ("secrets",), ("get",), None, ("other",)), False),
        (rule("get", "", "pods"), Right("x", "", ("pods/portforward",), ("get",)), False),
        (rule("get", "", "*/portforward"), Right("x", "", ("pods/portforward",), ("get",)), True),
        (rule("get", "apps", "*"), Right("x", "apps", ("*",), ("get",)), True),
        (rule("get", "apps", "deployments"), Right("x", "apps", ("*",), ("get",)), False),
    ],
)
def test_what_a_rule_gives(given: Any, wanted: Right, held: bool) -> None:
    session = FakeSession()
    session.rules = {"": [given]}
    assert (access.missing(session, [wanted]) == []) is held


def test_a_right_in_one_namespace_is_none_in_all() -> None:
    session = FakeSession()
    session.rules = {"": [], "shop": [rule("get", "apps", "deployments")]}
    in_shop = Right("x", "apps", ("deployments",), ("get",), "shop")
    assert [str(ask) for ask in access.missing(session, [WANTED, in_shop])] == ["get deployments.apps"]


def test_what_an_authorizer_does_not_tell_is_asked() -> None:
    session = FakeSession()
    session.rules = {"": []}
    session.granted = {("get", "deployments", ""), ("create", "pods/portforward", "shop")}
    wanted = [WANTED, Right("x", "", ("pods/portforward",), ("get", "create"), "shop")]
    assert [str(ask) for ask in access.missing(session, wanted)] == ["get pods/portforward in namespace shop"]


def test_all_of_an_administrators_rights_take_one_question_for_each_namespace() -> None:
    session = FakeSession()
    wanted = rights.of_role(Role.APPLY, environment(), SITE, OBJECTS)
    assert access.missing(session, wanted) == []
    assert len(session.reviews) == len({right.namespace for right in wanted})


# Before a run's first write


class Named:
    name = "prod-context"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    made = FakeSession({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    made.context = Named()  # type: ignore[assignment]
    monkeypatch.setattr(cluster, "session", lambda _target, _env: made)
    return made


def config(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "shop"}, "data": {}}


def writing(session: Session, name: str, *wanted: dict[str, Any]) -> Step:
    def plan(_target: Any, _env: Any) -> Plan:
        return Plan(name, "d", objects.compare(session, wanted).changes, checked=1)

    return Step(name, plan, lambda _t, _e, plan: objects.apply(session, plan.changes))


def test_all_that_is_missing_is_named_before_anything_is_written(host: FakeTarget, session: FakeSession) -> None:
    session.rules = {"": [rule("get list", "*", "*")], "meshwright": [rule("*", "*", "*")]}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}}
    steps = [writing(session, "one", config("a")), writing(session, "two", deployment)]
    execution = Execution(host, environment(), steps, Options())
    execution.preview()
    with pytest.raises(Forbidden) as caught:
        execution.begin(steps[0])
    assert caught.value.message == (
        "5 rights are missing to context prod-context, and nothing was changed: patch namespaces meshwright; "
        "create configmaps in namespace shop; patch configmaps in namespace shop; "
        "create deployments.apps in namespace shop; patch deployments.apps in namespace shop"
    )
    assert "meshwright access lab --role apply" in caught.value.hint
    assert (session.writes, session.deletes) == ([], [])
    with pytest.raises(Forbidden):
        execution.admit()


def test_only_what_changes_is_asked_for_and_only_once(host: FakeTarget, session: FakeSession) -> None:
    session.put(config("b"))
    step = writing(session, "one", config("a"))
    execution = Execution(host, environment(), [step, writing(session, "two")], Options())
    execution.preview()
    plan = execution.begin(step)
    asked = len(session.reviews)
    assert {review["spec"]["namespace"] for review in session.reviews} == {"meshwright", "meshwright-nowhere", "shop"}
    execution.apply(step, plan)
    execution.begin(execution.steps[1])
    assert len(session.reviews) == asked
    execution.end()


def test_a_run_without_changes_asks_nothing(host: FakeTarget, session: FakeSession) -> None:
    session.rules = {"": []}
    step = writing(session, "one")
    Execution(host, environment(), [step], Options()).begin(step)
    assert session.reviews == []


def test_the_installation_is_asked_for_as_a_whole(session: FakeSession) -> None:
    change = Change(Action.CHANGE, "Deployment", "istio-system/istiod", payload=config("istiod"))
    found = access.asks(access.of_plan(session, environment(), Plan("istio", "d", (change,))))
    assert ("escalate", "clusterroles") in {(ask.verb, ask.resource) for ask in found}
    assert access.of_plan(session, environment(), Plan("istio", "d")) == []


def test_a_change_that_is_no_object_is_not_asked_for(session: FakeSession) -> None:
    assert access.of_changes(session, [Change(Action.ADD, "Tool", "k3d", payload="k3d")]) == []
    assert access.of_changes(session, [Change(Action.DESTROY, "ConfigMap", "shop/a", payload=config("a"))])[
        0
    ].verbs == ("delete",)


def test_the_page_has_all_roles() -> None:
    page = (Path(__file__).parents[2] / "docs" / "access.md").read_text()
    for role in rights.ROLES:
        assert f"`{role}`" in page
