from __future__ import annotations

import json
from typing import Any

import pytest
from fakes import FakeTarget, environment
from mesh import made
from talking import Mesh, adding, envoy_filter, virtual_service

from meshwright import analysis, cluster, proof, pushes, taken, tools, traces
from meshwright.errors import Exit, Unreachable, Unverified
from meshwright.kube import portforward
from meshwright.taken import Before, Taken

Object = dict[str, Any]
ROUTED = {"80": {"name": "80", "metadata": {"config": "/apis/x/namespaces/bookinfo/virtual-service/web"}}}


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    found = Mesh()
    monkeypatch.setattr(portforward, "http_get", found.get)
    for module in (pushes, proof, taken):
        monkeypatch.setattr(module, "time", found.clock)
    monkeypatch.setattr(tools, "installed", lambda *_: "/bin/istioctl")
    monkeypatch.setattr(tools, "path", lambda *_: "/bin/istioctl")
    monkeypatch.setattr(cluster, "kubeconfig_path", lambda *_: "/kubeconfig")
    monkeypatch.setattr(cluster, "context", lambda *_: "lab")
    for proxy in found.proxies.values():
        proxy.routes = ROUTED
    return found


@pytest.fixture
def go(mesh: Mesh, host: FakeTarget) -> Any:
    """Writes objects into the cluster and waits until the proxies have taken them."""
    host.answer("analyze", "[]")
    env = environment(istio={"version": "1.30.3", "hub": "docker.io/istio", "timeout": 5})

    def run(*written: Object, deleted: tuple[Object, ...] = (), meanwhile: Any = None) -> Taken | None:
        before = taken.look(mesh.session, env, [*written, *deleted])
        for obj in written:
            mesh.session.put(obj)
        for obj in deleted:
            metadata = obj["metadata"]
            del mesh.session.objects[obj["apiVersion"], obj["kind"], metadata["namespace"], metadata["name"]]
        mesh.pushes = {name: number + 1 for name, number in mesh.pushes.items()}
        if meanwhile:
            meanwhile()
        mesh.asked.clear()
        return taken.wait(host, env, mesh.session, written, list(deleted), before)

    return run


def test_all_proxies_that_it_concerns_have_it(mesh: Mesh, go: Any, host: FakeTarget) -> None:
    done = go(virtual_service())
    assert (done.count, done.concerned, done.istiods) == (2, 2, 1)
    assert host.sentences == [str(done)]
    assert str(done).startswith("taken by 2 of 2 proxies, 1 istiod, ")
    # The gateway is not asked: nobody named it.
    assert {name for name, path in mesh.asked if path == "/config_dump"} == {"web", "ratings"}


def test_what_is_not_for_proxies_is_nothing_to_prove(mesh: Mesh, go: Any) -> None:
    assert go(made("v1", "ConfigMap", "a", "bookinfo")) is None
    assert mesh.asked == []


def test_every_istiod_is_asked(mesh: Mesh, go: Any) -> None:
    mesh.add_istiod("istiod-2")
    mesh.proxies["ratings.bookinfo"].istiod = "istiod-2"
    assert go(virtual_service()).istiods == 2
    assert {name for name, path in mesh.asked if path == "/debug/configz"} == {"istiod-1", "istiod-2"}
    mesh.overrides["istiod-2/debug/configz"] = []
    with pytest.raises(
        Unverified, match=r"istiod istio-system/istiod-2: .* has not read VirtualService bookinfo/web yet"
    ):
        go(virtual_service())


def test_a_proxy_that_refuses_it_is_named_with_the_reason(mesh: Mesh, go: Any, host: FakeTarget) -> None:
    def refuse() -> None:
        mesh.proxies["web.bookinfo"].error = "no such filter"

    with pytest.raises(Unverified) as failed:
        go(virtual_service(), meanwhile=refuse)
    assert failed.value.exit_code is Exit.UNVERIFIED
    assert failed.value.message == "1 of 2 proxies refused the configuration: bookinfo/web: Listener: no such filter"


def test_a_proxy_that_refused_before_is_told_apart(mesh: Mesh, go: Any, host: FakeTarget) -> None:
    mesh.proxies["web.bookinfo"].error = "no such filter"
    done = go(virtual_service())
    assert (done.count, done.concerned) == (1, 2)
    said = "warning: bookinfo/web refused configuration before this apply, and still does: Listener: no such filter"
    assert said in host.sentences


def test_a_new_reason_is_the_fault_of_this_apply(mesh: Mesh, go: Any) -> None:
    web = mesh.proxies["web.bookinfo"]
    web.error = "no such filter"
    with pytest.raises(Unverified, match="refused the configuration: bookinfo/web: Listener: another thing"):
        go(virtual_service(), meanwhile=lambda: setattr(web, "error", "another thing"))


def test_one_that_refused_before_and_takes_it_now_is_fine(mesh: Mesh, go: Any, host: FakeTarget) -> None:
    web = mesh.proxies["web.bookinfo"]
    web.error = "no such filter"

    def mend(_who: str, path: str) -> None:
        if mesh.asked.count(("istiod-1", "/debug/syncz")) == 3:
            web.error = ""

    mesh.script = mend
    assert go(virtual_service()).count == 2
    assert not any("refused" in sentence for sentence in host.sentences)


def test_without_a_look_before_it_is_not_said_whose_fault_a_refusal_is(mesh: Mesh, host: FakeTarget) -> None:
    mesh.session.put(virtual_service())
    mesh.proxies["web.bookinfo"].error = "no such filter"
    host.answer("analyze", "[]")
    before = Before(unknown="no istiod was ready")
    with pytest.raises(Unverified, match=r"\(whether it did before is not known: no istiod was ready\)"):
        taken.wait(host, environment(), mesh.session, [virtual_service()], [], before)


def silence(mesh: Mesh) -> None:
    mesh.proxies["web.bookinfo"].silent = Unreachable("port 15000 of pod bookinfo/web did not answer in time")


def unsent(mesh: Mesh) -> None:
    mesh.proxies["web.bookinfo"].sent = "v/2"


def unpushed(mesh: Mesh) -> None:
    mesh.proxies["web.bookinfo"].number = 7


def differing(mesh: Mesh) -> None:
    mesh.proxies["web.bookinfo"].held = {"80": {"name": "80"}}


def unconnected(mesh: Mesh) -> None:
    del mesh.proxies["web.bookinfo"]


@pytest.mark.parametrize(
    ("breaking", "why"),
    [
        (silence, "port 15000 of pod bookinfo/web did not answer in time"),
        (unsent, "it has not taken the last Listener yet"),
        (unpushed, "istio-system/istiod-1 has not pushed to it yet"),
        (differing, "its RouteConfiguration 80 is another one at metadata"),
        (unconnected, "it is connected to no istiod"),
    ],
)
def test_the_deadline_names_who_is_late_and_why(mesh: Mesh, go: Any, breaking: Any, why: str) -> None:
    with pytest.raises(Unverified) as failed:
        go(virtual_service(), meanwhile=lambda: breaking(mesh))
    assert failed.value.message == f"after 5 s not everybody has taken what was applied: bookinfo/web: {why}"


@pytest.mark.parametrize("turns", [0, 3])
def test_a_push_of_endpoints_alone_leaves_the_state_of_proxies_as_it_is(mesh: Mesh, go: Any, turns: int) -> None:
    def endpoints() -> None:
        for proxy in mesh.proxies.values():
            proxy.number = 7

    def line(_who: str, path: str) -> None:
        # Nobody waits in line any more; or as many as there are proxies have had their turn.
        mesh.turns += turns if path == "/metrics" else 0

    mesh.script = line
    assert go(virtual_service(), meanwhile=endpoints).count == 2


def test_no_istiod_at_all(mesh: Mesh, go: Any) -> None:
    gone = lambda: mesh.session.objects.pop(("v1", "Pod", "istio-system", "istiod-1"))  # noqa: E731
    with pytest.raises(Unverified, match="istiod: no replica is ready"):
        go(virtual_service(), meanwhile=gone)
    assert taken.look(mesh.session, environment(), [virtual_service()]).unknown == "no istiod was ready"


def test_a_cluster_without_istiod_is_not_verified(mesh: Mesh, go: Any, host: FakeTarget) -> None:
    del mesh.session.objects["v1", "Pod", "istio-system", "istiod-1"]
    del mesh.session.objects["apps/v1", "Deployment", "istio-system", "istiod"]
    assert go(virtual_service()) is None
    assert host.sentences == ["warning: not verified: namespace istio-system has no istiod, so no proxy was asked"]


def test_an_istiod_that_cannot_be_asked_before_is_told(mesh: Mesh) -> None:
    mesh.overrides["/debug/syncz"] = Unreachable("nobody there")
    assert taken.look(mesh.session, environment(), [virtual_service()]).unknown == "nobody there"


def test_an_envoy_of_another_version_may_show_fields_otherwise(mesh: Mesh, go: Any, host: FakeTarget) -> None:
    web = mesh.proxies["web.bookinfo"]
    web.held, web.version = {"80": {"name": "80"}}, "1.29.0"
    assert go(virtual_service()).count == 2
    assert any(
        "of another version than istiod" in sentence and "bookinfo/web" in sentence for sentence in host.sentences
    )


def test_a_proxy_that_is_not_ready_is_not_verified(mesh: Mesh, go: Any, host: FakeTarget) -> None:
    mesh.add("new")
    for state in mesh.session.objects["v1", "Pod", "bookinfo", "new"]["status"]["initContainerStatuses"]:
        state["ready"] = False
    mesh.proxies["new.bookinfo"].sent = "v/2"
    assert go(virtual_service()).concerned == 2
    assert "warning: not verified, because not ready: bookinfo/new" in host.sentences


def test_one_that_stops_being_ready_is_waited_for(mesh: Mesh, go: Any) -> None:
    silence(mesh)
    states = mesh.session.objects["v1", "Pod", "bookinfo", "web"]["status"]["initContainerStatuses"]

    def stop(who: str, path: str) -> None:
        if (who, path) == ("web", "/config_dump"):
            states[0]["ready"] = False

    mesh.script = stop
    with pytest.raises(Unverified, match="bookinfo/web: port 15000"):
        go(virtual_service())


def test_not_all_dumps_of_a_large_mesh_are_read_and_that_is_said(
    mesh: Mesh, go: Any, host: FakeTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "LARGEST", 1)
    done = go(virtual_service())
    assert (done.count, done.concerned) == (2, 2)
    assert len({name for name, path in mesh.asked if path == "/config_dump"}) == 1
    assert any("compared for 1 of 2 proxies" in sentence for sentence in host.sentences)
    mesh.proxies["web.bookinfo"].sent = "v/2"
    with pytest.raises(Unverified, match="bookinfo/web: it has not taken the last Listener yet"):
        go(virtual_service())


# Who was concerned before counts too


def test_what_an_object_concerned_before_its_change_is_asked_too(mesh: Mesh, go: Any) -> None:
    mesh.session.put(made("networking.istio.io/v1", "Gateway", "front", "bookinfo", spec={"selector": {}}))
    mesh.session.put(virtual_service(gateways=["front"]))
    assert go(virtual_service()).concerned == 3
    assert go(deleted=(virtual_service(),)).concerned == 2


def test_a_kind_that_istiod_does_not_show_is_not_verified(mesh: Mesh, go: Any, host: FakeTarget) -> None:
    mesh.kinds, mesh.unread = set(), {"web"}
    go(virtual_service())
    assert any("not verified: istiod does not show which objects of kind VirtualService" in s for s in host.sentences)


# Objects that nobody uses


@pytest.mark.parametrize(
    ("obj", "said"),
    [
        (virtual_service(gateways=["none"]), "it selects none, and neither do the gateways that it names"),
        (envoy_filter(app="nobody"), "it selects none"),
        (virtual_service("elsewhere", http=[{}]), "no route of the 2 proxies that it may concern comes from it"),
        (envoy_filter("limit", adding("test.limit")), "it changes nothing in the 2 proxies that it selects"),
    ],
)
def test_an_object_that_nobody_uses_is_told(go: Any, host: FakeTarget, obj: Object, said: str) -> None:
    assert go(obj) is not None
    [warning] = [sentence for sentence in host.sentences if sentence.startswith("warning: no proxy uses")]
    assert said in warning
    assert obj["metadata"]["name"] in warning


@pytest.mark.parametrize(
    "obj",
    [
        virtual_service(http=[{}]),
        virtual_service("elsewhere", tls=[{}]),
        made("networking.istio.io/v1beta1", "ProxyConfig", "few", "bookinfo", spec={}),
    ],
)
def test_one_that_may_be_of_use_is_not(mesh: Mesh, go: Any, host: FakeTarget, obj: Object) -> None:
    mesh.kinds.add(("networking.istio.io", "ProxyConfig"))
    assert go(obj) is not None
    assert not any("no proxy uses" in sentence for sentence in host.sentences)


def changed(mesh: Mesh, name: str) -> None:
    for proxy in mesh.proxies.values():
        proxy.routes = {**ROUTED, "9080": {"name": "9080", "filters": [{"name": name}]}}


def test_a_filter_that_does_something_beside_one_that_does_nothing(mesh: Mesh, go: Any, host: FakeTarget) -> None:
    go(
        envoy_filter("one", adding("test.one")),
        envoy_filter("two", adding("test.two")),
        envoy_filter("three", adding("test.three", "MERGE")),
        meanwhile=lambda: changed(mesh, "test.one"),
    )
    told = [sentence for sentence in host.sentences if "no proxy uses" in sentence]
    assert len(told) == 1
    assert "EnvoyFilter bookinfo/two: nothing that it adds is in the 2 proxies" in told[0]


@pytest.mark.parametrize(
    ("vhost", "said"),
    [
        ({"name": "shop:80"}, ""),
        ({"name": "shop:80", "route": {"name": "page"}}, ""),
        ({"name": "shpo:80"}, "no virtual host shpo:80 is in the 2 proxies that it selects"),
        ({"name": "shop:80", "route": {"name": "paeg"}}, "no route paeg is in the 2 proxies that it selects"),
        ({"name": "b\\h"}, ""),  # written otherwise in a dump
    ],
)
def test_a_patch_of_a_virtual_host_or_route_that_nobody_has(
    mesh: Mesh, go: Any, host: FakeTarget, vhost: Object, said: str
) -> None:
    routed = {"name": "80", "virtualHosts": [{"name": "shop:80", "routes": [{"name": "page"}]}]}

    def meanwhile() -> None:
        for proxy in mesh.proxies.values():
            proxy.routes = {"80": routed}

    patch = {
        "applyTo": "HTTP_ROUTE",
        "match": {"routeConfiguration": {"vhost": vhost}},
        "patch": {"operation": "MERGE"},
    }
    go(envoy_filter("limit", patch), meanwhile=meanwhile)
    told = [sentence for sentence in host.sentences if "no proxy uses" in sentence]
    start = "warning: no proxy uses all of EnvoyFilter bookinfo/limit: configPatches[0] fits nothing: "
    assert told == ([start + said] if said else [])


def test_many_that_nobody_uses_are_one_sentence(go: Any, host: FakeTarget) -> None:
    go(*(virtual_service(f"v{number}", gateways=["none"]) for number in range(6)))
    [warning] = [sentence for sentence in host.sentences if "no proxy uses" in sentence]
    names = ", ".join(f"VirtualService bookinfo/v{number}" for number in range(5))
    assert warning == f"warning: no proxy uses 6 of the objects: {names} and 1 more"


# istioctl analyze


def finding(level: str, origin: str = "VirtualService bookinfo/web") -> Object:
    return {"code": "IST0101", "level": level, "origin": origin, "message": "Referenced host not found"}


def test_an_error_of_istioctl_about_a_written_object(go: Any, host: FakeTarget) -> None:
    host.answer("analyze", json.dumps([finding("Error")]))
    with pytest.raises(Unverified) as failed:
        go(virtual_service())
    assert "istioctl analyze refutes what was applied: IST0101 VirtualService bookinfo/web: Ref" in failed.value.message
    assert failed.value.exit_code is Exit.UNVERIFIED


def test_a_warning_is_told_and_what_others_wrote_is_not(go: Any, host: FakeTarget) -> None:
    host.answer(
        "analyze", json.dumps([finding("Warning"), finding("Error", "VirtualService shop/web"), finding("Info")])
    )
    go(virtual_service())
    told = [sentence for sentence in host.sentences if "istioctl" in sentence]
    assert told == ["warning: istioctl analyze: IST0101 VirtualService bookinfo/web: Referenced host not found"]


def test_many_findings_are_not_all_told(go: Any, host: FakeTarget) -> None:
    host.answer("analyze", json.dumps([finding("Warning")] * 4 + [finding("Error")] * 3))
    with pytest.raises(Unverified, match=r"Referenced host not found and 2 more\."):
        go(virtual_service())
    told = [sentence.split()[0] for sentence in host.sentences if "istioctl" in sentence]
    assert told == ["error:"] * 3 + ["warning:"] * 2 + ["istioctl"]
    assert "istioctl analyze has 2 more findings about what was applied" in host.sentences


def test_the_revision_is_analyzed(mesh: Mesh, host: FakeTarget) -> None:
    host.answer("analyze", "[]")
    istio = {"version": "1.30.3", "hub": "docker.io/istio", "revision": "canary"}
    assert analysis.analyze(host, environment(istio=istio), ["a"]) == []
    assert host.commands[-1][-4:] == ("--revision", "canary", "--output", "json")


def test_no_istioctl_is_not_verified(go: Any, host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "installed", lambda *_: None)
    go(virtual_service())
    assert "warning: not verified: istioctl is not installed, so `istioctl analyze` was not run" in host.sentences


def test_an_istioctl_that_could_not_look_fails_but_hides_nothing(mesh: Mesh, go: Any, host: FakeTarget) -> None:
    host.answer("analyze", "Error: no cluster")
    with pytest.raises(Unverified, match=r"^istioctl analyze: Error: no cluster$"):
        go(virtual_service())
    with pytest.raises(Unverified, match=r"bookinfo/web: it has not taken .*; istioctl analyze: Error: no cluster"):
        go(virtual_service(), meanwhile=lambda: unsent(mesh))


@pytest.mark.parametrize(
    ("count", "scopes"), [(1, ["--namespace"]), (2, ["--namespace"] * 2), (3, ["--all-namespaces"])]
)
def test_a_few_namespaces_are_analyzed_alone(go: Any, host: FakeTarget, count: int, scopes: list[str]) -> None:
    go(*(virtual_service("web", f"ns-{number}", gateways=["none"]) for number in range(count)))
    assert [command[command.index("analyze") + 1] for command in host.commands] == scopes


def test_the_sentence_of_a_proof() -> None:
    assert str(Taken(1, 1, 2, 0.44)) == "taken by 1 of 1 proxy, 2 istiods, 0.4 s"
    assert str(Taken(0, 0, 1, 0.4)) == "no proxy is concerned: read by 1 istiod, 0.4 s"
