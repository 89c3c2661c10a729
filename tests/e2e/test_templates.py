"""The worked example of each page of docs/templates on a real mesh: applied as it stands there, planned again, and seen
from the side of the requests (#5)."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import examples
import pytest
from cryptography import x509
from outside import DEADLINE, Example, Outside, ask_from, pod_like, settled

from meshwright import envoys
from meshwright.checks import limits
from meshwright.environment import load
from meshwright.project import Project

REVIEWS = "reviews.example.com"


@pytest.fixture(scope="module")
def outside(lab):
    return Outside(lab)


@pytest.fixture(scope="module")
def example(lab):
    made = Example(lab, "templates")
    yield made
    made.clean()


def version(answer):
    return json.loads(answer.text)["version"]


WITHOUT_CRDS = [page for page in examples.pages() if page != "gateway-api"]


@pytest.mark.parametrize("page", WITHOUT_CRDS)
def test_each_example_is_applied_as_it_stands_and_the_second_plan_is_empty(example, page):
    example.of(page)


def test_tls_ends_at_the_gateway_with_the_credentials_certificate(example, outside):
    example.of("gateway")
    page = outside.until(lambda a: a.status == 200, "shop.example.com", "/productpage", scheme="https")
    assert page.status == 200
    served = x509.load_pem_x509_certificate(page.certificate.encode())
    names = served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["shop.example.com"]
    plain = outside.get("shop.example.com", "/productpage?a=b")
    assert plain.status == 301
    assert plain.headers["location"] == "https://shop.example.com/productpage?a=b"


def test_routes_by_header_path_redirect_rewrite_and_headers(example, outside):
    example.of("virtual-service")
    assert outside.until(lambda a: a.status == 200, REVIEWS, "/reviews/0").status == 200
    tester = [outside.get(REVIEWS, "/reviews/0", end_user="tester") for _ in range(20)]
    assert {version(answer) for answer in tester} == {"v3"}
    assert version(outside.get(REVIEWS, "/old/0")) == "v1"
    moved = outside.get(REVIEWS, "/moved")
    assert (moved.status, moved.headers["location"]) == (302, f"http://{REVIEWS}/reviews/0")
    assert outside.get(REVIEWS, "/reviews/0").headers["x-served-by"] == "reviews"
    asked = outside.get(REVIEWS, "/reviews/0", origin="https://shop.example.com")
    assert asked.headers["access-control-allow-origin"] == "https://shop.example.com"
    before = {"origin": "https://shop.example.com", "access_control_request_method": "GET"}
    preflight = outside.get(REVIEWS, "/reviews/0", method="OPTIONS", **before)
    assert preflight.status == 200
    assert "GET" in preflight.headers["access-control-allow-methods"]
    stranger = outside.get(REVIEWS, "/reviews/0", origin="https://other.example.com")
    assert "access-control-allow-origin" not in stranger.headers


def test_faults_delay_and_abort(example, outside):
    example.of("virtual-service")
    assert outside.until(lambda a: a.status == 503, REVIEWS, "/broken/0").status == 503
    assert outside.get(REVIEWS, "/broken/0").text == "fault filter abort"
    # The clock of the proxy is another one than ours, and any answer of a busy machine may be late, but not all.
    slow = [outside.get(REVIEWS, "/slow/0") for _ in range(3)]
    assert all(answer.seconds > 0.9 and answer.status == 200 for answer in slow)
    assert min(outside.get(REVIEWS, "/reviews/0").seconds for _ in range(10)) < 0.9


def test_weights_of_a_thousand_requests(example, outside):
    example.of("virtual-service")
    assert outside.until(lambda a: a.status == 200, REVIEWS, "/reviews/0").status == 200
    seen = Counter(version(outside.get(REVIEWS, "/reviews/0")) for _ in range(1000))
    assert set(seen) == {"v1", "v2"}
    # 200 of 1000 are wanted; their standard deviation is 12.6, and five of these either way are 137 to 263.
    assert 137 <= seen["v2"] <= 263, seen


def test_a_consistent_hash_keeps_each_user_with_one_pod(example, outside):
    example.of("destination-rule")
    host = "sticky.example.com"
    assert outside.until(lambda a: a.status == 200, host, "/reviews/0", x_user="u").status == 200
    pods = {
        user: {json.loads(outside.get(host, "/reviews/0", x_user=user).text)["podname"] for _ in range(10)}
        for user in map(str, range(12))
    }
    assert all(len(found) == 1 for found in pods.values()), pods
    assert len(set.union(*pods.values())) > 1


def test_a_policy_denies_and_what_it_does_not_name_goes_on(example, outside):
    example.of("authorization-policy")
    host = "bookinfo.example.com"
    denied = outside.until(lambda a: a.status == 403, host, "/login")
    assert (denied.status, denied.text) == (403, "RBAC: access denied")
    page = outside.get(host, "/productpage")
    assert page.status == 200
    assert "error" not in page.text


def test_a_local_rate_limit_answers_429_and_recovers(example, outside):
    example.of("rate-limit")
    host = "limited.example.com"
    deadline, burst = time.monotonic() + DEADLINE, []
    while 429 not in burst and time.monotonic() < deadline:
        with ThreadPoolExecutor(10) as pool:
            burst = list(pool.map(lambda _: outside.get(host, "/productpage").status, range(10)))
    assert set(burst) == {200, 429}
    assert outside.until(lambda a: a.status == 200, host, "/productpage", row=1).status == 200
    project = Project(example.lab.driver.root)
    assert limits._patched(example.lab.target, load(project, "templates").env) == "in 1 proxy"
    # The bucket is that host's alone.
    assert outside.get("bookinfo.example.com", "/productpage").status == 200


def test_the_gateway_api_after_its_crds(example, outside):
    # They come by themselves; tests/e2e/test_validation.py has what is done with older and newer ones.
    example.has(examples.example("gateway-api"))
    host = "reviews.api.example.com"
    assert outside.until(lambda a: a.status == 200, host, "/reviews/0").status == 200
    assert version(outside.get(host, "/old/0")) in ("v1", "v2", "v3")
    assert outside.get("other.api.example.com", "/reviews/0").status == 404


def test_strict_refuses_plain_text(example, lab, scratch):
    pod_like(lab, scratch, "plain")
    url = "http://details.bookinfo:9080/details/0"
    example.of("sidecar")
    assert settled(lambda: ask_from(lab, scratch, "plain", url), "200 bookinfo") == "200 bookinfo"
    example.of("peer-authentication")
    assert settled(lambda: ask_from(lab, scratch, "plain", url), "no connection") == "no connection"
    assert ask_from(lab, "bookinfo", "productpage", url) == "200 bookinfo"


def test_egress_goes_through_its_gateway(example, lab, scratch):
    """The host outside is a pod that the mesh does not know; the egress gateway's own count says who has sent it."""
    address = pod_like(lab, scratch, "outside")
    example.has(
        "resources:\n  egress:\n    bookinfo/outside:\n      host: books.outside.test\n      port: 9080\n"
        f"      protocol: HTTP\n      resolution: STATIC\n      endpoints: [{{address: {address}}}]\n"
    )
    sent = f"outbound|9080||books.outside.test::{address}:9080::rq_success::"
    [gateway] = [one for one in envoys.proxies(lab.session) if one.labels.get("istio") == "egressgateway"]

    def ask():
        # The name is in no DNS. For HTTP the sidecar goes by the Host header, whatever the address is.
        return ask_from(lab, "bookinfo", "productpage", "http://192.0.2.1:9080/details/0", "books.outside.test")

    assert settled(ask, "200 bookinfo") == "200 bookinfo"
    seen = envoys.ask(lab.session, gateway, "/clusters").decode()
    assert re.search(re.escape(sent) + "[1-9]", seen), seen


def test_validate_with_the_cluster_finds_what_is_wrong_before_it_is_sent(example):
    validate = ["validate", "templates", "--cluster", "--json"]
    for page in WITHOUT_CRDS:
        example.values.write_text(example.base + examples.example(page))
        found = example.lab.driver.meshwright(*validate)
        errors = [one for one in found.document["findings"] if one["level"] == "error"]
        # Nothing of the page is in the cluster yet, so what it brings itself must be enough.
        assert (found.code, errors) == (0, []), found.out
        assert found.document["summary"]["checked"] > 0
    wrong = examples.example("virtual-service").replace("{host: reviews, subset: v1}", "{host: reviws, subset: v9}", 1)
    example.values.write_text(example.base + wrong.replace("timeout: 3s", "timeout: 0.01ms"))
    found = example.lab.driver.meshwright(*validate)
    assert found.code == 65
    said = {one["rule"]: one for one in found.document["findings"]}
    assert said["host-missing"]["hint"] == "The nearest is reviews"
    assert {"subset-missing", "refused"} <= said.keys()
    assert "timeout" in said["refused"]["message"]
    lines_ = example.values.read_text().splitlines()
    assert "reviws" in lines_[said["host-missing"]["line"] - 1]


def test_taken_away_nothing_is_left_of_it(example, outside):
    example.of("gateway")
    assert outside.until(lambda a: a.status == 301, "shop.example.com").status == 301
    example.of("peer-authentication")
    assert outside.until(lambda a: a.status == 404, "shop.example.com").status == 404
    assert example.members("Secret") == []
