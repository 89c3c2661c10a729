from __future__ import annotations

import pytest
from fakes import environment
from talking import Mesh, virtual_service

from meshwright import istiods, pushes
from meshwright.errors import Unreachable, Unverified
from meshwright.istiods import Istiod
from meshwright.kube import portforward
from meshwright.pushes import Push, expected, push, served


@pytest.fixture
def mesh(monkeypatch: pytest.MonkeyPatch) -> Mesh:
    made = Mesh()
    monkeypatch.setattr(portforward, "http_get", made.get)
    monkeypatch.setattr(pushes, "time", made.clock)
    return made


def istiod(mesh: Mesh) -> Istiod:
    return istiods.ready(mesh.session, environment())[0]


def within(mesh: Mesh, seconds: float = 10) -> float:
    return mesh.clock.now + seconds


def test_a_quiet_istiod_has_pushed_what_it_has_read(mesh: Mesh) -> None:
    mesh.session.put(virtual_service())
    wanted = expected(mesh.session, [virtual_service()], [])
    began = mesh.clock.now
    found = push(mesh.session, istiod(mesh), wanted, within(mesh))
    assert found is not None
    assert (found.number, found.turns, found.root, found.version) == (7, 100, "istio-system", "1.30.3-abc-Clean")
    assert [each["metadata"]["name"] for each in found.objects] == ["web"]
    # Not before the time that istiod waits for has passed.
    assert mesh.clock.now - began > 0.15


def test_it_waits_until_istiod_has_read_it_in_this_version(mesh: Mesh) -> None:
    mesh.session.put(virtual_service())
    [wanted] = expected(mesh.session, [virtual_service()], [])
    live = mesh.session.objects["networking.istio.io/v1", "VirtualService", "bookinfo", "web"]
    version = live["metadata"]["resourceVersion"]
    live["metadata"]["resourceVersion"] = "0"

    def read(_who: str, path: str) -> None:
        if len([each for each in mesh.asked if each[1] == "/debug/configz"]) == 3:
            live["metadata"]["resourceVersion"] = version + "0"  # a later one is as good

    mesh.script = read
    assert push(mesh.session, istiod(mesh), [wanted], within(mesh)) is not None
    assert [path for _, path in mesh.asked].count("/debug/configz") == 3


def test_what_it_has_not_read_in_time_is_named(mesh: Mesh) -> None:
    mesh.session.put(virtual_service())
    mesh.unread = {"web"}
    wanted = expected(mesh.session, [virtual_service()], [])
    with pytest.raises(
        Unreachable, match="istio-system/istiod-1 has not read VirtualService bookinfo/web yet"
    ) as failed:
        push(mesh.session, istiod(mesh), wanted, within(mesh, 2))
    assert "discoverySelectors" in failed.value.hint


def test_a_deleted_object_must_be_gone_but_not_one_made_anew(mesh: Mesh) -> None:
    gone = virtual_service()
    gone["metadata"]["uid"] = "old"
    [wanted] = expected(mesh.session, [], [gone])
    assert wanted.deleted
    mesh.session.put(gone)
    with pytest.raises(Unreachable, match="has not read that VirtualService bookinfo/web is deleted yet"):
        push(mesh.session, istiod(mesh), [wanted], within(mesh, 1))
    mesh.session.objects["networking.istio.io/v1", "VirtualService", "bookinfo", "web"]["metadata"]["uid"] = "new"
    assert push(mesh.session, istiod(mesh), [wanted], within(mesh)) is not None


def test_an_object_of_another_revision_is_not_waited_for(mesh: Mesh) -> None:
    labelled = virtual_service()
    labelled["metadata"]["labels"] = {"istio.io/rev": "canary"}
    mesh.session.put(labelled)
    mesh.unread = {"web"}
    wanted = expected(mesh.session, [labelled], [])
    assert push(mesh.session, istiod(mesh), wanted, within(mesh)) is not None
    canary = Istiod("istio-system", "istiod-1", "uid-1", "canary")
    with pytest.raises(Unreachable, match="has not read"):
        push(mesh.session, canary, wanted, within(mesh, 1))


def test_a_kind_that_istiod_does_not_show_is_told(mesh: Mesh) -> None:
    mesh.session.put(virtual_service())
    mesh.unread, mesh.kinds = {"web"}, set()
    found = push(mesh.session, istiod(mesh), expected(mesh.session, [virtual_service()], []), within(mesh))
    assert found is not None
    assert found.unread == {"VirtualService"}


def test_where_changes_never_end_three_pushes_will_do(mesh: Mesh) -> None:
    def busy(_who: str, path: str) -> None:
        if path == "/metrics":
            mesh.noticed["istiod-1"] += 5
            mesh.pushes["istiod-1"] += 1

    mesh.script = busy
    found = push(mesh.session, istiod(mesh), [], within(mesh))
    assert found is not None
    assert found.number == 7 + 1 + 3


def test_changes_that_are_never_pushed_end_at_the_deadline(mesh: Mesh) -> None:
    def stuck(_who: str, path: str) -> None:
        mesh.noticed["istiod-1"] += path == "/metrics"

    mesh.script = stuck
    with pytest.raises(Unreachable, match="has not pushed what it has read"):
        push(mesh.session, istiod(mesh), [], within(mesh, 3))


def test_an_istiod_that_goes_meanwhile_is_not_waited_for(mesh: Mesh) -> None:
    mesh.overrides["/debug/configz"] = Unreachable("nobody listens")
    one = istiod(mesh)
    with pytest.raises(Unreachable, match="nobody listens"):
        push(mesh.session, one, [], within(mesh, 1))
    del mesh.session.objects["v1", "Pod", "istio-system", "istiod-1"]
    assert push(mesh.session, one, [], within(mesh)) is None


def test_what_somebody_deleted_since_is_said(mesh: Mesh) -> None:
    with pytest.raises(Unverified, match="VirtualService bookinfo/web was deleted by somebody else"):
        expected(mesh.session, [virtual_service()], [])


@pytest.mark.parametrize("count", [3, 30])
def test_a_few_are_asked_for_one_by_one_and_many_are_listed(mesh: Mesh, count: int) -> None:
    objects = [virtual_service(f"web-{number}") for number in range(count)]
    for obj in objects:
        mesh.session.put(obj)
    mesh.session.asked.clear()
    assert [each.name for each in expected(mesh.session, objects, [])] == [f"web-{n}" for n in range(count)]
    assert len(mesh.session.asked) == (count if count < 9 else 1)


@pytest.mark.parametrize(
    ("before", "now", "answer"),
    [
        (50, 50, True),  # nobody waits in line
        (50, 51, False),
        (50, 56, False),
        (56, 57, True),  # all seven that could have waited have had their turn
        (50, 57, True),
    ],
)
def test_who_waited_in_line_has_had_their_turn(before: int, now: int, answer: bool) -> None:
    assert served(Push(3, 50, (), "istio-system", "", frozenset()), before, now, 7) is answer
