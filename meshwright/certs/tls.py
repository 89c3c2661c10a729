"""Real TLS handshakes with a port of a pod: what it presents, and whether it takes a certificate of ours.

By pyOpenSSL over a port-forward: Python's own `ssl` shows no chain of the other side, and reads keys from files only.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from meshwright.certs.certificate import Certificate, of_der
from meshwright.certs.chain import why_none
from meshwright.errors import MeshwrightError
from meshwright.kube import Session, portforward

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

__all__ = ["Identity", "Refusal", "Stream", "connect", "trusts"]

_TIMEOUT = 10.0
_CHUNK = 65536


class Refusal(MeshwrightError):
    """A TLS handshake that was ended by one of the two sides."""


@dataclass(frozen=True)
class Identity:
    """A certificate with its chain, and its key. The key lives in memory, and no longer than one look."""

    chain: tuple[Certificate, ...]
    key: EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return f"<identity of {self.chain[0].label}>"


class Stream:
    """An open TLS connection. `chain` is what the other side presents, its own certificate first."""

    def __init__(self, connection: Any, carrier: portforward.Forwarded, where: str) -> None:
        self._connection = connection
        self._carrier = carrier
        self._where = where
        self.chain: tuple[Certificate, ...] = ()

    def shake(self) -> None:
        """The handshake. Raises Refusal, Unreachable."""
        from cryptography.hazmat.primitives.serialization import Encoding

        self._do(self._connection.do_handshake)
        found = self._connection.get_peer_cert_chain(as_cryptography=True) or []
        self.chain = tuple(of_der(each.public_bytes(Encoding.DER)) for each in found)

    def send(self, data: bytes) -> None:
        """Sends all of `data`. Raises Refusal, Unreachable."""
        self._do(lambda: self._connection.sendall(data))

    def receive(self) -> bytes:
        """The next bytes, empty at the end. With TLS 1.3 it is here that the other side says that it does not take our
        certificate. Raises Refusal, Unreachable."""
        from OpenSSL import SSL

        with contextlib.suppress(SSL.ZeroReturnError):
            return bytes(self._do(lambda: self._connection.recv(_CHUNK)))
        return b""

    def _do(self, what: Any) -> Any:
        from OpenSSL import SSL

        while True:
            try:
                result = what()
            except SSL.WantReadError:
                self._flush()
                more = self._carrier.receive()
                if not more:
                    raise Refusal(f"{self._where} ended the TLS handshake without a reason") from None
                self._connection.bio_write(more)
            except SSL.ZeroReturnError:
                raise
            except SSL.Error as error:
                self._flush()
                raise Refusal(f"{self._where}: {_said(error)}") from None
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        from OpenSSL import SSL

        with contextlib.suppress(SSL.WantReadError):
            while data := self._connection.bio_read(_CHUNK):
                self._carrier.send(data)


@contextlib.contextmanager
def connect(
    session: Session,
    namespace: str,
    pod: str,
    port: int,
    *,
    server_name: str,
    identity: Identity | None = None,
    protocols: Sequence[bytes] = (),
    timeout: float = _TIMEOUT,
) -> Iterator[Stream]:
    """A TLS connection to `port` of a pod, whatever it presents: trusting it is for `trusts`, which says why not.

    Raises Refusal, ApiError (no such pod), Forbidden, Unreachable.
    """
    from OpenSSL import SSL

    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_verify(SSL.VERIFY_NONE, None)
    if protocols:
        context.set_alpn_protos(list(protocols))
    if identity is not None:
        context.use_certificate(identity.chain[0].x509)
        for each in identity.chain[1:]:
            context.add_extra_chain_cert(each.x509)
        context.use_privatekey(identity.key)
    connection = SSL.Connection(context, None)
    connection.set_tlsext_host_name(server_name.encode())
    connection.set_connect_state()
    with portforward.forward(session, namespace, pod, port, timeout) as carrier:
        stream = Stream(connection, carrier, f"port {port} of {namespace}/{pod}")
        stream.shake()
        yield stream


def trusts(chain: Sequence[Certificate], roots: Iterable[Certificate], now: dt.datetime) -> str:
    """Why a chain that was presented does not lead to any of `roots`; "" when it does."""
    from meshwright.certs.chain import paths

    if not chain:
        return "it presents no certificate"
    roots = tuple(roots)
    return "" if paths(chain[0], chain[1:], roots, now) else why_none(chain[0], chain[1:], roots, now)


def _said(error: Any) -> str:
    """The reason in OpenSSL's list of errors."""
    reasons = [each[-1] for each in (error.args[0] if error.args and isinstance(error.args[0], list) else [])]
    return f"the TLS handshake failed: {reasons[-1]}" if reasons else f"the TLS handshake failed: {error or 'it ended'}"
