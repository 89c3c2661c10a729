from __future__ import annotations

import pytest
from releases import environment

from meshwright.target import Platform
from meshwright.tools import pins
from meshwright.tools.table import STOCK, TOOLS, plain, wanted

GITHUB = "https://github.com"


@pytest.mark.parametrize(
    ("tool", "platform", "url", "checksums"),
    [
        (
            "k3d",
            "linux-amd64",
            f"{GITHUB}/k3d-io/k3d/releases/download/v5.9.0/k3d-linux-amd64",
            f"{GITHUB}/k3d-io/k3d/releases/download/v5.9.0/checksums.txt",
        ),
        (
            "kubectl",
            "darwin-arm64",
            "https://dl.k8s.io/release/v5.9.0/bin/darwin/arm64/kubectl",
            "https://dl.k8s.io/release/v5.9.0/bin/darwin/arm64/kubectl.sha256",
        ),
        (
            "istioctl",
            "linux-arm64",
            f"{GITHUB}/istio/istio/releases/download/5.9.0/istio-5.9.0-linux-arm64.tar.gz",
            f"{GITHUB}/istio/istio/releases/download/5.9.0/istio-5.9.0-linux-arm64.tar.gz.sha256",
        ),
        (
            "istioctl",
            "darwin-amd64",
            f"{GITHUB}/istio/istio/releases/download/5.9.0/istio-5.9.0-osx-amd64.tar.gz",
            f"{GITHUB}/istio/istio/releases/download/5.9.0/istio-5.9.0-osx-amd64.tar.gz.sha256",
        ),
    ],
)
def test_addresses_of_releases(tool: str, platform: str, url: str, checksums: str) -> None:
    release, where = TOOLS[tool].release, Platform(*platform.split("-"))
    assert release.address("5.9.0", where) == url
    assert release.checksum_address("5.9.0", where) == checksums


def test_wanted_versions_come_from_the_environment() -> None:
    env = environment(k3d="5.1.0", kubectl="1.30.1", istio="1.29.2")
    assert wanted(env) == {"k3d": "5.1.0", "kubectl": "1.30.1", "istioctl": "1.29.2"}
    assert "k3d" not in wanted(environment(existing=True))


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("v1.35.4", "1.35.4"),
        ("v1.35.4+k3s1", "1.35.4"),
        ("1.30.3\n", "1.30.3"),
        ("v1.32.4-dispatcher", "1.32.4-dispatcher"),
        ("1.31-alpha.eed52ebb66ad", "1.31-alpha.eed52ebb66ad"),
    ],
)
def test_versions_as_programs_print_them(said: str, version: str) -> None:
    assert plain(said) == version


def test_the_shipped_pins_are_valid_and_in_their_stable_form() -> None:
    assert pins.dump(pins.load()) == pins.FILE.read_text(encoding="utf-8")
    assert set(STOCK.pins) <= set(TOOLS)
