"""What the examples on the pages do not show: client certificates, timeouts, retries and mirrors, counted (#5)."""

from __future__ import annotations

import base64
import datetime
import json
import re
import ssl
import time

import examples
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import NameOID
from outside import Example, Outside, ask_from, settled

from meshwright import envoys

HOST = "fields.example.com"
GATEWAY = f"""\
resources:
  gateways:
    bookinfo/fields:
      servers:
        - {{port: {{number: 80, name: http, protocol: HTTP}}, hosts: [{HOST}]}}
"""


@pytest.fixture(scope="module")
def outside(lab):
    return Outside(lab)


@pytest.fixture(scope="module")
def example(lab):
    made = Example(lab, "fields")
    yield made
    made.clean()


def sent(lab, cluster):
    """How many requests the ingress gateway has sent to the pods of one of its clusters, attempts counted each."""
    [gateway] = [one for one in envoys.proxies(lab.session) if one.labels.get("istio") == "ingressgateway"]
    found = envoys.ask(lab.session, gateway, "/clusters").decode()
    return sum(map(int, re.findall(rf"^{re.escape(cluster)}::[^:]+:\d+::rq_total::(\d+)$", found, re.MULTILINE)))


def pair(folder, name):
    """A self-signed certificate in files: one with certificate and key, one with each."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    named = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder().subject_name(named).issuer_name(named).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    certificate = made.public_bytes(serialization.Encoding.PEM)
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    private = key.private_bytes(serialization.Encoding.PEM, *form)
    for suffix, content in (("crt", certificate), ("key", private), ("pem", certificate + private)):
        (folder / f"{name}.{suffix}").write_bytes(content)
    return folder / f"{name}.pem"


def test_mutual_refuses_who_shows_no_certificate_or_a_strangers(example, outside):
    folder = example.lab.driver.root / "tls"
    folder.mkdir(exist_ok=True)
    pair(folder, HOST)
    ours, strangers = pair(folder, "client.example.com"), pair(folder, "stranger.example.com")
    example.has(f"""\
resources:
  gateways:
    bookinfo/fields:
      servers:
        - port: {{number: 443, name: https, protocol: HTTPS}}
          hosts: [{HOST}]
          tls: {{mode: MUTUAL, credentialName: fields}}
  credentials:
    istio-system/fields:
      {{kind: reference, certificate: {{file: tls/{HOST}.crt}}, key: {{file: tls/{HOST}.key}},
       ca: {{file: tls/client.example.com.crt}}}}
  virtual_services:
    bookinfo/fields:
      hosts: [{HOST}]
      gateways: [fields]
      http: [{{route: [{{destination: {{host: details}}}}]}}]
""")
    words = HOST, "/details/0"
    assert outside.until(lambda a: a.status == 200, *words, scheme="https", client=ours).status == 200
    for client in (None, strangers):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            outside.get(*words, scheme="https", client=client)


def test_a_certificate_in_files_of_the_gateways_pods_is_served(example, outside, lab):
    """Istio's gateway mounts the Secret istio-ingressgateway-certs, where there is one."""
    folder, at = example.lab.driver.root / "tls", "/etc/istio/ingressgateway-certs"
    folder.mkdir(exist_ok=True)
    pair(folder, HOST)
    ours = pair(folder, "client.example.com")
    example.has(f"""\
resources:
  gateways:
    bookinfo/fields:
      servers:
        - port: {{number: 443, name: https, protocol: HTTPS}}
          hosts: [{HOST}]
          tls: {{mode: MUTUAL, serverCertificate: {at}/tls.crt, privateKey: {at}/tls.key, caCertificates: {at}/ca.crt}}
  credentials:
    istio-system/istio-ingressgateway-certs:
      {{kind: reference, certificate: {{file: tls/{HOST}.crt}}, key: {{file: tls/{HOST}.key}},
       ca: {{file: tls/client.example.com.crt}}}}
  virtual_services:
    bookinfo/fields:
      hosts: [{HOST}]
      gateways: [fields]
      http: [{{route: [{{destination: {{host: details}}}}]}}]
""")
    # A change of the pod makes its kubelet look at volumes at once, and not in a minute.
    for pod in lab.session.list("v1", "Pod", "istio-system", labels="istio=ingressgateway"):
        body = {"metadata": {"annotations": {"e2e-looked": str(time.time())}}}
        lab.session.patch("v1", "Pod", pod["metadata"]["name"], "istio-system", body=body)
    words = HOST, "/details/0"
    answer = outside.until(lambda a: a.status == 200, *words, scheme="https", client=ours)
    assert answer.status == 200
    assert answer.certificate.strip() == (folder / f"{HOST}.crt").read_text().strip()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        outside.get(*words, scheme="https")


def test_a_telemetry_says_which_requests_are_logged(example, outside, lab):
    example.has(
        GATEWAY
        + f"""\
  virtual_services:
    bookinfo/fields:
      hosts: [{HOST}]
      gateways: [fields]
      http: [{{route: [{{destination: {{host: details}}}}]}}]
  telemetries:
    istio-system/fields:
      selector: {{matchLabels: {{istio: ingressgateway}}}}
      accessLogging: [{{providers: [{{name: envoy}}], filter: {{expression: "response.code >= 400"}}}}]
"""
    )
    [gateway] = lab.session.list("v1", "Pod", "istio-system", labels="istio=ingressgateway")
    at, mark = f"/api/v1/namespaces/istio-system/pods/{gateway['metadata']['name']}/log", time.monotonic_ns()

    def logged():
        asked = [outside.get(HOST, f"{path}?{mark}").status for path in ("/details/0", "/missing")]
        assert asked == [200, 404]
        found = lab.session.get_raw(f"{at}?container=istio-proxy&sinceSeconds=600").decode()
        return f"GET /missing?{mark}" in found, f"GET /details/0?{mark}" in found

    assert outside.until(lambda a: a.status == 200, HOST, "/details/0").status == 200
    assert settled(logged, (True, False)) == (True, False)


def test_a_sidecar_limits_what_pods_know(example, lab):
    """A Service of another namespace, which productpage reaches until it is told not to know it."""
    there, cluster = "http://istio-ingressgateway.istio-system/", "outbound|80||istio-ingressgateway.istio-system"
    near = "http://details.bookinfo:9080/details/0"

    def seen():
        [proxy] = [one for one in envoys.proxies(lab.session) if one.labels.get("app") == "productpage"]
        known = f"{cluster}.svc.cluster.local::" in envoys.ask(lab.session, proxy, "/clusters").decode()
        return ask_from(lab, "bookinfo", "productpage", there), known

    assert settled(seen, ("404", True)) == ("404", True)
    example.has("""\
resources:
  sidecars:
    bookinfo/fields:
      workloadSelector: {labels: {app: productpage}}
      outboundTrafficPolicy: {mode: REGISTRY_ONLY}
      egress: [{hosts: ["./*"]}]
""")
    assert settled(seen, ("no connection", False)) == ("no connection", False)
    assert ask_from(lab, "bookinfo", "productpage", near) == "200 bookinfo"


def test_a_timeout_ends_a_request_that_takes_longer(example, outside):
    # Reviews v2 asks ratings; a fault inside the mesh makes that slow.
    example.has(
        GATEWAY
        + f"""\
  destination_rules:
    bookinfo/reviews: {{host: reviews, subsets: [{{name: v2, labels: {{version: v2}}}}]}}
  virtual_services:
    bookinfo/fields:
      hosts: [{HOST}]
      gateways: [fields]
      http: [{{timeout: 1s, route: [{{destination: {{host: reviews, subset: v2}}}}]}}]
    bookinfo/ratings:
      hosts: [ratings]
      http:
        - fault: {{delay: {{fixedDelay: 2s, percentage: {{value: 100}}}}}}
          route: [{{destination: {{host: ratings}}}}]
"""
    )
    late = outside.until(lambda a: a.status == 504, HOST, "/reviews/0")
    assert (late.status, late.text) == (504, "upstream request timeout")
    # The clock of the proxy is another one than ours.
    assert late.seconds > 0.9


def test_retries_are_as_many_as_asked_for(example, outside, lab):
    # A 404 of the application is tried again only because the route says so: one attempt and three more.
    example.has(
        GATEWAY
        + f"""\
  virtual_services:
    bookinfo/fields:
      hosts: [{HOST}]
      gateways: [fields]
      http:
        - match: [{{uri: {{prefix: /again}}}}]
          retries: {{attempts: 3, retryOn: "404", backoff: 10ms}}
          route: [{{destination: {{host: details}}}}]
        - retries: {{attempts: 0}}
          route: [{{destination: {{host: details}}}}]
"""
    )
    cluster = "outbound|9080||details.bookinfo.svc.cluster.local"
    assert outside.until(lambda a: a.status == 200, HOST, "/details/0").status == 200
    for path, attempts in (("/once", 1), ("/again", 4)):
        before = sent(lab, cluster)
        for _ in range(5):
            assert outside.get(HOST, path).status == 404
        assert sent(lab, cluster) - before == 5 * attempts


def token(key, **claims):
    """A JWT, signed with ES256 (RFC 7515, 7518)."""

    def part(value):
        raw = value if isinstance(value, bytes) else json.dumps(value).encode()
        return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()

    signed = f"{part({'alg': 'ES256', 'kid': 'k', 'typ': 'JWT'})}.{part(claims)}"
    r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signed}.{part(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def keys(key):
    """The public key as a JWKS, as text."""
    numbers = key.public_key().public_numbers()
    x, y = (
        base64.urlsafe_b64encode(number.to_bytes(32, "big")).rstrip(b"=").decode() for number in (numbers.x, numbers.y)
    )
    return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "x": x, "y": y}]})


def test_a_token_is_asked_for_and_checked(example, outside):
    key, stranger = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    example.has(
        GATEWAY
        + f"""\
  virtual_services:
    bookinfo/fields:
      hosts: [{HOST}]
      gateways: [fields]
      http: [{{route: [{{destination: {{host: details}}}}]}}]
  request_authentications:
    bookinfo/details:
      selector: {{matchLabels: {{app: details}}}}
      jwtRules:
        - issuer: https://issuer.example.com
          audiences: [shop]
          jwks: {json.dumps(keys(key))}
  authorization_policies:
    bookinfo/details:
      selector: {{matchLabels: {{app: details}}}}
      action: DENY
      rules:
        - from: [{{source: {{notRequestPrincipals: ["*"]}}}}]
          to: [{{operation: {{ports: ["9080"]}}}}]
"""
    )
    claims = {"iss": "https://issuer.example.com", "sub": "u", "aud": "shop", "exp": int(time.time()) + 600}
    words = HOST, "/details/0"
    right = "Bearer " + token(key, **claims)
    assert outside.until(lambda a: a.status == 403, *words).text == "RBAC: access denied"
    assert outside.until(lambda a: a.status == 200, *words, authorization=right).status == 200
    for wrong, status in (
        (token(stranger, **claims), 401),
        (token(key, **{**claims, "exp": 1}), 401),
        (token(key, **{**claims, "aud": "other"}), 403),
        (token(key, **{**claims, "iss": "https://other.example.com"}), 401),
    ):
        assert outside.get(*words, authorization=f"Bearer {wrong}").status == status


def test_a_mirror_gets_a_copy(example, outside, lab):
    example.of("virtual-service")
    host, cluster = "reviews.example.com", "outbound|9080|v3|reviews.bookinfo.svc.cluster.local"
    assert outside.until(lambda a: a.status == 200, host, "/reviews/0").status == 200
    before = sent(lab, cluster)
    for _ in range(300):
        assert json.loads(outside.get(host, "/reviews/0").text)["version"] in ("v1", "v2")
    # 30 of 300 are wanted; their standard deviation is 5.2, and five of these either way are 4 to 56.
    assert settled(lambda: 4 <= sent(lab, cluster) - before <= 56, True)


def test_new_files_of_a_credential_are_served_without_a_restart(example, outside):
    folder = example.lab.driver.root / "tls"
    folder.mkdir(exist_ok=True)
    values = examples.example("gateway").replace(
        "      kind: self_signed\n      hosts: [shop.example.com]",
        "      {kind: reference, certificate: {file: tls/shop.example.com.crt}, key: {file: tls/shop.example.com.key}}",
    )
    served = []
    for _ in range(2):
        pair(folder, "shop.example.com")
        example.has(values)
        wanted = (folder / "shop.example.com.crt").read_text().strip()
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                served.append(outside.get("shop.example.com", "/productpage", scheme="https").certificate.strip())
            except OSError:
                served.append("")
            if served[-1] == wanted:
                break
            time.sleep(0.5)
        assert served[-1] == wanted
    assert len({one for one in served if one}) >= 2
