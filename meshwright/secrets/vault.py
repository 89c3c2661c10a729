"""Secrets in Vault (or OpenBao): the newest version of one in the KV engine, version 2, over HTTPS.

Its address, CA, namespace and token are where the command `vault` has them: VAULT_ADDR, VAULT_CACERT, VAULT_NAMESPACE,
VAULT_TOKEN or the file ~/.vault-token that `vault login` writes.
"""

from __future__ import annotations

import json
import os
import ssl
from pathlib import Path
from urllib.parse import quote, urlsplit

from meshwright.errors import BadInput, Forbidden, MeshwrightError, Unreachable
from meshwright.secrets.documents import Document

__all__ = ["read"]

_LIMIT = 10.0
_MOST = 4 * 1024 * 1024
_LOGIN = "Log in with `vault login`, or set VAULT_TOKEN"


def read(path: str) -> Document:
    """The values of the secret at MOUNT/PATH.

    Raises BadInput: there is no such secret, or VAULT_ADDR is not an address. Forbidden, Unreachable: what Vault says.
    """
    import httpx2  # its import costs 0.15 s, and few have secrets there

    address, mount = _address(), path.partition("/")[0]
    url = f"{address}/v1/{quote(mount)}/data/{quote(path.partition('/')[2])}"
    headers = {"X-Vault-Token": _token(), "X-Vault-Request": "true"}
    if namespace := os.environ.get("VAULT_NAMESPACE"):
        headers["X-Vault-Namespace"] = namespace
    try:
        # No redirects: a token is for the address that was named.
        with httpx2.Client(verify=_trusted(), timeout=_LIMIT, follow_redirects=False) as client:
            answer = client.get(url, headers=headers)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        why = str(error).strip().partition("\n")[0] or type(error).__name__
        raise Unreachable(f"Vault at {address} gives no answer: {why}", hint="Is VAULT_ADDR right?") from None
    return _values(answer.status_code, answer.content, path, address)


def _values(status: int, content: bytes, path: str, address: str) -> Document:
    if status == 404:
        raise BadInput(
            f"Vault at {address} has no secret {path}", hint=f"`vault kv get {path}` asks the same; KV version 2 only"
        )
    if status in (401, 403):
        raise Forbidden(f"Vault at {address} does not let us read {path} ({status})", hint=_LOGIN)
    if status != 200:
        why = "it is sealed, or not ready" if status in (429, 472, 473, 503) else "that is no answer to this question"
        raise Unreachable(f"Vault at {address} answers {status}: {why}")
    try:
        if len(content) > _MOST:
            raise ValueError
        found = json.loads(content)["data"]["data"]
    except (ValueError, KeyError, TypeError):
        found = None
    if not isinstance(found, dict):
        raise BadInput(f"what Vault at {address} has at {path} is no secret of KV version 2")
    return found


def _address() -> str:
    address = os.environ.get("VAULT_ADDR", "").rstrip("/")
    if not address:
        raise MeshwrightError("VAULT_ADDR is not set, so nobody knows where Vault is")
    try:
        parts = urlsplit(address)
        good = parts.scheme == "https" and bool(parts.hostname) and not (parts.username or parts.query)
        _ = parts.port
    except ValueError:
        good = False
    if not good:
        raise BadInput("VAULT_ADDR is not an address such as https://vault.example.com:8200", hint="It takes https")
    return address


def _token() -> str:
    token = os.environ.get("VAULT_TOKEN", "")
    if not token:
        place = Path(os.environ.get("HOME") or Path.home()) / ".vault-token"
        try:
            token = place.read_text(encoding="ascii")
        except (OSError, ValueError):
            raise MeshwrightError(
                "there is no token for Vault: VAULT_TOKEN is not set, and ~/.vault-token not there", hint=_LOGIN
            ) from None
    token = token.strip()
    if not token or not token.isascii() or not token.isprintable():
        raise MeshwrightError("the token for Vault is empty or no token", hint=_LOGIN)
    return token


def _trusted() -> ssl.SSLContext:
    import httpx2

    if named := os.environ.get("VAULT_CACERT"):
        try:
            return ssl.create_default_context(cafile=named)
        except OSError as error:  # ssl.SSLError too
            raise MeshwrightError(
                f"VAULT_CACERT is {named}, which is no file with certificates: {error.strerror or error}"
            ) from None
    context: ssl.SSLContext = httpx2.create_ssl_context()
    return context
