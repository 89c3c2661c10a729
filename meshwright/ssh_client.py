"""Opening SSH connections: the user's own ssh_config, keys and agent; host keys are checked, always."""

from __future__ import annotations

import base64
import getpass
import shlex
import socket
from pathlib import Path
from typing import Any

import paramiko

from meshwright.environment.model import Host
from meshwright.errors import BadInput, Forbidden, MeshwrightError, Refused, Unreachable

__all__ = ["open_client", "words"]

_TIMEOUT = 15
_KEEPALIVE = 30
_JUMPS = 5


class _UnknownKey(Exception):
    """The server's key is in no known_hosts file."""

    def __init__(self, name: str, key: paramiko.PKey) -> None:
        super().__init__(name)
        self.name = name
        self.key = key


class _Reject(paramiko.MissingHostKeyPolicy):
    """Accepts no key that is not known, and hands it on, so that the error can name it."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:  # noqa: ARG002
        raise _UnknownKey(hostname, key)


class _Client(paramiko.SSHClient):
    """A client that closes the bastion that it goes through with itself."""

    bastion: paramiko.SSHClient | None = None

    def close(self) -> None:
        super().close()
        if self.bastion is not None:
            self.bastion.close()


def open_client(host: Host, config_file: Path | None = None) -> paramiko.SSHClient:
    """A connected client for `host`. What the host's values leave open comes from ssh_config (`config_file`, default
    ~/.ssh/config), ProxyJump and ProxyCommand included.

    Raises Refused (a host key that is not known, or another than the known one), Forbidden (nobody lets us in),
    Unreachable, BadInput (a key file or ssh_config that cannot be used).
    """
    return _open(host, _config(config_file or Path("~/.ssh/config").expanduser()), _JUMPS)


def _config(path: Path) -> paramiko.SSHConfig:
    try:
        return paramiko.SSHConfig.from_path(str(path))
    except FileNotFoundError:
        return paramiko.SSHConfig()
    except OSError as error:
        raise MeshwrightError(f"cannot read {path}: {error.strerror}") from None
    except (paramiko.ConfigParseError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be used: {error}", hint="Correct that file, or see what `ssh -G` says") from None


def _open(host: Host, config: paramiko.SSHConfig, jumps: int, jump: str = "") -> paramiko.SSHClient:
    options: dict[str, Any] = dict(config.lookup(host.name))
    address = str(options.get("hostname") or host.name)
    port = host.ssh_port or int(options.get("port") or 22)
    client = _Client()
    client.set_missing_host_key_policy(_Reject())
    known = _load_known_hosts(client, host, options)
    keys: Any = [host.ssh_key] if host.ssh_key else options.get("identityfile")
    if host.ssh_key and not Path(host.ssh_key).expanduser().is_file():
        raise BadInput(f"{host.name}: ssh_key {host.ssh_key} is not a file", hint="Give the path of the private key")
    keys = [str(Path(key).expanduser()) for key in keys] if keys else None
    jump = jump or str(options.get("proxyjump") or "none")
    command = str(options.get("proxycommand") or "none")
    way: Any = None
    if jump.lower() != "none":
        if not jumps:
            raise BadInput(f"{host.name}: ProxyJump goes round in circles", hint="See what `ssh -G` says")
        client.bastion, way = _through(jump, host, config, (address, port), jumps - 1)
    elif command.lower() != "none":
        way = paramiko.ProxyCommand(command)
    try:
        client.connect(
            address,
            port,
            username=host.ssh_user or options.get("user") or getpass.getuser(),
            key_filename=keys,
            sock=way,
            timeout=_TIMEOUT,
            banner_timeout=_TIMEOUT,
            auth_timeout=_TIMEOUT,
        )
    except Exception as error:
        client.close()
        raise _explained(error, host.name, f"{address}:{port}", known) from None
    transport = client.get_transport()
    assert transport is not None
    transport.set_keepalive(_KEEPALIVE)
    return client


def _load_known_hosts(client: paramiko.SSHClient, host: Host, options: dict[str, Any]) -> Path:
    """Loads the files that name host keys; returns the one where a new line belongs."""
    if host.ssh_known_hosts_file:
        files = [Path(host.ssh_known_hosts_file).expanduser()]
        if not files[0].is_file():
            raise BadInput(
                f"{host.name}: ssh_known_hosts_file {files[0]} is not a file",
                hint="Give the path of a known_hosts file that has the host's key",
            )
    else:
        named = shlex.split(str(options.get("userknownhostsfile") or "~/.ssh/known_hosts"))
        files = [Path(name).expanduser() for name in named] + [Path("/etc/ssh/ssh_known_hosts")]
    for file in files:
        if file.is_file():
            try:
                client.load_system_host_keys(str(file))
            except (OSError, paramiko.SSHException) as error:
                raise BadInput(f"{file} cannot be used: {error}", hint="Correct that known_hosts file") from None
    return files[0]


def _through(
    jump: str, host: Host, config: paramiko.SSHConfig, place: tuple[str, int], jumps: int
) -> tuple[paramiko.SSHClient, paramiko.Channel]:
    """The client of the bastion that `jump` names (as ProxyJump does), and a channel from there to `place`."""
    # A chain A,B reaches B by way of A: the last one is next to the host.
    before, _, last = jump.rpartition(",")
    user, _, where = last.strip().removeprefix("ssh://").rpartition("@")
    name, colon, port = where.rpartition(":")
    bastion = Host(
        name=name if colon else where,
        ssh_user=user or None,
        ssh_port=int(port) if colon else None,
        ssh_known_hosts_file=host.ssh_known_hosts_file,
    )
    client = _open(bastion, config, jumps, before)
    transport = client.get_transport()
    assert transport is not None
    try:
        return client, transport.open_channel("direct-tcpip", place, ("127.0.0.1", 0), timeout=_TIMEOUT)
    except (OSError, EOFError, paramiko.SSHException) as error:
        client.close()
        raise Unreachable(f"{place[0]}:{place[1]} cannot be reached from {bastion.name}: {words(error)}") from None


def _explained(error: Exception, name: str, address: str, known: Path) -> Exception:
    """Our error for what paramiko raised while connecting."""
    if isinstance(error, _UnknownKey):
        line = f"{error.name} {error.key.get_name()} {base64.b64encode(error.key.asbytes()).decode()}"
        return Refused(
            f"the host key of {name} is not known: {error.key.get_name()} {error.key.fingerprint}",
            hint="Compare it with the one that `ssh-keygen -lf` prints on that host, then run: "
            f"echo {shlex.quote(line)} >> {shlex.quote(str(known))}",
        )
    if isinstance(error, paramiko.BadHostKeyException):
        return Refused(
            f"{name} shows another host key than the known one: {error.key.get_name()} {error.key.fingerprint}",
            hint=f"It was installed anew, or somebody stands in between: find out which before changing {known}",
        )
    if isinstance(error, paramiko.PasswordRequiredException):
        return Forbidden(f"the private key for {name} has a passphrase", hint="Add it to your agent: ssh-add FILE")
    if isinstance(error, paramiko.AuthenticationException):
        return Forbidden(
            f"{name} at {address} does not let us in: {words(error)}",
            hint="Check ssh_user and ssh_key of that host, and that its authorized_keys has your key",
        )
    if "private key file" in str(error):  # paramiko has no class of its own for that
        return BadInput(f"the private key for {name} cannot be used: {words(error)}", hint="Correct ssh_key")
    if isinstance(error, (OSError, EOFError, paramiko.SSHException)):
        return Unreachable(
            f"{name} at {address} cannot be reached by SSH: {words(error)}", hint="Is the way open, and its SSH server?"
        )
    return error


def words(error: Exception) -> str:
    """What an error of paramiko or a socket says, without a full stop."""
    if isinstance(error, paramiko.ssh_exception.NoValidConnectionsError):
        return "; ".join(sorted({str(getattr(e, "strerror", e)) for e in error.errors.values()}))
    if isinstance(error, socket.gaierror):
        return str(error.strerror)
    return str(error).rstrip(".") or type(error).__name__
