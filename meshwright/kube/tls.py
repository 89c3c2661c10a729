"""TLS towards an API server: the context to connect with, and what a failed handshake means."""

from __future__ import annotations

import contextlib
import hashlib
import os
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass

from meshwright.errors import Unreachable
from meshwright.kube.kubeconfig import Context, certificates

__all__ = ["Identity", "ca_sha256", "client_context", "expired", "handshake_error"]

# X509_V_ERR_* of OpenSSL's x509_vfy.h: no path from what the server presents to a CA that we trust.
_NOT_TRUSTED = frozenset({2, 7, 18, 19, 20, 21, 24})
_NOT_YET_VALID, _EXPIRED = 9, 10
_WRONG_NAME = frozenset({62, 64})


@dataclass(frozen=True)
class Identity:
    """What tells a cluster from every other: the uid of its Namespace kube-system, and the pin of its API server's CA
    (`ca_sha256`; empty when the kubeconfig names no CA)."""

    uid: str
    ca_sha256: str


def client_context(context: Context, certificate: bytes | None, key: bytes | None) -> ssl.SSLContext:
    """The TLS context for the API server of `context`, presenting `certificate` (both are PEM).

    Without a CA in the kubeconfig the system's trust store counts, as in kubectl. Raises BadInput for a CA,
    certificate or key that cannot be used.
    """
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if context.insecure:
        tls.check_hostname = False
        tls.verify_mode = ssl.CERT_NONE
    elif context.ca is None:
        tls.load_default_certs()
    else:
        try:
            tls.load_verify_locations(cadata=context.ca.decode())
        except (ssl.SSLError, ValueError):
            raise context.bad("its certificate-authority is not a certificate", "Copy it again, in one piece") from None
    if certificate is not None and key is not None:
        try:
            # One PEM with both, because a second file would be a second place for the key.
            with _as_file(key.rstrip() + b"\n" + certificate) as path:
                tls.load_cert_chain(path, password=lambda: "")
        except (ssl.SSLError, ValueError) as error:
            why = "is encrypted or broken, or does not belong to its client-certificate"
            raise context.bad(f"its client-key {why} ({_reason(error)})", "Copy both again, in one piece") from None
    return tls


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """A path that reads as `data` while the block runs. Python's ssl takes a key from a path only; on Linux the path
    leads to memory, elsewhere to a temporary file of this user's that is gone when the block ends."""
    if hasattr(os, "memfd_create"):
        handle = os.memfd_create("meshwright", os.MFD_CLOEXEC)
        try:
            with os.fdopen(handle, "wb", closefd=False) as file:
                file.write(data)
            yield f"/proc/self/fd/{handle}"
        finally:
            os.close(handle)
        return
    handle, path = tempfile.mkstemp()  # 0600 from the start
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        yield path
    finally:
        os.unlink(path)  # noqa: PTH108 - a plain name from mkstemp


def ca_sha256(context: Context) -> str:
    """The pin of an API server's CA: the sha256 (hex) of the DER of the kubeconfig's CA certificate.

    Of a bundle of several it is the sha256 of their sorted DER one after the other, so that order does not matter.
    Empty where the kubeconfig names no CA or skips verification: then nothing was verified and there is nothing to pin.
    """
    if context.ca is None or context.insecure:
        return ""
    return hashlib.sha256(b"".join(sorted(set(certificates(context.ca))))).hexdigest()


def handshake_error(error: OSError, context: Context, name: str) -> Unreachable:
    """What a failed handshake with the API server of `context` means; `name` is the name that it was asked for."""
    at = f"the API server at {context.server}"
    if isinstance(error, ssl.SSLCertVerificationError):
        code = error.verify_code
        if code in _NOT_TRUSTED:
            who = "the kubeconfig's CA" if context.ca else "no CA of this machine"
            signed = "did not sign" if context.ca else "signed"
            return Unreachable(
                f"{at} presents a certificate that {who} {signed}: it may be another cluster",
                hint=f"Compare the server and the CA of context {context.name} in {context.file} with the cluster",
            )
        if code in _WRONG_NAME:
            return Unreachable(
                f"{at} presents a certificate that is not for {name}",
                hint=f"Give the right server or tls-server-name in context {context.name} of {context.file}",
            )
        if code in (_EXPIRED, _NOT_YET_VALID):
            what = "has expired" if code == _EXPIRED else "is not valid yet"
            return Unreachable(
                f"{at} presents a certificate that {what}",
                hint="Compare the clocks of both machines, then renew the API server's certificate",
            )
        return Unreachable(f"{at} presents a certificate that cannot be verified: {error.verify_message}")
    if isinstance(error, ssl.SSLError) and error.reason in ("WRONG_VERSION_NUMBER", "UNEXPECTED_MESSAGE"):
        return Unreachable(
            f"what answers at {context.server} does not speak TLS",
            hint=f"Look at the server of context {context.name} in {context.file}",
        )
    if isinstance(error, TimeoutError):
        return Unreachable(f"{at} did not finish the TLS handshake in time")
    return Unreachable(f"{at} ended the TLS handshake: {_reason(error)}")


def _reason(error: Exception) -> str:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(reason).replace("_", " ").lower()


def expired(certificate: bytes) -> str:
    """When the (first) client certificate in `certificate` (PEM) ended, as a date; empty when it has not.

    Only asked after a 401: by then the clock that counts, the API server's, has spoken.
    """
    from datetime import UTC, datetime

    from cryptography import x509

    try:
        end = x509.load_pem_x509_certificate(certificate).not_valid_after_utc
    except ValueError:
        return ""
    return "" if end > datetime.now(UTC) else end.strftime("%Y-%m-%d %H:%M UTC")
