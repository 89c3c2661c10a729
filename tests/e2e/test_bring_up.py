"""One command brings up a real mesh, and run again changes nothing (#3)."""

from __future__ import annotations

import json
import re

import httpx2

from meshwright import deploy, ingress
from meshwright.project import Project


def test_the_first_apply_says_what_it_will_do_and_what_it_did(lab):
    assert re.search(r"(?m)^  \+ Tool k3d ", lab.first.out)
    assert "cluster:\n  known after tools\nistio:\n  known after cluster\n" in lab.first.out
    assert lab.first.out.splitlines()[-1].endswith("; known later: cluster, istio, namespaces, bookinfo.")
    for step in ("tools", "cluster", "istio", "namespaces", "bookinfo"):
        assert re.search(rf"(?m)^{step}: changed", lab.first.err), step


def test_bookinfo_answers_through_the_ingress_gateway(lab):
    answer = httpx2.get(f"{ingress.address(lab.target, lab.env).url}/productpage", timeout=10)
    assert answer.status_code == 200
    assert "<title>Simple Bookstore App</title>" in answer.text
    assert "error" not in answer.text
    assert "unavailable" not in answer.text
    assert answer.headers["server"] == "istio-envoy"


def test_the_ingress_exports_lead_a_shell_to_the_page(lab):
    script = 'eval "$("$0" -m meshwright ingress lab)" && curl -fsS "http://$GATEWAY_URL/productpage" && kubectl get ns'
    import sys

    done = lab.driver.run("bash", "-c", script, sys.executable)
    assert done.code == 0, done.err
    assert "Simple Bookstore App" in done.out
    assert "istio-system" in done.out


def test_a_second_plan_is_empty(lab):
    done = lab.driver.meshwright("plan", "lab", "--detailed-exitcode")
    assert done.code == 0, done.out
    assert done.out.strip() == "Plan: 0 to add, 0 to change, 0 to destroy."
    document = lab.driver.meshwright("plan", "lab", "--json").document
    assert document["summary"]["checked"] > 60
    assert document["summary"]["add"] == document["summary"]["change"] == document["summary"]["destroy"] == 0


def test_a_second_run_of_pyinfra_changes_nothing(lab):
    done = lab.driver.pyinfra("-y", "--json", "inventory/lab.py", "deploys/site.py")
    assert done.code == 0, done.err
    results = json.loads(done.out)["results"]
    rows = results if isinstance(results, list) else results["operations"]
    assert len(rows) == len(deploy.load(Project(lab.driver.root), "site")), rows
    assert all(row.get("success", row.get("hosts_success", 0)) in (0, []) for row in rows), rows


def test_pyinfras_dry_run_and_plan_show_the_same(lab):
    dry = lab.driver.pyinfra("--dry", "inventory/lab.py", "deploys/site.py")
    assert dry.code == 0, dry.err
    assert "Plan: 0 to add, 0 to change, 0 to destroy." in dry.err


def test_the_checks_hold(lab):
    done = lab.driver.meshwright("check", "lab", "--json")
    document = done.document
    assert done.code == 0, document
    assert document["ok"]
    assert document["summary"]["checked"] >= 15
    assert {row["state"] for row in document["checks"]} <= {"ok", "warning"}


def test_the_users_own_kubeconfig_is_not_touched(lab):
    assert (lab.driver.home / ".kube" / "config").read_text() == "# the user's own; nobody writes here\n"
    own = lab.driver.root / ".meshwright" / "lab" / "kubeconfig"
    assert own.stat().st_mode & 0o777 == 0o600
