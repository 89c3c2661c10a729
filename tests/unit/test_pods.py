"""Which pods have a sidecar, and which should (the rules of istiod's injection webhook); pods by the names that people
use."""

from __future__ import annotations

from typing import Any

import pytest

from meshwright import pods
from meshwright.errors import BadInput

Object = dict[str, Any]


def pod(
    *,
    namespace: str = "shop",
    labels: Object | None = None,
    annotations: Object | None = None,
    containers: list[Object] | None = None,
    inits: list[Object] | None = None,
    **spec: Any,
) -> Object:
    metadata = {"name": "web", "namespace": namespace, "labels": labels or {}, "annotations": annotations or {}}
    held = {"containers": containers or [{"name": "web"}], "initContainers": inits or []}
    return {"metadata": metadata, "spec": held | spec, "status": {}}


def namespace(**labels: str) -> Object:
    return {"metadata": {"name": "shop", "labels": {k.replace("_", "-"): v for k, v in labels.items()}}}


ENABLED = namespace(istio_injection="enabled")
DISABLED = namespace(istio_injection="disabled")
REVISION = {"metadata": {"name": "shop", "labels": {"istio.io/rev": "canary"}}}
BOTH = {"metadata": {"name": "shop", "labels": {"istio.io/rev": "canary", "istio-injection": "disabled"}}}
NONE: Object = {"metadata": {"name": "shop"}}
ASKED, REFUSED = {"sidecar.istio.io/inject": "true"}, {"sidecar.istio.io/inject": "false"}


@pytest.mark.parametrize(
    ("made", "around", "wants"),
    [
        (pod(), ENABLED, True),
        (pod(), DISABLED, False),
        (pod(), REVISION, True),
        (pod(), BOTH, False),
        (pod(), NONE, False),
        (pod(labels=ASKED), NONE, True),
        (pod(labels={"istio.io/rev": "canary"}), NONE, True),
        (pod(annotations=ASKED), NONE, False),
        (pod(labels=ASKED), DISABLED, False),
        (pod(labels=REFUSED), ENABLED, False),
        (pod(annotations=REFUSED), ENABLED, False),
        (pod(labels=ASKED, annotations=REFUSED), ENABLED, True),
        (pod(labels=REFUSED, annotations=ASKED), ENABLED, False),
        (pod(hostNetwork=True), ENABLED, False),
        (pod(namespace="kube-system"), ENABLED, False),
    ],
)
def test_who_wants_a_sidecar(made: Object, around: Object, wants: bool) -> None:
    assert pods.wants_sidecar(made, around) is wants


def test_a_classic_sidecar_is_a_container() -> None:
    made = pod(containers=[{"name": "web"}, {"name": "istio-proxy", "image": "p"}])
    assert pods.proxy(made) == {"name": "istio-proxy", "image": "p"}


def test_a_native_sidecar_is_an_init_container_that_keeps_running() -> None:
    native = {"name": "istio-proxy", "restartPolicy": "Always"}
    assert pods.proxy(pod(inits=[{"name": "istio-init"}, native])) == native


def test_an_init_container_that_ends_is_no_sidecar() -> None:
    assert pods.proxy(pod(inits=[{"name": "istio-proxy"}])) is None
    assert pods.proxy(pod(inits=[{"name": "other", "restartPolicy": "Always"}])) is None


@pytest.mark.parametrize("where", ["containerStatuses", "initContainerStatuses"])
@pytest.mark.parametrize("ready", [True, False])
def test_whether_the_proxy_is_ready(where: str, ready: bool) -> None:
    made = pod()
    made["status"] = {where: [{"name": "web", "ready": True}, {"name": "istio-proxy", "ready": ready}]}
    assert pods.proxy_ready(made) is ready


def test_a_pod_without_statuses_is_not_ready() -> None:
    assert not pods.proxy_ready(pod())
    assert not pods.ready(pod())


def test_a_ready_pod_that_is_being_deleted_is_not_ready_and_finished() -> None:
    made = pod()
    made["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    assert pods.ready(made)
    assert not pods.finished(made)
    made["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert not pods.ready(made)
    assert pods.finished(made)


@pytest.mark.parametrize(
    ("phase", "over"), [("Succeeded", True), ("Failed", True), ("Running", False), ("Pending", False)]
)
def test_finished_pods(phase: str, over: bool) -> None:
    made = pod()
    made["status"] = {"phase": phase}
    assert pods.finished(made) is over


def owned(space: str, name: str, *, app: str = "", owner: tuple[str, str] | None = None, **labels: str) -> Object:
    found = pod(namespace=space, labels=labels | ({"app": app} if app else {}), containers=[{"name": "istio-proxy"}])
    found["metadata"]["name"] = name
    if owner:
        found["metadata"]["ownerReferences"] = [{"controller": True, "kind": owner[0], "name": owner[1]}]
    return found


REVIEWS = owned(
    "bookinfo",
    "reviews-v1-5c4d-x2",
    app="reviews",
    owner=("ReplicaSet", "reviews-v1-5c4d"),
    **{"pod-template-hash": "5c4d"},
)
DB = owned("bookinfo", "db-0", app="db", owner=("StatefulSet", "db"))
OTHER = owned("shop", "reviews-0", app="reviews")
ALL = [REVIEWS, DB, OTHER, pod()]


@pytest.mark.parametrize(
    ("wanted", "space", "found"),
    [
        ("", "", [REVIEWS, DB, OTHER]),
        ("", "shop", [OTHER]),
        ("reviews", "", [REVIEWS, OTHER]),
        ("bookinfo/reviews", "", [REVIEWS]),
        ("reviews-v1", "", [REVIEWS]),
        ("reviews-v1-5c4d-x2", "", [REVIEWS]),
        ("db", "bookinfo", [DB]),
        ("bookinfo/", "", [REVIEWS, DB]),
    ],
)
def test_pods_by_the_names_that_people_use(wanted: str, space: str, found: list[Object]) -> None:
    assert pods.of_workload(ALL, wanted, space) == found


def test_a_name_that_nobody_has_gets_the_nearest() -> None:
    with pytest.raises(BadInput, match="'reviwes-v1'") as raised:
        pods.of_workload(ALL, "reviwes-v1")
    assert (raised.value.hint or "").startswith("Did you mean reviews-v1? ")
    assert "bookinfo/db" in (raised.value.hint or "")
    with pytest.raises(BadInput, match="namespace nowhere"):
        pods.of_workload(ALL, "", "nowhere")
