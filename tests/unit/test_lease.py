"""The Lease: who gets it, who keeps it, and who must stop. Clocks are the test's own."""

from __future__ import annotations

import copy
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from fakes import FakeSession, Object
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from living import dead, living

from meshwright import lease
from meshwright.errors import Exit, Forbidden, MeshwrightError, Refused, Unreachable
from meshwright.holder import Holder
from meshwright.kube import ApiError
from meshwright.lease import Lease

KEY = ("coordination.k8s.io/v1", "Lease", "meshwright", "meshwright")
ELSEWHERE = Holder("laptop", "another-boot", "1", 4711, "99")


class Clock:
    """A clock that goes on only when somebody sleeps; `while_asleep` happens then."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.while_asleep: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.while_asleep()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def session() -> FakeSession:
    return FakeSession()


Take = Callable[..., Lease]


@pytest.fixture
def take(session: FakeSession, clock: Clock) -> Iterator[Take]:
    made: list[Lease] = []

    def take(purpose: str = "lab: site, by op", **options: Any) -> Lease:
        options = {"clock": clock, "sleep": clock.sleep, **options}
        made.append(lease.take(options.pop("session", session), purpose, **options))
        return made[-1]

    yield take
    for each in made:
        each.abandon()


def spec(session: FakeSession) -> Object:
    value: Object = session.objects[KEY]["spec"]
    return value


def held_by(session: FakeSession, holder: Holder | str, **other: Any) -> None:
    """A Lease as another machine left it, with its clock an hour ahead."""
    session.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshwright"}})
    session.put(
        {
            "apiVersion": KEY[0],
            "kind": KEY[1],
            "metadata": {
                "name": KEY[3],
                "namespace": KEY[2],
                "resourceVersion": "r1",
                "annotations": {"meshwright/purpose": "lab: istio, by ann", "meshwright/place": "theirs"},
            },
            "spec": {
                "holderIdentity": str(holder),
                "leaseDurationSeconds": 60,
                "acquireTime": "2030-01-02T03:04:05.000000Z",
                "renewTime": "2030-01-02T03:04:05.000000Z",
                "leaseTransitions": 4,
                **other,
            },
        }
    )


# Taking it


def test_the_first_one_makes_namespace_and_lease(session: FakeSession, take: Take) -> None:
    take()
    assert [obj["kind"] for obj in session.writes] == ["Namespace", "Lease"]
    assert session.owners["v1", "Namespace", "", "meshwright"] == {
        ("apiVersion",): "meshwright",
        ("kind",): "meshwright",
        ("metadata", "name"): "meshwright",
    }
    made = session.objects[KEY]
    assert made["spec"]["holderIdentity"] == str(Holder.here())
    assert (made["spec"]["leaseDurationSeconds"], made["spec"]["leaseTransitions"]) == (60, 0)
    assert made["metadata"]["annotations"]["meshwright/purpose"] == "lab: site, by op"
    assert not any("istio.io" in key for key in made["metadata"]["annotations"])


def test_one_that_was_let_go_is_taken_at_once(session: FakeSession, take: Take, clock: Clock) -> None:
    take().release()
    assert spec(session)["holderIdentity"] == ""
    take(holder=ELSEWHERE)
    assert (spec(session)["holderIdentity"], spec(session)["leaseTransitions"]) == (str(ELSEWHERE), 1)
    assert clock.now == 1000


def test_the_process_that_has_it_may_take_it_again(take: Take, clock: Clock) -> None:
    take().abandon()
    take().held()
    assert clock.now == 1000


def test_of_two_who_take_a_free_one_at_once_one_wins(session: FakeSession, take: Take, clock: Clock) -> None:
    """The second has read the free Lease before the first wrote it."""
    held_by(session, "")
    other = Holder.here()
    begun = session.replace

    def replaced(obj: Object, **options: Any) -> Object:
        session.replace = begun  # type: ignore[method-assign]
        take(holder=other)
        return begun(obj, **options)

    session.replace = replaced  # type: ignore[method-assign]
    with pytest.raises(Refused, match=f"^another run is changing this cluster: .*{other.words}"):
        take(holder=replace(ELSEWHERE, pid=1))
    assert spec(session)["holderIdentity"] == str(other)


def test_of_two_who_make_it_at_once_one_wins(session: FakeSession, take: Take) -> None:
    session.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "meshwright"}})
    begun = session.create

    def created(obj: Object, **options: Any) -> Object:
        session.create = begun  # type: ignore[method-assign]
        take()
        return begun(obj, **options)

    session.create = created  # type: ignore[method-assign]
    with pytest.raises(Refused, match="another run is changing this cluster"):
        take(holder=ELSEWHERE)


def test_of_many_threads_one_has_it(session: FakeSession) -> None:
    """Each write is one step of the fake, as it is one of the API server."""
    writing = threading.Lock()
    for verb in ("create", "replace", "apply", "get"):
        inner = getattr(session, verb)

        def one_by_one(*args: Any, _inner: Any = inner, **options: Any) -> Any:
            with writing:
                return _inner(*args, **options)

        setattr(session, verb, one_by_one)
    got: list[Lease] = []
    refused: list[Refused] = []

    def run(number: int) -> None:
        try:
            # Each is a process of another machine, so nobody can tell that the others live.
            got.append(lease.take(session, "x", holder=replace(ELSEWHERE, pid=number), duration=1, sleep=time.sleep))
        except Refused as error:
            refused.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for each in got:
        each.abandon()
    assert (len(got), len(refused)) == (1, 7)


def test_one_that_is_changed_each_time_is_given_up(session: FakeSession, take: Take) -> None:
    held_by(session, "")
    session.failing["replace Lease"] = ApiError("changed", status=409, body={"reason": "Conflict"})
    with pytest.raises(MeshwrightError, match="cannot be taken: it is changed or deleted each time"):
        take()


# Whether its holder lives


def test_a_dead_holder_on_this_machine_is_taken_over_at_once(session: FakeSession, take: Take, clock: Clock) -> None:
    held_by(session, dead())
    take()
    assert clock.now == 1000
    assert spec(session)["leaseTransitions"] == 5


def test_a_living_holder_on_this_machine_is_waited_for_by_nobody(
    session: FakeSession, take: Take, clock: Clock
) -> None:
    said: list[str] = []
    with living() as (other, process):
        held_by(session, other)
        with pytest.raises(Refused) as caught:
            take(say=said.append)
    assert caught.value.message == (
        f"another run is changing this cluster: lab: istio, by ann, process {process.pid} on {Holder.here().machine}, "
        "since 2030-01-02 03:04:05 UTC"
    )
    assert caught.value.hint == "Wait until it has ended, then run this again"
    assert caught.value.exit_code is Exit.REFUSED
    assert (clock.now, said) == (1000, [])


def test_who_else_has_it_is_asked_without_taking_it(session: FakeSession, take: Take) -> None:
    lease.free(session)
    held_by(session, dead())
    lease.free(session)
    held_by(session, ELSEWHERE)
    before = spec(session)
    with pytest.raises(Refused, match=r"another run is changing this cluster: .*process 4711 on laptop"):
        lease.free(session)
    assert spec(session) == before


def test_one_of_another_machine_is_taken_over_when_it_has_not_changed_for_its_duration(
    session: FakeSession, take: Take, clock: Clock
) -> None:
    held_by(session, ELSEWHERE)
    said: list[str] = []
    take(say=said.append)
    assert 1060 <= clock.now <= 1062
    assert "waiting to see whether another run still lives: lab: istio, by ann, process 4711 on laptop" in said[0]
    assert said[1:] == ["it does not: its Lease is taken over"]
    assert spec(session)["holderIdentity"] == str(Holder.here())


def test_one_of_another_machine_that_is_renewed_is_refused_as_soon_as_that_is_seen(
    session: FakeSession, take: Take, clock: Clock
) -> None:
    held_by(session, ELSEWHERE)

    def renew() -> None:
        if clock.now >= 1015:
            session.objects[KEY]["metadata"]["resourceVersion"] = "r2"

    clock.while_asleep = renew
    with pytest.raises(Refused, match=r"process 4711 on laptop, since 2030-01-02 03:04:05 UTC"):
        take()
    assert clock.now == 1015


def test_one_that_is_let_go_while_it_is_watched_is_taken(session: FakeSession, take: Take, clock: Clock) -> None:
    held_by(session, ELSEWHERE)

    def let_go() -> None:
        session.objects[KEY]["metadata"]["resourceVersion"] = "r2"
        spec(session)["holderIdentity"] = ""

    clock.while_asleep = let_go
    take()
    assert clock.now == 1001


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.datetimes())
def test_what_another_clock_says_never_matters(when: Any) -> None:
    """However far off the holder's clock is: it takes the whole duration by ours, and no more."""
    session, clock = FakeSession(), Clock()
    text = when.isoformat() + "Z"
    held_by(session, ELSEWHERE, acquireTime=text, renewTime=text)
    taken = lease.take(session, "x", clock=clock, sleep=clock.sleep)
    taken.abandon()
    assert 1060 <= clock.now <= 1062


def test_one_that_somebody_wrote_by_hand_for_hours_keeps_runs_away(
    session: FakeSession, take: Take, clock: Clock
) -> None:
    held_by(session, "ann, moving the racks", leaseDurationSeconds=86400)
    with pytest.raises(
        Refused, match="another run is changing this cluster: lab: istio, by ann, ann, moving the racks"
    ):
        take()
    assert clock.now == 1000


def test_a_lease_without_anything_in_it_is_free(session: FakeSession, take: Take) -> None:
    held_by(session, "")
    session.objects[KEY].pop("spec")
    take()
    assert spec(session)["leaseTransitions"] == 1


def test_a_user_without_the_right_is_told_what_is_missing(session: FakeSession, take: Take) -> None:
    session.failing["get Lease"] = Forbidden("context lab may not get Lease meshwright/meshwright (403: no)")
    with pytest.raises(Forbidden) as caught:
        take()
    assert caught.value.message == (
        "without the Lease that keeps two runs apart nothing is changed: "
        "context lab may not get Lease meshwright/meshwright (403: no)"
    )
    assert "get, create and update of Leases in namespace meshwright" in caught.value.hint


def test_a_user_who_may_only_read_it_is_told_too(session: FakeSession, take: Take) -> None:
    held_by(session, "")
    session.failing["replace Lease"] = Forbidden("context lab may not replace Lease meshwright/meshwright (403: no)")
    with pytest.raises(Forbidden, match="nothing is changed: context lab may not replace Lease"):
        take()


# Who was there before


def test_a_holder_under_the_same_file_lock_changes_nothing_unseen(session: FakeSession, take: Take) -> None:
    assert not take(place="here").elsewhere
    assert not take(place="here").elsewhere
    assert take(place="there").elsewhere


def test_a_holder_from_elsewhere_may_have_changed_the_cluster(session: FakeSession, take: Take) -> None:
    held_by(session, "")
    assert take(place="ours").elsewhere


# Keeping it


def test_renewing_it_gives_it_its_whole_time_again(session: FakeSession, take: Take, clock: Clock) -> None:
    held = take()
    for _ in range(10):
        clock.now += 44
        assert held._renew()
        held.guard()
        held.held()
    assert spec(session)["leaseTransitions"] == 0


def test_a_holder_stops_before_anybody_else_may_begin(session: FakeSession, take: Take, clock: Clock) -> None:
    """The other one first sees the Lease just after it was renewed."""
    held = take(holder=ELSEWHERE)
    clock.while_asleep = lambda: seen.append((clock.now, stopped(held)))
    seen: list[tuple[float, bool]] = []
    take()
    assert seen[0] == (1001, False)
    last_write = max(when for when, over in seen if not over)
    assert clock.now - last_write >= 15


def stopped(held: Lease) -> bool:
    try:
        held.guard()
    except Refused:
        return True
    return False


def test_who_slept_past_the_end_cannot_go_on_even_if_nobody_came(
    session: FakeSession, take: Take, clock: Clock
) -> None:
    held = take()
    clock.now += 3600
    for look in (held.guard, held.held):
        with pytest.raises(Refused) as caught:
            look()
        assert caught.value.message == (
            "the Lease of this cluster ended before it could be renewed: this machine slept, or the API server "
            "gave no answer for 45 s"
        )
        assert caught.value.hint.startswith("This run stopped before its next write; what was done stays done")
    assert not held._renew()
    before = spec(session)["holderIdentity"]
    held.release()
    assert spec(session)["holderIdentity"] == before


def test_who_slept_is_told_who_has_it_now(session: FakeSession, take: Take, clock: Clock) -> None:
    held = take()
    held_by(session, ELSEWHERE)
    with pytest.raises(Refused, match=r"^this run has lost the Lease of its cluster: lab: istio, by ann, process 4711"):
        held.held()
    with pytest.raises(Refused):
        held.guard()
    held.release()
    assert spec(session)["holderIdentity"] == str(ELSEWHERE)


def test_who_comes_back_after_another_had_it_cannot_go_on(session: FakeSession, take: Take) -> None:
    held = take()
    held_by(session, "")
    with pytest.raises(Refused, match="another run has had it meanwhile and has let it go"):
        held.held()


def test_a_renewal_that_finds_another_holder_ends_it(session: FakeSession, take: Take) -> None:
    held = take()
    held_by(session, ELSEWHERE)
    assert not held._renew()
    assert stopped(held)


def test_a_note_that_somebody_puts_on_it_is_no_other_holder(session: FakeSession, take: Take) -> None:
    held = take()
    there = copy.deepcopy(session.objects[KEY])
    there["metadata"]["labels"] = {"seen": "yes"}
    session.replace(there)
    assert not held._renew()
    assert held._renew()
    held.held()
    assert session.objects[KEY]["metadata"]["labels"] == {"seen": "yes"}


def test_a_lease_that_was_deleted_is_lost(session: FakeSession, take: Take) -> None:
    held = take()
    del session.objects[KEY]
    with pytest.raises(Refused, match="was deleted while this run held it"):
        held.held()


def test_an_api_server_that_does_not_answer_is_asked_again_until_the_end(
    session: FakeSession, take: Take, clock: Clock
) -> None:
    held = take()
    session.failing["replace Lease"] = Unreachable("no answer")
    clock.now += 30
    assert not held._renew()
    held.guard()
    session.failing.clear()
    assert held._renew()
    clock.now += 44
    held.guard()


def test_the_end_is_counted_from_before_a_renewal_was_sent(session: FakeSession, take: Take, clock: Clock) -> None:
    held = take()
    begun = session.replace

    def slow(obj: Object, **options: Any) -> Object:
        clock.now += 20
        return begun(obj, **options)

    session.replace = slow  # type: ignore[method-assign]
    assert held._renew()
    clock.now += 24
    held.guard()
    clock.now += 1
    with pytest.raises(Refused):
        held.guard()


def test_looking_at_it_does_not_make_it_longer(session: FakeSession, take: Take, clock: Clock) -> None:
    held = take()
    clock.now += 44
    held.held()
    clock.now += 1
    with pytest.raises(Refused):
        held.held()


def test_letting_go_of_what_cannot_be_reached_is_no_error(session: FakeSession, take: Take) -> None:
    held = take()
    session.failing["replace Lease"] = Unreachable("no answer")
    held.release()


def test_the_clock_goes_on_while_the_machine_sleeps() -> None:
    assert abs(lease.elapsed() - lease.elapsed()) < 1
    if sys.platform == "linux":
        assert abs(lease.elapsed() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1


# The thread


RENEWED = """
{patch}
import sys, threading, time, subprocess
sys.path[:0] = {path!r}
from fakes import FakeSession
from meshwright import lease
session = FakeSession()
held = lease.take(session, "x", duration=1)
{work}
held.held()
print(sum(asked.startswith("replace Lease") for asked in session.asked))
held.release()
"""
PATCHES = {"threads": "", "gevent": "from gevent import monkey; monkey.patch_all()"}
WORK = {
    "sleep": "time.sleep(2)",
    "process": "subprocess.run(['sleep', '2'])",
    "our process": "from meshwright import process; process.run(['sleep', '2'])",
}


@pytest.mark.parametrize("work", WORK)
@pytest.mark.parametrize("kind", PATCHES)
def test_it_is_renewed_while_a_step_works(kind: str, work: str) -> None:
    """Under gevent, as pyinfra patches it, and without."""
    script = RENEWED.format(patch=PATCHES[kind], path=sys.path, work=WORK[work])
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 5 <= int(done.stdout) <= 9


def test_the_thread_ends_with_the_lease(take: Take) -> None:
    held = take(duration=1)
    held.release()
    held._thread.join(5)
    assert not held._thread.is_alive()
