"""Rate limits by a service: the real envoyproxy/ratelimit with a real Redis, as the page has them (#5)."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import examples
import pytest
from outside import DEADLINE, Example, Outside, ask_from, settled

from meshwright.check import Failed
from meshwright.checks import limits
from meshwright.environment import load
from meshwright.lab import recipes
from meshwright.project import Project

HOST = "metered.example.com"
SPACE = "ratelimit"
VALUES = examples.example("rate-limit-service") + "  manifests: [manifests/metered]\n"
MANIFEST = examples.ROOT / "docs" / "templates" / "ratelimit.yaml"


@pytest.fixture(scope="module")
def outside(lab):
    return Outside(lab)


@pytest.fixture(scope="module")
def metered(more_images):
    """The page's objects and its manifest, whose images are those of the lab, applied; what the apply said is in
    `said`."""
    made = Example(more_images, "metered")
    text = MANIFEST.read_text()
    for image, program in (("envoyproxy/ratelimit:3fb70258", "ratelimit"), ("redis:7", "redis")):
        [ours] = [one.name for one in recipes.all_images(more_images.target) if f"/{program}:" in one.name]
        assert f"image: {image}\n" in text
        text = text.replace(f"image: {image}\n", f"image: {ours}\n")
    (made.folder / "ratelimit.yaml").write_text(text)
    done = made.has(VALUES)
    made.said = done.out + done.err
    assert settled(lambda: ready(more_images), 2) == 2
    yield made
    made.clean()
    more_images.session.delete("v1", "Namespace", SPACE)


def ready(lab):
    """How many pods of the service are ready."""
    return (lab.session.get("apps/v1", "Deployment", SPACE, SPACE).get("status") or {}).get("readyReplicas", 0)


def until(outside, good):
    """The answers to thirty requests at once, once `good` holds for them; the last ones when it never does."""
    deadline = time.monotonic() + DEADLINE
    while True:
        with ThreadPoolExecutor(15) as pool:
            found = Counter(pool.map(lambda _: outside.get(HOST, "/productpage").status, range(30)))
        if good(found) or time.monotonic() > deadline:
            return found


def test_a_rate_limit_of_a_service_is_in_the_proxies(metered):
    assert "taken by 1 of 1 proxy" in metered.said
    assert "no proxy uses" not in metered.said
    env = load(Project(metered.lab.driver.root), metered.name).env
    assert limits._patched(metered.lab.target, env) == "in 1 proxy"


@pytest.mark.usefixtures("metered")
def test_a_rate_limit_of_a_service_answers_429_and_recovers(outside):
    assert set(until(outside, lambda found: set(found) == {200, 429})) == {200, 429}
    assert outside.until(lambda a: a.status == 200, HOST, "/productpage", row=1).status == 200


@pytest.mark.usefixtures("metered")
def test_a_rate_limit_of_a_service_gives_each_client_a_bucket_of_its_own(outside, lab):
    """Outside is one client; a pod is another, whose own address the gateway sees."""

    def inside():
        gateway = "http://istio-ingressgateway.istio-system/reviews/0"
        return ask_from(lab, "bookinfo", "productpage", gateway, HOST)

    refused = outside.until(lambda a: a.status == 429, HOST, "/reviews/0", row=1)
    assert (refused.status, refused.headers["x-envoy-ratelimited"]) == (429, "true")
    assert inside() == "200 bookinfo"
    assert settled(inside, "429", row=1) == "429"
    # The limit of the host is another one.
    assert outside.until(lambda a: a.status == 200, HOST, "/productpage", row=1).status == 200


def test_a_patch_of_a_rate_limit_that_fits_nothing_is_told(metered):
    metered.values.write_text(metered.base + VALUES.replace("route: reviews\n", "route: reviewers\n"))
    project = metered.lab.driver
    found = project.meshwright("validate", metered.name, "--json")
    assert (found.code, [one["rule"] for one in found.document["findings"] if one["level"] == "error"]) == (
        65,
        ["vhost-missing"],
    )
    done = metered.apply()
    assert done.code == 0, done.err
    why = "no route reviewers is in the 1 proxy that it selects"
    said = f"no proxy uses all of EnvoyFilter istio-system/metered: configPatches[3] fits nothing: {why}"
    assert said in done.out + done.err
    env = load(Project(project.root), metered.name).env
    with pytest.raises(Failed, match=r"metered\.example\.com:80 has no route reviewers in the configuration"):
        limits._patched(metered.lab.target, env)


def test_without_the_service_requests_pass(metered, outside, lab):
    assert metered
    lab.session.patch("apps/v1", "Deployment", SPACE, SPACE, body={"spec": {"replicas": 0}})
    assert settled(lambda: ready(lab), 0) == 0
    assert set(until(outside, lambda found: set(found) == {200})) == {200}
