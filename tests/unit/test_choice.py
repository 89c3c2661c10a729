"""Which environment `make demo` takes: engines and registries that answer, refuse, stall and are not there."""

from __future__ import annotations

import http.server
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from fakes import environment

from meshwright import choice, engine
from meshwright.choice import choose, hubs
from meshwright.errors import MeshwrightError, Unreachable
from meshwright.project import Project

DOCKER = engine.Found("docker", {}, "it answers")


@contextmanager
def registry(status: int) -> Iterator[str]:
    """A registry on 127.0.0.1 that answers GET /v2/ with `status`; gives HOST:PORT."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/v2/" else 404)
            if status in (301, 302):
                self.send_header("Location", "http://192.0.2.1/")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def silent() -> Iterator[str]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[ExitStack]:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def dev(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with an environment dev; its engine answers."""
    (project.root / "inventory" / "dev.py").touch()
    monkeypatch.setattr(engine, "find", lambda _target, _env: DOCKER)
    return project


def images(project: Project, k3s: str, istio: str) -> None:
    text = f"""
cluster: {{kind: k3d, image: "{k3s}/rancher/k3s:v1.35.4-k3s1"}}
tools: {{k3d: 5.9.0, kubectl: 1.35.4}}
istio: {{version: 1.30.3, hub: "{istio}/istio"}}
bookinfo: {{enabled: false}}
"""
    (project.root / "group_data" / "all.yaml").write_text("{}\n")
    (project.root / "group_data" / "dev.yaml").write_text(text)


@pytest.mark.parametrize("status", [200, 401, 301, 302])
def test_an_engine_and_registries_that_answer(dev: Project, stack: ExitStack, status: int) -> None:
    one, other = stack.enter_context(registry(200)), stack.enter_context(registry(status))
    images(dev, one, other)
    found = choose(dev)
    assert found.environment == "dev"
    assert found.why == f"the container engine and the image registry {one} and the image registry {other} answer"


@pytest.mark.parametrize("status", [403, 404, 500, 503])
def test_what_answers_and_is_no_registry(dev: Project, stack: ExitStack, status: int) -> None:
    hub = stack.enter_context(registry(status))
    images(dev, hub, hub)
    found = choose(dev)
    assert found.environment == "lab"
    assert found.why == f"the image registry {hub} is of no use for dev: it answers {status}"


def test_a_registry_that_is_not_there(dev: Project, stack: ExitStack) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hub = f"127.0.0.1:{listener.getsockname()[1]}"
    images(dev, stack.enter_context(registry(200)), hub)
    found = choose(dev)
    assert (found.environment, "it gives no answer (Connection refused)" in found.why) == ("lab", True)


def test_all_probes_together_stay_within_the_budget(
    dev: Project, stack: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    images(dev, stack.enter_context(silent()), stack.enter_context(silent()))
    monkeypatch.setattr(engine, "find", lambda _target, _env: time.sleep(2) or DOCKER)
    start = time.monotonic()
    found = choose(dev, budget=0.5)
    assert time.monotonic() - start < 1.5
    assert (found.environment, found.why) == (
        "lab",
        "the container engine is of no use for dev: no answer within 0.5 s",
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, "none of this machine's own answers"),
        (engine.Found("lab", {}, "the lab's own"), "none of this machine's own answers"),
        (Unreachable("the container engine does not answer"), "the container engine does not answer"),
    ],
)
def test_no_engine_of_the_users(
    dev: Project, stack: ExitStack, monkeypatch: pytest.MonkeyPatch, answer: object, why: str
) -> None:
    hub = stack.enter_context(registry(200))
    images(dev, hub, hub)

    def find(_target: object, _env: object) -> object:
        if isinstance(answer, MeshwrightError):
            raise answer
        return answer

    monkeypatch.setattr(engine, "find", find)
    assert choose(dev) == choice.Choice("lab", f"the container engine is of no use for dev: {why}")


def test_a_project_without_dev(project: Project) -> None:
    assert choose(project) == choice.Choice("lab", "this project has no environment dev")


def test_hubs_are_those_in_the_values() -> None:
    env = environment(
        cluster={"kind": "k3d", "image": "registry.example:5000/k3s:v1"},
        istio={"version": "1.30.3", "hub": "hub.example/istio"},
        bookinfo={"hub": "hub.example/samples"},
    )
    assert hubs(env) == ["registry.example:5000", "hub.example"]


def test_the_projects_own_dev_has_hubs_to_ask() -> None:
    from meshwright.environment import load

    env = load(Project(Path(__file__).resolve().parents[2]), "dev").env
    assert hubs(env)
