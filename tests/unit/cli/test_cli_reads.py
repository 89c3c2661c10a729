"""The commands that only look: ingress, env, kubeconfig, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from fakes import CA, UID, FakeSession, FakeTarget

from meshwright import cli, cluster, ingress
from meshwright.errors import Exit, MeshwrightError
from meshwright.ingress import Address, How

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "k3d", "cluster": {"server": "https://127.0.0.1:6443"}}],
    "users": [{"name": "admin", "user": {"token": "t"}}],
    "current-context": "",
}


def kubeconfig(context: str) -> dict[str, Any]:
    return {**KUBECONFIG, "contexts": [{"name": context, "context": {"cluster": "k3d", "user": "admin"}}]}


# ingress


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The gateway answers; gives whether each question was willing to wait."""
    waited: list[bool] = []

    def address(_target: object, _env: object, *, wait: bool = True) -> Address:
        waited.append(wait)
        return Address("127.0.0.1", 24080, 24443, How.PUBLISHED)

    monkeypatch.setattr(ingress, "address", address)
    return waited


def test_ingress_prints_exports_alone(run: Any, host: FakeTarget, answers: list[bool]) -> None:
    ran = run("ingress", "lab")
    assert ran.code == Exit.OK
    state = f"{host.project.root}/.meshwright"
    folders = ":".join(f"{state}/bin/{name}" for name in ("k3d-5.9.0", "kubectl-1.35.4", "istioctl-1.30.3"))
    assert ran.out.splitlines() == [
        "export INGRESS_HOST=127.0.0.1",
        "export INGRESS_PORT=24080",
        "export SECURE_INGRESS_PORT=24443",
        "export GATEWAY_URL=127.0.0.1:24080",
        f"export KUBECONFIG='{state}/lab/kubeconfig'",
        f"export PATH='{folders}':\"$PATH\"",
    ]
    assert (ran.err, answers) == ("", [True])


def test_ingress_as_json(run: Any, answers: list[bool]) -> None:
    document = run("ingress", "lab", "--json", "--no-wait").document
    assert {key: document[key] for key in ("host", "port", "secure_port", "url", "how")} == {
        "host": "127.0.0.1",
        "port": 24080,
        "secure_port": 24443,
        "url": "http://127.0.0.1:24080",
        "how": "published port",
    }
    assert answers == [False]


def test_ingress_that_fails_prints_nothing_to_evaluate(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def address(*_: object, **__: object) -> Address:
        raise MeshwrightError("there is no Service", hint="Look")

    monkeypatch.setattr(ingress, "address", address)
    ran = run("ingress", "lab")
    assert (ran.code, ran.out, ran.err) == (Exit.ERROR, "", "error: there is no Service\nhint: Look\n")


def test_ports_of_another_host_take_a_tunnel(
    run: Any, host: FakeTarget, answers: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(host), "local", False)
    monkeypatch.setattr(host, "name", "build.example.com")
    ran = run("ingress", "lab")
    assert "ssh -N -L 24080:127.0.0.1:24080 build.example.com" in ran.err
    assert "KUBECONFIG" not in ran.out
    assert answers


# env


def test_env_show_talks_to_nobody(run: Any, host: FakeTarget) -> None:
    ran = run("env", "show", "lab")
    assert ran.code == Exit.OK
    values = yaml.safe_load(ran.out)
    assert values["istio"]["version"] == "1.30.3"
    assert "# group_data/all.yaml:2" in ran.out
    assert host.commands == []


def test_env_show_as_json(run: Any) -> None:
    document = run("env", "show", "lab", "--json").document
    assert document["command"] == "env show"
    assert document["values"]["tools"]["k3d"] == "5.9.0"
    assert document["sources"]["tools.k3d"] == "group_data/all.yaml:1"
    assert document["summary"]["checked"] == len(document["sources"])


def test_env_identity_is_ready_to_paste(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    session = FakeSession()
    session.context = SimpleNamespace(server="https://10.0.0.1:6443")  # type: ignore[assignment]
    monkeypatch.setattr(cluster, "session", lambda _target, _env: session)
    ran = run("env", "identity", "prod")
    assert ran.out.splitlines()[0] == "# what answers at https://10.0.0.1:6443 as context prod"
    assert yaml.safe_load(ran.out) == {"cluster": {"uid": UID, "ca_sha256": CA}}
    assert run("env", "identity", "prod", "--json").document["uid"] == UID


def test_env_identity_without_a_cluster(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "view", lambda _target, _env: cluster.View(cluster.State.ABSENT))
    ran = run("env", "identity", "lab")
    assert ran.code == Exit.ERROR
    assert "is absent" in ran.err


# kubeconfig


def lab_up(host: FakeTarget) -> None:
    from meshwright.environment import load

    context = cluster.context(host, load(host.project, "lab").env)
    host.write(f"{host.state}/lab/kubeconfig", yaml.safe_dump(kubeconfig(context)).encode())


def test_kubeconfig_is_printed(run: Any, host: FakeTarget) -> None:
    lab_up(host)
    ran = run("kubeconfig", "lab")
    assert yaml.safe_load(ran.out)["contexts"][0]["name"].startswith("k3d-mw-lab-")
    assert not (Path(os.environ["HOME"]) / ".kube").exists()


def test_kubeconfig_before_there_is_one(run: Any) -> None:
    ran = run("kubeconfig", "lab")
    assert ran.code == Exit.ERROR
    assert "lab has no kubeconfig yet" in ran.err
    assert "`meshwright apply lab cluster`" in ran.err


def test_kubeconfig_of_an_existing_cluster_is_its_context_alone(run: Any, host: FakeTarget) -> None:
    theirs = kubeconfig("prod")
    theirs["contexts"].append({"name": "other", "context": {"cluster": "k3d", "user": "admin"}})
    (host.project.root / "theirs.yaml").write_text(yaml.safe_dump(theirs))
    ran = run("kubeconfig", "prod")
    assert [entry["name"] for entry in yaml.safe_load(ran.out)["contexts"]] == ["prod"]


def test_merge_keeps_the_current_context(run: Any, host: FakeTarget, tmp_path: Path) -> None:
    lab_up(host)
    mine = tmp_path / "mine"
    mine.write_text(yaml.safe_dump({**kubeconfig("work"), "clusters": [], "users": [], "current-context": "work"}))
    ran = run("kubeconfig", "lab", "--merge", "--into", str(mine))
    assert ran.code == Exit.OK
    after = yaml.safe_load(mine.read_text())
    assert after["current-context"] == "work"
    assert after["contexts"][0]["name"] == "work"
    assert len(after["contexts"]) == 2
    again = run("kubeconfig", "lab", "--merge", "--into", str(mine))
    assert "already" in again.out


def test_merge_goes_where_kubectl_would_write(
    run: Any, host: FakeTarget, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lab_up(host)
    run("kubeconfig", "lab", "--merge")
    assert (Path(os.environ["HOME"]) / ".kube" / "config").exists()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "other"))
    run("kubeconfig", "lab", "--merge")
    assert (tmp_path / "other").exists()
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path}/a{os.pathsep}{tmp_path}/b")
    ran = run("kubeconfig", "lab", "--merge")
    assert (ran.code, "KUBECONFIG names 2 files" in ran.err) == (Exit.BAD_INPUT, True)


def test_into_without_merge(run: Any) -> None:
    ran = run("kubeconfig", "lab", "--into", "x")
    assert (ran.code, "give --merge too" in ran.err) == (Exit.USAGE, True)


# completion and help


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(run: Any, shell: str) -> None:
    ran = run("completion", shell)
    assert ran.code == Exit.OK
    assert f"_MESHWRIGHT_COMPLETE={shell}_complete" in ran.out


def complete(folder: Path, line: str) -> list[str]:
    """What bash is offered for the last word of `line`."""
    environ = {**os.environ, "_MESHWRIGHT_COMPLETE": "bash_complete"}
    words = line.split(" ")
    environ |= {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "meshwright"], cwd=folder, env=environ, capture_output=True, text=True, check=True
    )
    return [offered.partition(",")[2] for offered in done.stdout.splitlines()]


def test_commands_and_environments_are_completed(run: Any, host: FakeTarget) -> None:
    assert run  # the project
    assert complete(host.project.root, "meshwright ch") == ["check"]
    assert complete(host.project.root, "meshwright check ") == ["lab", "prod"]
    assert complete(host.project.root, "meshwright check --group da") == ["data-plane"]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_with_an_example(run: Any, name: str) -> None:
    ran = run(name, "--help")
    assert ran.code == Exit.OK
    if name == "env":
        ran = run("env", "show", "--help")
    assert "Example: " in ran.out
    assert "meshwright" in ran.out.partition("Example: ")[2]


def test_exit_codes_are_documented() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs" / "exit-codes.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:3] for line in text.splitlines() if line.startswith("| ")][1:]
    assert [(int(code), name.strip()) for code, name in rows] == [(int(code), code.name) for code in Exit]
