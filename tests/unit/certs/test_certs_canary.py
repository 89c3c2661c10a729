"""Handshakes and certificate requests, against a server of the test's own that speaks TLS and gRPC."""

from __future__ import annotations

import contextlib
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded
from pki import Signed, leaf, make

from meshwright.certs import canary, tls
from meshwright.certs.certificate import Certificate, of_der, pem
from meshwright.certs.mesh import Replica
from meshwright.errors import Forbidden, MeshwrightError, Unreachable
from meshwright.kube import ApiError, portforward, tokens

TOP = make("Acme")
MIDDLE = make("Acme Int", TOP)
NAME = "spiffe://cluster.local/ns/istio-system/sa/default"
ISTIOD = Replica("istio-system", "istiod-1", "default", "", True)
OK = {"grpc-status": "0"}


@dataclass
class Server:
    """An istiod: presents a certificate of MIDDLE, takes client certificates of TOP, and signs with `by`."""

    folder: Path
    by: Signed = field(default_factory=lambda: MIDDLE)
    roots: tuple[Signed, ...] = (TOP,)
    trailers: dict[str, str] = field(default_factory=lambda: dict(OK))
    answer: bytes | None = None
    seen: dict[str, str] = field(default_factory=dict)
    deaf: bool = False

    def serve(self, raw: socket.socket) -> None:
        own = make("istiod", MIDDLE, ca=False, names=("istiod.istio-system.svc",))
        files = {"cert": pem(own.chain), "key": own.key_pem, "ca": TOP.pem}
        for name, text in files.items():
            (self.folder / name).write_text(text)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "cert", self.folder / "key")
        context.load_verify_locations(self.folder / "ca")
        context.verify_mode = ssl.CERT_OPTIONAL
        context.set_alpn_protocols(["h2"])
        with contextlib.suppress(OSError), context.wrap_socket(raw, server_side=True) as secure:
            if not self.deaf:
                self._talk(secure)

    def _talk(self, secure: ssl.SSLSocket) -> None:
        http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        http.initiate_connection()
        secure.sendall(http.data_to_send())
        body = b""
        while data := secure.recv(65536):
            for event in http.receive_data(data):
                if isinstance(event, RequestReceived):
                    self.seen |= dict(event.headers)
                elif isinstance(event, DataReceived):
                    body += event.data
                elif isinstance(event, StreamEnded):
                    http.send_headers(event.stream_id, [(":status", "200"), ("content-type", "application/grpc")])
                    message = self.answer if self.answer is not None else self._signed(body[5:])
                    if self.trailers == OK:
                        http.send_data(event.stream_id, b"\x00" + len(message).to_bytes(4, "big") + message)
                    http.send_headers(event.stream_id, list(self.trailers.items()), end_stream=True)
            secure.sendall(http.data_to_send())

    def _signed(self, request: bytes) -> bytes:
        fields = dict(canary._fields(request))
        csr = x509.load_pem_x509_csr(fields[1])
        assert csr.is_signature_valid
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.seen["name"] = str(names.get_values_for_type(x509.UniformResourceIdentifier)[0])
        own = _sign(self.by, csr)
        chain = [pem([own]), *(pem([each]) for each in self.by.chain if not each.self_signed)]
        chain.append("".join(each.pem for each in self.roots))
        return b"".join(canary._text(1, each.encode()) for each in chain)


def _sign(by: Signed, csr: x509.CertificateSigningRequest) -> Certificate:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(by.certificate.x509.subject, x509.Name([]), csr.public_key(), 7)
    names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    builder = builder.not_valid_before(now - dt.timedelta(minutes=2)).not_valid_after(now + dt.timedelta(hours=1))
    made = builder.add_extension(names.value, critical=True).sign(by.key, hashes.SHA256())
    return of_der(made.public_bytes(Encoding.DER))


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The server behind what would be a port-forward."""
    made = Server(tmp_path)
    threads: list[threading.Thread] = []

    class Carrier:
        def __init__(self, raw: socket.socket) -> None:
            self._raw = raw

        def send(self, data: bytes) -> None:
            with contextlib.suppress(BrokenPipeError):
                self._raw.sendall(data)

        def receive(self) -> bytes:
            try:
                return self._raw.recv(65536)
            except TimeoutError:
                raise Unreachable("no answer in time") from None
            except ConnectionResetError:
                return b""

    @contextlib.contextmanager
    def forward(_session: Any, _namespace: str, _pod: str, _port: int, _timeout: float) -> Iterator[Any]:
        ours, theirs = socket.socketpair()
        ours.settimeout(10)
        threads.append(threading.Thread(target=made.serve, args=(theirs,)))
        threads[-1].start()
        try:
            yield Carrier(ours)
        finally:
            ours.close()

    monkeypatch.setattr(portforward, "forward", forward)
    yield made
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def ask() -> canary.Issued:
    return canary.ask(None, ISTIOD, "istiod.istio-system.svc", "t0ken", "Kubernetes", NAME)  # type: ignore[arg-type]


def test_what_a_server_presents(server: Server) -> None:
    with tls.connect(None, "n", "p", 1, server_name="istiod", protocols=[b"h2"]) as stream:  # type: ignore[arg-type]
        assert [each.subject for each in stream.chain] == ["O=istiod", "O=Acme Int"]
    now = dt.datetime.now(dt.UTC)
    assert tls.trusts(stream.chain, [TOP.certificate], now) == ""
    assert "nothing here signed" in tls.trusts(stream.chain, [make("x").certificate], now)
    assert tls.trusts((), [TOP.certificate], now) == "it presents no certificate"


def test_a_certificate_is_asked_for_and_taken_in_a_handshake(server: Server) -> None:
    issued = ask()
    assert [each.subject for each in issued.identity.chain] == [NAME, "O=Acme Int"]
    assert issued.roots == (TOP.certificate,)
    assert server.seen["authorization"] == "Bearer t0ken"
    assert (server.seen["clusterid"], server.seen["name"]) == ("Kubernetes", NAME)
    assert tls.trusts(issued.identity.chain, issued.roots, dt.datetime.now(dt.UTC)) == ""
    assert canary.accepted(None, ISTIOD, "istiod", issued.identity) == ""  # type: ignore[arg-type]
    assert "PRIVATE" not in repr(issued)


def test_a_certificate_that_nobody_trusts_is_refused(server: Server) -> None:
    own = leaf(make("Stranger"))
    said = canary.accepted(None, ISTIOD, "istiod", tls.Identity(own.chain, own.key))  # type: ignore[arg-type]
    assert "the TLS handshake failed" in said


def test_a_change_that_reached_the_signer_only(server: Server) -> None:
    server.by = make("New Int", make("New"))
    issued = ask()
    assert "nothing here signed" in tls.trusts(issued.identity.chain, issued.roots, dt.datetime.now(dt.UTC))


@pytest.mark.parametrize(
    ("trailers", "error", "words"),
    [
        ({"grpc-status": "16", "grpc-message": "request%20authenticate failure"}, Forbidden, "request authenticate"),
        ({"grpc-status": "14", "grpc-message": ""}, MeshwrightError, "gRPC status 14"),
    ],
)
def test_an_istiod_that_does_not_sign(server: Server, trailers: Any, error: Any, words: str) -> None:
    server.trailers = trailers
    with pytest.raises(error, match=words) as caught:
        ask()
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("answer", "words"),
    [(b"", "has no chain"), (b"\x0a\x05ab", "has no chain"), (b"\x0a", "cut short"), (b"\xff", "cut short")],
)
def test_an_answer_that_is_none(server: Server, answer: bytes, words: str) -> None:
    server.answer = answer
    with pytest.raises(MeshwrightError, match=words):
        ask()


def test_an_end_in_the_middle(server: Server) -> None:
    server.deaf = True
    with pytest.raises(MeshwrightError, match=r"ended the (connection|TLS)"):
        ask()


def test_varints() -> None:
    assert canary._number(3, 3600) == b"\x18\x90\x1c"
    assert list(canary._fields(canary._number(3, 300) + canary._text(1, b"x" * 300))) == [(1, b"x" * 300)]


def test_a_token_is_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[Any] = []

    def answering(status: int, body: bytes) -> Callable[..., Any]:
        def call(method: str, path: str, **more: Any) -> Any:
            called.append((method, path, more))
            return type("Answer", (), {"status": status, "body": body})()

        return call

    def session(status: int, body: bytes) -> Any:
        transport = type("Transport", (), {"call": staticmethod(answering(status, body))})()
        context = type("Context", (), {"server": "https://x", "name": "lab"})()
        return type("Session", (), {"transport": transport, "context": context})()

    assert canary.token(session(201, b'{"status": {"token": "t"}}'), "istio-system") == "t"
    assert called[0][:2] == ("POST", "/api/v1/namespaces/istio-system/serviceaccounts/default/token")
    assert b'"istio-ca"' in called[0][2]["body"]
    refused = b'{"kind": "Status", "reason": "Forbidden", "message": "x cannot create resource \\"y\\""}'
    with pytest.raises(Forbidden):
        canary.token(session(403, refused), "istio-system")
    absent = b'{"kind": "Status", "reason": "NotFound", "message": "no"}'
    with pytest.raises(ApiError):
        tokens.request(session(404, absent), "a", "b", "c")
    with pytest.raises(Unreachable):
        tokens.request(session(200, b"<html>"), "a", "b", "c")
