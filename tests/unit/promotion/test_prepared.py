"""Working out a promotion: the new text of a file, what differs, what stays, and what cannot be."""

from __future__ import annotations

import pytest

from meshwright import release
from meshwright.environment import load
from meshwright.errors import BadInput, Refused
from meshwright.project import Project
from meshwright.promotion.prepared import Prepared, prepare
from meshwright.release import Release


def of(project: Project, name: str) -> Release:
    found = release.of(project, load(project, name).env)
    assert found is not None
    return found


def put(project: Project, name: str, old: str, new: str) -> None:
    path = project.root / "group_data" / f"{name}.yaml"
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def promoted(project: Project) -> Prepared:
    return prepare(project, "staging", of(project, "dev"))


def test_the_file_changes_where_values_differ_and_holds_the_release_then(two: Project) -> None:
    made = promoted(two)
    before = made.before.splitlines()
    gone = [line for line in before if line not in made.text.splitlines()]
    came = [line for line in made.text.splitlines() if line not in before]
    assert gone == [
        "        - timeout: 10s",
        "            - {destination: {host: web, subset: v1}, weight: 90}   # mostly",
        "            - {destination: {host: web, subset: v2}, weight: 10}",
        "    bookinfo/old: {hosts: [old], http: [{redirect: {uri: /}}]}",
    ]
    assert came == [
        "        - timeout: 5s",
        "            - {destination: {host: web, subset: v1}, weight: 50}   # mostly",
        "            - {destination: {host: web, subset: v2}, weight: 50}",
        "istio: {version: 1.30.3}",
    ] or came[-1:] == ["  version: 1.30.3"]
    (two.root / "group_data" / "staging.yaml").write_text(made.text)
    assert of(two, "staging").digest == of(two, "dev").digest == made.release.digest
    again = promoted(two)
    assert not again.changes_file
    assert again.differences == ()


def test_what_differs_is_said_in_the_words_of_the_mesh(two: Project) -> None:
    lines = [line for each in promoted(two).differences for line in each.lines()]
    assert lines == [
        "~ istio",
        "    version: 1.30.2 -> 1.30.3",
        "- VirtualService bookinfo/old",
        "~ VirtualService bookinfo/web",
        "    route for all: weight of web v1: 90% -> 50%",
        "    route for all: weight of web v2: 10% -> 50%",
        "    route for all: timeout: 10s -> 5s",
    ]


def test_what_belongs_to_the_environment_stays(two: Project) -> None:
    made = promoted(two)
    assert made.stays == (
        'resources.virtual_services["bookinfo/web"].hosts',
        "istio.hub",
        "resources.pace",
    )
    web = made.loaded.values["resources"]["virtual_services"]["bookinfo/web"]
    assert web["hosts"] == ["web.staging.example.com"]
    assert made.loaded.env.resources.pace == 5


def test_what_all_yaml_says_and_the_release_does_not_is_taken_away(two: Project) -> None:
    wanted = of(two, "dev")
    put(
        two,
        "all",
        "namespaces: {bookinfo: {injection: enabled}}",
        "namespaces: {bookinfo: {injection: enabled}, x: {}}",
    )
    made = prepare(two, "staging", wanted)
    assert "x: null" in made.text
    assert "x" not in made.loaded.env.namespaces


def test_a_release_that_does_not_fit_names_what_is_missing(two: Project) -> None:
    put(two, "dev", "      hosts: [web]\n", "      gateways: [nowhere/at all]\n")
    wanted = Release({**of(two, "staging").values, "istio": {"version": 5}})
    with pytest.raises(BadInput) as caught:
        prepare(two, "staging", wanted)
    assert caught.value.message.startswith(
        f"staging cannot hold the release {release.short(wanted.digest)}: istio.version"
    )
    assert "under `local` in group_data/staging.yaml" in caught.value.hint


def test_manifests_must_be_those_of_the_release(two: Project) -> None:
    (two.root / "m.yaml").write_text("a: 1\n")
    put(two, "dev", "resources:\n", "resources:\n  manifests: [m.yaml]\n")
    wanted = of(two, "dev")
    assert list(wanted.files) == ["m.yaml"]
    made = prepare(two, "staging", wanted)
    assert "+ Manifest m.yaml" in [line for each in made.differences for line in each.lines()]
    (two.root / "m.yaml").write_text("a: 2\n")
    with pytest.raises(
        BadInput, match=r"^m.yaml is not as it was in the release sha256:[0-9a-f]{12}\. A release names"
    ):
        prepare(two, "staging", wanted)


def test_anchors_that_would_change_more_are_refused(two: Project) -> None:
    text = "cluster: {kind: existing, context: staging}\n"
    text += "istio: {values: {a: &x {n: 1}, b: *x}}\n"
    (two.root / "group_data" / "staging.yaml").write_text(text)
    wanted = Release(
        {**of(two, "staging").values, "istio": {"version": "1.30.2", "values": {"a": {"n": 2}, "b": {"n": 1}}}}
    )
    with pytest.raises(Refused, match=r"could not be made to hold the release .* istio stays otherwise"):
        prepare(two, "staging", wanted)


def test_an_edited_digest_is_seen(two: Project) -> None:
    kept = release.content(of(two, "dev"))
    name = of(two, "dev").digest
    assert release.parse(kept, name) == of(two, "dev")
    for spoilt in (kept[:-20], kept.replace(b"50", b"60", 1), b"", b"[]"):
        with pytest.raises(BadInput, match="but not as it was: its digest does not match"):
            release.parse(spoilt, name)
    with pytest.raises(BadInput, match="kept by a newer Meshwright"):
        release.parse(b'{"format_version": 2}', name)


@pytest.mark.parametrize("text", ["sha256:xyz", "abc", "", "sha256:", "A" * 12])
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(BadInput, match="is not the digest of a release"):
        release.wanted(text)
