"""Addons on a real mesh: brought up, asked, proven by a request, on ports of this machine, on domains with each kind of
authentication, one whose image cannot be pulled, and gone again (#8)."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import time

import browser
import pki
import pytest
from exposing import DEADLINE, ISSUER, Issuer, Values, addresses, dashboard, page, sample, until
from outside import Example, Outside

from meshwright import ingress
from meshwright.addons import calling, exposure, knocking
from meshwright.environment import load
from meshwright.errors import MeshwrightError, Unreachable
from meshwright.project import Project

SECRET = "addons-e2e"
DOMAIN = "addons.example.com"
USER, PASSWORD = "operator", "long and random"
WIDE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "wide", "namespace": "istio-system"},
    "spec": {
        "selector": {"istio": "ingressgateway"},
        "servers": [
            {
                "hosts": [f"*.{DOMAIN}"],
                "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                "tls": {"mode": "SIMPLE", "credentialName": SECRET},
            }
        ],
    },
}


def apply(lab, deploy="addons", code=0):
    ran = lab.driver.meshwright("apply", "lab", deploy, "--yes", timeout=1800)
    assert ran.code == code, ran.err + ran.out
    return ran


@pytest.fixture(scope="module")
def addons(lab):
    """The lab with its addons."""
    values = Values(lab.driver)
    yield apply(lab)
    values.back()
    lab.session.delete("v1", "Secret", SECRET, "istio-system")


def test_the_addons_of_the_lab_come_up_and_the_second_plan_is_empty(lab, addons):
    assert "3 checks hold" in addons.out + addons.err
    plan = lab.driver.meshwright("plan", "lab", "addons", "--detailed-exitcode")
    assert plan.code == 0, plan.out + plan.err
    answers = lab.driver.meshwright("check", "lab", "--group", "addons", "--json").document
    details = {each["check"]: each["detail"] for each in answers["checks"]}
    assert answers["ok"]
    assert "are up" in details["addon-prometheus"]
    assert "stand-in" not in details["addon-prometheus"]
    assert details["addon-grafana"] == "7 dashboards (a stand-in)"
    assert "(a stand-in)" in details["addon-kiali"]


def test_one_request_is_followed_to_its_metric_and_its_edge(lab, addons):
    ran = lab.driver.meshwright("check", "lab", "--group", "telemetry", "--json", timeout=900)
    answers = {each["check"]: each for each in ran.document["checks"]}
    assert ran.code == 0, ran.out
    assert "envoy_cluster_upstream_rq_total rose from" in answers["telemetry-metric"]["detail"]
    assert "only a stand-in for Grafana" in answers["telemetry-panel"]["detail"]
    called = answers["telemetry-graph"]["detail"]
    assert "bookinfo/productpage is called by" in called
    assert "istio-system/istio-ingressgateway" in called
    assert "only a stand-in for Kiali" in called
    assert answers["telemetry-unwatched"]["state"] == "not verified"
    assert "a trace, because Jaeger is off" in answers["telemetry-unwatched"]["detail"]


RULE = """\
resources:
  destination_rules:
    bookinfo/reviews:
      host: reviews
      subsets:
        - {name: v1, labels: {version: v1}}
"""
SECOND = "        - {name: v2, labels: {version: v2}}\n"


def test_a_plan_that_takes_a_subset_away_names_who_calls(lab, addons):
    example, reviews = Example(lab, "called"), "bookinfo/reviews"

    def called():
        Outside(lab).get("bookinfo.example.com", "/productpage")
        try:
            return calling.callers(lab.session, lab.env, [reviews])[reviews]
        except MeshwrightError:
            return []  # Kiali waits for Prometheus, on a busy machine for too long

    example.values.write_text(example.base + RULE + SECOND)
    try:
        assert example.apply().code == 0
        # The graph is made of what Prometheus collects every quarter of a minute.
        assert until(called) == ["bookinfo/productpage-v1"]
        example.values.write_text(example.base + RULE + "addons: {kiali: {}}\n")
        assert (
            f"{reviews}, of which something goes away, was called in the last five minutes by bookinfo/productpage-v1 "
            "(by a stand-in for Kiali)"
        ) in example.plan().out
    finally:
        example.clean()


def test_dashboards_answer_on_ports_of_this_machine_and_find_pods_that_moved(lab, addons):
    with dashboard(lab, "grafana", "prometheus") as printed:
        found = addresses(printed)
        assert set(found) == {"grafana", "prometheus"}
        assert all(url.startswith("http://127.0.0.1:") for url in found.values())
        assert "Grafana (a stand-in)" in page(found["grafana"])
        assert '"success"' in page(f"{found['prometheus']}api/v1/query?query=up")
        [pod] = lab.session.list("v1", "Pod", "istio-system", labels="app.kubernetes.io/name=grafana")
        lab.session.delete("v1", "Pod", pod["metadata"]["name"], "istio-system")
        port = re.search(r":(\d+)/", found["grafana"])[1]
        taken = lab.driver.meshwright("dashboard", "lab", "kiali", "--port", port)
        assert taken.code == 65
        assert f"port {port} of 127.0.0.1 is in use" in taken.err
        with dashboard(lab, "kiali", "--address", "0.0.0.0") as beside:
            assert any(
                "warning: whoever reaches 0.0.0.0 can use these pages without a password" in one for one in beside
            )
            [url] = addresses(beside).values()
            assert "Kiali (a stand-in)" in page(url.replace("0.0.0.0", "127.0.0.1"))
        until(
            lambda: "Grafana (a stand-in)" in page(found["grafana"]) and any("now at pod" in line for line in printed)
        )
    assert page(found["grafana"]) == ""


@pytest.fixture(scope="module")
def exposed(lab, addons):
    """Three addons on domains, each with another authentication: (environment, issuer, client context)."""
    ca = pki.make("addons CA")
    own = pki.make(DOMAIN, ca, ca=False, names=(f"*.{DOMAIN}",))
    client = pki.make("operator", ca, ca=False)
    data = {"tls.crt": own.pem, "tls.key": own.key_pem, "ca.crt": ca.pem}
    lab.session.apply(pki.secret(SECRET, data, kind="kubernetes.io/tls"))
    issuer = Issuer()
    hashed = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
    users = lab.driver.root / "addons.users"
    users.write_text(f"{USER}:{{SHA}}{hashed}\n")
    ways = {
        "kiali": {"kind": "basic", "users": "addons.users"},
        "grafana": {"kind": "jwt", "issuer": ISSUER, "jwks": issuer.jwks},
        "prometheus": {"kind": "mtls"},
    }
    values, text = Values(lab.driver), sample(lab.driver)
    for name, way in ways.items():
        place = {"host": f"{name}.{DOMAIN}", "credential": SECRET, "authentication": way}
        text[name] = text[name].rstrip() + f"\n    exposure: {json.dumps(place)}\n"
    values.addons("".join(text.values()))
    pair = lab.driver.root / "client.pem"
    pair.write_text(client.pem + client.key_pem)
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.load_cert_chain(pair)
    try:
        ran = apply(lab)
        yield load(Project(lab.driver.root), "lab").env, issuer, context, ran
    finally:
        values.back()


def knock(lab, exposed, name, wanted, *, headers=None, client=None):
    """The answer of an exposed addon, asked until it is the wanted status, or the time is over."""
    env = exposed[0]
    [found] = [each for each in exposure.exposed(env) if each.addon == name]
    address = ingress.address(lab.target, env)
    end = time.monotonic() + DEADLINE
    answer = None
    while time.monotonic() < end:
        try:
            answer = knocking.knock(lab.target, env, found, address, headers=headers, client=client)
        except Unreachable:
            answer = None
        if answer is not None and answer.status == wanted:
            break
        time.sleep(0.5)
    assert answer is not None
    assert answer.status == wanted, answer
    return answer


def basic(password):
    return {"Authorization": f"Basic {base64.b64encode(f'{USER}:{password}'.encode()).decode()}"}


def test_exposed_addons_let_in_who_has_credentials_and_nobody_else(lab, exposed):
    said = exposed[3].out + exposed[3].err
    assert f"Kiali is at https://kiali.{DOMAIN}:" in said
    assert "are closed to strangers" not in said, "said only where it does not hold"
    knock(lab, exposed, "kiali", 401)
    knock(lab, exposed, "kiali", 401, headers=basic("guessed"))
    assert b"Kiali" in knock(lab, exposed, "kiali", 200, headers=basic(PASSWORD)).body
    knock(lab, exposed, "grafana", 403)
    knock(lab, exposed, "grafana", 401, headers={"Authorization": f"Bearer {Issuer().token()}"})
    token = {"Authorization": f"Bearer {exposed[1].token()}"}
    assert b"Grafana" in knock(lab, exposed, "grafana", 200, headers=token).body
    refused = knock(lab, exposed, "prometheus", 0)
    assert "CERTIFICATE_REQUIRED" in refused.handshake.upper().replace(" ", "_")
    # Prometheus leads to its own page.
    knock(lab, exposed, "prometheus", 302, client=exposed[2])


def test_exposures_leave_no_password_in_a_plan_and_nothing_to_do(lab, exposed):
    lab.session.create(WIDE)
    try:
        plan = lab.driver.meshwright("plan", "lab", "addons", "--detailed-exitcode")
    finally:
        lab.session.delete(WIDE["apiVersion"], "Gateway", "wide", "istio-system")
    assert plan.code == 0, plan.out + plan.err
    assert "{SHA}" not in exposed[3].out + exposed[3].err
    said = f"the domain kiali.{DOMAIN} of addons.kiali overlaps *.{DOMAIN} of Gateway istio-system/wide at port 443"
    assert said in plan.out


def test_a_browser_opens_an_exposed_addon_with_a_password_and_not_without(lab, exposed, tmp_path):
    address, host = ingress.address(lab.target, exposed[0]), f"kiali.{DOMAIN}"
    switches = ["--ignore-certificate-errors", "--no-proxy-server", f"--host-resolver-rules=MAP {host} {address.host}"]
    with browser.opened(tmp_path, *switches) as chromium:

        def shown(who):
            chromium.open(f"https://{who}{host}:{address.secure_port}/kiali/", 1200, "light")
            return chromium.value("document.documentElement.outerHTML")

        assert "Kiali (a stand-in)" not in shown("")
        assert "<h1>Kiali (a stand-in)</h1>" in shown(f"{USER}:{PASSWORD.replace(' ', '%20')}@")


def test_an_image_that_cannot_be_pulled_is_named_and_the_rest_goes_on(lab, addons):
    values, text = Values(lab.driver), sample(lab.driver)
    text["grafana"] = re.sub(r"meshwright\.lab/\S+", "registry.invalid/grafana:1", text["grafana"])
    del text["kiali"]
    values.addons("".join(text.values()))
    try:
        ran = apply(lab, code=4)
        assert "the image registry.invalid/grafana:1 of container grafana cannot be pulled" in ran.err + ran.out
        assert lab.session.get("apps/v1", "Deployment", "kiali", "istio-system") is None, "the rest went on"
        again = lab.driver.meshwright("plan", "lab", "addons", "--detailed-exitcode", "--json")
        assert again.code == 2, "what was not verified is not forgotten"
        assert [each["changes"] for each in again.document["steps"] if each["step"] == "addons"] == [[]]
    finally:
        values.back()


def test_off_means_gone(lab, addons):
    values = Values(lab.driver)
    values.addons("  prometheus: {enabled: false}\n")
    try:
        apply(lab)
        ours = re.compile(r"(addon-|addons-lab|prometheus|grafana|kiali|loki|storage-loki|istio-(services-)?grafana)")
        left = [
            f"{kind} {obj['metadata']['name']}"
            for api, kind in (
                ("apps/v1", "Deployment"),
                ("apps/v1", "StatefulSet"),
                ("v1", "PersistentVolumeClaim"),
                ("v1", "Service"),
                ("v1", "ConfigMap"),
                ("v1", "ServiceAccount"),
                ("v1", "Pod"),
                ("rbac.authorization.k8s.io/v1", "ClusterRole"),
                ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
                ("networking.istio.io/v1", "Gateway"),
                ("networking.istio.io/v1", "VirtualService"),
                ("networking.istio.io/v1alpha3", "EnvoyFilter"),
                ("security.istio.io/v1", "AuthorizationPolicy"),
                ("security.istio.io/v1", "RequestAuthentication"),
            )
            for obj in lab.session.list(api, kind)
            if ours.match(obj["metadata"]["name"])
        ]
        assert left == []
        plan = lab.driver.meshwright("plan", "lab", "addons", "--detailed-exitcode")
        assert plan.code == 0, plan.out + plan.err
    finally:
        values.back()
