"""Workloads of Bookinfo that learn a new root only with their next certificate, for as long as a test needs them."""

from __future__ import annotations

from contextlib import contextmanager

from meshwright.kube import wait

__all__ = ["ALL", "SLOW", "generations", "slowed"]

SLOW = ("details-v1", "ratings-v1")
"""Two Deployments that can be made so: one that the page asks, and one two hops behind it."""

ALL = (*SLOW, "productpage-v1", "reviews-v1", "reviews-v2", "reviews-v3")
"""All of the sample."""

_CONFIG = "proxy.istio.io/config"
# The sample has neither, so every rolling update of it, whatever it is for, loses requests: a new pod gets some before
# it listens, and one that is told to end gets some from whoever has not heard of it yet.
_READY = {"httpGet": {"path": "/health", "port": 9080}, "periodSeconds": 1}
_ENDING = {"preStop": {"sleep": {"seconds": 5}}}


@contextmanager
def slowed(lab, names=SLOW, **settings):
    """`names` without what makes agents hear of new roots, and with `settings` of their own; as they were afterwards.
    They have what a rolling update takes that loses no request."""
    lines = [f'  {name}: "{value}"\n' for name, value in {"PROXY_CONFIG_XDS_AGENT": "false", **settings}.items()]
    config = "proxyMetadata:\n" + "".join(lines)
    try:
        _change(lab, names, config, lifecycle=_ENDING, readinessProbe=_READY)
        yield
    finally:
        _change(lab, names, None, lifecycle=None, readinessProbe=None)


def _change(lab, names, config, **more):
    space = lab.env.bookinfo.namespace
    for name in names:
        container = {"name": name.partition("-")[0], **more}
        template = {"metadata": {"annotations": {_CONFIG: config}}, "spec": {"containers": [container]}}
        lab.session.patch(
            "apps/v1",
            "Deployment",
            name,
            space,
            body={"spec": {"template": template}},
            content_type="application/strategic-merge-patch+json",
            manager="slowed",
        )
    wait.ready(lab.session, [wait.Ref("Deployment", name, space) for name in names], timeout=300)


def generations(lab):
    """How often each Deployment was changed, by NAMESPACE/NAME."""
    found = [each["metadata"] for each in lab.session.list("apps/v1", "Deployment")]
    return {f"{each['namespace']}/{each['name']}": each["generation"] for each in found}
