from __future__ import annotations

import base64
import datetime as dt
import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakeapi import Authority, FakeApi, Reply, Request, status
from scripts import HEADER

from meshwright.errors import BadInput, Forbidden
from meshwright.kube import Session

Connect = Callable[..., Session]
V1 = "client.authentication.k8s.io/v1"
VERSION = Reply(body={"gitVersion": "v1.35.4"})


def takes(*tokens: str) -> Callable[[Request], Reply]:
    """Answers /version to who shows one of `tokens`."""

    def answer(request: Request) -> Reply:
        shown = request.headers.get("authorization", "")
        return VERSION if shown in {f"Bearer {t}" for t in tokens} else status(401, "Unauthorized", "Unauthorized")

    return answer


class Plugin:
    """An exec plugin in `folder` that prints what is written into its answer file, and notes each run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "plugin"
        self.path.write_text(
            f"{HEADER}"
            "import os, pathlib, sys\n"
            f"folder = pathlib.Path({str(folder)!r})\n"
            "seen = [os.environ.get(k, '') for k in ('KUBERNETES_EXEC_INFO', 'REGION', 'KUBECONFIG')]\n"
            "seen += [' '.join(sys.argv[1:]), sys.stdin.read()]\n"
            "(folder / 'runs').open('a').write(repr(seen) + '\\n')\n"
            "sys.stdout.write((folder / 'answer').read_text())\n"
            "sys.exit(int((folder / 'code').read_text()))\n"
        )
        self.path.chmod(0o755)
        self.prints("")

    def prints(self, text: str, code: int = 0) -> None:
        (self.folder / "answer").write_text(text)
        (self.folder / "code").write_text(str(code))

    def gives(self, version: str = V1, **what: Any) -> None:
        self.prints(json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": what}))

    @property
    def runs(self) -> list[list[str]]:
        file = self.folder / "runs"
        return [eval(line) for line in file.read_text().splitlines()] if file.exists() else []

    def user(self, **more: Any) -> dict[str, Any]:
        return {"exec": {"apiVersion": V1, "command": str(self.path), "interactiveMode": "Never", **more}}


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    return Plugin(tmp_path)


def in_(seconds: float) -> str:
    return (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_basic_auth(api: FakeApi, connect: Connect) -> None:
    api.answers["GET", "/version"] = VERSION
    connect({"username": "op", "password": "pässword"}).version()
    shown = api.requests[-1].headers["authorization"].removeprefix("Basic ")
    assert base64.b64decode(shown).decode() == "op:pässword"


def test_a_token_file_is_read_again_when_its_token_is_refused(api: FakeApi, connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\n")
    api.answers["GET", "/version"] = takes("one")
    session = connect({"tokenFile": "token"})
    session.version()
    api.answers["GET", "/version"] = takes("two")
    with pytest.raises(Forbidden, match="does not accept the credentials"):
        session.version()
    (tmp_path / "token").write_text("two\n")
    session.version()
    (tmp_path / "token").unlink()
    with pytest.raises(BadInput, match=r"its tokenFile .*/token does not exist"):
        connect({"tokenFile": "token"}).version()


@pytest.mark.parametrize("version", [V1, "client.authentication.k8s.io/v1beta1"])
def test_exec_plugin(api: FakeApi, connect: Connect, plugin: Plugin, version: str) -> None:
    plugin.gives(version, token="abc")
    api.answers["GET", "/version"] = takes("abc")
    env = [{"name": "REGION", "value": "eu"}]
    session = connect(plugin.user(apiVersion=version, args=["get-token", "--cluster", "a b"], env=env))
    session.version()
    session.version()
    [[info, region, kubeconfig, arguments, stdin]] = plugin.runs
    assert json.loads(info) == {"apiVersion": version, "kind": "ExecCredential", "spec": {"interactive": False}}
    assert (region, kubeconfig, arguments, stdin) == ("eu", "", "get-token --cluster a b", "")


def test_exec_plugin_is_told_the_cluster_when_it_wants_that(
    api: FakeApi, connect: Connect, plugin: Plugin, authority: Authority
) -> None:
    plugin.gives(token="abc")
    api.answers["GET", "/version"] = takes("abc")
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}
    connect(plugin.user(provideClusterInfo=True), extensions=[extension]).version()
    assert json.loads(plugin.runs[0][0])["spec"]["cluster"] == {
        "server": api.url,
        "certificate-authority-data": base64.b64encode(authority.pem).decode(),
        "config": {"audience": "x"},
    }


def test_exec_plugin_by_a_path_relative_to_the_kubeconfig(api: FakeApi, connect: Connect, plugin: Plugin) -> None:
    plugin.gives(token="abc")
    api.answers["GET", "/version"] = takes("abc")
    assert connect(plugin.user(command="./plugin")).version() == "v1.35.4"


def test_exec_token_is_renewed_when_it_runs_out(api: FakeApi, connect: Connect, plugin: Plugin) -> None:
    plugin.gives(token="one", expirationTimestamp=in_(5))  # within the seconds that are kept in reserve
    api.answers["GET", "/version"] = takes("one")
    session = connect(plugin.user())
    session.version()
    plugin.gives(token="two", expirationTimestamp=in_(3600))
    api.answers["GET", "/version"] = takes("two")
    session.version()
    session.version()
    assert len(plugin.runs) == 2


def test_exec_token_is_renewed_once_for_all_calls_when_refused(api: FakeApi, connect: Connect, plugin: Plugin) -> None:
    plugin.gives(token="one")
    barrier = threading.Barrier(4, timeout=5)

    def answer(request: Request) -> Reply:
        if request.headers["authorization"] == "Bearer one":
            barrier.wait()
            return status(401, "Unauthorized", "Unauthorized")
        return VERSION

    session = connect(plugin.user())
    api.answers["GET", "/version"] = takes("one")
    session.version()
    plugin.gives(token="two")
    api.answers["GET", "/version"] = answer
    assert session.map(lambda _: session.version(), range(4)) == ["v1.35.4"] * 4
    assert len(plugin.runs) == 2


def test_exec_client_certificate_and_its_renewal(
    api: FakeApi, connect: Connect, plugin: Plugin, authority: Authority
) -> None:
    def gives(name: str) -> None:
        certificate, key = authority.issue(name)
        plugin.gives(clientCertificateData=certificate.decode(), clientKeyData=key.decode(), expirationTimestamp=in_(1))

    api.answers["GET", "/version"] = VERSION
    session = connect(plugin.user())
    for name in ("one", "two"):
        gives(name)
        session.version()
        assert api.requests[-1].certificate["subject"] == ((("commonName", name),),)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("token: abc", "printed no JSON"),
        ("[]", "printed no ExecCredential"),
        (
            '{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1alpha1"}',
            "an ExecCredential of .*v1",
        ),
        (json.dumps({"kind": "ExecCredential", "apiVersion": V1}), "without a token or certificate"),
        (
            json.dumps({"kind": "ExecCredential", "apiVersion": V1, "status": {"clientCertificateData": "x"}}),
            "a client certificate without its key",
        ),
        (
            json.dumps(
                {"kind": "ExecCredential", "apiVersion": V1, "status": {"token": "s3cret", "expirationTimestamp": "?"}}
            ),
            "an expirationTimestamp that is no time",
        ),
    ],
)
def test_what_an_exec_plugin_must_not_print(connect: Connect, plugin: Plugin, text: str, sentence: str) -> None:
    plugin.prints(text)
    with pytest.raises(Forbidden, match=sentence) as error:
        connect(plugin.user()).version()
    assert "s3cret" not in str(error.value)


def test_an_exec_plugin_that_fails_or_is_missing_says_what_to_install(connect: Connect, plugin: Plugin) -> None:
    plugin.prints("", code=3)
    with pytest.raises(Forbidden, match=r"plugin .*/plugin of context lab gives no credentials: plugin exited with 3"):
        connect(plugin.user()).version()
    with pytest.raises(Forbidden, match="cannot start no-such-plugin") as error:
        connect(plugin.user(command="no-such-plugin", installHint="Install the cloud's command")).version()
    assert error.value.hint == "Install the cloud's command"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"apiVersion": "client.authentication.k8s.io/v1alpha1"}, "exec plugin's apiVersion is client"),
        ({"command": ""}, "exec plugin has no command"),
        ({"interactiveMode": "Always"}, "exec plugin needs a terminal"),
    ],
)
def test_exec_blocks_that_cannot_be_used(
    connect: Connect, plugin: Plugin, change: dict[str, str], sentence: str
) -> None:
    with pytest.raises(BadInput, match=sentence):
        connect(plugin.user(**change)).version()
    assert plugin.runs == []


def test_keys_never_lie_in_a_file_that_stays(
    api: FakeApi, connect: Connect, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no memfd_create (macOS), the key passes through a file of this user's that is gone at once."""
    monkeypatch.delattr(os, "memfd_create", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    modes = []
    unlink = os.unlink

    def note(path: str) -> None:
        modes.append(stat.S_IMODE(Path(path).stat().st_mode))
        unlink(path)

    monkeypatch.setattr("os.unlink", note)
    certificate, key = authority.issue("op")
    api.answers["GET", "/version"] = VERSION
    encoded = {
        "client-certificate-data": base64.b64encode(certificate).decode(),
        "client-key-data": base64.b64encode(key).decode(),
    }
    connect(encoded).version()
    assert api.requests[-1].certificate["subject"] == ((("commonName", "op"),),)
    assert (modes, list((tmp_path / "tmp").iterdir())) == ([0o600], [])
