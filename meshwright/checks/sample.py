"""Bookinfo: its Deployments, a request inside the mesh, and its configuration. Only where it is enabled."""

from __future__ import annotations

from meshwright import analysis, pods
from meshwright.check import Check, Failed, NotVerified
from meshwright.checks.facts import counted, listed, session
from meshwright.environment import Environment
from meshwright.kube import exec as kube_exec
from meshwright.kube.explain import explain
from meshwright.kube.rollout import progress
from meshwright.target import Target

__all__ = ["CHECKS", "enabled", "faults"]

TITLE = "<title>Simple Bookstore App</title>"
# Bookinfo's page answers 200 even when a service behind it does not: then one of these is in it. The case matters: the
# sample's book is The Comedy of Errors.
_BROKEN = ("unavailable", "error", "Error fetching")
_SERVICES = ("details", "productpage", "ratings", "reviews")
_SECONDS = 5


def enabled(env: Environment) -> bool:
    """Whether the environment has Bookinfo."""
    return env.bookinfo.enabled


def faults(page: str) -> str:
    """What is wrong with a page of productpage, in words; "" for a good one."""
    if TITLE not in page:
        return f"the page has no {TITLE}: {page.strip()[:80]!r}"
    found = next((word for word in _BROKEN if word in page), None)
    return f"the page says {found!r}: a service behind productpage does not answer" if found else ""


def _ready(target: Target, env: Environment) -> str:
    live, namespace = session(target, env), env.bookinfo.namespace
    there = live.list("apps/v1", "Deployment", namespace)
    deployments = [d for d in there if d["spec"]["template"]["metadata"].get("labels", {}).get("app") in _SERVICES]
    apps = {d["spec"]["template"]["metadata"]["labels"]["app"] for d in deployments}
    missing = set(_SERVICES) - apps
    if missing:
        raise Failed(f"namespace {namespace} has no Deployment of {listed(missing)}")
    for deployment in deployments:
        if not deployment["spec"].get("replicas", 1):
            raise Failed(f"Deployment {deployment['metadata']['name']} is scaled to nothing")
        at = progress(deployment)
        if not at.done:
            app = deployment["spec"]["template"]["metadata"]["labels"]["app"]
            why = explain(live, namespace, f"app={app}")
            raise Failed("; ".join([f"Deployment {deployment['metadata']['name']}: {at.why}", *why[:2]]))
    running = [
        pod
        for pod in live.list("v1", "Pod", namespace)
        if not pods.finished(pod) and (pod["metadata"].get("labels") or {}).get("app") in _SERVICES
    ]
    without = [pods.name(pod) for pod in running if pods.proxy(pod) is None]
    if without:
        raise Failed(f"{len(without)} of {counted(len(running), 'pod')} without a sidecar: {listed(without)}")
    return f"{counted(len(deployments), 'Deployment')}, {counted(len(running), 'pod')} with sidecars"


def _inside(target: Target, env: Environment) -> str:
    live, namespace = session(target, env), env.bookinfo.namespace
    running = [pod for pod in live.list("v1", "Pod", namespace, labels="app=ratings") if pods.ready(pod)]
    if not running:
        raise Failed(f"no pod of ratings is ready in namespace {namespace}")
    pod = running[0]["metadata"]["name"]
    url = "http://productpage:9080/productpage"
    command = ["curl", "--silent", "--show-error", "--max-time", str(_SECONDS), url]
    code, out, said = kube_exec.run(live, namespace, pod, "ratings", command, timeout=_SECONDS + 10)
    if code != 0:
        raise Failed(f"{url} asked from {pod}: {said.decode(errors='replace').strip() or f'curl ended with {code}'}")
    if why := faults(out.decode(errors="replace")):
        raise Failed(f"{url} asked from {pod}: {why}")
    return f"{pod} asked {url}"


def _analyzed(target: Target, env: Environment) -> str:
    namespace = env.bookinfo.namespace
    found = analysis.analyze(target, env, [namespace])
    if found is None:
        raise NotVerified("istioctl is not installed")
    if found:
        raise Failed(f"{counted(len(found), 'finding')}, first {found[0]}")
    return f"namespace {namespace}"


CHECKS = (
    Check(
        group="sample",
        claim="Bookinfo is ready, with sidecars",
        find=_ready,
        anchor="bookinfo-ready",
        hint="`meshwright plan {env.name} bookinfo` shows what is missing",
        retry=20,
        needs=("api-server-ready",),
        applies=enabled,
    ),
    Check(
        group="sample",
        claim="a request inside the mesh is answered: ratings asks productpage",
        find=_inside,
        anchor="bookinfo-in-mesh",
        hint="The logs of the sidecars on both ends say which hop failed: `kubectl logs POD -c istio-proxy`",
        retry=20,
        needs=("bookinfo-ready",),
        applies=enabled,
    ),
    Check(
        group="sample",
        claim="istioctl analyze finds nothing in Bookinfo's namespace",
        find=_analyzed,
        anchor="bookinfo-analyzed",
        hint="`istioctl analyze -n {env.bookinfo.namespace}` prints all findings with a link to each",
        needs=("api-server-ready", "istioctl-version"),
        applies=enabled,
    ),
)
