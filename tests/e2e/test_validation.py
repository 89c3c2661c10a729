"""Validation with a real cluster and a real istioctl, and the CRDs of the Gateway API on the way there (#5)."""

from __future__ import annotations

import copy

import examples
import gomodules
import pytest
from outside import Example
from owning import ISTIO, lines

from meshwright import gateway_release
from meshwright.crds import VERSION

CRD = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
HTTP = "httproutes.gateway.networking.k8s.io"
RULE = """\
resources:
  destination_rules:
    bookinfo/reviews:
      host: reviews
      subsets:
        - {{name: v1, labels: {{version: v1}}}}
        - {{name: {second}, labels: {{version: v2}}}}
"""


@pytest.fixture(scope="module")
def example(lab):
    made = Example(lab, "validated")
    yield made
    made.clean()


def validate(example, *words):
    return example.lab.driver.meshwright("validate", "validated", "--json", *words)


def said(ran):
    return {(one["rule"], one["object"]): one for one in ran.document["findings"]}


def crds(session):
    return {
        obj["metadata"]["name"]: obj
        for obj in session.list(*CRD, metadata_only=True)
        if obj["metadata"]["name"].endswith(".gateway.networking.k8s.io")
    }


def release(session, name=HTTP):
    return crds(session)[name]["metadata"]["annotations"][VERSION]


def test_the_crds_of_the_gateway_api_come_first_and_are_never_taken_back(example, lab):
    session = lab.session
    for name in crds(session):
        session.delete(*CRD, name)
    example.values.write_text(example.base + examples.example("gateway-api"))
    first = example.plan()
    assert f"+ CustomResourceDefinition {HTTP}" in lines(first), first.out + first.err
    assert "known after gateway-api" in lines(first)
    example.of("gateway-api")
    names = {obj["metadata"]["name"] for file in gomodules.crds_of_gateway_api() for obj in gomodules.documents(file)}
    assert crds(session).keys() == names
    newest = release(session)
    target, env = lab.target, lab.env
    file = copy.deepcopy(gateway_release.fetched(target, env)[HTTP])
    # An older release, as an earlier run of ours would have left it.
    file["metadata"]["annotations"][VERSION] = "v1.4.0"
    session.apply(file)
    older = example.plan()
    assert f'metadata.annotations."{VERSION}": "v1.4.0" -> "{newest}"' in lines(older)
    example.applied()
    assert release(session) == newest
    file["metadata"]["annotations"][VERSION] = "v9.9.0"
    session.apply(file)
    newer = example.plan("--detailed-exitcode")
    assert newer.code == 0, newer.out
    assert f"v9.9.0, newer than {newest}: left alone" in newer.out
    assert example.apply().code == 0
    assert release(session) == "v9.9.0"
    file["metadata"]["annotations"][VERSION] = newest
    session.apply(file)


def test_istioctl_is_asked_about_what_would_be(example):
    wrong = examples.example("virtual-service").replace("{host: reviews, subset: v1}", "{host: reviews, subset: v9}", 1)
    example.values.write_text(example.base + wrong)
    found = validate(example, "--cluster")
    assert found.code == 65, found.out + found.err
    # Our own rule has the line; istioctl's IST0101 about the same is not said again.
    assert [rule for rule, _ in said(found)].count("subset-missing") == 1
    assert not [rule for rule, _ in said(found) if rule == "IST0101"]
    assert not [sentence for sentence in found.document["not_looked_at"] if "istioctl" in sentence]
    # A warning of istioctl's own about an object of a manifest, with the place where it stands.
    patch = {"operation": "INSERT_BEFORE", "value": {"name": "envoy.filters.http.never"}}
    filters = {
        "apiVersion": "networking.istio.io/v1alpha3",
        "kind": "EnvoyFilter",
        "metadata": {"name": "nobody", "namespace": "bookinfo"},
        "spec": {
            "workloadSelector": {"labels": {"app": "nobody"}},
            "configPatches": [{"applyTo": "HTTP_FILTER", "match": {"context": "SIDECAR_INBOUND"}, "patch": patch}],
        },
    }
    example.allow()
    example.write(filters)
    for words in ((), ("--cluster",)):
        ran = validate(example, *words)
        found = said(ran)["IST0151", "EnvoyFilter bookinfo/nobody"]
        assert (found["file"], found["line"]) == ("manifests/validated/a.yaml", 1)
        # Without a cluster nobody knows the pods.
        assert any("istioctl" in sentence for sentence in ran.document["not_looked_at"]) == (not words)


def test_without_a_cluster_schemas_say_what_its_api_server_would(example):
    host, to = "details.bookinfo.svc.cluster.local", {"destination": {"host": "details.bookinfo.svc.cluster.local"}}
    specs = [
        ("VirtualService", {"hosts": [host], "http": [{"route": [to], "timeot": "1s"}]}, "unknown-field"),
        ("VirtualService", {"hosts": [host], "http": [{"route": [to], "timeout": 1}]}, "schema"),
        ("VirtualService", {"hosts": [host], "http": [{"route": [{**to, "weight": "1"}]}]}, "schema"),
        ("DestinationRule", {"host": host, "trafficPolicy": {"loadBalancer": {"simple": "RANDM"}}}, "schema"),
        ("DestinationRule", {"host": host, "subsets": [{"labels": {"version": "v1"}}]}, "schema"),
        ("Gateway", {"servers": [{"port": {"number": -1, "name": "a", "protocol": "HTTP"}, "hosts": ["*"]}]}, "schema"),
    ]
    wrong = [
        {"apiVersion": ISTIO, "kind": kind, "metadata": {"name": f"wrong-{at}", "namespace": "bookinfo"}, "spec": spec}
        for at, (kind, spec, _) in enumerate(specs)
    ]
    example.allow()
    example.write(*wrong)
    alone, asked = (validate(example, *words) for words in ((), ("--cluster",)))
    assert (alone.code, asked.code) == (65, 65), alone.out + asked.out + asked.err
    for at, (kind, _, rule) in enumerate(specs):
        assert (rule, f"{kind} bookinfo/wrong-{at}") in said(alone)
        assert ("refused", f"{kind} bookinfo/wrong-{at}") in said(asked)
    # What the API server has said is not said again.
    assert not [one for one, _ in said(asked) if one in ("schema", "unknown-field")]


def test_who_still_names_what_goes_away(example, lab):
    example.has(RULE.format(second="v2"))
    to = {"destination": {"host": "reviews.bookinfo.svc.cluster.local", "subset": "v2"}}
    theirs = {
        "apiVersion": ISTIO,
        "kind": "VirtualService",
        "metadata": {"name": "theirs", "namespace": "bookinfo"},
        "spec": {"hosts": ["theirs.example.com"], "http": [{"route": [to]}]},
    }
    lab.session.create(theirs)
    try:
        assert validate(example, "--cluster").code == 0
        example.values.write_text(example.base + RULE.format(second="v3"))
        found = said(validate(example, "--cluster"))["still-named", "DestinationRule bookinfo/reviews"]
        assert "VirtualService bookinfo/theirs names subset v2" in found["message"]
        assert found["file"] == "group_data/validated.yaml"
        example.values.write_text(example.base + "resources:\n  allow_empty: true\n")
        gone = said(validate(example, "--cluster"))["still-named", "DestinationRule bookinfo/reviews"]
        assert "would be deleted" in gone["message"]
    finally:
        lab.session.delete(ISTIO, "VirtualService", "theirs", "bookinfo")
