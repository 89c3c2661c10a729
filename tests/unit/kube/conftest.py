"""A session with an API server of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fakeapi import Authority, FakeApi, write_config

from meshwright.kube import Session
from meshwright.kube.kubeconfig import load
from meshwright.project import Project
from meshwright.target import Local


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority("cluster-ca")


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Local]:
    target = Local(Project(tmp_path))
    yield target
    target.close()


@pytest.fixture
def api(authority: Authority, tmp_path: Path) -> Iterator[FakeApi]:
    api = FakeApi(*authority.issue("kube-apiserver"), authority.pem, tmp_path)
    yield api
    api.close()


Connect = Callable[..., Session]


@pytest.fixture
def connect(api: FakeApi, authority: Authority, target: Local, tmp_path: Path) -> Iterator[Connect]:
    """Makes a session with `api`; keywords change the kubeconfig."""
    made = []

    def connect(user: dict[str, Any] | None = None, timeout: float = 5, **cluster: Any) -> Session:
        path = write_config(tmp_path, cluster.pop("server", api.url), cluster.pop("ca", authority.pem), user, **cluster)
        made.append(Session(load(target, str(path), "lab"), target, timeout))
        return made[-1]

    yield connect
    for session in made:
        session.close()
