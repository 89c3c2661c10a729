"""Whether real proxies have taken what was written, asked of real istiods and Envoys (#4, part 2)."""

from __future__ import annotations

import random
import re
import time
from contextlib import contextmanager

import pytest
from owning import Owned, one_sentence

from meshwright import envoys, istiods, taken
from meshwright.errors import Exit, Unverified
from meshwright.kube import exec as kube_exec
from meshwright.kube import wait
from meshwright.target import Local

NAMESPACE = "bookinfo"
RATE_LIMIT = "type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"


def virtual_service(name="reviews", host="reviews", **spec):
    """For all sidecars; its time-out is another one each time."""
    metadata = {"name": name, "namespace": NAMESPACE}
    timeout = f"{random.randrange(10_000, 90_000)}ms"
    http = [{"timeout": timeout, "route": [{"destination": {"host": host}}]}]
    return {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": metadata,
            "spec": {"hosts": [host], "http": http, **spec}}  # fmt: skip


def envoy_filter(name="taken", *, stat_prefix="taken", app="ratings", **match):
    """A rate limit in the sidecars of one app. Envoy refuses one without `stat_prefix`; istiod does not look at it."""
    manager = {"filter": {"name": "envoy.filters.network.http_connection_manager"}}
    value = {"name": f"test.{name}", "typed_config": {"@type": RATE_LIMIT, "stat_prefix": stat_prefix}}
    patch = {"applyTo": "HTTP_FILTER", "patch": {"operation": "INSERT_FIRST", "value": value},
             "match": {"context": "SIDECAR_INBOUND", "listener": {"filterChain": manager, **match}}}  # fmt: skip
    spec = {"workloadSelector": {"labels": {"app": app}}, "configPatches": [patch]}
    return {"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
            "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec}  # fmt: skip


class Mesh:
    """Writes objects, waits for the proxies, and deletes at the end what it wrote."""

    def __init__(self, lab):
        self.lab, self.session, self.said = lab, lab.session, []
        self.target = Local(lab.target.project, self.said.append)
        self.env = lab.env
        self.written = {}

    def go(self, *objects, deleted=(), seconds=60):
        """What `wait` gives; `said` has the sentences."""
        self.said.clear()
        istio = self.env.istio.model_copy(update={"timeout": seconds})
        env = self.env.model_copy(update={"istio": istio})
        before = taken.look(self.session, env, [*objects, *deleted])
        assert before.unknown == ""
        for obj in objects:
            self.session.apply(obj)
            self.written[obj["kind"], obj["metadata"]["name"]] = obj
        for obj in deleted:
            self.delete(obj)
        return taken.wait(self.target, env, self.session, list(objects), list(deleted), before)

    def delete(self, obj):
        metadata = obj["metadata"]
        self.session.delete(obj["apiVersion"], obj["kind"], metadata["name"], metadata["namespace"])
        self.written.pop((obj["kind"], metadata["name"]), None)

    def warnings(self):
        return [sentence for sentence in self.said if sentence.startswith("warning: ") and "istioctl" not in sentence]

    def proxy(self, app):
        [*_, found] = [p for p in envoys.proxies(self.session) if p.labels.get("app") == app and p.ready]
        return found


@pytest.fixture
def mesh(lab):
    made = Mesh(lab)
    yield made
    # Until it is gone from the proxies too: the next test looks at what they have.
    made.go(deleted=list(made.written.values()))
    made.target.close()


def test_a_change_reaches_the_sidecars_and_the_gateway(mesh):
    everywhere = virtual_service("everywhere", gateways=["bookinfo-gateway", "mesh"])
    done = mesh.go(everywhere)
    assert (done.count, done.concerned, done.istiods) == (7, 7, 1)
    assert mesh.said[-1] == str(done)
    timeout = everywhere["spec"]["http"][0]["timeout"].removesuffix("ms")
    for app in ("productpage", "istio-ingressgateway"):
        dump = envoys.ask(mesh.session, mesh.proxy(app), "/config_dump?resource=dynamic_route_configs").decode()
        assert f'"{int(timeout) / 1000:.3f}s"' in dump, app
    # The gateway loses it, so it is asked too.
    for_sidecars = virtual_service("everywhere")
    assert mesh.go(for_sidecars).count == 7
    assert mesh.go(deleted=[for_sidecars]).count == 6
    assert mesh.warnings() == []


def test_an_envoy_that_refuses_is_named_and_the_mended_filter_is_taken(mesh):
    ratings = str(mesh.proxy("ratings"))
    with pytest.raises(Unverified) as failed:
        mesh.go(envoy_filter(stat_prefix=""))
    assert failed.value.exit_code is Exit.UNVERIFIED
    assert failed.value.message.startswith(f"1 of 1 proxy refused the configuration: {ratings}: Listener: ")
    assert "StatPrefix: value length must be at least 1 characters" in failed.value.message
    # Not the fault of whoever comes next.
    done = mesh.go(virtual_service())
    assert (done.count, done.concerned) == (5, 6)
    [warning] = mesh.warnings()
    assert warning.startswith(f"warning: {ratings} refused configuration before this apply, and still does: Listener: ")
    assert mesh.go(envoy_filter()).count == 1
    assert mesh.warnings() == []


@pytest.mark.parametrize(
    ("match", "why"),
    [
        ({"portNumber": 4711}, "it changes nothing in the 1 proxy that it selects"),
        ({"app": "nobody"}, "it selects none"),
    ],
)
def test_a_filter_that_fits_nothing_is_told(mesh, match, why):
    mesh.go(envoy_filter("nothing", **match))
    [warning] = mesh.warnings()
    assert warning.startswith(f"warning: no proxy uses EnvoyFilter bookinfo/nothing: {why}")


def test_a_route_to_nobody_is_an_error_of_istioctl(mesh):
    with pytest.raises(Unverified, match=r"istioctl analyze .* IST0101 VirtualService bookinfo/lost: .*nobody\.ex"):
        mesh.go(virtual_service("lost", "nobody.example"))


def scaled(session, env, replicas):
    session.patch("apps/v1", "Deployment", "istiod", env.istio.namespace, body={"spec": {"replicas": replicas}})


@contextmanager
def istiods_scaled(mesh, replicas):
    session, namespace = mesh.session, mesh.env.istio.namespace
    scaler = ("autoscaling/v2", "HorizontalPodAutoscaler", "istiod", namespace)
    limits = session.get(*scaler)
    if limits is not None and replicas:
        session.patch(*scaler, body={"spec": {"minReplicas": replicas, "maxReplicas": 5}})
    scaled(session, mesh.env, replicas)
    try:
        yield
    finally:
        if limits is not None:
            body = {part: limits["spec"][part] for part in ("minReplicas", "maxReplicas") if part in limits["spec"]}
            session.patch(*scaler, body={"spec": body})
        scaled(session, mesh.env, 1)
        until(lambda: len(istiods.ready(session, mesh.env)) == 1)
        wait.ready(session, [wait.Ref("Deployment", "istiod", namespace)], timeout=120)
        until(lambda: all_connected(mesh))


def all_connected(mesh):
    known = {row.proxy for row in connected(mesh)}
    return {proxy.id for proxy in envoys.proxies(mesh.session) if proxy.ready} <= known


def until(holds, seconds=90):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.5)


def test_every_istiod_is_asked(mesh):
    with istiods_scaled(mesh, 2):
        until(lambda: len(istiods.ready(mesh.session, mesh.env)) == 2)
        done = mesh.go(virtual_service())
    assert (done.count, done.istiods) == (6, 2)


def test_without_an_istiod_nothing_is_verified(mesh):
    change = virtual_service()
    assert mesh.go(change).count == 6
    before = taken.look(mesh.session, mesh.env, [change])
    env = mesh.env.model_copy(update={"istio": mesh.env.istio.model_copy(update={"timeout": 3})})
    with istiods_scaled(mesh, 0):
        until(lambda: not istiods.ready(mesh.session, mesh.env))
        with pytest.raises(Unverified, match=r"after 3 s not everybody has taken .* istiod: no replica is ready"):
            taken.wait(mesh.target, env, mesh.session, [change], [], before)


@contextmanager
def paused(mesh, app):
    """The Envoy of an app's sidecar, stopped by a signal."""
    proxy = mesh.proxy(app)

    def signal(name):
        find = f"for d in /proc/[0-9]*; do grep -qs '^envoy$' $d/comm && kill -{name} ${{d#/proc/}}; done; true"
        code, _, error = kube_exec.run(mesh.session, proxy.namespace, proxy.pod, "istio-proxy", ["sh", "-c", find])
        assert code == 0, error

    signal("STOP")
    try:
        yield str(proxy)
    finally:
        signal("CONT")


def test_a_paused_proxy_is_named_at_the_deadline(mesh):
    with paused(mesh, "ratings") as name:
        with pytest.raises(Unverified) as failed:
            mesh.go(virtual_service(), seconds=6)
        assert failed.value.message.startswith("after 6 s not everybody has taken what was applied: ")
        assert name in failed.value.message
        assert "bookinfo/details" not in failed.value.message
    until(lambda: not any(row.behind for row in connected(mesh)))
    assert mesh.go(virtual_service()).count == 6


def connected(mesh):
    return [row for each in istiods.ready(mesh.session, mesh.env) for row in istiods.connected(mesh.session, each)]


@pytest.fixture
def own(lab, mesh):
    """An environment with manifests of its own on the lab's cluster; nothing of it is left."""
    made = Owned(lab, f"taken{time.monotonic_ns() % 10**6}", timeout=300)
    yield made
    made.clean()


def test_an_apply_ends_when_the_proxies_have_taken_it(own):
    own.write(virtual_service())
    done = own.apply()
    assert done.code == 0, done.out + done.err
    assert re.search(r"taken by 6 of 6 proxies, 1 istiod, \d+\.\d s", done.out + done.err)
    own.write(virtual_service(), envoy_filter(stat_prefix=""))
    refused = own.apply()
    assert refused.code == Exit.UNVERIFIED
    error = one_sentence(refused)
    assert "refused the configuration: bookinfo/ratings" in error
    assert "StatPrefix" in error
    # The same again is no excuse: it is not finished.
    assert own.plan("--detailed-exitcode").code == Exit.CHANGES
    again = own.apply()
    assert again.code == Exit.UNVERIFIED
    assert re.search(r"refused the configuration \(whether .* not finished\): bookinfo/ratings", one_sentence(again))
    own.write(virtual_service(), envoy_filter())
    own.applied()
