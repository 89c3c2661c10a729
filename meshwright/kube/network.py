"""Connections to an API server, made through the target and perhaps a proxy, with errors that say what they mean."""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote, urlsplit

import httpcore2

from meshwright.errors import BadInput, Unreachable
from meshwright.kube import tls
from meshwright.kube.kubeconfig import Context
from meshwright.target import Target

__all__ = ["Network", "proxy"]

# What has just given an answer is taken to be open: it may end in that moment as it may in the next.
_JUST_NOW = 0.05
_PROXY_PORTS = {"http": 80, "socks5": 1080, "socks5h": 1080}


def proxy(context: Context, target: Target, scheme: str, host: str) -> httpcore2.Proxy | None:
    """The proxy on the way: proxy-url of the cluster, else, on this machine, what HTTPS_PROXY and NO_PROXY say."""
    address = context.proxy_url
    if not address and target.local and host not in ("localhost", "0.0.0.0", "::1") and not host.startswith("127."):
        names = {name.lower() for name in os.environ}
        if names & {f"{scheme}_proxy", "all_proxy"}:
            from urllib import request

            found = request.getproxies_environment()
            if not request.proxy_bypass(host):
                address = found.get(scheme) or found.get("all") or ""
    if not address:
        return None
    url = urlsplit(address if "://" in address else f"http://{address}")
    if url.scheme not in _PROXY_PORTS or not url.hostname:
        shown = f"{url.scheme}://{url.hostname}"  # without a password
        raise BadInput(
            f"the proxy {shown} of context {context.name} cannot be used",
            hint="Give an http or socks5 URL, with a host",
        )
    auth = (unquote(url.username), unquote(url.password or "")) if url.username else None
    port = url.port or _PROXY_PORTS[url.scheme]
    return httpcore2.Proxy(httpcore2.URL(scheme=url.scheme, host=url.hostname, port=port, target="/"), auth=auth)


class Network(httpcore2.NetworkBackend):
    """Makes connections through the target: from this machine, or from a host behind SSH."""

    def __init__(self, context: Context, target: Target) -> None:
        self._context = context
        self._target = target

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore2.NetworkStream:
        try:
            raw = self._target.connect(host, port, timeout or 10)
        except Unreachable as error:
            raise Unreachable(
                f"the API server at {self._context.server} gives no answer: {error.message}",
                hint=error.hint or f"Is the cluster of context {self._context.name} running, and the way to it open?",
            ) from None
        if raw.family in (socket.AF_INET, socket.AF_INET6):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return _Stream(raw, self._context)


class _Stream(httpcore2.NetworkStream):
    """One connection, with errors that say what they mean."""

    def __init__(self, raw: socket.socket, context: Context) -> None:
        self._raw = raw
        self._context = context
        self._heard = 0.0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            self._raw.settimeout(timeout)
            data = self._raw.recv(max_bytes)
            self._heard = time.monotonic()
            return data
        except TimeoutError:
            raise httpcore2.ReadTimeout("no answer in time") from None
        except OSError as error:
            raise httpcore2.ReadError(error.strerror or str(error)) from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        try:
            self._raw.settimeout(timeout)
            self._raw.sendall(buffer)
        except TimeoutError:
            raise httpcore2.WriteTimeout("not taken in time") from None
        except OSError as error:
            raise httpcore2.WriteError(error.strerror or str(error)) from None

    def close(self) -> None:
        self._raw.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        try:
            self._raw.settimeout(timeout)
            secure = ssl_context.wrap_socket(self._raw, server_hostname=server_hostname)
        except OSError as error:
            self.close()
            raise tls.handshake_error(error, self._context, server_hostname or "") from None
        return _Stream(secure, self._context)

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            # Asked of each idle connection before and after each call; under gevent each answer takes 0.1 ms.
            return time.monotonic() - self._heard > _JUST_NOW and _readable(self._raw)
        if info == "socket":
            return self._raw
        if info == "ssl_object" and isinstance(self._raw, ssl.SSLSocket):
            return self._raw
        return None


def _readable(raw: socket.socket) -> bool:
    """Whether an idle connection has something to read: its end. One that is closed on our side counts as ended."""
    if raw.fileno() < 0:
        return True
    poll = select.poll()  # select.select cannot take the descriptors of a process with more than 1024
    poll.register(raw, select.POLLIN)
    return bool(poll.poll(0))
