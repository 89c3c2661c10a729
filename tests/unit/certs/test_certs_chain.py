"""Paths: proven whatever the order of a bundle, refused where a peer would refuse, with the reason."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from pki import NOW, Signed, leaf, make

from meshwright.certs.certificate import pem
from meshwright.certs.chain import paths, roots_of, why_none

# Two roots of one name, as istiod makes them: only keys tell them apart.
A, B = make("cluster.local"), make("cluster.local")
INT_A, INT_B = make("int A", A), make("int B", B)
LOW_B = make("low B", INT_B)
ROOTS = [A.certificate, B.certificate]
EVERYTHING = [*ROOTS, INT_A.certificate, INT_B.certificate, LOW_B.certificate]


@given(st.permutations(EVERYTHING), st.sampled_from([(INT_A, A), (INT_B, B), (LOW_B, B), (A, A), (B, B)]))
@settings(max_examples=60)
def test_the_root_is_found_in_any_bundle(others, pair):
    signer, root = pair
    own = leaf(signer).certificate
    [found] = paths(own, others, ROOTS, NOW)
    assert (found.root, found.certificates[0]) == (root.certificate, own)
    assert roots_of(own, others, ROOTS, NOW) == {root.certificate}


def test_the_last_of_a_chain_is_not_its_issuer():
    # istiod appends all roots to a leaf's chain: after A and B, B comes last, whoever signed.
    own = leaf(A).certificate
    assert roots_of(own, [A.certificate, B.certificate], ROOTS, NOW) == {A.certificate}
    assert roots_of(own, [A.certificate, B.certificate], [B.certificate], NOW) == frozenset()


def test_a_leaf_is_under_both_roots_of_one_key():
    longer = make("cluster.local", key=A.key, days=(-1, 9000))
    own = leaf(A).certificate
    assert roots_of(own, [], [A.certificate, longer.certificate], NOW) == {A.certificate, longer.certificate}


def expired(signer: Signed) -> Signed:
    return make("int", signer, days=(-9, -1))


STRANGER = make("cluster.local")


@pytest.mark.parametrize(
    ("own", "others", "roots", "why"),
    [
        (leaf(A), [], [], "there is no root to chain to"),
        (leaf(A, days=(-2, -1)), [], [A], "expired on"),
        (leaf(A, days=(1, 2)), [], [A], "is not valid before"),
        (leaf(INT_A), [], [A], "nothing here signed spiffe://cluster.local/ns/shop/sa/web"),
        (leaf(STRANGER), [], [A], "says that O=cluster.local signed it, but no key of that name did"),
        (leaf(short := expired(A)), [short], [A], "O=int"),
        (leaf(late := make("late root", days=(-9, -1))), [], [late], "O=late root"),
        (leaf(no_ca := make("no ca", A, ca=False)), [no_ca], [A], "is no CA"),
        (leaf(deep := make("deep", flat := make("flat", path_length=0))), [deep], [flat], "path length"),
        (
            leaf(odd := make("odd", A, aki=b"x" * 20)),
            [odd],
            [A],
            "the authority key id of O=odd",
        ),
        (leaf(weak := make("weak", key=rsa.generate_private_key(65537, 1024))), [], [weak], "RSA key is too weak"),
    ],
)
def test_why_there_is_no_path(own, others, roots, why):
    given_others, given_roots = [o.certificate for o in others], [r.certificate for r in roots]
    assert paths(own.certificate, given_others, given_roots, NOW) == ()
    assert why in why_none(own.certificate, given_others, given_roots, NOW)


def test_openssl_agrees_on_key_identifiers(tmp_path: Path):
    """Why a mismatch counts: OpenSSL, and BoringSSL in Envoy, build no path over it, though the signature is right."""
    odd = make("odd", A, aki=b"x" * 20)
    assert _openssl(tmp_path, leaf(odd), odd, A) != 0
    assert _openssl(tmp_path, leaf(INT_A), INT_A, A) == 0


@pytest.mark.parametrize("identifiers", [True, False])
def test_it_agrees_with_openssl(tmp_path: Path, identifiers: bool):
    root = make("r", identifiers=identifiers)
    middle = make("m", root, identifiers=identifiers)
    own = leaf(middle)
    ours = bool(paths(own.certificate, [middle.certificate], [root.certificate], NOW))
    assert ours is (_openssl(tmp_path, own, middle, root) == 0) is True
    ours = bool(paths(own.certificate, [middle.certificate], [B.certificate], NOW))
    assert ours is (_openssl(tmp_path, own, middle, B) == 0) is False


def _openssl(folder: Path, own: Signed, middle: Signed, root: Signed) -> int:
    files = {"leaf": own, "middle": middle, "root": root}
    for name, each in files.items():
        (folder / name).write_text(pem([each.certificate]))
    command = ["openssl", "verify", "-CAfile", str(folder / "root"), "-untrusted", str(folder / "middle")]
    return subprocess.run([*command, str(folder / "leaf")], capture_output=True).returncode
