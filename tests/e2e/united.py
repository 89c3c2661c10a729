"""Two real clusters of one mesh: one plugged-in root with an intermediate for each, remote secrets in both, and a node
network that leads from either to the other's API server."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass

import pki
import yaml
from rooted import NAMESPACE, until

from meshwright import cluster, kube
from meshwright.environment import Environment, load
from meshwright.kube import wait
from meshwright.lab import recipes
from meshwright.project import Project
from meshwright.target import Local

ENVIRONMENT, NAMES = "mesh", ("east", "west")
_READER = "istio-reader-service-account"
_SPACE = "shop"


@dataclass
class Member:
    """One of the clusters; it looks like the lab to what asks for `driver`, `target`, `env` and `session`."""

    driver: object
    name: str
    env: Environment
    target: Local
    session: kube.Session

    @property
    def node(self):
        """The container of its only node."""
        return f"k3d-{cluster.name(self.target, self.env)}-server-0"

    def secret(self, name="cacerts"):
        """A Secret of the mesh's namespace."""
        return self.session.get("v1", "Secret", name, NAMESPACE)


class United:
    """The clusters, in the environment `mesh` of the project."""

    def __init__(self, driver):
        self.driver = driver
        self.root = pki.make("First Root")
        values = yaml.safe_load((driver.root / "group_data" / "lab.yaml").read_text())
        for port in values["ingress"]["ports"]:
            port.pop("publish", None)
        del values["istio"]["components"], values["addons"]
        values["bookinfo"]["enabled"] = False
        values["clusters"] = [{"name": name, "local": {"istio": _istio(name)}} for name in NAMES]
        driver.add_environment(ENVIRONMENT, yaml.safe_dump(values, sort_keys=False))
        for name, value in driver.environ.items():
            if name == "DOCKER_HOST":
                os.environ[name] = value
        self.members = {}

    def up(self):
        """Brings them up, with Istio and pods that have a sidecar, and makes them know each other."""
        for name in NAMES:
            self.members[name] = self._up(name)
        self._joined()

    def _up(self, name):
        full = f"{ENVIRONMENT}/{name}"
        self.apply(full, "cluster")
        project = Project(self.driver.root)
        target, env = Local(project), load(project, full).env
        session = cluster.session(target, env)
        found = Member(self.driver, name, env, target, session)
        if session.get("v1", "Namespace", NAMESPACE) is None:
            session.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        if found.secret() is None:
            session.create(pki.plugged(pki.make(f"First {name}", self.root, days=(-1, 400)), self.root))
        self.apply(full, "istio")
        [image] = [each.name for each in recipes.all_images(target) if "bookinfo-ratings" in each.name]
        _workload(session, image)
        return found

    def apply(self, name, deploy):
        ran = self.driver.meshwright("apply", name, deploy, "--yes", timeout=900)
        assert ran.code == 0, ran.err + ran.out

    def _pairs(self):
        """Each with the other one, and the network of that one's node."""
        both = tuple(self.members.values())
        return [(member, other, other.node.removesuffix("-server-0")) for member, other in (both, both[::-1])]

    def _joined(self):
        """Each knows the other: its node is in the other's network too, and it has the other's remote secret."""
        for member, other, network in self._pairs():
            self._docker("network", "connect", network, member.node, ok="already exists")
            form = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
            address = self._docker("inspect", "-f", form, other.node)
            secret = remote_secret(other.session, other.name, f"https://{address}:6443")
            if member.secret(secret["metadata"]["name"]) is None:
                member.session.create(secret)

    def _docker(self, *words, ok=""):
        done = self.driver.run("docker", *words, timeout=60)
        assert done.code == 0 or (ok and ok in done.err), done.err
        return done.out.strip()

    def certs(self, *words, name=ENVIRONMENT):
        """A command of `meshwright certs`: exit code and document."""
        done = self.driver.meshwright("certs", words[0], name, *words[1:], "--json")
        return done.code, done.document

    def folders(self, root, folder):
        """Files of new CAs under `root`, one folder for each cluster; what `--to` says of it."""
        for name in NAMES:
            at = self.driver.root / folder / name
            at.mkdir(parents=True, exist_ok=True)
            signer = pki.make(f"{root.certificate.subject} {name}", root, days=(-1, 400))
            for file, text in pki.plugged(signer, root)["data"].items():
                (at / file).write_bytes(base64.b64decode(text))
        return f"cacerts:{folder}"

    def gone(self):
        """Deletes both clusters."""
        for member, _, network in self._pairs() if len(self.members) == len(NAMES) else ():
            # A network with another node in it would stay. Not to be connected is as good.
            self.driver.run("docker", "network", "disconnect", "--force", network, member.node, timeout=60)
        for member in self.members.values():
            member.target.close()
        for name in NAMES:
            self.driver.meshwright("destroy", f"{ENVIRONMENT}/{name}", "--confirm", f"{ENVIRONMENT}/{name}")


def _istio(name):
    # Each in a network of its own: pods of one are not reached from the other, their addresses are the same.
    many = {"meshID": "mesh", "network": name, "multiCluster": {"clusterName": name}}
    return {"values": {"global": many}}


def _workload(session, image):
    """Pods with a sidecar."""
    metadata = {"name": _SPACE, "labels": {"istio-injection": "enabled"}}
    if session.get("v1", "Namespace", _SPACE) is not None:
        return
    session.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
    container = {
        "name": "app",
        "image": image,
        "command": ["sleep", "100000"],
    }
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    name = {"name": "web", "namespace": _SPACE}
    session.create({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": name, "spec": spec})
    wait.ready(session, [wait.Ref("Deployment", "web", _SPACE)], timeout=240)


def remote_secret(session, name, server):
    """What `istioctl create-remote-secret` makes of a cluster: a kubeconfig with the token of its reader."""
    token = f"{_READER}-{name}"
    if session.get("v1", "Secret", token, NAMESPACE) is None:
        metadata = {
            "name": token,
            "namespace": NAMESPACE,
            "annotations": {"kubernetes.io/service-account.name": _READER},
        }
        kind = "kubernetes.io/service-account-token"
        session.create({"apiVersion": "v1", "kind": "Secret", "type": kind, "metadata": metadata})
    until(lambda: (session.get("v1", "Secret", token, NAMESPACE).get("data") or {}).get("token"))
    data = session.get("v1", "Secret", token, NAMESPACE)["data"]
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": data["ca.crt"]}}],
        "users": [{"name": name, "user": {"token": base64.b64decode(data["token"]).decode()}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    made = pki.secret(f"istio-remote-secret-{name}", {name: yaml.safe_dump(kubeconfig)})
    made["metadata"] |= {
        "labels": {"istio/multiCluster": "true"},
        "annotations": {"networking.istio.io/cluster": name},
    }
    return made
