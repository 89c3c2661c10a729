"""Vault: what it may answer, and what may be wrong here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import vaulted
from vaulted import Vault

from meshwright.errors import BadInput, Forbidden, MeshwrightError, Unreachable

Read = Callable[..., dict[str, bytes]]
PLACE = 'group_data/lab.yaml:1: resources.secrets["shop/a"].data.a: '
REFERENCE = "{vault: secret/shop/db, key: password}"


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nobody_at_home: Path) -> Iterator[Vault]:
    with vaulted.answering(tmp_path, {"password": "pässword", "n": 1}) as made:
        for name, value in made.environ.items():
            monkeypatch.setenv(name, value)
        (nobody_at_home / ".vault-token").write_text("t0ken\n")
        yield made


def test_a_value_of_the_newest_version_is_read_once(vault: Vault, resolved: Read, monkeypatch: Any) -> None:
    monkeypatch.setenv("VAULT_NAMESPACE", "team")
    assert resolved(a=REFERENCE, b=REFERENCE) == {"a": "pässword".encode(), "b": "pässword".encode()}
    [(path, headers)] = vault.asked
    assert path == "/v1/secret/data/shop/db"
    assert (headers["X-Vault-Token"], headers["X-Vault-Namespace"]) == ("t0ken", "team")


def test_the_variable_comes_before_the_file(vault: Vault, resolved: Read, monkeypatch: Any) -> None:
    monkeypatch.setenv("VAULT_TOKEN", "other")
    resolved(a=REFERENCE)
    assert vault.asked[0][1]["X-Vault-Token"] == "other"


@pytest.mark.parametrize(
    ("status", "body", "kind", "sentence"),
    [
        (404, '{"errors":[]}', BadInput, "has no secret secret/shop/db"),
        (403, '{"errors":["permission denied"]}', Forbidden, "does not let us read secret/shop/db (403)"),
        (503, "", Unreachable, "answers 503: it is sealed, or not ready"),
        (307, "", Unreachable, "answers 307: that is no answer to this question"),
        (200, '{"data": {"password": "p4ss"}}', BadInput, "has at secret/shop/db is no secret of KV version 2"),
        (200, "p4ss", BadInput, "has at secret/shop/db is no secret of KV version 2"),
        (200, '{"data": {"data": {"pasword": "p4ss"}}}', BadInput, "there is no 'password'"),
    ],
)
def test_what_vault_may_answer(
    vault: Vault, resolved: Read, status: int, body: str, kind: type[MeshwrightError], sentence: str
) -> None:
    vault.status, vault.body = status, body
    with pytest.raises(kind) as caught:
        resolved(a=REFERENCE)
    assert caught.value.message.startswith(PLACE)
    assert sentence in caught.value.message
    assert "p4ss" not in str(caught.value)
    assert "t0ken" not in str(caught.value)
    # A token goes to nobody else.
    assert len(vault.asked) == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"VAULT_ADDR": ""}, "VAULT_ADDR is not set"),
        ({"VAULT_ADDR": "http://127.0.0.1:1"}, "VAULT_ADDR is not an address such as https://"),
        ({"VAULT_ADDR": "https://127.0.0.1:x"}, "VAULT_ADDR is not an address such as https://"),
        ({"VAULT_ADDR": "https://127.0.0.1:1"}, "Vault at https://127.0.0.1:1 gives no answer"),
        ({"VAULT_TOKEN": "a\nb"}, "the token for Vault is empty or no token"),
        ({"VAULT_CACERT": "/nowhere"}, "VAULT_CACERT is /nowhere, which is no file with certificates"),
    ],
)
def test_what_may_be_wrong_here(
    vault: Vault, resolved: Read, monkeypatch: Any, change: dict[str, str], sentence: str
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(MeshwrightError) as caught:
        resolved(a=REFERENCE)
    assert caught.value.message.startswith(PLACE + sentence)


def test_one_that_nobody_vouches_for_is_not_told_the_token(vault: Vault, resolved: Read, monkeypatch: Any) -> None:
    monkeypatch.delenv("VAULT_CACERT")
    with pytest.raises(Unreachable, match=r"gives no answer: .*certificate verify failed"):
        resolved(a=REFERENCE)
    assert vault.asked == []


def test_without_a_token(vault: Vault, resolved: Read, nobody_at_home: Path) -> None:
    (nobody_at_home / ".vault-token").unlink()
    with pytest.raises(MeshwrightError, match="there is no token for Vault"):
        resolved(a=REFERENCE)


@pytest.mark.parametrize("path", ["secret", "/secret/shop", "secret/shop/", "secret/../sys", "a/b?c=d"])
def test_a_path_that_is_none(resolved: Read, path: str) -> None:
    with pytest.raises(BadInput):
        resolved(a=f'{{vault: "{path}", key: a}}')
