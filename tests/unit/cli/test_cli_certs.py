"""`meshwright certs ...`: what is printed, the one JSON document, and what it ends with."""

from __future__ import annotations

import json
import shutil
from typing import Any

import certmesh
import pytest
from pki import make, self_signed
from releases import REPOSITORY

from meshwright import envoys
from meshwright.errors import Exit, Unreachable


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, run: Any) -> certmesh.World:
    return certmesh.made(monkeypatch)


def test_check_root(run: Any, world: Any, tmp_path: Any) -> None:
    path = tmp_path / "m.prom"
    ran = run("certs", "check-root", "lab", "--textfile", str(path))
    assert ran.code == Exit.OK
    lines = ran.out.splitlines()
    assert lines[0] == "authority: self-signed CA of istiod, Secret istio-system/istio-ca-secret"
    assert f"    sha256 {world.root.certificate.sha256}" in lines
    assert lines[-1] == "5 looked at: 5 ok."
    assert 'meshwright_certs_check_ok{environment="lab"} 1' in path.read_text()
    document = run("certs", "check-root", "lab", "--json").document
    assert (document["command"], document["ok"], document["summary"]["checked"]) == ("certs check-root", True, 5)
    assert document["authority"]["kind"] == "self_signed"
    assert document["certificates"][0]["sha256"] == world.root.certificate.sha256
    assert world.root.key_pem.splitlines()[1] not in json.dumps(document)


def test_check_root_below_a_threshold(run: Any, world: Any) -> None:
    short = make("cluster.local", days=(-3000, 30.5))
    world.session.put(self_signed(short))
    world.converge(short, signer=short)
    ran = run("certs", "check-root", "lab")
    assert ran.code == Exit.ERROR
    assert "30 days left, fewer than 90" in ran.out
    assert run("certs", "check-root", "lab", "--json").document["ok"] is False


def test_check_version(run: Any, world: Any) -> None:
    ran = run("certs", "check-version", "lab")
    assert ran.code == Exit.OK
    assert ran.out.splitlines()[0].split() == ["namespace", "pod", "part", "version", "by", "revision"]
    assert "native sidecar" in ran.out
    assert ran.out.splitlines()[-1] == "6 pods looked at; the oldest version is 1.30.3."
    world.pages["istiod-1", "/version"] = b"1.24.4-x"
    ran = run("certs", "check-version", "lab", "--json")
    assert ran.code == Exit.ERROR
    assert ran.document["oldest"] == "1.24.4-x"
    assert ran.document["summary"]["checked"] == 6


def test_verify(run: Any, world: Any) -> None:
    ran = run("certs", "verify", "lab")
    assert ran.code == Exit.OK
    assert "  5 of 5 proxies trust them alone and present what they signed" in ran.out
    assert ran.out.splitlines()[-1] == "19 looked at: 19 ok."
    assert "ConfigMap default" not in ran.out
    assert "ConfigMap default" in run("certs", "verify", "lab", "--all").out
    document = run("certs", "verify", "lab", "--json", "--no-files", "--no-canary").document
    assert (document["ok"], document["summary"]["checked"]) == (True, 13)
    assert document["expected"]["roots"][0]["sha256"] == world.root.certificate.sha256
    assert set(document["seconds"]) >= {"mesh", "proxies"}


def test_verify_with_a_laggard(run: Any, world: Any) -> None:
    name = "bookinfo/ratings-v1-1"
    world.dumps[name] = Unreachable("it gives no answer", hint="Look at it")
    ran = run("certs", "verify", "lab")
    assert ran.code == Exit.ERROR
    assert f"  not verified proxy {name}: it gives no answer" in ran.out
    assert "hint: Look at it" in ran.out
    assert ran.out.splitlines()[-1] == "19 looked at: 18 ok, 1 not verified."


def test_live(run: Any, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    detail = {"serial_number": "0a", "days_until_expiration": "9", "expiration_time": "2036-11-19T19:13:33Z"}
    page = json.dumps({"certificates": [{"cert_chain": [detail]}]}).encode()
    monkeypatch.setattr(envoys, "ask_all", lambda _session, wanted, _path: [page] * len(wanted))
    ran = run("certs", "live", "lab")
    assert (ran.code, ran.out.count("serial 0a")) == (Exit.OK, 5)
    assert run("certs", "live", "lab", "bookinfo/ratings-v1-1", "--json").document["summary"]["checked"] == 1
    assert len(run("certs", "live", "lab", "bookinfo", "--json").document["proxies"]) == 4
    ran = run("certs", "live", "lab", "bookinfo/nobody")
    assert (ran.code, "there is no proxy bookinfo/nobody" in ran.err) == (Exit.BAD_INPUT, True)
    monkeypatch.setattr(envoys, "ask_all", lambda _session, wanted, _path: [b"{}", *[page] * (len(wanted) - 1)])
    ran = run("certs", "live", "lab")
    assert (ran.code, ran.out.count("not verified")) == (Exit.ERROR, 1)


def test_status(run: Any, world: Any) -> None:
    ran = run("certs", "status", "lab")
    assert ran.code == Exit.OK
    assert ran.out.splitlines()[0] == "P0: one root, stable"
    other = make("cluster.local")
    world.session.put(self_signed(world.root, other))
    ran = run("certs", "status", "lab")
    assert ran.code == Exit.ERROR
    assert ran.out.splitlines()[0] == "P1: both roots are trusted, the old one signs, under way"
    assert "the likelier of two readings" in ran.out
    document = run("certs", "status", "lab", "--json").document
    assert (document["phase"], document["stable"], document["sure"]) == ("both_sign_old", False, False)
    assert document["new_root"] == other.certificate.sha256


@pytest.fixture
def changing(host: Any, world: Any) -> Any:
    for name in ("certs_transition", "certs_rollback"):
        shutil.copy(REPOSITORY / "deploys" / f"{name}.py", host.project.root / "deploys")
    world.session.put(certmesh.istiod_pod("istiod-2"))
    return world


def test_a_transition_shows_its_phases(run: Any, changing: Any) -> None:
    ran = run("certs", "transition", "lab", "--to", "new-self-signed", "--plan")
    assert ran.code == Exit.OK
    assert [line.split()[1:3] for line in ran.out.splitlines() if line.startswith("  ~")] == [
        ["Phase", "P1"],
        ["Phase", "P2"],
        ["Phase", "P3"],
        ["Deployment", "istio-system/istiod"],
    ]
    assert "in mode live it takes about: P1" in ran.out
    document = run("certs", "transition", "lab", "--to", "new-self-signed", "--plan", "--json").document
    assert (document["summary"]["add"], document["summary"]["change"]) == (1, 4)
    assert run("certs", "transition", "lab").code == Exit.USAGE
    assert run("certs", "transition", "lab", "--to", "frob").code == Exit.BAD_INPUT
    assert run("certs", "rollback", "lab").code == Exit.ERROR


def test_a_transition_that_may_not_begin_is_refused(run: Any, changing: Any) -> None:
    changing.pages["istiod-1", "/version"] = b"1.25.1"
    ran = run("certs", "transition", "lab", "--to", "new-self-signed", "--yes")
    assert ran.code == Exit.REFUSED
    assert "Phase P1" in ran.out


def test_no_cluster(run: Any, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from meshwright import cluster

    monkeypatch.setattr(cluster, "session", lambda *_: None)
    monkeypatch.setattr(cluster, "no_session", lambda *_: "the cluster of lab is absent")
    for name in ("check-root", "check-version", "verify", "live", "status"):
        ran = run("certs", name, "lab")
        assert (ran.code, "the cluster of lab is absent" in ran.err) == (Exit.ERROR, True)


def test_an_error_names_command_and_environment(run: Any, world: Any) -> None:
    ran = run("certs", "live", "lab", "bookinfo/nobody", "--json")
    document = ran.document
    assert (document["command"], document["environment"], document["ok"]) == ("certs live", "lab", False)
    assert document["error"]["exit"] == ran.code == Exit.BAD_INPUT


def test_an_unknown_command(run: Any) -> None:
    assert run("certs", "renew", "lab").code == Exit.USAGE
    ran = run("certs", "verify", "nope")
    assert ran.code == Exit.BAD_INPUT
