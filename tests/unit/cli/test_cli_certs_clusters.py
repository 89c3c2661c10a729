"""`meshwright certs ...` in an environment whose clusters are one mesh."""

from __future__ import annotations

from typing import Any

import certmeshes
import pytest
from certmeshes import kubeconfig, remote_secret
from pki import make, plugged

from meshwright.errors import Exit, Unreachable

VALUES = """\
cluster: {kind: k3d, image: docker.io/rancher/k3s:v1.35.4-k3s1}
clusters: [{name: east}, {name: west}]
"""


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch, run: Any, host: Any) -> Any:
    (host.project.root / "group_data" / "mesh.yaml").write_text(VALUES)
    (host.project.root / "inventory" / "mesh.py").touch()
    for name in ("transition", "rollback"):
        text = f"from meshwright.certs import together\nsteps = [together.{name}]\n"
        (host.project.root / "deploys" / f"certs_{name}.py").write_text(text)
    return certmeshes.made(monkeypatch, host, "mesh")


def parts(document: Any, key: str) -> dict[str, Any]:
    return {each["environment"]: each[key] for each in document["clusters"]}


def test_verify(run: Any, mesh: Any) -> None:
    ran = run("certs", "verify", "mesh")
    assert ran.code == Exit.OK, ran.out
    assert [line for line in ran.out.splitlines() if line.startswith("==")] == ["== mesh/east", "== mesh/west"]
    assert "  ok           mesh/west towards mesh/east: it trusts what mesh/east signs" in ran.out.splitlines()
    document = run("certs", "verify", "mesh", "--json").document
    assert (document["environment"], document["ok"], parts(document, "ok")) == (
        "mesh",
        True,
        {"mesh/east": True, "mesh/west": True},
    )
    assert [each["state"] for each in document["between"]] == ["ok", "ok"]
    # One of them alone is as any environment.
    assert "between" not in run("certs", "verify", "mesh/east", "--json").document


def test_clusters_that_are_in_order_each_and_do_not_trust_each_other(run: Any, mesh: Any) -> None:
    other = make("Other")
    signer, west = make("Other west", other), mesh.worlds["west"]
    west.session.put(plugged(signer, other))
    west.signer = signer
    west.converge(other)
    ran = run("certs", "verify", "mesh")
    assert ran.code == Exit.ERROR
    assert "mesh/west towards mesh/east: it does not trust O=Old" in ran.out
    assert run("certs", "verify", "mesh", "--json").document["ok"] is False


def test_one_of_them_fails(run: Any, mesh: Any) -> None:
    mesh.worlds["west"].session.failing["list Pod"] = Unreachable("nobody answers")
    ran = run("certs", "status", "mesh")
    assert ran.code == Exit.ERROR
    assert "mesh/west: nobody answers" in ran.err
    assert [line.split() for line in ran.out.splitlines() if line.startswith("mesh/")] == [
        ["mesh/east", "P0:", "one", "root", "holds"],
        ["mesh/west", "not", "known"],
    ]


def test_status_and_what_is_planned(run: Any, mesh: Any) -> None:
    ran = run("certs", "status", "mesh")
    assert ran.code == Exit.OK, ran.out
    document = run("certs", "status", "mesh", "--json").document
    assert parts(document, "phase") == {"mesh/east": "rest", "mesh/west": "rest"}
    ran = run("certs", "transition", "mesh", "--to", "cacerts:ca", "--plan")
    assert ran.code == Exit.OK, ran.err
    lines = [line.strip() for line in ran.out.splitlines()]
    phases = [line.split(" ")[2:4] for line in lines if line.startswith("~ Phase ")]
    assert phases == [[f"{name}:", step] for step in ("P1", "P2", "P3") for name in ("east", "west")]
    assert any("its root is changed with that of mesh/east" in line for line in lines)
    assert mesh.writes == []


def test_a_cluster_that_is_not_listed(run: Any, mesh: Any) -> None:
    mesh.worlds["west"].session.put(remote_secret("istio-remote-secret-north", "north", kubeconfig("https://north")))
    ran = run("certs", "transition", "mesh", "--to", "cacerts:ca", "--yes")
    assert ran.code == Exit.REFUSED
    assert "mesh/west knows a cluster that the environment does not list: north" in ran.err
    assert mesh.writes == []


def test_check_root_writes_a_file_for_each(run: Any, mesh: Any, tmp_path: Any) -> None:
    ran = run("certs", "check-root", "mesh", "--textfile", str(tmp_path / "m.prom"))
    assert ran.code == Exit.OK, ran.out + ran.err
    assert sorted(path.name for path in tmp_path.glob("*.prom")) == ["m-east.prom", "m-west.prom"]


@pytest.mark.parametrize("what", ["check-version", "live"])
def test_the_others(run: Any, mesh: Any, what: str) -> None:
    ran = run("certs", what, "mesh")
    assert "== mesh/west" in ran.out
