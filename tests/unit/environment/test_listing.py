from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meshwright.environment import Environment, Loaded, load, show
from meshwright.project import Project


def test_every_value_has_its_source(project: Callable[..., Project], k3d: str) -> None:
    shown = show(load(project(k3d + "protected: false\nistio: {values: {a: ['1.30', {b: no way}]}}\n"), "lab"))
    assert shown.lines == (
        "protected: false                   # group_data/lab.yaml:4",
        "limits:",
        "  deletions: 10                    # default",
        "  changes: 100                     # default",
        "  restarts: 10                     # default",
        "hosts:",
        '  - name: "@local"                 # default',
        "engine:",
        "  kind: auto                       # default",
        "cluster:",
        "  kind: k3d                        # group_data/lab.yaml:2",
        "  name: auto                       # default",
        "  image: example.test/k3s:1        # group_data/lab.yaml:3",
        "  servers: 1                       # default",
        "  agents: 0                        # default",
        "  loadbalancer: true               # default",
        "  api_port: auto                   # default",
        "  registries: {}                   # default",
        "  volumes: []                      # default",
        "  disable:",
        "    - traefik                      # default",
        "  k3s_args: []                     # default",
        "  timeout: 300                     # default",
        "tools:",
        "  k3d: 5.9.0                       # group_data/all.yaml:1",
        "  kubectl: 1.35.4                  # group_data/all.yaml:1",
        "istio:",
        "  version: 1.30.3                  # group_data/all.yaml:2",
        "  hub: docker.io/istio             # group_data/all.yaml:2",
        "  profile: default                 # default",
        "  namespace: istio-system          # default",
        "  components: {}                   # default",
        "  meshConfig: {}                   # default",
        "  values:",
        "    a:",
        '      - "1.30"                     # group_data/lab.yaml:5',
        '      - b: "no way"                # group_data/lab.yaml:5',
        "  gateway_api:",
        "    crds: auto                     # default",
        "    channel: standard              # default",
        "  timeout: 300                     # default",
        "namespaces:",
        "  bookinfo:",
        "    injection: enabled             # group_data/all.yaml:4",
        "    labels: {}                     # default",
        "ingress:",
        "  namespace: istio-system          # default",
        "  service: istio-ingressgateway    # default",
        "  deadline: 60                     # default",
        "  ports: []                        # default",
        "bookinfo:",
        "  enabled: true                    # default",
        "  namespace: bookinfo              # default",
        "  timeout: 300                     # default",
        "addons:",
        "  timeout: 300                     # default",
        "resources:",
        "  manifests: []                    # default",
        "  allow_empty: false               # default",
        "certs:",
        "  root_days_warn: 365              # default",
        "  root_days_fail: 90               # default",
        "  ca_days_warn: 60                 # default",
        "  ca_days_fail: 30                 # default",
        "  gateway_days_warn: 21            # default",
        "  gateway_days_fail: 7             # default",
        "  leaf_percent_warn: 40            # default",
        "  leaf_percent_fail: 10            # default",
        "  backup:",
        "    recipients: []                 # default",
        '    folder: ".meshwright/backups"  # default',
        "  vms: {}                          # default",
    )
    assert shown.values["istio"]["values"] == {"a": ["1.30", {"b": "no way"}]}
    assert shown.sources["istio.values.a[1].b"] == "group_data/lab.yaml:5"
    assert shown.sources["bookinfo.hub"] == "default"


@pytest.mark.parametrize("name", ["dev", "lab", "staging", "prod"])
def test_what_is_shown_is_the_same_environment(project: Callable[..., Project], shipped: Project, name: str) -> None:
    loaded = load(shipped, name)
    lines = show(loaded).lines
    again = load(project("\n".join(lines), "{}\n", name=name), name)
    assert again.env.model_dump() == loaded.env.model_dump()


def test_what_a_file_sets_to_null_is_shown(shipped: Project) -> None:
    [line] = [line for line in show(load(shipped, "prod")).lines if "uid" in line]
    assert line.split() == ["uid:", "null", "#", "group_data/prod.yaml:10"]


NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=12) | st.text(alphabet="0123456789.:-_eEyn@/~# ", max_size=6)
VALUES = st.recursive(
    st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=4))
def test_lines_are_yaml_of_the_values(values: dict[str, Any]) -> None:
    env = Environment.model_validate(
        {
            "name": "lab",
            "cluster": {"kind": "existing", "context": "c"},
            "tools": {"k3d": "1.2.3", "kubectl": "1.2.3"},
            "istio": {"version": "1.2.3", "hub": "h", "values": values},
        }
    )
    shown = show(Loaded(env, {}, {}))
    assert yaml.safe_load("\n".join(shown.lines))["istio"]["values"] == values
    assert all("\n" not in line for line in shown.lines)
