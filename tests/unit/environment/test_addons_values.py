"""The values of addons: what is refused, in which sentence, and which addons are on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from meshwright.environment import BadValues, load
from meshwright.environment.exposing import RULES
from meshwright.project import Project

PATHS = "group_data/lab.yaml"
EXPOSED = "host: kiali.test.example, credential: c, authentication: {kind: none}"


def problems(project: Callable[..., Project], k3d: str, addons: str) -> list[tuple[str, str]]:
    with pytest.raises(BadValues) as caught:
        load(project(f"{k3d}addons: {addons}\n"), "lab")
    return [(problem.sentence, problem.hint) for problem in caught.value.problems]


def test_an_addon_is_off_until_it_is_named(project: Callable[..., Project], k3d: str) -> None:
    assert list(load(project(k3d), "lab").env.addons.on()) == []
    on = load(
        project(f"{k3d}addons: {{kiali: {{}}, grafana: {{enabled: false}}, prometheus: {{}}}}\n"), "lab"
    ).env.addons
    assert [name for name, _ in on.on()] == ["prometheus", "kiali"]
    assert on.sampled
    assert on.get("grafana") is None


def test_an_addon_that_there_is_none_of_is_refused_with_the_nearest(project: Callable[..., Project], k3d: str) -> None:
    [(sentence, _)] = problems(project, k3d, "{kialli: {}}")
    assert sentence.startswith(
        "addons.kialli is not a known key; the nearest is kiali; known here: prometheus, grafana"
    )


def test_an_exposure_says_who_is_let_in(project: Callable[..., Project], k3d: str) -> None:
    [(sentence, _)] = problems(project, k3d, "{kiali: {exposure: {host: k.example.com, credential: c}}}")
    assert sentence == "addons.kiali.exposure.authentication is missing; it must be a mapping"


@pytest.mark.parametrize(
    "host", ["kiali", "*.example.com", "https://kiali.example.com", "kiali.example.com:443", "K.example.com"]
)
def test_a_domain_is_a_whole_name(project: Callable[..., Project], k3d: str, host: str) -> None:
    exposure = f"{{host: '{host}', credential: c, authentication: {{kind: none}}}}"
    [(sentence, _)] = problems(project, k3d, f"{{kiali: {{exposure: {exposure}}}}}")
    assert "it must be a host name with a dot, such as kiali.example.com" in sentence


@pytest.mark.parametrize(
    ("values", "rule", "sentence"),
    [
        (
            "addons: {kiali: {}}\nistio: {namespace: mesh}\n",
            0,
            f"addons.kiali has no manifests, which does not go with mesh in istio.namespace ({PATHS}:5)",
        ),
        (
            f"addons: {{kiali: {{exposure: {{{EXPOSED}}}}}, grafana: {{exposure: {{{EXPOSED}}}}}}}\n",
            1,
            f"addons.kiali.exposure.host is kiali.test.example, the same as addons.grafana.exposure.host ({PATHS}:4)",
        ),
        (
            "addons: {kiali: {exposure: {host: a.example.com, credential: c, authentication: "
            "{kind: jwt, issuer: i, jwks: '{}', jwks_uri: u}}}}\n",
            2,
            "addons.kiali.exposure.authentication.jwks is given beside "
            f"addons.kiali.exposure.authentication.jwks_uri ({PATHS}:4)",
        ),
    ],
)
def test_rules(project: Callable[..., Project], k3d: str, values: str, rule: int, sentence: str) -> None:
    with pytest.raises(BadValues) as caught:
        load(project(k3d + values), "lab")
    [problem] = caught.value.problems
    assert problem.sentence == sentence
    assert problem.hint == RULES[rule].says
