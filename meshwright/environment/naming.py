"""Names that derive from an environment's name."""

from __future__ import annotations

import hashlib
import re

from meshwright.environment.model import Environment, K3dCluster
from meshwright.project import Project

__all__ = ["NAME_RULE", "allowed", "cluster_name"]

# k3d's 32 characters for a cluster's name, less `mw-`, `-` and the digest.
_LONGEST = 32 - len("mw--") - 8
_NAME = re.compile(rf"[a-z0-9](?:[-a-z0-9]{{0,{_LONGEST - 2}}}[a-z0-9])?")
NAME_RULE = f"at most {_LONGEST} characters: a-z, 0-9 and -, at both ends no -, and not all"
"""What the name of an environment may be, in words."""


def allowed(name: str) -> bool:
    """Whether an environment may have this name. `all` is the file of values that every environment shares."""
    return bool(_NAME.fullmatch(name)) and name != "all"


def cluster_name(env: Environment, project: Project) -> str:
    """The name of the environment's k3d cluster: the one in its values, or mw-ENVIRONMENT-DIGEST.

    At most 32 characters. The digest is the project's, so that two clones on one machine do not share a cluster. One of
    several clusters is mw-ENVIRONMENT-CLUSTER-DIGEST, cut where that is long; its digest is over the name too.
    Raises TypeError for a cluster that is not k3d's: it has a context, not a name.
    """
    if not isinstance(env.cluster, K3dCluster):
        raise TypeError(f"the cluster of {env.name} is not one of k3d's")
    if env.cluster.name != "auto":
        return env.cluster.name
    if env.name == env.environment:
        return f"mw-{env.name}-{project.digest}"
    digest = hashlib.sha256(f"{project.root}\0{env.name}".encode()).hexdigest()[: len(project.digest)]
    return f"mw-{env.name.replace('/', '-')[:_LONGEST].rstrip('-')}-{digest}"
