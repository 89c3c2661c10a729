"""Faults while objects are planned and applied (#4): each ends with one sentence and its exit code, and the next run
finishes. What is wrong with the input itself, and kills, are in test_resources."""

from __future__ import annotations

import json
import os
import re
import time
from urllib.parse import urlsplit

import pytest
from killing import kill
from owning import ISTIO, Owned, config, entry, kubeconfig_of, lines, one_sentence
from relay import Relay

from meshwright.kube import ApiError, wait


@pytest.fixture
def owned(lab, scratch):
    made = Owned(lab, "faulty")
    yield made
    made.clean()


def relayed(lab, **user):
    """A relay to the API server, and the kubeconfig that leads through it."""
    document = kubeconfig_of(lab)
    server = document["clusters"][0]["cluster"]["server"]
    url = urlsplit(server)
    relay = Relay(url.hostname, url.port)
    document["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{relay.port}"
    if user:
        document["users"][0]["user"] = user
    return relay, document


def many(namespace, count, **data):
    return [config(f"many-{number:02}", namespace, **(data or {"k": "v"})) for number in range(count)]


def test_an_api_server_that_goes_away_in_the_middle(lab, scratch):
    relay, document = relayed(lab)
    owned = Owned(lab, "cut", document)
    try:
        owned.allow(pace=20)
        owned.write(*many(scratch, 60))
        process = owned.begin(10)
        relay.cut()
        code, said, out = owned.ended(process)
        there = len(owned.members())
        assert code == 1, out
        assert f"https://127.0.0.1:{relay.port}" in said
        assert 10 <= there < 60
        # It is away still: nothing is known, and nothing is called absent.
        for ran in (owned.plan(), owned.apply()):
            assert ran.code == 1
            assert "to add" not in ran.out
            assert "gives no answer" in one_sentence(ran)
        relay.restore()
        plan = owned.plan()
        left = 60 - len(owned.members())
        assert lines(plan)[-1].startswith(f"Plan: {left} to add, 0 to change, 0 to destroy; to finish: resources")
        owned.allow()
        owned.applied()
        assert len(owned.members()) == 60
    finally:
        relay.restore()
        owned.clean()
        relay.cut()


def account(lab, namespace, name):
    """A ServiceAccount that may do everything, and a real token of it."""
    lab.session.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
    )
    lab.session.apply(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"{namespace}-{name}"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        }
    )
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
    answer = lab.session.transport.call("POST", path, body=json.dumps(request).encode())
    return json.loads(answer.body)["status"]["token"]


def revoke(lab, namespace, name):
    """Ends the account and so its token; the API server goes on taking it for up to ten seconds."""
    lab.session.delete("v1", "ServiceAccount", name, namespace)


def test_a_token_that_ends_in_the_middle_is_renewed_where_there_is_a_new_one(lab, scratch):
    file = lab.driver.home / "token"
    file.write_text(account(lab, scratch, "first"))
    document = kubeconfig_of(lab)
    document["users"][0]["user"] = {"tokenFile": str(file)}
    owned = Owned(lab, "tokens", document)
    try:
        owned.allow(pace=4)
        owned.write(*many(scratch, 70))
        process = owned.begin(2)
        revoke(lab, scratch, "first")
        code, said, out = owned.ended(process)
        assert code == 1, out
        assert "does not accept the credentials" in said
        assert "401" in said
        there = len(owned.members())
        assert 2 <= there < 70
        ran = owned.plan()
        assert ran.code == 1
        assert "to add" not in ran.out
        assert "does not accept the credentials" in one_sentence(ran)

        file.write_text(account(lab, scratch, "second"))
        owned.write(*many(scratch, there + 60))  # at four a second that is longer than the old token is taken
        process = owned.begin(1)
        file.write_text(account(lab, scratch, "third"))
        revoke(lab, scratch, "second")
        out, _ = process.communicate(timeout=120)
        assert process.returncode == 0, out
        assert len(owned.members()) == there + 60
        assert owned.plan("--detailed-exitcode").code == 0
    finally:
        file.write_text(account(lab, scratch, "last"))
        owned.clean()
        for name in ("first", "second", "third", "last"):
            lab.session.delete("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", f"{scratch}-{name}")


def test_a_conflict_in_the_middle_stops_before_what_somebody_else_wrote(lab, owned, scratch):
    owned.allow(pace=20)
    owned.write(*many(scratch, 60))
    process = owned.begin(5)
    owned.session.apply(config("many-50", scratch, k="theirs"), manager="somebody")
    code, said, out = owned.ended(process)
    assert code == 3, out
    assert f"ConfigMap {scratch}/many-50" in said
    assert "data.k is of somebody" in said
    assert owned.session.get("v1", "ConfigMap", "many-50", scratch)["data"] == {"k": "theirs"}
    there = len(owned.members())
    assert 45 <= there < 60
    assert owned.apply().code == 3
    assert len(owned.members()) == there
    owned.session.delete("v1", "ConfigMap", "many-50", scratch)
    owned.allow()
    owned.applied()
    assert len(owned.members()) == 60


def test_two_operators_at_once_and_one_that_is_killed(lab, owned, scratch):
    # The same cluster under another name: then the file lock is another one, and the Lease decides.
    document = kubeconfig_of(lab)
    document["contexts"][0]["name"] = document["current-context"] = "by-another-name"
    other = Owned(lab, "another", document)
    other.write(config("theirs", scratch, k="v"))
    owned.allow(pace=1)
    owned.write(*many(scratch, 60))
    process = owned.begin(3)
    try:
        for second in (owned, other):
            ran = second.apply()
            assert ran.code == 3, ran.out + ran.err
            said = one_sentence(ran)
            assert "another run is changing" in said
            assert re.search(r"\bfaulty: (.+, )?resources\b", said)
            assert second.plan().code == 0, "reading is allowed"
        assert other.members() == []
        assert process.poll() is None
    finally:
        kill(process)
    there = len(owned.members())
    ran = other.apply()
    assert ran.code == 0, ran.err
    assert "waiting" not in ran.err
    assert other.members() == ["theirs"]
    other.clean()
    plan = owned.plan()
    assert lines(plan)[-1].startswith(f"Plan: {60 - there} to add, 0 to change, 0 to destroy; to finish: resources")
    owned.allow()
    owned.applied()


def istiod_ready(lab):
    ref = wait.Ref("Deployment", "istiod", "istio-system")
    wait.ready(lab.session, [ref], timeout=120)


HOOKS = ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "istiod-default-validator")


def webhook_at(lab, service, scratch):
    """Makes the API server ask this Service about Istio's objects, and waits until it does."""
    body = [{"op": "replace", "path": "/webhooks/0/clientConfig/service/name", "value": service}]
    lab.session.patch(*HOOKS, body=body, content_type="application/json-patch+json", manager="a-fault")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            lab.session.apply(entry("asked", scratch), dry_run=True)
            answers = True
        except ApiError as error:
            answers = not error.webhook
        if answers == (service == "istiod"):
            return
        time.sleep(0.2)
    raise AssertionError(f"the webhook at {service} was not as expected")


def test_a_webhook_that_nobody_answers_is_never_an_invalid_object(lab, owned, scratch):
    owned.write(entry("outside", scratch), config("beside", scratch, k="v"))
    owned.applied()
    webhook_at(lab, "nobody", scratch)
    try:
        assert owned.plan("--detailed-exitcode").code == 0
        owned.write(entry("outside", scratch, port=8443), entry("new", scratch), config("beside", scratch, k="new"))
        # A plan may be made without istiod, but says so.
        ran = owned.plan()
        if ran.code:
            _said_of_istiod(ran)
        else:
            assert "istiod" in ran.out
        ran = owned.apply()
        _said_of_istiod(ran)
        live = owned.session.get(ISTIO, "ServiceEntry", "outside", scratch)
        assert live["spec"]["ports"][0]["number"] == 443
        assert owned.session.get(ISTIO, "ServiceEntry", "new", scratch) is None
    finally:
        webhook_at(lab, "istiod", scratch)
    owned.applied()
    assert owned.members("ServiceEntry", ISTIO) == ["new", "outside"]


def _said_of_istiod(ran):
    """Exit code 1 and a sentence about istiod; nothing about the object being wrong."""
    assert ran.code == 1, ran.out + ran.err
    said = one_sentence(ran)
    assert "istiod" in said
    assert "unavailable" in said or "webhook" in said, said
    assert "invalid" not in said.lower()


def _eventually_applied(owned):
    """Endpoints take a moment to be there again."""
    deadline = time.monotonic() + 60
    while (ran := owned.apply()).code == 1 and time.monotonic() < deadline:
        assert "istiod" in one_sentence(ran)
        time.sleep(1)
    owned.applied()


def test_istiod_away_at_plan_and_in_the_middle_of_an_apply(lab, owned, scratch):
    istiod_ready(lab)
    owned.allow(pace=5)
    owned.write(*(entry(f"many-{number:02}", scratch) for number in range(60)))
    process = owned.begin(3, "ServiceEntry", ISTIO)
    lab.session.patch("apps/v1", "Deployment", "istiod", "istio-system", body={"spec": {"replicas": 0}})
    try:
        code, said, out = owned.ended(process)
        assert code == 1, out
        assert "istiod" in said
        assert "invalid" not in said.lower()
        there = len(owned.members("ServiceEntry", ISTIO))
        assert 3 <= there < 60
        # Nothing is to be asked about what is there and as it should be; about the rest istiod is.
        ran = owned.plan()
        assert ran.code == 0, ran.err
        assert f"Plan: {60 - there} to add" in ran.out
        assert "istiod" in ran.out
        ran = owned.apply()
        _said_of_istiod(ran)
        assert len(owned.members("ServiceEntry", ISTIO)) == there
    finally:
        lab.session.patch("apps/v1", "Deployment", "istiod", "istio-system", body={"spec": {"replicas": 1}})
        istiod_ready(lab)
    owned.allow()
    _eventually_applied(owned)
    assert len(owned.members("ServiceEntry", ISTIO)) == 60


def test_five_hundred_namespaces(lab, owned):
    names = [f"n{number:03}-{os.getpid()}" for number in range(500)]
    namespaces = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}} for name in names]
    configs = [config("only", name, k="v") for name in names]
    try:
        owned.write(*namespaces, *configs)
        plan = owned.plan()
        assert lines(plan)[-1] == "Plan: 1000 to add, 0 to change, 0 to destroy.", plan.err
        owned.applied()
        owned.write(*configs[:1], *namespaces)
        plan = owned.plan()
        assert lines(plan)[-1] == "Plan: 0 to add, 0 to change, 499 to destroy."
        owned.applied()
        assert owned.members() == ["only"]
    finally:
        owned.clean()
        owned.session.map(lambda name: owned.session.delete("v1", "Namespace", name), names)
