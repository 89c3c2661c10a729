"""Addons on a real mesh: brought up, asked, proven by a request, on domains with each kind of authentication, one whose
image cannot be pulled, and gone again (#8)."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import ssl
import subprocess
import time

import pki
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from meshwright import ingress
from meshwright.addons import exposure, knocking
from meshwright.environment import load
from meshwright.errors import Unreachable
from meshwright.project import Project

SECRET = "addons-e2e"
DOMAIN = "addons.example.com"
ISSUER = "https://issuer.example.com"
USER, PASSWORD = "operator", "long and random"
DEADLINE = 120


def _b64(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Issuer:
    """Somebody who signs tokens."""

    def __init__(self):
        self.key = rsa.generate_private_key(65537, 2048)

    @property
    def jwks(self):
        numbers = self.key.public_key().public_numbers()
        n, e = (_b64(number.to_bytes((number.bit_length() + 7) // 8, "big")) for number in (numbers.n, numbers.e))
        return json.dumps({"keys": [{"kty": "RSA", "alg": "RS256", "kid": "one", "n": n, "e": e}]})

    def token(self):
        head = _b64(json.dumps({"alg": "RS256", "kid": "one"}).encode())
        body = _b64(json.dumps({"iss": ISSUER, "sub": "operator", "exp": int(time.time()) + 3600}).encode())
        signature = self.key.sign(f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{head}.{body}.{_b64(signature)}"


class Values:
    """The values of the lab, changed for a while."""

    def __init__(self, driver):
        self.file = driver.root / "group_data" / "lab.yaml"
        self.before = self.file.read_text()

    def addons(self, text):
        kept = self.before[: self.before.index("\naddons:\n")]
        self.file.write_text(f"{kept}\naddons:\n{text}")

    def back(self):
        self.file.write_text(self.before)


def sample(driver):
    """The lab's own addons, as a mapping's text by name."""
    text = (driver.root / "group_data" / "lab.yaml").read_text().partition("\naddons:\n")[2]
    return {found[1]: found[0] for found in re.finditer(r"(?m)^  (\w+):\n(?:    .*\n?)+", text)}


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
    for ref in (("v1", "Secret", SECRET, "istio-system"),):
        lab.session.delete(*ref)


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


def test_site_leaves_addons_alone(lab, addons):
    steps = {each["step"] for each in lab.driver.meshwright("plan", "lab", "--json").document["steps"]}
    assert "resources" in steps
    assert "addons" not in steps


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
    plan = lab.driver.meshwright("plan", "lab", "addons", "--detailed-exitcode")
    assert plan.code == 0, plan.out + plan.err
    assert "{SHA}" not in exposed[3].out + exposed[3].err


def _chromium():
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("there is no chromium, which .ci/run installs")
        pytest.skip("there is no chromium: apt-get install chromium")
    return found


def test_a_browser_opens_an_exposed_addon_with_a_password_and_not_without(lab, exposed, tmp_path):
    browser, env = _chromium(), exposed[0]
    address = ingress.address(lab.target, env)
    host = f"kiali.{DOMAIN}"

    def page(who):
        command = [
            browser,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ]
        command += ["--ignore-certificate-errors", f"--user-data-dir={tmp_path / 'profile'}"]
        command += [f"--host-resolver-rules=MAP {host} {address.host}", "--no-proxy-server", "--timeout=60000"]
        url = f"https://{who}{host}:{address.secure_port}/kiali/"
        done = subprocess.run([*command, "--dump-dom", url], capture_output=True, text=True, timeout=300)
        return done.stdout

    assert "Kiali (a stand-in)" not in page("")
    assert "<h1>Kiali (a stand-in)</h1>" in page(f"{USER}:{PASSWORD.replace(' ', '%20')}@")


def test_an_image_that_cannot_be_pulled_is_named_and_the_rest_goes_on(lab, addons):
    values, text = Values(lab.driver), sample(lab.driver)
    text["grafana"] = re.sub(r"meshwright\.lab/\S+", "registry.invalid/grafana:1", text["grafana"])
    del text["kiali"]
    values.addons("".join(text.values()))
    try:
        ran = apply(lab, code=4)
        assert "the image registry.invalid/grafana:1 of container grafana cannot be pulled" in ran.err + ran.out
        assert lab.session.get("apps/v1", "Deployment", "kiali", "istio-system") is None, "the rest went on"
        again = lab.driver.meshwright("plan", "lab", "addons", "--detailed-exitcode")
        assert again.code == 2, "what was not verified is not forgotten"
    finally:
        values.back()


def test_off_means_gone(lab, addons):
    values = Values(lab.driver)
    values.addons("  prometheus: {enabled: false}\n")
    try:
        apply(lab)
        ours = re.compile(r"(addon-|addons-lab|prometheus|grafana|kiali|istio-(services-)?grafana)")
        left = [
            f"{kind} {obj['metadata']['name']}"
            for api, kind in (
                ("apps/v1", "Deployment"),
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
