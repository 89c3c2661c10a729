"""The three roles on a real API server (#4, part 7): each does its work, and is refused what it must not do."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import dataclass

import pytest
import yaml

from meshwright import access, gateway_release, kube, rights
from meshwright.crds import VERSION
from meshwright.environment import load
from meshwright.errors import Forbidden
from meshwright.kube import ApiError
from meshwright.project import Project
from meshwright.target import Local

HOME = "access-e2e"
CA = ("cacerts", "istio-ca-secret", "meshwright-ca-standby")
MANIFEST = """\
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: access-e2e, namespace: bookinfo}
spec:
  hosts: [access.example]
  location: MESH_EXTERNAL
  ports: [{name: tls, number: 443, protocol: TLS}]
  resolution: DNS
"""
GRANT = """\
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: access-e2e, namespace: bookinfo}
spec:
  from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: access-e2e}]
  to: [{group: "", kind: Service}]
"""
GRANTS = f"referencegrants.{gateway_release.GROUP}"


@dataclass(frozen=True)
class Somebody:
    """A ServiceAccount that has a role in an environment of its own, and a session with its token."""

    environment: str
    session: kube.Session


@pytest.fixture(scope="module")
def somebody(lab):
    """Makes a Somebody: environment `NAME`, on the lab's cluster, with the token of an account that has `role` for
    `deploy`, as the command prints it."""
    driver, admin = lab.driver, lab.session
    admin.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}})
    for folder, text in (("access", MANIFEST), ("access-grant", GRANT)):
        (driver.root / folder).mkdir(exist_ok=True)
        (driver.root / folder / "a.yaml").write_text(text)
    document = yaml.safe_load((driver.root / ".meshwright" / "lab" / "kubeconfig").read_text())
    identity = admin.identity()
    made = []

    def make(name, role, deploy="site", without=()):
        admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": HOME}})
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        path = f"/api/v1/namespaces/{HOME}/serviceaccounts/{name}/token"
        answer = admin.transport.call("POST", path, body=json.dumps(request).encode())
        token = json.loads(answer.body)["status"]["token"]
        file = driver.home / f"{name}.kubeconfig"
        file.write_text(yaml.safe_dump({**document, "users": [{**document["users"][0], "user": {"token": token}}]}))
        values = yaml.safe_load((driver.root / "group_data" / "lab.yaml").read_text())
        values["cluster"] = {
            "kind": "existing",
            "kubeconfig": str(file),
            "context": document["current-context"],
            "uid": identity.uid,
            "ca_sha256": identity.ca_sha256,
        }
        ports = [{k: v for k, v in port.items() if k != "publish"} for port in values["ingress"]["ports"]]
        values["ingress"] = {"deadline": 0, "ports": ports}
        values["resources"] = {"manifests": ["access", "access-grant"]} if deploy == "resources" else {}
        del values["engine"]
        driver.add_environment(name, yaml.safe_dump(values, sort_keys=False))
        # What the command prints is what the cluster's administrator applies.
        printed = driver.meshwright("access", name, deploy, "--role", role, "--bind", f"serviceaccount:{HOME}/{name}")
        assert printed.code == 0, printed.err
        for obj in filter(None, yaml.safe_load_all(printed.out)):
            if "rules" in obj:
                obj["rules"] = [rule for rule in obj["rules"] if not set(rule["resources"]) & set(without)]
            admin.apply(obj, manager="administrator", force=True)
            made.append(obj)
        session = kube.Session(kube.kubeconfig.load(lab.target, str(file), document["current-context"]), lab.target)
        made.append(session)
        return Somebody(name, session)

    yield make
    for thing in made:
        if isinstance(thing, kube.Session):
            thing.close()
        elif thing["kind"] != "Namespace":
            admin.delete(
                thing["apiVersion"], thing["kind"], thing["metadata"]["name"], thing["metadata"].get("namespace")
            )
    admin.delete("networking.istio.io/v1", "ServiceEntry", "access-e2e", "bookinfo")
    admin.forget_kinds()
    if admin.preferred(gateway_release.GROUP, "ReferenceGrant") is not None:
        admin.delete("gateway.networking.k8s.io/v1beta1", "ReferenceGrant", "access-e2e", "bookinfo")
    admin.delete("v1", "Namespace", HOME)


@pytest.fixture(scope="module")
def reader(somebody):
    return somebody("reading", "read")


def refused(call):
    with pytest.raises((Forbidden, ApiError)) as caught:
        call()
    return isinstance(caught.value, Forbidden)


def test_who_may_read_plans_checks_and_looks_back(lab, reader):
    plan = lab.driver.meshwright("plan", reader.environment, "--json")
    assert plan.code == 0, plan.err
    assert plan.document["summary"]["change"] == plan.document["summary"]["add"] == 0, plan.out
    notes = [note for step in plan.document["steps"] for note in step["notes"]]
    assert any(note.startswith("not verified: ") for note in notes), notes
    history = lab.driver.meshwright("history", reader.environment, "--json")
    assert history.code == 0, history.err
    ingress = lab.driver.meshwright("ingress", reader.environment)
    assert ingress.code == 0, ingress.err
    check = lab.driver.meshwright("check", reader.environment, "--json")
    assert check.code == 0, [each for each in check.document["checks"] if each["state"] != "ok"]
    assert check.document["summary"]["ok"] == check.document["summary"]["checked"] > 15


def test_who_may_only_read_is_shown_what_an_administrator_is_shown(lab, reader):
    body = {
        "spec": {"template": {"metadata": {"annotations": {"access-e2e": "x"}}}},
        "metadata": {"labels": {"app": "x"}},
    }
    lab.session.patch("apps/v1", "Deployment", "istio-egressgateway", "istio-system", body=body)
    try:
        mine, theirs = (
            [step["changes"] for step in lab.driver.meshwright("plan", name, "istio", "--json").document["steps"]]
            for name in (reader.environment, "lab")
        )
        assert mine == theirs
        assert any(mine)
    finally:
        body["spec"]["template"]["metadata"]["annotations"]["access-e2e"] = None
        body["metadata"]["labels"]["app"] = "istio-egressgateway"
        lab.session.patch("apps/v1", "Deployment", "istio-egressgateway", "istio-system", body=body)


def test_who_reads_no_secret_has_istios_analysis_all_the_same(lab, reader):
    spec = {
        "hosts": ["access.example"],
        "gateways": ["nowhere"],
        "http": [{"route": [{"destination": {"host": "no"}}]}],
    }
    made = {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": "access-e2e", "namespace": "bookinfo"},
        "spec": spec,
    }
    lab.session.apply(made)
    try:
        check = lab.driver.meshwright("check", reader.environment, "--json", "--group", "sample")
    finally:
        lab.session.delete("networking.istio.io/v1", "VirtualService", "access-e2e", "bookinfo")
    [row] = [each for each in check.document["checks"] if each["check"] == "bookinfo-analyzed"]
    assert row["state"] == "failed"
    assert "VirtualService bookinfo/access-e2e" in row["detail"]


def test_who_may_read_cannot_write_and_reads_no_secret(lab, reader):
    label = {"metadata": {"labels": {"access-e2e": "x"}}}
    session = reader.session
    assert refused(lambda: session.patch("v1", "Namespace", "bookinfo", body=label))
    assert refused(lambda: session.patch("apps/v1", "Deployment", "istiod", "istio-system", body=label))
    assert refused(lambda: session.delete("networking.istio.io/v1", "Gateway", "bookinfo-gateway", "bookinfo"))
    for name in CA:
        assert refused(lambda name=name: session.get("v1", "Secret", name, "istio-system"))
    assert refused(lambda: session.list("v1", "Secret"))
    done = lab.driver.meshwright("apply", reader.environment, "resources", "--yes")
    assert done.code == 0, "nothing to do is nothing to write"


def test_all_missing_rights_are_named_before_the_first_write(lab, reader, tmp_path):
    path = lab.driver.root / "group_data" / f"{reader.environment}.yaml"
    before = path.read_text()
    path.write_text(before.replace("resources: {}", "resources: {manifests: [access]}"))
    try:
        done = lab.driver.meshwright("apply", reader.environment, "resources", "--yes")
        alone = lab.driver.pyinfra("-y", f"inventory/{reader.environment}.py", "deploys/resources.py")
    finally:
        path.write_text(before)
    assert done.code == 1
    for said in (done.err, alone.err):
        for right in (
            "create leases.coordination.k8s.io in namespace meshwright",
            "create configmaps in namespace meshwright",
            "create serviceentries.networking.istio.io in namespace bookinfo",
        ):
            assert right in said, said
    assert "nothing was changed" in done.err
    assert lab.session.get("networking.istio.io/v1", "ServiceEntry", "access-e2e", "bookinfo") is None


def test_who_may_apply_resources_does_so_and_no_more(lab, somebody):
    # The deploy begins with the CRDs of the Gateway API: one of them is of an older release, or none is there.
    crd = gateway_release.fetched(lab.target, lab.env)[GRANTS]
    older = copy.deepcopy(crd)
    older["metadata"]["annotations"][VERSION] = "v1.4.0"
    lab.session.apply(older)
    who = somebody("applying", "apply", "resources")
    check = lab.driver.meshwright("access", who.environment, "resources", "--check", "--role", "apply")
    assert check.code == 0, check.out
    done = lab.driver.meshwright("apply", who.environment, "resources", "--yes")
    assert "Forbidden" not in done.err
    assert lab.session.get("networking.istio.io/v1", "ServiceEntry", "access-e2e", "bookinfo") is not None, done.err
    assert done.code == 0, done.err
    there = lab.session.get("apiextensions.k8s.io/v1", "CustomResourceDefinition", GRANTS)
    assert there["metadata"]["annotations"][VERSION] == crd["metadata"]["annotations"][VERSION] != "v1.4.0"
    assert "not verified: whether the Secrets that gateways name are there" in done.err
    for name in CA:
        assert refused(lambda name=name: who.session.get("v1", "Secret", name, "istio-system"))
    label = {"metadata": {"labels": {"access-e2e": "x"}}}
    assert refused(lambda: who.session.patch("apps/v1", "Deployment", "istiod", "istio-system", body=label))
    assert refused(lambda: who.session.patch("v1", "Namespace", "kube-system", body=label))
    crds = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
    assert refused(lambda: who.session.patch(*crds, "gateways.networking.istio.io", body=label))
    assert refused(lambda: who.session.delete(*crds, GRANTS))


def test_who_may_apply_a_site_repairs_it(lab, somebody):
    who = somebody("installing", "apply")
    lab.session.delete("apps/v1", "Deployment", "istio-egressgateway", "istio-system")
    done = lab.driver.meshwright("apply", who.environment, "--yes")
    assert done.code == 0, done.err
    assert lab.session.get("apps/v1", "Deployment", "istio-egressgateway", "istio-system") is not None
    assert lab.driver.meshwright("plan", "lab", "--detailed-exitcode").code == 0


def test_certs_alone_reads_the_secrets_of_the_ca_and_no_other(lab, somebody):
    who = somebody("certifying", "certs")
    assert who.session.get("v1", "Secret", "istio-ca-secret", "istio-system") is not None
    assert who.session.get("v1", "Secret", "cacerts", "istio-system") is None
    assert refused(lambda: who.session.list("v1", "Secret", "istio-system"))
    assert refused(lambda: who.session.get("v1", "Secret", "other", "istio-system"))
    [pod] = lab.session.list("v1", "Pod", "istio-system", labels="app=istiod")[:1]
    name = pod["metadata"]["name"]
    who.session.patch("v1", "Pod", name, "istio-system", body={"metadata": {"annotations": {"access-e2e": "x"}}})
    label = {"metadata": {"labels": {"access-e2e": "x"}}}
    assert refused(lambda: who.session.patch("v1", "Namespace", "kube-system", body=label))


def test_the_certificate_commands_need_no_more_than_their_roles(lab, somebody, reader):
    who = somebody("watching", "certs")
    for name in ("check-root", "check-version", "verify", "live", "status"):
        done = lab.driver.meshwright("certs", name, who.environment, "--json")
        assert done.code == 0, (name, done.out, done.err)
    for name in ("check-version", "live"):
        done = lab.driver.meshwright("certs", name, reader.environment, "--json")
        assert done.code == 0, (name, done.out, done.err)
    done = lab.driver.meshwright("certs", "check-root", reader.environment)
    assert (done.code, "may not get Secret" in done.err) == (1, True)
    # What may not be looked at is not verified; the rest is compared all the same.
    done = lab.driver.meshwright("certs", "verify", reader.environment, "--json", "--no-files", "--no-canary")
    assert done.code == 1
    found = {each["subject"] for each in done.document["findings"] if each["state"] != "ok"}
    assert found == {"authority"}


def test_a_proxy_that_may_not_be_asked_is_not_verified(lab, somebody):
    who = somebody("unforwarded", "read", without=("pods/portforward",))
    check = lab.driver.meshwright("check", who.environment, "--json", "--group", "data-plane")
    assert check.code == 1
    states = {each["check"]: each["state"] for each in check.document["checks"]}
    assert states["proxies-synced"] == "not verified"
    assert states["proxies-ready"] == "ok"
    assert check.document["ok"] is False
    [row] = [each for each in check.document["checks"] if each["check"] == "proxies-synced"]
    assert "port-forward" in row["detail"]
    said = lab.driver.meshwright("access", who.environment, "--check", "--role", "read")
    assert said.code == 1
    head, *missing = said.out.splitlines()
    assert re.fullmatch(r"read: 2 of \d\d rights missing", head)
    assert missing == [
        "  get pods/portforward  (asking Envoys and istiods)",
        "  create pods/portforward  (asking Envoys and istiods)",
    ]


def test_an_administrator_has_everything(lab):
    env = load(Project(lab.driver.root), "lab").env
    steps = ("gateway-api", "istio", "namespaces", "bookinfo", "resources")
    wanted = rights.of_role(rights.Role.APPLY, env, steps)
    assert access.missing(lab.session, wanted) == []
    assert isinstance(lab.target, Local)
