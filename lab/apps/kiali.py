"""A STAND-IN for Kiali: its health and its graph, computed from what the real Prometheus has. It draws nothing.

The graph comes from istio_requests_total, or, where Envoys have not Istio's filters, from Envoy's own count of requests
to each cluster (`outbound|PORT|SUBSET|HOST`).
"""

import json
import os
import re
import urllib.parse
import urllib.request

from answering import Answering, serve

PROMETHEUS = os.environ.get("PROMETHEUS", "http://prometheus:9090")
ROOT = "/kiali"
CLUSTER = re.compile(r"outbound[|;](\d+)[|;]([^|;]*)[|;]([^.|;]+)\.([^.|;]+)\.svc\.")
PAGE = """<!doctype html><title>Kiali (stand-in)</title><h1>Kiali (a stand-in)</h1><ul>{}</ul>"""
ISTIO = (
    "sum by (source_workload, source_workload_namespace, destination_service_name, destination_service_namespace) "
    '(increase(istio_requests_total{{reporter="source"}}[{0}])) > 0'
)
ENVOY = (
    "sum by (namespace, pod, cluster_name) "
    '(increase(envoy_cluster_upstream_rq_total{{cluster_name=~"outbound.*"}}[{0}])) > 0'
)


def query(text):
    """The answer of Prometheus to an instant query."""
    url = f"{PROMETHEUS}/api/v1/query?{urllib.parse.urlencode({'query': text})}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def calls(duration):
    """Who called whom in the last time: ((namespace, workload), (namespace, service), requests)."""
    for each in query(ISTIO.format(duration)):
        of = each["metric"]
        source = of.get("source_workload_namespace", "unknown"), of.get("source_workload", "unknown")
        target = of.get("destination_service_namespace", "unknown"), of.get("destination_service_name", "unknown")
        yield source, target, float(each["value"][1])
    for each in query(ENVOY.format(duration)):
        of = each["metric"]
        found = CLUSTER.match(of["cluster_name"])
        if found:
            # The Deployment, by the name of its pod.
            source = of.get("namespace", "unknown"), of.get("pod", "unknown").rsplit("-", 2)[0]
            yield source, (found[4], found[3]), float(each["value"][1])


def graph(namespaces, duration):
    """The graph as Kiali's API gives it, of what comes from or goes to one of the namespaces."""
    nodes, edges = {}, []

    def node(kind, namespace, name):
        key = f"{kind}-{namespace}-{name}"
        nodes.setdefault(key, {"data": {"id": key, "nodeType": kind, "namespace": namespace, kind: name}})
        return key

    for source, target, count in calls(duration):
        if not namespaces & {source[0], target[0]}:
            continue
        one, other = node("workload", *source), node("service", *target)
        traffic = {"protocol": "http", "rates": {"http": f"{count:.2f}"}}
        edges.append({"data": {"id": f"{one}-{other}", "source": one, "target": other, "traffic": traffic}})
    return {"graphType": "workload", "elements": {"nodes": list(nodes.values()), "edges": edges}}


class Handler(Answering):
    """The few paths that are asked for."""

    def get(self, path, query):
        asked = dict(urllib.parse.parse_qsl(query))
        try:
            if path == f"{ROOT}/healthz":
                self.answer({})
            elif path == f"{ROOT}/api/status":
                self.answer({"status": {"Kiali version": "stand-in", "Kiali state": "running"}})
            elif path == f"{ROOT}/api/namespaces/graph":
                self.answer(graph(set(asked.get("namespaces", "").split(",")), asked.get("duration", "60s")))
            elif path in (ROOT, f"{ROOT}/"):
                lines = "".join(f"<li>{a[1]} calls {b[1]}</li>" for a, b, _ in calls("300s"))
                self.page(PAGE.format(lines))
            else:
                self.answer({"error": "the stand-in has no such page"}, 404)
        except OSError as error:
            self.answer({"error": f"Prometheus: {error}"}, 503)


if __name__ == "__main__":
    serve(Handler, 20001)
