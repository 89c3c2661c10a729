"""The target for a host behind SSH: processes, files and connections over one SSH connection."""

from __future__ import annotations

import contextlib
import errno
import logging
import posixpath
import secrets
import shlex
import socket
import stat
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property

import paramiko

from meshwright import lock, process
from meshwright.environment.model import Host
from meshwright.errors import MeshwrightError, ProcessError, Unreachable
from meshwright.lock import Lock
from meshwright.process import Completed
from meshwright.project import Project
from meshwright.ssh_channel import Output, after, first_line, pump, script
from meshwright.ssh_client import open_client, words
from meshwright.target import Platform, Shared

__all__ = ["SshTarget", "connect"]

_SFTP_TIMEOUT = 60
_LOCK_TIMEOUT = 30
# An SSH server takes ten sessions on one connection (MaxSessions); files and pyinfra need some of them too.
_SESSIONS = 6
# Reason codes of RFC 4254, section 5.1, with what to do.
_REFUSALS = {
    1: ("its SSH server does not forward connections", "Set AllowTcpForwarding yes for us in its sshd_config"),
    2: ("nothing answers there", ""),
}

# What goes wrong is raised; paramiko would also write it to standard error where nothing sets logging up.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def connect(host: Host, project: Project, name: str = "") -> SshTarget:
    """A target over a connection of our own, called `name` (the host's own where absent); raises what
    `meshwright.ssh_client.open_client` does."""
    return SshTarget(open_client(host), name or host.name, project, owned=True)


class SshTarget:
    """A host behind SSH. `client` is connected; it is closed with the target only if `owned`."""

    local = False

    def __init__(
        self,
        client: paramiko.SSHClient,
        name: str,
        project: Project,
        *,
        owned: bool = False,
        say: Callable[[str], None] = lambda _sentence: None,
    ) -> None:
        self.name = name
        self.project = project
        self.say = say
        self.shared = Shared()
        self._client = client
        self._owned = owned
        self._sftp: paramiko.SFTPClient | None = None
        self._files = threading.RLock()
        self._sessions = threading.BoundedSemaphore(_SESSIONS)

    @cached_property
    def _about(self) -> tuple[str, str, str]:
        """System, machine and home folder, asked once."""
        asked = self.run(["sh", "-c", 'uname -s; uname -m; printf "%s\\n" "$HOME"'])
        lines = asked.text.splitlines()
        if len(lines) != 3 or not lines[2].startswith("/"):
            raise MeshwrightError(f"{self.name} does not say what it is: {asked.complaint}")
        return lines[0], lines[1], lines[2]

    @property
    def platform(self) -> Platform:
        """The platform of that host."""
        return Platform.of(*self._about[:2])

    @property
    def state(self) -> str:
        """`~/.meshwright/DIGEST`, with the project's digest: clones do not meet on the host."""
        return posixpath.join(self._about[2], ".meshwright", self.project.digest)

    def run(
        self,
        command: Sequence[str],
        *,
        input: bytes | None = None,  # noqa: A002
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float = 60,
        ok: Collection[int] | None = (0,),
        hint: str = "",
    ) -> Completed:
        """Runs a process on that host, as `meshwright.process.run` does here.

        The environment is that of a login there, with `env`, without KUBECONFIG. A process that gets no `input` ends
        with our connection, so that a run that was killed leaves nothing behind that works on. Raises ProcessError
        and Unreachable.
        """
        with self._sessions:
            done, verdict, in_time = self._execute(command, input, env or {}, cwd, timeout)
        if not in_time:
            raise ProcessError(
                f"{shlex.join(done.command[:3])} did not end within {timeout:g} s on {self.name}",
                command=done.command,
                output=done.complaint,
                hint=hint,
            )
        if verdict == "ok":
            if ok is not None and done.code not in ok:
                raise process.failure(done, hint)
            return done
        why = {"cwd": f"{cwd}: no such folder", "command": "no such command"}.get(verdict, done.complaint or "no shell")
        raise ProcessError(f"cannot start {command[0]} on {self.name}: {why}", command=done.command, hint=hint)

    def _execute(
        self, command: Sequence[str], given: bytes | None, env: Mapping[str, str], cwd: str | None, timeout: float
    ) -> tuple[Completed, str, bool]:
        """What the command did, the verdict on its start (see `script`), and whether it ended in time."""
        mark = f"meshwright-{secrets.token_hex(8)}"
        deadline = time.monotonic() + timeout
        channel = self._open(lambda transport: transport.open_session(timeout=timeout))
        with contextlib.closing(channel):
            with self._reached():
                channel.exec_command(script(command, mark, env, cwd, given=given is not None))
            output = Output(channel, given)
            in_time = output.wait(deadline)
            stderr, begun = after(mark, output.stderr)
            group, _, verdict = begun.partition(" ")
            # No exit code: a signal ended it, or it went with the connection.
            if not self._alive() and (not in_time or channel.exit_status < 0):
                raise Unreachable(f"the connection to {self.name} was lost while {command[0]} ran there")
            if not in_time:
                self._end_group(group)
            stdout = after(mark, output.stdout)[0]
            return Completed(tuple(command), channel.exit_status, stdout, stderr), verdict, in_time

    def read(self, path: str) -> bytes | None:
        """The content of a file, None where it does not exist. Raises MeshwrightError where it cannot be read."""
        with self._file_error("read", path), self._transfer() as sftp:
            try:
                if stat.S_ISDIR(sftp.stat(path).st_mode or 0):
                    raise IsADirectoryError(errno.EISDIR, "Is a directory")
                with sftp.open(path, "rb") as file:
                    file.prefetch()
                    return file.read()
            except FileNotFoundError:
                return None

    def write(self, path: str, data: bytes, mode: int = 0o600) -> None:
        """Puts a file in place atomically, with its parent folders. Raises MeshwrightError where that fails."""
        folder, name = posixpath.split(path)
        temporary = posixpath.join(folder, f".{name}.{secrets.token_hex(4)}")
        with self._file_error("write", path), self._transfer() as sftp:
            _make_folders(sftp, folder)
            try:
                with sftp.open(temporary, "wbx") as file:
                    sftp.chmod(temporary, mode)
                    file.set_pipelined(True)
                    file.write(data)
                sftp.posix_rename(temporary, path)
            except BaseException:
                with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                    sftp.remove(temporary)
                raise

    def remove(self, path: str) -> None:
        """Removes a file; nothing where there is none. Raises MeshwrightError where that cannot be done."""
        with self._file_error("remove", path), self._transfer() as sftp, contextlib.suppress(FileNotFoundError):
            sftp.remove(path)

    def expand(self, path: str) -> str:
        """An absolute path: relative ones, and `~`, belong to the home folder there (the project is not there)."""
        below_home = path[1:].lstrip("/") if path == "~" or path.startswith("~/") else path
        return posixpath.normpath(posixpath.join(self._about[2], below_home))

    def connect(self, host: str, port: int, timeout: float = 10) -> socket.socket:
        """A stream to `host`:`port` as that host sees it: a channel of the SSH connection. Raises Unreachable."""
        try:
            channel = self._transport().open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=timeout)
        except paramiko.ChannelException as error:
            why, hint = _REFUSALS.get(error.code, (error.text, ""))
            raise Unreachable(f"{host}:{port} cannot be reached from {self.name}: {why}", hint=hint) from None
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise Unreachable(f"{host}:{port} cannot be reached from {self.name}: {words(error)}") from None
        near, far = socket.socketpair()
        pump(channel, far)
        return near

    def lock(self, name: str, purpose: str, run: str) -> Lock:
        """Takes a lock of that host: a shell there holds it until it is released or our connection ends.

        Raises Refused (another run holds it), MeshwrightError (none can be taken there), Unreachable.
        """
        mark = f"meshwright-{secrets.token_hex(8)}"
        command = ["sh", "-c", lock.REMOTE, "sh", name, lock.note(purpose, run)]
        channel = self._open(lambda transport: transport.open_session(timeout=_LOCK_TIMEOUT))
        try:
            with self._reached():
                channel.settimeout(_LOCK_TIMEOUT)
                channel.exec_command(script(command, mark, {}, None, given=True))
                line = first_line(channel, mark) or "failed\t\t\t\tits shell gives no answer"
            state, boot, space, folder, said = line.split("\t", 4)
            if state == "failed":
                raise MeshwrightError(f"the lock {name} cannot be taken on {self.name}: {said}")
            if state == "busy" and (error := lock.refused(name, said, run)):
                raise error
        except BaseException:
            channel.close()
            raise
        return Lock(lambda: (boot, space, folder, name), channel.close)

    def close(self) -> None:
        """Closes what steps shared on this target, and the connection if it is ours."""
        self.shared.close()
        if self._sftp is not None:
            self._sftp.close()
        if self._owned:
            self._client.close()

    # Inside

    def _transport(self) -> paramiko.Transport:
        transport = self._client.get_transport()
        if transport is None or not transport.is_active():
            raise Unreachable(f"the connection to {self.name} has ended", hint="Is the host still up? Run this again")
        return transport

    def _alive(self) -> bool:
        transport = self._client.get_transport()
        return transport is not None and transport.is_active()

    def _open(self, opener: Callable[[paramiko.Transport], paramiko.Channel]) -> paramiko.Channel:
        with self._reached():
            return opener(self._transport())

    @contextlib.contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise Unreachable(f"{self.name} cannot be reached: {words(error)}") from None

    @contextlib.contextmanager
    def _transfer(self) -> Iterator[paramiko.SFTPClient]:
        """The one SFTP session, by one thread at a time."""
        with self._files:
            if self._sftp is None:
                self._sftp = paramiko.SFTPClient.from_transport(self._transport())
                assert self._sftp is not None
                channel = self._sftp.get_channel()
                assert channel is not None
                channel.settimeout(_SFTP_TIMEOUT)
            yield self._sftp

    @contextlib.contextmanager
    def _file_error(self, verb: str, path: str) -> Iterator[None]:
        try:
            yield
        except (TimeoutError, EOFError, paramiko.SSHException) as error:
            raise Unreachable(f"cannot {verb} {path} on {self.name}: {words(error)}") from None
        except OSError as error:
            if not self._alive():
                raise Unreachable(f"cannot {verb} {path} on {self.name}: the connection was lost") from None
            why = error.strerror or str(error)
            raise MeshwrightError(f"cannot {verb} {path} on {self.name}: {why}") from None

    def _end_group(self, pid: str) -> None:
        """Ends the process group of a command whose time is over."""
        if pid.isdigit():
            with contextlib.suppress(MeshwrightError, OSError, EOFError, paramiko.SSHException):
                channel = self._open(lambda t: t.open_session(timeout=5))
                with contextlib.closing(channel):
                    channel.settimeout(5)
                    channel.exec_command(f"kill -s KILL -- -{pid}")
                    channel.recv(1)


def _make_folders(sftp: paramiko.SFTPClient, folder: str) -> None:
    """Makes `folder` and its parents, where they are missing."""
    try:
        sftp.stat(folder)
    except FileNotFoundError:
        _make_folders(sftp, posixpath.dirname(folder))
        # Somebody else may make it at the same moment.
        with contextlib.suppress(OSError):
            sftp.mkdir(folder)
