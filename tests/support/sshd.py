"""A real SSH server of the test's own, for this user only: on 127.0.0.1, or at an address that a test has made."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from meshwright.environment.model import Host

BINARY = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def make_key(path: Path, passphrase: bytes = b"") -> str:
    """A private key at `path`, 0600; returns the public key's line."""
    key = Ed25519PrivateKey.generate()
    kind = serialization.BestAvailableEncryption(passphrase) if passphrase else serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, kind))
    path.chmod(0o600)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return public.decode()


@dataclass
class Sshd:
    """A running server and what is needed to log in."""

    folder: Path
    address: str
    port: int
    host_key: str
    process: subprocess.Popen[bytes]

    @property
    def known_hosts(self) -> Path:
        return self.folder / "known_hosts"

    def host(self, **changes: object) -> Host:
        """The values of a host that is this server."""
        values = {
            "name": self.address,
            "ssh_port": self.port,
            "ssh_user": getpass.getuser(),
            "ssh_key": str(self.folder / "id"),
            "ssh_known_hosts_file": str(self.known_hosts),
        }
        return Host(**{**values, **changes})  # type: ignore[arg-type]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


def start(folder: Path, *options: str, address: str = "127.0.0.1", within: Sequence[str] = ()) -> Sshd:
    """Starts a server with its files in `folder`; `options` are lines that come first in its configuration, `within`
    is a command that starts another one elsewhere, in a namespace for example."""
    assert BINARY
    host_key = make_key(folder / "host_key")
    (folder / "authorized_keys").write_text(make_key(folder / "id") + "\n")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd's own demand of root
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = [
        *options,
        f"Port {port}",
        f"ListenAddress {address}",
        f"HostKey {folder}/host_key",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        f"PidFile {folder}/pid",
        "StrictModes no",
        "UsePAM no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin yes",
        "Subsystem sftp internal-sftp",
    ]
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    (folder / "known_hosts").write_text(f"[{address}]:{port} {host_key}\n")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*within, BINARY, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    deadline = time.monotonic() + 10
    while True:
        try:
            socket.create_connection((address, port), 1).close()
            return Sshd(folder, address, port, host_key, process)
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError((folder / "log").read_text()) from None
            time.sleep(0.02)
