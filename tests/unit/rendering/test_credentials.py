"""Credentials: files of the user's and what may be wrong with them; certificates that are made here, and kept."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from meshwright import rendering
from meshwright.environment import Environment
from meshwright.errors import BadInput, MeshwrightError
from meshwright.project import Project
from meshwright.rendering import credentials

Load = Callable[..., Environment]
FILES = (
    "resources: {credentials: {istio-system/c: "
    "{kind: reference, certificate: {file: tls/c.crt}, key: {file: tls/c.key}}}}\n"
)
MADE = "resources: {{credentials: {{istio-system/c: {{kind: self_signed, hosts: [{hosts}], days: {days}}}}}}}\n"
PLACE = "group_data/lab.yaml:1"


def pair(days: int = 10) -> tuple[bytes, bytes]:
    """A certificate and its key, PEM."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a.example.com")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    made = (
        builder.serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=20))
        .not_valid_after(now + datetime.timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return made.public_bytes(serialization.Encoding.PEM), key.private_bytes(serialization.Encoding.PEM, *form)


def put(project: Project, certificate: bytes, key: bytes) -> None:
    (project.root / "tls").mkdir(exist_ok=True)
    (project.root / "tls" / "c.crt").write_bytes(certificate)
    (project.root / "tls" / "c.key").write_bytes(key)


def secret(project: Project, env: Environment) -> dict[str, Any]:
    [made] = rendering.rendered(project, env)
    assert made.obj["type"] == "kubernetes.io/tls"
    return {name: base64.b64decode(value) for name, value in made.obj["data"].items()}


def test_files_are_the_secret(project: Project, environment: Load) -> None:
    certificate, key = pair()
    put(project, certificate, key)
    assert secret(project, environment(FILES)) == {"tls.crt": certificate, "tls.key": key}


def test_with_a_ca_for_mutual(project: Project, environment: Load) -> None:
    certificate, key = pair()
    put(project, certificate, key)
    env = environment(FILES.replace("}}}}", "}, ca: {file: tls/c.crt}}}}"))
    assert secret(project, env)["ca.crt"] == certificate


@pytest.mark.parametrize(
    ("certificate", "key", "sentence"),
    [
        (None, None, 'resources.credentials["istio-system/c"].certificate: tls/c.crt cannot be read: '
         "No such file or directory"),
        (b"x", pair()[1], "file tls/c.crt has no certificate in PEM"),
        (pair()[0], b"x", "file tls/c.key has no private key in PEM without a password"),
        (pair()[0], pair()[1], "file tls/c.key is not the key of file tls/c.crt"),
    ],
)  # fmt: skip
def test_what_may_be_wrong_with_files(
    project: Project, environment: Load, certificate: bytes | None, key: bytes | None, sentence: str
) -> None:
    if certificate is not None and key is not None:
        put(project, certificate, key)
    with pytest.raises(BadInput) as caught:
        rendering.rendered(project, environment(FILES))
    assert caught.value.message == f"{PLACE}: {sentence}"
    assert caught.value.hint


def revoked(by: str, ends: int = 10, key: ec.EllipticCurvePrivateKey | None = None) -> bytes:
    """A list of revoked certificates, PEM, that an authority of this name is to replace in `ends` days."""
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, by)])
    builder = x509.CertificateRevocationListBuilder().issuer_name(name).last_update(now - datetime.timedelta(days=20))
    made = builder.next_update(now + datetime.timedelta(days=ends)).sign(
        key or ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()
    )
    return made.public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("crl", "sentence"),
    [
        (revoked("a.example.com") * 2, ""),
        (b"x", "file tls/c.crl has no list of revoked certificates in PEM"),
        (b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----", "has no list of revoked certificates in PEM"),
        (revoked("b.example.com"), "file tls/c.crl is of another authority than those of ca"),
        (revoked("a.example.com") + revoked("a.example.com", -1), "file tls/c.crl was due to be replaced at 2"),
    ],
)
def test_a_list_of_revoked_certificates(project: Project, environment: Load, crl: bytes, sentence: str) -> None:
    put(project, *pair())
    (project.root / "tls" / "c.crl").write_bytes(crl)
    env = environment(FILES.replace("}}}}", "}, ca: {file: tls/c.crt}, crl: {file: tls/c.crl}}}}"))
    if not sentence:
        assert secret(project, env)["ca.crl"] == crl
        return
    with pytest.raises(BadInput) as caught:
        rendering.rendered(project, env)
    assert sentence in caught.value.message
    assert caught.value.message.startswith(PLACE)


def test_a_reference_that_cannot_be_read_from_here_is_told_where_that_is_asked(
    project: Project, environment: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(project, *pair())
    monkeypatch.delenv("VAULT_ADDR", raising=False)
    env = environment(FILES.replace("{file: tls/c.key}", "{vault: a/b, key: c}"))
    with pytest.raises(MeshwrightError, match="VAULT_ADDR is not set"):
        rendering.rendered(project, env)
    unread: list[str] = []
    [made] = rendering.rendered(project, env, unread)
    assert made.obj["data"] == {}
    [sentence] = unread
    assert sentence.startswith(f'{PLACE}: resources.credentials["istio-system/c"].key: VAULT_ADDR')


def test_a_certificate_that_has_expired_is_refused(project: Project, environment: Load) -> None:
    put(project, *pair(days=-1))
    with pytest.raises(BadInput, match=r"tls/c.crt has expired at 2\d{3}-"):
        rendering.rendered(project, environment(FILES))


def test_a_self_signed_one_is_kept_for_the_next_plan_and_readable_by_its_owner_only(
    project: Project, environment: Load
) -> None:
    env = environment(MADE.format(hosts="a.example.com, '*.a.example.com'", days=30))
    first = secret(project, env)
    assert secret(project, env) == first
    file = project.of("lab") / "credentials" / "istio-system" / "c.pem"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o077 == 0
    made = credentials.certificate(first["tls.crt"])
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.example.com", "*.a.example.com"]
    assert (made.not_valid_after_utc - made.not_valid_before_utc).days == 30
    assert serialization.load_pem_private_key(first["tls.key"], None).public_key() == made.public_key()


@pytest.mark.parametrize(
    ("days", "after", "renewed"),
    [(30, 0, False), (30, 14, False), (30, 16, True), (30, 40, True), (90, 68, False), (90, 70, True), (1, 0, False)],
)
def test_it_is_made_anew_when_less_is_left_than_the_threshold_or_half_of_its_time(
    project: Project, environment: Load, monkeypatch: pytest.MonkeyPatch, days: int, after: int, renewed: bool
) -> None:
    """The threshold is certs.gateway_days_warn, which is 21."""
    env = environment(MADE.format(hosts="a.example.com", days=days))
    first, now = secret(project, env), credentials._now()
    monkeypatch.setattr(credentials, "_now", lambda: now + datetime.timedelta(days=after))
    assert (secret(project, env) != first) is renewed


def test_and_when_its_hosts_change_or_it_is_cut_off(project: Project, environment: Load) -> None:
    first = secret(project, environment(MADE.format(hosts="a.example.com", days=30)))
    second = secret(project, environment(MADE.format(hosts="b.example.com", days=30)))
    assert first != second
    file = project.of("lab") / "credentials" / "istio-system" / "c.pem"
    for content in (b"", second["tls.crt"], b"\xff"):
        file.write_bytes(content)
        third = secret(project, environment(MADE.format(hosts="b.example.com", days=30)))
        assert b"PRIVATE KEY" in third["tls.key"]
