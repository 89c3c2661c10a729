"""An SSH server in a network namespace of its own: a host that reaches what this machine's own processes do not.

It needs root and iproute2. A shell holds the namespace, its way out and the rules, and takes all of it back when its
input ends: also when the test that has started it is killed.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import sshd
from sshd import Sshd

# Of what the lab's engine gives to its networks, because that is what the machine forwards (meshwright.lab.dockerd); it
# counts these from 10.213.0.0 upwards, in steps of 256.
_NETWORK = "10.213.254"
_PLACES = 64

# The rules have a priority of their own, by which they are found.
_KEEP = """
name=$1 near=$2 far=$3 link=$4 priority=$5
undo() {
    while ip rule delete priority "$priority" 2>/dev/null; do :; done
    for each in $(ip netns pids "$name" 2>/dev/null); do kill -s KILL "$each"; done
    ip link delete "$link" 2>/dev/null
    ip netns delete "$name" 2>/dev/null
}
trap '' INT TERM HUP
ip netns add "$name" || exit
trap undo EXIT
ip link add "$link" type veth peer name eth0 netns "$name" &&
ip address add "$near/30" dev "$link" && ip link set "$link" up &&
ip -n "$name" address add "$far/30" dev eth0 && ip -n "$name" link set eth0 up && ip -n "$name" link set lo up &&
ip -n "$name" route add default via "$near" && echo ready && cat
"""


class Bastion:
    """A running server; `home` is the home folder of whoever logs in, `path` the search path there."""

    def __init__(self, folder: Path, path: str = os.environ.get("PATH", "")) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self.path = path
        self.server: Sshd | None = None
        for place in range(_PLACES):
            self.name, self._priority = f"mw-bastion-{place}", str(7000 + place)
            near, self.address = (f"{_NETWORK}.{4 * place + offset}" for offset in (1, 2))
            command = ["sh", "-c", _KEEP, "sh", self.name, near, self.address, f"mwb{place}", self._priority]
            self._keeper = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
            assert self._keeper.stdout is not None
            if self._keeper.stdout.readline():
                break
            # Another run has that name.
            _, said = self._keeper.communicate(timeout=20)
            assert b"File exists" in said, said.decode()
        else:
            raise AssertionError("every place for a namespace is taken")
        try:
            self.server = sshd.start(
                folder,
                f'SetEnv "HOME={self.home}" "PATH={path}"',
                address=self.address,
                within=["ip", "netns", "exec", self.name],
            )
        except BaseException:
            self.stop()
            raise

    def alone(self, address: str, port: int) -> None:
        """From now on this machine's own processes have no way to `port` of `address`; what they forward has."""
        rule = ["priority", self._priority, "iif", "lo", "to", address, "ipproto", "tcp", "dport", str(port)]
        subprocess.run(["ip", "rule", "add", *rule, "unreachable"], check=True)

    def run(self, *command: str) -> str:
        """What a command prints there."""
        inside = ["ip", "netns", "exec", self.name, *command]
        return subprocess.run(inside, check=True, capture_output=True, text=True, timeout=60).stdout

    def stop(self) -> None:
        """Ends the server, and takes back the namespace and the rules."""
        if self.server is not None:
            self.server.stop()
        self._keeper.communicate(timeout=20)
