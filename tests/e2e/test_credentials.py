"""Credentials and references on a real mesh: renewal seen by clients, the word of cert-manager, and that no key and no
password gets into any output or file (#5, #7)."""

from __future__ import annotations

import base64
import datetime as dt
import os
import secrets
import shutil
import threading
import time

import gomodules
import pki
import pyrage
import pytest
import sealing
import vaulted
import yaml
from cryptography import x509
from leaks import Needles, Watch
from outside import DEADLINE, Example, Outside

from meshwright.kube import ApiError, wait
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


CERTIFICATES = ("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"certificates.{CERT_MANAGER}")
MANAGED = """\
resources:
  credentials:
    istio-system/managed:
      kind: cert_manager
      hosts: [m.example.com, "*.m.example.com"]
      issuer: {name: lab, kind: Issuer}
      duration: 2160h
      renewBefore: 720h
"""


@pytest.fixture
def cert_manager(example):
    """cert-manager's own CRD; nobody acts on it."""
    session, crd = example.session, gomodules.crd_of_certificates()
    had = session.get(*CERTIFICATES) is not None
    if not had:
        session.apply(crd, manager="test")
        wait.ready(session, wait.refs([crd]), timeout=DEADLINE)
        session.forget_kinds()
    yield session
    example.has(GATEWAY.replace("SIMPLE, credentialName: credentials", "PASSTHROUGH"))
    if not had:
        session.delete(*CERTIFICATES)
        session.forget_kinds()


def test_cert_managers_word_is_in_the_plan(example, cert_manager):
    example.has(MANAGED)
    assert "Certificate istio-system/managed: cert-manager has said nothing about it yet" in example.plan().out
    found = cert_manager.get("cert-manager.io/v1", "Certificate", "managed", "istio-system")
    assert found["spec"] == {
        "secretName": "managed",
        "dnsNames": ["m.example.com", "*.m.example.com"],
        "issuerRef": {"name": "lab", "kind": "Issuer", "group": "cert-manager.io"},
        "duration": "2160h",
        "renewBefore": "720h",
    }
    # What is held to its schema: a field that it does not have is not taken.
    with pytest.raises(ApiError, match="dnsName"):
        cert_manager.apply({**found, "metadata": {"name": "other", "namespace": "istio-system"},
                            "spec": {**found["spec"], "dnsName": "m.example.com"}}, manager="test")  # fmt: skip
    status = {
        "conditions": [{"type": "Ready", "status": "True", "reason": "Ready", "message": "up to date"}],
        "notAfter": "2027-02-20T10:00:00Z",
        "renewalTime": "2027-01-21T10:00:00Z",
    }
    cert_manager.replace({**found, "status": status}, subresource="status")
    again = example.plan("--detailed-exitcode")
    assert again.code == 0, again.out
    said = "Certificate istio-system/managed: Ready, until 2027-02-20 10:00 UTC, renewed at 2027-01-21 10:00 UTC"
    assert said in again.out


REFERENCES = """\
  credentials:
    istio-system/credentials:
      kind: reference
      certificate: {file: sealed/c.crt}
      key: {age: sealed/c.key.age, identity: sealed/id.txt}
  secrets:
    bookinfo/by-reference:
      data:
        file: {file: sealed/password}
        env: {env: CREDENTIALS_TEST}
        sops: {sops: sealed/s.yaml, key: db/password}
        sops-key: {sops: sealed/s.yaml, key: db/key}
        vault: {vault: secret/shop/db, key: password}
        vault-key: {vault: secret/shop/db, key: key}
"""


@pytest.fixture
def sealed(example, tmp_path, monkeypatch):
    """A secret at each place that a reference can name: what must not be found, passwords and keys by their names."""
    driver, folder = example.lab.driver, example.lab.driver.root / "sealed"
    folder.mkdir(exist_ok=True)
    identity = pyrage.x25519.Identity.generate()
    words = {name: secrets.token_urlsafe(30) for name in ("file", "env", "sops", "vault", "token")}
    keys = {name: pki.make(HOST, ca=False, names=(HOST,)) for name in ("age", "sops", "vault")}
    (folder / "id.txt").write_text(str(identity))
    (folder / "c.crt").write_text(keys["age"].pem)
    (folder / "c.key.age").write_bytes(pyrage.encrypt(keys["age"].key_pem.encode(), [identity.to_public()]))
    (folder / "password").write_text(words["file"])
    document = yaml.safe_dump({"db": {"password": words["sops"], "key": keys["sops"].key_pem}})
    sealing.encrypted(driver.root, str(identity.to_public()), "sealed/s.yaml", document)
    (driver.home / ".vault-token").write_text(words["token"])
    (tmp_path / "sops").symlink_to(sealing.program())
    with vaulted.answering(tmp_path, {"password": words["vault"], "key": keys["vault"].key_pem}) as vault:
        for name, value in {
            **vault.environ,
            "CREDENTIALS_TEST": words["env"],
            "SOPS_AGE_KEY_FILE": str(folder / "id.txt"),
            "PATH": f"{tmp_path}:{driver.environ['PATH']}",
        }.items():
            monkeypatch.setitem(driver.environ, name, value)
        yield words | {"identity": str(identity)}, Needles(**{name: made.key_pem for name, made in keys.items()})
        assert vault.asked[0][1]["X-Vault-Token"] == words["token"]
    (driver.home / ".vault-token").unlink()
    shutil.rmtree(folder)


def test_no_key_and_no_password_is_in_any_output_or_file(example, sealed):
    """The verbs, in words and as JSON, and pyinfra's own at every verbosity: with references of each kind, the real
    sops and a stand-in for Vault among them."""
    words, needles = sealed
    driver, session = example.lab.driver, example.session
    deploy = "inventory/credentials.py", "deploys/resources.py"
    said = []

    def run(*command, code=0, pyinfra=False):
        ran = (driver.pyinfra if pyinfra else driver.meshwright)(*command)
        assert ran.code == code, (command, ran.out[-600:], ran.err[-600:])
        said.append((" ".join(command), ran))

    def there():
        found = session.get("v1", "Secret", "by-reference", "bookinfo")["data"]
        return {name: base64.b64decode(value).decode() for name, value in found.items()}

    example.values.write_text(example.base + GATEWAY + REFERENCES + "  allow_empty: true\n")
    run("env", "show", "credentials", "--json")
    run("validate", "credentials", "--cluster", "--json")
    run("plan", "credentials", "resources", "--out", "credentials.plan")
    run("plan", "credentials", "resources", "--json")
    run("apply", "credentials", "resources", "--yes", "--json")
    assert {name: text for name, text in there().items() if name in words} == {
        name: words[name] for name in ("file", "env", "sops", "vault")
    }
    run("drift", "credentials", "--json")
    # Somebody adds a key, and what the file says becomes another one.
    body = {"data": {"extra": "eA=="}}
    how = "application/merge-patch+json"
    session.patch("v1", "Secret", "by-reference", "bookinfo", body=body, content_type=how)
    words["file again"] = words["file"] + secrets.token_urlsafe(9)
    (driver.root / "sealed" / "password").write_text(words["file again"])
    example.values.write_text(example.values.read_text().replace("{host: details}", "{host: reviews}"))
    run("drift", "credentials")
    run("plan", "credentials", "resources")
    for verbosity in (("-v",), ("-vv",), ("-vvv", "--debug")):
        run("--dry", *verbosity, *deploy, pyinfra=True)
    with Watch(needles, os.getpid()) as watch:
        run("-y", "-vvv", "--debug", *deploy, pyinfra=True)
    assert there()["file"] == words["file again"]
    run("rollback", "credentials", "--plan")
    run("rollback", "credentials", "--yes", "--json")
    route = session.get("networking.istio.io/v1", "VirtualService", "credentials", "bookinfo")["spec"]["http"][0]
    assert route["route"][0]["destination"]["host"].startswith("details.")
    run("history", "credentials", "--json")
    run("report", "credentials", "--out", "credentials.html")
    assert (watch.found, len(watch.processes) > 2) == (set(), True)
    forms = [form for word in words.values() for form in (word, base64.b64encode(word.encode()).decode())]
    own = {driver.home / ".vault-token", *(driver.root / "sealed").iterdir()}
    written = [path for top in (driver.root, driver.home) for path in top.rglob("*") if path.is_file()]
    kept = [path for path in written if path not in own and path.stat().st_size < 8 * 1024 * 1024]
    assert any("records" in str(path) for path in kept)
    texts = {f"{command} ({at})": (ran.out + ran.err).encode() for at, (command, ran) in enumerate(said)}
    texts |= {str(path): path.read_bytes() for path in kept}
    texts["ConfigMaps"] = yaml.safe_dump(session.list("v1", "ConfigMap", "meshwright")).encode()
    assert [name for name, text in texts.items() if needles.within(text)] == []
    assert [name for name, text in texts.items() if any(form.encode() in text for form in forms)] == []
