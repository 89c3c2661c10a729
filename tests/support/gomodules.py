"""Go modules that the lab is built from, where they were downloaded, and the CRDs in them and in cert-manager's."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from meshwright.tools import golang
from meshwright.tools.table import GoModule

CHECKOUT = Path(__file__).resolve().parents[2]
GO_MOD = CHECKOUT / "lab" / "go" / "istio" / "go.mod"
ISTIO, GATEWAY_API = "istio.io/istio", "sigs.k8s.io/gateway-api"
CERT_MANAGER = GoModule(
    folder="tests/support/go/cert-manager",
    module="github.com/cert-manager/cert-manager",
    package="github.com/cert-manager/cert-manager",
    pinned="v1.21.2",
    builds="1.21.2",
    minutes=1,
)


def folder(module: str) -> Path | None:
    """The folder of a module in the version that lab/go/istio pins; None where it is not here."""
    go = shutil.which("go")
    if go is None:
        return None
    cache = subprocess.run([go, "env", "GOMODCACHE"], capture_output=True, text=True, check=True).stdout.strip()
    lines = (line.split() for line in GO_MOD.read_text().splitlines())
    pinned = next(words[1] for words in lines if words[:1] == [module])
    found = Path(cache) / f"{module}@{pinned}"
    return found if found.is_dir() else None


def crds_of_istio() -> Path | None:
    """The file with the CRDs of Istio."""
    found = folder(ISTIO)
    return found / "manifests/charts/base/files/crd-all.gen.yaml" if found else None


def crds_of_gateway_api() -> list[Path]:
    """The files with the CRDs of the Gateway API, standard channel; none where they are not here."""
    found = folder(GATEWAY_API)
    files = sorted((found / "config/crd/standard").glob("*.yaml")) if found else []
    return [file for file in files if "kind: CustomResourceDefinition" in file.read_text(encoding="utf-8")]


def crd_of_certificates() -> dict[str, Any]:
    """cert-manager's own CRD of Certificates; its module is downloaded where it is not here yet (2 MB)."""
    _, oldest = golang.pinned(CHECKOUT / CERT_MANAGER.folder, CERT_MANAGER.module)
    go = next(found for found in golang.find() if found.version >= oldest)
    source = golang.source(go, CHECKOUT, CERT_MANAGER)
    [crd] = documents(source / "deploy" / "crds" / "cert-manager.io_certificates.yaml")
    return crd


def documents(file: Path) -> list[dict[str, Any]]:
    """The documents of a YAML file."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(file.read_text(encoding="utf-8"), Loader=loader) if document]
