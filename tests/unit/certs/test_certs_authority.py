"""Which authority signs: every rule of istiod, and that no key gets out."""

from __future__ import annotations

import hashlib
import subprocess
from typing import Any

import pytest
from pki import b64, make, plugged, secret, self_signed

from meshwright.certs.authority import Kind, decide, material
from meshwright.certs.mesh import Plane

ROOT, OTHER = make("cluster.local"), make("Acme Root")
INT = make("Acme Int", OTHER)
OWN, CACERTS = material(self_signed(ROOT)), material(plugged(INT, OTHER))


def istiod(cacerts: str = "cacerts", **settings: str) -> Plane:
    return Plane("istiod", "default", settings, cacerts)


def test_its_own_ca() -> None:
    found = decide(istiod(), {"istio-ca-secret": OWN})
    assert (found.kind, found.secret, found.driven) == (Kind.SELF_SIGNED, "istio-system/istio-ca-secret", True)
    assert (found.signer, found.roots) == (ROOT.certificate, {ROOT.certificate})


def test_a_plugged_in_ca_goes_before_its_own() -> None:
    found = decide(istiod(), {"istio-ca-secret": OWN, "cacerts": CACERTS})
    assert (found.kind, found.secret, found.driven) == (Kind.PLUGGED, "istio-system/cacerts", True)
    assert (found.signer, found.roots) == (INT.certificate, {OTHER.certificate})
    assert found.others == (OWN,)


def test_a_secret_that_istiod_does_not_mount_is_not_used() -> None:
    found = decide(istiod(cacerts="elsewhere"), {"istio-ca-secret": OWN, "cacerts": CACERTS})
    assert found.kind is Kind.SELF_SIGNED
    assert found.others == (CACERTS,)


def test_several_certificates_in_the_self_signed_secret() -> None:
    """The first signs, all are handed out; what root-cert.pem says is of the day it was made."""
    found = decide(istiod(), {"istio-ca-secret": material(self_signed(ROOT, OTHER))})
    assert (found.signer, found.roots) == (ROOT.certificate, {ROOT.certificate, OTHER.certificate})
    assert found.ordered == (ROOT.certificate, OTHER.certificate)


@pytest.mark.parametrize("file", ["ca-cert.pem", "ca-key.pem", "cert-chain.pem", "root-cert.pem"])
def test_an_incomplete_ca_is_named(file: str) -> None:
    broken = plugged(INT, OTHER)
    del broken["data"][file]
    found = decide(istiod(), {"cacerts": material(broken), "istio-ca-secret": OWN})
    assert found.kind is Kind.INCOMPLETE
    assert file in found.why


def test_an_empty_chain_is_complete() -> None:
    whole = plugged(make("Acme Root"), OTHER)
    whole["data"]["cert-chain.pem"] = ""
    assert decide(istiod(), {"cacerts": material(whole)}).kind is Kind.PLUGGED


def test_a_secret_without_any_of_the_files_is_no_ca() -> None:
    empty = material(secret("cacerts", {"notes": "x"}))
    assert decide(istiod(), {"cacerts": empty, "istio-ca-secret": OWN}).kind is Kind.SELF_SIGNED


def test_the_layout_of_kubernetes_io_tls_goes_first() -> None:
    data = {"tls.crt": INT.pem + OTHER.pem, "tls.key": INT.key_pem, "ca.crt": OTHER.pem}
    found = decide(istiod(), {"cacerts": material(secret("cacerts", data))})
    assert (found.kind, found.driven) == (Kind.PLUGGED_TLS, False)
    assert (found.signer, found.roots) == (INT.certificate, {OTHER.certificate})
    both = plugged(INT, OTHER)
    both["data"] |= {"tls.crt": b64(ROOT.pem), "tls.key": b64(ROOT.key_pem), "ca.crt": b64(ROOT.pem)}
    assert decide(istiod(), {"cacerts": material(both)}).signer == ROOT.certificate


def test_a_ca_that_istiod_made_in_cacerts() -> None:
    made = material(plugged(ROOT, ROOT, **{"istio-generated": ""}))
    reuse = istiod(USE_CACERTS_FOR_SELF_SIGNED_CA="true")
    found = decide(reuse, {"cacerts": made})
    assert (found.kind, found.secret) == (Kind.SELF_SIGNED, "istio-system/cacerts")
    assert decide(istiod(), {"cacerts": made}).kind is Kind.PLUGGED
    # istio-ca-secret goes before it there.
    older = decide(reuse, {"cacerts": made, "istio-ca-secret": material(self_signed(OTHER))})
    assert (older.secret, older.signer) == ("istio-system/istio-ca-secret", OTHER.certificate)
    assert older.roots == {OTHER.certificate, ROOT.certificate}


@pytest.mark.parametrize(
    ("settings", "addresses", "kind"),
    [
        ({}, ["cert-manager-istio-csr.cert-manager.svc:443"], Kind.ISTIO_CSR),
        ({"ENABLE_CA_SERVER": "false"}, ["cert-manager-istio-csr.cert-manager.svc:443"], Kind.ISTIO_CSR),
        ({"ENABLE_CA_SERVER": "false"}, [], Kind.EXTERNAL),
        ({}, ["ca.example:443"], Kind.EXTERNAL),
        ({"EXTERNAL_CA": "ISTIOD_RA_KUBERNETES_API"}, ["istiod.istio-system.svc:15012"], Kind.KUBERNETES),
        ({"EXTERNAL_CA": "OTHER"}, [], Kind.EXTERNAL),
        ({}, ["istiod-canary.istio-system.svc:15012"], Kind.SELF_SIGNED),
    ],
)
def test_authorities_that_are_not_in_the_cluster(settings: dict[str, str], addresses: list[str], kind: Kind) -> None:
    found = decide(istiod(**settings), {"istio-ca-secret": OWN}, addresses)
    assert found.kind is kind
    assert found.driven is (kind is Kind.SELF_SIGNED)
    if kind is not Kind.SELF_SIGNED:
        assert (found.signer, found.others) == (None, (OWN,))


def test_nothing_there() -> None:
    assert decide(istiod(), {}).kind is Kind.NONE


def test_the_md5_of_the_old_script() -> None:
    """It hashed the line of base64 that `kubectl get secret -o yaml` shows, with its line end."""
    text = self_signed(ROOT)["data"]["root-cert.pem"]
    said = subprocess.run(["md5sum"], input=text + "\n", capture_output=True, text=True, check=True).stdout.split()[0]
    assert OWN.md5["root-cert.pem"] == said == hashlib.md5((text + "\n").encode()).hexdigest()
    assert "ca-key.pem" not in OWN.md5


@pytest.mark.parametrize("made", [self_signed(ROOT), plugged(INT, OTHER)])
def test_no_key_gets_past_it(made: dict[str, Any]) -> None:
    key = made["data"]["ca-key.pem"]
    found = material(made)
    assert made["data"] == {}
    assert key not in repr(found)
    assert key[100:140] not in repr(decide(istiod(), {"cacerts": found}))
