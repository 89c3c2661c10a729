"""References: what each kind gives, and the sentence for each way in which one can fail."""

from __future__ import annotations

import base64
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from meshwright.environment import BadValues
from meshwright.errors import BadInput, Exit, MeshwrightError
from meshwright.project import Project
from meshwright.secrets import age

Read = Callable[..., dict[str, bytes]]
PLACE = 'group_data/lab.yaml:1: resources.secrets["shop/a"].data.'


def private_pem() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, *form).decode()


def test_a_file_and_a_variable_as_they_are(
    project: Project, resolved: Read, monkeypatch: pytest.MonkeyPatch, nobody_at_home: Path
) -> None:
    raw = secrets.token_bytes(40) + b"\n"
    (project.root / "raw").write_bytes(raw)
    (nobody_at_home / "mine").write_bytes(b"x")
    monkeypatch.setenv("SHOP", "pässword")
    found = resolved(a="{file: raw}", b="{file: ~/mine}", c="{env: SHOP}")
    assert found == {"a": raw, "b": b"x", "c": "pässword".encode()}


@pytest.mark.parametrize(
    ("reference", "sentence"),
    [
        ("{file: nowhere}", "nowhere cannot be read: No such file or directory"),
        ("{file: folder}", "folder is a folder"),
        ("{file: pipe}", "pipe is not a regular file"),
        ("{file: large}", "large is larger than 1 MiB, which is the most that a Secret holds"),
        ("{file: empty}", "file empty is empty"),
        ("{file: ~nobody-at-all/x}", "~nobody-at-all/x names a home folder that nobody has"),
        ('{file: "a\\0b"}', None),
        ("{env: NOT_THERE_AT_ALL}", "the environment variable NOT_THERE_AT_ALL is not set"),
        ("{env: EMPTY}", "env EMPTY is empty"),
        ("{age: empty}", "empty is not encrypted by age"),
        ("{age: nowhere}", "nowhere cannot be read: No such file or directory"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(
    project: Project, resolved: Read, monkeypatch: pytest.MonkeyPatch, reference: str, sentence: str | None
) -> None:
    (project.root / "folder").mkdir()
    os.mkfifo(project.root / "pipe")
    (project.root / "large").write_bytes(b"x" * (1024 * 1024 + 1))
    (project.root / "empty").touch()
    monkeypatch.setenv("EMPTY", "")
    with pytest.raises(BadInput) as caught:
        resolved(a=reference)
    if sentence is not None:
        assert caught.value.message == f"{PLACE}a: {sentence}"
    assert caught.value.exit_code is Exit.BAD_INPUT


def test_a_private_key_in_a_variable_is_refused_and_not_shown(resolved: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    pem = private_pem()
    monkeypatch.setenv("KEY", pem)
    with pytest.raises(BadInput, match="the environment variable KEY has a private key in it") as caught:
        resolved(a="{env: KEY}")
    assert pem.splitlines()[1][:20] not in str(caught.value)


@pytest.mark.parametrize("armored", [False, True])
def test_age_with_the_identity_that_is_named(project: Project, resolved: Read, armored: bool) -> None:
    identity = pyrage.x25519.Identity.generate()
    (project.root / "id.txt").write_text(f"# made by the test\n\n{identity}\n")
    sealed = pyrage.encrypt(b"open sesame", [identity.to_public()], armored=armored)
    (project.root / "s.age").write_bytes(sealed)
    assert resolved(a="{age: s.age, identity: id.txt}") == {"a": b"open sesame"}


def test_age_with_a_key_of_ssh(project: Project, resolved: Read) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    encoding, openssh = serialization.Encoding, serialization.PrivateFormat.OpenSSH
    private = key.private_bytes(encoding.PEM, openssh, serialization.NoEncryption())
    public = key.public_key().public_bytes(encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    (project.root / "id").write_bytes(private)
    (project.root / "s.age").write_bytes(pyrage.encrypt(b"by ssh", [pyrage.ssh.Recipient.from_str(public)]))
    assert resolved(a="{age: s.age, identity: id}") == {"a": b"by ssh"}


@pytest.mark.parametrize("place", ["SOPS_AGE_KEY_FILE", "home"])
def test_age_with_the_usual_identity(
    project: Project, resolved: Read, nobody_at_home: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(age.sys, "platform", "linux")
    identity = pyrage.x25519.Identity.generate()
    file = nobody_at_home / ".config" / "sops" / "age" / "keys.txt"
    if place != "home":
        file = nobody_at_home / "elsewhere"
        monkeypatch.setenv(place, str(file))
    (project.root / "s.age").write_bytes(pyrage.encrypt(b"x", [identity.to_public()]))
    with pytest.raises(MeshwrightError) as caught:
        resolved(a="{age: s.age}")
    # Not the values are wrong: this machine has no identity.
    assert caught.value.exit_code is Exit.ERROR
    assert f"there is no identity for age: {file} cannot be read" in caught.value.message
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(str(identity))
    assert resolved(a="{age: s.age}") == {"a": b"x"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("stranger", "s.age is not encrypted for an identity of id.txt"),
        ("cut", "s.age cannot be decrypted: the file is damaged"),
        ("no identity", "id.txt has no identity of age"),
        ("bad identity", "id.txt has no identity of age that can be used"),
        ("passphrase", "s.age is locked by a passphrase"),
    ],
)
def test_what_may_be_wrong_with_age(project: Project, resolved: Read, change: str, sentence: str) -> None:
    identity = pyrage.x25519.Identity.generate()
    sealed = pyrage.encrypt(b"open sesame", [identity.to_public()])
    text = str(identity)
    if change == "stranger":
        text = str(pyrage.x25519.Identity.generate())
    elif change == "cut":
        sealed = sealed[:-3]
    elif change == "no identity":
        text = "# nothing\n"
    elif change == "bad identity":
        text = text[:-4]
    elif change == "passphrase":
        sealed = pyrage.passphrase.encrypt(b"x", "y")
    (project.root / "id.txt").write_text(text)
    (project.root / "s.age").write_bytes(sealed)
    with pytest.raises(MeshwrightError) as caught:
        resolved(a="{age: s.age, identity: id.txt}")
    assert caught.value.message.startswith(f"{PLACE}a: {sentence}")
    assert text[20:40] not in str(caught.value) or text.startswith("#")


SOPS = """\
#!/bin/sh
echo "$@" >> {calls}
case "$2 $4" in
"--output-type {file}") cat {json} ;;
*) cat {raw} ;;
esac
"""


def fake_sops(project: Project, script: str) -> Path:
    """A program `sops` among the tools; the calls it had."""
    project.bin.mkdir(parents=True)
    program, calls = project.bin / "sops", project.root / "calls"
    program.write_text(script.replace("{calls}", f"'{calls}'"))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return calls


def test_sops_decrypts_a_document_once_and_gives_the_values_in_it(project: Project, resolved: Read) -> None:
    (project.root / "doc.json").write_text('{"db": {"user": "u", "password": "p"}, "port": 5432, "on": true}')
    (project.root / "s.yaml").write_text("encrypted")
    here = project.root
    calls = fake_sops(
        project,
        f'#!/bin/sh\necho "$*" >> {{calls}}\n[ "$2" = --output-type ] && exec cat \'{here}/doc.json\'\nprintf whole\n',
    )
    found = resolved(a="{sops: s.yaml, key: db/user}", b="{sops: s.yaml, key: db/password}", c="{sops: s.yaml}")
    assert found == {"a": b"u", "b": b"p", "c": b"whole"}
    assert calls.read_text().splitlines() == [
        f"decrypt --output-type json {here}/s.yaml",
        f"decrypt {here}/s.yaml",
    ]


@pytest.mark.parametrize(
    ("key", "sentence", "hint"),
    [
        ("db/pasword", "sops s.yaml (db/pasword): there is no 'pasword'", "The nearest is 'password'"),
        ("db/password/x", "sops s.yaml (db/password/x): there is no 'x'", ""),
        ("db", "sops s.yaml (db) is a mapping, not text", "Name a key inside it, levels parted by /"),
        ("port", "sops s.yaml (port) is a number, not text", "Put it in quotes there"),
        ("ready", "sops s.yaml (ready) is true or false, not text", "Put it in quotes there"),
        ("none", "sops s.yaml (none) is empty", ""),
    ],
)
def test_a_key_that_is_not_in_the_document(
    project: Project, resolved: Read, key: str, sentence: str, hint: str
) -> None:
    document = '{"db": {"user": "u", "password": "p4ssw0rd"}, "port": 54321, "ready": true, "none": ""}'
    (project.root / "doc.json").write_text(document)
    (project.root / "s.yaml").write_text("encrypted")
    fake_sops(project, f"#!/bin/sh\nexec cat '{project.root}/doc.json'\n")
    with pytest.raises(BadInput) as caught:
        resolved(a=f"{{sops: s.yaml, key: {key}}}")
    assert (caught.value.message, caught.value.hint) == (f"{PLACE}a: {sentence}", hint)
    assert "p4ss" not in str(caught.value)
    assert "54321" not in str(caught.value)


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("echo 'secret on stdout'; echo 'Failed to get the data key' >&2; exit 128",
         "s.yaml cannot be decrypted: sops exited with 128: Failed to get the data key"),
        ("echo 'secret on stdout'; exit 1", "s.yaml cannot be decrypted: sops exited with 1: it said nothing"),
        ("echo 'secret on stdout'", "s.yaml has no values, so it takes no key"),
        ("echo '[1]'", "s.yaml has no mapping of values, so it takes no key"),
    ],
)  # fmt: skip
def test_what_sops_may_fail_with_has_no_word_of_its_output(
    project: Project, resolved: Read, script: str, sentence: str
) -> None:
    (project.root / "s.yaml").write_text("encrypted")
    fake_sops(project, f"#!/bin/sh\n{script}\n")
    with pytest.raises(MeshwrightError) as caught:
        resolved(a="{sops: s.yaml, key: x}")
    assert caught.value.message == f"{PLACE}a: {sentence}"
    assert "secret on stdout" not in str(caught.value) + repr(vars(caught.value))


def test_without_sops_and_when_it_waits(project: Project, resolved: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    from meshwright.secrets import sops

    (project.root / "s.yaml").write_text("encrypted")
    monkeypatch.setenv("PATH", str(project.root / "nothing"))
    with pytest.raises(MeshwrightError, match="the program sops is not here") as caught:
        resolved(a="{sops: s.yaml, key: x}")
    assert caught.value.exit_code is Exit.ERROR
    monkeypatch.undo()
    monkeypatch.setattr(sops, "_LIMIT", 0.2)
    fake_sops(project, "#!/bin/sh\necho secret; exec sleep 30\n")
    with pytest.raises(MeshwrightError, match=r"did not end within 0\.2 s") as caught:
        resolved(a="{sops: s.yaml, key: x}")
    assert "secret" not in repr(vars(caught.value)).replace("resources.secrets", "")


def test_a_private_key_in_base64_among_the_values_is_refused_and_not_shown(resolved: Read) -> None:
    pem = private_pem()
    for text in (pem.encode(), b"-" + pem.encode(), b"--" + pem.encode()):
        encoded = base64.b64encode(text).decode()
        with pytest.raises(BadValues, match="has a private key in it, which is not shown here") as caught:
            resolved(a=f'{{file: "{encoded}"}}')
        assert encoded[60:100] not in str(caught.value)
