"""Certificates in files: whether the paths that a Gateway names are in a volume of the pods that it selects."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from meshwright.environment import Environment
from meshwright.errors import Forbidden
from meshwright.kube import Session
from meshwright.manifests import Manifest
from meshwright.matching import dig
from meshwright.validation.finding import Broken, Rule, broken
from meshwright.validation.world import Thing, World

__all__ = ["RULES", "gateway_pods"]

_FILES = ("serverCertificate", "privateKey", "caCertificates", "caCrl")
_CERTIFICATES = "tlsCertificates"
# The chart of Istio's gateways mounts these in every one: manifests/charts/gateways/istio-ingress, values.yaml
# (secretVolumes) and templates/deployment.yaml. The egress gateway has the same with its own name.
_VOLUMES = ("/etc/istio/{name}-certs", "/etc/istio/{name}-ca-certs")
_ALWAYS = ("/etc/istio/proxy", "/etc/istio/config", "/etc/istio/pod", "/var/run/secrets", "/var/lib/istio/data")
_GATEWAYS = {
    "ingressGateways": ("istio-ingressgateway", "ingressgateway"),
    "egressGateways": ("istio-egressgateway", "egressgateway"),
}


def _paths(gateway: Thing) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """The files that a Gateway names, each with its place in the spec."""
    for index, server in enumerate(gateway.all("servers")):
        tls = dig(server, "tls")
        several = dig(tls, _CERTIFICATES)
        parts: list[tuple[tuple[str | int, ...], Any]] = [(("servers", index, "tls"), tls)]
        parts += [
            (("servers", index, "tls", _CERTIFICATES, number), one)
            for number, one in enumerate(several if isinstance(several, list) else ())
        ]
        for at, part in parts:
            for key in _FILES:
                if isinstance(path := dig(part, key), str):
                    yield (*at, key), path


def gateway_pods(session: Session, own: Iterable[Manifest], env: Environment, skipped: list[str]) -> list[Manifest]:
    """The whole pods that those Gateways of `own` select that name files; of the others the labels do."""
    found: dict[str, Manifest] = {}
    for manifest in own:
        gateway = Thing(manifest, env)
        selector = gateway.get("selector")
        if gateway.kind != "Gateway" or gateway.of_api or not isinstance(selector, dict) or not any(_paths(gateway)):
            continue
        labels = ",".join(f"{key}={value}" for key, value in selector.items())
        try:
            pods = session.list("v1", "Pod", labels=labels)
        except Forbidden as error:
            skipped.append(f"the volumes of gateway pods: {error.message}")
            continue
        found |= {
            str(pod["metadata"].get("uid") or pod["metadata"]["name"]): Manifest(pod, "the cluster") for pod in pods
        }
    return list(found.values())


def _inside(path: str, mounts: Iterable[str]) -> bool:
    return any(path == mount or path.startswith(mount.rstrip("/") + "/") for mount in mounts)


def _mounts(pod: Thing) -> set[str]:
    """Where the pod's proxy has volumes, by absolute path."""
    containers = [*pod.all("containers"), *pod.all("initContainers")]
    proxies = [one for one in containers if dig(one, "name") == "istio-proxy"] or containers
    return {str(dig(mount, "mountPath")) for one in proxies for mount in dig(one, "volumeMounts") or ()}


def _written(env: Environment, selector: dict[str, Any]) -> set[str] | None:
    """Where the gateways of the environment's own Istio that have these labels will have volumes, as its values say;
    None where none of them is meant."""
    found: set[str] | None = None
    for key, (name, short) in _GATEWAYS.items():
        ours = {"istio": short, "app": name}
        parts: Any = dig(env.istio.components, key) or []
        values = dig(env.istio.values, "gateways", name) or {}
        for part in parts if isinstance(parts, list) and parts else [{}]:
            labels = ours | (dig(part, "label") or {})
            if not selector or not selector.items() <= labels.items():
                continue
            volumes = [*(dig(values, "secretVolumes") or ()), *(dig(values, "configVolumes") or ())]
            mounted = {str(dig(volume, "mountPath")) for volume in volumes if dig(volume, "mountPath")}
            if dig(values, "secretVolumes") is None:
                mounted |= {volume.format(name=short) for volume in _VOLUMES}
            # An overlay may say anything: each mountPath in it counts.
            mounted |= set(_mount_paths(dig(part, "k8s") or {}))
            found = (found or set()) | mounted | set(_ALWAYS)
    return found


def _mount_paths(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(path := value.get("mountPath"), str):
            yield path
        for inner in value.values():
            yield from _mount_paths(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _mount_paths(inner)


def _files(world: World) -> Iterator[Broken]:
    for gateway in world.of("Gateway"):
        named, selector = list(_paths(gateway)), gateway.get("selector")
        if not named or not isinstance(selector, dict):
            continue
        pods = [
            pod
            for pod in world.of("Pod")
            if pod.obj.get("spec") and selector.items() <= (pod.obj["metadata"].get("labels") or {}).items()
        ]
        written = None if pods else _written(world.env, selector)
        if not pods and written is None:
            world.skipped.append(
                f"the files of {gateway.title}: which volumes its pods have is not among these values; "
                "--cluster looks at the pods"
            )
            continue
        for at, path in named:
            hint = "Mount a volume there, or use credentialName, which needs none"
            if not path.startswith("/"):
                yield broken(gateway, f"{path} is no absolute path", *at, hint=hint)
                continue
            without = [pod for pod in pods if not _inside(path, _mounts(pod))]
            if without:
                whose = f"{without[0].namespace}/{without[0].name}"
                yield broken(gateway, f"{path} is in no volume of the pod {whose}", *at, hint=hint)
            elif written is not None and not _inside(path, written):
                sentence = f"{path} is in no volume that the gateway has by the values of istio"
                yield broken(gateway, sentence, *at, hint=hint)


RULES = (Rule("certificate-path", "Certificate files are in a volume of the gateway's pods", _files),)
