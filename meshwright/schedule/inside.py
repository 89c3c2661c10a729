"""The project as a pod of its own cluster has it: the same values, but that the cluster is the one around it.

A pod has no container engine, no SSH and no kubeconfig of a user. So the environment's values are written out whole,
with a cluster of kind `existing`; its kubeconfig names the file in which the kubelet keeps a token for the pod.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

from meshwright import deploy as deploys
from meshwright import manifests
from meshwright.environment import Environment, load
from meshwright.errors import BadInput
from meshwright.project import Project
from meshwright.schedule.jobs import Wanted

__all__ = ["ROOT", "files"]

ROOT = "/srv/meshwright"
"""Where a pod has the project folder."""

_KUBECONFIG, _CONTEXT = "in-cluster.kubeconfig", "in-cluster"
_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# A ConfigMap may have 1 MiB (Kubernetes API reference); the rest is for what is around the data.
_MOST = 1_000_000
# They read values and the cluster, and nothing else.
_BY_VALUES = ("certs check-root", "certs check-version", "certs verify")


def files(project: Project, env: Environment, uid: str, jobs: Iterable[Wanted]) -> dict[str, str]:
    """The files that `jobs` need of the project, by path, as text; `uid` is that of the cluster.

    Raises BadInput: a file that no ConfigMap can have, or a Secret among the manifests.
    """
    found = {
        "group_data/all.yaml": "{}\n",
        f"group_data/{env.environment}.yaml": json.dumps(_values(project, env, uid), indent=1, ensure_ascii=False),
        f"inventory/{env.environment}.py": _text(project.root, f"inventory/{env.environment}.py"),
        _KUBECONFIG: yaml.safe_dump(_kubeconfig(), sort_keys=False),
    }
    if not all(" ".join(job.words).startswith(_BY_VALUES) for job in jobs):
        found |= {path: _text(project.root, path) for path in _more(project, env)}
    size = sum(len(text.encode()) for text in found.values())
    if size > _MOST:
        raise BadInput(
            f"the files of the project that the jobs of {env.name} need have {size // 1024} KiB; a ConfigMap has 1 MiB",
            hint="Let cron or systemd of a machine run them; jobs that look at certificates need only the values",
        )
    return found


def _values(project: Project, env: Environment, uid: str) -> dict[str, Any]:
    values = dict(load(project, env.name).values)
    for key in ("hosts", "engine"):
        values.pop(key, None)
    values["cluster"] = {"kind": "existing", "kubeconfig": f"{ROOT}/{_KUBECONFIG}", "context": _CONTEXT, "uid": uid}
    ingress = values.get("ingress") or {}
    if ingress.get("ports"):
        # Only k3d publishes ports.
        ports = [{key: value for key, value in port.items() if key != "publish"} for port in ingress["ports"]]
        values["ingress"] = {**ingress, "ports": ports}
    return values


def _kubeconfig() -> dict[str, Any]:
    cluster = {"server": "https://kubernetes.default.svc", "certificate-authority": f"{_ACCOUNT}/ca.crt"}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": _CONTEXT, "cluster": cluster}],
        "users": [{"name": _CONTEXT, "user": {"tokenFile": f"{_ACCOUNT}/token"}}],
        "contexts": [{"name": _CONTEXT, "context": {"cluster": _CONTEXT, "user": _CONTEXT}}],
    }


def _more(project: Project, env: Environment) -> Iterator[str]:
    """What plans are made of: deploys, templates and manifests."""
    root = project.root
    for name in deploys.names(project):
        yield f"deploys/{name}.py"
    yield from _below(root, "templates")
    built = manifests.kustomized(root, env.resources.manifests)
    for manifest in manifests.read(root, [path for path in env.resources.manifests if path not in built], ""):
        if manifest.obj["kind"] == "Secret":
            raise BadInput(
                f"{manifest.place}: a Secret cannot go into a ConfigMap, with which the pods of jobs get the project",
                hint="Write it as a reference (docs/secrets.md), or let cron or systemd of a machine run the jobs",
            )
    for path in env.resources.manifests:
        yield from _below(root, path)


def _below(root: Path, path: str) -> Iterator[str]:
    place = root / path
    found = [place] if place.is_file() else sorted(each for each in place.rglob("*") if each.is_file())
    for each in found:
        if "__pycache__" not in each.parts:
            yield str(each.relative_to(root))


def _text(root: Path, path: str) -> str:
    try:
        return (root / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8, and a ConfigMap has text", hint="Save the file as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from None
