"""The table of tools: how each is asked for its version, where it is released, which Go module builds it.

The sha256 of the releases are not here but in pins.toml (see `meshwright.tools.pins`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from meshwright.environment import Environment
from meshwright.target import Platform
from meshwright.tools import pins

__all__ = ["STOCK", "TOOLS", "Catalog", "GoModule", "Limits", "Release", "Tool", "plain", "wanted"]


@dataclass(frozen=True)
class Release:
    """Where a publisher puts the files of a release.

    `url` and `checksums` are templates with {version}, {os} and {arch}; `checksums` is the publisher's own list: one
    digest alone, or lines of a digest and a file name. `os_names` holds the publisher's names of operating systems
    where they differ from ours. `program` and `samples` are the places in an archive, below its one top folder; a
    release without `program` is the program itself.
    """

    url: str
    checksums: str
    os_names: Mapping[str, str] = field(default_factory=dict)
    program: str = ""
    samples: str = ""

    def address(self, version: str, platform: Platform) -> str:
        """The address of the file for `platform`."""
        return self._filled(self.url, version, platform)

    def checksum_address(self, version: str, platform: Platform) -> str:
        """The address of the publisher's checksum file for `platform`."""
        return self._filled(self.checksums, version, platform)

    def _filled(self, template: str, version: str, platform: Platform) -> str:
        name = self.os_names.get(platform.os, platform.os)
        return template.format(version=version, os=name, arch=platform.arch)


@dataclass(frozen=True)
class GoModule:
    """A Go module in the project that pins a tool with all that it is made of (go.mod, go.sum).

    `folder` is relative to the project. `module` at version `pinned` is what its go.mod must require for the built
    tool to be version `builds`; `defines` are the variables that tell the program its version (`-X`).
    """

    folder: str
    module: str
    package: str
    pinned: str
    builds: str
    minutes: int
    tags: str = ""
    defines: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Tool:
    """A command line tool.

    `key` is where its wanted version stands in an environment. `ask` are the arguments that make it print its version
    as JSON without looking at any cluster, `says` the way to the version in that JSON.
    """

    name: str
    key: str
    ask: tuple[str, ...]
    says: tuple[str, ...]
    release: Release
    module: GoModule


_COMPONENT = "k8s.io/component-base/version"
_CLIENT = "k8s.io/client-go/pkg/version"

TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            name="k3d",
            key="tools.k3d",
            ask=("version", "-o", "json"),
            says=("k3d",),
            release=Release(
                url="https://github.com/k3d-io/k3d/releases/download/v{version}/k3d-{os}-{arch}",
                checksums="https://github.com/k3d-io/k3d/releases/download/v{version}/checksums.txt",
            ),
            module=GoModule(
                folder="lab/go/k3d",
                module="github.com/k3d-io/k3d/v5",
                package="github.com/k3d-io/k3d/v5",
                pinned="v5.9.0",
                builds="5.9.0",
                minutes=1,
                defines={"github.com/k3d-io/k3d/v5/version.Version": "v5.9.0"},
            ),
        ),
        Tool(
            name="kubectl",
            key="tools.kubectl",
            ask=("version", "--client", "-o", "json"),
            says=("clientVersion", "gitVersion"),
            release=Release(
                url="https://dl.k8s.io/release/v{version}/bin/{os}/{arch}/kubectl",
                checksums="https://dl.k8s.io/release/v{version}/bin/{os}/{arch}/kubectl.sha256",
            ),
            module=GoModule(
                folder="lab/go/kubernetes",
                module="k8s.io/kubernetes",
                package="k8s.io/kubernetes/cmd/kubectl",
                pinned="v1.35.4",
                builds="1.35.4",
                minutes=2,
                # What stands behind a plus says who built it and is no part of the version.
                defines={
                    f"{_COMPONENT}.gitVersion": "v1.35.4+meshwright",
                    f"{_COMPONENT}.gitMajor": "1",
                    f"{_COMPONENT}.gitMinor": "35",
                    f"{_CLIENT}.gitVersion": "v1.35.4+meshwright",
                    f"{_CLIENT}.gitMajor": "1",
                    f"{_CLIENT}.gitMinor": "35",
                },
            ),
        ),
        Tool(
            name="istioctl",
            key="istio.version",
            ask=("version", "--remote=false", "-o", "json"),
            says=("clientVersion", "version"),
            release=Release(
                url="https://github.com/istio/istio/releases/download/{version}/istio-{version}-{os}-{arch}.tar.gz",
                checksums="https://github.com/istio/istio/releases/download/{version}"
                "/istio-{version}-{os}-{arch}.tar.gz.sha256",
                os_names={"darwin": "osx"},
                program="bin/istioctl",
                samples="samples",
            ),
            module=GoModule(
                folder="lab/go/istio",
                module="istio.io/istio",
                package="istio.io/istio/istioctl/cmd/istioctl",
                pinned="v0.0.0-20260827124520-eed52ebb66ad",
                # Its own name, never a release's number: it is a commit between two releases.
                builds="1.31-alpha.eed52ebb66ad",
                minutes=4,
                tags="vtprotobuf,disable_pgv",
                defines={"istio.io/istio/pkg/version.buildVersion": "1.31-alpha.eed52ebb66ad"},
            ),
        ),
    )
}


@dataclass(frozen=True)
class Limits:
    """How long a release host may take, in seconds.

    `connect`: until it is known to be there at all. `stall`: between two parts of an answer. `total`: for one file.
    """

    connect: float = 3
    stall: float = 20
    total: float = 900


@dataclass(frozen=True)
class Catalog:
    """All that an installation goes by; tests give their own, with a release host on 127.0.0.1."""

    tools: Mapping[str, Tool] = field(default_factory=lambda: TOOLS)
    pins_file: Path = pins.FILE
    limits: Limits = Limits()

    @cached_property
    def pins(self) -> pins.Pins:
        """The pinned sha256, read when they are first needed."""
        return pins.load(self.pins_file)

    def sha256(self, tool: Tool, version: str, platform: Platform) -> str | None:
        """The pinned sha256 of a release file; None where there is none."""
        return self.pins.get(tool.name, {}).get(version, {}).get(str(platform))


STOCK = Catalog()


def wanted(env: Environment) -> dict[str, str]:
    """The tools that an environment needs, each with its version; a cluster of somebody else's needs no k3d."""
    versions = {"kubectl": env.tools.kubectl, "istioctl": env.istio.version}
    return {"k3d": env.tools.k3d, **versions} if env.cluster.kind == "k3d" else versions


def plain(version: str) -> str:
    """A version as programs print it, without its leading v and without build metadata (semver.org, item 10)."""
    return version.strip().removeprefix("v").partition("+")[0]
