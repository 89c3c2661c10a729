"""Targets over pyinfra's connectors."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from pyinfra.connectors.local import LocalConnector

from meshwright.errors import BadInput
from meshwright.operations.connector import target_of
from meshwright.project import Project
from meshwright.target import Local


def test_local_is_this_machine(project: Project) -> None:
    connector = LocalConnector.__new__(LocalConnector)
    found = target_of(SimpleNamespace(connector=connector, name="@local"), project)
    assert isinstance(found, Local)
    assert found.project == project


def test_another_connector_is_bad_input(project: Project) -> None:
    with pytest.raises(BadInput) as caught:
        target_of(SimpleNamespace(connector=SimpleNamespace(), name="@docker/x"), project)
    assert caught.value.message == "@docker/x is reached by SimpleNamespace, which Meshwright does not know"
    assert caught.value.hint == "Use @local or a host behind SSH"
