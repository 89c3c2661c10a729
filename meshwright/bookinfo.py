"""Bookinfo, the sample application of the Istio release, with its Gateway and VirtualService."""

from __future__ import annotations

import yaml

from meshwright import cluster, objects, tools
from meshwright.environment import Environment
from meshwright.errors import MeshwrightError
from meshwright.kube import wait
from meshwright.plan import Plan, digest
from meshwright.step import Step
from meshwright.target import Target

__all__ = ["apply_sample", "wanted"]

_FILES = ("platform/kube/bookinfo.yaml", "networking/bookinfo-gateway.yaml")


def wanted(target: Target, env: Environment) -> list[objects.Object]:
    """The objects of the sample in the environment's namespace, with its images.

    Raises MeshwrightError: the release's files are not there.
    """
    folder = f"{tools.samples(target, env)}/bookinfo"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    made: list[objects.Object] = []
    for name in _FILES:
        text = target.read(f"{folder}/{name}")
        if text is None:
            raise MeshwrightError(f"{folder}/{name} is not there", hint="Delete that folder and run the step `tools`")
        made += [_placed(obj, env) for obj in yaml.load_all(text, Loader=loader) if obj]
    return made


def _placed(obj: objects.Object, env: Environment) -> objects.Object:
    obj["metadata"]["namespace"] = env.bookinfo.namespace
    if obj["kind"] == "Deployment":
        for container in obj["spec"]["template"]["spec"]["containers"]:
            container["image"] = _image(container["image"], env)
    return obj


def _image(image: str, env: Environment) -> str:
    name, _, tag = image.rpartition("/")[2].partition(":")
    hub = env.bookinfo.hub or image.rpartition("/")[0]
    return f"{hub}/{name}:{env.bookinfo.tag or tag}"


def _desired(env: Environment) -> str:
    return digest([env.istio.version, env.bookinfo.model_dump()])


def _plan(target: Target, env: Environment) -> Plan:
    if not env.bookinfo.enabled:
        return Plan("bookinfo", _desired(env))
    session = cluster.session(target, env)
    if session is None:
        return Plan("bookinfo", _desired(env), after="cluster")
    if tools.installed(target, env, "istioctl") is None:
        return Plan("bookinfo", _desired(env), after="tools")
    if session.resource("networking.istio.io/v1", "Gateway") is None:
        return Plan("bookinfo", _desired(env), after="istio")
    return objects.plan("bookinfo", _desired(env), target, session, wanted(target, env))


def _apply(target: Target, env: Environment, plan: Plan) -> None:
    session = cluster.session(target, env)
    if session is None:
        raise MeshwrightError("there is no cluster to deploy Bookinfo in")
    target.say(f"applying Bookinfo to namespace {env.bookinfo.namespace}")
    objects.apply(session, plan.changes, adopt=target.shared.options.adopt)
    written = plan.objects or () if plan.unfinished else [change.payload for change in plan.changes]
    deployments = wait.refs(written)
    wait.ready(session, deployments, timeout=env.bookinfo.timeout, say=target.say)


apply_sample = Step("bookinfo", _plan, _apply, compare=objects.back)
"""Applies Bookinfo and waits until its Deployments are rolled out; nothing where it is not enabled."""
