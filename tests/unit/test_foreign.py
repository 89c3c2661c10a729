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
        by("someone", {"f:spec": {"f:paused": {}}}, subresource="scale"),
        by("someone", {"f:status": {"f:replicas": {}}}),
        by("someone", {"f:spec": {"f:replicas": {}}}),  # in the values too
        by("someone", {"f:spec": {"f:minReadySeconds": {}}}),  # not there any more
        by("someone", {"f:metadata": {"f:finalizers": {'v:"a/b"': {}}}}),
    ],
)
def test_what_is_not_worth_a_sentence(managed: dict[str, Any]) -> None:
    now = live(managed, spec={"paused": True, "replicas": 3}, status={"replicas": 1}, metadata={"finalizers": ["a/b"]})
    assert foreign.sentences(now, WANTED, "meshwright") == []


def test_an_object_without_managed_fields() -> None:
    assert foreign.sentences({"kind": "A", "metadata": {"name": "x"}}, WANTED, "meshwright") == []
