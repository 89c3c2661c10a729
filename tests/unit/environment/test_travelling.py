"""What of an environment's values travels, and what stands under `local`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from meshwright.environment import BadValues, load
from meshwright.environment.model import Environment
from meshwright.environment.travelling import STAYS, TRAVELS
from meshwright.project import Project

FILE = "group_data/lab.yaml"
BELONGS = (
    "name protected limits hosts engine cluster ingress certs windows schedule promotion rollout".split()  # noqa: SIM905
)


def test_every_section_either_travels_or_stays() -> None:
    """A new section of the model goes into TRAVELS (and docs/promotion.md), or here."""
    assert set(Environment.model_fields) - set(TRAVELS) <= set(BELONGS)
    assert not set(BELONGS) & set(TRAVELS)


def test_local_is_merged_over_the_rest_and_does_not_travel(project: Callable[..., Project], k3d: str) -> None:
    values = """\
istio: {values: {pilot: {env: {A: "1"}}}, timeout: 9}
resources:
  pace: 3
  virtual_services:
    bookinfo/web: {hosts: [web], http: [{route: [{destination: {host: web}}]}]}
local:
  istio: {values: {pilot: {autoscaleMin: 2}}}
  resources:
    virtual_services:
      bookinfo/web: {hosts: [web.example.com]}
"""
    loaded = load(project(k3d + values), "lab")
    assert loaded.env.istio.values == {"pilot": {"env": {"A": "1"}, "autoscaleMin": 2}}
    web = loaded.values["resources"]["virtual_services"]["bookinfo/web"]
    assert web["hosts"] == ["web.example.com"]
    assert web["http"]
    assert loaded.env.where("istio", "values", "pilot", "autoscaleMin") == f"{FILE}:10"
    assert "local" not in loaded.values
    assert loaded.travelling == {
        "tools": {"k3d": "5.9.0", "kubectl": "1.35.4"},
        "istio": {"version": "1.30.3", "values": {"pilot": {"env": {"A": "1"}}}},
        "namespaces": {"bookinfo": {"injection": "enabled"}},
        "resources": {
            "virtual_services": {
                "bookinfo/web": {"hosts": ["web"], "http": [{"route": [{"destination": {"host": "web"}}]}]}
            }
        },
    }
    assert loaded.env.travelling == loaded.travelling


def test_null_is_the_same_as_nothing_but_in_values_that_are_passed_on(
    project: Callable[..., Project], k3d: str
) -> None:
    one = load(project(k3d + "istio: {tag: null, values: {a: null}}\nnamespaces: {other: null, empty: {}}\n"), "lab")
    assert one.travelling["istio"] == {"version": "1.30.3", "values": {"a": None}}
    assert one.travelling["namespaces"] == {"bookinfo": {"injection": "enabled"}, "empty": {}}


@pytest.mark.parametrize(
    ("added", "place", "sentence"),
    [
        ("local: 5", "4:8", "local must be a mapping of values that belong to this environment alone"),
        ("local: {hosts: [a]}", "4:9", "local.hosts is not of what travels"),
        ("local: {tool: {}}", "4:9", "local.tool is not of what travels; the nearest is tools"),
        (
            "local: {istio: {version: 1.30}}",
            "4:26",
            "istio.version is 1.30, which YAML reads as a number; it must be a version as text, such as 1.30.3 "
            "(without a v)",
        ),
    ],
)
def test_what_cannot_be_local(project: Callable[..., Project], k3d: str, added: str, place: str, sentence: str) -> None:
    with pytest.raises(BadValues) as caught:
        load(project(k3d + added + "\n"), "lab")
    assert caught.value.message == f"{FILE}:{place}: {sentence}"


def test_all_yaml_has_no_local(project: Callable[..., Project], k3d: str) -> None:
    with pytest.raises(BadValues) as caught:
        load(project(k3d, "tools: {k3d: 5.9.0, kubectl: 1.35.4}\nlocal: {}\n"), "lab")
    assert "group_data/all.yaml:2:1: local is what belongs to one environment" in str(caught.value.problems[0].message)


def test_keys_that_stay_are_in_sections_that_travel() -> None:
    for section, key in STAYS:
        assert section in TRAVELS
        field = Environment.model_fields[section].annotation
        assert key in field.model_fields or key in ("credentials", "secrets")  # type: ignore[union-attr]


def test_a_text_in_place_of_the_file(project: Callable[..., Project], k3d: str) -> None:
    there = project(k3d)
    assert load(there, "lab", (k3d + "istio: {version: 1.31.0}\n").encode()).env.istio.version == "1.31.0"
    assert load(there, "lab").env.istio.version == "1.30.3"
