"""The real Jaeger in the lab: spans of real Envoys, found by workload; all links of the chain are looked at (#8)."""

from __future__ import annotations

import re

import pytest
from exposing import Values, sample

JAEGER = """\
  jaeger:
    images:
      docker.io/jaegertracing/jaeger: meshwright.lab/jaeger:1.76.0
"""
MESH = """\
    enableTracing: true
    extensionProviders:
      - name: jaeger
        opentelemetry: {service: jaeger-collector.istio-system.svc.cluster.local, port: 4317}
    defaultProviders:
      tracing: [jaeger]
"""


def apply(lab, *deploy):
    ran = lab.driver.meshwright("apply", "lab", *deploy, "--yes", timeout=3600)
    assert ran.code == 0, ran.err + ran.out
    return ran


@pytest.fixture(scope="module")
def jaeger(lab):
    """The lab with Jaeger's image in its nodes and Jaeger among its addons: what a plan of these says first."""
    apply(lab, "lab_tracing")
    values = Values(lab.driver)
    values.addons("".join([*sample(lab.driver).values(), JAEGER]))
    before = lab.driver.meshwright("plan", "lab", "addons")
    values.file.write_text(values.file.read_text().replace("  meshConfig:\n", f"  meshConfig:\n{MESH}", 1))
    try:
        apply(lab, "istio")
        apply(lab, "addons")
        yield before
        values.addons("  prometheus: {enabled: false}\n")
        apply(lab, "addons")
    finally:
        values.back()
        apply(lab, "istio")


def test_a_plan_says_that_nothing_sends_spans_yet(jaeger):
    assert jaeger.code == 0, jaeger.err
    assert "finding: Jaeger is on, but no proxy sends it spans" in jaeger.out


def test_the_sample_runs_as_it_is_and_nothing_is_left_to_do(lab, jaeger):
    plan = lab.driver.meshwright("plan", "lab", "addons", "--detailed-exitcode")
    assert plan.code == 0, plan.out + plan.err
    assert "spans" not in plan.out
    answers = lab.driver.meshwright("check", "lab", "--group", "addons", "--json").document
    [found] = [each for each in answers["checks"] if each["check"] == "addon-jaeger"]
    assert found["state"] == "ok"
    assert "stand-in" not in found["detail"]


def test_a_request_is_found_in_all_that_it_leaves(lab, jaeger):
    ran = lab.driver.meshwright("check", "lab", "--group", "telemetry", "--json", timeout=900)
    answers = {each["check"]: each for each in ran.document["checks"]}
    assert ran.code == 0, ran.out
    assert {each["state"] for each in answers.values()} == {"ok"}
    assert "telemetry-unwatched" not in answers, "nothing is left that is not verified"
    told = answers["telemetry-trace"]["detail"]
    spans, by = re.fullmatch(r"(\d+) spans, found by workload: (.+)", told).groups()
    assert int(spans) >= 4
    assert {"istio-ingressgateway.istio-system", "productpage.bookinfo"} <= set(by.split(", "))
