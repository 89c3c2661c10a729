"""What the example of the Gateway API cannot show with Bookinfo: gRPC, TLS to and through pods, and backends of another
namespace (#5)."""

from __future__ import annotations

import time

import pytest
import yaml
from backends import Backends, echo, server
from outside import Example, Outside
from owning import config
from test_template_fields import pair

ECHO = "proto.EchoTestService"
TLS = "tls.routes.example.com"
PARENT = "{namespace: istio-system, name: routes, sectionName: http}"


@pytest.fixture(scope="module")
def outside(lab):
    return Outside(lab)


@pytest.fixture(scope="module")
def routed(more_images, tmp_path_factory):
    """A pod that speaks gRPC, one that speaks TLS, and routes to both; the folder with its certificate."""
    lab, folder = more_images, tmp_path_factory.mktemp("tls")
    made, stamp = pair(folder, TLS), int(time.time()) % 10**6
    calls = Backends(lab, f"calls-{stamp}", echo(lab))
    calls.serve("calls", ("grpc", 7070, 7070))
    secure = Backends(lab, f"secure-{stamp}", server(lab, made.read_text()), port_name="tls")
    for name in ("trusted", "doubted"):
        secure.serve(name, ("https", 443, 8080))
    calls.add("c")
    secure.add("s")
    example = Example(lab, "routes")
    trust = config("ca", secure.namespace, **{"ca.crt": (folder / f"{TLS}.crt").read_text()})
    (example.folder / "ca.yaml").write_text(yaml.safe_dump(trust))
    example.has(f"""\
resources:
  manifests: [manifests/routes/ca.yaml]
  gateway_api:
    gateways:
      istio-system/routes:
        addresses: [{{type: Hostname, value: istio-ingressgateway.istio-system.svc.cluster.local}}]
        listeners:
          - name: http
            port: 80
            protocol: HTTP
            hostname: "*.routes.example.com"
            allowedRoutes: {{namespaces: {{from: All}}}}
          - name: tls
            port: 443
            protocol: TLS
            hostname: {TLS}
            tls: {{mode: Passthrough}}
            allowedRoutes: {{namespaces: {{from: All}}}}
    grpc_routes:
      {calls.namespace}/calls:
        parentRefs: [{PARENT}]
        hostnames: [calls.routes.example.com]
        rules:
          - matches: [{{method: {{service: {ECHO}, method: Echo}}}}]
            backendRefs: [{{name: calls, port: 7070}}]
    tls_routes:
      {secure.namespace}/handed-on:
        parentRefs: [{{namespace: istio-system, name: routes, sectionName: tls}}]
        hostnames: [{TLS}]
        rules: [{{backendRefs: [{{name: web, port: 80}}]}}]
    http_routes:
      {secure.namespace}/trusted:
        parentRefs: [{PARENT}]
        hostnames: [trusted.routes.example.com]
        rules: [{{backendRefs: [{{name: trusted, port: 443}}]}}]
      {secure.namespace}/doubted:
        parentRefs: [{PARENT}]
        hostnames: [doubted.routes.example.com]
        rules: [{{backendRefs: [{{name: doubted, port: 443}}]}}]
      bookinfo/granted:
        parentRefs: [{PARENT}]
        hostnames: [granted.routes.example.com]
        rules: [{{backendRefs: [{{namespace: {calls.namespace}, name: web, port: 80}}]}}]
      bookinfo/refused:
        parentRefs: [{PARENT}]
        hostnames: [refused.routes.example.com]
        rules: [{{backendRefs: [{{namespace: {calls.namespace}, name: calls, port: 7070}}]}}]
    reference_grants:
      {calls.namespace}/web:
        from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: bookinfo}}]
        to: [{{group: "", kind: Service, name: web}}]
    backend_tls_policies:
      {secure.namespace}/trusted:
        targetRefs: [{{group: "", kind: Service, name: trusted}}]
        validation: {{hostname: {TLS}, caCertificateRefs: [{{group: "", kind: ConfigMap, name: ca}}]}}
      {secure.namespace}/doubted:
        targetRefs: [{{group: "", kind: Service, name: doubted}}]
        validation:
          hostname: {TLS}
          caCertificateRefs: [{{group: "", kind: ConfigMap, name: ca}}]
          subjectAltNames: [{{type: Hostname, hostname: other.example.com}}]
""")
    yield folder
    example.clean()
    for backends in (calls, secure):
        lab.session.delete("v1", "Namespace", backends.namespace)


@pytest.mark.usefixtures("routed")
def test_a_grpc_route_takes_the_methods_that_it_names(outside):
    assert outside.until(lambda a: a.status == 200, "granted.routes.example.com").status == 200
    [(status, [said])] = outside.call("calls.routes.example.com", f"{ECHO}/Echo", {1: "hello"})
    assert (status, "Echo=hello" in said, "Hostname=c" in said) == ("0", True, True)
    [(status, said)] = outside.call("calls.routes.example.com", f"{ECHO}/ForwardEcho", {1: 1})
    # UNIMPLEMENTED: nobody has such a method.
    assert (status, said) == ("12", [])


def test_a_tls_route_hands_tls_to_the_pod(routed, outside):
    answer = outside.until(lambda a: a.status == 200, TLS, scheme="https")
    assert (answer.status, answer.text) == (200, "s")
    assert answer.certificate.strip() == (routed / f"{TLS}.crt").read_text().strip()


@pytest.mark.usefixtures("routed")
def test_a_backend_tls_policy_speaks_tls_with_whom_it_can_verify(outside):
    answer = outside.until(lambda a: a.status == 200, "trusted.routes.example.com")
    assert (answer.status, answer.text) == (200, "s")
    # The same pod and CA, but another name is wanted in the certificate.
    assert outside.until(lambda a: a.status == 503, "doubted.routes.example.com").status == 503


@pytest.mark.usefixtures("routed")
def test_a_backend_of_another_namespace_needs_a_reference_grant(outside):
    answer = outside.until(lambda a: a.status == 200, "granted.routes.example.com")
    assert (answer.status, "Hostname=c" in answer.text) == (200, True)
    assert outside.until(lambda a: a.status == 500, "refused.routes.example.com").status == 500
