from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
import yaml
from fakeapi import Authority, b64, write_config
from hypothesis import given
from hypothesis import strategies as st

from meshwright.errors import BadInput, Exit, MeshwrightError
from meshwright.kube import kubeconfig
from meshwright.target import Local

SERVER = "https://10.0.0.1:6443"


def no_file(_path: str) -> None:
    return None


def document(**changes: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "clusters": [{"name": "c", "cluster": {"server": SERVER}}],
        "users": [{"name": "u", "user": {"token": "abc"}}],
        "contexts": [{"name": "production", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
        "current-context": "production",
    }
    return base | changes


def select(doc: dict[str, Any], context: str = "production") -> kubeconfig.Context:
    return kubeconfig.select(doc, context, file="/home/op/config", read_file=no_file)


def test_selects_all_of_a_context() -> None:
    found = select(document())
    assert (found.server, found.token, found.namespace, found.folder) == (SERVER, "abc", "shop", "/home/op")


def test_files_are_read_relative_to_the_kubeconfig(tmp_path: Path, target: Local, authority: Authority) -> None:
    certificate, key = authority.issue("operator")
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    (tmp_path / "me.crt").write_bytes(certificate)
    (tmp_path / "me.key").write_bytes(key)
    user = {"client-certificate": "me.crt", "client-key": str(tmp_path / "me.key")}
    path = write_config(tmp_path, SERVER, None, user, **{"certificate-authority": "ca.crt"})
    found = kubeconfig.load(target, str(path), "lab")
    assert (found.ca, found.certificate, found.key) == (authority.pem, certificate, key)


def test_secrets_are_not_in_the_repr() -> None:
    found = select(document(users=[{"name": "u", "user": {"token": "s3cret", "password": "s3cret", "username": "op"}}]))
    assert "s3cret" not in repr(found)


def test_an_unknown_context_names_the_nearest_and_all() -> None:
    with pytest.raises(BadInput, match=r"/home/op/config has no context producton") as error:
        select(document(), "producton")
    assert error.value.hint == "Did you mean production? The file has: production"
    assert error.value.exit_code is Exit.BAD_INPUT


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"contexts": []}, "has no context production"),
        ({"clusters": []}, "has no cluster c, which context production uses"),
        ({"users": None}, "has no user u, which context production uses"),
        ({"clusters": [{"name": "c", "cluster": {}}]}, "its cluster's server is missing"),
        ({"clusters": [{"name": "c", "cluster": {"server": "10.0.0.1"}}]}, "its cluster's server is 10.0.0.1"),
        (
            {"clusters": [{"name": "c", "cluster": {"server": SERVER, "certificate-authority-data": "LS0t*"}}]},
            "certificate-authority-data is not base64",
        ),
        (
            {"clusters": [{"name": "c", "cluster": {"server": SERVER, "certificate-authority-data": b64(b"x")}}]},
            "certificate-authority-data holds no PEM block",
        ),
        (
            {"clusters": [{"name": "c", "cluster": {"server": SERVER, "certificate-authority": "ca.crt"}}]},
            "its certificate-authority /home/op/ca.crt does not exist",
        ),
        (
            {"users": [{"name": "u", "user": {"client-certificate-data": b64(b"-----BEGIN CERTIFICATE-----")}}]},
            "its user has no client-key",
        ),
        ({"users": [{"name": "u", "user": {"exec": "aws"}}]}, "its user's exec is not a mapping"),
        ({"users": [{"name": "u", "user": {"auth-provider": {"name": "gcp"}}}]}, "asks for auth-provider"),
        ({"users": [{"name": "u", "user": {"as": "admin", "token": "t"}}]}, "asks for as"),
    ],
)
def test_what_is_wrong_in_a_context_is_one_sentence(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(BadInput) as error:
        select(document(**changes))
    assert sentence in error.value.message
    assert "/home/op/config" in error.value.message
    assert error.value.hint


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"# nothing\n", "is empty"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"clusters:\n\t- x\n", "line 2 is not YAML"),
        (b"- a\n- b\n", "holds list, not a mapping"),
        (b"hello", "holds str, not a mapping"),
        (b"contexts: {a: b}\n", "each of its contexts needs a name"),
        (b"clusters: [{name: 1, cluster: {}}]\n", "each of its clusters needs a name"),
        (b"users: [{name: u, user: text}]\n", "each of its users needs a name"),
    ],
)
def test_what_is_no_kubeconfig_says_so(data: bytes, sentence: str) -> None:
    with pytest.raises(BadInput) as error:
        kubeconfig.parse(data, "/x/config")
    assert sentence in error.value.message
    assert error.value.message.startswith("/x/config")


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_parse_never_fails_in_another_way(data: bytes) -> None:
    with contextlib.suppress(BadInput):
        assert isinstance(kubeconfig.parse(data, "f"), dict)


def test_a_missing_or_unreadable_file_is_an_error_not_an_absence(tmp_path: Path, target: Local) -> None:
    with pytest.raises(MeshwrightError, match="does not exist") as error:
        kubeconfig.load(target, str(tmp_path / "none"), "lab")
    assert error.value.exit_code is Exit.ERROR
    with pytest.raises(MeshwrightError, match="cannot read"):
        kubeconfig.load(target, str(tmp_path), "lab")


def test_extract_stands_alone(tmp_path: Path, target: Local, authority: Authority) -> None:
    (tmp_path / "ca.crt").write_bytes(authority.pem)
    user = {"exec": {"command": "./bin/plugin", "apiVersion": "client.authentication.k8s.io/v1"}, "tokenFile": "t"}
    path = write_config(tmp_path, SERVER, None, user, **{"certificate-authority": "ca.crt"})
    full = yaml.safe_load(path.read_text())
    full["contexts"].append({"name": "other", "context": {"cluster": "gone", "user": "gone"}})
    full["users"].append({"name": "someone", "user": {"token": "not ours"}})
    out = kubeconfig.extract(full, "lab", file=str(path), read_file=target.read)
    assert [e["name"] for s in ("contexts", "clusters", "users") for e in out[s]] == ["lab", "lab-cluster", "lab-user"]
    assert out["current-context"] == "lab"
    assert out["clusters"][0]["cluster"] == {"server": SERVER, "certificate-authority-data": b64(authority.pem)}
    assert out["users"][0]["user"]["exec"]["command"] == f"{tmp_path}/./bin/plugin"
    assert out["users"][0]["user"]["tokenFile"] == f"{tmp_path}/t"
    # Read again, far from its files, it means the same.
    again = kubeconfig.select(
        kubeconfig.parse(kubeconfig.dump(out), "/else/f"), "lab", file="/else/f", read_file=no_file
    )
    assert (again.server, again.ca) == (SERVER, authority.pem)


def test_certificates_are_the_der_of_each(authority: Authority) -> None:
    other = Authority("other")
    assert list(kubeconfig.certificates(b"# comment\n" + authority.pem + b"\n" + other.pem)) == [
        authority.der,
        other.der,
    ]
