"""A stand-in for Vault, over real TLS; the real one answers as its API documentation says."""

from __future__ import annotations

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fakeapi import Authority

__all__ = ["Vault", "answering"]


class Vault:
    """Answers with `status` and `body`, and keeps what was `asked`. `environ` is what leads a client to it."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.status, self.body = 200, json.dumps({"data": {"data": values, "metadata": {}}})
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.environ: dict[str, str] = {}


@contextmanager
def answering(folder: Path, values: dict[str, Any]) -> Iterator[Vault]:
    """A Vault with a secret that has these values; its certificates are in `folder`."""
    made, authority = Vault(values), Authority("an authority")
    certificate, key = authority.issue("vault")
    for name, content in (("v.crt", certificate), ("v.key", key), ("ca.crt", authority.pem)):
        (folder / name).write_bytes(content)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append((self.path, dict(self.headers.items())))
            body = made.body.encode()
            self.send_response(made.status)
            self.send_header("Content-Length", str(len(body)))
            if made.status == 307:
                self.send_header("Location", "/elsewhere")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "v.crt", folder / "v.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    made.environ = {
        "VAULT_ADDR": f"https://127.0.0.1:{server.server_port}/",
        "VAULT_CACERT": str(folder / "ca.crt"),
    }
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
