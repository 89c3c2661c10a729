"""The figures of #3, measured in one run on one machine: `make bench`. It prints the Markdown of docs/benchmarks.md.

Beside our own bring-up runs a bare shell script with the same commands, on a cluster of its own, with the same images,
tools and values; both are timed from `k3d cluster create` to the answered request, in turns.
"""

from __future__ import annotations

import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from driver import Driver, build, clean, prepare

ROUNDS = 3

BARE = """
set -eu
k3d cluster create --config k3d.yaml
k3d kubeconfig get bare > kubeconfig
export KUBECONFIG=$PWD/kubeconfig
istioctl install -y -f istio-operator.yaml
kubectl create namespace bookinfo
kubectl label namespace bookinfo istio-injection=enabled
sed "s#image: .*/examples#image: meshwright.lab/stand-in/examples#" "$SAMPLES/bookinfo/platform/kube/bookinfo.yaml" |
  kubectl -n bookinfo apply -f -
kubectl -n bookinfo wait --for=condition=Available --timeout=300s deployment --all
kubectl -n bookinfo apply -f "$SAMPLES/bookinfo/networking/bookinfo-gateway.yaml"
until curl -fs http://127.0.0.1:$PORT/productpage | grep -q "<title>Simple Bookstore App</title>"; do sleep 0.2; done
"""


def timed(driver: Driver, *command: str) -> float:
    """Seconds of wall time of a command that must succeed."""
    started = time.monotonic()
    done = driver.run(*command)
    assert done.code == 0, done.err + done.out
    return time.monotonic() - started


def bare(driver: Driver, folder: Path) -> float:
    """Seconds of the bare script, from the same rendered files as our own run."""
    folder.mkdir(exist_ok=True)
    state = driver.root / ".meshwright" / "lab"
    text = (state / "k3d.yaml").read_text()
    text = re.sub(r"(?m)^  name: .*$", "  name: bare", text)
    for number in set(re.findall(r'(?:hostPort: "|127\.0\.0\.1:)(\d+)', text)):
        text = text.replace(number, str(int(number) + 1))
    port = re.search(r"127\.0\.0\.1:(\d+):30080", text)
    assert port is not None
    (folder / "k3d.yaml").write_text(text)
    (folder / "istio-operator.yaml").write_text((state / "istio-operator.yaml").read_text())
    samples = next((driver.root / ".meshwright").glob("**/samples"))
    environ = driver.env() | {
        "PATH": f"{driver.root}/.meshwright/bin:{driver.environ['PATH']}",
        "K3D_IMAGE_TOOLS": "meshwright.lab/stand-in/k3d-tools:1",
        "SAMPLES": str(samples),
        "PORT": port[1],
    }
    started = time.monotonic()
    done = subprocess.run(["bash", "-c", BARE], cwd=folder, env=environ, capture_output=True, text=True, timeout=900)
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stdout + done.stderr
    subprocess.run(["k3d", "cluster", "delete", "bare"], env=environ, check=True, capture_output=True, timeout=120)
    return seconds


def main() -> None:
    """Measures and prints."""
    build()
    with tempfile.TemporaryDirectory() as name:
        driver = prepare(Path(name))
        python = [sys.executable, "-m"]
        ours, theirs = [], []
        try:
            timed(driver, *python, "meshwright", "apply", "lab", "tools", "--yes")
            for _ in range(ROUNDS):
                ours.append(timed(driver, *python, "meshwright", "apply", "lab", "--yes"))
                theirs.append(bare(driver, Path(name) / "bare"))
                timed(driver, *python, "meshwright", "destroy", "lab", "--confirm", "lab")
            timed(driver, *python, "meshwright", "apply", "lab", "--yes")
            again = [timed(driver, *python, "pyinfra", "-y", "inventory/lab.py", "deploys/site.py") for _ in range(5)]
            plan = [timed(driver, *python, "meshwright", "plan", "lab") for _ in range(5)]
            k3d = [
                timed(driver, f"{driver.root}/.meshwright/bin/k3d", "cluster", "list", "-o", "json") for _ in range(5)
            ]
            start = [timed(driver, *python, "meshwright", "--version") for _ in range(5)]
        finally:
            clean(driver)
    print(
        f"Machine: {os.cpu_count()} cores, {platform.system()} {platform.release()}, Python {platform.python_version()}"
    )
    print("\n| what | median | each |\n|---|---|---|")
    rows = {
        "bring-up by `meshwright apply lab --yes`, checks included": ours,
        "bring-up by a bare shell script with the same commands": theirs,
        "second `pyinfra -y inventory/lab.py deploys/site.py`": again,
        "second `meshwright plan lab`": plan,
        "of that: `k3d cluster list`": k3d,
        "of that: start of the command (`meshwright --version`)": start,
    }
    for what, seconds in rows.items():
        each = ", ".join(f"{s:.2f}" for s in seconds)
        print(f"| {what} | {statistics.median(seconds):.2f} s | {each} |")
    print(f"\nOurs / bare: {statistics.median(ours) / statistics.median(theirs):.2f}")


if __name__ == "__main__":
    main()
