"""A healthy mesh with Bookinfo, as the objects of a fake cluster: what tests of checks start from and then break."""

from __future__ import annotations

from typing import Any

from fakes import FakeSession

Object = dict[str, Any]

VERSION = "1.30.3"
ADMISSION = "admissionregistration.k8s.io/v1"
SERVICES = ("details", "productpage", "ratings", "reviews")
GOOD_PAGE = "<html><head><title>Simple Bookstore App</title></head><body>The Comedy of Errors</body></html>"


def made(api_version: str, kind: str, name: str, namespace: str = "", **rest: Any) -> Object:
    metadata: Object = {"name": name, **rest.pop("metadata", {})} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}


def node(name: str = "n1", ready: str = "True") -> Object:
    status = {
        "conditions": [{"type": "Ready", "status": ready}],
        "addresses": [{"type": "InternalIP", "address": "172.18.0.2"}],
    }
    return made("v1", "Node", name, status=status)


def namespace(name: str, **labels: str) -> Object:
    return made("v1", "Namespace", name, metadata={"labels": {k.replace("__", "/"): v for k, v in labels.items()}})


def pod(
    name: str,
    namespace: str = "bookinfo",
    *,
    sidecar: bool = True,
    ready: bool = True,
    labels: Object | None = None,
    **spec: Any,
) -> Object:
    inits = [{"name": "istio-proxy", "restartPolicy": "Always", "image": f"hub/proxyv2:{VERSION}"}] if sidecar else []
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
        "containerStatuses": [{"name": "app", "ready": ready, "image": "hub/app:1", "state": {"running": {}}}],
        "initContainerStatuses": [{"name": c["name"], "ready": ready, "state": {"running": {}}} for c in inits],
    }
    held = {"containers": [{"name": "app", "image": "hub/app:1"}], "initContainers": inits}
    return made("v1", "Pod", name, namespace, metadata={"labels": labels or {}}, spec=held | spec, status=status)


def gateway_pod(name: str = "istio-ingressgateway-1") -> Object:
    found = pod(name, "istio-system", sidecar=False, labels={"app": "istio-ingressgateway", "istio": "ingressgateway"})
    found["spec"]["containers"] = [{"name": "istio-proxy", "image": f"hub/proxyv2:{VERSION}"}]
    found["status"]["containerStatuses"] = [{"name": "istio-proxy", "ready": True}]
    found["metadata"]["labels"]["sidecar.istio.io/inject"] = "false"
    return found


def istiod_pod(name: str = "istiod-1", ready: bool = True) -> Object:
    labels = {"app": "istiod", "istio.io/rev": "default", "sidecar.istio.io/inject": "false"}
    return pod(name, "istio-system", sidecar=False, ready=ready, labels=labels)


def deployment(name: str, namespace: str, labels: Object, replicas: int = 1, available: int | None = None) -> Object:
    count = replicas if available is None else available
    status = {
        "observedGeneration": 1,
        "replicas": replicas,
        "updatedReplicas": replicas,
        "readyReplicas": count,
        "availableReplicas": count,
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": []}}
    return made(
        "apps/v1",
        "Deployment",
        name,
        namespace,
        metadata={"labels": labels, "generation": 1},
        spec={"replicas": replicas, "template": template, "selector": {"matchLabels": labels}},
        status=status,
    )


def istiod(available: int | None = None, replicas: int = 1) -> Object:
    return deployment("istiod", "istio-system", {"app": "istiod", "istio.io/rev": "default"}, replicas, available)


def webhooks(kind: str, name: str, policy: str = "Fail", bundle: str = "Q0E=") -> Object:
    hook = {"name": f"{name}.istio.io", "failurePolicy": policy, "clientConfig": {"caBundle": bundle}}
    return made(ADMISSION, kind, name, metadata={"labels": {"istio.io/rev": "default"}}, webhooks=[hook])


def gateway_service() -> Object:
    return made(
        "v1",
        "Service",
        "istio-ingressgateway",
        "istio-system",
        spec={
            "type": "LoadBalancer",
            "selector": {"app": "istio-ingressgateway", "istio": "ingressgateway"},
            "ports": [{"name": "http2", "port": 80, "nodePort": 30080}],
        },
        status={"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}},
    )


def budget(name: str, namespace: str, labels: Object) -> Object:
    return made("policy/v1", "PodDisruptionBudget", name, namespace, spec={"selector": {"matchLabels": labels}})


def healthy() -> FakeSession:
    """Everything that the checks of the cluster look at, as it should be."""
    session = FakeSession(
        node(),
        namespace("default"),
        namespace("istio-system"),
        namespace("kube-system"),
        namespace("bookinfo", **{"istio-injection": "enabled"}),
        istiod(),
        istiod_pod(),
        gateway_pod(),
        gateway_service(),
        webhooks("MutatingWebhookConfiguration", "injector"),
        webhooks("ValidatingWebhookConfiguration", "validator"),
        budget("istiod", "istio-system", {"app": "istiod"}),
        budget("gateway", "istio-system", {"istio": "ingressgateway"}),
    )
    for app in SERVICES:
        session.put(deployment(f"{app}-v1", "bookinfo", {"app": app}))
        session.put(pod(f"{app}-v1-1", labels={"app": app}))
    return session


def synced(session: FakeSession) -> list[Object]:
    """What /debug/syncz of istiod answers when every proxy of `session` is in step."""
    rows = []
    for (_, kind, space, name), obj in session.objects.items():
        spec = obj.get("spec") or {}
        if kind == "Pod" and any(
            c["name"] == "istio-proxy" for c in [*spec["containers"], *spec.get("initContainers", [])]
        ):
            state = {"sent": "v1/1", "acked": "v1/1"}
            rows.append({"proxy": f"{name}.{space}", "resources": {"type.googleapis.com/envoy.Cluster": state}})
    return rows
