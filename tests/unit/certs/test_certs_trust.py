"""verify: laggards by name and why; nothing looked at is never fine."""

from __future__ import annotations

from typing import Any

import mesh as objects
import pytest
from certmesh import istiod_pod, plane
from pki import NOW, leaf, make, plugged, self_signed

from meshwright.certs import root, trust
from meshwright.certs.place import Expected, Place, judge
from meshwright.certs.tls import Refusal
from meshwright.check import State
from meshwright.errors import Forbidden, MeshwrightError, Unreachable
from meshwright.kube import ApiError


def verify(world: Any, **looks: bool) -> trust.Report:
    return trust.verify(world.session, world.env, NOW, trust.Looks(**looks))


def bad(report: trust.Report) -> dict[str, str]:
    return {each.subject: each.detail for each in report.findings if each.state is not State.OK}


def remove(world: Any, kind: str) -> None:
    for key in [key for key in world.session.objects if key[1] == kind]:
        del world.session.objects[key]


def test_a_mesh_in_order(world: Any) -> None:
    report = verify(world)
    assert bad(report) == {}
    assert report.ok
    assert list(report.tally()) == [
        ("ConfigMap", 4, 4),
        ("webhook", 2, 2),
        ("istiod", 2, 2),
        ("certificate", 1, 1),
        ("proxy", 5, 5),
        ("file", 5, 5),
    ]
    assert report.expected.source == "Secret istio-system/istio-ca-secret"


def test_nothing_to_look_at_is_a_failure(world: Any) -> None:
    """What the script of 2019 printed here was: all match the current root."""
    remove(world, "Pod")
    report = verify(world)
    assert not report.ok
    assert bad(report) == {
        "proxies": "0 proxies were checked, so nothing is known to hold",
        "istiods": "0 istiods were checked, so nothing is known to hold",
    }


def test_an_istiod_in_another_cluster_is_a_warning(world: Any) -> None:
    for key in [key for key in world.session.objects if key[3].startswith("istiod")]:
        del world.session.objects[key]
    assert not verify(world).ok
    istio = world.env.istio.model_copy(update={"profile": "remote"})
    env = world.env.model_copy(update={"istio": istio})
    report = trust.verify(world.session, env, NOW)
    assert (report.ok, bad(report)) == (True, {"istiods": "istiod runs in another cluster, so it was not looked at"})
    assert root.check(world.session, env, NOW).summary["warning"] == 1


def test_roots_are_sets_and_sorted_in_any_way(world: Any) -> None:
    other = make("cluster.local")
    world.session.put(self_signed(world.root, other, other))
    world.converge(other, world.root, other)
    assert verify(world).ok
    world.converge(other, other, world.root)
    assert verify(world).ok


def test_everybody_lags_after_a_change_in_one_step(world: Any) -> None:
    new = make("cluster.local")
    world.session.put(self_signed(new))
    found = bad(verify(world))
    assert len(found) == 4 + 2 + 2 + 1 + 5 + 5
    said = found["ConfigMap bookinfo/istio-ca-root-cert"]
    assert said == f"it does not trust {new.certificate.label} yet and still trusts {world.root.certificate.label}"
    assert (
        f"a certificate under {world.root.certificate.label}, not under"
        in found["certificate from istio-system/istiod-1"]
    )


def test_one_proxy_that_has_not_followed(world: Any) -> None:
    old, new = world.root, make("cluster.local")
    world.session.put(self_signed(new))
    before = dict(world.dumps)
    world.converge(new, signer=new)
    name = "bookinfo/ratings-v1-1"
    world.dumps[name] = before[name]
    report = verify(world)
    found = bad(report)
    assert f"it does not trust {new.certificate.label} yet" in found[f"proxy {name}"]
    assert f"presents a certificate under {old.certificate.label}" in found[f"proxy {name}"]
    # And what it means: nobody can talk to it, nor it to anybody.
    assert found[f"handshakes with {name}"].startswith("4 of 5 proxies do not trust its certificate")
    assert len(found) == 1 + 5
    [hint] = [each.hint for each in report.findings if each.subject == f"proxy {name}"]
    assert "told of new roots within seconds" in hint


def test_a_leaf_that_was_not_renewed_when_both_are_trusted(world: Any) -> None:
    old, new = world.root, make("cluster.local")
    world.session.put(self_signed(new, old))
    world.converge(new, old, signer=new)
    name = "bookinfo/ratings-v1-1"
    stale = leaf(old)
    both = (old.certificate, new.certificate)
    world.dumps[name] = ((*stale.chain, *both), both)
    found = bad(verify(world))
    assert list(found) == [f"proxy {name}"]
    assert f"under {old.certificate.label}, not under {new.certificate.label}" in found[f"proxy {name}"]


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"ownerReferences": [{"kind": "ReplicaSet"}]}, "Restart what keeps this pod, or wait"),
        ({"ownerReferences": [{"kind": "Job"}]}, "A Job's pod is not restarted"),
        ({}, "Nothing keeps this pod: make it anew, or wait for its next certificate"),
    ],
)
def test_what_to_do_with_a_laggard_that_is_not_told(world: Any, change: Any, hint: str) -> None:
    new = make("cluster.local")
    pod = world.session.objects["v1", "Pod", "bookinfo", "ratings-v1-1"]
    pod["spec"]["initContainers"][0]["env"] = []
    pod["metadata"] |= change
    world.session.put(self_signed(new))
    [finding] = [each for each in verify(world).findings if each.subject == "proxy bookinfo/ratings-v1-1"]
    assert finding.hint.startswith(hint)


def test_what_gives_no_answer_is_not_verified(world: Any) -> None:
    first, second, third, *_ = world.dumps
    world.dumps[first] = Unreachable("no answer")
    world.dumps[second] = b"<html>"
    world.dumps[third] = ApiError("pods x not found", status=404, body={"reason": "NotFound"})
    report = verify(world, files=False)
    found = bad(report)
    assert found[f"proxy {first}"] == "no answer"
    assert found[f"proxy {second}"] == f"the Envoy of {second} does not answer with a config dump"
    # One that is gone since the look lags behind nobody.
    assert f"proxy {third}" not in found
    assert (report.ok, report.summary["not_verified"]) == (False, 2)


def test_a_proxy_without_roots_or_certificate(world: Any) -> None:
    first, second, *_ = world.dumps
    world.dumps[first] = (world.dumps[first][0], None)
    world.dumps[second] = (None, world.dumps[second][1])
    found = bad(verify(world))
    assert "it has received no roots (ROOTCA)" in found[f"proxy {first}"]
    assert found[f"proxy {second}"] == "it presents no certificate"


def test_a_leaf_that_has_expired(world: Any) -> None:
    name = next(iter(world.dumps))
    own = leaf(world.root, days=(-2, -1))
    world.dumps[name] = ((*own.chain, world.root.certificate), world.dumps[name][1])
    assert "expired on" in bad(verify(world))[f"proxy {name}"]


def test_the_path_needs_the_intermediate_to_be_presented(world: Any) -> None:
    top = make("Acme")
    middle = make("Acme Int", top)
    world.session.put(plugged(middle, top))
    world.converge(top, signer=middle)
    assert verify(world).ok
    name = next(iter(world.dumps))
    own = leaf(middle)
    world.dumps[name] = ((own.certificate, top.certificate), world.dumps[name][1])
    assert "nothing here signed" in bad(verify(world))[f"proxy {name}"]


def test_a_namespace_without_its_config_map(world: Any) -> None:
    world.session.put(objects.namespace("late"))
    world.session.put(objects.namespace("kube-public"))
    going = objects.namespace("going")
    going["metadata"]["deletionTimestamp"] = "2026-11-22T19:13:52Z"
    world.session.put(going)
    found = bad(verify(world))
    assert found == {"ConfigMap late/istio-ca-root-cert": "there is none, so no pod with a proxy can start there"}


@pytest.mark.parametrize(
    ("selectors", "missing"),
    [
        ("[{matchLabels: {mesh: a}}]", {"in"}),
        ("[{matchLabels: {mesh: b}}, {matchExpressions: [{key: mesh, operator: In, values: [a]}]}]", {"in"}),
        ("[{matchExpressions: [{key: mesh, operator: NotIn, values: [a]}]}]", {"out"}),
        ("[{matchExpressions: [{key: mesh, operator: Exists}]}]", {"in"}),
        ("[{matchExpressions: [{key: mesh, operator: DoesNotExist}]}]", {"out"}),
        ("[]", {"in", "out"}),
    ],
)
def test_namespaces_that_istiod_does_not_look_after(world: Any, selectors: str, missing: set[str]) -> None:
    world.session.put(objects.namespace("in", mesh="a"))
    world.session.put(objects.namespace("out"))
    data = {"mesh": f"discoverySelectors: {selectors}"}
    world.session.put(objects.made("v1", "ConfigMap", "istio", "istio-system", data=data))
    found = {name.split()[1].split("/")[0] for name in bad(verify(world))}
    assert found & {"in", "out"} == missing


def test_a_stale_copy_in_an_ignored_namespace_counts(world: Any) -> None:
    world.session.put(objects.namespace("kube-public"))
    data = {"root-cert.pem": make("other").pem}
    world.session.put(objects.made("v1", "ConfigMap", "istio-ca-root-cert", "kube-public", data=data))
    assert list(bad(verify(world))) == ["ConfigMap kube-public/istio-ca-root-cert"]


def test_webhooks_one_by_one(world: Any) -> None:
    key = (objects.ADMISSION, "MutatingWebhookConfiguration", "", "istio")
    hook = world.session.objects[key]["webhooks"][0]
    stale = {"name": "old.istio.io", "clientConfig": {**hook["clientConfig"], "caBundle": ""}}
    other = {"name": "theirs", "clientConfig": {"service": {"namespace": "else", "name": "x"}, "caBundle": "bad"}}
    world.session.objects[key]["webhooks"] += [stale, other]
    found = bad(verify(world))
    assert found == {"webhook MutatingWebhookConfiguration istio (old.istio.io)": "it trusts no root at all"}


def test_webhooks_that_are_not_of_the_mesh(world: Any) -> None:
    world.session.put(plane(PILOT_CERT_PROVIDER="kubernetes"))
    report = verify(world)
    assert report.ok
    assert "made by kubernetes" in bad(report)["webhooks"]


def test_a_damaged_config_map(world: Any) -> None:
    broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    world.session.put(objects.made("v1", "ConfigMap", "istio-ca-root-cert", "default", data={"root-cert.pem": broken}))
    assert "is damaged" in bad(verify(world))["ConfigMap default/istio-ca-root-cert"]


def test_an_istiod_that_has_not_taken_it_over(world: Any) -> None:
    old, new = world.root, make("cluster.local")
    world.session.put(istiod_pod("istiod-2"))
    world.session.put(self_signed(new))
    world.converge(new, signer=new)
    lagging = make("", old, ca=False, names=("istiod.istio-system.svc",))
    world.istiod = {"istio-system/istiod-1": world.istiod, "istio-system/istiod-2": lagging.chain}
    own = leaf(old)
    stale = type(world.issued)(type(world.issued.identity)(own.chain, own.key), (old.certificate,))
    world.issued = {"istio-system/istiod-1": world.issued, "istio-system/istiod-2": stale}
    assert set(bad(verify(world))) == {
        "istiod istio-system/istiod-2 for proxies",
        "istiod istio-system/istiod-2 for webhooks",
        "certificate from istio-system/istiod-2",
    }


def test_an_istiod_that_takes_no_client_with_what_it_signs(world: Any) -> None:
    """It reads whom it trusts as a client once, when it starts: after a live change that is behind, and hurts VMs."""
    world.refuses = "tlsv1 alert unknown ca"
    report = verify(world)
    assert bad(report) == {
        "certificate from istio-system/istiod-1": "the istiod that signed it takes no such certificate from a client: "
        "tlsv1 alert unknown ca"
    }
    assert (report.ok, report.summary["warning"]) == (True, 1)


def test_handshakes_that_are_refused(world: Any) -> None:
    world.istiod = Refusal("port 15012: the TLS handshake failed: no protocols available")
    assert len(bad(verify(world, canary=False))) == 2


def test_what_may_not_be_asked_is_not_verified(world: Any) -> None:
    world.issued = Forbidden("signs no certificate: request authenticate failure")
    name = next(iter(world.files))
    world.files[name] = Forbidden("may not run", hint="")
    report = verify(world)
    assert set(bad(report)) == {"certificate from istio-system/istiod-1", f"file {name}"}
    assert (report.ok, report.summary["not_verified"]) == (False, 2)
    assert verify(world, files=False, canary=False).ok


def test_files_that_lag_or_cannot_be_seen(world: Any) -> None:
    first, second, third, *_ = world.files
    world.files[first] = make("old").pem
    world.files[second] = (1, b"", b"cat: /var/run/secrets/istio/root-cert.pem: No such file or directory")
    world.files[third] = MeshwrightError("cat could not be run: executable file not found")
    found = bad(verify(world))
    assert "does not trust" in found[f"file {first}"]
    assert "No such file" in found[f"file {second}"]
    assert "cannot be looked at" in found["files"]
    assert len(found) == 3
    world.files[first] = ApiError("pods x not found", status=404, body={"reason": "NotFound"})
    assert len(bad(verify(world))) == 2


def test_without_the_right_to_read_the_secret(world: Any) -> None:
    world.session.failing["get Secret"] = Forbidden("may not get Secret")
    report = verify(world)
    assert report.expected.source == "ConfigMap istio-system/istio-ca-root-cert"
    assert bad(report) == {"authority": "may not get Secret"}
    assert not report.ok


def test_an_authority_outside_is_compared_by_the_config_map(world: Any) -> None:
    remove(world, "Secret")
    world.session.put(plane(ENABLE_CA_SERVER="false"))
    report = verify(world)
    assert (report.ok, report.expected.source) == (True, "ConfigMap istio-system/istio-ca-root-cert")
    assert not report.seen.of("certificate")


def test_a_secret_that_does_not_hold_together(world: Any) -> None:
    stranger = make("Acme Int", make("Acme"))
    world.session.put(plugged(stranger, world.root))
    world.converge(world.root)
    assert "does not hold together: nothing here signed" in bad(verify(world))["Secret istio-system/cacerts"]


def test_a_cluster_trust_bundle_instead_of_config_maps(world: Any) -> None:
    world.session.put(plane(ENABLE_CLUSTER_TRUST_BUNDLE_API="true"))
    name = "istio.io:istiod-ca:root-cert"
    assert bad(verify(world))[f"ClusterTrustBundle {name}"] == "there is none"
    spec = {"trustBundle": world.root.pem}
    world.session.put(objects.made("certificates.k8s.io/v1beta1", "ClusterTrustBundle", name, spec=spec))
    assert verify(world).ok


def test_json_has_every_place_and_no_key(world: Any) -> None:
    said = verify(world).as_json()
    assert len(said["places"]) == len(said["findings"]) == 19
    assert {place["presents"] for place in said["places"] if place["kind"] == "proxy"} != {None}
    key = world.root.key_pem.splitlines()[1]
    assert key not in repr(said)


@pytest.mark.parametrize(
    ("roots", "said"),
    [
        ("AB", ""),
        ("A", "it does not trust O=B"),
        ("ABC", "it still trusts O=C"),
        ("", "it trusts no root at all"),
    ],
)
def test_judging_what_is_trusted(roots: str, said: str) -> None:
    made = {name: make(name).certificate for name in "ABC"}
    wanted = Expected("x", frozenset([made["A"], made["B"]]), frozenset([made["A"]]))
    found = judge(Place("k", "n", frozenset(made[name] for name in roots)), wanted, NOW)
    assert found.detail.startswith(said)
    assert (found.state is State.OK) is (said == "")


def test_without_the_secrets_of_the_ca_everybody_is_compared_with_what_is_handed_out(world: Any) -> None:
    world.session.asked.clear()
    found = trust.verify(world.session, world.env, NOW, trust.Looks(secrets=False))
    assert (found.ok, found.expected.source) == (True, "ConfigMap istio-system/istio-ca-root-cert")
    assert [each for each in world.session.asked if "Secret" in each] == []
