"""Which cluster an environment means, and proof that this is the one that answers.

A context's name and an address say nothing: both can lead somewhere else tomorrow. The identity is the uid of the
kube-system Namespace, which lives as long as the cluster, and the API server's CA. A protected environment has it in
its file, written by a person; for a k3d cluster it is recorded when the cluster is created.
"""

from __future__ import annotations

import json

from meshwright import fanout, kube
from meshwright.environment import Environment
from meshwright.environment.model import ExistingCluster
from meshwright.errors import Refused
from meshwright.target import Target

__all__ = ["path", "record", "verify"]


# Which cluster of which environment had which uid in this process: pyinfra runs all clusters of one in one.
_met: dict[tuple[str, str, str], str] = {}


def path(target: Target, env: Environment) -> str:
    """The file on the host in which a k3d cluster's identity is recorded."""
    return f"{target.state}/{env.name}/identity.json"


def record(target: Target, env: Environment, session: kube.Session) -> None:
    """Writes down which cluster this is; called when it was created."""
    found = session.identity()
    text = json.dumps({"uid": found.uid, "ca_sha256": found.ca_sha256})
    target.write(path(target, env), text.encode())


def verify(target: Target, env: Environment, session: kube.Session) -> None:
    """Asks the cluster who it is and compares.

    Raises Refused: it is another one, or a protected environment does not say which one it means; or it is another
    cluster of the same environment, met in this run.
    """
    found = session.identity()
    met = _met.setdefault((str(target.project.root), env.environment, found.uid), env.name)
    fanout.distinct({met: found.uid, env.name: found.uid})
    uid, ca = _pinned(target, env)
    if uid is None and ca is None and not env.protected:
        return
    if env.protected and (uid is None or ca is None):
        missing = " and ".join(key for key, value in (("uid", uid), ("ca_sha256", ca)) if value is None)
        raise Refused(
            f"{env.name} is protected and its cluster has no {missing}",
            hint=f"What answers today is uid {found.uid}, ca_sha256 {found.ca_sha256}; if that is the right cluster, "
            f"write both into group_data/{env.environment}.yaml under `cluster`",
        )
    for what, wanted, is_ in (("uid", uid, found.uid), ("CA", ca, found.ca_sha256)):
        if wanted is not None and wanted != is_:
            raise Refused(
                f"this is another cluster than {env.name} means: its {what} is {is_}, not {wanted}",
                hint="Look where the context leads; nothing was changed",
            )


def _pinned(target: Target, env: Environment) -> tuple[str | None, str | None]:
    if isinstance(env.cluster, ExistingCluster):
        return env.cluster.uid, env.cluster.ca_sha256
    text = target.read(path(target, env))
    if text is None:
        return None, None
    try:
        recorded = json.loads(text)
        return str(recorded["uid"]), str(recorded["ca_sha256"])
    except (ValueError, KeyError, TypeError):
        raise Refused(
            f"{path(target, env)} is not what Meshwright wrote", hint="Delete it if the cluster is the right one"
        ) from None
