"""Schedules at work: a change of the root that cron begins, and jobs that Kubernetes runs in the cluster (#7)."""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import re
import shutil
import subprocess
import sys
import time
import tomllib

import pytest
import yaml
from crond import crond, why_not
from cryptography.hazmat.primitives.serialization import Encoding
from driver import CHECKOUT
from rooted import NAMESPACE, certs, in_order, restart_istiod

from meshwright import cluster
from meshwright.certs import making

OWN = "meshwright"
SHORT = dt.timedelta(days=800)
IMAGE = "meshwright.lab/tests/meshwright:1"
RECIPE = """\
FROM meshwright.lab/base:bookworm
COPY site /opt/meshwright/
ENV PYTHONPATH=/opt/meshwright
USER 65532:65532
ENTRYPOINT ["python3", "-m", "meshwright"]
"""


def until(holds, seconds, pause=1.0):
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(pause)
    return found


def with_values(lab, **more):
    """Lays values over those of the environment; gives the text that was there."""
    file = lab.driver.root / "group_data" / "lab.yaml"
    before = file.read_text()
    file.write_text(yaml.safe_dump({**yaml.safe_load(before), **more}, sort_keys=False))
    return before


@pytest.fixture
def values(lab):
    """Changes the environment's values for a test."""
    file = lab.driver.root / "group_data" / "lab.yaml"
    before = file.read_text()
    yield lambda **more: with_values(lab, **more)
    file.write_text(before)


@pytest.fixture
def short_root(lab):
    """The root of the mesh has 800 days; its key is the one that it had, so nobody loses anything by that."""
    secret = lab.session.get("v1", "Secret", "istio-ca-secret", NAMESPACE)
    made = making.extended(making.held(secret), dt.datetime.now(dt.UTC), SHORT)
    pem = made.root.x509.public_bytes(Encoding.PEM).decode()
    body = {"stringData": {"ca-cert.pem": pem, "root-cert.pem": pem}}
    lab.session.patch("v1", "Secret", "istio-ca-secret", NAMESPACE, body=body)
    restart_istiod(lab)
    in_order(lab)
    yield made.root
    lab.driver.meshwright("certs", "transition", "lab", "--to", "forget", "--yes")
    in_order(lab)


def windows(minutes):
    """A window that has opened just now, for so long."""
    begin = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=2)
    window = {"cron": f"{begin.minute} {begin.hour} * * *", "duration": f"{minutes}m"}
    return {"timezone": "UTC", "allow": {"now": window}}


def test_cron_changes_the_root_when_it_is_due(lab, values, short_root, tmp_path):
    if why := why_not():
        pytest.skip(why)
    values(
        windows=windows(90),
        schedule={
            "by": "cron",
            "jobs": {"certificates": None, "verification": None, "drift": None},
            "transition": {"days": 900, "to": "extend", "cron": "* * * * *"},
        },
    )
    started = time.monotonic()
    with crond(tmp_path / "cron") as cron:

        def meshwright(*words, timeout=600):
            return cron.run([sys.executable, "-m", "meshwright", *words], lab.driver.root, lab.driver.env(), timeout)

        # What the environment of the lab needs, as a user of cron says it.
        settings = "".join(f"{name}={lab.driver.env()[name]}\n" for name in ("HOME", "PATH", "DOCKER_HOST"))
        table = ["crontab", "-"]
        assert cron.run(table, lab.driver.root, lab.driver.env(), input=settings).returncode == 0
        done = meshwright("schedule", "lab", "--apply", "--yes")
        assert done.returncode == 0, done.stderr
        assert "below 900 days left, to the same key with a longer life" in done.stdout
        # It was seen now: what cron asks next is whether it is due since.
        assert meshwright("schedule", "lab", "--due").stdout == "nothing is due\n"
        ran = until(lambda: last(meshwright), 900, pause=3)
        print(f"cron ran it after {time.monotonic() - started:.0f} s: {ran}")
        assert (ran["exit"], ran["message"]) == (0, "")
        assert meshwright("schedule", "lab", "--remove", "--yes").returncode == 0
        assert "schedule lab" not in cron.run(["crontab", "-l"], lab.driver.root, lab.driver.env()).stdout
    [record] = [
        each
        for each in lab.driver.meshwright("history", "lab", "--json").document["records"]
        if each["reason"] == "scheduled: transition"
    ]
    assert (record["deploy"], record["result"]) == ("certs_transition", "ok")
    assert record["window"].startswith("open until")
    code, document = certs(lab, "status")
    assert (code, document["phase"]) == (0, "new_alone")
    root = certs(lab, "check-root")[1]["certificates"][0]
    assert root["days_left"] >= 3648
    # Not due any more: the next run says so and does nothing.
    again = lab.driver.meshwright("schedule", "lab", "--run", "transition", "--json")
    assert again.code == 0
    assert "the old key still waits in Secret meshwright-ca-standby" in again.document["jobs"][0]["message"]


def last(meshwright):
    [job] = json.loads(meshwright("schedule", "lab", "--json").stdout)["jobs"]
    return job["last"]


# In the cluster


def installed(folder):
    """What Python needs of Meshwright and all below it, copied into `folder`."""
    wanted, todo = {}, tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["dependencies"]
    while todo:
        name = re.split(r"[^-._a-zA-Z0-9]", todo.pop(), maxsplit=1)[0].lower().replace("_", "-").replace(".", "-")
        if name in wanted:
            continue
        try:
            wanted[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform, or of an extra that nobody asked for
        todo += [each for each in wanted[name].requires or () if "extra ==" not in each]
    for found in wanted.values():
        for path in found.files or ():
            if path.parts[0] != ".." and "__pycache__" not in path.parts:
                place = folder / path
                place.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(found.locate_file(path), place)
    for name in ("meshwright", "meshwright.egg-info"):
        shutil.copytree(
            CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True
        )


@pytest.fixture
def image(lab, tmp_path):
    """An image with Meshwright in it, in the lab's nodes."""
    installed(tmp_path / "site")
    (tmp_path / "Dockerfile").write_text(RECIPE)
    environ = {**lab.driver.env(), "DOCKER_BUILDKIT": "0"}
    docker = ["docker", "build", "--quiet", "--network=host", "--tag", IMAGE, str(tmp_path)]
    subprocess.run(docker, env=environ, check=True, capture_output=True, timeout=600)
    node = f"k3d-{cluster.name(lab.target, lab.env)}-server-0"
    with subprocess.Popen(["docker", "save", IMAGE], env=environ, stdout=subprocess.PIPE) as saving:
        into = ["docker", "exec", "--interactive", node, "ctr", "-n", "k8s.io", "images", "import", "-"]
        subprocess.run(into, env=environ, stdin=saving.stdout, check=True, capture_output=True, timeout=600)
    yield IMAGE
    subprocess.run(["docker", "image", "rm", IMAGE], env=environ, capture_output=True, timeout=60)


def triggered(lab, job):
    """A Job made from a CronJob, run to its end: its exit code, and what it printed last."""
    cron = lab.session.get("batch/v1", "CronJob", f"lab.{job}", OWN)
    name = f"try-{job}-{time.monotonic_ns() % 10**6}"
    spec = cron["spec"]["jobTemplate"]["spec"]
    lab.session.create(
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": OWN}, "spec": spec}
    )

    def ended():
        for pod in lab.session.list("v1", "Pod", OWN, labels=f"job-name={name}"):
            for status in pod["status"].get("containerStatuses") or ():
                if "terminated" in status["state"]:
                    return pod, status["state"]["terminated"]
        return None

    pod, state = until(ended, 300)
    log = lab.session.get_raw(f"/api/v1/namespaces/{OWN}/pods/{pod['metadata']['name']}/log").decode()
    lab.session.delete("batch/v1", "Job", name, OWN)
    return state["exitCode"], log


def test_kubernetes_runs_jobs_with_the_rights_that_they_need(lab, values, image):
    values(schedule={"by": "kubernetes", "kubernetes": {"image": image}, "transition": {"days": 900, "to": "extend"}})
    done = lab.driver.meshwright("schedule", "lab", "--apply", "--yes")
    assert done.code == 0, done.err
    assert lab.driver.meshwright("plan", "lab", "schedule", "--detailed-exitcode").code == 0
    try:
        for job, code, said in (
            ("certificates", 0, "certificates: ok"),
            ("verification", 0, "verification: ok"),
            ("drift", 0, "drift: ok"),
            ("transition", 0, "days left; its change begins below 900"),
        ):
            started = time.monotonic()
            found, log = triggered(lab, job)
            print(f"{job}: exit {found} after {time.monotonic() - started:.1f} s: {log.strip()[-300:]}")
            assert (found, said in log) == (code, True), log
        shown = lab.driver.meshwright("schedule", "lab", "--json").document
        assert (shown["by"], shown["summary"]["pending"]) == ("kubernetes", 0)
        assert {job["job"]: job["last"]["exit"] for job in shown["jobs"]} == dict.fromkeys(
            ("certificates", "verification", "drift", "transition"), 0
        )
    finally:
        gone = lab.driver.meshwright("schedule", "lab", "--remove", "--yes")
    assert gone.code == 0, gone.err
    assert lab.session.list("batch/v1", "CronJob", OWN) == []
    assert [each["metadata"]["name"] for each in lab.session.list("v1", "ServiceAccount", OWN)] == ["default"]
