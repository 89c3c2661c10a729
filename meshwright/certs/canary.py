"""A certificate asked of one istiod, as a workload's agent asks: which authority signs there now, and what it hands out
to be trusted, is seen by nothing else.

The service is istio.v1.auth.IstioCertificateService (istio.io/api, security/v1alpha1/ca.proto): gRPC over TLS, with a
token of a service account. The answer is the chain, the leaf first; its last element has all roots. The key is made
here, in memory, and gone afterwards; nothing is left in the cluster.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from meshwright.certs.certificate import Certificate, bundle
from meshwright.certs.mesh import Replica
from meshwright.certs.tls import Identity, Refusal, Stream, connect
from meshwright.errors import Forbidden, MeshwrightError, Unreachable
from meshwright.kube import Session, tokens

__all__ = ["PORT", "Issued", "accepted", "ask", "names_of", "token"]

PORT = 15012
"""The port at which istiod signs and answers proxies, with TLS."""

_PATH = "/istio.v1.auth.IstioCertificateService/CreateCertificate"
_AUDIENCE = "istio-ca"
_SERVICE_ACCOUNT = "default"
_LIFE = 3600
_UNAUTHENTICATED = ("7", "16")


@dataclass(frozen=True)
class Issued:
    """What an istiod answered: the identity that it signed, and the roots beside it."""

    identity: Identity
    roots: tuple[Certificate, ...]


def token(session: Session, namespace: str) -> str:
    """A token for istiod, of the service account `default` of `namespace`. Raises as `tokens.request` does."""
    return tokens.request(session, namespace, _SERVICE_ACCOUNT, _AUDIENCE)


def names_of(trust_domain: str, namespace: str) -> str:
    """The SPIFFE name that istiod gives to that service account."""
    return f"spiffe://{trust_domain}/ns/{namespace}/sa/{_SERVICE_ACCOUNT}"


def ask(session: Session, istiod: Replica, server_name: str, bearer: str, cluster_id: str, name: str) -> Issued:
    """A certificate for `name` from this istiod. Raises Forbidden (it does not take the token), Refusal, Unreachable,
    MeshwrightError (any other answer)."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding

    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name)]), critical=True)
        .sign(key, hashes.SHA256())
    )
    body = _text(1, request.public_bytes(Encoding.PEM)) + _number(3, _LIFE)
    headers = [("authorization", f"Bearer {bearer}"), ("clusterid", cluster_id)]
    with connect(session, istiod.namespace, istiod.pod, PORT, server_name=server_name, protocols=[b"h2"]) as stream:
        answer = _call(stream, server_name, headers, body, str(istiod))
    elements = [bundle(text, f"the answer of {istiod}") for field, text in _fields(answer) if field == 1]
    if len(elements) < 2 or not elements[0]:
        raise MeshwrightError(f"{istiod} signed, but its answer has no chain")
    chain = tuple(each for element in elements[:-1] for each in element)
    return Issued(Identity(chain, key), elements[-1])


def _call(stream: Stream, authority: str, headers: list[tuple[str, str]], message: bytes, where: str) -> bytes:
    """One unary gRPC call; the message of the answer."""
    from h2.config import H2Configuration
    from h2.connection import H2Connection
    from h2.events import (
        ConnectionTerminated,
        DataReceived,
        ResponseReceived,
        StreamEnded,
        StreamReset,
        TrailersReceived,
    )

    http = H2Connection(H2Configuration(header_encoding="utf-8"))
    http.initiate_connection()
    number = http.get_next_available_stream_id()
    pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", authority), (":path", _PATH)]
    grpc = [("content-type", "application/grpc"), ("te", "trailers"), ("user-agent", "meshwright")]
    http.send_headers(number, [*pseudo, *grpc, *headers])
    http.send_data(number, b"\x00" + len(message).to_bytes(4, "big") + message, end_stream=True)
    stream.send(http.data_to_send())
    answer = b""
    said: dict[str, str] = {}
    while True:
        data = stream.receive()
        if not data:
            raise Unreachable(f"{where} ended the connection without an answer")
        for event in http.receive_data(data):
            if isinstance(event, DataReceived):
                answer += event.data
                http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, (ResponseReceived, TrailersReceived)):
                said |= {str(name): str(value) for name, value in event.headers}
            elif isinstance(event, (StreamReset, ConnectionTerminated)):
                raise Unreachable(f"{where} ended the call without an answer")
            elif isinstance(event, StreamEnded):
                return _message(answer, said, where)
        stream.send(http.data_to_send())


def _message(answer: bytes, said: dict[str, str], where: str) -> bytes:
    """The message in a gRPC answer, or the error in its trailers."""
    status = said.get("grpc-status", "")
    if status == "0":
        return answer[5:]
    from urllib.parse import unquote

    why = unquote(said.get("grpc-message", "")) or f"gRPC status {status or said.get(':status', 'none')}"
    wrong = Forbidden if status in _UNAUTHENTICATED else MeshwrightError
    raise wrong(f"{where} signs no certificate: {why}")


# Protocol buffers, as far as two small messages need them.


def _text(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a message that have a length, in order."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return value

    try:
        while at < len(message):
            tag = varint()
            size = varint()
            if tag & 7 == 2:
                yield tag >> 3, message[at : at + size]
                at += size
    except IndexError:
        raise MeshwrightError("a certificate answer is cut short") from None


def accepted(session: Session, istiod: Replica, server_name: str, identity: Identity) -> str:
    """Whether this istiod takes `identity` in a mutual handshake: "" or why not. Raises Unreachable."""
    try:
        with connect(
            session,
            istiod.namespace,
            istiod.pod,
            PORT,
            server_name=server_name,
            identity=identity,
            protocols=[b"h2"],
        ) as stream:
            # The first bytes of HTTP/2; its answer is the first that comes after our certificate was looked at.
            stream.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00")
            return "" if stream.receive() else "it ended the connection"
    except Refusal as refusal:
        return refusal.message
