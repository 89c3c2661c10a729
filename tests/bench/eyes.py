"""The figures of #8, measured on the lab: `.venv/bin/python tests/bench/eyes.py`. It prints the Markdown of
docs/benchmarks.md.

Forty pods with a container `istio-proxy` (a stand-in that writes access log lines) write 2,000 lines a second in all,
and each log is rotated while `meshwright logs` follows. Every line has a number, so a lost or doubled one is seen.
"""

from __future__ import annotations

import http.client
import json
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from driver import Driver, build, clean, prepare

from meshwright import cluster, kube
from meshwright.environment import load
from meshwright.lab.recipes import BOOKINFO
from meshwright.project import Project
from meshwright.target import Local

PODS, RATE, SECONDS = 40, 50, 60
NAMESPACE = "loud"

# First almost as much as the kubelet keeps in one file (10 MiB), so that it is rotated while somebody follows.
WRITER = f"""
import datetime, sys, time
line = ('[%s] "GET /item/%d HTTP/1.1" 200 - via_upstream - "-" 0 91 12 11 "-" "bench" "0c1c4a" "shop:80" '
        '"10.0.0.1:80" outbound|80||shop.loud.svc.cluster.local 10.0.0.2:1 10.0.0.3:80 10.0.0.4:2 - default\\n')
now = lambda: datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
for _ in range(37000):
    sys.stdout.write("-" * 230 + "\\n")
sys.stdout.flush()
number, start = 0, time.monotonic()
while True:
    number += 1
    sys.stdout.write(line % (now(), number))
    sys.stdout.flush()
    time.sleep(max(0, start + number / {RATE} - time.monotonic()))
"""


def objects() -> list[dict[str, Any]]:
    """The namespace, and the Deployment of the writers."""
    image = f"meshwright.lab/stand-in/examples-bookinfo-{BOOKINFO[0]}:1.20.3"
    container = {
        "name": "istio-proxy",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["python3", "-c", WRITER],
    }
    labels = {"app": "writer"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "writer", "namespace": NAMESPACE},
            "spec": {"replicas": PODS, "selector": {"matchLabels": labels}, "template": template},
        },
    ]


def rotated(driver: Driver) -> int:
    """How many logs of the writers the kubelet has rotated."""
    names = driver.run("docker", "ps", "--format", "{{.Names}}").out.split()
    node = next(name for name in names if Path(driver.root).name and name.endswith("-server-0") and _ours(driver, name))
    listing = driver.run("docker", "exec", node, "sh", "-c", f"ls /var/log/pods/{NAMESPACE}_*/istio-proxy/").out
    return len(re.findall(r"0\.log\.\d{8}-\d+", listing))


def _ours(driver: Driver, name: str) -> bool:
    project = Project(driver.root)
    return name == f"k3d-{cluster.name(Local(project), load(project, 'lab').env)}-server-0"


def follow(driver: Driver, file: Path) -> tuple[float, float]:
    """Follows for SECONDS into a file; wall seconds and CPU seconds of the command."""
    command = [sys.executable, "-m", "meshwright", "logs", "lab", "-n", NAMESPACE, "--since", "1s", "--json"]
    with file.open("w") as out:
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=driver.root, env=driver.env(), stdout=out)
        time.sleep(SECONDS)
        process.send_signal(signal.SIGTERM)
        _, _, used = os.wait4(process.pid, 0)
    return time.monotonic() - started, used.ru_utime + used.ru_stime


def count(file: Path) -> tuple[int, int, int, int]:
    """Pods, lines, lines that are missing between a pod's first and last one, and lines that came twice."""
    seen: dict[str, list[int]] = defaultdict(list)
    for text in file.read_text().splitlines():
        if '"path": "/item/' in text and text.endswith("}"):
            said = json.loads(text)
            seen[said["pod"]].append(int(said["access"]["path"].rpartition("/")[2]))
    lost = sum(max(numbers) - min(numbers) + 1 - len(set(numbers)) for numbers in seen.values())
    twice = sum(len(numbers) - len(set(numbers)) for numbers in seen.values())
    return len(seen), sum(map(len, seen.values())), lost, twice


def dashboard(driver: Driver) -> list[float]:
    """Milliseconds of 300 requests to Prometheus' /-/ready on one connection through `meshwright dashboard`."""
    assert driver.meshwright("apply", "lab", "addons", "--yes", timeout=1800).code == 0
    process = driver.start(sys.executable, "-m", "meshwright", "dashboard", "lab", "prometheus")
    try:
        assert process.stdout is not None
        address = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
        assert address is not None
        connection = http.client.HTTPConnection("127.0.0.1", int(address[1]), timeout=20)
        took = []
        for _ in range(300):
            started = time.perf_counter()
            connection.request("GET", "/-/ready")
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200
            took.append((time.perf_counter() - started) * 1000)
        return took
    finally:
        process.terminate()
        process.wait(20)


def main() -> None:
    """Measures and prints."""
    build()
    with tempfile.TemporaryDirectory() as name:
        driver = prepare(Path(name))
        try:
            assert driver.meshwright("apply", "lab", "--yes", timeout=900).code == 0
            project = Project(driver.root)
            target, env = Local(project), load(project, "lab").env
            os.environ["DOCKER_HOST"] = driver.environ["DOCKER_HOST"]
            session = cluster.session(target, env)
            assert session is not None
            _measure(driver, session, Path(name))
        finally:
            clean(driver)


def _measure(driver: Driver, session: kube.Session, folder: Path) -> None:
    for obj in objects():
        session.create(obj)
    ends = time.monotonic() + 300
    while sum(_running(pod) for pod in session.list("v1", "Pod", NAMESPACE)) < PODS:
        assert time.monotonic() < ends, "the writers do not run"
        time.sleep(1)
    time.sleep(20)  # what fills the logs at first is not what is measured
    before = rotated(driver)
    wall, used = follow(driver, folder / "lines")
    pods, lines, lost, twice = count(folder / "lines")
    during = rotated(driver) - before
    session.delete("v1", "Namespace", NAMESPACE)
    took = sorted(dashboard(driver))
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"\n{time.strftime('%Y-%m-%d')}, {machine}")
    print("\n| `meshwright logs --json` | |\n|---|---|")
    print(f"| pods followed | {pods} |\n| logs rotated meanwhile | {during} |")
    print(f"| lines a second | {lines / wall:.0f} |\n| lines lost | {lost} |\n| lines twice | {twice} |")
    print(f"| CPU, of one core | {used / wall:.0%} |")
    print(
        f"\nA request through `meshwright dashboard`: median {statistics.median(took):.1f} ms, 99th {took[296]:.1f} ms."
    )


def _running(pod: dict[str, Any]) -> bool:
    return bool(pod.get("status", {}).get("phase") == "Running")


if __name__ == "__main__":
    main()
