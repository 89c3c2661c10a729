"""The Go programs that go into the lab's images, built from the modules that lab/go pins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.lab import store
from meshwright.plan import Plan
from meshwright.step import Step
from meshwright.target import Target
from meshwright.tools import golang
from meshwright.tools.table import TOOLS, GoModule

__all__ = ["BUNDLES", "PROGRAMS", "build", "bundle", "go", "key", "path"]

# The same modules as the tools of the same release: one version, one place where it stands.
_ISTIO = TOOLS["istioctl"].module
_KUBERNETES = TOOLS["kubectl"].module
_COREDNS = GoModule(
    folder="lab/go/coredns",
    module="github.com/coredns/coredns",
    package="github.com/coredns/coredns",
    pinned="v1.15.0",
    builds="1.15.0",
    minutes=2,
)
_RATELIMIT = GoModule(
    folder="lab/go/ratelimit",
    module="github.com/envoyproxy/ratelimit",
    package="github.com/envoyproxy/ratelimit/src/service_cmd",
    pinned="v1.4.1-0.20260122083618-3fb702589d36",
    builds="1.4.1-0.20260122083618-3fb702589d36",
    minutes=1,
)
# One source, two numbers: in what the module calls v1.76.0, cmd/jaeger is the Jaeger that is released as 2.13.0.
_JAEGER = GoModule(
    folder="lab/go/jaeger",
    module="github.com/jaegertracing/jaeger",
    package="github.com/jaegertracing/jaeger/cmd/jaeger",
    pinned="v1.76.0",
    builds="1.76.0",
    minutes=6,
)

PROGRAMS: Mapping[str, GoModule] = MappingProxyType(
    {
        "pause": replace(_KUBERNETES, package="./pause", defines={}, minutes=1),
        "kube": replace(_KUBERNETES, package="./kube", minutes=5),
        "coredns": _COREDNS,
        "pilot-discovery": replace(_ISTIO, package="istio.io/istio/pilot/cmd/pilot-discovery", minutes=4),
        "pilot-agent": replace(
            _ISTIO, package="istio.io/istio/pilot/cmd/pilot-agent", tags=f"agent,{_ISTIO.tags}", minutes=1
        ),
        "echo": replace(_ISTIO, package="istio.io/istio/pkg/test/echo/cmd/server", minutes=1),
        "ratelimit": _RATELIMIT,
        "jaeger": _JAEGER,
    }
)

BUNDLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"addons": (), "tests": ("echo", "ratelimit"), "tracing": ("jaeger",)}
)
"""The programs that a mesh can do without, by the bundle of images that they go into. All others are always built."""


def path(target: Target, name: str) -> Path:
    """Where a program is, or will be."""
    return store.folder(target) / "bin" / name


def key(target: Target, name: str) -> str:
    """What a program is made from: its module's files and how it is built."""
    module = PROGRAMS[name]
    own = target.project.root / module.folder
    files = [own / "go.mod", own / "go.sum"]
    if module.package.startswith("./"):
        files.append(own / module.package)
    defines = [f"{variable}={value}" for variable, value in sorted(module.defines.items())]
    return store.key(store.tree(*files), module.package, module.tags, str(target.platform), *defines)


def go(target: Target, module: GoModule) -> golang.Go:
    """A Go that is new enough for a module, once per run. Raises MeshwrightError with the line that installs one."""
    _, oldest = golang.pinned(target.project.root / module.folder, module.module)
    found = target.shared.get("go", golang.find)
    for one in found:
        if one.version >= oldest:
            return one
    have = f"{found[0]} is older than" if found else "there is no Go, at least"
    raise MeshwrightError(
        f"{module.folder} cannot be built: {have} {'.'.join(map(str, oldest))}", hint=golang.HOW_TO_GET
    )


def _names(bundle: str) -> list[str]:
    if bundle:
        return list(BUNDLES[bundle])
    left_out = {name for names in BUNDLES.values() for name in names}
    return [name for name in PROGRAMS if name not in left_out]


def _plan(target: Target, env: Environment, step: str, bundle: str) -> Plan:
    if not store.needed(env):
        return Plan(step, store.key())
    store.sources(target)
    keys = {name: key(target, name) for name in _names(bundle)}
    found = [store.change("Program", name, path(target, name), wanted) for name, wanted in keys.items()]
    return Plan(step, store.key(*keys.values()), tuple(one for one in found if one), checked=len(keys))


def _apply(target: Target, env: Environment, plan: Plan) -> None:  # noqa: ARG001
    for number, change in enumerate(plan.changes, 1):
        module = PROGRAMS[change.name]
        builder = go(target, module)
        target.say(
            f"building {change.name} ({number} of {len(plan.changes)}); "
            f"the first time this takes about {module.minutes} min on 2 cores"
        )
        wanted = key(target, change.name)
        with store.work(target, change.name) as work:
            golang.build(builder, target.project.root, module, target.platform, work / change.name)
            store.publish(work / change.name, path(target, change.name), wanted)


def _step(name: str, of: str) -> Step:
    return Step(name, lambda target, env: _plan(target, env, name, of), _apply, cluster=False)


def bundle(name: str) -> Step:
    """The step that builds the programs of one of BUNDLES."""
    return _step(f"{name} programs", name)


build = _step("programs", "")
