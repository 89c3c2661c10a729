"""What an apply would make of an object, worked out without the API server: as in an API server's own answers."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import FakeSession

from meshwright import objects
from meshwright.errors import Forbidden
from meshwright.objects.predicted import predicted

Object = dict[str, Any]

OURS = {
    "f:metadata": {"f:labels": {"f:app": {}, "f:old": {}}},
    "f:spec": {
        "f:replicas": {},
        "f:template": {
            "f:spec": {
                "f:containers": {
                    'k:{"name":"web"}': {
                        ".": {},
                        "f:name": {},
                        "f:image": {},
                        "f:ports": {'k:{"containerPort":80,"protocol":"TCP"}': {".": {}, "f:containerPort": {}}},
                        "f:resources": {"f:requests": {"f:cpu": {}}},
                    },
                    'k:{"name":"gone"}': {".": {}, "f:name": {}, "f:image": {}},
                }
            }
        },
    },
}
THEIRS = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"side"}': {".": {}, "f:name": {}}}}}}}


def live() -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "web",
            "namespace": "shop",
            "uid": "u",
            "resourceVersion": "1",
            "labels": {"app": "web", "old": "x", "theirs": "y"},
            "managedFields": [
                {"manager": "meshwright", "operation": "Apply", "fieldsV1": OURS},
                {"manager": "injector", "operation": "Update", "fieldsV1": THEIRS},
            ],
        },
        "spec": {
            "replicas": 2,
            "strategy": {"type": "RollingUpdate"},
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": "web",
                            "image": "web:1",
                            "imagePullPolicy": "Always",
                            "ports": [{"containerPort": 80, "protocol": "TCP"}],
                            "resources": {"requests": {"cpu": "500m"}},
                        },
                        {"name": "side", "image": "side:1"},
                        {"name": "gone", "image": "gone:1"},
                    ]
                }
            },
        },
    }


def wanted(**container: Any) -> Object:
    web = {"name": "web", "image": "web:1", "ports": [{"containerPort": 80}], "resources": {"requests": {"cpu": 0.5}}}
    gone = {"name": "gone", "image": "gone:1"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web", "old": "x"}},
        "spec": {"replicas": 2, "template": {"spec": {"containers": [web | container, gone]}}},
    }


def test_what_is_as_wanted_stays_as_it_is() -> None:
    assert predicted(live(), wanted(), "meshwright") == live()


def test_a_changed_field_and_nothing_beside_it() -> None:
    after = predicted(live(), wanted(image="web:2"), "meshwright")
    expected = live()
    expected["spec"]["template"]["spec"]["containers"][0]["image"] = "web:2"
    assert after == expected


def test_what_we_own_alone_and_no_longer_want_goes_and_what_others_have_stays() -> None:
    want = wanted()
    del want["metadata"]["labels"]["old"]
    want["spec"]["template"]["spec"]["containers"].pop()
    del want["spec"]["replicas"]
    after = predicted(live(), want, "meshwright")
    assert after["metadata"]["labels"] == {"app": "web", "theirs": "y"}
    assert [each["name"] for each in after["spec"]["template"]["spec"]["containers"]] == ["web", "side"]
    assert "replicas" not in after["spec"]
    assert after["spec"]["strategy"] == {"type": "RollingUpdate"}


def test_a_new_item_of_a_keyed_list_is_added() -> None:
    after = predicted(live(), wanted(ports=[{"containerPort": 80}, {"containerPort": 81}]), "meshwright")
    assert [each["containerPort"] for each in after["spec"]["template"]["spec"]["containers"][0]["ports"]] == [80, 81]


@pytest.mark.parametrize(("cpu", "same"), [("0.5", True), ("500m", True), (0.5, True), ("501m", False), ("1", False)])
def test_a_quantity_is_what_it_amounts_to(cpu: Any, same: bool) -> None:
    after = predicted(live(), wanted(resources={"requests": {"cpu": cpu}}), "meshwright")
    assert (after == live()) is same


def test_a_comparison_that_the_api_server_does_not_make_is_made_and_called_not_verified() -> None:
    session = FakeSession(live())
    session.failing["try Deployment web"] = Forbidden("context x may not apply Deployment shop/web")
    found = objects.compare(session, [wanted(image="web:2")])
    [change] = found.changes
    assert [field.path for field in change.fields] == ["spec.template.spec.containers[web].image"]
    assert any(note.startswith("not verified: Deployment/shop/web (1 in all) compared without") for note in found.notes)
