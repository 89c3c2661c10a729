"""The folder of manifests: like k3s, what lies in it is applied, and applied again when a file changes.

k3d relies on that: after the start it writes the cluster's host names into the ConfigMap in coredns.yaml.
"""

import hashlib
import shutil
from collections.abc import Collection
from pathlib import Path

from standin import config, log, paths
from standin.processes import kubectl

# The name under which k3s applies its manifests.
FIELD_MANAGER = ["--field-manager=deploy@k3s"]


class Manifests:
    """Applies the folder's files; remembers which content it has applied."""

    def __init__(self) -> None:
        self._seen: dict[Path, tuple[int, int]] = {}

    def stage(self, disabled: Collection[str], token: str) -> None:
        """Put the stand-in's own manifests into the folder, as k3s does at each start."""
        paths.MANIFESTS.mkdir(parents=True, exist_ok=True)
        for source in sorted((paths.PROGRAM / "manifests").glob("*.yaml")):
            if source.stem not in disabled:
                shutil.copyfile(source, paths.MANIFESTS / source.name)
        if token:
            config.write(paths.MANIFESTS / "join-token.yaml", join_secret(token))

    def apply_changed(self) -> None:
        """Apply the files that are new or have changed; one that fails is tried again the next time."""
        for path in sorted(paths.MANIFESTS.glob("*.yaml")):
            state = path.stat()
            if self._seen.get(path) == (state.st_mtime_ns, state.st_size):
                continue
            done = kubectl("apply", "--server-side", "--force-conflicts", *FIELD_MANAGER, f"--filename={path}")
            if done.returncode == 0:
                self._seen[path] = (state.st_mtime_ns, state.st_size)
                log.info(f"Applied manifest {path}")
            else:
                log.info(f"Manifest {path} is not applied yet: {done.stderr.strip()}")


def join_token(token: str) -> str:
    """The bootstrap token that stands for a k3s token: Kubernetes wants it in a form of its own."""
    digest = hashlib.sha256(token.encode()).hexdigest()
    return f"{digest[:6]}.{digest[6:22]}"


def join_secret(token: str) -> dict[str, object]:
    """The Secret with which the API server knows the bootstrap token."""
    name, _, secret = join_token(token).partition(".")
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"bootstrap-token-{name}", "namespace": "kube-system"},
        "type": "bootstrap.kubernetes.io/token",
        "stringData": {"token-id": name, "token-secret": secret, "usage-bootstrap-authentication": "true"},
    }
