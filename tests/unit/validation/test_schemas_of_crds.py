"""Schemas of CRDs: a small one written here, and those that the installed istioctl brings."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import examples
import pytest
import schemas as generated
import yaml
from fakes import FakeSession, FakeTarget
from hypothesis import given, settings
from hypothesis import strategies as st

from meshwright import tools
from meshwright.environment import load
from meshwright.errors import ProcessError
from meshwright.kube import ApiError
from meshwright.project import Project
from meshwright.target import Local
from meshwright.tools import store
from meshwright.validation import Finding, Validated, validate
from meshwright.validation.structural import Unknown, fitted, translated, wrong

Look = Callable[..., Validated]
TEXT, WHOLE = {"type": "string"}, {"type": "integer"}
SPEC: dict[str, Any] = {
    "type": "object",
    "required": ["host"],
    "properties": {
        "host": {"type": "string", "maxLength": 8, "pattern": "^[a-z.]+$", "description": "words for people"},
        "mode": {"type": "string", "enum": ["SIMPLE", "MUTUAL"], "default": "SIMPLE"},
        "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
        "weight": {"type": "integer", "minimum": 1, "maximum": 100, "format": "int32"},
        "address": {"type": "string", "format": "ipv4"},
        "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"n": WHOLE}},
        "inner": {"type": "object", "x-kubernetes-embedded-resource": True, "properties": {"spec": {"type": "object"}}},
        "labels": {"type": "object", "additionalProperties": TEXT},
        "maybe": {"type": "object", "nullable": True, "properties": {"n": WHOLE}},
        "routes": {
            "type": "array",
            "maxItems": 3,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
            "items": {
                "type": "object",
                "required": ["name", "kind"],
                "properties": {"name": TEXT, "kind": {"type": "string", "default": "a"}, "exact": TEXT, "prefix": TEXT},
                "oneOf": [
                    {"not": {"anyOf": [{"required": ["exact"]}, {"required": ["prefix"]}]}},
                    {"required": ["exact"]},
                    {"required": ["prefix"]},
                ],
            },
        },
    },
}
SCHEMA = {"type": "object", "properties": {"spec": SPEC, "metadata": {"type": "object"}}}


def crd(group: str = "shop.example.com", kind: str = "Cart", schema: Any = SCHEMA) -> dict[str, Any]:
    served = {"name": "v1", "served": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": kind, "plural": f"{kind.lower()}s"}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.lower()}s.{group}"},
        "spec": {"group": group, "names": names, "versions": [served, {**served, "name": "v0", "served": False}]},
    }


def cart(spec: Any, api: str = "shop.example.com/v1", kind: str = "Cart", **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": api, "kind": kind, "metadata": {"name": "c", "namespace": "shop", **metadata}, "spec": spec}


def of_schemas(found: Validated) -> list[Finding]:
    return [one for one in found.findings if one.rule in ("schema", "unknown-field")]


GOOD: list[dict[str, Any]] = [
    {"host": "a.b"},
    {"host": "a", "port": 80},
    {"host": "a", "port": "http"},
    {"host": "a", "any": {"x": {"y": [1]}, "n": 1}},
    {"host": "a", "inner": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "labels": {"a": "b"}}}},
    {"host": "a", "labels": {"x": "y"}},
    {"host": "a", "maybe": None},
    # null is no value where the schema does not say that it is one; a default fills in what is required.
    {"host": "a", "weight": None, "mode": None},
    {"host": "a", "routes": [{"name": "x"}, {"name": "y", "exact": "a"}]},
    {"host": "a", "address": "10.0.0.1"},
]


@pytest.mark.parametrize("spec", GOOD)
def test_what_an_api_server_takes_is_left_alone(look: Look, spec: Any) -> None:
    assert of_schemas(look("", yaml.safe_dump_all([crd(), cart(spec)]))) == []


BAD: list[tuple[Any, str, str, str]] = [
    ({"host": "a", "hosts": ["a"]}, "unknown-field", "spec has no field hosts (a list)", "The nearest is host; "),
    ({"host": "a", "maybe": {"m": 1}}, "unknown-field", "spec.maybe has no field m (a whole number)", "Allowed are n"),
    ({"host": "a", "any": {"n": {"o": 1}}}, "schema", "spec.any.n is a mapping, it must be a whole number", ""),
    ({"host": "a", "inner": {"metadata": {"nam": "p"}}}, "unknown-field", "spec.inner.metadata has no field nam", ""),
    ({"host": "a", "inner": {"spec": {"x": 1}}}, "unknown-field", "spec.inner.spec has no field x", "Nothing may be"),
    ({"host": "a", "inner": {"data": "x"}}, "unknown-field", "spec.inner has no field data (text)", ""),
    (
        {"host": "a", "labels": {"x": 1}},
        "schema",
        "spec.labels.x is a whole number, it must be text",
        "Put it in quote",
    ),
    ({"host": "a", "mode": "SIMPEL"}, "schema", "spec.mode is text that is not allowed", "The nearest is SIMPLE"),
    ({"host": "a", "port": 1.5}, "schema", "spec.port is a number, it must be a whole number or text", ""),
    ({"host": "a", "port": [1]}, "schema", "spec.port is a list, it must be a whole number or text", ""),
    ({"host": "a", "weight": 0}, "schema", "spec.weight is too small: at least 1 is needed", ""),
    ({"host": "a", "weight": 101}, "schema", "spec.weight is too large: at most 100 is allowed", ""),
    ({"host": "a", "weight": True}, "schema", "spec.weight is true or false, it must be a whole number", ""),
    ({"host": "UP"}, "schema", "spec.host is text that does not match ^[a-z.]+$", ""),
    ({"host": "a\n"}, "schema", "spec.host is text that does not match", ""),
    ({"host": "abcdefghi"}, "schema", "spec.host is text of 9 characters: at most 8 are allowed", ""),
    ({}, "schema", "spec has no host, which must be there", ""),
    ({"host": None}, "schema", "spec has no host, which must be there", ""),
    ([], "schema", "spec is a list, it must be a mapping", ""),
    ({"host": "a", "address": "10.0.0"}, "schema", "spec.address is text, it must be of the format ipv4", ""),
    (
        {"host": "a", "routes": [{"name": "x", "exact": "a", "prefix": "b"}]},
        "schema",
        "spec.routes[0] has exact and prefix, only one of which may be there",
        "One of exact or prefix",
    ),
    ({"host": "a", "routes": [{"name": "x"}, {"name": "x"}]}, "schema", "spec.routes[1] is in the list twice", ""),
    (
        {"host": "a", "routes": [{"name": str(n)} for n in range(4)]},
        "schema",
        "spec.routes is a list of 4: at most",
        "",
    ),
    ({"host": "a", "routes": [None]}, "schema", "spec.routes[0] is null, it must be a mapping", ""),
]


@pytest.mark.parametrize(("spec", "rule", "sentence", "hint"), BAD)
def test_what_an_api_server_refuses_is_said(look: Look, spec: Any, rule: str, sentence: str, hint: str) -> None:
    [found] = of_schemas(look("", yaml.safe_dump_all([crd(), cart(spec)])))
    assert found.rule == rule
    assert found.sentence.startswith(sentence)
    assert found.hint.startswith(hint)
    assert found.object == "Cart shop/c"


def test_the_line_is_that_of_the_field(look: Look) -> None:
    text = (
        "apiVersion: v1\nkind: List\nitems:\n- apiVersion: shop.example.com/v1\n  kind: Cart\n"
        "  metadata: {name: c, namespace: shop}\n  spec:\n    host: a\n    routes:\n    - name: x\n      exakt: y\n"
        "      exact: 5\n  staus: {}\n"
    )
    found = of_schemas(look("", f"{yaml.safe_dump(crd())}---\n{text}"))
    whole = (yaml.safe_dump(crd()) + "---\n" + text).splitlines()
    lines = [whole[int(one.place.removeprefix("m.yaml:")) - 1].strip() for one in found]
    assert lines == ["exakt: y", "staus: {}", "exact: 5"]
    assert [one.sentence for one in found][1] == "the object has no field staus (a mapping)"


def test_unknown_fields_of_the_metadata_are_found(look: Look) -> None:
    found = look("", yaml.safe_dump_all([crd(), cart({"host": "a"}, lables={"a": "b"})]))
    [one] = of_schemas(found)
    assert (one.sentence, one.hint.split(";")[0]) == (
        "metadata has no field lables (a mapping)",
        "The nearest is labels",
    )


def test_values_are_never_shown(look: Look) -> None:
    secret = "hunter2-hunter2"
    spec = {"host": secret, "mode": secret, "token": secret, "weight": secret, "labels": {"a": [secret]}}
    found = of_schemas(look("", yaml.safe_dump_all([crd(), cart(spec)])))
    assert len(found) >= 5
    assert secret not in str(found)


def test_a_version_that_is_not_served_is_said(look: Look) -> None:
    [found] = of_schemas(look("", yaml.safe_dump_all([crd(), cart({}, "shop.example.com/v0")])))
    assert found.sentence == "apiVersion: Cart is not served in shop.example.com/v0"


def test_what_has_no_crd_is_not_looked_at(look: Look) -> None:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s", "namespace": "shop"}, "spec": {"x": 1}}
    found = look("", yaml.safe_dump_all([service, cart({}, "other.example.com/v1")]))
    assert of_schemas(found) == []
    assert (
        "fields and types of Cart of other.example.com, Service (2 objects): no CRD here says them, an API server "
        "does: that takes --cluster"
    ) in found.skipped


BROKEN: list[Any] = [
    {"properties": {"spec": {"type": "strng"}}},
    {"properties": {"spec": {"type": "object", "properties": []}, "x": {"minimum": "a"}}},
    {"properties": {"spec": {"enum": 5}}},
    {"properties": {"spec": {"required": "host"}}},
    {"properties": {"spec": {"nullable": True, "enum": {}}}},
    5,
]


@pytest.mark.parametrize("schema", BROKEN)
def test_a_crd_with_something_else_for_a_schema_breaks_nothing(look: Look, schema: Any) -> None:
    found = look("", yaml.safe_dump_all([crd(schema=schema), cart({"hots": "a"})]))
    assert [one for one in of_schemas(found) if one.rule == "schema"] == []


def test_a_crd_that_is_none_breaks_nothing(look: Look) -> None:
    broken = crd()
    broken["spec"]["versions"] = "v1"
    assert of_schemas(look("", yaml.safe_dump_all([broken, cart({"hots": "a"})]))) == []


def test_a_pattern_that_only_re2_knows_is_left_to_the_api_server(look: Look) -> None:
    spec = {"type": "object", "properties": {"a": {"type": "string", "pattern": r"^\pL+$"}}, "required": []}
    schema = {"type": "object", "properties": {"spec": spec}}
    assert of_schemas(look("", yaml.safe_dump_all([crd(schema=schema), cart({"a": "5"})]))) == []


ROUTE = cart({"hostt": "a"}, "networking.istio.io/v1", "VirtualService")


@pytest.fixture
def istioctl(host: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> FakeTarget:
    """An istioctl that brings one small CRD of Istio."""
    monkeypatch.setattr(tools, "installed", lambda *_: "/bin/istioctl")
    monkeypatch.setattr(store, "look", lambda *_: [store.Seen(True, "stamp", None)])
    host.answer("analyze --use-kube=false -", "[]")
    host.answer("manifest generate", yaml.safe_dump(crd("networking.istio.io", "VirtualService")))
    return host


def test_istio_s_kinds_are_those_of_istioctl_which_is_asked_once(look: Look, istioctl: FakeTarget) -> None:
    for _ in range(2):
        rows = [(one.rule, one.sentence) for one in of_schemas(look("", yaml.safe_dump(ROUTE)))]
        assert rows == [
            ("unknown-field", "spec has no field hostt (text)"),
            ("schema", "spec has no host, which must be there"),
        ]
    assert sum("generate" in command for command in istioctl.commands) == 1
    # What is kept and is not what was written is made anew.
    [kept] = Path(f"{istioctl.state}/schemas").iterdir()
    kept.write_text("{}")
    assert len(of_schemas(look("", yaml.safe_dump(ROUTE)))) == 2
    assert sum("generate" in command for command in istioctl.commands) == 2


def test_another_istioctl_is_asked_again(look: Look, istioctl: FakeTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    look("", yaml.safe_dump(ROUTE))
    monkeypatch.setattr(store, "look", lambda *_: [store.Seen(True, "another", None)])
    look("", yaml.safe_dump(ROUTE))
    assert sum("generate" in command for command in istioctl.commands) == 2


def test_a_kind_that_this_istio_does_not_have(look: Look, istioctl: FakeTarget) -> None:
    typo = cart({"host": "a"}, "networking.istio.io/v1", "VirtualServices")
    [found] = of_schemas(look("", yaml.safe_dump_all([ROUTE | {"spec": {"host": "a"}}, typo])))
    assert found.sentence == "Istio 1.30.3 has no kind VirtualServices in networking.istio.io"
    assert found.hint.startswith("The nearest is VirtualService")


def test_an_istioctl_that_fails_is_said(look: Look, istioctl: FakeTarget) -> None:
    istioctl.answer("manifest generate", ProcessError("istioctl exited with 1: no", command=(), output="", code=1))
    found = look("", yaml.safe_dump(ROUTE))
    assert of_schemas(found) == []
    assert "the schemas of Istio's kinds: istioctl exited with 1: no" in found.skipped


def test_where_the_api_server_was_asked_schemas_say_nothing_more(look: Look, istioctl: FakeTarget) -> None:
    session = FakeSession()
    assert of_schemas(look("", yaml.safe_dump(ROUTE), session=session)) == []
    session.failing["try VirtualService"] = ApiError("no namespace", status=404, body={"reason": "NotFound"})
    assert len(of_schemas(look("", yaml.safe_dump(ROUTE), session=session))) == 2


def test_without_the_release_of_the_gateway_api_that_is_said(look: Look) -> None:
    route = cart({}, "gateway.networking.k8s.io/v1", "HTTPRoute")
    found = look("", yaml.safe_dump(route))
    assert any(
        one.startswith("the schemas of the Gateway API's kinds: the release 1.5.0 (standard) is not on this machine")
        for one in found.skipped
    )


def test_a_release_that_was_fetched_before_is_used(look: Look, host: FakeTarget) -> None:
    kept = {"x": crd("gateway.networking.k8s.io", "HTTPRoute")}
    host.write(f"{host.state}/gateway-api/1.5.0-standard.json", json.dumps(kept).encode())
    found = look("", yaml.safe_dump(cart({"host": 5}, "gateway.networking.k8s.io/v1", "HTTPRoute")))
    assert [one.sentence for one in of_schemas(found)] == ["spec.host is a whole number, it must be text"]


def test_crds_that_others_keep_are_not_guessed(look: Look, project: Project, host: FakeTarget) -> None:
    route = cart({"host": 5}, "gateway.networking.k8s.io/v1", "HTTPRoute")
    look("", yaml.safe_dump(route))
    text = (project.root / "group_data" / "all.yaml").read_text()
    never = text.replace("hub: docker.io/istio", "hub: docker.io/istio, gateway_api: {crds: never}")
    (project.root / "group_data" / "all.yaml").write_text(never)
    found = validate(host, load(project, "lab").env)
    assert of_schemas(found) == []
    assert (
        "the schemas of the Gateway API's kinds: istio.gateway_api.crds is never, so others keep the CRDs"
        in found.skipped
    )


def test_a_schema_that_says_nothing_of_maps_says_so_below() -> None:
    schema = translated({"type": "object", "properties": {"m": {"type": "object", "additionalProperties": True}}})
    unknown: list[Unknown] = []
    assert fitted({"m": {"a": 1, "b": {"c": 1}}}, schema, unknown) == {"m": {"a": 1, "b": {}}}
    assert [one.path for one in unknown] == [("m", "b", "c")]


def test_a_thousand_objects_take_a_moment() -> None:
    schema = translated(SCHEMA)
    routes = [{"name": str(n), "exact": "a"} for n in range(3)]
    whole = cart({"host": "a", "mode": "SIMPLE", "port": 80, "labels": {"x": "y"}, "routes": routes})
    began = time.process_time()
    for _ in range(1000):
        unknown: list[Unknown] = []
        assert list(wrong(fitted(whole, schema, unknown), schema)) == []
        assert unknown == []
    assert time.process_time() - began < 10


WHOLE_SPEC: dict[str, Any] = {
    **SPEC,
    # But for what made values do not keep to.
    "properties": {
        name: {key: value for key, value in each.items() if key not in ("maxLength", "x-kubernetes-list-type")}
        for name, each in SPEC["properties"].items()
        if name not in ("port", "address")
    },
}


@settings(max_examples=50)
@given(value=generated.values(WHOLE_SPEC), name=st.text("xyz", min_size=1))
def test_what_fits_a_schema_fits_and_one_more_field_does_not(value: dict[str, Any], name: str) -> None:
    schema = translated(WHOLE_SPEC)
    unknown: list[Unknown] = []
    assert not list(wrong(fitted(value, schema, unknown), schema))
    assert not unknown
    fitted({**value, name: 1}, schema, unknown)
    assert [one.path for one in unknown] == [(name,)]


INSTALLED = sorted((examples.ROOT / ".meshwright" / "bin").glob("istioctl-*/istioctl"))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the schemas of the installed istioctl are kept from test to test."""
    return tmp_path_factory.mktemp("schemas")


@pytest.fixture
def real(project: Project, kept: Path) -> Callable[[str], Validated]:
    """Validates resources with the istioctl that is installed here."""
    if not INSTALLED:
        pytest.skip("no istioctl is installed in .meshwright/bin: `make demo` does that")
    version = INSTALLED[-1].parent.name.removeprefix("istioctl-")
    (project.root / ".meshwright").mkdir(exist_ok=True)
    (project.root / ".meshwright" / "bin").symlink_to(examples.ROOT / ".meshwright" / "bin")
    (project.root / ".meshwright" / "schemas").symlink_to(kept)
    (project.root / "lab").symlink_to(examples.ROOT / "lab")
    (project.root / "inventory" / "lab.py").touch()
    values = f"istio: {{version: {version}, hub: docker.io/istio}}\nbookinfo: {{enabled: false}}\n"
    (project.root / "group_data" / "all.yaml").write_text(
        "cluster: {kind: existing, context: c}\ntools: {k3d: 5.9.0, kubectl: 1.35.4}\n" + values
    )

    def validated(resources: str, manifests: str = "") -> Validated:
        (project.root / "m.yaml").write_text(manifests)
        (project.root / "group_data" / "lab.yaml").write_text(resources)
        return validate(Local(project, lambda _: None), load(project, "lab").env)

    return validated


@pytest.mark.parametrize("page", examples.pages())
def test_the_worked_examples_hold_to_the_real_schemas(real: Any, project: Project, page: str) -> None:
    examples.put_files(project.root, page)
    spaces = "namespaces: {bookinfo: {}, shop: {}}\n"
    found = real(spaces + examples.example(page))
    assert of_schemas(found) == []
    assert not [one for one in found.skipped if "Istio's kinds" in one]


def test_the_real_schemas_find_what_is_wrong(real: Any) -> None:
    spec = {"hosts": ["a.shop.svc.cluster.local"], "http": [{"rout": [], "timeout": 5, "match": [{"uri": {}}]}]}
    filtering = {"configPatches": [{"applyTo": "HTTP_FILTERS", "patch": {"value": {"anything": [{"goes": 1}]}}}]}
    rule = {"host": "a.shop.svc.cluster.local", "trafficPolicy": {"loadBalancer": {"simple": "RANDOM", "warmup": 1}}}
    manifests = [
        cart(spec, "networking.istio.io/v1", "VirtualService"),
        cart(filtering, "networking.istio.io/v1alpha3", "EnvoyFilter"),
        cart(rule, "networking.istio.io/v1beta1", "DestinationRule"),
    ]
    ran = real("namespaces: {shop: {}}\nresources: {manifests: [m.yaml]}\n", yaml.safe_dump_all(manifests))
    assert "what istioctl analyze says: it cannot read what the schemas refuse: mend that first" in ran.skipped
    found = of_schemas(ran)
    assert [(one.rule, one.sentence) for one in found] == [
        ("unknown-field", "spec.http[0] has no field rout (a list)"),
        ("schema", "spec.http[0].timeout is a whole number, it must be text"),
        ("schema", "spec.configPatches[0].applyTo is text that is not allowed"),
        ("schema", "spec.trafficPolicy.loadBalancer.warmup is a whole number, it must be a mapping"),
    ]
    assert found[0].hint.startswith("The nearest is route")
    assert found[2].hint.startswith("The nearest is HTTP_FILTER")
