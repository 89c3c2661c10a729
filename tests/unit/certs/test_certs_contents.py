"""The contents of a change: every step is safe beside the one before it, and no step can be left out."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from pki import NOW, Signed, leaf, make, plugged, secret, self_signed

from meshwright.certs.authority import decide, material
from meshwright.certs.certificate import bundle
from meshwright.certs.chain import roots_of
from meshwright.certs.contents import Ca, Case, Content, Step, back, content, forward, takes_over
from meshwright.certs.mesh import Plane
from meshwright.certs.phase import Intention, Phase, derive

CACERTS, OWN = "cacerts", "istio-ca-secret"


def ca(signer: Signed, root: Signed, secret: str = "", text: str = "") -> tuple[Ca, Signed]:
    chain = tuple(each for each in signer.above if not each.self_signed)
    return Ca(root.certificate, signer.certificate, chain, signer.key_pem, secret, text), signer


A, B = make("cluster.local"), make("Acme Root")
LONGER = make("cluster.local", key=A.key, days=(-1, 9000))
INT_A, INT_B = make("Int A", A), make("Low B", make("Mid B", B))
# The text of a root as somebody once wrote it: with a comment, without a line end.
WRITTEN = "# the root of 2021\n" + A.pem.rstrip("\n")

CASES: list[Any] = [
    (Case.IN_PLACE, ca(A, A, OWN), ca(B, B)),
    (Case.PLUG_IN, ca(A, A, OWN), ca(INT_B, B)),
    (Case.PLUG_IN, ca(A, A, OWN), ca(B, B)),
    (Case.REPLACE, ca(INT_A, A, CACERTS, WRITTEN), ca(INT_B, B)),
    (Case.REPLACE, ca(A, A, CACERTS), ca(B, B)),
    (Case.EXTEND, ca(A, A, OWN), ca(LONGER, LONGER)),
    (Case.EXTEND, ca(A, A, CACERTS, WRITTEN), ca(LONGER, LONGER)),
    (Case.EXTEND, ca(INT_A, A, CACERTS), ca(INT_A, LONGER)),
]
ways = pytest.mark.parametrize(("case", "old", "new"), CASES)


def start(case: Case, old: Ca) -> Content:
    """What is there before: in the Secret that is written, or, on the way to a plugged-in CA, in the other one."""
    name = old.secret
    roots = old.roots_text or old.text
    signer = (old.roots_text or old.text) if name == OWN else Signed(old.signer, None).pem  # type: ignore[arg-type]
    return Content(Step.OLD, name, {"ca-cert.pem": signer, "ca-key.pem": old.key, "root-cert.pem": roots})


def everything(case: Case, old: Ca, new: Ca) -> list[list[Content]]:
    """The way forward, and the way back from each of its steps, each from where it begins."""
    there = [start(case, old), *forward(case, old, new)]
    backs = [[at, *back(case, old, new, at.step, at.roots_text)] for at in there[1:]]
    again = [[way[-2], *_rest(case, old, new, way[-2])] for way in backs if len(way) > 2]
    return [there, *backs, *again]


def _rest(case: Case, old: Ca, new: Ca, at: Content) -> list[Content]:
    """The way forward again, from a step of the way back."""
    steps = list(Step)[list(Step).index(at.step) + 1 :]
    if case is Case.EXTEND:
        steps = [step for step in steps if step is not Step.BOTH_SIGN_NEW]
    found: list[Content] = []
    for step in steps:
        found.append(content(case, step, old, new, (found or [at])[-1].roots_text))
    return found


def signed_by(content: Content) -> Signed:
    """Who signs under this content, found by its key."""
    for each in (A, B, LONGER, INT_A, INT_B):
        text = content.files["ca-cert.pem"]
        if each.key_pem == content.files["ca-key.pem"] and bundle(text)[0] == each.certificate:
            return each
    raise AssertionError("key and certificate do not belong together")


def talks(one: Content, other: Content) -> bool:
    """Whether a workload that is still at `one` and one that is at `other` trust each other."""
    return all(
        roots_of(own.certificate, own.chain[1:], frozenset(trusting.roots), NOW)
        for presenting, trusting in ((one, other), (other, one))
        for own in [leaf(signed_by(presenting))]
    )


@ways
def test_who_has_followed_and_who_has_not_trust_each_other(case: Case, old: Any, new: Any) -> None:
    for way in everything(case, old[0], new[0]):
        for before, after in itertools.pairwise(way):
            assert talks(before, after), (way, before, after)


@ways
def test_no_step_can_be_left_out(case: Case, old: Any, new: Any) -> None:
    """The detector detects: without the one between, two workloads would not trust each other."""
    if case is Case.EXTEND:
        return  # one key: nothing in it can be wrong
    way = [start(case, old[0]), *forward(case, old[0], new[0])]
    for before, after in itertools.combinations(way, 2):
        near = way.index(after) - way.index(before) == 1
        assert talks(before, after) is near, (before, after)


@ways
@pytest.mark.parametrize("version", [(1, 20, 0), (1, 29, 9), (1, 30, 0), (1, 31, 0)])
def test_istiod_takes_each_step_over_while_it_runs(case: Case, old: Any, new: Any, version: Any) -> None:
    for way in everything(case, old[0], new[0]):
        for before, after in itertools.pairwise(way):
            # Only a plugged-in CA is watched, and only by an istiod that started with one.
            if before.secret == after.secret == CACERTS:
                assert takes_over(version, before.roots_text, after.roots_text), (before, after)


@ways
def test_a_new_signer_comes_with_a_new_text(case: Case, old: Any, new: Any) -> None:
    """Or nobody would ask for a new certificate."""
    for way in everything(case, old[0], new[0]):
        for before, after in itertools.pairwise(way):
            if signed_by(before).key is not signed_by(after).key:
                assert before.roots_text != after.roots_text
                assert set(after.roots) == set(before.roots) == {old[0].root, new[0].root}


@ways
def test_each_content_is_a_ca_that_istiod_starts_with(case: Case, old: Any, new: Any) -> None:
    for way in everything(case, old[0], new[0]):
        for each in way[1:]:
            made = material(secret(each.secret, each.files))
            found = decide(Plane("istiod", "default", {}, CACERTS), {each.secret: made})
            assert found.secret == f"istio-system/{each.secret}"
            assert found.signer == signed_by(each).certificate
            assert roots_of(found.signer, found.chain, found.roots, NOW)
            assert found.roots == set(each.roots)


@ways
def test_the_phase_is_read_back_from_it(case: Case, old: Any, new: Any) -> None:
    intended = Intention(old[0].root.sha256, new[0].root.sha256)
    phases = {
        Step.OLD: Phase.REST,
        Step.BOTH_SIGN_OLD: Phase.BOTH_SIGN_OLD,
        Step.BOTH_SIGN_NEW: Phase.BOTH_SIGN_NEW,
        Step.NEW: Phase.NEW_ALONE,
    }
    for way in everything(case, old[0], new[0]):
        for each in way[1:]:
            made = material(secret(each.secret, each.files))
            found = decide(Plane("istiod", "default", {}, CACERTS), {each.secret: made})
            assert found.signer is not None
            signing = roots_of(found.signer, found.chain, found.roots, NOW)
            got = derive(found.ordered, signing, frozenset(each.roots), intended)
            assert got.phase is phases[each.step] or case is Case.EXTEND
            assert got.sure


def test_texts_of_the_cases() -> None:
    """As they were seen to work on a real mesh."""
    (_, (old, _), (new, _)) = CASES[0]
    a, b = A.pem, B.pem
    assert [each.files["ca-cert.pem"] for each in forward(Case.IN_PLACE, old, new)] == [a + b, b + a + b, b]
    (_, (old, _), (new, _)) = CASES[1]
    first, second, third = forward(Case.PLUG_IN, old, new)
    assert [each.files["root-cert.pem"] for each in (first, second, third)] == [a + b, a + b + b, b]
    assert (first.files["ca-cert.pem"], first.files["cert-chain.pem"]) == (a, "")
    assert bundle(second.files["cert-chain.pem"]) == tuple(c for c in INT_B.chain if not c.self_signed)
    (_, (old, _), (new, _)) = CASES[3]
    assert forward(Case.REPLACE, old, new)[0].files["root-cert.pem"].startswith(WRITTEN)


@pytest.mark.parametrize(
    ("before", "after", "by_text", "by_set"),
    [
        ("A", "AB", True, True),
        ("AB", "ABB", True, True),
        ("ABB", "B", True, True),
        ("AB", "BA", False, True),
        ("A", "BA", True, True),
        ("BA", "ABB", False, True),
        ("A", "B", False, False),
        ("AB", "BC", False, False),
        ("A", "A", True, True),
    ],
)
def test_the_rules_of_istiod(before: str, after: str, by_text: bool, by_set: bool) -> None:
    """A swapped order is what broke here: it is the same set, and not the same text."""
    pems = {"A": A.pem, "B": B.pem, "C": LONGER.pem}
    first, second = ("".join(pems[name] for name in names) for names in (before, after))
    assert takes_over((1, 29, 0), first, second) is by_text
    assert takes_over((1, 30, 0), first, second) is by_set
    assert takes_over((1, 19, 0), first, second) is (before == after)


@ways
def test_no_key_is_shown(case: Case, old: Any, new: Any) -> None:
    keys = [each.key_pem.splitlines()[1] for each in (A, B, INT_A, INT_B)]
    said = repr(everything(case, old[0], new[0])) + repr(old[0]) + str(new[0])
    assert not any(key in said for key in keys)


def test_it_is_what_the_tests_make_by_hand() -> None:
    (_, (old, _), (new, _)) = CASES[0]
    by_hand = self_signed(A, B)["data"]["ca-cert.pem"]
    assert secret(OWN, forward(Case.IN_PLACE, old, new)[0].files)["data"]["ca-cert.pem"] == by_hand
    (_, (old, _), (new, _)) = CASES[1]
    made = secret(CACERTS, forward(Case.PLUG_IN, old, new)[2].files)["data"]
    assert made == plugged(INT_B, B)["data"]
