"""Everything an environment needs, from the container engine to an answered request."""

from meshwright import bookinfo, checks, cluster, engine, gateway_api, istio, namespaces, resources, tools
from meshwright.deploy import run

steps = [
    engine.ensure,
    tools.install,
    cluster.ensure,
    gateway_api.ensure,
    istio.install,
    namespaces.ensure,
    bookinfo.apply_sample,
    resources.apply_all,
    checks.hold,
]

run(steps)
