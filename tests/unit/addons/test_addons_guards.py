"""Exposures: what is rendered for each kind of authentication, and which users are refused; rollouts that fail."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from fakes import FakeSession, FakeTarget

from meshwright.addons import exposure, settling
from meshwright.environment import Environment
from meshwright.errors import BadInput
from meshwright.kube import wait

Make = Callable[..., Environment]
LINE = f"op:{{SHA}}{base64.b64encode(hashlib.sha1(b'x').digest()).decode()}"


def rendered(host: FakeTarget, with_addons: Make, **authentication: Any) -> dict[str, Any]:
    place = {"host": "kiali.example.com", "credential": "cert", "authentication": authentication}
    env = with_addons(kiali={"exposure": place})
    found = [m.obj for each in exposure.exposed(env) for m in exposure.rendered(host.project, env, each)]
    assert {obj["metadata"]["name"] for obj in found} == {"addon-kiali"}
    return {obj["kind"]: obj["spec"] for obj in found}


def test_open_is_a_gateway_with_tls_and_a_route(host: FakeTarget, with_addons: Make) -> None:
    found = rendered(host, with_addons, kind="none")
    assert sorted(found) == ["Gateway", "VirtualService"]
    [server] = found["Gateway"]["servers"]
    assert server["tls"] == {"mode": "SIMPLE", "credentialName": "cert", "minProtocolVersion": "TLSV1_2"}
    destination = found["VirtualService"]["http"][-1]["route"][0]["destination"]
    assert destination == {"host": "kiali.istio-system.svc.cluster.local", "port": {"number": 20001}}


def test_client_certificates_are_asked_for_by_the_gateway(host: FakeTarget, with_addons: Make) -> None:
    assert rendered(host, with_addons, kind="mtls")["Gateway"]["servers"][0]["tls"]["mode"] == "MUTUAL"


def test_tokens_of_the_issuer_alone_open_the_domain(host: FakeTarget, with_addons: Make) -> None:
    found = rendered(host, with_addons, kind="jwt", issuer="https://i.example.com", jwks='{"keys": []}', cookies=["t"])
    [rule] = found["RequestAuthentication"]["jwtRules"]
    assert (rule["issuer"], rule["jwks"], rule["fromCookies"]) == ("https://i.example.com", '{"keys": []}', ["t"])
    policy = found["AuthorizationPolicy"]
    assert policy["action"] == "DENY"
    assert policy["rules"][0]["from"] == [{"source": {"notRequestPrincipals": ["https://i.example.com/*"]}}]
    assert policy["rules"][0]["to"] == [{"operation": {"hosts": ["kiali.example.com", "kiali.example.com:*"]}}]


def test_passwords_are_asked_for_at_this_domain_alone(host: FakeTarget, with_addons: Make) -> None:
    (host.project.root / "users").write_text(f"{LINE}\n\n")
    insert, merge = rendered(host, with_addons, kind="basic", users="users")["EnvoyFilter"]["configPatches"]
    assert insert["patch"]["value"]["disabled"] is True
    assert merge["match"]["routeConfiguration"]["vhost"]["name"] == "kiali.example.com:443"
    [per_route] = merge["patch"]["value"]["typed_per_filter_config"].values()
    assert per_route["users"] == {"inline_string": LINE}


@pytest.mark.parametrize(
    ("text", "why"),
    [(f"{LINE}\nop:secret\n", "line 2 is not NAME:{SHA}..."), ("\n", "it has no line"), ("op:$apr1$a$b\n", "line 1")],
)
def test_other_users_are_refused_and_not_shown(host: FakeTarget, with_addons: Make, text: str, why: str) -> None:
    (host.project.root / "users").write_text(text)
    with pytest.raises(BadInput) as caught:
        rendered(host, with_addons, kind="basic", users="users")
    assert why in caught.value.message
    assert "secret" not in str(caught.value)


def test_a_file_of_users_must_be_there(host: FakeTarget, with_addons: Make) -> None:
    with pytest.raises(BadInput, match="which cannot be read: No such file or directory"):
        rendered(host, with_addons, kind="basic", users="none")


def test_every_text_of_the_values_is_quoted(host: FakeTarget, with_addons: Make) -> None:
    evil = 'a", b: {c: "d'
    found = rendered(host, with_addons, kind="jwt", issuer=evil)
    assert found["RequestAuthentication"]["jwtRules"][0]["issuer"] == evil
    assert yaml.safe_load(yaml.safe_dump(found)) == found


def deployment(name: str, ready: bool) -> dict[str, Any]:
    counts = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": int(ready), "availableReplicas": int(ready)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "istio-system"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}},
        "status": counts,
    }


def test_an_image_that_cannot_be_pulled_is_named_and_the_rest_is_waited_for(
    session: FakeSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settling, "_PULLING", 0)
    monkeypatch.setattr(settling, "_PAUSE", 0.01)
    session.put(deployment("good", True))
    session.put(deployment("bad", False))
    waiting = {"name": "web", "image": "example.com/none:1", "state": {"waiting": {"reason": "ImagePullBackOff"}}}
    metadata = {"name": "bad-1", "namespace": "istio-system", "labels": {"app": "bad"}}
    session.put({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "status": {"containerStatuses": [waiting]}})
    refs = {name: [wait.Ref("Deployment", name, "istio-system")] for name in ("good", "bad")}
    failed = settling.settle(session, refs, timeout=60, say=lambda _: None)
    assert failed == {
        "bad": "Deployment istio-system/bad is not ready: the image example.com/none:1 of container web cannot be "
        "pulled (ImagePullBackOff)"
    }


def test_what_is_late_is_named_with_why(session: FakeSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settling, "_PAUSE", 0.01)
    session.put(deployment("bad", False))
    refs = {name: [wait.Ref("Deployment", name, "istio-system")] for name in ("bad", "absent")}
    failed = settling.settle(session, refs, timeout=0.05, say=lambda _: None)
    assert "0 of 1 available" in failed["bad"]
    assert failed["absent"].endswith("it does not exist")
