"""A release host on 127.0.0.1, tools that are scripts, a Go that only pretends, and targets here and "elsewhere"."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import shlex
import tarfile
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from meshwright.environment import Environment
from meshwright.project import Project
from meshwright.target import Local, Platform
from meshwright.tools import pins, step
from meshwright.tools.table import TOOLS, Catalog, Limits

REPOSITORY = Path(__file__).parents[2]
QUICK = Limits(connect=1, stall=0.6, total=2)
BOOKINFO = "bookinfo/platform/kube/bookinfo.yaml"

Answer = Callable[[BaseHTTPRequestHandler], None]


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that goes away in the middle is what many tests are about."""


class ReleaseHost:
    """Serves `files` (path -> bytes, or a function that answers) and remembers what was asked for in `asked`."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | Answer] = {}
        self.asked: list[str] = []
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                host.asked.append(self.path)
                answer = host.files.get(self.path)
                if callable(answer):
                    self.close_connection = True
                    answer(self)
                else:
                    respond(self, 404 if answer is None else 200, answer or b"no such file")

            def end_headers(self) -> None:
                if self.close_connection:
                    self.send_header("Connection", "close")
                super().end_headers()

            def log_message(self, *_: object) -> None: ...

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def respond(handler: BaseHTTPRequestHandler, status: int, body: bytes, length: int | None = None) -> None:
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)


class Away(Local):
    """Another host as far as steps can tell: its own state folder and platform, and nothing but run, read and write."""

    local = False
    name = "gateway-1"

    def __init__(self, project: Project, state: Path, platform: Platform) -> None:
        self.said: list[str] = []
        super().__init__(project, self.said.append)
        self._state, self._platform = state, platform

    @property
    def platform(self) -> Platform:
        return self._platform

    @property
    def state(self) -> str:
        return str(self._state)


class Here(Local):
    """This machine, with what it said."""

    def __init__(self, project: Project) -> None:
        self.said: list[str] = []
        super().__init__(project, self.said.append)

    platform = Platform("linux", "amd64")


def program(answer: str, size: int = 0) -> bytes:
    """A program that prints `answer` whatever it is asked."""
    return f"#!/bin/sh\nprintf '%s\\n' {shlex.quote(answer)}\nexit\n".encode() + b"#" * size


def k3d(version: str, size: int = 0) -> bytes:
    return program(json.dumps({"k3d": f"v{version}"}), size)


def kubectl(version: str) -> bytes:
    return program(json.dumps({"clientVersion": {"gitVersion": f"v{version}"}}))


def istioctl(version: str) -> bytes:
    return program(json.dumps({"clientVersion": {"version": version}}))


def packed(files: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    """A .tar.gz; those in bin/ are executable. `more` are members without content (links, devices)."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o755 if "/bin/" in name else 0o644
            tar.addfile(info, io.BytesIO(data))
        for info in more:
            tar.addfile(info)
    return stream.getvalue()


def istio_release(version: str) -> bytes:
    top = f"istio-{version}"
    return packed(
        {
            f"{top}/README.md": b"read me",
            f"{top}/bin/istioctl": istioctl(version),
            f"{top}/samples/{BOOKINFO}": f"kind: List # {version}\n".encode(),
        }
    )


def catalog_of(url: str, pins_file: Path, **tools: Any) -> Catalog:
    """The stock table with its releases at `url`; `tools` replaces fields of single tools."""

    def moved(template: str) -> str:
        return url + "/" + template.split("/", 3)[3]

    rows = {}
    for name, tool in TOOLS.items():
        release = dataclasses.replace(
            tool.release, url=moved(tool.release.url), checksums=moved(tool.release.checksums)
        )
        rows[name] = dataclasses.replace(tool, release=release, **tools.get(name, {}))
    return Catalog(rows, pins_file, QUICK)


class World:
    """A project, a release host that has some releases, and pins for them."""

    def __init__(self, root: Path, host: ReleaseHost) -> None:
        self.host = host
        self.project = Project(root)
        for folder in ("inventory", "group_data"):
            (root / folder).mkdir(parents=True)
        self.pins_file = root / "pins.toml"
        self.pins_file.write_text("")
        self.catalog = catalog_of(host.url, self.pins_file)
        self.path = root / "path"
        self.path.mkdir()

    def release(self, tool: str, version: str, data: bytes, platform: str = "linux-amd64", sha256: str = "") -> str:
        """Puts a release on the host and pins it (with a wrong sha256 where one is given); its path on the host."""
        row = self.catalog.tools[tool]
        address = row.release.address(version, Platform(*platform.split("-"))).removeprefix(self.host.url)
        self.host.files[address] = data
        table: dict[str, Any] = {name: dict(versions) for name, versions in pins.load(self.pins_file).items()}
        table.setdefault(tool, {}).setdefault(version, {})
        table[tool][version] = {**table[tool][version], platform: sha256 or hashlib.sha256(data).hexdigest()}
        pins.save(table, self.pins_file)
        self.catalog = catalog_of(self.host.url, self.pins_file)
        return address

    def releases(self) -> None:
        """The releases that `environment()` wants."""
        self.release("k3d", "5.9.0", k3d("5.9.0"))
        self.release("kubectl", "1.35.4", kubectl("1.35.4"))
        self.release("istioctl", "1.30.3", istio_release("1.30.3"))

    def install(self, target: Local, env: Environment) -> None:
        step.apply(target, env, step.plan(target, env, self.catalog), self.catalog)


def environment(
    *, k3d: str = "5.9.0", kubectl: str = "1.35.4", istio: str = "1.30.3", bookinfo: bool = True, existing: bool = False
) -> Environment:
    cluster: dict[str, Any] = {"kind": "existing", "context": "prod"} if existing else {"kind": "k3d", "image": "k3s:1"}
    return Environment.model_validate(
        {
            "name": "trial",
            "cluster": cluster,
            "tools": {"k3d": k3d, "kubectl": kubectl},
            "istio": {"version": istio, "hub": "docker.io/istio"},
            "bookinfo": {"enabled": bookinfo},
        }
    )


_GO = """#!/bin/sh
# Stands for Go: logs how it was called, and "builds" what is in built.
{{ printf '%s' "$GOOS/$GOARCH cgo=$CGO_ENABLED"; printf ' %s' "$@"; echo; }} >> {here}/log
case "$1" in
  env) echo go{version};;
  list) cat {here}/dir 2>/dev/null || true;;
  mod) printf '%s' {here}/source > {here}/dir;;
  build)
    [ -f {here}/built ] || {{ echo "go: module lookup: no such host" >&2; exit 1; }}
    while [ $# -gt 0 ]; do [ "$1" = -o ] && cp {here}/built "$2"; shift; done;;
esac
"""


class FakeGo:
    """A `go` that can be put anywhere. `calls` are its command lines so far."""

    def __init__(self, folder: Path, version: str = "1.99.0") -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.path = folder / "go"
        self.path.write_text(_GO.format(here=shlex.quote(str(folder)), version=version))
        self.path.chmod(0o755)

    def builds(self, data: bytes) -> None:
        (self.folder / "built").write_bytes(data)

    @property
    def calls(self) -> list[str]:
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []


def install_in_a_process(root: str, url: str) -> None:
    """What the tests of killed and simultaneous runs start (see `child`)."""
    project = Project(Path(root))
    target = Here(project)
    target.say = lambda sentence: print(sentence, flush=True)
    catalog = catalog_of(url, project.root / "pins.toml")
    env = environment(bookinfo=False)
    step.apply(target, env, step.plan(target, env, catalog), catalog)
