"""check-version: what runs says so itself, whatever its image is called; the table of traps."""

from __future__ import annotations

import json
from typing import Any

import pytest
from certmesh import istiod_pod, plane
from hypothesis import given
from hypothesis import strategies as st

from meshwright.certs import inventory, versions
from meshwright.certs.versions import TRAPS, of_tag, parse, traps
from meshwright.check import State
from meshwright.errors import Unreachable


def check(world: Any) -> inventory.Report:
    return inventory.check(world.session, world.env)


def bad(report: inventory.Report) -> dict[str, str]:
    return {each.subject: each.detail for each in report.findings if each.state is not State.OK}


def by_pod(report: inventory.Report) -> dict[str, inventory.Part]:
    return {part.pod: part for part in report.parts}


def test_every_part_is_asked(world: Any) -> None:
    world.session.put(plane("istiod-canary", "canary", ISTIO_MULTIROOT_MESH="true"))
    world.session.put(istiod_pod("istiod-canary-1", "canary"))
    world.pages["istiod-canary-1", "/version"] = b"1.31.0-abc-Clean"
    report = check(world)
    parts = by_pod(report)
    assert (report.ok, len(parts), report.oldest) == (True, 7, "1.30.3")
    assert (parts["istiod-canary-1"].version, parts["istiod-canary-1"].revision) == ("1.31.0-abc-Clean", "canary")
    assert (parts["ratings-v1-1"].kind, parts["ratings-v1-1"].native) == ("sidecar", True)
    assert parts["ratings-v1-1"].source == "node metadata"


@pytest.mark.parametrize(
    "image",
    [
        "registry.example:5000/mesh/proxyv2@sha256:" + "ab" * 32,
        "registry.example/own-name:stable",
        "hub/proxyv2:1.9.9-distroless",
    ],
)
def test_the_image_says_nothing_where_something_runs(world: Any, image: str) -> None:
    pod = world.session.objects["v1", "Pod", "bookinfo", "ratings-v1-1"]
    pod["spec"]["initContainers"][0]["image"] = image
    assert by_pod(check(world))["ratings-v1-1"].version == "1.30.3"


def test_an_older_envoy_is_asked_for_its_server_info(world: Any) -> None:
    answers = iter([b"{}", json.dumps({"node": {"metadata": {"ISTIO_VERSION": "1.12.1"}}}).encode()])
    name = "bookinfo/ratings-v1-1"
    original = world.answer
    world.answer = lambda path, proxy: next(answers) if str(proxy) == name else original(path, proxy)
    part = by_pod(check(world))["ratings-v1-1"]
    assert (part.version, part.source) == ("1.12.1", "node metadata")


def test_where_nothing_answers_the_tag_counts_and_it_is_said(world: Any) -> None:
    world.versions["bookinfo/ratings-v1-1"] = Unreachable("no answer")
    report = check(world)
    part = by_pod(report)["ratings-v1-1"]
    assert (part.version, part.source) == ("1.30.3", "the image's tag")
    assert bad(report) == {"sidecar bookinfo/ratings-v1-1": "1.30.3 by its image's tag alone: no answer"}
    assert report.ok


def test_a_version_that_nobody_says_is_not_verified(world: Any) -> None:
    world.versions["bookinfo/ratings-v1-1"] = Unreachable("no answer")
    pod = world.session.objects["v1", "Pod", "bookinfo", "ratings-v1-1"]
    pod["spec"]["initContainers"][0]["image"] = "hub/proxyv2@sha256:" + "ab" * 32
    report = check(world)
    assert bad(report) == {"sidecar bookinfo/ratings-v1-1": "no answer"}
    assert not report.ok


def test_no_parts_at_all(world: Any) -> None:
    for key in [key for key in world.session.objects if key[1] == "Pod"]:
        del world.session.objects[key]
    report = check(world)
    assert (report.ok, report.oldest, report.parts) == (False, "", ())
    assert "0 parts" in bad(report)["versions"]


def test_parts_in_one_trap_are_told_once(world: Any) -> None:
    world.pages["istiod-1", "/version"] = b"1.25.1-abc-Clean"
    report = check(world)
    assert not report.ok
    found = [each for each in report.findings if each.state is State.FAILED]
    assert [each.subject for each in found] == ["istiod 1.25.1-abc-Clean"]
    assert "istio-system/istiod-1" in found[0].detail
    assert "istio/istio#55793" in found[0].detail


def test_live_change_needs_both_sides(world: Any) -> None:
    world.session.put(plane())
    pod = world.session.objects["v1", "Pod", "bookinfo", "ratings-v1-1"]
    pod["spec"]["initContainers"][0]["env"] = []
    report = check(world)
    said = bad(report)["live change of roots"]
    assert said == "1 of 5 proxies lack PROXY_CONFIG_XDS_AGENT; Deployment istiod lacks ISTIO_MULTIROOT_MESH"
    assert report.ok


def test_a_ztunnel(world: Any) -> None:
    pod = istiod_pod("ztunnel-1", image="hub/ztunnel:1.2")
    pod["metadata"]["labels"] = {"app": "ztunnel"}
    world.session.put(pod)
    world.pages["ztunnel-1", "/config_dump"] = json.dumps({"version": {"istioVersion": "1.25.2"}}).encode()
    report = check(world)
    part = by_pod(report)["ztunnel-1"]
    assert (part.kind, part.version, part.source) == ("ztunnel", "1.25.2", "its config dump")
    assert not report.ok
    world.pages["ztunnel-1", "/config_dump"] = b"none"
    assert by_pod(check(world))["ztunnel-1"].why == "it does not answer with a config dump"


REFUSED = {
    "istiod": {"1.0.7", "1.1.7", "1.24.4", "1.25.1"},
    "sidecar": {"1.0.7", "1.1.7"},
    "ztunnel": {"1.0.7", "1.1.7", "1.24.4", "1.24.5", "1.25.1", "1.25.2"},
}


@pytest.mark.parametrize("kind", REFUSED)
def test_versions_that_cannot_change_their_root(kind: str) -> None:
    for version in (
        *("1.0.7", "1.0.8", "1.1.7", "1.1.8", "1.19.9", "1.20.0", "1.24.3", "1.24.4", "1.24.5", "1.24.6"),
        *("1.25.1", "1.25.2", "1.25.3", "1.28.0", "1.29.2", "1.30.0", "1.31.0"),
    ):
        number = parse(version)
        assert number is not None
        found = {trap.state for trap in traps(kind, number)}
        if kind == "ztunnel" and number < (1, 24, 6):
            assert State.FAILED in found, version
        else:
            assert (State.FAILED in found) is (version in REFUSED[kind]), version


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("1.18.0", ["AUTO_RELOAD"]),
        ("1.19.5", ["takes no new root over"]),
        ("1.27.9", ["can miss", "as text"]),
        ("1.29.9", ["as text"]),
        ("1.30.0", []),
        ("1.31-alpha.eed52", []),
    ],
)
def test_what_an_istiod_costs(version: str, words: list[str]) -> None:
    number = parse(version)
    assert number is not None
    found = [trap.says for trap in traps("istiod", number)]
    assert len(found) == len(words)
    assert all(word in said for word, said in zip(words, found, strict=True))


def test_every_row_catches_something_and_says_what_to_do() -> None:
    for trap in TRAPS:
        assert trap.since < trap.before
        assert trap.todo
        assert trap.source
        assert any(trap.catches(kind, trap.since) for kind in trap.kinds)
        assert not any(trap.catches(kind, trap.before) for kind in trap.kinds)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1.24.4", (1, 24, 4)),
        ("1.24.4-distroless", (1, 24, 4)),
        ("1.31-alpha.eed52ebb66ad-unknown-unknown", (1, 31, 0)),
        ("v1.30.0-rc.1", (1, 30, 0)),
        ("latest", None),
        ("", None),
    ],
)
def test_reading_versions(text: str, found: Any) -> None:
    assert parse(text) == found


@pytest.mark.parametrize(
    ("image", "tag"),
    [
        ("hub/proxyv2:1.24.4", "1.24.4"),
        ("registry:5000/proxyv2", ""),
        ("registry:5000/proxyv2:1.2.3@sha256:abc", "1.2.3"),
        ("proxyv2@sha256:abc", ""),
    ],
)
def test_reading_tags(image: str, tag: str) -> None:
    assert of_tag(image) == tag


@given(st.text(max_size=30))
def test_any_text_is_a_version_or_is_not(text: str) -> None:
    found = versions.parse(text)
    assert found is None or all(number >= 0 for number in found)
