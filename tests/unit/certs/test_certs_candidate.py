"""A CA that would not do is refused before anything is written."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from pki import DAY, NOW, Signed, make

from meshwright.certs.candidate import findings
from meshwright.certs.contents import Ca, Case
from meshwright.check import State

LIFE = dt.timedelta(days=1)


def ca(signer: Signed, root: Signed, **more: Any) -> Ca:
    chain = tuple(each for each in signer.above if not each.self_signed)
    made = Ca(root.certificate, signer.certificate, chain, signer.key_pem)
    return replace(made, **more)


OLD = make("Old")
ROOT = make("Acme")
INT = make("Acme Int", ROOT, days=(-1, 400))


def said(new: Ca, old: Ca | None = None, case: Case = Case.REPLACE) -> dict[State, list[str]]:
    found: dict[State, list[str]] = {}
    for each in findings(new, old, NOW, LIFE, case):
        found.setdefault(each.state, []).append(f"{each.subject}: {each.detail}")
    return found


@pytest.mark.parametrize("new", [ca(INT, ROOT), ca(ROOT, ROOT), ca(make("Low", INT, days=(-1, 300)), ROOT)])
def test_one_that_will_do(new: Ca) -> None:
    assert said(new, ca(OLD, OLD)) == {}
    assert said(new) == {}


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (ca(INT, ROOT, key=ROOT.key_pem), "it is the key of another certificate"),
        (ca(INT, ROOT, key="no key"), "it cannot be read"),
        (ca(make("x", ROOT, ca=False), ROOT), "it is no CA"),
        (ca(INT, OLD), "it has no path to O=Old"),
        (ca(make("Low", INT), ROOT, chain=()), "it has no path to O=Acme"),
        (ca(INT, INT), "it did not sign itself"),
        (ca(gone := make("Gone", days=(-9, -1)), gone), "it expired on"),
        (ca(early := make("Early", days=(1, 90)), early), "it is not valid before"),
        (ca(make("Short", ROOT, days=(-1, 0.9)), ROOT), "it ends in 0 days, before a certificate that it would sign"),
        (ca(OLD, OLD), "it is the root that the mesh has already"),
        (ca(again := make("Again", key=OLD.key), again), "it has the key of the old root"),
    ],
)
def test_one_that_will_not_do(new: Ca, words: str) -> None:
    failed = said(new, ca(OLD, OLD)).get(State.FAILED, [])
    assert any(words in each for each in failed), failed


def test_what_works_and_should_be_known() -> None:
    twin = make("Old")
    [text] = said(ca(twin, twin), ca(OLD, OLD))[State.WARNING]
    assert "it has the name of the old root" in text
    bare = make("Bare", identifiers=False)
    [text] = said(ca(bare, bare))[State.WARNING]
    assert "no subject key id" in text
    top = make("Ends soon", days=(-1, 100))
    long = make("Long", top, days=(-1, 300))
    [text] = said(ca(long, top))[State.WARNING]
    assert "it outlives O=Ends soon" in text


def test_an_extended_key_usage_without_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import ExtendedKeyUsageOID

    from meshwright.certs.certificate import of_der

    for usage, refused in ((ExtendedKeyUsageOID.CLIENT_AUTH, True), (ExtendedKeyUsageOID.SERVER_AUTH, False)):
        subject = ROOT.certificate.x509.subject
        builder = x509.CertificateBuilder(subject, subject, ROOT.key.public_key(), 5, NOW - DAY, NOW + 99 * DAY)
        builder = builder.add_extension(x509.BasicConstraints(True, None), True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), False)
        made = of_der(builder.sign(ROOT.key, hashes.SHA256()).public_bytes(Encoding.DER))
        new = Ca(made, made, (), ROOT.key_pem)
        failed = " ".join(said(new).get(State.FAILED, []))
        assert ("no server authentication" in failed) is refused


def test_extending() -> None:
    old = make("Mesh", days=(-3000, 300))
    same = ca(make("Mesh", key=old.key), make("Mesh", key=old.key))
    longer = make("Mesh", key=old.key, days=(-1, 3650))
    assert said(ca(longer, longer), ca(old, old), Case.EXTEND) == {}
    for other, words in (
        (make("Mesh"), "it has another key"),
        (make("Mesh 2", key=old.key), "its subject is not byte for byte"),
        (make("Mesh", key=old.key, identifiers=False), "its subject key id is not that of the old root"),
        (make("Mesh", key=old.key, days=(-1, 200)), "it does not last longer"),
    ):
        failed = said(ca(other, other), ca(old, old), Case.EXTEND)[State.FAILED]
        assert any(words in each for each in failed), failed
    assert State.FAILED in said(same, ca(old, old), Case.REPLACE)


def test_no_key_in_what_is_said() -> None:
    text = repr(findings(ca(INT, ROOT, key=ROOT.key_pem), ca(OLD, OLD), NOW, LIFE, Case.REPLACE))
    assert ROOT.key_pem.splitlines()[1] not in text
