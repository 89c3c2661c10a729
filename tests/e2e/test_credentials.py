"""Credentials and references on a real mesh: renewal seen by clients, the word of cert-manager, and that no key and no
password gets into any output or file (#5, #7)."""

from __future__ import annotations

import base64
import datetime as dt
import secrets
import threading
import time

import pki
import pyrage
import pytest
import yaml
from cryptography import x509
from leaks import Needles
from outside import DEADLINE, Example, Outside

from meshwright.renewals import CERT_MANAGER

HOST = "credentials.example.com"
GATEWAY = f"""\
resources:
  gateways:
    istio-system/credentials:
      servers:
        - port: {{number: 443, name: https, protocol: HTTPS}}
          hosts: [{HOST}]
          tls: {{mode: SIMPLE, credentialName: credentials}}
  virtual_services:
    bookinfo/credentials:
      hosts: [{HOST}]
      gateways: [istio-system/credentials]
      http: [{{route: [{{destination: {{host: details}}}}]}}]
"""
WORDS = HOST, "/details/0"


@pytest.fixture(scope="module")
def outside(lab):
    return Outside(lab)


@pytest.fixture(scope="module")
def example(lab):
    made = Example(lab, "credentials")
    yield made
    made.clean()


def until(outside, good):
    """Asks until an answer over TLS is `good`; the last one."""
    deadline = time.monotonic() + DEADLINE
    while True:
        try:
            answer = outside.get(*WORDS, scheme="https")
            if good(answer) or time.monotonic() > deadline:
                return answer
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.2)


class Asking:
    """Asks again and again, each time on a new connection, until it is told to stop."""

    def __init__(self, outside):
        self.outside, self.served, self.failed, self._stop = outside, [], [], threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        while not self._stop.is_set():
            try:
                answer = self.outside.get(*WORDS, scheme="https")
                self.served.append(answer.certificate)
                if answer.status != 200:
                    self.failed.append(answer.status)
            except OSError as error:
                self.failed.append(repr(error))
            time.sleep(0.02)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)


def test_a_renewal_is_planned_with_both_dates_and_served_without_a_refused_connection(example, outside):
    made = f"  credentials: {{istio-system/credentials: {{kind: self_signed, hosts: [{HOST}], days: 30}}}}\n"
    example.has(GATEWAY + made)
    assert until(outside, lambda a: a.status == 200).status == 200
    first = example.session.get("v1", "Secret", "credentials", "istio-system")
    # What was made is put back to a time in which it has five of its thirty days left.
    file = example.lab.driver.root / ".meshwright" / "credentials" / "credentials" / "istio-system" / "credentials.pem"
    old = pki.make(HOST, ca=False, days=(-25, 5), names=(HOST,))
    file.write_text(old.pem + old.key_pem)
    data = {"tls.crt": old.pem, "tls.key": old.key_pem}
    encoded = {name: base64.b64encode(text.encode()).decode() for name, text in data.items()}
    labels = first["metadata"]["labels"]
    metadata = {"name": "credentials", "namespace": "istio-system", "labels": labels}
    aged = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": first["type"], "data": encoded}
    example.session.apply(aged, manager="meshwright", force=True)
    assert until(outside, lambda a: a.certificate.strip() == old.pem.strip()).certificate.strip() == old.pem.strip()
    plan = example.plan()
    dates = f"certificate until {old.certificate.not_after:%Y-%m-%d %H:%M UTC} -> until "
    assert dates in plan.out, plan.out + plan.err
    with Asking(outside) as asking:
        done = example.apply()
        assert done.code == 0, done.err
        renewed = until(outside, lambda a: a.certificate.strip() != old.pem.strip())
        count = len(asking.served)
        while len(asking.served) < count + 20 and asking._thread.is_alive() and not asking.failed:
            time.sleep(0.05)
    assert asking.failed == []
    assert {one.strip() for one in asking.served} == {old.pem.strip(), renewed.certificate.strip()}
    left = x509.load_pem_x509_certificate(renewed.certificate.encode()).not_valid_after_utc - dt.datetime.now(dt.UTC)
    assert left > dt.timedelta(days=29)
    assert example.plan("--detailed-exitcode").code == 0


def test_cert_managers_word_is_in_the_plan(example):
    if example.session.preferred(CERT_MANAGER, "Certificate") is None:
        schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        spec = {
            "group": CERT_MANAGER,
            "scope": "Namespaced",
            "names": {"kind": "Certificate", "plural": "certificates", "singular": "certificate"},
            "versions": [{
                "name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": schema},
            }],
        }  # fmt: skip
        crd = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "spec": spec}
        crd["metadata"] = {"name": f"certificates.{CERT_MANAGER}"}
        example.session.apply(crd)
        deadline = time.monotonic() + DEADLINE
        while example.session.preferred(CERT_MANAGER, "Certificate") is None and time.monotonic() < deadline:
            example.session.forget_kinds()
            time.sleep(0.5)
    try:
        example.has(
            "resources:\n  credentials:\n    istio-system/managed: {kind: cert_manager, hosts: [m.example.com], "
            "issuer: {name: lab}, duration: 2160h, renewBefore: 720h}\n"
        )
        assert "Certificate istio-system/managed: cert-manager has said nothing about it yet" in example.plan().out
        found = example.session.get("cert-manager.io/v1", "Certificate", "managed", "istio-system")
        assert found["spec"]["renewBefore"] == "720h"
        status = {
            "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "up to date"}],
            "notAfter": "2027-02-20T10:00:00Z",
            "renewalTime": "2027-01-21T10:00:00Z",
        }
        example.session.replace({**found, "status": status}, subresource="status")
        again = example.plan("--detailed-exitcode")
        assert again.code == 0, again.out
        said = "Certificate istio-system/managed: Ready, until 2027-02-20 10:00 UTC, renewed at 2027-01-21 10:00 UTC"
        assert said in again.out
    finally:
        example.has(GATEWAY.replace("SIMPLE, credentialName: credentials", "PASSTHROUGH"))
        example.session.delete("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"certificates.{CERT_MANAGER}")
        example.session.forget_kinds()


def test_no_key_and_no_password_is_in_any_output_or_file(example, tmp_path):
    """A run with references of each kind that needs no server; the real sops and Vault have tests of their own."""
    driver = example.lab.driver
    vault, private = driver.root / "sealed", pki.make(HOST, ca=False, names=(HOST,))
    vault.mkdir(exist_ok=True)
    identity = pyrage.x25519.Identity.generate()
    password, variable = secrets.token_urlsafe(30), secrets.token_urlsafe(30)
    (vault / "id.txt").write_text(str(identity))
    (vault / "c.crt").write_text(private.pem)
    (vault / "c.key.age").write_bytes(pyrage.encrypt(private.key_pem.encode(), [identity.to_public()]))
    (vault / "password").write_text(password)
    driver.environ["CREDENTIALS_TEST"] = variable
    values = (
        GATEWAY
        + """\
  credentials:
    istio-system/credentials:
      kind: reference
      certificate: {file: sealed/c.crt}
      key: {age: sealed/c.key.age, identity: sealed/id.txt}
  secrets:
    bookinfo/by-reference:
      data:
        password: {file: sealed/password}
        variable: {env: CREDENTIALS_TEST}
"""
    )
    try:
        example.values.write_text(example.base + values + "  allow_empty: true\n")
        said = [
            driver.meshwright("env", "show", "credentials", "--json"),
            driver.meshwright("validate", "credentials", "--cluster", "--json"),
            example.plan(), example.plan("--json"), example.plan("--out", "credentials.plan"),
            example.apply("--json"), example.plan("--json"),
            driver.meshwright("drift", "credentials", "--json"),
        ]  # fmt: skip
        said.append(driver.pyinfra("-vvv", "--debug", "--dry", "inventory/credentials.py", "deploys/resources.py"))
        found = example.session.get("v1", "Secret", "by-reference", "bookinfo")
        assert base64.b64decode(found["data"]["password"]).decode() == password
        assert base64.b64decode(found["data"]["variable"]).decode() == variable
        example.session.patch(
            "v1", "Secret", "by-reference", "bookinfo", body={"data": {"extra": "eA=="}},
            content_type="application/merge-patch+json",
        )  # fmt: skip
        said += [driver.meshwright("drift", "credentials"), example.plan()]
        (vault / "password").write_text(password + "2")
        said += [driver.pyinfra("-y", "-vvv", "--debug", "inventory/credentials.py", "deploys/resources.py")]
        said += [driver.meshwright("history", "credentials", "--json")]
        said += [driver.meshwright("rollback", "credentials", "--plan", "--json")]
    finally:
        del driver.environ["CREDENTIALS_TEST"]
    codes = [(ran.code, ran.err[-300:]) for ran in said]
    # One is a drift, if it is counted as one: somebody has added a key.
    assert [code for number, (code, _) in enumerate(codes) if number != 9] == [0] * 13, codes
    needles = Needles(key=private.key_pem)
    words = [password, variable, str(identity)]
    forms = [form for word in words for form in (word, base64.b64encode(word.encode()).decode())]
    written = [path for top in (driver.root, driver.home) for path in top.rglob("*") if path.is_file()]
    kept = [path for path in written if vault not in path.parents and path.stat().st_size < 8 * 1024 * 1024]
    assert any("records" in str(path) for path in kept)
    texts = {f"answer {number}": (ran.out + ran.err).encode() for number, ran in enumerate(said)}
    texts |= {str(path): path.read_bytes() for path in kept}
    texts["ConfigMaps"] = yaml.safe_dump(example.session.list("v1", "ConfigMap", "meshwright")).encode()
    assert [name for name, text in texts.items() if needles.within(text)] == []
    assert [name for name, text in texts.items() if any(form.encode() in text for form in forms)] == []
