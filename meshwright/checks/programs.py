"""The command line tools: each is asked for its version itself."""

from __future__ import annotations

from collections.abc import Callable

from meshwright import tools
from meshwright.check import Check, Failed
from meshwright.environment import Environment
from meshwright.target import Target
from meshwright.tools import pathtool, table

__all__ = ["CHECKS"]


def _asks(name: str) -> Callable[[Target, Environment], str]:
    def find(target: Target, env: Environment) -> str:
        wanted = table.wanted(env)[name]
        path = tools.installed(target, env, name)
        if path is None:
            raise Failed(f"{name} {wanted} is not installed on {target.name}")
        said = pathtool.asked(target, table.TOOLS[name], path)
        if said != wanted:
            raise Failed(f"{path} says that it is {said}, {wanted} is wanted")
        return said

    return find


def _needed(name: str) -> Callable[[Environment], bool]:
    return lambda env: name in table.wanted(env)


CHECKS = tuple(
    Check(
        group="tools",
        claim=f"{name} is the version that the environment pins",
        find=_asks(name),
        anchor=f"{name}-version",
        hint="Run `meshwright apply {env.name} tools`",
        applies=_needed(name),
    )
    for name in table.TOOLS
)
