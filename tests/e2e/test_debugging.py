"""Logs, access logs and what Envoys count, of real proxies and real requests."""

from __future__ import annotations

import json
import sys
import threading
import time
import urllib.error
import urllib.request

import pytest
from conftest import Lab

from meshwright import pods


def until(look, deadline=90.0):
    """What `look` gives as soon as it gives something."""
    ends = time.monotonic() + deadline
    while not (found := look()):
        assert time.monotonic() < ends, "it did not come about"
        time.sleep(0.5)
    return found


@pytest.fixture(scope="module")
def gateway(lab: Lab) -> str:
    said = lab.driver.meshwright("ingress", "lab").out.splitlines()
    exports = dict(line.removeprefix("export ").split("=", 1) for line in said)
    return f"http://{exports['GATEWAY_URL']}"


def get(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def renewed(lab: Lab, app: str) -> None:
    """Another pod in place of the one of `app`, so that all connections of it are new."""

    def listed() -> list[dict]:
        return lab.session.list("v1", "Pod", "bookinfo", labels=f"app={app}")

    [old] = listed()
    lab.session.delete("v1", "Pod", old["metadata"]["name"], "bookinfo")
    until(lambda: [pod for pod in listed() if pods.ready(pod) and pod["metadata"]["uid"] != old["metadata"]["uid"]])


@pytest.fixture(scope="module")
def logging(lab: Lab, gateway: str):
    """Access logs of the whole mesh are on; afterwards all is as it was."""
    ran = lab.driver.meshwright("accesslog", "lab", "on", "--yes", "--json")
    assert ran.code == 0, ran.err
    assert ran.document["summary"]["add"] == 1
    # Connections that are open keep what they had until Envoy has drained them.
    renewed(lab, "productpage")
    until(lambda: get(f"{gateway}/productpage") == 200)
    yield lab
    assert lab.driver.meshwright("accesslog", "lab", "reset", "--yes").code == 0
    left = lab.session.list("telemetry.istio.io/v1", "Telemetry", labels="meshwright/accesslog")
    assert left == []


def requests(lab: Lab, *options: str) -> list[dict]:
    ran = lab.driver.meshwright("logs", "lab", "--no-follow", "--json", *options)
    assert ran.code == 0, ran.err
    return [line["access"] | {"pod": line["pod"]} for line in ran.document["lines"] if line["access"]]


def test_switching_again_changes_nothing(logging):
    ran = logging.driver.meshwright("accesslog", "lab", "on", "--yes", "--json")
    assert ran.code == 0
    assert ran.document["summary"]["add"] == ran.document["summary"]["change"] == 0


def test_the_hops_of_a_request_stand_in_their_order(logging, gateway):
    mark = f"/productpage?{time.monotonic_ns()}"
    assert get(gateway + mark) == 200

    def hops() -> list[str]:
        found = [one["pod"] for one in requests(logging, "--since", "5m") if one["path"] == mark]
        return found if len(found) >= 2 else []

    assert [pod.rpartition("/")[2].rsplit("-", 2)[0] for pod in until(hops)] == [
        "istio-ingressgateway",
        "productpage-v1",
    ]


def test_what_failed_is_said_in_words(logging, gateway):
    assert get(f"{gateway}/nowhere-to-go") == 404
    found = until(lambda: [one for one in requests(logging, "--since", "5m", "--errors") if "nowhere" in one["path"]])
    assert found[-1]["flags"] == ["NR"]
    assert found[-1]["flags_in_words"] == "no route is configured for it"
    shown = logging.driver.meshwright("logs", "lab", "istio-system/istio-ingressgateway", "--no-follow", "--errors")
    assert "GET /nowhere-to-go  404" in shown.out
    assert "NR: no route is configured for it" in shown.out
    assert "GET /productpage  200" not in shown.out


def test_a_workload_that_nobody_has(lab):
    ran = lab.driver.meshwright("logs", "lab", "bookinfo/reviws-v1", "--no-follow")
    assert ran.code == 65
    assert "Did you mean bookinfo/reviews-v1?" in ran.err


def test_new_lines_and_a_pod_that_goes_away_while_it_is_followed(logging, gateway):
    arguments = ("logs", "lab", "-n", "bookinfo", "--since", "1m", "--json")
    command = logging.driver.start(sys.executable, "-m", "meshwright", *arguments)
    printed: list[str] = []
    reader = threading.Thread(target=lambda: printed.extend(command.stdout), daemon=True)
    reader.start()

    def said(words: str) -> str:
        return until(lambda: next((line for line in list(printed) if words in line), ""))

    first, second = (f"/productpage?{name}-{time.monotonic_ns()}" for name in ("first", "second"))
    try:
        assert get(gateway + first) == 200
        said(first)
        [pod] = logging.session.list("v1", "Pod", "bookinfo", labels="app=productpage")
        logging.session.delete("v1", "Pod", pod["metadata"]["name"], "bookinfo")
        said("is new")
        until(lambda: get(gateway + second) == 200)
        found = json.loads(said(second))
        assert found["access"]["code"] in (200, 503)
        assert found["pod"] != f"bookinfo/{pod['metadata']['name']}" or found["access"]["code"] == 503
    finally:
        command.terminate()
        command.wait(20)
    assert sum(first in line and "inbound" in line for line in printed) == 1


def test_a_workload_alone_is_switched_off(logging, gateway):
    ran = logging.driver.meshwright("accesslog", "lab", "off", "--workload", "bookinfo/details-v1", "--yes")
    assert ran.code == 0, ran.err
    assert "taken by 1 of 1 proxy" in ran.err

    def hops() -> set[str]:
        """The pods that have logged one more request. They do it at its end, within seconds of each other."""
        mark = f"/productpage?{time.monotonic_ns()}"
        assert get(gateway + mark) == 200
        until(lambda: [one for one in requests(logging, "--since", "5m") if one["path"] == mark])
        time.sleep(2)
        whole = requests(logging, "--since", "5m")
        [id_] = {one["request_id"] for one in whole if one["path"] == mark}
        return {one["pod"].partition("-")[0] for one in whole if one["request_id"] == id_}

    renewed(logging, "details")
    found = until(lambda: seen if "bookinfo/details" not in (seen := hops()) else None, 180)
    assert {"bookinfo/productpage", "bookinfo/reviews"} <= found


def test_what_an_envoy_counts(lab, gateway):
    for _ in range(5):
        assert get(f"{gateway}/productpage") == 200
    ran = lab.driver.meshwright("traffic", "lab", "istio-system/istio-ingressgateway", "--json")
    assert ran.code == 0, ran.err
    [proxy] = ran.document["proxies"]
    [upstream] = [one for one in proxy["upstreams"] if one["upstream"] == "productpage.bookinfo:9080"]
    assert upstream["requests"] >= 1
    assert upstream["hosts"][0]["pod"].startswith("bookinfo/productpage-v1-")
    # The lab's proxies keep one counter of each upstream, and it is not one of retries.
    assert upstream["counters"] is None
    assert "not counted" in ran.err
