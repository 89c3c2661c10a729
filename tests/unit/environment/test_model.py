from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from meshwright.environment import Environment, cluster_name, load
from meshwright.project import Project

UID = "1b4f0e98-5c1a-4a0c-9d2e-0123456789ab"


def environment(cluster: dict[str, Any], **values: Any) -> Environment:
    tools, istio = {"k3d": "1.2.3", "kubectl": "1.2.3"}, {"version": "1.2.3", "hub": "h"}
    return Environment.model_validate({"name": "lab", "cluster": cluster, "tools": tools, "istio": istio, **values})


@pytest.mark.parametrize(
    ("protected", "pins", "missing"),
    [
        (True, {}, ("cluster.uid", "cluster.ca_sha256")),
        (True, {"uid": UID}, ("cluster.ca_sha256",)),
        (True, {"ca_sha256": "0" * 64}, ("cluster.uid",)),
        (True, {"uid": UID, "ca_sha256": "0" * 64}, ()),
        (False, {}, ()),
    ],
)
def test_a_protected_environment_is_pinned_by_hand(
    protected: bool, pins: dict[str, str], missing: tuple[str, ...]
) -> None:
    env = environment({"kind": "existing", "context": "c", **pins}, protected=protected)
    assert env.unpinned == missing


def test_an_environment_is_constant() -> None:
    env = environment({"kind": "existing", "context": "c"})
    with pytest.raises(ValidationError):
        env.protected = True


def test_nothing_is_coerced() -> None:
    with pytest.raises(ValidationError):
        environment({"kind": "k3d", "image": "a:1", "servers": "1"})


@pytest.mark.parametrize(
    ("image", "good"),
    [
        ("a:1", True),
        ("localhost:5000/a:1", True),
        ("a@sha256:" + "0" * 64, True),
        ("a:1@sha256:" + "0" * 64, True),
        ("a", False),
        ("localhost:5000/a", False),
        ("a:", False),
        ("a b:1", False),
        ("a@sha256:1", False),
    ],
)
def test_images_are_pinned(image: str, good: bool) -> None:
    try:
        environment({"kind": "k3d", "image": image})
    except ValidationError:
        assert not good
    else:
        assert good


def test_the_name_of_a_cluster(project: Callable[..., Project], k3d: str) -> None:
    there = project(k3d)
    assert cluster_name(load(there, "lab").env, there) == f"mw-lab-{there.digest}"
    there = project(k3d + "  name: mine\n")
    assert cluster_name(load(there, "lab").env, there) == "mine"


def test_the_longest_name_of_a_cluster_is_what_k3d_takes(project: Callable[..., Project], k3d: str) -> None:
    there = project(k3d, name="a" * 20)
    assert len(cluster_name(load(there, "a" * 20).env, there)) == 32


def test_an_existing_cluster_has_no_name(shipped: Project) -> None:
    with pytest.raises(TypeError):
        cluster_name(load(shipped, "prod").env, shipped)
