"""Exposures of addons under validation: their objects are looked at, and domains that another Gateway serves too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from fakes import FakeSession

from meshwright import applyset
from meshwright.errors import BadInput
from meshwright.validation import Validated

Look = Callable[..., Validated]
EXPOSED = """\
addons:
  kiali:
    exposure:
      host: kiali.example.com
      credential: kiali-cert
      authentication: {kind: none}
"""
FILE = "group_data/lab.yaml"
INGRESS = {"istio": "ingressgateway"}
ISTIO = "networking.istio.io/v1"


def gateway(*hosts: str, number: int = 443, name: str = "wide", **selector: str) -> dict[str, Any]:
    server = {"hosts": list(hosts), "port": {"number": number, "protocol": "HTTPS"}, "tls": {"mode": "PASSTHROUGH"}}
    spec = {"selector": selector or INGRESS, "servers": [server]}
    return {"apiVersion": ISTIO, "kind": "Gateway", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def secret() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kiali-cert", "namespace": "istio-system"}}


def pod() -> dict[str, Any]:
    metadata = {"name": "gateway-1", "namespace": "istio-system", "labels": INGRESS}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


def found(look: Look, rule: str, *others: dict[str, Any], **more: Any) -> list[str]:
    made = look("", yaml.safe_dump_all(others), values=EXPOSED, **more)
    return [one.line for one in made.findings if one.rule == rule]


def test_a_domain_that_another_gateway_has_too_is_found_in_files(look: Look) -> None:
    assert found(look, "domain-overlaps", gateway("*.example.com")) == [
        f"{FILE}:6: warning: Gateway istio-system/addon-kiali: the domain kiali.example.com of addons.kiali overlaps "
        "*.example.com of Gateway shop/wide at port 443"
    ]


def test_and_in_the_cluster(look: Look) -> None:
    session = FakeSession(secret(), pod(), gateway("shop/*"))
    [line] = found(look, "domain-overlaps", session=session)
    assert line.endswith("overlaps * of Gateway shop/wide at port 443")


@pytest.mark.parametrize(
    "other",
    [gateway("*.example.org"), gateway("*.example.com", number=8443), gateway("*.example.com", istio="another")],
)
def test_other_domains_ports_and_pods_do_no_harm(look: Look, other: dict[str, Any]) -> None:
    assert found(look, "domain-overlaps", other) == []


def test_the_very_same_domain_with_another_tls_is_said_once(look: Look) -> None:
    other = gateway("kiali.example.com")
    assert found(look, "domain-overlaps", other) == []
    [line] = found(look, "servers-overlap", other)
    assert "error" in line


def test_the_other_rules_look_at_exposures_too(look: Look) -> None:
    [line] = found(look, "credential-missing")
    assert line.startswith(f"{FILE}:3: error: Gateway istio-system/addon-kiali: ")
    assert look("", values=EXPOSED).objects == 2


def test_the_service_of_an_addon_comes_with_the_same_apply(look: Look) -> None:
    made = look("", values=EXPOSED, session=FakeSession(secret(), pod()))
    assert made.findings == ()


def test_what_an_apply_of_the_addons_takes_away_does_not_count(look: Look) -> None:
    gone = gateway("kiali.example.com", name="addon-grafana")
    gone["metadata"]["labels"] = {"applyset.kubernetes.io/part-of": applyset.identifier("addons-lab")}
    session = FakeSession(secret(), pod(), gone)
    assert found(look, "domain-overlaps", session=session) == found(look, "servers-overlap", session=session) == []


def test_users_that_cannot_be_used_stop_it(look: Look) -> None:
    values = EXPOSED.replace("{kind: none}", "{kind: basic, users: nowhere}")
    with pytest.raises(BadInput, match=r"authentication\.users is nowhere, which cannot be read"):
        look("", values=values)
