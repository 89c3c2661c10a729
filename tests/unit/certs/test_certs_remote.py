"""Which cluster a remote secret leads to."""

from __future__ import annotations

import pytest
from certmeshes import kubeconfig, remote_secret
from fakes import FakeSession
from pki import make, secret

from meshwright.certs import remote
from meshwright.certs.remote import Known, Remote

CAS = {name: make(f"{name}-ca") for name in ("east", "west", "other")}


def der(name: str) -> frozenset[bytes]:
    return frozenset({CAS[name].certificate.der})


EAST = Known("prod/east", frozenset({"prod/east", "east", "c-east"}), "https://10.0.0.1:6443", der("east"))
WEST = Known("prod/west", frozenset({"prod/west", "west", "c-west"}), "https://10.0.0.2", der("west"))


def test_what_is_read_and_what_is_not() -> None:
    session = FakeSession(
        remote_secret("istio-remote-secret-west", "west", kubeconfig("https://10.0.0.2:443", CAS["west"])),
        secret("cacerts", {"ca-key.pem": "x"}),
    )
    [found] = remote.read(session, "istio-system")
    assert found == Remote("istio-remote-secret-west", "west", "https://10.0.0.2:443", der("west"))
    assert str(found) == "west, by Secret istio-remote-secret-west, at https://10.0.0.2:443"
    assert "t0psecret" not in repr(found)
    assert remote.read(session, "elsewhere") == []


@pytest.mark.parametrize("text", ["", "not: [yaml", "[]", "\x00", "clusters: 5", '{"clusters": [{"name": "c"}]}'])
def test_one_that_cannot_be_read_still_says_that_there_is_a_cluster(text: str) -> None:
    session = FakeSession(remote_secret("s", "west", text))
    assert remote.read(session, "istio-system") == [Remote("s", "west")]


def test_broken_base64() -> None:
    made = remote_secret("s", "west", "x")
    made["data"]["west"] = "%%%"
    assert remote.read(FakeSession(made), "istio-system") == [Remote("s", "west")]
    made["data"] = {}
    assert [each.secret for each in remote.read(FakeSession(made), "istio-system")] == ["s"]


@pytest.mark.parametrize(
    ("found", "whose"),
    [
        # The CA says it, whatever address and name say.
        (Remote("s", "x", "https://elsewhere", der("west")), WEST),
        (Remote("s", "east", "https://10.0.0.1:6443", der("west")), WEST),
        # Another CA is another cluster, with the same name and at the same address too.
        (Remote("s", "west", "https://10.0.0.2", der("other")), None),
        # Without a CA the address does, and without that its name.
        (Remote("s", "x", "https://10.0.0.2:443/"), WEST),
        (Remote("s", "west", "https://elsewhere"), WEST),
        (Remote("s", "c-east"), EAST),
        (Remote("s", "x", "https://elsewhere"), None),
        (Remote("s", "x", "https://10.0.0.1:badport"), None),
    ],
)
def test_whose_it_is(found: Remote, whose: Known | None) -> None:
    assert remote.owner(found, [EAST, WEST]) is whose


def test_clusters_under_one_ca_are_told_apart_by_address_and_name() -> None:
    one = Known("prod/one", frozenset({"one"}), "https://a", der("other"))
    two = Known("prod/two", frozenset({"two"}), "https://b", der("other"))
    assert remote.owner(Remote("s", "x", "https://b", der("other")), [one, two]) is two
    assert remote.owner(Remote("s", "one", "https://c", der("other")), [one, two]) is one
    assert remote.owner(Remote("s", "x", "https://c", der("other")), [one, two]) is None
