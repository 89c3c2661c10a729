"""A request to an exposed addon, as a stranger would send it: over TLS, by its domain, at the gateway's address."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from meshwright.addons.exposure import Exposed
from meshwright.addons.table import place
from meshwright.check import Failed
from meshwright.environment import Environment
from meshwright.errors import Unreachable
from meshwright.ingress import Address
from meshwright.target import Target

__all__ = ["Answer", "knock", "refused"]

_TIMEOUT = 10.0
_REFUSED = (401, 403)


@dataclass(frozen=True)
class Answer:
    """Status and body of an answer; `handshake` is why there is none, where the gateway ended the TLS handshake."""

    status: int
    body: bytes
    handshake: str = ""


def knock(
    target: Target,
    env: Environment,
    found: Exposed,
    address: Address,
    *,
    headers: Mapping[str, str] | None = None,
    client: ssl.SSLContext | None = None,
) -> Answer:
    """The answer to a GET of the addon's first page.

    The certificate is not verified: whose it is, is for the certificate checks, and no secret is sent by ourselves.
    `client` is a context with a client certificate. Raises Unreachable.
    """
    port = address.secure_port if found.exposure.port == 443 and address.secure_port else found.exposure.port
    context = client or ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    where = f"https://{found.exposure.host} at {address.bracketed}:{port}"
    plain = target.connect(address.host, port, _TIMEOUT)
    try:
        plain.settimeout(_TIMEOUT)
        try:
            stream = context.wrap_socket(plain, server_hostname=found.exposure.host)
            connection = http.client.HTTPConnection(found.exposure.host, port)
            connection.sock = stream
            sent = {"Host": found.exposure.host, "Connection": "close", **(headers or {})}
            connection.request("GET", place(env, found.addon).path, headers=sent)
            response = connection.getresponse()
            return Answer(response.status, response.read(1_000_000))
        except ssl.SSLError as error:
            # In TLS 1.3 the lack of a client certificate is said after the handshake, to the first read.
            return Answer(0, b"", error.reason or str(error))
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{where} gives no answer: {str(error) or type(error).__name__}") from None
    finally:
        plain.close()


def refused(target: Target, env: Environment, found: Exposed, address: Address) -> str:
    """How a stranger without credentials is refused, in words. Raises Failed: he is let in, or something else answers;
    Unreachable."""
    answer = knock(target, env, found, address)
    asked = found.exposure.authentication.kind
    if asked == "mtls":
        if "CERTIFICATE_REQUIRED" in answer.handshake.upper().replace(" ", "_"):
            return "no TLS handshake without a client certificate"
        raise Failed(
            f"https://{found.exposure.host} asks for no client certificate: "
            f"{answer.handshake or f'it answers {answer.status}'}"
        )
    if answer.handshake:
        raise Failed(
            f"https://{found.exposure.host} gives no TLS ({answer.handshake}): is the Secret "
            f"{env.ingress.namespace}/{found.exposure.credential} there?"
        )
    if answer.status not in _REFUSED:
        raise Failed(f"https://{found.exposure.host} answers {answer.status} to a request without credentials")
    return str(answer.status)
