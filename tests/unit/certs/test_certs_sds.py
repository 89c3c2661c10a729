"""What Envoys and ztunnels answer: by name, whatever the order, damaged or strange."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pki import leaf, make

from meshwright.certs.live import Detail, parse
from meshwright.certs.sds import of_envoy, of_ztunnel
from meshwright.errors import MeshwrightError

ROOT, OTHER = make("cluster.local"), make("cluster.local")
OWN = leaf(ROOT)


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def certificate(text: str) -> dict[str, Any]:
    return {"tls_certificate": {"certificate_chain": {"inline_bytes": b64(text)}}}


def roots(text: str, key: str = "inline_bytes") -> dict[str, Any]:
    return {"validation_context": {"trusted_ca": {key: b64(text) if key == "inline_bytes" else text}}}


def dump(**secrets: Any) -> bytes:
    configs = [{"name": name, "last_updated": "T", "secret": secret} for name, secret in secrets.items()]
    return json.dumps({"configs": configs}).encode()


@pytest.mark.parametrize("key", ["inline_bytes", "inline_string"])
def test_secrets_are_found_by_name(key: str) -> None:
    credential = {"kubernetes://shop": certificate(make("shop", ca=False).pem)}
    both = {"ROOTCA": roots(OTHER.pem + ROOT.pem, key), **credential, "default": certificate(OWN.pem + ROOT.pem)}
    for order in (both, dict(reversed(both.items()))):
        found = of_envoy(dump(**order), "x")
        assert found.chain == (OWN.certificate, ROOT.certificate)
        assert found.leaf == OWN.certificate
        assert set(found.roots or ()) == {ROOT.certificate, OTHER.certificate}
        assert (found.name, found.updated) == ("spiffe://cluster.local/ns/shop/sa/web", "T")
        assert list(found.credentials) == ["kubernetes://shop"]


@pytest.mark.parametrize(
    "body", [b"{}", dump(default={}), dump(ROOTCA={}), dump(ROOTCA=roots("")), dump(default={"x": 1})]
)
def test_what_was_not_received_is_not_there(body: bytes) -> None:
    found = of_envoy(body, "x")
    assert (found.chain, found.roots, found.leaf) == (None, None, None)


@pytest.mark.parametrize("body", [b"", b"[]", b"<html>"])
def test_what_is_no_dump(body: bytes) -> None:
    with pytest.raises(MeshwrightError, match="the Envoy of a/b does not answer with a config dump"):
        of_envoy(body, "the Envoy of a/b")


def test_a_damaged_certificate_is_named() -> None:
    with pytest.raises(MeshwrightError, match="certificate 1 in ROOTCA of a/b is damaged"):
        of_envoy(dump(ROOTCA=roots("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----")), "a/b")


def test_a_ztunnel_has_many_identities() -> None:
    entry = {
        "identity": "spiffe://cluster.local/ns/shop/sa/web",
        "state": "Available",
        "certChain": [{"pem": b64(OWN.pem)}],
        "rootCerts": [{"pem": b64(ROOT.pem)}, {"pem": OTHER.pem}],
    }
    waiting = {"identity": "spiffe://x", "state": "Initializing", "certChain": [], "rootCerts": []}
    first, second = of_ztunnel(json.dumps({"certificates": [entry, waiting]}).encode(), "z")
    assert (first.leaf, set(first.roots or ())) == (OWN.certificate, {ROOT.certificate, OTHER.certificate})
    assert (second.leaf, second.roots, second.updated) == (None, None, "Initializing")
    assert of_ztunnel(b"{}", "z") == []


def test_the_page_certs_without_its_doubles() -> None:
    detail = {
        "path": "<inline>",
        "serial_number": "0a",
        "subject_alt_names": [{"uri": "spiffe://x"}, {"dns": "y"}],
        "days_until_expiration": "3649",
        "valid_from": "2026-11-22T19:13:33Z",
        "expiration_time": "2036-11-19T19:13:33Z",
    }
    entry = {"ca_cert": [{**detail, "serial_number": "0b"}], "cert_chain": [detail]}
    found = parse(json.dumps({"certificates": [entry, entry, {"cert_chain": []}]}).encode())
    assert [(each.use, each.serial) for each in found] == [("presents", "0a"), ("trusts", "0b")]
    assert found[0] == Detail(
        "presents", "<inline>", "0a", ("spiffe://x", "y"), 3649, "2026-11-22T19:13:33Z", "2036-11-19T19:13:33Z"
    )
    with pytest.raises((ValueError, KeyError)):
        parse(b"{}")
