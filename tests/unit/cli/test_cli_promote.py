"""`meshwright promote`: what is shown, refused, written, applied, put back; and what a kill leaves."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
from fakes import FakeTarget
from promoting import AFTER, CHANGE, DEV, DONE, STAGING, World

from meshwright import lock
from meshwright.cli import promoting
from meshwright.cli.child import Done
from meshwright.errors import Exit

REFUSED = {"message": "another run is changing it", "hint": "", "exit": 3}
FAILED = {"message": "1 of 9 checks do not hold", "hint": "", "exit": 1}


def test_the_plan_shows_and_writes_nothing(run: Any, world: World) -> None:
    ran = run("promote", "dev", "staging", "--plan")
    assert ran.code == Exit.OK
    assert "    version: 1.30.3 -> 1.30.4" in ran.out
    assert "stays as it is in staging: istio.hub" in ran.out
    assert "order  open      staging takes releases from dev" in ran.out
    said = run("promote", "dev", "staging", "--plan", "--apply", "--json").document
    assert said["summary"] == {"checked": 2, "closed": 0, "differences": 1, "add": 0, "change": 1, "destroy": 0,
                               "unchanged": 0, "known_later": 0}  # fmt: skip
    assert said["file"] == {"path": "group_data/staging.yaml", "changed": True, "written": False}
    assert said["differences"][0]["changes"] == [{"what": "version", "before": "1.30.3", "after": "1.30.4"}]
    assert (world.staging, world.note.exists(), world.records()) == (STAGING, False, [])


def test_markdown(run: Any, world: World) -> None:
    out = run("promote", "dev", "staging", "--markdown").out
    assert out.startswith("## dev to staging\n")
    assert "| | version | `1.30.3` | `1.30.4` |" in out
    assert "| order | open | staging takes releases from dev |" in out
    assert world.staging == STAGING


def test_the_file_is_written_and_recorded(run: Any, world: World) -> None:
    ran = run("promote", "dev", "staging", "--yes", "--reason", "ticket 4711")
    assert ran.code == Exit.OK, ran.err
    assert (world.staging, world.ran, world.note.exists()) == (AFTER, [], False)
    started, ended = world.records()
    assert (started["deploy"], started["reason"], ended["result"]) == ("promote", "ticket 4711", "ok")
    assert started["promotion"] == {"from": "dev", "skip": None, "approved_by": []}
    [change] = started["plan"][0]["changes"]
    assert change["fields"] == [{"path": "version", "before": "1.30.3", "after": "1.30.4"}]
    again = run("promote", "dev", "staging", "--yes")
    assert "staging holds this release already" in again.err
    assert len(world.records()) == 2


def test_it_is_applied(run: Any, world: World) -> None:
    ran = run("promote", "dev", "staging", "--apply", "--yes", "--json")
    assert ran.code == Exit.OK, ran.err
    [(file, _, data)] = world.ran
    assert (file, data["approved"], world.staging) == (AFTER, CHANGE.digest, AFTER)
    assert ran.document["steps"] == DONE
    assert not world.note.exists()
    assert [row["step"] for row in world.records()[-1]["steps"]] == ["promote", "istio"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["dev", "dev"], 65, "dev cannot be promoted to itself"),
        (["dev", "stagign"], 65, "there is no environment 'stagign'"),
        (["dev", "staging", "--release", "sha256:abcdef"], 65, "dev has no release sha256:abcdef, as far as is known"),
        (["dev", "staging", "--release", "newest"], 65, "'newest' is not the digest of a release"),
        (["lab", "staging", "--yes"], 3, "staging takes releases from dev, not from lab"),
        (["dev"], 64, "to which environment? promote FROM TO"),
        (["dev", "staging", "--back"], 64, "--back takes one environment: promote TO --back"),
        (["staging", "--back"], 65, "no promotion to staging has failed or was interrupted"),
        (["dev", "staging"], 64, "this needs an answer and standard input is not a terminal"),
    ],
)
def test_what_is_refused_changes_nothing(run: Any, world: World, words: list[str], code: int, said: str) -> None:
    ran = run("promote", *words)
    assert ran.code == code
    [error] = [line for line in ran.err.splitlines() if line.startswith("error: ")]
    assert said in error
    assert (world.staging, world.ran, world.records(), world.note.exists()) == (STAGING, [], [], False)


def test_a_left_out_environment_is_recorded_with_its_reason(run: Any, world: World) -> None:
    ran = run("promote", "lab", "staging", "--yes", "--skip", "dev is being rebuilt")
    assert ran.code == Exit.OK, ran.err
    # What lab says is what all.yaml says.
    assert "1.30.3" in world.staging
    world.put("staging", AFTER)
    assert run("promote", "lab", "staging", "--yes", "--skip", "dev is being rebuilt").code == Exit.OK
    assert world.records()[0]["promotion"]["skip"] == "dev is being rebuilt"


def test_two_at_once(run: Any, world: World, host: FakeTarget) -> None:
    held = lock.acquire(f"{host.project.digest}-promote-staging", "the promotion of dev to staging")
    ran = run("promote", "dev", "staging", "--yes")
    held.release()
    assert ran.code == Exit.REFUSED
    assert "the promotion of dev to staging, process" in ran.err
    assert world.staging == STAGING


def test_a_run_that_was_refused_puts_the_file_back(run: Any, world: World) -> None:
    world.ends = [Done(Exit.REFUSED, error=REFUSED)]
    ran = run("promote", "dev", "staging", "--apply", "--yes", "--json")
    assert ran.code == Exit.REFUSED
    assert ran.document["error"]["message"] == REFUSED["message"]
    assert (world.staging, world.note.exists()) == (STAGING, False)
    assert world.records()[-1]["result"] == "refused"


def test_one_that_does_not_hold_stops_with_the_way_back_prepared(run: Any, world: World) -> None:
    world.ends = [Done(Exit.ERROR, DONE, error=FAILED)]
    ran = run("promote", "dev", "staging", "--apply", "--yes")
    assert ran.code == Exit.UNVERIFIED
    assert "The way back: meshwright promote staging --back" in ran.err
    assert "The way back to sha256:" in ran.out
    assert (world.staging, world.note.exists()) == (AFTER, True)
    # Another release has to wait until this one is settled.
    world.put("dev", DEV.replace("1.30.4", "1.30.5"))
    other = run("promote", "dev", "staging", "--apply", "--yes")
    assert other.code == Exit.REFUSED
    assert "failed: it does not hold" in other.err
    back = run("promote", "staging", "--back", "--yes")
    assert back.code == Exit.OK, back.err
    assert (world.staging, world.note.exists()) == (STAGING, False)
    assert world.ran[-1][0] == STAGING
    assert world.ran[-1][2]["override"] == "true"


def test_one_that_does_not_hold_comes_back_where_the_values_say_so(run: Any, world: World) -> None:
    text = STAGING.replace("applied: false\n", "applied: false\n  on_failure: restore\n")
    world.put("staging", text)
    world.ends = [Done(Exit.ERROR, DONE, error=FAILED)]
    ran = run("promote", "dev", "staging", "--apply", "--yes", "--json")
    assert ran.code == Exit.UNVERIFIED
    assert ran.document["restored"] is True
    assert [file for file, _, _ in world.ran] == [text.replace("1.30.3", "1.30.4"), text]
    assert (world.staging, world.note.exists()) == (text, False)
    assert world.records()[-1]["message"].endswith("file and cluster were put back")


def test_a_way_back_that_fails_is_kept(run: Any, world: World) -> None:
    text = STAGING.replace("applied: false\n", "applied: false\n  on_failure: restore\n")
    world.put("staging", text)
    world.ends = [Done(Exit.ERROR, DONE, error=FAILED), Done(Exit.ERROR, error=FAILED)]
    ran = run("promote", "dev", "staging", "--apply", "--yes", "--json")
    assert ran.code == Exit.UNVERIFIED
    assert ran.document["restored"] is False
    refused = run("promote", "dev", "staging", "--apply", "--yes")
    assert refused.code == Exit.REFUSED
    assert "was being taken back when it was interrupted" in refused.err
    assert run("promote", "staging", "--back", "--yes").code == Exit.OK
    assert not world.note.exists()


class Killed(BaseException):
    """As abrupt as it gets in one process."""


def test_killed_while_it_applies_it_is_gone_on_with(run: Any, world: World) -> None:
    world.ends = [Killed()]
    with pytest.raises(Killed):
        run("promote", "dev", "staging", "--apply", "--yes")
    assert (world.staging, world.note.exists()) == (AFTER, True)
    alone = run("promote", "dev", "staging", "--yes")
    assert alone.code == Exit.REFUSED
    assert "was interrupted after its file was written" in alone.err
    assert "Go on: meshwright promote dev staging --release sha256:" in alone.err
    ran = run("promote", "dev", "staging", "--apply", "--yes")
    assert ran.code == Exit.OK, ran.err
    assert "this goes on with it" in ran.err
    assert not world.note.exists()


def test_killed_before_the_file_is_written(run: Any, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_of: Any) -> None:
        raise Killed

    monkeypatch.setattr(promoting, "_write", killed)
    with pytest.raises(Killed):
        run("promote", "dev", "staging", "--apply", "--yes")
    assert (world.staging, world.note.exists()) == (STAGING, True)
    monkeypatch.undo()


def test_a_file_that_was_edited_since_ends_it(run: Any, world: World) -> None:
    world.ends = [Killed()]
    with pytest.raises(Killed):
        run("promote", "dev", "staging", "--apply", "--yes")
    world.put("staging", AFTER + "# a hand\n")
    back = run("promote", "staging", "--back", "--yes")
    assert back.code == Exit.BAD_INPUT
    assert "it is not put back unseen" in back.err
    ran = run("promote", "dev", "staging", "--yes")
    assert ran.code == Exit.OK
    assert "that promotion is given up" in ran.err
    assert not world.note.exists()


def test_changes_without_a_commit_are_not_rewritten(run: Any, world: World) -> None:
    def git(*words: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *who, *words], cwd=world.root, check=True, capture_output=True)

    git("init", "-q")
    git("add", "group_data", "inventory")
    git("commit", "-qm", "one")
    world.put("staging", STAGING + "# being worked on\n")
    ran = run("promote", "dev", "staging", "--yes")
    assert ran.code == Exit.REFUSED
    assert "group_data/staging.yaml has changes that are not in a commit: it is not rewritten" in ran.err
    assert world.staging.endswith("# being worked on\n")
    git("commit", "-qam", "two")
    assert run("promote", "dev", "staging", "--yes").code == Exit.OK
