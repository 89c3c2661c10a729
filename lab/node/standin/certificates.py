"""The node's certificate authorities and certificates, made with openssl.

Kept on the data volume. One that was made for other names (docker may give a node another address when it starts
again), by another authority, or that ends within thirty days, is made anew.
"""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

CA_DAYS = 3650
LEAF_DAYS = 365
RENEW_SECONDS = 30 * 24 * 3600


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def _new_key() -> list[str]:
    return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


def authority(folder: Path, name: str) -> None:
    """A certificate authority NAME.crt and NAME.key, once."""
    target, key = folder / f"{name}.crt", folder / f"{name}.key"
    if target.exists():
        return
    new = folder / f"{name}.crt.new"
    subject = f"/CN=k3s-{name}"
    files = ["-keyout", str(key), "-out", str(new)]
    _openssl("req", "-x509", *_new_key(), "-days", str(CA_DAYS), "-subj", subject, *files)
    # The certificate is renamed last: where it exists, its key is complete.
    new.replace(target)


def certificate(folder: Path, name: str, subject: str, issuer: str, alternative_names: Sequence[str] = ()) -> None:
    """A certificate NAME.crt with key NAME.key, of an authority in the same folder."""
    target = folder / f"{name}.crt"
    wish = json.dumps({"subject": subject, "names": list(alternative_names), "issuer": _print(folder, issuer)})
    recorded = folder / f"{name}.json"
    if target.exists() and recorded.exists() and recorded.read_text() == wish and _lasts(target):
        return
    request, extensions, new = (folder / f"{name}.{suffix}" for suffix in ("csr", "ext", "crt.new"))
    lines = [
        "basicConstraints=CA:FALSE",
        "keyUsage=digitalSignature,keyEncipherment",
        "extendedKeyUsage=serverAuth,clientAuth",
    ]
    if alternative_names:
        lines.append("subjectAltName=" + ",".join(alternative_names))
    extensions.write_text("\n".join(lines) + "\n")
    recorded.unlink(missing_ok=True)
    _openssl("req", *_new_key(), "-subj", subject, "-keyout", str(folder / f"{name}.key"), "-out", str(request))
    _openssl(
        *("x509", "-req", "-days", str(LEAF_DAYS), "-in", str(request), "-extfile", str(extensions), "-out", str(new)),
        *("-CA", str(folder / f"{issuer}.crt"), "-CAkey", str(folder / f"{issuer}.key"), "-CAcreateserial"),
    )
    new.replace(target)
    # Written last: it says that key and certificate belong together.
    recorded.write_text(wish)


def signing_key(path: Path) -> None:
    """The key that signs service account tokens, once."""
    if not path.exists():
        new = path.with_suffix(".new")
        _openssl("genrsa", "-out", str(new), "2048")
        new.replace(path)


def _print(folder: Path, issuer: str) -> str:
    return (folder / f"{issuer}.crt").read_text()


def _lasts(path: Path) -> bool:
    check = ["openssl", "x509", "-in", str(path), "-noout", "-checkend", str(RENEW_SECONDS)]
    return subprocess.run(check, capture_output=True).returncode == 0
