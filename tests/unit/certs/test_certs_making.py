"""CAs made, extended and read: as istiod would make them, and nothing of a key to be seen."""

from __future__ import annotations

import datetime as dt
import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.name import _ASN1Type
from pki import NOW, Signed, leaf, make, plugged, self_signed

from meshwright.certs.candidate import findings
from meshwright.certs.chain import roots_of
from meshwright.certs.contents import Ca, Case
from meshwright.certs.making import extended, from_files, held, new_root
from meshwright.errors import BadInput, MeshwrightError

LIFE = dt.timedelta(days=3650)
DAY = dt.timedelta(days=1)
OLD = make("cluster.local", days=(-3000, 300))


def test_a_new_root_is_one_that_istiod_could_have_made() -> None:
    new = new_root(OLD.certificate, NOW, LIFE, (1, 31, 0))
    root = new.root
    assert (root, new.chain) == (new.signer, ())
    assert (root.key, root.ca, root.self_signed, root.days(NOW)) == ("RSA 2048", True, True, 3650)
    assert root.not_before < NOW
    # One organization, as Go writes it: istiod's own rotator keeps nothing else.
    [attribute] = root.x509.subject
    assert attribute.value == f"cluster.local {NOW:%Y-%m-%d}"
    assert attribute._type is _ASN1Type.PrintableString
    names = {extension.oid._name: extension.critical for extension in root.x509.extensions}
    assert names == {"keyUsage": True, "basicConstraints": True, "subjectKeyIdentifier": False}
    usage = root.x509.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, False, False)
    assert findings(new, Ca(OLD.certificate, OLD.certificate, (), ""), NOW, DAY, Case.IN_PLACE) == []


@pytest.mark.parametrize(("version", "sha256"), [((1, 28, 9), False), ((1, 29, 0), True), ((1, 31, 0), True)])
def test_the_key_id_is_that_of_istiods_go(version: Any, sha256: bool) -> None:
    root = new_root(OLD.certificate, NOW, LIFE, version).root
    raw = root.x509.public_key().public_bytes(Encoding.DER, PublicFormat.PKCS1)
    expected = hashlib.sha256(raw).hexdigest()[:40] if sha256 else hashlib.sha1(raw).hexdigest()
    assert root.ski == expected


def test_names_of_roots_do_not_grow() -> None:
    first = new_root(OLD.certificate, NOW, LIFE, (1, 31, 0)).root
    same_day = new_root(first, NOW, LIFE, (1, 31, 0)).root
    later = new_root(same_day, NOW + 400 * DAY, LIFE, (1, 31, 0)).root
    assert len({first.subject, same_day.subject, later.subject}) == 3
    assert later.subject == f"O=cluster.local {NOW + 400 * DAY:%Y-%m-%d}"
    with pytest.raises(BadInput, match="is no organization for a root"):
        new_root(make("Übung").certificate, NOW, LIFE, (1, 31, 0))


@pytest.mark.parametrize("identifiers", [True, False])
def test_an_extended_root_is_the_same_to_everybody(tmp_path: Path, identifiers: bool) -> None:
    old = make("cluster.local", days=(-3000, 300), identifiers=identifiers)
    ca = Ca(old.certificate, old.certificate, (), old.key_pem, "istio-ca-secret")
    new = extended(ca, NOW, LIFE)
    assert (new.root.ski, new.root.days(NOW)) == (old.certificate.ski, 3650)
    assert new.root != old.certificate
    said = findings(new, ca, NOW, DAY, Case.EXTEND)
    assert [each for each in said if each.state == "failed"] == []
    # What lives is under both, also for OpenSSL, which looks at key identifiers.
    own = leaf(old).certificate
    both = [old.certificate, new.root]
    assert roots_of(own, [], both, NOW) == set(both)
    paths = {"root": new.root, "leaf": own}
    for name, each in paths.items():
        (tmp_path / name).write_bytes(each.x509.public_bytes(Encoding.PEM))
    command = ["openssl", "verify", "-CAfile", str(tmp_path / "root"), str(tmp_path / "leaf")]
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_another_key_id_would_break_what_lives(tmp_path: Path) -> None:
    """The trap: the same key, its identifier computed in another way. The signature is right, and there is no path."""
    other = make("cluster.local", key=OLD.key)
    raw = OLD.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert other.certificate.ski == OLD.certificate.ski
    wrong = _with_ski(OLD, hashlib.sha256(raw).digest()[:20])
    own = leaf(OLD).certificate
    assert roots_of(own, [], [wrong.certificate], NOW) == frozenset()
    ca = Ca(OLD.certificate, OLD.certificate, (), OLD.key_pem)
    new = Ca(wrong.certificate, wrong.certificate, (), OLD.key_pem)
    said = [each.detail for each in findings(new, ca, NOW, DAY, Case.EXTEND) if each.state == "failed"]
    assert any("subject key id is not that of the old root" in each for each in said)


def _with_ski(old: Signed, ski: bytes) -> Signed:
    from cryptography.hazmat.primitives import hashes

    from meshwright.certs.certificate import of_der

    name = old.certificate.x509.subject
    builder = x509.CertificateBuilder(name, name, old.key.public_key(), 9, NOW - DAY, NOW + LIFE)
    builder = builder.add_extension(x509.BasicConstraints(True, None), True)
    made = builder.add_extension(x509.SubjectKeyIdentifier(ski), False).sign(old.key, hashes.SHA256())
    return Signed(of_der(made.public_bytes(Encoding.DER)), old.key)


def test_a_root_whose_key_is_elsewhere_cannot_be_extended() -> None:
    middle = make("Int", OLD)
    with pytest.raises(MeshwrightError, match="is not here: O=Int"):
        extended(Ca(OLD.certificate, middle.certificate, (), middle.key_pem), NOW, LIFE)


def test_what_a_secret_holds() -> None:
    new = make("cluster.local")
    own = held(self_signed(OLD, new))
    assert (own.signer, own.root, own.secret) == (OLD.certificate, OLD.certificate, "istio-ca-secret")
    assert own.roots_text == OLD.pem + new.pem
    top = make("Acme")
    low = make("Low", make("Mid", top))
    found = held(plugged(low, new, top))
    assert (found.signer, found.root, found.secret) == (low.certificate, top.certificate, "cacerts")
    assert [each.subject for each in found.chain] == ["O=Mid"]
    assert low.key_pem.splitlines()[1] not in repr(found)
    broken = plugged(low, top)
    broken["data"]["ca-key.pem"] = ""
    with pytest.raises(MeshwrightError, match="has not all of a CA"):
        held(broken)
    broken["data"]["ca-key.pem"] = "%%"
    with pytest.raises(MeshwrightError, match="no text"):
        held(broken)


TOP = make("Acme")
LOW = make("Low", make("Mid", TOP))


def files(**changed: bytes) -> dict[str, bytes]:
    chain = "".join(Signed(each, TOP.key).pem for each in LOW.above)
    made = {
        "ca-cert.pem": LOW.pem,
        "ca-key.pem": LOW.key_pem,
        "cert-chain.pem": LOW.pem + chain,
        "root-cert.pem": TOP.pem,
    }
    given = {name: text.encode() for name, text in made.items()}
    return given | {name.replace("_", "-") + ".pem": text for name, text in changed.items()}


def test_files_of_a_ca() -> None:
    found = from_files(files(), "ca/")
    assert (found.signer, found.root) == (LOW.certificate, TOP.certificate)
    assert found.chain == LOW.above
    assert findings(found, None, NOW, DAY, Case.REPLACE) == []
    root = from_files(files(ca_cert=TOP.pem.encode(), ca_key=TOP.key_pem.encode(), cert_chain=b""), "ca/")
    assert (root.signer, root.chain, root.cert_chain) == (TOP.certificate, (), "")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ca_key": b""}, "ca/ has no ca-key.pem"),
        ({"ca_cert": b" \n", "root_cert": b""}, "ca/ has no ca-cert.pem, root-cert.pem"),
        ({"root_cert": (TOP.pem + OLD.pem).encode()}, "root-cert.pem of ca/ has 2 roots"),
        ({"ca_cert": b"nothing"}, "ca/ has not all of a CA"),
        ({"ca_key": b"nothing"}, "ca/ has not all of a CA"),
        ({"ca_cert": b"\xff\xfe"}, "no text"),
    ],
)
def test_files_that_are_no_ca(changed: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        from_files(files(**changed), "ca/")
