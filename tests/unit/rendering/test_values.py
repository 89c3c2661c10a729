"""Any values whatever: what is rendered is what was written, and what cannot be right is told with its place."""

from __future__ import annotations

import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from meshwright import rendering
from meshwright.environment import BadValues, Environment
from meshwright.environment.mesh.egress import Egress
from meshwright.environment.mesh.rate_limit import RateLimit
from meshwright.environment.mesh.resources import GatewayApi, MeshEnvironment, MeshResources
from meshwright.environment.mesh.words import MeshObject
from meshwright.environment.types import Type, _bare, _branches
from meshwright.errors import BadInput
from meshwright.project import Project
from meshwright.rendering.hosts import completed

Load = Callable[..., Environment]
FILE = "group_data/lab.yaml"
# Text that YAML, JSON or Jinja2 take for something else somewhere.
AWKWARD = [
    "no",
    "1e3",
    "0644",
    "~",
    "2026-01-01",
    "{{ x }}",
    "{% if %}",
    "a: b",
    "# c",
    "'\"\\",
    "\u2028\x85\ufeff",
    "😀",
]
TEXT = st.one_of(st.sampled_from(AWKWARD), st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12))
# What a template makes of these is more than the values.
BUNDLES = ("credentials", "egress", "rate_limits", "secrets")


def values(at: Type) -> st.SearchStrategy[Any]:
    """Values of a type of the model, as a file would have them."""
    return st.one_of([_values(branch) for branch in branches(at)])


def branches(at: Type) -> list[Type]:
    """The branches of a union, also where words describe it as a whole."""
    if get_origin(at.bare) in (Union, types.UnionType):
        return [inner for branch in get_args(at.bare) for inner in branches(_bare(branch))]
    return [at]


def limits(at: Type) -> dict[str, Any]:
    return {
        name: getattr(item, name)
        for item in at.beside
        for name in ("ge", "le", "pattern", "min_length")
        if getattr(item, name, None) is not None
    }


def _values(at: Type) -> st.SearchStrategy[Any]:
    bare, found = at.bare, limits(at)
    if get_origin(bare) is Literal:
        return st.sampled_from(get_args(bare))
    if get_origin(bare) is list:
        return st.lists(values(_bare(get_args(bare)[0])), min_size=found.get("min_length", 0), max_size=2)
    if get_origin(bare) is dict:
        key, value = map(_bare, get_args(bare))
        return st.dictionaries(values(key), values(value), max_size=2)
    if isinstance(bare, type) and issubclass(bare, BaseModel):
        return mapping(bare)
    if bare is str:
        return st.from_regex(found["pattern"], fullmatch=True).filter(short) if "pattern" in found else TEXT
    if bare is int:
        return st.integers(found["ge"], found["le"])
    if bare is float:
        return st.integers(int(found["ge"]), int(found["le"])) | st.floats(found["ge"], found["le"])
    if bare is bool:
        return st.booleans()
    assert bare in (types.NoneType, Any), bare
    return st.none() if bare is types.NoneType else st.just({"kind": "X"})


def short(text: str) -> bool:
    return len(text) <= 60 and "\n" not in text


def mapping(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """A mapping with the keys that must be there and some of the others."""
    needed, others = {}, {}
    for name, field in model.model_fields.items():
        if name in ("labels", "annotations") and issubclass(model, MeshObject):
            continue
        one = values(_bare(field.annotation, tuple(field.metadata)))
        (needed if field.is_required() else others)[field.alias or name] = st.deferred(lambda one=one: one)
    return st.fixed_dictionaries(needed, optional=others)


def without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_null(inner) for key, inner in value.items() if inner is not None}
    return [without_null(inner) for inner in value] if isinstance(value, list) else value


def objects() -> list[tuple[tuple[str, ...], type[BaseModel]]]:
    """Where objects stand in the values, and their models; those that are rendered as they are."""
    found = []
    for model, path in ((MeshResources, ()), (GatewayApi, ("gateway_api",))):
        for name, field in model.model_fields.items():
            at = _bare(field.annotation)
            if get_origin(at.bare) is dict and name not in BUNDLES:
                found.append(((*path, name), _branches(_bare(get_args(at.bare)[1]))[0].bare))
    return found


def test_all_kinds_but_the_bundles_are_tried() -> None:
    assert len(objects()) == 15


def environment_with(resources: Any) -> MeshEnvironment:
    rest = {
        "name": "lab",
        "cluster": {"kind": "existing", "context": "c"},
        "tools": {"k3d": "1.2.3", "kubectl": "1.2.3"},
        "istio": {"version": "1.30.3", "hub": "h"},
    }
    return MeshEnvironment.model_validate({**rest, "resources": resources}, by_alias=True, by_name=False)


@pytest.mark.parametrize(("path", "model"), objects(), ids=[".".join(path) for path, _ in objects()])
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_is_rendered_is_what_was_written(
    project: Project, path: tuple[str, ...], model: type[BaseModel], data: st.DataObject
) -> None:
    spec = data.draw(mapping(model))
    resources: Any = {"shop/it": spec}
    for part in reversed(path):
        resources = {part: resources}
    env = environment_with(resources)
    [made] = rendering.rendered(project, env)
    wanted = without_null(spec)
    if path[-1] in ("virtual_services", "destination_rules"):
        wanted = completed(wanted, "shop", "cluster.local")
    wanted = {**defaults(path), **wanted}
    assert (made.obj["spec"] or {}) == wanted
    assert made.obj["metadata"] == {"name": "it", "namespace": "shop"}


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(spec=mapping(RateLimit))
def test_a_rate_limit_has_a_patch_for_each_part_with_the_names_as_they_were_written(
    project: Project, spec: dict[str, Any]
) -> None:
    [made] = rendering.rendered(project, environment_with({"rate_limits": {"shop/it": spec}}))
    wanted = without_null(spec)
    routes = wanted.get("routes", [])
    patches = made.obj["spec"]["configPatches"] or []
    local = "local" in wanted or any("local" in route for route in routes)
    assert len(patches) == 2 * ("service" in wanted) + local + len(routes)
    for patch, route in zip(patches[len(patches) - len(routes) :], routes, strict=True):
        vhost = patch["match"]["routeConfiguration"]["vhost"]
        assert (vhost["name"], vhost.get("route", {}).get("name")) == (route["vhost"], route.get("route"))
        assert patch["applyTo"] == ("HTTP_ROUTE" if "route" in route else "VIRTUAL_HOST")
    for patch in patches:
        assert patch["match"]["proxy"]["proxyVersion"] == wanted.get("proxy_version", r"^1\.30[.-].*")
    assert made.obj["spec"]["workloadSelector"]["labels"] == wanted.get("workload", {"istio": "ingressgateway"})


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(spec=mapping(Egress))
def test_egress_leads_from_the_sidecars_to_the_gateway_and_from_there_out(
    project: Project, spec: dict[str, Any]
) -> None:
    rendered = rendering.rendered(project, environment_with({"egress": {"shop/it": spec}}))
    made = {manifest.obj["kind"]: manifest.obj["spec"] for manifest in rendered}
    wanted = without_null(spec)
    first, second = made["VirtualService"]["http" if spec["protocol"] == "HTTP" else "tls"]
    gateway = wanted.get("gateway", {}).get("host", "istio-egressgateway.istio-system.svc.cluster.local")
    assert [route["route"][0]["destination"]["host"] for route in (first, second)] == [gateway, spec["host"]]
    assert first["match"][0]["port"] == spec["port"]
    inner = first["route"][0]["destination"]["port"]["number"]
    assert second["match"][0]["port"] == inner == made["Gateway"]["servers"][0]["port"]["number"]
    outer = wanted.get("tlsPort", 443) if wanted.get("originateTls") else spec["port"]
    assert second["route"][0]["destination"]["port"]["number"] == outer
    assert outer in [port["number"] for port in made["ServiceEntry"]["ports"]]
    assert ("DestinationRule" in made) is bool(wanted.get("originateTls"))


def defaults(path: tuple[str, ...]) -> dict[str, Any]:
    return {
        ("gateways",): {"selector": {"istio": "ingressgateway"}},
        ("gateway_api", "gateways"): {"gatewayClassName": "istio"},
    }.get(path, {})


TEMPLATE = "templates/peer_authentication.yaml.j2"
SERVER = 'resources.gateways["shop/public"].servers[0]'
HTTP = 'resources.virtual_services["shop/a"].http[0]'
HOST = "such as reviews.shop.svc.cluster.local or *.example.com, without scheme, port and path"
GATEWAY = "resources:\n  gateways:\n    shop/public:\n      servers:\n"
ROUTE = "resources:\n  virtual_services:\n    shop/a:\n      hosts: [a.example.com]\n      http:\n"


@pytest.mark.parametrize(
    ("text", "place", "sentence"),
    [
        (
            GATEWAY + '      - {port: {number: "80", name: http, protocol: HTTP}, hosts: [a.example.com]}',
            "5:25",
            f'{SERVER}.port.number is "80"; it must be a whole number from 1 to 65535',
        ),
        (
            GATEWAY + "      - {port: {number: 80, name: http, protocol: HTTP}, hosts: ['https://a.example.com']}",
            "5:66",
            f"{SERVER}.hosts[0] is 'https://a.example.com'; it must be a host, or NAMESPACE/HOST; the host {HOST}",
        ),
        (
            ROUTE + "      - {route: [{destination: {host: bücher.example.com}}]}",
            "6:39",
            f"{HTTP}.route[0].destination.host is bücher.example.com; it must be a host, {HOST}",
        ),
        (
            ROUTE + "      - {route: [{destination: {host: b, sbuset: v1}}]}",
            "6:42",
            f"{HTTP}.route[0].destination.sbuset is not a known key; the nearest is subset; "
            "known here: host, subset, port",
        ),
        (
            ROUTE + "      - {route: [{destination: {host: b}}], timeout: 5}",
            "6:54",
            f"{HTTP}.timeout is 5, which YAML reads as a number; it must be a time "
            "longer than nothing with its unit, such as 500ms, 2s or 1m30s or null",
        ),
        (
            ROUTE + "      - {match: [{headers: {x-a: {exact: no}}}], route: [{destination: {host: b}}]}",
            "6:42",
            'resources.virtual_services["shop/a"].http[0].match[0].headers.x-a.exact is no, which some readers of YAML '
            "take for false and others for text",
        ),
        (
            ROUTE + "      - {route: [{destination: {host: b}, weight: 60}, {destination: {host: c}, weight: 39}]}",
            "6:10",
            'the weights of resources.virtual_services["shop/a"].http[0].route add up to 99',
        ),
        (
            ROUTE + "      - {route: [{destination: {host: b}}], redirect: {uri: /}}",
            "6:45",
            'resources.virtual_services["shop/a"].http[0].redirect does not go with '
            f'resources.virtual_services["shop/a"].http[0].route ({FILE}:6)',
        ),
        (
            "resources: {gateways: {public: {servers: []}}}",
            "1:24",
            "the key resources.gateways.public must be NAMESPACE/NAME of the object, such as shop/reviews",
        ),
        (
            "resources: {credentials: {shop/a: {kind: fiel}}}",
            "1:42",
            'resources.credentials["shop/a"].kind is fiel; it must be reference, self_signed or cert_manager',
        ),
        (
            "resources: {secrets: {shop/a: {data: {password: hunter2}}}}",
            "1:49",
            'resources.secrets["shop/a"].data.password is text that is not shown here; it must be a reference, such as '
            "{file: PATH}; beside file there are age, sops, vault and env",
        ),
        (
            "resources: {secrets: {shop/a: {data: {password: {env: hunter-2}}}}}",
            "1:55",
            'resources.secrets["shop/a"].data.password.env is text that is not shown here; it must be the name of an '
            "environment variable, such as SHOP_PASSWORD or null",
        ),
        (
            "resources: {secrets: {shop/a: {data: hunter2}}}",
            "1:38",
            'resources.secrets["shop/a"].data is text that is not shown here; it must be a mapping of keys to '
            "references, at least one",
        ),
        (
            "resources: {secrets: {shop/a: {data: {b: {file: x, env: X}}}}}",
            "1:57",
            'resources.secrets["shop/a"].data.b.env does not go with '
            f'resources.secrets["shop/a"].data.b.file ({FILE}:1)',
        ),
        (
            "resources: {secrets: {shop/a: {data: {b: {}}}}}",
            "1:39",
            'resources.secrets["shop/a"].data.b must have file, age, sops, vault or env',
        ),
        (
            "resources: {secrets: {shop/a: {data: {b: {file: x, key: k}}}}}",
            "1:57",
            'resources.secrets["shop/a"].data.b.key is given without sops or vault beside it',
        ),
        (
            "resources: {secrets: {shop/a: {data: {b: {vault: a/b}}}}}",
            "1:50",
            'resources.secrets["shop/a"].data.b.vault is given without key beside it',
        ),
        (
            "resources: {secrets: {shop/a: {data: {b: {sops: x, identity: i}}}}}",
            "1:62",
            'resources.secrets["shop/a"].data.b.identity is given without age beside it',
        ),
        (
            "resources: {credentials: {shop/a: {kind: reference, certificate: {file: c}, key: {env: K}}}}",
            "1:88",
            'resources.credentials["shop/a"].key.env would keep a private key in an environment variable',
        ),
        (
            "resources: {credentials: {shop/a: "
            "{kind: reference, certificate: {file: c}, key: {file: k}, crl: {file: l}}}}",
            "1:93",
            'resources.credentials["shop/a"].crl is given without ca beside it',
        ),
    ],
)
def test_what_cannot_be_right_is_told_with_its_place(environment: Load, text: str, place: str, sentence: str) -> None:
    with pytest.raises(BadValues) as caught:
        environment(text + "\n")
    assert caught.value.problems[0].message == f"{FILE}:{place}: {sentence}"


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        ("https://a.example.com:443/x", "Write a.example.com"),
        ("a.example.com:80", "Write a.example.com"),
        ("*.bücher.example.com", "Write it as DNS has it: *.xn--bcher-kva.example.com"),
        # ß is another letter in DNS today than what the codec makes of it.
        ("straße.example.com", ""),
        ("a b", ""),
        ("http://", ""),
    ],
)
def test_a_host_that_is_none_is_told_what_was_meant(environment: Load, host: str, hint: str) -> None:
    with pytest.raises(BadValues) as caught:
        environment(f"resources: {{virtual_services: {{shop/a: {{hosts: ['{host}'], tcp: []}}}}}}\n")
    assert caught.value.problems[0].hint == hint


def test_a_private_key_is_refused_and_not_shown(environment: Load) -> None:
    key = "-----BEGIN EC PRIVATE KEY-----\\nMHcCAQEEIdonotshow"
    with pytest.raises(BadValues) as caught:
        environment(f'istio: {{values: {{a: "{key}"}}}}\nresources: {{gateways: {{"{key}": 1}}}}\n')
    for problem in caught.value.problems:
        assert "MHcC" not in problem.message + problem.hint
    assert "istio.values.a has a private key in it, which is not shown here" in caught.value.problems[0].message


def test_null_takes_away_what_all_environments_have(project: Project, environment: Load) -> None:
    shared = "resources: {peer_authentications: {shop/a: {mtls: {mode: STRICT}}, shop/b: {mtls: {mode: STRICT}}}}\n"
    env = environment("resources: {peer_authentications: {shop/a: null, shop/b: {mtls: {mode: PERMISSIVE}}}}\n", shared)
    [made] = rendering.rendered(project, env)
    assert made.obj["metadata"]["name"] == "b"
    assert made.obj["spec"] == {"mtls": {"mode": "PERMISSIVE"}}
    assert made.place == f"{FILE}:1"


def test_two_thousand_routes(project: Project, environment: Load) -> None:
    routes = "".join(
        f"      - {{match: [{{uri: {{prefix: /{n}/}}}}], route: [{{destination: {{host: s}}}}]}}\n" for n in range(2000)
    )
    [made] = rendering.rendered(project, environment(ROUTE + routes))
    assert [route["match"][0]["uri"]["prefix"] for route in made.obj["spec"]["http"]] == [f"/{n}/" for n in range(2000)]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: {{ nme }}", f"{TEMPLATE}:1: 'nme' is undefined"),
        (
            "a: {% if %}",
            "templates/peer_authentication.yaml.j2:1: Expected an expression, got 'end of statement block'",
        ),
        (
            "kind: X\nmetadata: {name: a}",
            f"{FILE}:1: {TEMPLATE} as rendered:1: apiVersion is missing or not text",
        ),
        (
            "a: [",
            f"{FILE}:1: {TEMPLATE} as rendered:1: this is not YAML: did not find expected node content",
        ),
    ],
)
def test_a_template_of_the_users_own_is_held_to_the_same(
    project: Project, environment: Load, text: str, sentence: str
) -> None:
    env = environment("resources: {peer_authentications: {shop/a: {mtls: {mode: STRICT}}}}\n")
    (project.root / "templates").mkdir()
    (project.root / "templates" / "peer_authentication.yaml.j2").write_text(text, encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        rendering.rendered(project, env)
    assert caught.value.message == sentence


def test_an_environment_without_objects_imports_none_of_this(tmp_path: Path) -> None:
    import subprocess
    import sys

    script = "import sys, meshwright.cli.plan; print('meshwright.environment.mesh.resources' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
