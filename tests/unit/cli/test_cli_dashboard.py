"""`meshwright dashboard`: what it says before a port is opened."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import FakeTarget

from meshwright import cluster, ingress
from meshwright.errors import Exit, MeshwrightError
from meshwright.ingress import Address, How

ADDONS = """\
addons:
  grafana: {}
  kiali:
    exposure: {host: kiali.example.com, credential: c, authentication: {kind: none}}
"""


@pytest.fixture(autouse=True)
def values(run: Any, host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    with (host.project.root / "group_data" / "lab.yaml").open("a") as file:
        file.write(ADDONS)
    address = Address("127.0.0.1", 24080, 24443, How.PUBLISHED)
    monkeypatch.setattr(ingress, "address", lambda *_, **__: address)


def test_url_only_prints_the_domain_or_where_the_port_would_be(run: Any) -> None:
    ran = run("dashboard", "lab", "kiali", "grafana", "--url-only")
    assert ran.code == Exit.OK
    assert ran.out == "kiali: https://kiali.example.com:24443/kiali/\ngrafana: http://127.0.0.1:3000/\n"
    alone = run("dashboard", "lab", "grafana", "--url-only", "--port", "8000", "--address", "::1")
    assert alone.out == "http://[::1]:8000/\n"
    told = run("dashboard", "lab", "grafana", "grafana", "--url-only", "--json").document
    assert told["dashboards"] == {"grafana": "http://127.0.0.1:3000/"}


def test_a_domain_is_known_without_its_gateway(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any, **__: Any) -> Address:
        raise MeshwrightError("no gateway")

    monkeypatch.setattr(ingress, "address", away)
    assert run("dashboard", "lab", "kiali", "--url-only").out == "https://kiali.example.com/kiali/\n"


def test_an_addon_that_there_is_none_of_or_that_is_off(run: Any) -> None:
    unknown = run("dashboard", "lab", "kialli")
    assert unknown.code == Exit.BAD_INPUT
    assert "there is no addon 'kialli'; the nearest is kiali" in unknown.err
    off = run("dashboard", "lab", "jaeger")
    assert off.code == Exit.ERROR
    assert "Jaeger is not among the addons of lab that are on" in off.err


def test_another_address_is_warned_of_before_anything_is_asked(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise MeshwrightError("there is no cluster")

    monkeypatch.setattr(cluster, "answering", away)
    words = "warning: whoever reaches {} can use these pages without a password"
    for address in ("0.0.0.0", "192.0.2.1", "::", "elsewhere"):
        assert words.format(address) in run("dashboard", "lab", "grafana", "--address", address).err
    for address in ("127.0.0.1", "::1", "localhost"):
        assert "warning" not in run("dashboard", "lab", "grafana", "--address", address).err
