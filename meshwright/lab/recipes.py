"""The lab's images: what each is called, made from and made with.

Names say what they are: all below meshwright.lab/stand-in/ takes the place of an image that only a registry has.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from meshwright.lab import envoy, programs, rootfs, store
from meshwright.target import Target

__all__ = ["BASE", "BOOKINFO", "BOOTSTRAP", "Image", "all_images"]

BASE = f"meshwright.lab/base:{rootfs.SUITE}"
BOOTSTRAP = "tools/packaging/common/envoy_bootstrap.json"
"""Where Istio's sources have the file that pilot-agent starts Envoy with."""

ISTIO = programs.PROGRAMS["pilot-agent"]
_KUBERNETES = programs.PROGRAMS["kube"].builds
_COREDNS = programs.PROGRAMS["coredns"].builds

# The tag that the Istio release's samples use; a test compares.
_BOOKINFO_TAG = "1.20.3"
BOOKINFO = ("productpage-v1", "details-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3")


@dataclass(frozen=True)
class Image:
    """An image. `context` are the files and folders that its recipe copies; `key` is the digest of all it is made from.

    `bootstrap` adds Istio's bootstrap file to them. `bundle` says which nodes have it: `node` all of them from their
    start, `engine` none, because the engine runs it itself, any other those that were given the bundle of that name.
    """

    name: str
    recipe: Path
    key: str
    context: tuple[Path, ...] = ()
    arguments: tuple[tuple[str, str], ...] = ()
    bootstrap: bool = False
    bundle: str = "node"


def all_images(target: Target) -> list[Image]:
    """All images but the base, with their keys."""
    lab = store.sources(target)
    base = rootfs.key(target)

    def image(
        name: str,
        recipe: str,
        *,
        program: str = "",
        files: tuple[Path, ...] = (),
        arguments: tuple[tuple[str, str], ...] = (),
        with_envoy: bool = False,
        from_base: bool = True,
        bundle: str = "node",
    ) -> Image:
        path = lab / "images" / f"{recipe}.Dockerfile"
        parts = [store.tree(path, *files), *(f"{key}={value}" for key, value in arguments)]
        context = list(files)
        if program:
            parts.append(programs.key(target, program))
            context.append(programs.path(target, program))
        if with_envoy:
            parts += [envoy.key(target), ISTIO.pinned]
            context.append(envoy.path(target))
        if from_base:
            parts.append(base)
            arguments = (("BASE", BASE), *arguments)
        return Image(name, path, store.key(*parts), tuple(context), arguments, with_envoy, bundle)

    node = lab / "node"
    version = (("ISTIO_VERSION", ISTIO.builds),)
    stand_in = "meshwright.lab/stand-in"
    return [
        image(f"{stand_in}/k3s:{_KUBERNETES}", "node", program="kube", files=(node,), bundle="engine"),
        image(f"{stand_in}/k3d-tools:1", "tools", bundle="engine"),
        image(f"meshwright.lab/coredns:{_COREDNS}", "coredns", program="coredns", from_base=False),
        image("meshwright.lab/pause:1", "pause", program="pause", from_base=False),
        image(f"meshwright.lab/istio/pilot:{ISTIO.builds}", "pilot", program="pilot-discovery"),
        image(
            f"meshwright.lab/istio/proxyv2:{ISTIO.builds}",
            "proxyv2",
            program="pilot-agent",
            arguments=version,
            with_envoy=True,
        ),
        *(
            image(
                f"{stand_in}/examples-bookinfo-{application}:{_BOOKINFO_TAG}",
                "bookinfo",
                files=(lab / "apps" / "bookinfo.py",),
                arguments=(("ROLE", application.partition("-")[0]), ("VERSION", application.partition("-")[2])),
            )
            for application in BOOKINFO
        ),
        image(
            "meshwright.lab/prometheus:2.42",
            "prometheus",
            files=(lab / "apps" / "prometheus.py", lab / "apps" / "answering.py"),
            bundle="addons",
        ),
        *(
            image(
                f"{stand_in}/{name}:1",
                recipe,
                files=(lab / "apps" / f"{recipe}.py", lab / "apps" / "answering.py"),
                bundle="addons",
            )
            for name, recipe in (
                ("grafana", "grafana"),
                ("kiali", "kiali"),
                ("loki", "loki"),
                ("prometheus-config-reloader", "reloader"),
            )
        ),
        image(
            f"meshwright.lab/jaeger:{programs.PROGRAMS['jaeger'].builds}",
            "jaeger",
            program="jaeger",
            from_base=False,
            bundle="tracing",
        ),
        image("meshwright.lab/redis:7", "redis", bundle="tests"),
        image(
            f"meshwright.lab/ratelimit:{programs.PROGRAMS['ratelimit'].builds}",
            "ratelimit",
            program="ratelimit",
            from_base=False,
            bundle="tests",
        ),
        image(f"meshwright.lab/istio/echo:{ISTIO.builds}", "echo", program="echo", from_base=False, bundle="tests"),
    ]
