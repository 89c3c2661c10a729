"""Which cluster answers, and whether it is the one that the environment means."""

from __future__ import annotations

import json
from typing import Any

import pytest
from fakes import CA, UID, FakeSession, FakeTarget, environment, existing

from meshwright import identity
from meshwright.errors import Exit, Refused
from meshwright.kube import Identity

OTHER_UID = "11111111-2222-3333-4444-555555555555"
OTHER_CA = "cd" * 32


def session(uid: str = UID, ca: str = CA) -> FakeSession:
    made = FakeSession()
    made.who = Identity(uid, ca)
    return made


def test_a_pinned_cluster_that_answers_as_itself_is_right(host: FakeTarget) -> None:
    identity.verify(host, existing(), session())


@pytest.mark.parametrize(
    ("live", "what", "is_", "wanted"),
    [(session(uid=OTHER_UID), "uid", OTHER_UID, UID), (session(ca=OTHER_CA), "CA", OTHER_CA, CA)],
)
def test_another_cluster_is_refused(host: FakeTarget, live: FakeSession, what: str, is_: str, wanted: str) -> None:
    with pytest.raises(Refused) as caught:
        identity.verify(host, existing(), live)
    assert caught.value.message == f"this is another cluster than prod means: its {what} is {is_}, not {wanted}"
    assert caught.value.hint == "Look where the context leads; nothing was changed"
    assert caught.value.exit_code is Exit.REFUSED


@pytest.mark.parametrize(
    ("pins", "missing"),
    [
        ({"uid": None}, "uid"),
        ({"ca_sha256": None}, "ca_sha256"),
        ({"uid": None, "ca_sha256": None}, "uid and ca_sha256"),
    ],
)
def test_a_protected_environment_must_say_which_cluster_it_means(
    host: FakeTarget, pins: dict[str, Any], missing: str
) -> None:
    with pytest.raises(Refused) as caught:
        identity.verify(host, existing(**pins), session())
    assert caught.value.message == f"prod is protected and its cluster has no {missing}"
    assert caught.value.hint == (
        f"What answers today is uid {UID}, ca_sha256 {CA}; if that is the right cluster, "
        "write both into group_data/prod.yaml under `cluster`"
    )


def test_an_unprotected_cluster_may_pin_one_of_both(host: FakeTarget) -> None:
    cluster = {"kind": "existing", "context": "dev", "uid": UID}
    env = environment(cluster=cluster)
    identity.verify(host, env, session(ca=OTHER_CA))
    with pytest.raises(Refused, match="its uid is"):
        identity.verify(host, env, session(uid=OTHER_UID))


def test_what_nobody_pinned_or_recorded_is_not_compared(host: FakeTarget) -> None:
    identity.verify(host, environment(), session(uid=OTHER_UID))


def test_a_k3d_cluster_is_recorded_and_recognised(host: FakeTarget) -> None:
    identity.record(host, environment(), session())
    text = host.read(f"{host.state}/lab/identity.json")
    assert text is not None
    assert json.loads(text) == {"uid": UID, "ca_sha256": CA}
    identity.verify(host, environment(), session())
    with pytest.raises(Refused, match="this is another cluster than lab means: its CA is"):
        identity.verify(host, environment(), session(ca=OTHER_CA))


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"uid": "x"}', b"\xff", b"null"])
def test_a_record_that_is_not_ours_is_refused(host: FakeTarget, text: bytes) -> None:
    path = f"{host.state}/lab/identity.json"
    host.write(path, text)
    with pytest.raises(Refused, match="is not what Meshwright wrote") as caught:
        identity.verify(host, environment(), session())
    assert caught.value.message.startswith(path)


def test_two_clusters_of_one_environment_are_not_the_same(host: FakeTarget) -> None:
    for name in ("prod/east", "staging/east", "prod/east"):
        identity.verify(host, existing().model_copy(update={"name": name}), session())
    with pytest.raises(Refused) as caught:
        identity.verify(host, existing().model_copy(update={"name": "prod/west"}), session())
    assert caught.value.message == f"prod/east and prod/west are one cluster: both have the uid {UID}"
