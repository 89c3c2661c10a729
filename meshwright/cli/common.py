"""What most commands need: the environment named on the command line, its hosts, and the common options."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from meshwright import deploy
from meshwright.environment import Environment, Loaded, load, names
from meshwright.environment.model import Host
from meshwright.errors import MeshwrightError
from meshwright.project import Project
from meshwright.target import Local, Target

__all__ = [
    "adopt_option",
    "deploy_argument",
    "environment_argument",
    "environments_argument",
    "json_option",
    "opened",
    "optional_environment_argument",
    "override_option",
    "places",
    "reason_option",
    "targets",
]

F = TypeVar("F", bound=Callable[..., Any])


def _complete_environment(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _completed(lambda project: list(dict.fromkeys([*project.environments, *names(project)])), incomplete)


def _complete_deploy(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    return _completed(deploy.names, incomplete)


def _completed(names: Callable[[Project], list[str]], incomplete: str) -> list[CompletionItem]:
    try:
        return [CompletionItem(name) for name in names(Project.find()) if name.startswith(incomplete)]
    except MeshwrightError:
        return []


def environment_argument(function: F) -> F:
    """The argument ENV."""
    return click.argument("environment", metavar="ENV", shell_complete=_complete_environment)(function)


def optional_environment_argument(function: F) -> F:
    """The argument ENV where it may be absent."""
    return click.argument("environment", metavar="[ENV]", required=False, shell_complete=_complete_environment)(
        function
    )


def environments_argument(function: F) -> F:
    """The argument ENV where there may be several, or none."""
    return click.argument("environments", metavar="[ENV]...", nargs=-1, shell_complete=_complete_environment)(function)


def deploy_argument(function: F) -> F:
    """The argument DEPLOY, `site` where it is absent."""
    return click.argument("deploy", metavar="[DEPLOY]", default="site", shell_complete=_complete_deploy)(function)


def json_option(function: F) -> F:
    """The option --json."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")(function)


def reason_option(function: F) -> F:
    """The option --reason."""
    return click.option("--reason", metavar="TEXT", default="", help="Why; kept in the record of this run.")(function)


def override_option(function: F) -> F:
    """The option --override."""
    return click.option(
        "--override", is_flag=True, help="Do it although the environment's windows are closed; needs --reason."
    )(function)


def adopt_option(function: F) -> F:
    """The option --adopt."""
    return click.option(
        "--adopt",
        metavar="KIND/NS/NAME",
        multiple=True,
        help="Take this object's fields over from whoever owns them (KIND/NAME where there is no namespace; may be "
        "given several times).",
    )(function)


def opened(environment: str) -> tuple[Project, Loaded]:
    """The project around the current folder and the environment's values. Raises BadInput."""
    project = Project.find()
    return project, load(project, environment)


def _target(host: Host, project: Project) -> Target:
    if host.name == "@local":
        return Local(project)
    from meshwright.ssh import connect

    return connect(host, project)


@contextmanager
def places(
    project: Project, members: Sequence[Loaded], *, quiet: bool = False
) -> Iterator[list[tuple[Environment, list[Target]]]]:
    """Each of several clusters with its hosts, connected; closed at the end."""
    with ExitStack() as stack:
        yield [(loaded.env, stack.enter_context(targets(project, loaded, quiet=quiet))) for loaded in members]


@contextmanager
def targets(project: Project, loaded: Loaded, *, quiet: bool = False) -> Iterator[list[Target]]:
    """The hosts of the environment, connected; closed at the end. Progress goes to standard error, if that is a
    terminal and not `quiet`."""
    made: list[Target] = []
    try:
        for host in loaded.env.hosts:
            target = _target(host, project)
            if not quiet and sys.stderr.isatty():
                target.say = lambda sentence: click.echo(click.style(sentence, dim=True), err=True)
            made.append(target)
        yield made
    finally:
        for target in made:
            target.close()
