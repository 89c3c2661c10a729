"""The modules of the stand-in for k3s, as far as they work without being in a node."""

from __future__ import annotations

import contextlib
import importlib
import json
import shutil
import subprocess
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standin import certificates, config, manifests, network, node, options, paths, processes, server

needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")


def parse(*words, command="server", **environment):
    return options.parse(command, words, environment)


def test_what_k3d_says_is_understood():
    words = "--disable=traefik --tls-san 0.0.0.0 --tls-san k3d-x-serverlb --kube-apiserver-arg=v=2 --kubelet-arg v=3"
    found = parse(*words.split(), K3S_TOKEN="t", K3S_KUBECONFIG_OUTPUT="/output/kubeconfig.yaml")
    assert found.names == ("0.0.0.0", "k3d-x-serverlb")
    assert found.disabled == {"traefik"}
    assert (found.token, found.kubeconfig_copy) == ("t", "/output/kubeconfig.yaml")
    assert found.arguments_for("kube-apiserver") == ["--v=2"]
    assert found.arguments_for("kubelet") == ["--v=3"]
    assert found.arguments_for("etcd") == []


def test_labels_and_taints():
    found = parse("--node-label", "a=b", "--node-label=c=d", "--node-taint", "x=y:NoSchedule")
    assert (found.labels, found.taints) == (("a=b", "c=d"), ("x=y:NoSchedule",))


@pytest.mark.parametrize(
    ("words", "command", "sentence"),
    [
        (["--cluster-init"], "server", "one server"),
        (["--flannel-backend=none"], "server", "does not know '--flannel-backend=none'"),
        (["--tls-san"], "server", "--tls-san needs a value"),
        (["--server", "https://a:6443"], "server", "a second one cannot join"),
        ([], "agent", "K3S_URL and K3S_TOKEN"),
        (["--disable", "traefik,metrics"], "server", "nothing to disable is called metrics"),
    ],
)
def test_what_it_cannot_do_is_refused(words, command, sentence):
    with pytest.raises(options.Refused, match=sentence):
        parse(*words, command=command)


@given(st.lists(st.text(max_size=20), max_size=5), st.sampled_from(["server", "agent"]))
def test_any_command_line_is_understood_or_refused_in_words(words, command):
    with contextlib.suppress(options.Refused):
        assert isinstance(parse(*words, command=command), options.Options)


@given(st.text(min_size=1))
def test_any_token_makes_a_bootstrap_token(token):
    name, _, secret = manifests.join_token(token).partition(".")
    assert (len(name), len(secret)) == (6, 16)
    assert set(name + secret) <= set("0123456789abcdef")
    made = manifests.join_secret(token)
    assert made["stringData"]["token-id"] == name
    assert made["metadata"]["name"] == f"bootstrap-token-{name}"


@given(st.integers(0, 2**41 - 1))
def test_the_capability_is_read_from_the_bounding_set(mask):
    assert node.lacks_sys_resource(f"CapBnd:\t{mask:016x}\n") is (mask & 1 << 24 == 0)


@pytest.mark.parametrize(
    ("name", "expected"), [("0.0.0.0", "IP:0.0.0.0"), ("::1", "IP:::1"), ("k3d-x-serverlb", "DNS:k3d-x-serverlb")]
)
def test_names_in_a_certificate(name, expected):
    assert server.alternative_name(name) == expected


def read(path, *what):
    done = subprocess.run(["openssl", "x509", "-noout", "-in", path, *what], capture_output=True, text=True, check=True)
    return done.stdout


@needs_openssl
def test_certificates_are_made_once_and_again_for_other_names(tmp_path):
    certificates.authority(tmp_path, "cluster-ca")
    root = (tmp_path / "cluster-ca.crt").read_bytes()
    certificates.authority(tmp_path, "cluster-ca")
    assert (tmp_path / "cluster-ca.crt").read_bytes() == root

    def issue(*names):
        certificates.certificate(tmp_path, "apiserver", "/CN=kube-apiserver", "cluster-ca", names)
        return (tmp_path / "apiserver.crt").read_bytes()

    first = issue("DNS:a", "IP:10.0.0.2")
    assert issue("DNS:a", "IP:10.0.0.2") == first
    assert issue("DNS:a", "IP:10.0.0.3") != first
    text = read(tmp_path / "apiserver.crt", "-ext", "subjectAltName,extendedKeyUsage")
    assert "DNS:a, IP Address:10.0.0.3" in text
    assert "TLS Web Server Authentication, TLS Web Client Authentication" in text
    checked = ["openssl", "verify", "-CAfile", tmp_path / "cluster-ca.crt", tmp_path / "apiserver.crt"]
    subprocess.run(checked, check=True, capture_output=True)


@needs_openssl
def test_a_certificate_that_ends_soon_or_has_another_authority_is_made_again(tmp_path, monkeypatch):
    certificates.authority(tmp_path, "cluster-ca")

    def issue():
        certificates.certificate(tmp_path, "admin", "/O=system:masters/CN=admin", "cluster-ca")
        return (tmp_path / "admin.crt").read_bytes()

    with monkeypatch.context() as patched:
        patched.setattr(certificates, "LEAF_DAYS", 20)
        first = issue()
    second = issue()
    assert second != first
    assert issue() == second
    (tmp_path / "cluster-ca.crt").unlink()
    certificates.authority(tmp_path, "cluster-ca")
    assert issue() != second


@needs_openssl
def test_killed_while_making_a_certificate_it_is_made_again(tmp_path, monkeypatch):
    certificates.authority(tmp_path, "cluster-ca")
    certificates.certificate(tmp_path, "admin", "/CN=a", "cluster-ca")
    real, calls = certificates._openssl, []

    def killed(*arguments):
        calls.append(arguments[0])
        if arguments[0] == "x509":
            raise KeyboardInterrupt
        real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(certificates, "_openssl", killed)
        with pytest.raises(KeyboardInterrupt):
            certificates.certificate(tmp_path, "admin", "/CN=b", "cluster-ca")
    # The key is new by now, the certificate is not: they must not pass for a pair.
    certificates.certificate(tmp_path, "admin", "/CN=a", "cluster-ca")
    key = subprocess.run(["openssl", "pkey", "-in", tmp_path / "admin.key", "-pubout"], capture_output=True, check=True)
    assert key.stdout.decode() == read(tmp_path / "admin.crt", "-pubkey")


@needs_openssl
def test_a_kubeconfig_has_one_of_each_called_default(tmp_path):
    certificates.authority(tmp_path, "cluster-ca")
    user = config.certificate_user(tmp_path, "cluster-ca")
    config.write(tmp_path / "kc", config.kubeconfig("https://x:6443", tmp_path / "cluster-ca.crt", user))
    found = json.loads((tmp_path / "kc").read_text())
    assert (tmp_path / "kc").stat().st_mode & 0o777 == 0o600
    assert found["current-context"] == found["contexts"][0]["name"] == found["users"][0]["name"] == "default"


def test_the_pod_network_does_not_hide_pods_behind_their_node():
    [bridge, _] = config.network("10.42.3.0/24")["plugins"]
    assert "ipMasq" not in bridge
    assert bridge["ipam"]["ranges"] == [[{"subnet": "10.42.3.0/24"}]]


def test_manifests_are_applied_when_they_change_and_again_until_they_are_taken(tmp_path, monkeypatch):
    applied, codes = [], iter([1, 0, 0])

    def kubectl(*arguments, **_):
        applied.append(arguments[-1].rpartition("/")[2])
        return subprocess.CompletedProcess(arguments, next(codes), "", "no matches for kind")

    monkeypatch.setattr(paths, "MANIFESTS", tmp_path)
    monkeypatch.setattr(manifests, "kubectl", kubectl)
    (tmp_path / "a.yaml").write_text("a: 1")
    folder = manifests.Manifests()
    for _ in range(3):
        folder.apply_changed()
    assert applied == ["a.yaml", "a.yaml"]
    (tmp_path / "a.yaml").write_text("a: 12")
    for _ in range(3):
        folder.apply_changed()
    assert len(applied) == 3


def test_its_own_manifests_are_staged_but_for_those_disabled(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "MANIFESTS", tmp_path / "manifests")
    manifests.Manifests().stage({"coredns"}, "")
    assert [path.name for path in (tmp_path / "manifests").iterdir()] == ["nodes.yaml"]
    manifests.Manifests().stage((), "t0ken")
    names = sorted(path.name for path in (tmp_path / "manifests").iterdir())
    assert names == ["coredns.yaml", "join-token.yaml", "nodes.yaml"]


@pytest.fixture
def logs(tmp_path, monkeypatch):
    monkeypatch.setattr(paths, "LOGS", tmp_path / "log")
    return tmp_path / "log"


def test_a_component_that_ends_is_the_end_with_its_last_words(logs):
    running = processes.Processes()
    running.start("kubelet", ["sh", "-c", "echo first; echo no cgroup; exit 3"])
    with pytest.raises(processes.Failed, match=r"kubelet ended with 3: first \| no cgroup"):
        running.wait_for("the node is ready", lambda: False, seconds=10)
    assert (logs / "kubelet.log").read_text() == "first\nno cgroup\n"


@pytest.mark.usefixtures("logs")
def test_a_wait_has_an_end(capsys):
    running = processes.Processes()
    running.start("etcd", ["sleep", "60"])
    with pytest.raises(processes.Failed, match="the API server is ready: not after 0 seconds"):
        running.wait_for("the API server is ready", lambda: False, seconds=0.2)
    running.stop()
    assert 'msg="Running etcd 60"' in capsys.readouterr().err


@pytest.mark.usefixtures("logs")
def test_stop_ends_those_that_do_not_listen_too():
    running = processes.Processes()
    running.start("deaf", ["sh", "-c", "trap '' TERM; sleep 60"])
    running.start("good", ["sleep", "60"])
    begin = time.monotonic()
    time.sleep(0.2)
    running.stop()
    assert time.monotonic() - begin < 7


def test_log_lines_look_like_those_of_k3s(capsys):
    importlib.import_module("standin.log").info('say "a"\nb')
    assert capsys.readouterr().err.endswith('level=info msg="say \\"a\\"\\nb"\n')


def test_routes_wait_until_a_node_has_all_that_they_need(monkeypatch):
    routes = []

    class Watch:
        stdout = iter(["a  10.0.0.2\n", "me 10.42.0.0/24 10.0.0.1\n", "a 10.42.1.0/24 10.0.0.2\n"])

        def __enter__(self):
            return self

        def __exit__(self, *_):
            raise SystemExit

    monkeypatch.setattr(network.subprocess, "Popen", lambda *_, **__: Watch())
    monkeypatch.setattr(network, "_route", lambda *words: routes.append(words))
    with pytest.raises(SystemExit):
        network._follow_nodes("me")
    assert routes == [("a", "10.42.1.0/24", "10.0.0.2")]
