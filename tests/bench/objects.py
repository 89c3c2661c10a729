"""The figures of #4: N Istio objects of mixed kinds, planned, applied and changed by Meshwright, and by its peers on
the same API server in the same run. `make bench-objects` prints the Markdown of docs/benchmarks.md.

Everything runs one after the other. Between two measurements all objects are deleted, and it is waited until they are
gone. MESHWRIGHT_LAB names a folder with a lab that stays, as for the end-to-end tests.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "support"))

import peers
import sshd
from driver import Driver, build, clean, prepare
from mixed import KINDS, mixed, namespaces

from meshwright import cluster, envoys, kube, tools
from meshwright.cli.common import targets
from meshwright.environment import load
from meshwright.project import Project
from meshwright.target import Local

PREFIX = "bench"
APIS = sorted({(api_version, kind) for api_version, kind, _ in KINDS})
# Read in a process of its own: what a plan takes once everything is imported and the environment is read.
INSIDE = """
import sys, time
from meshwright import deploy, execution, options
from meshwright.cli.common import opened, targets
from meshwright.kube import transport  # which is imported when the first session is made
project, loaded = opened(sys.argv[1])
steps = deploy.load(project, "resources")
with targets(project, loaded, quiet=True) as hosts:
    for target in hosts:
        started = time.perf_counter()
        plans = execution.Execution(target, loaded.env, steps, options.Options()).preview()
        print("seconds", time.perf_counter() - started)
        assert all(plan.empty for plan in plans), plans
"""
# One object of those that proxies take: its timeout is what changes.
PROBE = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "VirtualService",
    "metadata": {"name": "bench-probe", "namespace": "bookinfo"},
    "spec": {"hosts": ["ratings"], "http": [{"route": [{"destination": {"host": "ratings"}}], "timeout": "7s"}]},
}


@dataclass
class Ran:
    """A command that ended as it should: seconds of wall time, the most memory of it or a child in MB, its output."""

    seconds: float
    memory: float
    out: str


def timed(driver: Driver, *command: str, ok: tuple[int, ...] = (0,), timeout: float = 1800) -> Ran:
    """Runs a command in the project folder and looks at the clock."""
    with tempfile.TemporaryFile("w+") as output:
        started = time.monotonic()
        process = subprocess.Popen(
            command, cwd=driver.root, env=driver.env(), stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    assert process.returncode in ok, f"{command}\n{text[-4000:]}"
    return Ran(seconds, usage.ru_maxrss / 1024, text)


@dataclass
class Figures:
    """What was measured, by row and size; the seconds of each round. Notes are for the reader."""

    rows: dict[str, dict[int, list[float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    skipped: dict[tuple[str, int], str] = field(default_factory=dict)

    def add(self, row: str, size: int, value: float) -> None:
        self.rows.setdefault(row, {}).setdefault(size, []).append(value)
        print(f"  {size:5} {row}: {value:.2f}", file=sys.stderr, flush=True)

    def median(self, row: str, size: int) -> float | None:
        found = self.rows.get(row, {}).get(size)
        return statistics.median(found) if found else None


OURS = (
    "`meshwright apply ENV resources --yes`, first",
    "of that: writing (the step `resources`)",
    "`meshwright plan ENV resources`, nothing to do",
    "of that: beyond start-up (a plan in a process that has imported all and read the environment)",
    "its memory, MB",
    "one change among them: `plan`",
    "one change among them: `apply --yes`",
    "of that: writing, until proxies have it where the step waits for that",
    "from the end of that until every proxy that it concerns shows it",
    "memory of the first apply, MB",
)
FLOOR = (
    "LIST of the kinds",
    "server-side apply of each, 8 connections",
)
THEIRS = (
    "`kubectl apply --server-side`, first",
    "`kubectl apply --server-side`, nothing to do",
    "`kubectl diff --server-side --concurrency=1`, nothing to do",
    "`kubectl diff --server-side --concurrency=16`, nothing to do",
    "Ansible `kubernetes.core.k8s`, one task, server-side apply, first",
    "Ansible `kubernetes.core.k8s`, one task, server-side apply, nothing to do",
)


class Bench:
    """The lab, an environment on it, and what was measured."""

    def __init__(self, driver: Driver, rounds: int) -> None:
        self.driver = driver
        self.rounds = rounds
        project = Project(driver.root)
        self.target, self.env = Local(project), load(project, "lab").env
        os.environ["DOCKER_HOST"] = driver.environ["DOCKER_HOST"]
        session = cluster.session(self.target, self.env)
        assert session is not None, "the lab has no cluster"
        self.session: kube.Session = session
        self.kubeconfig = driver.root / ".meshwright" / "lab" / "kubeconfig"
        self.folder = driver.root / "manifests" / PREFIX
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in namespaces(PREFIX):
            self.session.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def environment(self, name: str, **values: Any) -> None:
        """An environment on the lab's cluster, with the objects in the folder."""
        document = yaml.safe_load(self.kubeconfig.read_text())
        file = self.driver.home / f"{name}.kubeconfig"
        file.write_text(yaml.safe_dump(document))
        lab = yaml.safe_load((self.driver.root / "group_data" / "lab.yaml").read_text())["istio"]
        self.driver.add_environment(
            name,
            yaml.safe_dump(
                {
                    "cluster": {
                        "kind": "existing",
                        "kubeconfig": str(file),
                        "context": document["contexts"][0]["name"],
                    },
                    "istio": {"version": lab["version"], "hub": lab["hub"]},
                    "resources": {"manifests": [f"manifests/{PREFIX}"]},
                    **values,
                }
            ),
        )

    def write(self, size: int, timeout: str = "7s") -> list[dict[str, Any]]:
        """`size` objects into the folder, a hundred a file; the last of them is the probe."""
        for old in self.folder.iterdir():
            old.unlink()
        probe = json.loads(json.dumps(PROBE))
        probe["spec"]["http"][0]["timeout"] = timeout
        made = [*mixed(size - 1, PREFIX), probe]
        for first in range(0, size, 100):
            (self.folder / f"{first:05}.yaml").write_text(yaml.safe_dump_all(made[first : first + 100]))
        return made

    def delete(self) -> None:
        """Takes all objects away again."""
        found = [
            obj
            for api_version, kind in APIS
            for obj in self.session.list(api_version, kind, metadata_only=True)
            if obj["metadata"]["namespace"] in namespaces(PREFIX) or obj["metadata"]["name"] == "bench-probe"
        ]
        self.session.map(
            lambda obj: self.session.delete(
                obj["apiVersion"], obj["kind"], obj["metadata"]["name"], obj["metadata"]["namespace"]
            ),
            found,
        )
        time.sleep(1 + len(found) / 1000)  # istiod has work with it, too

    # Ours

    def mw(self, *words: str) -> Ran:
        return timed(self.driver, sys.executable, "-m", "meshwright", *words)

    def ours(self, figures: Figures, env: str, size: int, rounds: int) -> None:
        """All rows of ours, in an environment."""
        first, writing, plan, inside, memory, changed, applied, written, taken, most = OURS
        for _ in range(rounds):
            self.delete()
            self.write(size)
            done = self.mw("apply", env, "resources", "--yes")
            figures.add(first, size, done.seconds)
            figures.add(writing, size, _step(done.out))
            figures.add(most, size, done.memory)
            for _ in range(3):
                done = self.mw("plan", env, "resources", "--detailed-exitcode")
                figures.add(plan, size, done.seconds)
                figures.add(memory, size, done.memory)
                done = timed(self.driver, sys.executable, "-c", INSIDE, env)
                figures.add(inside, size, float(re.search(r"seconds ([\d.]+)", done.out)[1]))
            self.write(size, timeout="8s")
            done = timed(
                self.driver,
                sys.executable,
                "-m",
                "meshwright",
                "plan",
                env,
                "resources",
                "--detailed-exitcode",
                ok=(2,),
            )
            assert "1 to change" in done.out, done.out
            figures.add(changed, size, done.seconds)
            done = self.mw("apply", env, "resources", "--yes")
            ended = time.monotonic()
            figures.add(applied, size, done.seconds)
            figures.add(written, size, _step(done.out))
            figures.add(taken, size, self.taken("8s") - ended)

    def taken(self, timeout: str) -> float:
        """When every sidecar of Bookinfo had the probe with this timeout in its routes (time.monotonic())."""
        wanted = [proxy for proxy in envoys.proxies(self.session) if proxy.namespace == "bookinfo"]
        assert wanted, "no sidecar in namespace bookinfo"
        deadline = time.monotonic() + 60
        while True:
            asked = time.monotonic()
            answers = envoys.ask_all(self.session, wanted, "/config_dump?resource=dynamic_route_configs")
            if all(isinstance(answer, bytes) and _shows(answer, timeout) for answer in answers):
                return asked
            assert time.monotonic() < deadline, "the proxies did not take the change"

    # The floor

    def floor(self, figures: Figures, session: kube.Session, size: int, rounds: int) -> None:
        """What the API server itself takes, asked by our own session from one process, once it has a connection."""
        for _ in range(rounds):
            self.delete()
            objs = self.write(size)
            session.map(lambda api: session.resource(*api), APIS)
            started = time.monotonic()
            session.map(session.apply, objs)
            figures.add(FLOOR[1], size, time.monotonic() - started)
            for _ in range(3):
                started = time.monotonic()
                listed = session.map(lambda api: session.list(*api), APIS)
                figures.add(FLOOR[0], size, time.monotonic() - started)
            assert sum(map(len, listed)) >= size

    # The peers

    def theirs(self, figures: Figures, size: int, rounds: int, longest: float, left: Callable[[], float]) -> None:
        """All rows of the peers. What would take longer than `longest`, or than what is left, by the figure of the
        size before it, is left out, with the reason."""
        kubectl = tools.path(self.target, self.env, "kubectl")
        kubectl_ = [kubectl, "--kubeconfig", str(self.kubeconfig)]
        folder = ["-f", str(self.folder)]
        apply = [*kubectl_, "apply", "--server-side", *folder]
        diff = [*kubectl_, "diff", "--server-side", *folder]
        file = self.driver.root / "all.yaml"
        play = peers.playbook(self.driver.root / "play.json", str(self.kubeconfig), str(file), server_side=True)
        commands = (apply, apply, [*diff, "--concurrency=1"], [*diff, "--concurrency=16"], play, play)
        for done in range(rounds):
            empty = False
            for row, command in zip(THEIRS, commands, strict=True):
                estimate = self._estimate(figures, row, size)
                if done and estimate > 15:
                    continue  # once is enough for what takes that long
                if estimate > longest or estimate > left():
                    why = f"would take about {estimate:.0f} s"
                    figures.skipped[row, size] = why
                    continue
                if row.endswith("first"):
                    self.delete()
                    empty = True
                    file.write_text(yaml.safe_dump_all(self.write(size)))
                elif not empty:
                    continue  # its first apply was left out
                figures.add(row, size, timed(self.driver, *command).seconds)

    @staticmethod
    def _estimate(figures: Figures, row: str, size: int) -> float:
        known = {n: statistics.median(found) for n, found in figures.rows.get(row, {}).items()}
        if not known:
            return 0.0
        nearest = max(n for n in known if n <= size) if min(known) <= size else min(known)
        return known[nearest] * max(1.0, size / nearest)


def _step(text: str) -> float:
    """The seconds of the step `resources`, as the command printed them."""
    found = re.search(r"(?m)^resources: changed \(([\d.]+) s\)", text)
    assert found, text[-2000:]
    return float(found[1])


def _shows(dump: bytes, timeout: str) -> bool:
    """Whether the route of the probe has this timeout."""
    for config in json.loads(dump).get("configs", ()):
        for host in config.get("route_config", {}).get("virtual_hosts", ()):
            for route in host.get("routes", ()):
                if route.get("route", {}).get("timeout") == timeout and "bench-probe" in json.dumps(route):
                    return True
    return False


def table(figures: Figures, names: tuple[str, ...], sizes: list[int]) -> str:
    """Rows of the Markdown table: the median, and how many rounds it is of where that is one."""
    lines = [f"| seconds | {' | '.join(map(str, sizes))} |", "|---" * (len(sizes) + 1) + "|"]
    for name in names:
        cells = []
        for size in sizes:
            value = figures.median(name, size)
            if value is None:
                cells.append(figures.skipped.get((name, size), "-"))
            else:
                cells.append(f"{value:.0f}" if "MB" in name else f"{value:.2f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def ratios(figures: Figures, sizes: list[int]) -> str:
    """What the issue wants, beside what is."""
    lines = []
    for size in sizes:
        plan, ours = figures.median(OURS[2], size), figures.median(OURS[0], size)
        writing, floor = figures.median(OURS[1], size), figures.median(FLOOR[1], size)
        again, diff = figures.median(THEIRS[1], size), figures.median(THEIRS[2], size)
        said = []
        if plan and again:
            said.append(f"a plan with nothing to do is {again / plan:.0f} times faster than kubectl apply")
        if plan and diff:
            said.append(f"{diff / plan:.0f} times faster than kubectl diff")
        if floor and ours and writing:
            said.append(f"a first apply takes {ours / floor:.2f} times the floor, its writing {writing / floor:.2f}")
        lines.append(f"- {size}: {'; '.join(said)}")
    return "\n".join(lines)


def run(bench: Bench, options: argparse.Namespace, folder: Path) -> None:
    """Measures and prints."""
    started = time.monotonic()

    def left() -> float:
        return options.minutes * 60 - (time.monotonic() - started)

    local, remote = Figures(), Figures()
    bench.environment("bench")
    for size in options.sizes:
        rounds = options.rounds if size <= 1000 else 1
        bench.ours(local, "bench", size, rounds)
        bench.floor(local, bench.session, size, rounds)
    far = [size for size in options.sizes if size <= 1000]
    if far and not options.no_ssh:
        server = sshd.start(folder)
        try:
            bench.delete()
            bench.environment("bench-ssh", hosts=[server.host().model_dump(exclude_none=True)])
            project = Project(bench.driver.root)
            loaded = load(project, "bench-ssh")
            with targets(project, loaded, quiet=True) as [host]:
                session = cluster.session(host, loaded.env)
                assert session is not None
                for size in far:
                    bench.ours(remote, "bench-ssh", size, 1)
                    bench.floor(remote, session, size, 1)
        finally:
            server.stop()
    if not options.no_peers:
        for size in options.sizes:
            bench.theirs(local, size, options.rounds, options.longest, left)
    bench.delete()
    print(f"{os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}\n")
    print(table(local, (*OURS, *FLOOR, *THEIRS), options.sizes))
    if remote.rows:
        print("\nOver SSH:\n")
        print(table(remote, (*OURS, *FLOOR), far))
    print(f"\n{ratios(local, options.sizes)}")
    print(f"\nAll of it took {(time.monotonic() - started) / 60:.1f} min.")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=lambda text: [int(n) for n in text.split(",")], default=[10, 100, 1000, 5000])
    parser.add_argument("--rounds", type=int, default=3, help="rounds of what is quick; 5000 objects: one")
    parser.add_argument("--minutes", type=float, default=15, help="peers that do not fit into this are left out")
    parser.add_argument("--longest", type=float, default=180, help="seconds; what a peer takes at most")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--no-ssh", action="store_true")
    options = parser.parse_args()
    build()
    if not options.no_peers:
        peers.ansible()
    kept = os.environ.get("MESHWRIGHT_LAB")
    with tempfile.TemporaryDirectory() as folder:
        driver = prepare(Path(kept or folder) if kept else Path(folder) / "lab")
        try:
            done = driver.meshwright("apply", "lab", "--yes", timeout=900)
            assert done.code == 0, done.err + done.out
            there = Path(folder) / "host"
            there.mkdir()
            run(Bench(driver, options.rounds), options, there)
        finally:
            if not kept:
                clean(driver)


if __name__ == "__main__":
    main()
