"""Debian's own cron at work, with a table of its own: it sees no table of this machine, and nothing here sees its.

It lives in a mount namespace; what is to see its crontab is run in there too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BEGIN = """\
set -e
mount -t tmpfs tmpfs /var/spool
mkdir -p /var/spool/cron/crontabs
chmod 1730 /var/spool/cron/crontabs
mount --bind "$1/empty" /etc/cron.d
mount --bind "$1/pam" /etc/pam.d
if [ -e /etc/crontab ]; then mount --bind /dev/null /etc/crontab; fi
touch "$1/ready"
exec "$1/package/usr/sbin/cron" -f
"""


@dataclass(frozen=True)
class Cron:
    """The daemon's process, and the folder of its programs."""

    pid: int
    folder: Path

    def run(
        self, command: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float = 600, input: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command that has this daemon's `crontab`."""
        path = f"{self.folder / 'package' / 'usr' / 'bin'}:{env.get('PATH', '')}"
        inside = ["nsenter", f"--mount=/proc/{self.pid}/ns/mnt", f"--wd={cwd}", *command]
        return subprocess.run(
            inside, env={**env, "PATH": path}, capture_output=True, text=True, timeout=timeout, input=input
        )


def why_not() -> str:
    """Why there can be no such daemon here; empty where there can."""
    if os.geteuid() != 0:
        return "a mount namespace needs root"
    missing = [tool for tool in ("apt-get", "dpkg", "unshare", "nsenter") if shutil.which(tool) is None]
    return f"there is no {missing[0]}" if missing else ""


@contextlib.contextmanager
def crond(folder: Path) -> Iterator[Cron]:
    """A daemon at work; its packages are fetched and unpacked in `folder`, and nothing is installed."""
    for name in ("package", "empty"):
        (folder / name).mkdir(parents=True)
    shutil.copytree("/etc/pam.d", folder / "pam")
    for command in (["apt-get", "update"], ["apt-get", "download", "cron"]):
        if not list(folder.glob("cron_*.deb")):
            subprocess.run(command, cwd=folder, check=command[-1] == "cron", capture_output=True, timeout=300)
    [package] = folder.glob("cron_*.deb")
    subprocess.run(["dpkg", "-x", str(package), str(folder / "package")], check=True, timeout=60)
    shutil.copy(folder / "package" / "etc" / "pam.d" / "cron", folder / "pam" / "cron")
    daemon = subprocess.Popen(["unshare", "--mount", "sh", "-c", _BEGIN, "sh", str(folder)])
    try:
        deadline = time.monotonic() + 60
        while not (folder / "ready").exists():
            assert daemon.poll() is None, "cron did not start"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield Cron(daemon.pid, folder)
    finally:
        daemon.terminate()
        daemon.wait(30)
        Path("/run/crond.pid").unlink(missing_ok=True)
