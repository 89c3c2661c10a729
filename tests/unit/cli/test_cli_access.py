"""`meshwright access`: manifests for whoever runs the cluster, and the question which rights we have."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from fakes import FakeSession

from meshwright import cluster
from meshwright.errors import Exit


@pytest.fixture(autouse=True)
def session(monkeypatch: pytest.MonkeyPatch, run: Any, host: Any) -> FakeSession:
    (host.project.root / "deploys").mkdir(exist_ok=True)
    for name, steps in (("site", "istio.install, resources.apply_all"), ("resources", "resources.apply_all")):
        text = f"from meshwright import istio, resources\n\nsteps = [{steps}]\n"
        (host.project.root / "deploys" / f"{name}.py").write_text(text)
    made = FakeSession()
    monkeypatch.setattr(cluster, "session", lambda _target, _env: made)
    return made


def test_the_roles_are_manifests_and_bound_to_whom_one_says(run: Any) -> None:
    said = run("access", "prod", "--role", "read", "--bind", "user:jo")
    assert said.code == Exit.OK
    assert said.out.startswith("# Roles of Meshwright in the cluster of prod. What each right is for:\n#   read: ")
    made = [obj for obj in yaml.safe_load_all(said.out) if obj]
    assert {"kind": "User", "name": "jo", "apiGroup": "rbac.authorization.k8s.io"} in made[-1]["subjects"]
    assert {obj["metadata"]["name"] for obj in made if "Role" in obj["kind"]} == {"meshwright-prod-read"}


def test_the_role_for_one_deploy_is_smaller(run: Any) -> None:
    whole, part = (run("access", "prod", name, "--role", "apply").out for name in ("site", "resources"))
    assert "escalate" in whole
    assert "escalate" not in part


def test_a_check_names_each_right_that_is_missing_and_why(run: Any, session: FakeSession) -> None:
    assert run("access", "prod", "--check").code == Exit.OK
    session.rules = {"": [{"verbs": ["get", "list"], "apiGroups": ["*"], "resources": ["*"]}]}
    said = run("access", "prod", "--check", "--role", "read")
    assert said.code == Exit.ERROR
    assert "  create pods/portforward  (asking Envoys and istiods)" in said.out.splitlines()
    document = run("access", "prod", "--check", "--json").document
    assert document["ok"] is False
    assert list(document["missing"]) == ["read", "apply", "certs"]
    assert document["summary"]["missing"] == sum(map(len, document["missing"].values()))
    assert {"verb", "group", "resource", "namespace", "name", "why"} == document["missing"]["read"][0].keys()


def test_the_manifests_for_programs(run: Any) -> None:
    document = run("access", "prod", "--json").document
    assert document["summary"] == {"checked": len(document["manifests"])}
    names = [(o["kind"], o["metadata"]["name"], o["metadata"].get("namespace")) for o in document["manifests"]]
    assert len(set(names)) == len(names)


def test_a_subject_that_is_nobody_is_bad_input(run: Any) -> None:
    assert run("access", "prod", "--bind", "everybody").code == Exit.BAD_INPUT
