"""The step that installs the tools of an environment, and where they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.plan import Action, Change, Field, Plan, digest
from meshwright.step import Step
from meshwright.target import Target
from meshwright.tools import istio_samples, store
from meshwright.tools.table import STOCK, Catalog, Tool, wanted

if TYPE_CHECKING:
    from meshwright.tools.offers import Options
    from meshwright.tools.work import Work

__all__ = ["apply", "install", "path", "plan", "samples", "search_path"]

_SAMPLES_OF = "istioctl"


@dataclass(frozen=True)
class _Todo:
    """What one change means to `apply`. Without `options` only the plain name of the tool is made anew."""

    tool: Tool
    version: str
    options: Options
    samples: bool = False

    def __str__(self) -> str:
        return f"samples of Istio {self.version}" if self.samples else f"{self.tool.name} {self.version}"


def plan(target: Target, env: Environment, catalog: Catalog = STOCK) -> Plan:
    """The tools (and samples) that are missing or wrong on the target, each with the source it will come from.

    Asks no release host, so that the plan is the same with and without a network. Raises BadInput or MeshwrightError:
    a version that no source can give.
    """
    versions = wanted(env)
    changes = [
        _change(target, catalog, catalog.tools[name], version, fault)
        for name, version in versions.items()
        if (fault := store.fault(target, name, version))
    ]
    samples = env.bookinfo.enabled or env.addons.sampled
    if samples and (why := istio_samples.fault(target, versions[_SAMPLES_OF])):
        changes.append(_samples_change(target, catalog, catalog.tools[_SAMPLES_OF], versions[_SAMPLES_OF], why))
    desired = {**versions, "samples": samples}
    return Plan("tools", digest(desired), tuple(changes), checked=len(versions) + samples)


def apply(target: Target, env: Environment, plan: Plan, catalog: Catalog = STOCK) -> None:  # noqa: ARG001
    """Installs what the plan lists, one after the other; every step of the way is told through `target.say`.

    A tool that is there stays as it is until the new one is whole, checked and has said its version. Raises
    MeshwrightError where a download is cut or has a wrong sha256, a build fails or the disk refuses; BadInput or
    Unreachable where no source is left.
    """
    from meshwright.tools import work

    if plan.empty:
        return
    with work.begin(target) as running:
        for change in plan.changes:
            todo: _Todo = change.payload
            (_install_samples if todo.samples else _install_tool)(running, catalog, todo)


install = Step("tools", plan, apply, cluster=False)


def path(target: Target, env: Environment, tool: str) -> str:
    """The absolute path, on the target, of a tool in the version that the environment wants.

    Raises MeshwrightError: it is not installed, or the environment has no use for it.
    """
    found = installed(target, env, tool)
    if found is None:
        raise MeshwrightError(
            f"{tool} {wanted(env)[tool]} is not installed on {target.name}",
            hint=f"Run `meshwright apply {env.name} tools`",
        )
    return found


def installed(target: Target, env: Environment, tool: str) -> str | None:
    """The same, or None where the tool is not there or not executable.

    Raises MeshwrightError: the environment has no use for the tool.
    """
    versions = wanted(env)
    if tool not in versions:
        raise MeshwrightError(f"{env.name} has no use for {tool}: its cluster is not made by Meshwright")
    key = ("tools", place := store.file(target, tool, versions[tool]))
    (seen,) = target.shared.get(key, lambda: store.look(target, [place]))
    if seen is None or not seen.runnable:
        # Not there yet: the step `tools` of this very run may put it there.
        target.shared.forget(key)
        return None
    return place


def search_path(target: Target, env: Environment) -> list[str]:
    """The folders to put before a shell's PATH, so that it finds the environment's own versions by their plain names
    (`bin/` alone has the versions that were installed last, perhaps for another environment)."""
    return [store.folder(target, tool, version) for tool, version in wanted(env).items()]


def samples(target: Target, env: Environment) -> str:
    """The folder, on the target, of the samples of the environment's Istio version; it has bookinfo/ in it.

    Raises MeshwrightError: they are not installed.
    """
    version = env.istio.version

    def find() -> str:
        why = istio_samples.fault(target, version)
        if why:
            raise MeshwrightError(
                f"the samples of Istio {version} cannot be used on {target.name}: {why}",
                hint=f"Run `meshwright apply {env.name} tools`",
            )
        return istio_samples.folder(target, version)

    return target.shared.get(("samples", version), find)


def _change(target: Target, catalog: Catalog, tool: Tool, version: str, fault: store.Fault) -> Change:
    (named,) = store.look(target, [store.link(target, tool.name)])
    before = store.version_in_use(tool.name, named)
    if fault.only_link:
        return Change(Action.CHANGE, "Tool", tool.name, why=fault.why, payload=_Todo(tool, version, []))
    from meshwright.tools import offers

    options = offers.for_tool(target, catalog, tool, version)
    return Change(
        Action.CHANGE if before else Action.ADD,
        "Tool",
        tool.name,
        () if before == version else (Field("version", before, version),),
        _why(target, catalog, tool, version, fault.why, options),
        _Todo(tool, version, options),
    )


def _samples_change(target: Target, catalog: Catalog, tool: Tool, version: str, why: str) -> Change:
    from meshwright.tools import offers

    options = offers.for_samples(target, catalog, tool, version)
    there = store.look(target, [istio_samples.folder(target, version)]) != [None]
    return Change(
        Action.CHANGE if there else Action.ADD,
        "Samples",
        "istio",
        () if there else (Field("version", None, version),),
        _why(target, catalog, tool, version, why, options),
        _Todo(tool, version, options, samples=True),
    )


def _why(target: Target, catalog: Catalog, tool: Tool, version: str, fault: str, options: Options) -> str:
    """The reason, each source that was passed over, and those that remain. Raises what `offers.none_left` gives."""
    from meshwright.tools.offers import Offer, Passed, none_left

    remaining = [option.told for option in options if isinstance(option, Offer)]
    if not remaining:
        raise none_left(target, catalog, tool, version, [o for o in options if isinstance(o, Passed)])
    first = next(i for i, option in enumerate(options) if isinstance(option, Offer))
    passed = [option.why for option in options[:first] if isinstance(option, Passed)]
    return "; ".join([fault, *passed, f"to be {', or else '.join(remaining)}"])


def _install_tool(work: Work, catalog: Catalog, todo: _Todo) -> None:
    from meshwright.tools.pathtool import asked

    target, tool, version = work.target, todo.tool, todo.version
    fault = store.fault(target, tool.name, version)
    if fault is None:
        target.say(f"{todo} is there now: another run has installed it")
        return
    if not fault.only_link:
        staged = f"{store.folder(target, tool.name, version)}/.new"
        told = _take(work, catalog, todo, staged)
        said = asked(target, tool, staged)
        if said != version:
            target.run(["rm", "-f", staged])
            raise MeshwrightError(
                f"{todo} was {told}, but says that it is {said}; it was not installed",
                hint=f"See what {tool.key} should be, and what that source has",
            )
        record = store.commit(target, tool.name, version, staged, told)
        target.say(f"{todo} is installed, {told}; its sha256 is {record.sha256}")
    store.relink(target, tool.name, version)


def _install_samples(work: Work, catalog: Catalog, todo: _Todo) -> None:
    target = work.target
    if not istio_samples.fault(target, todo.version):
        target.say(f"{todo} are there now: another run has installed them")
        return
    staged = f"{istio_samples.folder(target, todo.version)}.new"
    target.run(["rm", "-rf", staged])
    told = _take(work, catalog, todo, staged)
    istio_samples.commit(target, todo.version, staged)
    target.say(f"{todo} are installed, {told}")


def _take(work: Work, catalog: Catalog, todo: _Todo, staged: str) -> str:
    """Asks the sources in order until one gives it; gives back how. Raises what `offers.none_left` gives."""
    from meshwright.tools.fetch import NotGiven
    from meshwright.tools.offers import Cause, Passed, none_left

    passed: list[Passed] = []
    for option in todo.options:
        if isinstance(option, Passed):
            work.target.say(f"{todo}: {option.why}")
            passed.append(option)
            continue
        try:
            option.take(work, staged)
        except NotGiven as why:
            work.target.say(f"{todo}: {why}")
            passed.append(Passed(str(why), Cause.ABSENT if why.gone else Cause.UNREACHABLE))
        else:
            return option.told
    raise none_left(work.target, catalog, todo.tool, todo.version, passed)
