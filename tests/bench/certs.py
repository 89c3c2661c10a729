"""The figures of #6: changing the root of a mesh under load, looking at many proxies. It prints the Markdown of
docs/benchmarks.md.

All requests go through the ingress gateway to Bookinfo: four hops, STRICT mTLS, a new connection for each request on
each hop. In restart mode all of Bookinfo learns a new root only when it starts; it then has the readiness probes and
preStop hooks that the sample has not, and without which any rolling update loses requests. Those that count ended
between the first write to the CA's Secret and the last gate of a change; changes are repeated until there are enough.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import dataclasses
import datetime as dt
import os
import platform
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "e2e"), str(TESTS / "support")]

import pki  # noqa: E402
from backends import Backends, echo  # noqa: E402
from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import hashes  # noqa: E402
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key  # noqa: E402
from driver import Driver, build, clean, prepare  # noqa: E402
from killing import begin_command, said  # noqa: E402
from load import Load, fresh_handshakes, running  # noqa: E402
from outside import Outside  # noqa: E402
from rooted import (  # noqa: E402
    NAMESPACE,
    bookinfo_hosts,
    born_in_the_middle,
    folder_of,
    in_order,
    page_load,
    restart_istiod,
    until,
)
from slowness import ALL, slowed  # noqa: E402

from meshwright import cluster, ingress  # noqa: E402
from meshwright.certs import trust  # noqa: E402
from meshwright.certs.phase import STANDBY  # noqa: E402
from meshwright.environment import load as load_values  # noqa: E402
from meshwright.project import Project  # noqa: E402
from meshwright.target import Local  # noqa: E402

CASES = {
    "a": "istiod's own CA to a new one of its own",
    "b": "istiod's own CA to a plugged-in CA",
    "c": "a plugged-in CA to another, with intermediates",
}
MODES = ("live", "restart")
ROUNDS = 60
AFTER = 20.0
"""Seconds for which what follows the old script's steps is counted."""


@dataclasses.dataclass
class Row:
    """What one case and mode gave."""

    seconds: list[float] = dataclasses.field(default_factory=list)
    good: int = 0
    bad: Counter[str] = dataclasses.field(default_factory=Counter)
    beside: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)
    born: int = 0
    why: str = ""


def main() -> None:
    """Measures and prints."""
    said_ = arguments()
    build()
    kept = os.environ.get("MESHWRIGHT_LAB")
    with tempfile.TemporaryDirectory() as name:
        driver = prepare(Path(kept or name))
        try:
            lab = brought_up(driver)
            print(f"Machine: {os.cpu_count()} cores, {platform.system()} {platform.release()}; ", end="")
            print(f"{len(trust.verify(lab.session, lab.env, now()).seen.of('proxy'))} proxies")
            if said_.changes:
                print_changes(lab, said_)
            if said_.detector:
                print_detector(lab)
            if said_.old_script:
                print_old_script(lab)
            if said_.proxies:
                print_looks(lab, said_.proxies)
        finally:
            if not kept:
                clean(driver)


def arguments() -> argparse.Namespace:
    found = argparse.ArgumentParser(description=__doc__)
    found.add_argument("--cases", default="a,b,c", help="which changes: a, b, c")
    found.add_argument("--modes", default="live,restart", help="in which modes: live, restart")
    found.add_argument("--requests", type=int, default=20000, help="so many are counted for each case and mode")
    found.add_argument("--clients", type=int, default=4, help="clients at once")
    found.add_argument("--proxies", default="40,60,80,100", help="numbers of proxies to look at; empty: none")
    found.add_argument("--no-changes", dest="changes", action="store_false", help="leave the changes out")
    found.add_argument("--no-detector", dest="detector", action="store_false", help="leave the one-step change out")
    found.add_argument("--no-old-script", dest="old_script", action="store_false", help="leave the old script out")
    found.add_argument("--echo", action="store_true", help="gRPC and a WebSocket too (builds images where missing)")
    return found.parse_args()


def brought_up(driver: Driver) -> Any:
    """The environment `lab`, up, with what tests know as a lab."""
    done = driver.meshwright("apply", "lab", "--yes", timeout=1800)
    assert done.code == 0, done.err + done.out
    project = Project(driver.root)
    target, env = Local(project), load_values(project, "lab").env
    os.environ.update({name: value for name, value in driver.environ.items() if name == "DOCKER_HOST"})
    session = cluster.session(target, env)
    assert session is not None
    return SimpleNamespace(driver=driver, target=target, env=env, session=session)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


# Changes under load


def print_changes(lab: Any, said_: argparse.Namespace) -> None:
    print("\n| case | mode | changes | seconds each (median) | requests | lost | beside | born in the middle |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for case in said_.cases.split(","):
        for mode in said_.modes.split(","):
            row = changed(lab, case, mode, said_)
            took = f"{statistics.median(row.seconds):.1f}" if row.seconds else "-"
            beside = "; ".join(f"{name} {bad} of {whole} broke" for name, (whole, bad) in row.beside.items())
            print(
                f"| ({case}) {CASES[case]} | {mode} | {len(row.seconds)} | {took} | {row.good + sum(row.bad.values())} "
                f"| {sum(row.bad.values())} | {beside} | {row.born} namespaces with pods, all followed |",
                flush=True,
            )
            for wrong, count in row.bad.most_common(5):
                print(f"\n- {count} times: {wrong}", flush=True)
            if row.why:
                print(f"\n- it ended early: {row.why}", flush=True)


def changed(lab: Any, case: str, mode: str, said_: argparse.Namespace) -> Row:
    row = Row()
    with (
        starting(lab, case),
        # Where everybody takes new roots over while they run, nobody would be restarted.
        slowed(lab, ALL) if mode == "restart" else contextlib.nullcontext(),
        fresh_handshakes(lab.session, NAMESPACE, bookinfo_hosts(lab)),
        running(page_load(lab, clients=said_.clients)) as load,
        besides(lab, said_.echo) as others,
    ):
        in_order(lab)
        for turn in range(ROUNDS):
            spaces: list[str] = []
            code, first, last, text = change(lab, case, mode, turn, lambda: spaces.append(middle(lab, "p1")))  # noqa: B023
            counted = load.between(first, last)
            row.good += counted.pop("", 0)
            row.bad += counted
            for name, other in others.items():
                found = other(first, last)
                whole, bad = row.beside.get(name, (0, 0))
                row.beside[name] = (whole + sum(found.values()), bad + sum(found.values()) - found[""])
            if code:
                row.why = text
                break
            row.seconds.append(last - first)
            # Whoever came in the middle counts as followed only when a look at everything says so.
            lagging = trust.verify(lab.session, lab.env, now()).laggards
            assert not [each for each in lagging if any(space in each.subject for space in spaces)], lagging
            row.born += len(spaces)
            for space in spaces:
                lab.session.delete("v1", "Namespace", space)
            ended(lab, case)
            if row.good + sum(row.bad.values()) >= said_.requests:
                break
    return row


def middle(lab: Any, name: str) -> str:
    return str(born_in_the_middle(lab, name))


@contextlib.contextmanager
def starting(lab: Any, case: str) -> Iterator[None]:
    """The mesh on the CA from which this case begins; on istiod's own afterwards."""
    try:
        if case == "c":
            root = pki.make("First Root")
            lab.session.create(pki.plugged(pki.make("First Int", root, days=(-1, 400)), root))
            restart_istiod(lab)
            in_order(lab)
        yield
    finally:
        lab.session.delete("v1", "Secret", STANDBY, NAMESPACE)
        if lab.session.delete("v1", "Secret", "cacerts", NAMESPACE):
            restart_istiod(lab)
        in_order(lab)


def change(lab: Any, case: str, mode: str, turn: int, midway: Callable[[], None]) -> tuple[int, float, float, str]:
    """One change: exit code, time of the first write and of the last gate, and what was printed. `midway` is called
    when the first phase is written."""
    to = "new-self-signed"
    if case != "a":
        new = pki.make(f"Root {turn}")
        to = folder_of(lab, pki.make(f"Int {turn}", new, days=(-1, 400)), new, f"ca {turn}")
    words = ["certs", "transition", "lab", "--to", to, "--mode", mode, "--yes"]
    process, path = begin_command(lab.driver, "lab", *words)
    called = False
    while process.poll() is None:
        if not called and any("for P1" in text for _, text in said(path)):
            called = True
            midway()
        time.sleep(0.05)
    text = process.communicate()[0]
    times = [at for at, sentence in said(path) if sentence.startswith("writing Secret")]
    gates = [at for at, sentence in said(path) if "seen twice" in sentence]
    return process.returncode, min(times, default=0), max(gates, default=time.time()), text


def ended(lab: Any, case: str) -> None:
    """Makes the next change possible: the one that was done is over; (b) goes back to where it began."""
    words = ["rollback", "lab", "--yes"] if case == "b" else ["transition", "lab", "--to", "forget", "--yes"]
    done = lab.driver.meshwright("certs", *words)
    assert done.code == 0, done.err


@contextlib.contextmanager
def besides(lab: Any, with_echo: bool) -> Iterator[dict[str, Callable[[float, float], Counter[str]]]]:
    """What runs beside the load, each as a function that counts what came in a time, by what was wrong with it."""
    at = ingress.address(lab.target, lab.env)
    kept = Load(at.host, at.port, clients=1, keep=True)
    with contextlib.ExitStack() as stack:
        stack.enter_context(running(kept))
        found: dict[str, Callable[[float, float], Counter[str]]] = {"keep-alive HTTP": kept.between}
        if with_echo:
            done = lab.driver.meshwright("apply", "lab", "lab_tests", "--yes", timeout=3600)
            assert done.code == 0, done.err
            space = f"echo-{time.monotonic_ns() % 10**6}"
            made = Backends(lab, space, echo(lab))
            stack.callback(lab.session.delete, "v1", "Namespace", space)
            made.serve("calls", ("grpc", 7070, 7070))
            made.add("a", "b")
            for each in routes(space):
                lab.session.create(each)
            outside = Outside(lab)
            until(lambda: outside.get("web.example.com").status == 200)
            for name, ask in {
                "gRPC, 20 calls on one connection": lambda: calls(outside),
                "WebSocket": lambda: outside.websocket("web.example.com", "hello"),
            }.items():
                loop = Loop(ask)
                stack.enter_context(loop.running())
                found[name] = loop.between
        yield found


def routes(space: str) -> Iterator[dict[str, Any]]:
    api = "networking.istio.io/v1"
    hosts = {"calls.example.com": ("calls", 7070), "web.example.com": ("web", 80)}
    server = {"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": list(hosts)}
    spec = {"selector": {"istio": "ingressgateway"}, "servers": [server]}
    yield {"apiVersion": api, "kind": "Gateway", "metadata": {"name": "all", "namespace": space}, "spec": spec}
    for host, (name, port) in hosts.items():
        route = {"route": [{"destination": {"host": name, "port": {"number": port}}}]}
        spec = {"hosts": [host], "gateways": ["all"], "http": [route]}
        metadata = {"name": name, "namespace": space}
        yield {"apiVersion": api, "kind": "VirtualService", "metadata": metadata, "spec": spec}


def calls(outside: Outside) -> None:
    answers = outside.call("calls.example.com", "proto.EchoTestService/Echo", {1: "hello"}, 20)
    wrong = {status for status, _ in answers} - {"0"}
    if wrong:
        raise ConnectionError(f"gRPC status {', '.join(sorted(wrong))}")


class Loop:
    """Does one thing again and again, and keeps when it ended and what was wrong."""

    def __init__(self, what: Callable[[], object]) -> None:
        self._what, self._answers = what, list[tuple[float, str]]()
        self._ended = threading.Event()

    def between(self, start: float, end: float) -> Counter[str]:
        return Counter(wrong for at, wrong in list(self._answers) if start <= at <= end)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join(60)

    def _run(self) -> None:
        while not self._ended.wait(0.05):
            try:
                self._what()
            except (OSError, ConnectionError) as error:
                self._answers.append((time.time(), f"{type(error).__name__}: {error}"))
            else:
                self._answers.append((time.time(), ""))


# What the load sees where a change is made wrongly


def print_detector(lab: Any) -> None:
    with (
        starting(lab, "c"),
        fresh_handshakes(lab.session, NAMESPACE, bookinfo_hosts(lab)),
        running(page_load(lab, clients=4)) as load,
    ):
        in_order(lab)
        other = pki.make("At Once")
        secret = lab.session.get("v1", "Secret", "cacerts", NAMESPACE)
        secret["data"] = pki.plugged(pki.make("At Once Int", other, days=(-1, 400)), other)["data"]
        started = time.time()
        lab.session.replace(secret)
        restart_istiod(lab)
        # Agents do not trust the new istiod before their kubelets have brought its root, each in its own time; only
        # then their proxies get certificates that others do not trust.
        until(lambda: trust.verify(lab.session, lab.env, now()).ok, 300)
        counted = load.between(started, time.time())
    lost = sum(counted.values()) - counted[""]
    print(f"\nThe same load over a change in one step: {lost} of {sum(counted.values())} requests lost.", flush=True)
    for wrong, count in counted.most_common(4):
        if wrong:
            print(f"- {count} times: {wrong}", flush=True)
    assert lost, "this load does not see a change that is made wrongly"


def print_old_script(lab: Any) -> None:
    """What root-transition.sh does, by its description: a new certificate from the old key, the Secret deleted and
    created, pods of `istio=citadel` deleted (since istiod there are none). The script itself is not part of this
    project, and needs its own names of 2019."""
    before = lab.session.get("v1", "Secret", "istio-ca-secret", NAMESPACE)
    kept = {key: before[key] for key in ("apiVersion", "kind", "type", "data")}
    kept["metadata"] = {"name": "istio-ca-secret", "namespace": NAMESPACE}
    key_pem = base64.b64decode(before["data"]["ca-key.pem"])
    key: Any = load_pem_private_key(key_pem, None)
    old = x509.load_pem_x509_certificate(base64.b64decode(before["data"]["ca-cert.pem"]))
    made = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - dt.timedelta(minutes=1))
        .not_valid_after(now() + dt.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    new = made.public_bytes(Encoding.PEM).decode()
    with (
        fresh_handshakes(lab.session, NAMESPACE, bookinfo_hosts(lab)),
        running(page_load(lab, clients=4)) as load,
    ):
        in_order(lab)
        started = time.time()
        try:
            lab.session.delete("v1", "Secret", "istio-ca-secret", NAMESPACE)
            data = {"ca-cert.pem": pki.b64(new), "ca-key.pem": before["data"]["ca-key.pem"]}
            lab.session.create({**kept, "data": data})
            restarted = len(lab.session.list("v1", "Pod", NAMESPACE, labels="istio=citadel"))
            time.sleep(AFTER)
            report = trust.verify(lab.session, lab.env, now())
            proxies = report.seen.of("proxy")
            der = made.public_bytes(Encoding.DER)
            having = sum(any(root.der == der for root in place.roots or ()) for place in proxies)
            workloads = [each for each in lab.session.list("v1", "Secret") if each["type"] == "istio.io/key-and-cert"]
        finally:
            lab.session.delete("v1", "Secret", "istio-ca-secret", NAMESPACE)
            lab.session.create(kept)
        counted = load.between(started, time.time())
        restart_istiod(lab)
        in_order(lab)
    lost = sum(counted.values()) - counted[""]
    print(
        f"\nThe old script's steps: {restarted} pods restarted; {AFTER:.0f} s later {having} of {len(proxies)} ", end=""
    )
    print(
        f"proxies trust its new root; its verify-certs looks at {len(workloads)} Secrets and says that all match; ",
        end="",
    )
    print(f"{lost} of {sum(counted.values())} requests lost.", flush=True)


# Looking at many


def print_looks(lab: Any, numbers: str) -> None:
    wanted = sorted(int(number) for number in numbers.split(","))
    [ratings, *_] = lab.session.list("v1", "Pod", lab.env.bookinfo.namespace, labels="app=ratings")
    image = next(each["image"] for each in ratings["spec"]["containers"] if each["name"] == "ratings")
    space = "many-proxies"
    metadata = {"name": space, "labels": {"istio-injection": "enabled"}}
    lab.session.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}, manager="bench")
    there = len(trust.verify(lab.session, lab.env, now()).seen.of("proxy"))
    print("\n| proxies | the Envoys alone | files too (`cat` in each) | everything, canary included |")
    print("|---|---|---|---|", flush=True)
    try:
        for number in wanted:
            for size in (*range(10, number - there, 10), number - there):
                scaled(lab, space, image, size)
            in_order(lab)
            took = [looked(lab) for _ in range(5)]
            cells = [f"{statistics.median(each):.2f} s" for each in zip(*took, strict=True)]
            print(f"| {number} | {' | '.join(cells)} |", flush=True)
    finally:
        lab.session.delete("v1", "Namespace", space)


def looked(lab: Any) -> tuple[float, float, float]:
    started = time.monotonic()
    report = trust.verify(lab.session, lab.env, now())
    whole = time.monotonic() - started
    assert report.ok, [each.subject for each in report.laggards]
    return report.seen.seconds["proxies"], report.seen.seconds["files"], whole


def scaled(lab: Any, space: str, image: str, size: int) -> None:
    """So many pods, all ready; more than ten more at a time would starve each other."""
    have = lab.session.get("apps/v1", "Deployment", "many", space)
    if have is not None and have["spec"]["replicas"] >= size:
        return
    labels = {"app": "many"}
    container = {"name": "app", "image": image, "command": ["sleep", "86400"]}
    note = {"sidecar.istio.io/proxyCPU": "5m", "sidecar.istio.io/proxyMemory": "40Mi"}
    pod = {
        "metadata": {"labels": labels, "annotations": note},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    spec = {"replicas": size, "selector": {"matchLabels": labels}, "template": pod}
    metadata = {"name": "many", "namespace": space}
    lab.session.apply(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}, manager="bench", force=True
    )
    until(
        lambda: (lab.session.get("apps/v1", "Deployment", "many", space)["status"]).get("readyReplicas", 0) == size, 600
    )


if __name__ == "__main__":
    main()
