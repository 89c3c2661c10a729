"""check-root: every certificate that ends one day, thresholds, and what could not be looked at."""

from __future__ import annotations

import re
from typing import Any

import mesh as objects
import pytest
from pki import NOW, leaf, make, plugged, secret, self_signed

from meshwright.certs import root, textfile
from meshwright.certs.authority import Kind
from meshwright.check import State
from meshwright.environment.certs import Certs
from meshwright.errors import BadInput, Forbidden, MeshwrightError, Unreachable

GATEWAYS = "gateway.networking.k8s.io/v1"


def check(world: Any, **limits: Any) -> root.Report:
    env = world.env.model_copy(update={"certs": Certs(**limits)})
    return root.check(world.session, env, NOW)


def bad(report: root.Report) -> dict[str, str]:
    return {each.subject: each.detail for each in report.all if each.state is not State.OK}


def test_a_mesh_in_order(world: Any) -> None:
    report = check(world)
    assert report.ok
    assert bad(report) == {}
    assert report.authority.kind is Kind.SELF_SIGNED
    assert [row.role for row in report.rows] == ["root", "istiod", "workload"]
    assert report.rows[0].certificate == world.root.certificate
    assert report.rows[2].detail.endswith("the shortest of 5")
    assert "it signs with" in report.findings[1].detail


@pytest.mark.parametrize(
    ("days", "state"),
    [(400.5, State.OK), (365.5, State.OK), (364.5, State.WARNING), (89.5, State.FAILED), (-0.5, State.FAILED)],
)
def test_thresholds_of_the_root(world: Any, days: float, state: State) -> None:
    made = make("cluster.local", days=(-days - 5000, days))
    world.session.put(self_signed(made))
    world.signer = made
    world.converge(made)
    report = check(world)
    [row] = [row for row in report.rows if row.role == "root"]
    assert row.state is state
    assert report.ok is (state is not State.FAILED)
    assert ("expired" in row.detail) is (days < 0)


def test_an_intermediate_has_thresholds_of_its_own(world: Any) -> None:
    top = make("Acme")
    middle = make("Acme Int", top, days=(-300, 45.5))
    world.session.put(plugged(middle, top))
    world.converge(top, signer=middle)
    assert bad(check(world)) == {
        f"intermediate {middle.certificate.label}": "45 days left, fewer than 60: until "
        f"{middle.certificate.not_after:%Y-%m-%d %H:%M} UTC"
    }
    assert not check(world, ca_days_fail=46).ok
    assert check(world, ca_days_warn=45, ca_days_fail=45).summary["warning"] == 0


def test_both_secrets_and_an_istiod_that_follows_the_older(world: Any) -> None:
    """The rules say cacerts; but istiod was started before it came, and signs with its own until it restarts."""
    top = make("Acme")
    middle = make("Acme Int", top)
    world.session.put(plugged(middle, top))
    report = check(world)
    assert report.authority.kind is Kind.PLUGGED
    assert [other.secret for other in report.authority.others] == ["istio-system/istio-ca-secret"]
    said = bad(report)["istiod istio-system/istiod-1"]
    assert said.startswith("it presents a certificate of Secret istio-system/istio-ca-secret, not of")
    world.converge(top, signer=middle)
    assert bad(check(world)) == {}


def test_an_istiod_that_cannot_be_asked(world: Any) -> None:
    world.istiod = Unreachable("no answer", hint="look")
    report = check(world)
    assert (report.ok, report.summary["not_verified"]) == (False, 1)
    world.session.put(objects.istiod_pod("istiod-2", ready=False))
    assert bad(check(world))["istiod istio-system/istiod-2"] == "it is not ready, so it was not asked"


def test_an_authority_that_is_not_ours_is_named_and_checked(world: Any) -> None:
    del world.session.objects["v1", "Secret", "istio-system", "istio-ca-secret"]
    for (_, kind, _space, _name), obj in world.session.objects.items():
        if kind == "Pod" and obj["spec"].get("initContainers"):
            variable = {"name": "CA_ADDR", "value": "cert-manager-istio-csr.cert-manager.svc:443"}
            obj["spec"]["initContainers"][0]["env"].append(variable)
    report = check(world)
    assert report.authority.kind is Kind.ISTIO_CSR
    assert report.ok
    assert "Meshwright checks it and does not change it" in report.findings[0].detail
    assert [row.certificate for row in report.rows if row.role == "root"] == [world.root.certificate]


@pytest.mark.parametrize("file", ["ca-cert.pem", "root-cert.pem"])
def test_an_incomplete_plugged_in_ca_fails(world: Any, file: str) -> None:
    top = make("Acme")
    broken = plugged(make("Acme Int", top), top)
    del broken["data"][file]
    world.session.put(broken)
    report = check(world)
    assert not report.ok
    assert f"has no {file}" in report.findings[0].detail


def test_secrets_that_may_not_be_read_are_no_absent_secrets(world: Any) -> None:
    world.session.failing["get Secret"] = Forbidden("may not")
    with pytest.raises(Forbidden):
        check(world)


def test_the_shortest_leaf_and_its_share(world: Any) -> None:
    [name, *_] = world.dumps
    own = leaf(world.root, days=(-0.7, 0.3))
    world.dumps[name] = (own.chain, world.dumps[name][1])
    [row] = [row for row in check(world).rows if row.role == "workload"]
    assert (row.name, row.state) == (name, State.WARNING)
    assert row.detail.startswith("30% of its life left")
    assert check(world, leaf_percent_warn=30).ok
    assert not check(world, leaf_percent_fail=31).ok


def test_a_proxy_that_gives_no_answer_or_has_nothing(world: Any) -> None:
    first, second, *_ = world.dumps
    world.dumps[first] = Unreachable("no answer")
    world.dumps[second] = ((), world.dumps[second][1])
    found = bad(check(world))
    assert found[f"workload {first}"] == "no answer"
    assert "no certificate yet" in found[f"workload {second}"]


def test_a_root_that_istiod_renews_itself_is_told(world: Any) -> None:
    made = make("cluster.local", days=(-3000, 600))
    world.session.put(self_signed(made))
    world.converge(made, signer=made)
    assert "signs it anew by itself" in bad(check(world))["Secret istio-system/istio-ca-secret"]


def test_two_roots_are_told(world: Any) -> None:
    other = make("cluster.local")
    world.session.put(self_signed(world.root, other))
    assert "2 roots are handed out" in bad(check(world))["Secret istio-system/istio-ca-secret"]


def gateway(world: Any, name: str = "web", namespace: str = "shop", **tls: Any) -> None:
    spec = {
        "selector": {"istio": "ingressgateway"},
        "servers": [{"port": {"number": 443}, "tls": {"mode": "SIMPLE", **tls}}],
    }
    world.session.put(objects.made("networking.istio.io/v1", "Gateway", name, namespace, spec=spec))


def credential(world: Any, name: str, namespace: str = "istio-system", days: float = 30.5, **data: str) -> None:
    made = make("shop.example", ca=False, names=("shop.example",), days=(-1, days))
    world.session.put(secret(name, data or {"tls.crt": made.pem, "tls.key": made.key_pem}, namespace))


def test_the_secret_of_a_gateway_lives_where_its_pods_do(world: Any) -> None:
    gateway(world, credentialName="shop")
    credential(world, "shop", "shop", days=1)  # beside the Gateway, where nobody reads it
    assert bad(check(world)) == {"credential istio-system/shop": "there is no such Secret; Gateway shop/web names it"}
    credential(world, "shop", days=20.5)
    [found] = bad(check(world)).items()
    assert found[0] == "gateway Secret istio-system/shop of Gateway shop/web"
    assert found[1].startswith("20 days left, fewer than 21")
    credential(world, "shop", days=6.5)
    assert not check(world).ok


def test_a_credential_that_may_not_be_read_is_seen_at_the_gateway(world: Any) -> None:
    gateway(world, credentialName="shop")
    credential(world, "shop", days=6.5)
    world.session.failing["get Secret shop"] = Forbidden("may not get Secret shop")
    report = check(world)
    assert (report.ok, report.summary["not_verified"]) == (False, 1)
    assert bad(report)["credential istio-system/shop"].startswith("may not get Secret shop")
    chain = make("shop.example", ca=False, days=(-1, 6.5)).chain
    for name in ("kubernetes://shop", "kubernetes-gateway://istio-system/shop"):
        world.credentials["istio-system/istio-ingressgateway-1"] = {name: chain}
        [row] = [row for row in check(world).rows if row.role == "gateway"]
        assert (row.certificate, row.state) == (chain[0], State.FAILED)
    # One of that name in another namespace is another one.
    world.credentials = {"bookinfo/ratings-v1-1": {"kubernetes://shop": chain}}
    assert not [row for row in check(world).rows if row.role == "gateway"]


def test_every_secret_that_a_gateway_names_is_read_once(world: Any) -> None:
    gateway(world, credentialNames=["a", "b"])
    gateway(world, "second", tlsCertificates=[{"credentialName": "kubernetes://c"}], credentialName="a")
    gateway(world, "mutual", mode="MUTUAL", credentialName="d")
    for name in "abcd":
        credential(world, name)
    world.session.put(secret("generic", {"cert": make("g", ca=False, days=(-1, 30)).pem, "key": "k"}))
    gateway(world, "generic", credentialName="generic")
    for mode in ("PASSTHROUGH", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL"):
        gateway(world, mode.lower().replace("_", "-"), mode=mode, credentialName="never")
    report = check(world)
    names = [row.name for row in report.rows if row.role == "gateway"]
    assert names == [
        "Secret istio-system/a of Gateway shop/second, shop/web",
        "Secret istio-system/b of Gateway shop/web",
        "Secret istio-system/c of Gateway shop/second",
        "Secret istio-system/d of Gateway shop/mutual",
        "Secret istio-system/generic of Gateway shop/generic",
    ]
    assert report.ok
    reads = [what for what in world.session.asked if what.startswith("get Secret a")]
    assert len(reads) == 1


def test_gateways_of_the_gateway_api(world: Any) -> None:
    references = [{"name": "own"}, {"name": "theirs", "namespace": "vault"}, {"name": "x", "group": "acme.example"}]
    listeners = [{"name": "https", "tls": {"certificateRefs": references}}, {"name": "http"}]
    world.session.put(objects.made(GATEWAYS, "Gateway", "edge", "web", spec={"listeners": listeners}))
    credential(world, "own", "web")
    credential(world, "theirs", "vault", **{"tls.crt": "nothing"})
    report = check(world)
    assert [row.name for row in report.rows if row.role == "gateway"] == ["Secret web/own of Gateway web/edge"]
    assert list(bad(report)) == ["credential vault/theirs"]


def test_what_is_no_secret_is_not_verified(world: Any) -> None:
    gateway(world, serverCertificate="/etc/certs/a.pem")
    gateway(world, "sds", credentialName="sds://elsewhere")
    report = check(world)
    assert report.summary["not_verified"] == 2
    assert set(bad(report)) == {"credential file:/etc/certs/a.pem", "credential sds://elsewhere"}


def test_a_chain_is_as_good_as_its_first_end(world: Any) -> None:
    top = make("Public")
    middle = make("Public Int", top, days=(-1, 3.5))
    own = make("shop.example", middle, ca=False, days=(-1, 80))
    world.session.put(secret("shop", {"tls.crt": own.pem + middle.pem, "tls.key": own.key_pem}))
    gateway(world, credentialName="shop")
    [row] = [row for row in check(world).rows if row.role == "gateway"]
    assert (row.certificate, row.state) == (middle.certificate, State.FAILED)


def test_metrics(world: Any, tmp_path: Any, host: Any) -> None:
    gateway(world, credentialName="shop")
    credential(world, "shop", days=6.5)
    gateway(world, 'odd"name\\', "shop", credentialName="shop")
    report = check(world)
    text = textfile.text(report, "lab")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    pattern = r'^[a-z_]+\{([a-z0-9_]+="(?:[^"\\\n]|\\.)*",?)+\} \d+$'
    assert all(re.match(pattern, line) for line in lines), lines
    assert len({line.rpartition(" ")[0] for line in lines}) == len(lines)
    [root_line] = [line for line in lines if 'role="root"' in line and "not_after" in line]
    assert root_line.endswith(f" {world.root.certificate.not_after.timestamp():.0f}")
    assert 'meshwright_certs_check_ok{environment="lab"} 0' in lines
    [state] = [line for line in lines if 'role="gateway"' in line and "_state{" in line]
    assert state.endswith(" 2")
    for name in re.findall(r"^(\w+)\{", text, re.MULTILINE):
        assert f"# TYPE {name} gauge" in text
    path = tmp_path / "m.prom"
    textfile.write(host, str(path), report, "lab")
    assert (path.read_text(), path.stat().st_mode & 0o777) == (text, 0o644)
    with pytest.raises(BadInput, match=r"\.prom"):
        textfile.write_here(str(tmp_path / "m.txt"), report, "lab")
    with pytest.raises(MeshwrightError, match="cannot write"):
        textfile.write_here(f"{path}/x.prom", report, "lab")


def test_no_key_in_anything_it_says(world: Any) -> None:
    gateway(world, credentialName="shop")
    credential(world, "shop")
    keys = [
        text
        for (_, kind, *_rest), obj in world.session.objects.items()
        if kind == "Secret"
        for name, text in obj["data"].items()
        if "key" in name and text
    ]
    assert len(keys) == 2
    report = check(world)
    said = repr(report) + textfile.text(report, "lab") + repr([row.as_json(NOW) for row in report.rows])
    assert not any(key[40:80] in said for key in keys)


def test_without_the_secrets_of_the_ca_it_goes_by_what_is_handed_out(world: Any) -> None:
    top = make("Acme")
    middle = make("Acme Int", top, days=(-300, 45.5))
    world.session.put(plugged(middle, top))
    world.converge(top, signer=middle)
    world.session.asked.clear()
    report = root.check(world.session, world.env, NOW, secrets=False)
    assert (report.ok, report.authority.kind) == (True, Kind.UNSEEN)
    assert [(row.role, row.certificate) for row in report.rows][:2] == [
        ("root", top.certificate),
        ("intermediate", middle.certificate),
    ]
    assert report.findings[0].detail.startswith("the CA Secrets were not asked for")
    assert [each for each in world.session.asked if "Secret" in each] == []
