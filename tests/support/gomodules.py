"""The Go modules that the lab is built from, where they have been downloaded, and the CRDs in them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

GO_MOD = Path(__file__).resolve().parents[2] / "lab" / "go" / "istio" / "go.mod"
ISTIO, GATEWAY_API = "istio.io/istio", "sigs.k8s.io/gateway-api"


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


def documents(file: Path) -> list[dict[str, Any]]:
    """The documents of a YAML file."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(file.read_text(encoding="utf-8"), Loader=loader) if document]
