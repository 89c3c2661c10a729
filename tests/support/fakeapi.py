"""A certificate authority and an API server of the test's own: real TLS and HTTP on 127.0.0.1, scripted answers."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping

DAY = dt.timedelta(days=1)


class Authority:
    """A CA that signs what a test asks for. Certificates and keys are PEM."""

    def __init__(self, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = dt.datetime.now(dt.UTC)
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(self._key, hashes.SHA256())
        )

    @property
    def pem(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self._certificate.public_bytes(serialization.Encoding.DER)

    def issue(
        self, name: str, *, address: str = "127.0.0.1", dns: str = "api.example", days: tuple[int, int] = (-2, 90)
    ) -> tuple[bytes, bytes]:
        """A certificate and its key; `days` is its life, counted from today."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = dt.datetime.now(dt.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + days[0] * DAY)
            .not_valid_after(now + days[1] * DAY)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address)), x509.DNSName(dns)]),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    port: int
    certificate: dict[str, Any]

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    hang_up: bool = False
    """Ends the connection instead of answering."""
    take_over: Callable[[Any], None] | None = None
    """Is given the handler instead of an answer being sent."""

    @property
    def raw(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def status(code: int, reason: str, message: str, **details: Any) -> Reply:
    """The Status object that an API server answers a failure with."""
    return Reply(
        code,
        {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": message, "code": code}
        | ({"details": details} if details else {}),
    )


def group(name: str, version: str, *resources: tuple[str, str, bool], fresh: bool = True) -> dict[str, Any]:
    """One group of aggregated discovery; a resource is (kind, plural, namespaced)."""
    return {
        "metadata": {"name": name} if name else {},
        "versions": [
            {
                "version": version,
                "freshness": "Current" if fresh else "Stale",
                "resources": [
                    {
                        "resource": plural,
                        "responseKind": {"group": name, "version": version, "kind": kind},
                        "scope": "Namespaced" if namespaced else "Cluster",
                        "verbs": ["create", "delete", "get", "list", "patch", "update"],
                    }
                    for kind, plural, namespaced in resources
                ],
            }
        ],
    }


CORE = [group("", "v1", ("Pod", "pods", True), ("Namespace", "namespaces", False), ("Event", "events", True))]
GROUPS = [
    group("apps", "v1", ("Deployment", "deployments", True), ("DaemonSet", "daemonsets", True)),
    group(
        "apiextensions.k8s.io",
        "v1",
        ("CustomResourceDefinition", "customresourcedefinitions", False),
    ),
]


class FakeApi:
    """Answers from `answers`: (method, path without query) -> a Reply, a list of them (the last stays), or a function
    of the request. What is not there is a 404 as an API server writes it."""

    def __init__(self, certificate: bytes, key: bytes, client_ca: bytes | None, folder: Path) -> None:
        self.requests: list[Request] = []
        self.answers: dict[tuple[str, str], Any] = {
            ("GET", "/api"): Reply(body={"kind": "APIGroupDiscoveryList", "items": list(CORE)}),
            ("GET", "/apis"): Reply(body={"kind": "APIGroupDiscoveryList", "items": list(GROUPS)}),
        }
        api = self
        self._lock = threading.Lock()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            timeout = 30

            def log_message(self, *_: object) -> None: ...

            def serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {k.lower(): v for k, v in self.headers.items()}
                peer = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
                request = Request(self.command, self.path, headers, body, self.client_address[1], dict(peer or {}))
                reply = api._reply(request)
                if reply.take_over:
                    reply.take_over(self)
                    self.close_connection = True
                    return
                if reply.hang_up:
                    self.close_connection = True
                    return
                self.send_response(reply.status)
                for name, value in {"content-length": str(len(reply.raw)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(reply.raw)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = serve  # noqa: N815

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        pem = folder / "server.pem"
        pem.write_bytes(certificate + key)
        context.load_cert_chain(pem)
        if client_ca:
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(cadata=client_ca.decode())
        self._context = context
        # The handshake belongs to the connection's own thread, not to the one that accepts.
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def _reply(self, request: Request) -> Reply:
        with self._lock:
            self.requests.append(request)
            path = request.path.partition("?")[0]
            answer = self.answers.get((request.method, path))
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer(request)
        return answer or status(404, "NotFound", f"{path} not found")

    def accept_any_certificate(self) -> None:
        """Lets a client certificate through whose time is over (OpenSSL would end the handshake; Go's server, which
        API servers use, does not look)."""
        self._context.verify_flags |= ssl.VerifyFlags(0x200000)  # X509_V_FLAG_NO_CHECK_TIME

    def paths(self, method: str = "GET") -> list[str]:
        return [r.path for r in self.requests if r.method == method and not r.path.startswith(("/api?", "/apis?"))]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def write_config(
    folder: Path, server: str, ca: bytes | None, user: dict[str, Any] | None = None, **cluster: Any
) -> Path:
    """A kubeconfig with the context `lab`."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "lab-cluster",
                "cluster": {"server": server, **({"certificate-authority-data": b64(ca)} if ca else {}), **cluster},
            }
        ],
        "users": [{"name": "lab-user", "user": user if user is not None else {"token": "t0ken"}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab-cluster", "user": "lab-user"}}],
        "current-context": "other",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(document))
    return path


class ServerSocket:
    """The server's end of a WebSocket with channels, for `Reply.take_over`."""

    def __init__(self, handler: Any, protocol: str) -> None:
        self._handler = handler
        self._socket = Connection(ConnectionType.SERVER)
        key = handler.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = b64(hashlib.sha1(key.encode()).digest())
        lines = ("connection: upgrade", "upgrade: websocket", f"sec-websocket-accept: {accept}")
        head = "\r\n".join(["HTTP/1.1 101 Switching Protocols", *lines, f"sec-websocket-protocol: {protocol}", "", ""])
        handler.wfile.write(head.encode())

    def send(self, channel: int, data: bytes, *, finished: bool = True) -> None:
        self._write(BytesMessage(bytes([channel]) + data, message_finished=finished))

    def go_on(self, data: bytes) -> None:
        """The last part of a message that was not finished."""
        self._write(BytesMessage(data))

    def ping(self) -> None:
        self._write(Ping(b"there?"))

    def close(self) -> None:
        self._write(CloseConnection(1000))

    def receive(self) -> Any:
        """The next event that the client caused; None when it has gone."""
        while True:
            for event in self._socket.events():
                return event
            data = self._handler.connection.recv(65536)
            if not data:
                return None
            self._socket.receive_data(data)

    def _write(self, event: Any) -> None:
        self._handler.wfile.write(self._socket.send(event))


def websocket(protocol: str, script: Callable[[ServerSocket], None]) -> Reply:
    """A Reply that becomes a WebSocket and plays `script`."""
    return Reply(take_over=lambda handler: script(ServerSocket(handler, protocol)))
