"""A second cluster of the lab's engine, with nothing in it, that only an SSH host in a network namespace reaches."""

from __future__ import annotations

import socket
from pathlib import Path

import yaml
from bastion import Bastion

from meshwright import cluster, ssh
from meshwright.environment import load
from meshwright.project import Project
from meshwright.target import Local

_GROUND = "ground"
_API = 6443


class Far:
    """The cluster, as other tests know the lab: `driver`, and once `enter` was called, `target`, `env` and `session`,
    all of them through the host. `values` are those that an environment there has of its own."""

    def __init__(self, lab, folder: Path) -> None:
        self.driver, self.bastion, self.target = lab.driver, None, None
        project = Project(lab.driver.root)
        values = yaml.safe_load((project.root / "group_data" / "lab.yaml").read_text())
        lab.driver.add_environment(_GROUND, yaml.safe_dump(values, sort_keys=False))
        try:
            ran = lab.driver.meshwright("apply", _GROUND, "cluster", "--yes")
            assert ran.code == 0, ran.err + ran.out
            here = Local(project)
            session = cluster.session(here, load(project, _GROUND).env)
            assert session is not None
            known, [node] = session.identity(), session.list("v1", "Node")
            here.close()
            found = {each["type"]: each["address"] for each in node["status"]["addresses"]}
            self.address, self.port = found["InternalIP"], _API
            document = yaml.safe_load((project.of(_GROUND) / "kubeconfig").read_text())
            [named] = document["clusters"]
            self.published = named["cluster"]["server"]
            named["cluster"]["server"] = f"https://{self.address}:{self.port}"
            self.bastion = Bastion(folder, lab.driver.environ["PATH"])
            self.kubeconfig = self.bastion.home / "admin.yaml"
            self.kubeconfig.write_text(yaml.safe_dump(document))
            self.bastion.alone(self.address, self.port)
            assert self.bastion.server is not None
            self.values = {
                "hosts": [self.bastion.server.host().model_dump(exclude_none=True)],
                "cluster": {
                    "kind": "existing",
                    "kubeconfig": str(self.kubeconfig),
                    "context": document["contexts"][0]["name"],
                    "uid": known.uid,
                    "ca_sha256": known.ca_sha256,
                },
            }
        except BaseException:
            self.stop()
            raise

    def enter(self, environment: str) -> None:
        """Opens a session through the host, by the values of an environment that is there."""
        project = Project(self.driver.root)
        self.env = load(project, environment).env
        assert self.bastion is not None
        assert self.bastion.server is not None
        self.target = ssh.connect(self.bastion.server.host(), project)
        self.session = cluster.session(self.target, self.env)

    def from_here(self, address: str, port: int) -> str:
        """What comes of a connection of this machine's own: "connected", or why not."""
        try:
            with socket.create_connection((address, port), 10) as stream:
                # docker's small proxy takes any connection before it looks for a way on: it must be said something.
                stream.sendall(b"GET / HTTP/1.0\r\n\r\n")
                return "connected" if stream.recv(1) else "closed"
        except OSError as error:
            return error.strerror or str(error)

    def stop(self) -> None:
        """Ends the host, and deletes the cluster."""
        if self.target is not None:
            self.target.close()
        if self.bastion is not None:
            self.bastion.stop()
        ran = self.driver.meshwright("destroy", _GROUND, "--confirm", _GROUND)
        (self.driver.root / "inventory" / f"{_GROUND}.py").unlink(missing_ok=True)
        assert ran.code == 0, ran.err
