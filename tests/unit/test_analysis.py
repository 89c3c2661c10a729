"""istioctl's analysis for those who may not list Secrets: of the live objects without them."""

from __future__ import annotations

import json
import shlex

import pytest
from fakes import FakeSession, FakeTarget, Object, environment

from meshwright import analysis, cluster, tools
from meshwright.errors import ProcessError, Unreachable

SAID = 'Error: secrets is forbidden: User "jo" cannot list resource "secrets" in API group "" in the namespace "x"'


def made(api_version: str, kind: str, name: str, namespace: str = "shop") -> Object:
    metadata = {"name": name, "namespace": namespace, "managedFields": [{"manager": "x"}]}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata}


def finding(message: str) -> Object:
    return {"code": "IST0101", "level": "Error", "origin": "Gateway shop/web", "message": message}


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> FakeSession:
    found = FakeSession(
        made("networking.istio.io/v1", "Gateway", "web"),
        made("v1", "Secret", "key"),
        made("v1", "ConfigMap", "istio", "istio-system"),
        made("v1", "ConfigMap", "other", "istio-system"),
    )
    monkeypatch.setattr(cluster, "session", lambda _target, _env: found)
    monkeypatch.setattr(tools, "installed", lambda *_: "/bin/istioctl")
    monkeypatch.setattr(tools, "path", lambda *_: "/bin/istioctl")
    return found


def test_it_is_given_the_objects_without_secrets_and_says_what_it_cannot_know(
    host: FakeTarget, session: FakeSession
) -> None:
    given: list[bytes | None] = []

    def answer(_command: object, data: bytes | None) -> str:
        given.append(data)
        return json.dumps([finding("Referenced credentialName not found: key"), finding("Referenced host not found")])

    host.answer("analyze", (1, SAID))
    host.answer("analyze --use-kube=false -", answer)
    found = analysis.analyze(host, environment(), ["shop"])
    assert [each.message for each in found or []] == ["Referenced host not found"]
    assert given[0] is not None
    objects = [json.loads(text) for text in given[0].decode().split("\n---\n")]
    assert [(obj["kind"], obj["metadata"]["name"]) for obj in objects] == [("Gateway", "web"), ("ConfigMap", "istio")]
    assert all("managedFields" not in obj["metadata"] for obj in objects)
    assert any(sentence.startswith("not verified: whether the Secrets") for sentence in host.sentences)


def test_with_the_right_it_looks_itself(host: FakeTarget, session: FakeSession) -> None:
    host.answer("analyze", json.dumps([finding("Referenced credentialName not found: key")]))
    found = analysis.analyze(host, environment(), ["shop"])
    assert [each.message for each in found or []] == ["Referenced credentialName not found: key"]
    assert session.asked == []


def test_one_that_does_not_end_could_not_look(host: FakeTarget, session: FakeSession) -> None:
    def late(command: tuple[str, ...], _data: bytes | None) -> str:
        said = f"{shlex.join(command[:3])} did not end within 60 s"
        raise ProcessError(said, command=command, output="", hint="")

    host.answer("analyze", late)
    with pytest.raises(Unreachable) as caught:
        analysis.analyze(host, environment(), ["shop"])
    assert caught.value.message == "istioctl analyze did not end within 60 s"
