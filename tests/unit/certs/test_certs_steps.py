"""The looks as deploys: nothing to change, and a failure when something does not hold."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
from pki import make, self_signed
from releases import REPOSITORY

from meshwright import deploy
from meshwright.certs import steps
from meshwright.environment.certs import Certs
from meshwright.errors import MeshwrightError, Unreachable

DEPLOYS = sorted(path.stem for path in (REPOSITORY / "deploys").glob("certs_*.py") if hasattr(steps, path.stem[6:]))


def test_there_is_a_deploy_of_each() -> None:
    assert [f"certs_{name}" for name in sorted(steps.__all__)] == DEPLOYS


@pytest.mark.parametrize("name", DEPLOYS)
def test_a_deploy_has_one_step_that_only_checks(project: Any, name: str) -> None:
    shutil.copy(REPOSITORY / "deploys" / f"{name}.py", project.root / "deploys")
    [step] = deploy.load(project, name.replace("_", "-"))
    assert (step.check, step.name) == (True, name.replace("_", "-"))


@pytest.mark.parametrize("name", [name for name in sorted(steps.__all__) if name != "live"])
def test_what_holds_is_told(world: Any, host: Any, name: str) -> None:
    step = getattr(steps, name)
    plan = step.plan(host, world.env)
    assert plan.empty
    step.apply(host, world.env, plan)
    assert len(host.sentences) == 1


@pytest.mark.parametrize("name", ["check_root", "verify", "status"])
def test_what_does_not_hold_fails(world: Any, host: Any, name: str) -> None:
    short = make("cluster.local", days=(-3000, 30.5))
    world.session.put(self_signed(short))
    step = getattr(steps, name)
    with pytest.raises(MeshwrightError, match="does not hold") as caught:
        step.apply(host, world.env, step.plan(host, world.env))
    assert caught.value.hint
    assert len(host.sentences) > 1


def test_a_version_that_is_not_known_fails(world: Any, host: Any) -> None:
    world.pages["istiod-1", "/version"] = b"1.25.1-x"
    with pytest.raises(MeshwrightError, match=r"oldest version is 1\.25\.1-x"):
        steps.check_version.apply(host, world.env, steps.check_version.plan(host, world.env))


def test_a_silent_proxy_fails(world: Any, host: Any) -> None:
    for name in world.dumps:
        world.dumps[name] = Unreachable("no answer")
    with pytest.raises(MeshwrightError, match="0 of 5 proxies answered"):
        steps.live.apply(host, world.env, steps.live.plan(host, world.env))


def test_the_text_file_is_written_where_nothing_holds_too(world: Any, host: Any) -> None:
    short = make("cluster.local", days=(-3000, 30.5))
    world.session.put(self_signed(short))
    env = world.env.model_copy(update={"certs": Certs(textfile="m/x.prom")})
    with pytest.raises(MeshwrightError):
        steps.check_root.apply(host, env, steps.check_root.plan(host, env))
    assert 'meshwright_certs_check_ok{environment="lab"} 0' in (host.project.root / "m" / "x.prom").read_text()
