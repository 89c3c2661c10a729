"""What the lab needs on this machine: Debian packages, programs, a root file system, an engine, images.

Needed only where no container registry can be reached (docs/lab.md). Run again, it changes nothing.
"""

from pyinfra import host
from pyinfra.facts.server import Which
from pyinfra.operations import apt

from meshwright import engine
from meshwright.deploy import run
from meshwright.lab import envoy, images, programs, rootfs, store

# A package is asked for only where its command is missing: an engine that came another way stays what it is.
COMMANDS = {
    "dockerd": "docker.io",
    "docker": "docker.io",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "unshare": "util-linux",
}
missing = sorted({package for command, package in COMMANDS.items() if not host.get_fact(Which, command)})

if missing and store.needed(host.data.meshwright.env):
    apt.packages(name="packages", packages=missing, update=True)

steps = [programs.build, envoy.fetch, rootfs.bootstrap, engine.ensure, images.build]

run(steps)
