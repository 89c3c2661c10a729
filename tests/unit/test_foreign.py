"""Fields that others added to our objects."""

from __future__ import annotations

from typing import Any

import pytest

from meshwright import foreign


def live(*managed: dict[str, Any], namespace: str = "team", **rest: Any) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "x", "managedFields": list(managed)} | rest.pop("metadata", {})
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, **rest}


def by(manager: str, fields: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields, **rest}


WANTED = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": {"replicas": 1}}


def test_a_field_of_another_is_named_with_its_owner() -> None:
    now = live(by("kubectl-edit", {"f:spec": {"f:paused": {}}}), spec={"paused": True})
    assert foreign.sentences(now, WANTED, "meshwright") == [
        "Deployment team/x: spec.paused is of kubectl-edit, not of these values; it is left alone"
    ]


def test_an_object_without_a_namespace() -> None:
    now = live(by("a", {"f:metadata": {"f:labels": {"f:b": {}}}}), namespace="", metadata={"labels": {"b": "1"}})
    assert foreign.sentences(now, WANTED, "meshwright")[0].startswith("Deployment x: metadata.labels.b is of a,")


def test_an_item_added_whole_is_one_sentence() -> None:
    item: dict[str, Any] = {"k:" + '{"name":"debug"}': {".": {}, "f:name": {}, "f:image": {}}}
    fields = {"f:spec": {"f:template": {"f:spec": {"f:containers": item}}}}
    now = live(by("someone", fields), spec={"template": {"spec": {"containers": [{"name": "debug", "image": "b"}]}}})
    assert foreign.sentences(now, WANTED, "meshwright") == [
        "Deployment team/x: spec.template.spec.containers[debug] is of someone, not of these values; it is left alone"
    ]


@pytest.mark.parametrize(
    "managed",
    [
        by("meshwright", {"f:spec": {"f:paused": {}}}),
        by("kube-controller-manager", {"f:spec": {"f:paused": {}}}),
        by("someone", {"f:spec": {"f:paused": {}}}, subresource="status"),
        by("someone", {"f:status": {"f:replicas": {}}}),
        by("someone", {"f:spec": {"f:replicas": {}}}),  # in the values too
        by("someone", {"f:spec": {"f:minReadySeconds": {}}}),  # not there any more
        by("someone", {"f:metadata": {"f:finalizers": {'v:"a/b"': {}}}}),
        by("meshwright-certs", {"f:metadata": {"f:annotations": {f"f:{foreign.RESTARTED}": {}}}}),
        by("kubectl-label", {"f:metadata": {"f:labels": {"f:kubernetes.io/metadata.name": {}}}}),
    ],
)
def test_what_is_not_worth_a_sentence(managed: dict[str, Any]) -> None:
    now = live(managed, spec={"paused": True, "replicas": 3}, status={"replicas": 1}, metadata={"finalizers": ["a/b"]})
    now["metadata"]["annotations"] = {foreign.RESTARTED: "P2-7"}
    now["metadata"]["labels"] = {**(now["metadata"].get("labels") or {}), "kubernetes.io/metadata.name": "team"}
    assert foreign.sentences(now, WANTED, "meshwright") == []


def test_an_object_without_managed_fields() -> None:
    assert foreign.sentences({"kind": "A", "metadata": {"name": "x"}}, WANTED, "meshwright") == []


def test_a_field_of_another_with_manager_and_time() -> None:
    now = live(by("kubectl-edit", {"f:spec": {"f:paused": {}}}, time="2026-11-22T10:00:00Z"), spec={"paused": True})
    assert foreign.fields(now, WANTED, "meshwright") == [
        foreign.Foreign("spec.paused", "kubectl-edit", "2026-11-22T10:00:00Z")
    ]
    assert (
        "is of kubectl-edit since 2026-11-22T10:00:00Z, not of these values"
        in foreign.sentences(now, WANTED, "meshwright")[0]
    )


CONTAINERS: dict[str, Any] = {
    "f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"app"}': {".": {}, "f:image": {}}}}}}
}
PORTS: dict[str, Any] = {
    "f:spec": {"f:ports": {'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}, "f:targetPort": {}}}}
}
SPEC: dict[str, Any] = {
    "template": {"spec": {"containers": [{"name": "side"}, {"name": "app", "image": "a", "tty": True}]}},
    "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 1}],
    "http": [{"route": [{"destination": {"subset": "v1"}}]}],
    "unowned": 1,
}


@pytest.mark.parametrize(
    ("tree", "path", "owned"),
    [
        ({"f:spec": {"f:unowned": {}}}, "spec.unowned", True),
        ({"f:spec": {"f:http": {}}}, "spec.http", True),
        # A list without keys has one owner as a whole.
        ({"f:spec": {"f:http": {}}}, "spec.http[0].route[0].destination.subset", True),
        ({"f:spec": {"f:http": {}}}, "spec.http (order)", True),
        ({"f:spec": {"f:http": {}}}, "spec.unowned", False),
        (CONTAINERS, "spec.template.spec.containers[app].image", True),
        (CONTAINERS, "spec.template.spec.containers[app]", True),
        (CONTAINERS, "spec.template.spec.containers[1].image", True),
        (CONTAINERS, "spec.template.spec.containers[app].tty", False),
        (CONTAINERS, "spec.template.spec.containers[side].image", False),
        (CONTAINERS, "spec.template.spec.containers[gone].image", False),
        (PORTS, "spec.ports[http].targetPort", True),
        ({"f:metadata": {"f:labels": {"f:a.b/c": {}}}}, 'metadata.labels."a.b/c"', True),
        ({"f:metadata": {"f:labels": {".": {}, "f:x": {}}}}, 'metadata.labels."a.b/c"', False),
        ({"f:metadata": {"f:labels": {"f:gone": {}}}}, "metadata.labels.gone", False),
    ],
)
def test_whose_a_field_of_a_plan_is(tree: dict[str, Any], path: str, owned: bool) -> None:
    now = live(by("who", tree, time="t"), spec=SPEC, metadata={"labels": {"a.b/c": "1"}})
    assert foreign.owner_of(now, path) == (("who", "t") if owned else None)


def test_the_last_of_several_owners_is_told() -> None:
    tree: dict[str, Any] = {"f:spec": {"f:unowned": {}}}
    now = live(by("b", tree, time="2"), by("a", tree, time="3"), by("c", tree, time="1"), spec=SPEC)
    assert foreign.owner_of(now, "spec.unowned") == ("a", "3")


def test_a_status_is_not_looked_at() -> None:
    now = live(by("k", {"f:status": {"f:a": {}}}, subresource="status"), status={"a": 1})
    assert foreign.owner_of(now, "status.a") is None


def test_kubectls_own_copy_is_worth_no_sentence() -> None:
    tree: dict[str, Any] = {"f:metadata": {"f:annotations": {".": {}, f"f:{foreign.LAST_APPLIED}": {}}}}
    now = live(by("kubectl-client-side-apply", tree), metadata={"annotations": {foreign.LAST_APPLIED: "{}"}})
    assert foreign.fields(now, WANTED, "meshwright") == []


def test_a_scale_is_somebodys_and_a_status_is_nobodys() -> None:
    entry = {"manager": "kubectl", "operation": "Update", "time": "2026-11-22T17:00:00Z"}
    now = {
        "kind": "Deployment",
        "metadata": {
            "name": "d",
            "managedFields": [
                {**entry, "subresource": "scale", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {**entry, "subresource": "status", "fieldsV1": {"f:status": {"f:replicas": {}}}},
            ],
        },
        "spec": {"replicas": 3},
        "status": {"replicas": 3},
    }
    [found] = foreign.fields(now, {"metadata": {"name": "d"}}, "meshwright")
    assert (found.path, found.manager, found.value) == ("spec.replicas", "kubectl", 3)
    assert foreign.owner_of(now, "spec.replicas") == ("kubectl", "2026-11-22T17:00:00Z")
    assert foreign.owner_of(now, "status.replicas") is None
