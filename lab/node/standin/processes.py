"""The components as child processes: started with a log file each, waited for, and stopped together."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence

from standin import log, paths


class Failed(Exception):
    """The node cannot come up, or a component of it has ended."""


class Processes:
    """What this node runs. One component's end is the node's end: docker then starts the whole node again."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._stopping = False

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start a component; what it prints goes to its own file."""
        log.info(f"Running {name} {' '.join(command[1:])}")
        paths.LOGS.mkdir(parents=True, exist_ok=True)
        with (paths.LOGS / f"{name}.log").open("ab") as output:
            self._running[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    def wait_for(self, what: str, holds: Callable[[], bool], seconds: float = 120, pause: float = 0.1) -> None:
        """Wait until something holds; a component that ends meanwhile, or the deadline, is a failure."""
        deadline = time.monotonic() + seconds
        while not holds():
            self.check()
            if time.monotonic() > deadline:
                raise Failed(f"{what}: not after {seconds:.0f} seconds")
            time.sleep(pause)

    def check(self) -> None:
        """Fail if a component has ended, with the last lines that it wrote."""
        for name, process in self._running.items():
            if (code := process.poll()) is not None and not self._stopping:
                lines = (paths.LOGS / f"{name}.log").read_text(errors="replace").splitlines()[-5:]
                raise Failed(f"{name} ended with {code}: " + " | ".join(lines))

    def stop(self) -> None:
        """Stop all, the last started first; who does not listen for five seconds is killed."""
        self._stopping = True
        for process in reversed(self._running.values()):
            process.terminate()
        deadline = time.monotonic() + 5
        for name, process in self._running.items():
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.info(f"{name} does not stop: killing it")
                process.kill()


def until_told_to_stop(processes: Processes, each: Callable[[], None]) -> None:
    """Look after the components, and call `each` about once a second, until SIGTERM or SIGINT."""
    told = False

    def tell(*_: object) -> None:
        nonlocal told
        told = True

    signal.signal(signal.SIGTERM, tell)
    signal.signal(signal.SIGINT, tell)
    while not told:
        processes.check()
        each()
        time.sleep(1)


def kubectl(*arguments: str, kubeconfig: os.PathLike[str] = paths.KUBECONFIG) -> subprocess.CompletedProcess[str]:
    """Run kubectl against this cluster; the caller looks at the exit code."""
    command = ["/usr/local/bin/kubectl", f"--kubeconfig={os.fspath(kubeconfig)}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
