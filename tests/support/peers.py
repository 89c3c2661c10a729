"""The tools that the tests and the benchmarks set beside Meshwright: Ansible from PyPI, Helm from its Go module.

They are made once in the checkout, below .meshwright/peers, and kept for the next run.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from meshwright.target import Platform
from meshwright.tools import golang
from meshwright.tools.table import GoModule

CHECKOUT = Path(__file__).resolve().parents[2]
PEERS = CHECKOUT / ".meshwright" / "peers"

CORE, CLIENT = "ansible-core==2.19.4", "kubernetes==35.0.0"
# This wheel has all collections; the one for Kubernetes is taken out of it.
COLLECTIONS = "ansible==12.3.0"
_COLLECTION = "ansible_collections/kubernetes/core/"

HELM = GoModule(
    folder="tests/support/go/helm",
    module="helm.sh/helm/v4",
    package="helm.sh/helm/v4/cmd/helm",
    pinned="v4.2.0",
    builds="4.2.0",
    minutes=3,
)


def ansible() -> Path:
    """The folder of the programs of an Ansible with its collection kubernetes.core, in an environment of its own."""
    venv = PEERS / f"ansible-{COLLECTIONS.partition('==')[2]}"
    ready = venv / "ready"
    wanted = " ".join((CORE, CLIENT, COLLECTIONS))
    if not ready.is_file() or ready.read_text() != wanted:
        pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        _run(sys.executable, "-m", "venv", "--clear", str(venv))
        _run(*pip, "install", "--quiet", CORE, CLIENT)
        with tempfile.TemporaryDirectory() as folder:
            _run(*pip, "download", "--quiet", "--no-deps", "--dest", folder, COLLECTIONS)
            [wheel] = Path(folder).iterdir()
            [packages] = (venv / "lib").glob("python*/site-packages")
            with zipfile.ZipFile(wheel) as archive:
                names = [name for name in archive.namelist() if name.startswith(_COLLECTION)]
                assert names, f"{COLLECTIONS} has no {_COLLECTION}"
                archive.extractall(packages, names)
        ready.write_text(wanted)
    return venv / "bin"


def playbook(path: Path, kubeconfig: str, manifests: str, *, server_side: bool = False) -> list[str]:
    """Writes a playbook of one task that applies a file of manifests, and gives the command that runs it."""
    task = {"state": "present", "apply": True, "kubeconfig": kubeconfig, "src": manifests}
    if server_side:
        task |= {"server_side_apply": {"field_manager": "ansible", "force_conflicts": False}}
    play = {"hosts": "localhost", "gather_facts": False, "tasks": [{"name": "apply", "kubernetes.core.k8s": task}]}
    path.write_text(json.dumps([play]))
    programs, own = ansible(), path.parent / "ansible"  # not the user's ~/.ansible
    return [
        *("env", f"ANSIBLE_HOME={own}", f"ANSIBLE_REMOTE_TEMP={own}/tmp"),
        *(str(programs / "ansible-playbook"), "-i", "localhost,", "-c", "local"),
        *("-e", f"ansible_python_interpreter={programs / 'python'}", str(path)),
    ]


def helm() -> Path:
    """The program `helm`, built from the module that tests/support/go/helm pins."""
    program = PEERS / f"helm-{HELM.builds}"
    if not program.is_file():
        _, oldest = golang.pinned(CHECKOUT / HELM.folder, HELM.module)
        go = next(found for found in golang.find() if found.version >= oldest)
        PEERS.mkdir(parents=True, exist_ok=True)
        made = PEERS / f".helm-{os.getpid()}"
        system = os.uname()
        golang.build(go, CHECKOUT, HELM, Platform.of(system.sysname, system.machine), made)
        made.rename(program)
    return program


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
