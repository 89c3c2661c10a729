"""Credentials on a real mesh: a renewal as its clients see it, and the word of cert-manager (#5)."""

from __future__ import annotations

import base64
import datetime as dt
import threading
import time

import pki
import pytest
from cryptography import x509
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
