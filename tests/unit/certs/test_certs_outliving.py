"""What pods lack so that a rolling update goes unnoticed, and that plans with restarts say so."""

from __future__ import annotations

from typing import Any

import mesh as objects
import pytest

from meshwright.certs import outliving
from meshwright.certs.workloads import Workload

PROBE, HOOK = {"readinessProbe": {}}, {"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}}
NO_PROBE, NO_HOOK, SHORT = outliving._NO_PROBE, outliving._NO_HOOK, outliving._SHORT


def workload(name: str = "ratings-v1", *, gateway: bool = False, **more: Any) -> Workload:
    template = {"spec": {"containers": [{"name": "app", **more}]}}
    return Workload(gateway, "Deployment", "bookinfo", name, template=template, pods=(f"{name}-1",))


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (workload(), [NO_PROBE, NO_HOOK]),
        (workload(**PROBE), [NO_HOOK]),
        (workload(**HOOK), [NO_PROBE]),
        (workload(**PROBE, **HOOK), []),
        (workload(gateway=True), []),
        (Workload(False, "Deployment", "bookinfo", "none"), []),
    ],
)
def test_what_the_application_lacks(found: Workload, wanted: list[str]) -> None:
    assert outliving.lacking(found, None) == wanted


def beside(**proxy: Any) -> Any:
    pod = objects.pod("ratings-v1-1", sidecar=False)
    pod["spec"]["containers"].append({"name": "istio-proxy", **proxy})
    return pod


def env(name: str, value: str) -> Any:
    return {"env": [{"name": name, "value": value}]}


@pytest.mark.parametrize(
    ("pod", "short"),
    [
        (beside(), True),
        (beside(**env("EXIT_ON_ZERO_ACTIVE_CONNECTIONS", "true")), False),
        (beside(**env("PROXY_CONFIG", '{"terminationDrainDuration":"30s"}')), False),
        (beside(**env("PROXY_CONFIG", "{}")), True),
        (objects.pod("ratings-v1-1"), False),
    ],
)
def test_how_long_the_proxy_goes_on(pod: Any, short: bool) -> None:
    assert outliving.lacking(workload(**PROBE, **HOOK), pod) == [SHORT] * short


def test_its_own_annotation_counts() -> None:
    pod = beside()
    pod["metadata"]["annotations"] = {"proxy.istio.io/config": "terminationDrainDuration: 30s"}
    assert outliving.lacking(workload(**PROBE, **HOOK), pod) == []


def test_those_that_lack_the_same_are_named_together(world: Any) -> None:
    from meshwright.certs import mesh

    found = [workload("details-v1"), workload("ratings-v1", **PROBE)]
    told = list(outliving.sentences(found, mesh.look(world.session, world.env)))
    assert [each.partition(": ")[0] for each in told] == [
        "Deployment bookinfo/details-v1",
        "Deployment bookinfo/details-v1, Deployment bookinfo/ratings-v1",
    ]
    assert all("any rolling update of them may lose requests" in each for each in told)
