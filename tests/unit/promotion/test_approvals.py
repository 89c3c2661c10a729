"""Approvals by real signatures, of keys that are made here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from meshwright.errors import BadInput, Refused
from meshwright.promotion.approvals import approvers, namespace, others

DIGEST = "sha256:" + "ab" * 32


class Keys:
    """Keys in a folder; `signers` is the file of those who may approve."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "signers").touch()

    def add(self, who: str, *, allowed: bool = True) -> None:
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", who, "-f", who], cwd=self.folder, check=True
        )
        if allowed:
            line = f"{who} {(self.folder / f'{who}.pub').read_text()}"
            with (self.folder / "signers").open("a") as file:
                file.write(line)

    def sign(self, who: str, digest: str = DIGEST, environment: str = "prod") -> str:
        command = ["ssh-keygen", "-q", "-Y", "sign", "-f", who, "-n", namespace(environment), "-"]
        done = subprocess.run(command, cwd=self.folder, input=f"{digest}\n".encode(), capture_output=True, check=True)
        (self.folder / f"{who}.sig").write_bytes(done.stdout)
        return f"{who}.sig"

    def ask(self, *files: str) -> list[str]:
        return approvers(self.folder, "signers", "prod", DIGEST, files)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path)


def test_who_has_signed(keys: Keys) -> None:
    keys.add("ann@example.com")
    keys.add("bob@example.com")
    signed = [keys.sign("ann@example.com"), keys.sign("bob@example.com")]
    assert keys.ask(*signed, signed[0]) == ["ann@example.com", "bob@example.com"]
    assert others(keys.ask(*signed), {"ann@example.com"}) == ["bob@example.com"]
    assert keys.ask() == []


def test_a_key_that_is_not_among_them(keys: Keys) -> None:
    keys.add("ann@example.com")
    keys.add("eve@example.com", allowed=False)
    with pytest.raises(Refused, match="signed by a key that is not among the allowed signers of prod"):
        keys.ask(keys.sign("eve@example.com"))


@pytest.mark.parametrize(("digest", "environment"), [("sha256:" + "cd" * 32, "prod"), (DIGEST, "staging")])
def test_an_approval_of_something_else(keys: Keys, digest: str, environment: str) -> None:
    keys.add("ann@example.com")
    with pytest.raises(Refused, match="is no approval of sha256:abababababab for prod: it signs something else"):
        keys.ask(keys.sign("ann@example.com", digest, environment))


def test_files_that_are_none(keys: Keys) -> None:
    keys.add("ann@example.com")
    (keys.folder / "junk").write_text("hello")
    with pytest.raises(BadInput, match="junk is no signature of ssh-keygen"):
        keys.ask("junk")
    with pytest.raises(BadInput, match="--approval nowhere: No such file"):
        keys.ask("nowhere")
    with pytest.raises(BadInput, match=r"promotion\.approvals\.signers is gone, which is not there"):
        approvers(keys.folder, "gone", "prod", DIGEST, [])
