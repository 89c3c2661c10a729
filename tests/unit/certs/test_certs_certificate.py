"""Certificates and bundles: what is the same, what is read, and what is not."""

from __future__ import annotations

import datetime as dt
import hashlib
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from pki import NOW, leaf, make

from meshwright.certs.certificate import BrokenBundle, bundle, named, of_der, pem

CAS = [make(f"ca {number}") for number in range(4)]


@given(st.lists(st.sampled_from(CAS), max_size=8), st.text(alphabet=" \n\t# abc", max_size=12))
@settings(max_examples=60)
def test_a_bundle_keeps_order_and_doubles_and_the_set_neither(chosen, between):
    text = "".join(f"{between}\n{each.pem}{between}" for each in chosen)
    found = bundle(text)
    assert list(found) == [each.certificate for each in chosen]
    assert frozenset(found) == frozenset(bundle("".join(each.pem for each in reversed(chosen))))
    assert bundle(pem(found)) == found


def test_other_text_of_one_certificate_is_the_same_certificate():
    text = CAS[0].pem
    lines = text.strip().splitlines()
    wide = "\n".join([lines[0], "".join(lines[1:-1]), lines[-1]])
    windows = text.replace("\n", "\r\n")
    assert bundle(wide) == bundle(windows) == bundle(text.rstrip()) == (CAS[0].certificate,)


def test_keys_are_passed_over():
    assert bundle(CAS[0].key_pem + CAS[0].pem + CAS[1].key_pem) == (CAS[0].certificate,)


@pytest.mark.parametrize("inside", ["AAAA", "not base64!", ""])
def test_a_damaged_block_is_named(inside):
    text = CAS[0].pem + f"-----BEGIN CERTIFICATE-----\n{inside}\n-----END CERTIFICATE-----\n"
    with pytest.raises(BrokenBundle) as caught:
        bundle(text, "Secret a/b")
    assert caught.value.message == "certificate 2 in Secret a/b is damaged"


def test_what_a_certificate_says():
    root = make("Acme", days=(-10, 90.5))
    found = root.certificate
    assert (found.subject, found.issuer, found.ca, found.self_signed) == ("O=Acme", "O=Acme", True, True)
    assert found.sha256 == hashlib.sha256(found.der).hexdigest()
    assert (found.days(NOW), found.key, found.aki) == (90, "EC secp256r1", "")
    assert round(found.percent(NOW)) == 90
    assert found.label == f"O=Acme ({found.sha256[:12]})"
    workload = leaf(root).certificate
    assert workload.subject == "spiffe://cluster.local/ns/shop/sa/web"
    assert (workload.ca, workload.self_signed, workload.aki) == (False, False, found.ski)
    assert named([found, workload, found]) == f"{found.label}, {workload.label}"


def test_days_of_one_that_has_ended():
    gone = make("x", days=(-10, -0.5)).certificate
    assert (gone.days(NOW), gone.percent(NOW), gone.valid(NOW)) == (-1, 0, False)
    assert not make("x", days=(1, 2)).certificate.valid(NOW)


def test_types_of_keys():
    assert make("x", key=rsa.generate_private_key(65537, 2048)).certificate.key == "RSA 2048"
    from cryptography import x509

    key = ed25519.Ed25519PrivateKey.generate()
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(x509.Name([]))
    builder = builder.public_key(key.public_key()).serial_number(1)
    made = builder.not_valid_before(NOW).not_valid_after(NOW + dt.timedelta(days=1)).sign(key, None)
    from cryptography.hazmat.primitives.serialization import Encoding

    found = of_der(made.public_bytes(Encoding.DER))
    assert (found.key, found.ca, found.ski, found.names) == ("Ed25519", False, "", ())


def test_it_agrees_with_openssl(tmp_path: Path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*command, "-days", "30", "-subj", "/O=cluster.local/CN=root"], check=True, capture_output=True)
    said = subprocess.run(
        [
            "openssl",
            "x509",
            "-in",
            str(cert),
            "-noout",
            "-fingerprint",
            "-sha256",
            "-serial",
            "-ext",
            "subjectKeyIdentifier",
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    [found] = bundle(cert.read_bytes())
    assert found.sha256.upper() in said.replace(":", "")
    assert found.ski.upper() in said.replace(":", "")
    assert found.serial.lstrip("0").upper() in said
    assert found.days(dt.datetime.now(dt.UTC)) == 29
    assert found.ca
    assert found.self_signed
