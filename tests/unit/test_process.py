"""Real processes: what goes in, what comes out, and what is left when one goes wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from meshwright import process
from meshwright.errors import ProcessError


def python(script: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", script, *arguments]


def gone(pid: int, within: float = 5) -> bool:
    """Whether the process ends within some seconds (one that nobody has waited for yet counts as ended)."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


def test_gives_both_streams_as_bytes_and_the_code() -> None:
    script = "import sys; sys.stdout.buffer.write(b'\\xffout'); sys.stderr.write('said'); sys.exit(3)"
    done = process.run(python(script), ok=(3,))
    assert (done.stdout, done.stderr, done.code) == (b"\xffout", b"said", 3)
    assert done.text == "�out"
    assert done.complaint == "said"


def test_complaint_is_standard_output_where_nothing_was_said_on_standard_error() -> None:
    assert process.run(python("print('only this')")).complaint == "only this"


def test_megabytes_go_both_ways_at_once() -> None:
    data = os.urandom(1 << 20) * 8
    script = (
        "import sys\n"
        "while block := sys.stdin.buffer.read(65536):\n"
        "    sys.stdout.buffer.write(block); sys.stderr.buffer.write(block)"
    )
    done = process.run(python(script), input=data)
    assert done.stdout == data
    assert done.stderr == data


def test_standard_input_is_empty_where_none_is_given() -> None:
    assert process.run(python("import sys; print(len(sys.stdin.read()))")).text == "0\n"


def test_input_that_nobody_reads_is_no_error() -> None:
    assert process.run(python("pass"), input=b"x" * (1 << 20)).code == 0


def test_a_code_that_is_not_allowed_is_one_sentence_with_the_last_line() -> None:
    script = "import sys; print('first', file=sys.stderr); print('the reason', file=sys.stderr); sys.exit(7)"
    with pytest.raises(ProcessError) as caught:
        process.run(python(script), hint="Do that")
    name = Path(sys.executable).name
    assert caught.value.message == f"{name} exited with 7: the reason"
    assert caught.value.hint == "Do that"
    assert caught.value.code == 7
    assert caught.value.output == "first\nthe reason"
    assert caught.value.command == tuple(python(script))


def test_a_failure_without_a_word_says_so() -> None:
    with pytest.raises(ProcessError, match=r"exited with 1: no output$"):
        process.run(python("raise SystemExit(1)"))


def test_ok_none_allows_every_code() -> None:
    assert process.run(python("raise SystemExit(9)"), ok=None).code == 9


def test_a_missing_program_is_a_sentence() -> None:
    with pytest.raises(ProcessError) as caught:
        process.run(["meshwright-has-no-such-program"], hint="Install it")
    assert str(caught.value) == ("cannot start meshwright-has-no-such-program: No such file or directory. Install it")
    assert caught.value.code is None


def test_a_program_that_may_not_be_executed_is_a_sentence(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\n")
    with pytest.raises(ProcessError, match=r"cannot start .*/tool: Permission denied"):
        process.run([str(program)])


def test_a_missing_working_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProcessError, match="nowhere"):
        process.run(["true"], cwd=str(tmp_path / "nowhere"))


def test_a_time_out_ends_children_of_the_process_too(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        "open(sys.argv[1], 'w').write(str(child.pid))\n"
        "print('so far', flush=True)\n"
        "time.sleep(60)"
    )
    start = time.monotonic()
    with pytest.raises(ProcessError) as caught:
        process.run(python(script, str(noted)), timeout=1)
    assert time.monotonic() - start < 10
    assert caught.value.message.endswith("did not end within 1 s")
    assert caught.value.output == "so far"
    assert caught.value.code is None
    assert gone(int(noted.read_text()))


def test_a_time_out_is_kept_even_when_a_daemon_of_the_process_holds_its_output(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    script = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '60'], start_new_session=True)\n"
        "open(sys.argv[1], 'w').write(str(child.pid))\n"
        "time.sleep(60)"
    )
    start = time.monotonic()
    try:
        with pytest.raises(ProcessError, match="did not end within 1 s"):
            process.run(python(script, str(noted)), timeout=1)
        assert time.monotonic() - start < 10
    finally:
        os.kill(int(noted.read_text()), signal.SIGKILL)


def test_the_operators_kubeconfig_is_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somebody/elses")
    monkeypatch.setenv("MESHWRIGHT_TEST", "kept")
    script = "import os; print(os.environ.get('KUBECONFIG'), os.environ['MESHWRIGHT_TEST'], os.environ.get('ADDED'))"
    assert process.run(python(script), env={"ADDED": "yes"}).text == "None kept yes\n"


def test_a_kubeconfig_of_ours_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/somebody/elses")
    script = "import os; print(os.environ['KUBECONFIG'])"
    assert process.run(python(script), env={"KUBECONFIG": "/ours"}).text == "/ours\n"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_kill_9_of_us_ends_what_we_started(tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    script = (
        "import sys; from meshwright import process\n"
        "process.run(['sh', '-c', 'echo $$ > $0.new; mv $0.new $0; exec sleep 60', sys.argv[1]])"
    )
    caller = subprocess.Popen(python(script, str(noted)))
    deadline = time.monotonic() + 20
    while not noted.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    assert gone(int(noted.read_text()))


def test_an_interrupt_ends_the_process_and_goes_on_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def interrupted(self: subprocess.Popen[bytes], **_: object) -> None:
        pids.append(self.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess.Popen, "communicate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        process.run(["sleep", "60"], cwd=str(tmp_path))
    assert gone(pids[0])
