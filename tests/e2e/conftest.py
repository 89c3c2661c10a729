"""The lab, brought up once per run in a project folder of the tests' own (with a space in its path).

What was built in the checkout (images, tools) is used from there, and so is its engine; the cluster is another one, so
that a demo beside it is left alone.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from driver import Driver, Ran, build, clean, prepare

from meshwright import cluster, kube
from meshwright.environment import Environment, load
from meshwright.project import Project
from meshwright.target import Local


def _why_not_here() -> str:
    if sys.platform != "linux":
        return "the lab needs Linux"
    if os.geteuid() != 0:
        return "the lab runs its own dockerd, which needs root"
    return ""


@pytest.fixture(scope="session")
def built() -> None:
    """The lab's engine, images and tools, in the checkout."""
    why = _why_not_here()
    if why:
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    build()


@pytest.fixture(scope="session")
def driver(built: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    """A project folder with the environment `lab`, not yet brought up; its clusters are deleted at the end.

    Whoever writes tests names a folder in MESHWRIGHT_LAB: it and its clusters stay, and the next run begins with them.
    """
    kept = os.environ.get("MESHWRIGHT_LAB")
    if kept:
        yield prepare(Path(kept))
        return
    driver = prepare(tmp_path_factory.mktemp("e2e"))
    yield driver
    clean(driver)


@dataclass(frozen=True)
class Lab:
    """The lab, up: how it came up, and a session with it."""

    driver: Driver
    first: Ran
    seconds: float
    target: Local
    env: Environment
    session: kube.Session


@pytest.fixture(scope="session")
def lab(driver: Driver) -> Iterator[Lab]:
    """The environment `lab`, brought up by `meshwright apply lab --yes`."""
    (driver.home / ".kube" / "config").write_text("# the user's own; nobody writes here\n")
    started = time.monotonic()
    first = driver.meshwright("apply", "lab", "--yes", timeout=900)
    seconds = time.monotonic() - started
    assert first.code == 0, first.err + first.out
    project = Project(driver.root)
    target, env = Local(project), load(project, "lab").env
    for name, value in driver.environ.items():
        if name == "DOCKER_HOST":
            os.environ[name] = value
    session = cluster.session(target, env)
    assert session is not None
    yield Lab(driver, first, seconds, target, env, session)
    target.close()


@pytest.fixture(scope="session")
def more_images(lab: Lab) -> Lab:
    """The lab, its nodes with the images that only tests need (the bundle `tests` in meshwright.lab.recipes)."""
    ran = lab.driver.meshwright("apply", "lab", "lab_tests", "--yes", timeout=1800)
    assert ran.code == 0, ran.err + ran.out
    return lab


def _namespace(lab: Lab, name: str) -> Iterator[str]:
    lab.session.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    lab.session.delete("v1", "Namespace", name)


@pytest.fixture
def scratch(lab: Lab) -> Iterator[str]:
    """A namespace of the test's own, deleted afterwards."""
    yield from _namespace(lab, f"scratch-{os.getpid()}-{time.monotonic_ns() % 10**6}")


@pytest.fixture(scope="module")
def space(lab: Lab, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for all tests of a file. One that goes away takes objects out of the next test's plan."""
    stem = Path(request.path).stem.removeprefix("test_").replace("_", "-")
    yield from _namespace(lab, f"{stem}-{os.getpid()}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What breaks things on purpose comes after what looks at them whole, whatever the files are called."""
    first = ["test_bring_up", "test_ingress", "test_checks"]
    # The root of the mesh is changed and put back there.
    last = ["test_certs_read", "test_certs_modes", "test_repair", "test_faults", "test_kill", "test_destroy"]

    def place(item: pytest.Item) -> tuple[int, int]:
        stem = Path(item.fspath).stem
        if stem in first:
            return 0, first.index(stem)
        return (2, last.index(stem)) if stem in last else (1, 0)

    items.sort(key=place)
