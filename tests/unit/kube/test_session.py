from __future__ import annotations

import gzip
import hashlib
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from fakeapi import Authority, FakeApi, Reply, Request, b64, group, status, write_config

from meshwright.errors import BadInput, Forbidden, MeshwrightError, Refused, Unreachable
from meshwright.kube import ApiError, Session, open_session
from meshwright.project import Project
from meshwright.target import Local

Connect = Callable[..., Session]
PODS = "/api/v1/namespaces/shop/pods"
DEPLOYMENTS = "/apis/apps/v1/namespaces/shop/deployments"


def pod(name: str) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": "shop"}}


def deployment(name: str = "web") -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"}}


def query(request: Request) -> dict[str, str]:
    return {k: v[0] for k, v in parse_qs(urlsplit(request.path).query).items()}


# The four states


def test_present(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", f"{PODS}/web"] = Reply(body=pod("web"))
    assert connect().get("v1", "Pod", "web", "shop") == pod("web")
    assert api.requests[-1].headers["authorization"] == "Bearer t0ken"


def test_absent_is_what_the_server_itself_says(connect: Connect) -> None:
    assert connect().get("v1", "Pod", "web", "shop") is None


def test_a_404_page_that_no_api_server_wrote_proves_nothing(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", f"{PODS}/web"] = Reply(404, b"<html>default backend</html>")
    with pytest.raises(Unreachable, match="is not an API server"):
        connect().get("v1", "Pod", "web", "shop")


def test_an_unknown_kind_is_absent(connect: Connect) -> None:
    session = connect()
    assert session.resource("example.io/v1", "Widget") is None
    assert session.get("example.io/v1", "Widget", "a", "shop") is None
    assert session.list("example.io/v1", "Widget") == []


def test_discovery_that_fails_is_not_an_unknown_kind(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", "/apis"] = Reply(404, b"404 page not found")
    with pytest.raises(Unreachable, match="is not an API server"):
        connect().resource("example.io/v1", "Widget")
    api.answers["GET", "/apis"] = Reply(200, b"<html>sign in</html>")
    with pytest.raises(Unreachable, match="no JSON object"):
        connect().resource("example.io/v1", "Widget")
    api.answers["GET", "/apis"] = Reply(body={"kind": "APIGroupList", "groups": []})
    with pytest.raises(Unreachable, match="not with aggregated discovery"):
        connect().resource("example.io/v1", "Widget")


def test_a_kind_whose_own_server_is_away_is_unreachable(api: FakeApi, connect: Connect) -> None:
    items = [group("metrics.k8s.io", "v1beta1", fresh=False)]
    api.answers["GET", "/apis"] = Reply(body={"kind": "APIGroupDiscoveryList", "items": items})
    with pytest.raises(Unreachable, match=r"knows metrics.k8s.io/v1beta1, but what serves it"):
        connect().list("metrics.k8s.io/v1beta1", "NodeMetrics")


def test_a_kind_that_comes_later_is_found(api: FakeApi, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meshwright.kube.discovery._MISS_IS_GOOD_FOR", 0)
    session = connect()
    assert session.resource("example.io/v1", "Widget") is None
    items = [group("example.io", "v1", ("Widget", "widgets", True))]
    api.answers["GET", "/apis"] = Reply(body={"kind": "APIGroupDiscoveryList", "items": items})
    found = session.resource("example.io/v1", "Widget")
    assert found is not None
    assert found.object("a", "b") == "/apis/example.io/v1/namespaces/b/widgets/a"


def test_a_kind_that_was_removed_since_is_absent(api: FakeApi, connect: Connect) -> None:
    session = connect()
    assert session.resource("apps/v1", "Deployment")
    api.answers["GET", "/apis"] = Reply(body={"kind": "APIGroupDiscoveryList", "items": []})
    api.answers["GET", "/apis/apps/v1/deployments"] = Reply(404, b"404 page not found")
    api.answers["GET", f"{DEPLOYMENTS}/web"] = Reply(404, b"404 page not found")
    assert session.list("apps/v1", "Deployment") == []
    assert session.get("apps/v1", "Deployment", "web", "shop") is None


def test_forbidden_names_verb_resource_and_what_the_server_said(api: FakeApi, connect: Connect) -> None:
    said = 'pods is forbidden: User "op" cannot list resource "pods" in API group "" in the namespace "shop"'
    api.answers["GET", PODS] = status(403, "Forbidden", said)
    with pytest.raises(Forbidden) as error:
        connect().list("v1", "Pod", "shop")
    assert error.value.message == f"context lab may not list Pod in namespace shop (403: {said})"


def test_forbidden_for_a_write_by_rights_or_by_admission(api: FakeApi, connect: Connect) -> None:
    session = connect()
    rights = 'deployments.apps "web" is forbidden: User "op" cannot patch resource "deployments" in API group "apps"'
    api.answers["PATCH", f"{DEPLOYMENTS}/web"] = status(403, "Forbidden", rights)
    with pytest.raises(Forbidden, match="may not apply Deployment shop/web"):
        session.apply(deployment())
    quota = 'deployments.apps "web" is forbidden: exceeded quota: small'
    api.answers["PATCH", f"{DEPLOYMENTS}/web"] = status(403, "Forbidden", quota)
    with pytest.raises(ApiError, match="exceeded quota"):
        session.apply(deployment())


def test_unauthorized(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", PODS] = status(401, "Unauthorized", "Unauthorized")
    with pytest.raises(Forbidden, match=r"does not accept the credentials of context lab \(401"):
        connect().list("v1", "Pod", "shop")
    assert api.paths().count(f"{PODS}?limit=500") == 1


def test_an_expired_client_certificate_is_named(api: FakeApi, connect: Connect, authority: Authority) -> None:
    certificate, key = authority.issue("op", days=(-20, -10))
    api.answers["GET", PODS] = status(401, "Unauthorized", "Unauthorized")
    # This server only asks for a certificate where a Go one would look at it itself.
    api.accept_any_certificate()
    session = connect({"client-certificate-data": b64(certificate), "client-key-data": b64(key)})
    with pytest.raises(
        Forbidden, match=r"client certificate of context lab in .*kubeconfig expired on \d{4}-\d\d-\d\d"
    ):
        session.list("v1", "Pod", "shop")


def test_a_client_certificate_is_shown(api: FakeApi, connect: Connect, authority: Authority, tmp_path: Path) -> None:
    certificate, key = authority.issue("op")
    user = {"client-certificate-data": b64(certificate), "client-key-data": b64(key)}
    before = set(tmp_path.rglob("*"))
    assert connect(user).get("v1", "Pod", "web", "shop") is None
    assert api.requests[-1].certificate["subject"] == ((("commonName", "op"),),)
    assert set(tmp_path.rglob("*")) - before == {tmp_path / "kubeconfig"}


def test_a_key_of_another_certificate_is_refused_before_anything_is_sent(
    api: FakeApi, connect: Connect, authority: Authority
) -> None:
    user = {
        "client-certificate-data": b64(authority.issue("op")[0]),
        "client-key-data": b64(authority.issue("op")[1]),
    }
    with pytest.raises(BadInput, match="does not belong to its client-certificate"):
        connect(user).version()
    assert not api.requests


# Unreachable


def test_nothing_listens(connect: Connect) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Unreachable, match=rf"API server at https://127.0.0.1:{port} gives no answer: .*refused"):
        connect(server=f"https://127.0.0.1:{port}").get("v1", "Pod", "web", "shop")


def test_a_name_that_does_not_resolve(connect: Connect) -> None:
    with pytest.raises(Unreachable, match=r"API server at https://no.such.host.invalid:6443 gives no answer"):
        connect(server="https://no.such.host.invalid:6443").version()


def test_a_certificate_of_another_cluster(connect: Connect, api: FakeApi) -> None:
    with pytest.raises(Unreachable) as error:
        connect(ca=Authority("another").pem).version()
    assert error.value.message == (
        f"the API server at {api.url} presents a certificate that the kubeconfig's CA did not sign: "
        "it may be another cluster"
    )


def test_a_certificate_for_another_name(connect: Connect, api: FakeApi) -> None:
    with pytest.raises(Unreachable, match="presents a certificate that is not for localhost"):
        connect(server=f"https://localhost:{api.port}").version()


def test_tls_server_name(connect: Connect, api: FakeApi) -> None:
    session = connect(server=f"https://localhost:{api.port}", **{"tls-server-name": "api.example"})
    assert session.get("v1", "Pod", "web", "shop") is None


def test_an_expired_server_certificate(authority: Authority, tmp_path: Path, connect: Connect) -> None:
    api = FakeApi(*authority.issue("kube-apiserver", days=(-20, -10)), None, tmp_path)
    try:
        with pytest.raises(Unreachable, match="presents a certificate that has expired"):
            connect(server=api.url).version()
        session = connect(server=api.url, ca=None, **{"insecure-skip-tls-verify": True})
        assert session.get("v1", "Pod", "web", "shop") is None
    finally:
        api.close()


def test_something_that_does_not_speak_tls(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Unreachable, match="does not speak TLS"):
            connect(server=f"https://127.0.0.1:{server.getsockname()[1]}").version()
        thread.join()


def test_something_that_never_answers(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        start = time.monotonic()
        with pytest.raises(Unreachable, match="did not finish the TLS handshake in time"):
            connect(server=f"https://127.0.0.1:{server.getsockname()[1]}", timeout=0.3).version()
        assert time.monotonic() - start < 2


def test_a_call_ends_at_its_deadline_even_while_bytes_drip(api: FakeApi, connect: Connect) -> None:
    over = threading.Event()

    def drip(handler: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n")
        for _ in range(50):
            if over.wait(0.05):
                return
            handler.wfile.write(b"x")

    api.answers["GET", "/version"] = Reply(take_over=drip)
    start = time.monotonic()
    with pytest.raises(Unreachable, match="did not answer GET /version in time"):
        connect(timeout=0.4).version()
    over.set()
    assert time.monotonic() - start < 1.5


def test_a_read_is_repeated_once_when_its_connection_had_died(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", "/version"] = [Reply(hang_up=True), Reply(body={"gitVersion": "v1.35.4"})]
    assert connect().version() == "v1.35.4"
    api.answers["GET", "/version"] = Reply(hang_up=True)
    with pytest.raises(Unreachable, match="ended GET /version"):
        connect().version()
    assert api.paths().count("/version") == 4


def test_a_write_is_not_repeated_when_its_connection_dies(api: FakeApi, connect: Connect) -> None:
    api.answers["PATCH", f"{DEPLOYMENTS}/web"] = Reply(hang_up=True)
    with pytest.raises(Unreachable, match="whether it was done is not known"):
        connect().apply(deployment())
    assert len(api.paths("PATCH")) == 1


# Busy servers


def test_retry_after_is_honoured_for_writes_too(api: FakeApi, connect: Connect) -> None:
    busy = status(429, "TooManyRequests", "slow down")
    busy.headers["retry-after"] = "0"
    api.answers["PATCH", f"{DEPLOYMENTS}/web"] = [busy, busy, Reply(body=deployment())]
    assert connect().apply(deployment()) == deployment()


def test_retry_after_beyond_the_deadline_is_an_error(api: FakeApi, connect: Connect) -> None:
    busy = status(429, "TooManyRequests", "slow down")
    busy.headers["retry-after"] = "60"
    api.answers["GET", PODS] = busy
    start = time.monotonic()
    with pytest.raises(ApiError, match="slow down") as error:
        connect(timeout=2).list("v1", "Pod", "shop")
    assert error.value.status == 429
    assert time.monotonic() - start < 1


# Lists


def test_lists_are_paged_and_items_are_whole(api: FakeApi, connect: Connect) -> None:
    def page(request: Request) -> Reply:
        after = query(request).get("continue", "0")
        items = [pod(f"p{after}")]
        more = {"0": "1", "1": "2", "2": ""}[after]
        return Reply(body={"kind": "PodList", "metadata": {"continue": more}, "items": items})

    api.answers["GET", PODS] = page
    found = connect().list("v1", "Pod", "shop", labels="app in (a,b)", fields="status.phase=Running")
    assert [p["metadata"]["name"] for p in found] == ["p0", "p1", "p2"]
    assert {(p["apiVersion"], p["kind"]) for p in found} == {("v1", "Pod")}
    assert query(api.requests[-1]) == {
        "limit": "500",
        "continue": "2",
        "labelSelector": "app in (a,b)",
        "fieldSelector": "status.phase=Running",
    }


def test_a_list_of_metadata_asks_for_no_more(api: FakeApi, connect: Connect) -> None:
    partial = {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": {"name": "a"}}
    api.answers["GET", PODS] = Reply(body={"items": [partial]})
    [found] = connect().list("v1", "Pod", "shop", metadata_only=True)
    assert found == {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}
    assert "as=PartialObjectMetadataList" in api.requests[-1].headers["accept"]


@pytest.mark.parametrize("verb", ["apply", "create", "replace", "patch", "delete"])
def test_a_guard_stands_before_each_write_and_before_nothing_else(api: FakeApi, connect: Connect, verb: str) -> None:
    def refuse() -> None:
        raise Refused("the lease was lost")

    writes: dict[str, Callable[[Session], Any]] = {
        "apply": lambda session: session.apply(deployment()),
        "create": lambda session: session.create(deployment()),
        "replace": lambda session: session.replace(deployment()),
        "patch": lambda session: session.patch("apps/v1", "Deployment", "web", "shop", body={}),
        "delete": lambda session: session.delete("apps/v1", "Deployment", "web", "shop"),
    }
    session = connect()
    session.guard = refuse
    assert session.get("apps/v1", "Deployment", "web", "shop") is None
    api.answers["PATCH", f"{DEPLOYMENTS}/web"] = Reply(body=deployment())
    assert session.apply(deployment(), dry_run=True)
    sent = len(api.requests)
    with pytest.raises(Refused, match="the lease was lost"):
        writes[verb](session)
    assert len(api.requests) == sent


def test_a_list_that_expires_on_the_way_begins_again(api: FakeApi, connect: Connect) -> None:
    first = Reply(body={"metadata": {"continue": "x"}, "items": [pod("old")]})
    last = Reply(body={"metadata": {}, "items": [pod("new")]})
    api.answers["GET", "/api/v1/pods"] = [first, status(410, "Expired", "too old"), last]
    assert [p["metadata"]["name"] for p in connect().list("v1", "Pod")] == ["new"]


def test_gzip(api: FakeApi, connect: Connect) -> None:
    body = gzip.compress(json.dumps({"gitVersion": "v1.35.4"}).encode())
    api.answers["GET", "/version"] = Reply(body=body, headers={"content-encoding": "gzip"})
    assert connect().version() == "v1.35.4"
    api.answers["GET", "/version"] = Reply(body=body[:-12], headers={"content-encoding": "gzip"})
    with pytest.raises(Unreachable, match="ended GET /version"):
        connect().version()


# Writes


def test_apply_is_server_side_and_strict(api: FakeApi, connect: Connect) -> None:
    api.answers["PATCH", f"{DEPLOYMENTS}/web"] = Reply(body=deployment())
    session = connect()
    session.apply(deployment())
    assert query(api.requests[-1]) == {"fieldManager": "meshwright", "fieldValidation": "Strict"}
    assert api.requests[-1].headers["content-type"] == "application/apply-patch+yaml"
    assert api.requests[-1].json == deployment()
    session.apply(deployment(), manager="istio-operator", force=True, dry_run=True)
    assert query(api.requests[-1]) == {
        "fieldManager": "istio-operator",
        "fieldValidation": "Strict",
        "force": "true",
        "dryRun": "All",
    }


def test_a_conflict_keeps_its_causes(api: FakeApi, connect: Connect) -> None:
    cause = {"reason": "FieldManagerConflict", "message": 'conflict with "kubectl"', "field": ".spec.replicas"}
    api.answers["PATCH", f"{DEPLOYMENTS}/web"] = status(409, "Conflict", "Apply failed", causes=[cause])
    with pytest.raises(ApiError) as error:
        connect().apply(deployment())
    assert (error.value.status, error.value.reason, error.value.causes) == (409, "Conflict", [cause])
    assert error.value.message == "cannot apply Deployment shop/web: Apply failed"


def test_a_webhook_that_cannot_be_called_is_not_the_objects_fault(api: FakeApi, connect: Connect) -> None:
    said = (
        'Internal error occurred: failed calling webhook "validation.istio.io": failed to call webhook: '
        'Post "https://istiod.istio-system.svc:443/validate?timeout=10s": dial tcp 10.43.0.9:443: connection refused'
    )
    api.answers["PATCH", f"{DEPLOYMENTS}/web"] = status(500, "InternalError", said)
    with pytest.raises(ApiError, match=r"webhook validation.istio.io is unavailable .*connection refused") as error:
        connect().apply(deployment())
    assert (error.value.webhook, error.value.denied_by) == ("validation.istio.io", "")
    denied = 'admission webhook "validation.istio.io" denied the request: hosts must not be empty'
    api.answers["PATCH", f"{DEPLOYMENTS}/web"] = status(400, "BadRequest", denied)
    with pytest.raises(ApiError, match="hosts must not be empty") as error:
        connect().apply(deployment())
    assert (error.value.webhook, error.value.denied_by) == ("", "validation.istio.io")


def test_writes_of_unknown_kinds_and_without_a_namespace_are_bad_input(connect: Connect) -> None:
    session = connect()
    with pytest.raises(BadInput, match=r"does not know Widget of example.io/v1"):
        session.apply({"apiVersion": "example.io/v1", "kind": "Widget", "metadata": {"name": "a"}})
    with pytest.raises(BadInput, match="Deployment web is namespaced"):
        session.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}})


def test_create_replace_patch_and_subresources(api: FakeApi, connect: Connect) -> None:
    api.answers["POST", DEPLOYMENTS] = Reply(201, deployment())
    api.answers["PUT", f"{DEPLOYMENTS}/web"] = Reply(body=deployment())
    api.answers["PATCH", f"{DEPLOYMENTS}/web/status"] = Reply(body=deployment())
    session = connect()
    session.create(deployment())
    session.replace(deployment())
    session.patch("apps/v1", "Deployment", "web", "shop", body={"status": {"replicas": 1}}, subresource="status")
    assert api.requests[-1].json == {"status": {"replicas": 1}}
    assert api.requests[-1].headers["content-type"] == "application/merge-patch+json"


def test_delete_says_whether_it_was_there(api: FakeApi, connect: Connect) -> None:
    session = connect()
    assert session.delete("apps/v1", "Deployment", "web", "shop") is False
    api.answers["DELETE", f"{DEPLOYMENTS}/web"] = Reply(body={"kind": "Status", "status": "Success"})
    assert session.delete("apps/v1", "Deployment", "web", "shop", uid="u-1") is True
    assert api.requests[-1].json["preconditions"] == {"uid": "u-1"}
    assert session.delete("example.io/v1", "Widget", "web", "shop") is False


# The server itself


def test_ready(api: FakeApi, connect: Connect) -> None:
    session = connect()
    api.answers["GET", "/readyz"] = [Reply(500, b"[-]etcd failed"), Reply(200, b"ok"), Reply(502, b"bad gateway")]
    assert session.ready() is False
    assert session.ready() is True
    with pytest.raises(Unreachable):
        session.ready()


def test_identity_is_uid_and_ca(api: FakeApi, connect: Connect, authority: Authority) -> None:
    session = connect()
    with pytest.raises(MeshwrightError, match="has no Namespace kube-system"):
        session.identity()
    api.answers["GET", "/api/v1/namespaces/kube-system"] = Reply(body={"metadata": {"uid": "93a4"}})
    found = session.identity()
    assert (found.uid, found.ca_sha256) == ("93a4", hashlib.sha256(authority.der).hexdigest())
    two = connect(ca=authority.pem + Authority("new").pem).identity().ca_sha256
    assert two not in ("", found.ca_sha256)


def test_raw(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", f"{PODS}/web/log"] = [Reply(200, b"line\n"), status(404, "NotFound", 'pods "web" not found')]
    session = connect()
    assert session.get_raw(f"{PODS}/web/log?container=web") == b"line\n"
    with pytest.raises(ApiError, match="not found"):
        session.get_raw(f"{PODS}/web/log?container=web")


def test_a_server_behind_a_path(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", "/k8s/clusters/c-1/version"] = Reply(body={"gitVersion": "v1"})
    assert connect(server=f"{api.url}/k8s/clusters/c-1/").version() == "v1"


# Many calls


def test_one_connection_serves_calls_in_turn(api: FakeApi, connect: Connect) -> None:
    session = connect()
    for _ in range(5):
        session.get("v1", "Pod", "web", "shop")
    assert len({r.port for r in api.requests}) == 1


def test_at_most_eight_calls_run_at_once(api: FakeApi, connect: Connect) -> None:
    lock, running, most = threading.Lock(), 0, 0

    def slow(_request: Request) -> Reply:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.05)
        with lock:
            running -= 1
        return Reply(body=pod("web"))

    api.answers["GET", f"{PODS}/web"] = slow
    session = connect()
    threads = [threading.Thread(target=session.get, args=("v1", "Pod", "web", "shop")) for _ in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 8


def test_map_keeps_order_and_raises_the_first_error(connect: Connect) -> None:
    session = connect()
    assert session.map(lambda n: n * n, range(30)) == [n * n for n in range(30)]
    assert session.map(len, []) == []
    began = []

    def work(n: int) -> None:
        began.append(n)
        if n == 3:
            raise Unreachable("gone")
        time.sleep(0.02)

    with pytest.raises(Unreachable, match="gone"):
        session.map(work, range(100))
    assert len(began) < 40


def test_open_session_is_shared_by_all_who_ask(api: FakeApi, authority: Authority, tmp_path: Path) -> None:
    target = Local(Project(tmp_path))
    path = str(write_config(tmp_path, api.url, authority.pem))
    assert open_session(target, path, "lab") is open_session(target, path, "lab")
    assert not api.requests
    target.close()


def versions(name: str, *found: tuple[str, bool, tuple[str, str, bool] | None]) -> dict[str, object]:
    """One group with several versions, by preference: (version, fresh, resource)."""
    groups = [group(name, version, *([kind] if kind else []), fresh=fresh) for version, fresh, kind in found]
    return groups[0] | {"versions": [each["versions"][0] for each in groups]}


WIDGET = ("Widget", "widgets", True)


def serving(api: FakeApi, *groups: dict[str, object]) -> None:
    api.answers["GET", "/apis"] = Reply(body={"kind": "APIGroupDiscoveryList", "items": list(groups)})


def test_a_kind_is_found_in_the_version_that_the_server_prefers(api: FakeApi, connect: Connect) -> None:
    serving(
        api,
        versions("other.io", ("v9", True, WIDGET)),
        versions("example.io", ("v2", True, None), ("v1", True, WIDGET), ("v1beta1", True, WIDGET)),
    )
    session = connect()
    found = session.preferred("example.io", "Widget")
    assert found is not None
    assert found.api_version == "example.io/v1"
    pod = session.preferred("", "Pod")
    assert pod is not None
    assert pod.api_version == "v1"
    assert session.preferred("example.io", "Gadget") is None


def test_a_preferred_kind_that_comes_later_is_found(
    api: FakeApi, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("meshwright.kube.discovery._MISS_IS_GOOD_FOR", 0)
    session = connect()
    assert session.preferred("example.io", "Widget") is None
    serving(api, versions("example.io", ("v1", True, WIDGET)))
    assert session.preferred("example.io", "Widget") is not None


def test_a_preferred_kind_whose_own_server_is_away_is_not_absent(api: FakeApi, connect: Connect) -> None:
    serving(api, versions("example.io", ("v1", False, None)))
    with pytest.raises(Unreachable, match=r"knows example.io/v1, but what serves it does not answer"):
        connect().preferred("example.io", "Widget")
    # Another group's silence says nothing about this one.
    assert connect().preferred("other.io", "Widget") is None
