"""The search for private keys finds them in every form, and nothing else."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from leaks import Needles, Watch
from pki import Signed, make

EC, RSA = make("ec"), make("rsa", key=rsa.generate_private_key(public_exponent=65537, key_size=2048))


def forms(made: Signed) -> dict[str, bytes]:
    def as_(encoding: Encoding, kind: PrivateFormat) -> bytes:
        return made.key.private_bytes(encoding, kind, NoEncryption())

    pem, pkcs8 = (as_(Encoding.PEM, kind) for kind in (PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8))
    der = as_(Encoding.DER, PrivateFormat.PKCS8)
    numbers: Any = made.key.private_numbers()
    number = numbers.d if hasattr(numbers, "d") else numbers.private_value
    return {
        "pem": pem,
        "pkcs8": pkcs8,
        "der": b"x" + der,
        "der in base64": base64.b64encode(b"xx" + der),
        "der of another format": as_(Encoding.DER, PrivateFormat.TraditionalOpenSSL),
        "a Secret": json.dumps({"data": {"ca-key.pem": base64.b64encode(pem).decode()}}).encode(),
        "json": json.dumps({"key": pem.decode()}).encode(),
        "indented": b"\n".join(b"    " + line for line in pkcs8.splitlines()),
        "hex": hex(number).encode(),
        "repr": repr(number).encode(),
        "base64 of base64 lines": base64.encodebytes(b"abc" + pem),
    }


@pytest.mark.parametrize("made", [EC, RSA], ids=["ec", "rsa"])
@pytest.mark.parametrize("form", list(forms(EC)))
def test_a_key_is_found_in_every_form(made: Signed, form: str, tmp_path: Path) -> None:
    needles = Needles(key=made.key_pem)
    assert needles.within(b"before " + forms(made)[form] + b" after") == ["key"]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(forms(made)[form])
    assert needles.below(tmp_path) == [f"key in {tmp_path}/deep/file"]


def test_what_is_public_is_not_a_key() -> None:
    needles = Needles(ec=EC.key_pem, rsa=RSA.key_pem)
    other = make("other")
    for made in (EC, RSA):
        public = made.certificate.x509.public_bytes
        assert needles.within(made.pem.encode() + public(Encoding.DER) + base64.b64encode(made.pem.encode())) == []
    for made in (other, make("rsa", key=rsa.generate_private_key(public_exponent=65537, key_size=2048))):
        assert not [form for form, data in forms(made).items() if needles.within(data)]


@pytest.mark.parametrize("way", ["argv", "environ", "deleted file", "file"])
def test_a_process_is_watched(way: str, tmp_path: Path) -> None:
    """A grandchild has the key, for half a second."""
    key = base64.b64encode(EC.key_pem.encode()).decode()
    write = f"open({str(tmp_path / 'f')!r}, 'w')"
    inner = {
        "argv": "import time; time.sleep(0.5)",
        "environ": "import time; time.sleep(0.5)",
        "deleted file": f"import os, sys, time; f = {write}; f.write(sys.stdin.read()); f.flush(); os.unlink(f.name); "
        "time.sleep(0.5)",
        "file": f"import sys, time; f = {write}; f.write(sys.stdin.read()); f.flush(); time.sleep(0.5)",
    }[way]
    arguments = [key] if way == "argv" else []
    environ = {"KEY": key} if way == "environ" else {}
    outer = (
        "import json, os, subprocess, sys; given = json.loads(sys.stdin.read()); "
        f"subprocess.run([sys.executable, '-c', {inner!r}, *given['arguments']], input=given['text'], text=True, "
        "env={**os.environ, **given['environ']})"
    )
    process = subprocess.Popen([sys.executable, "-c", outer], stdin=subprocess.PIPE, text=True)
    with Watch(Needles(key=EC.key_pem), process.pid, [tmp_path]) as watch:
        process.communicate(json.dumps({"arguments": arguments, "environ": environ, "text": key}), timeout=60)
    assert watch.found
    assert len(watch.processes) == 2
