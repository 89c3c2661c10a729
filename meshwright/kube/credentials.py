"""Who we are towards an API server: tokens, token files, basic auth, client certificates and exec plugins.

The exec plugin protocol is that of client.authentication.k8s.io/v1 and v1beta1.
"""

from __future__ import annotations

import base64
import json
import posixpath
import threading
import time
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from meshwright.errors import Forbidden, ProcessError
from meshwright.kube.kubeconfig import Context
from meshwright.target import Target

__all__ = ["Credentials", "Pass"]

_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_PLUGIN_TIMEOUT = 60
# Renewed a little early, so that a token does not run out between here and the server.
_EARLY = 10


@dataclass(frozen=True)
class Pass:
    """What is shown to the API server. `authorization` is a header value, empty for none; `expires` is a Unix time in
    seconds, None for never."""

    authorization: str = field(default="", repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    expires: float | None = None


class Credentials:
    """The credentials of one context, renewed when they expire or are refused. Safe to use from several threads."""

    def __init__(self, context: Context, target: Target) -> None:
        self._context = context
        self._target = target
        self._lock = threading.Lock()
        self._pass: Pass | None = None

    def get(self) -> Pass:
        """What to show now. Raises BadInput (a plugin block that cannot be used), Forbidden (a plugin that gives no
        credentials)."""
        with self._lock:
            expires = self._pass.expires if self._pass else None
            if self._pass is None or (expires is not None and time.time() > expires - _EARLY):
                self._pass = self._make()
            return self._pass

    def renew(self, refused: Pass) -> Pass | None:
        """What to show after the server refused `refused`; None when nothing else can be had."""
        if not (self._context.exec or self._context.token_file):
            return None
        with self._lock:
            # Several calls at once are refused at once; the first of them renews for all.
            if self._pass is refused or self._pass is None:
                self._pass = self._make()
            return None if self._pass == refused else self._pass

    def _make(self) -> Pass:
        context = self._context
        fixed = Pass(certificate=context.certificate, key=context.key)
        if context.token_file:
            data = self._target.read(context.token_file)
            if data is None:
                raise context.bad(f"its tokenFile {context.token_file} does not exist", "Put the file there")
            return Pass(f"Bearer {data.decode(errors='replace').strip()}", fixed.certificate, fixed.key)
        if context.token:
            return Pass(f"Bearer {context.token}", fixed.certificate, fixed.key)
        if context.username:
            pair = base64.b64encode(f"{context.username}:{context.password}".encode()).decode()
            return Pass(f"Basic {pair}", fixed.certificate, fixed.key)
        return self._ask(context.exec, fixed) if context.exec else fixed

    def _ask(self, plugin: dict[str, Any], fixed: Pass) -> Pass:
        """Runs the exec plugin on the target, without a terminal."""
        context = self._context
        version, command = plugin.get("apiVersion"), str(plugin.get("command") or "")
        if version not in _VERSIONS:
            raise context.bad(f"its exec plugin's apiVersion is {version}", f"It must be {' or '.join(_VERSIONS)}")
        if not command:
            raise context.bad("its exec plugin has no command", "Name the program that prints the credentials")
        if plugin.get("interactiveMode") == "Always":
            raise context.bad("its exec plugin needs a terminal", "Set interactiveMode to IfAvailable or Never")
        if "/" in command:
            command = posixpath.join(context.folder, command)
        env = {str(e.get("name")): str(e.get("value")) for e in plugin.get("env") or []}
        env["KUBERNETES_EXEC_INFO"] = json.dumps(self._exec_info(plugin, version))
        arguments = [str(a) for a in plugin.get("args") or []]
        try:
            done = self._target.run([command, *arguments], env=env, timeout=_PLUGIN_TIMEOUT)
        except ProcessError as error:
            raise Forbidden(
                f"the exec plugin {command} of context {context.name} gives no credentials: {error.message}",
                hint=str(plugin.get("installHint") or "").strip() or "Run it by hand to see what it needs, then again",
            ) from None
        return self._read(done.stdout, version, command, fixed)

    def _exec_info(self, plugin: dict[str, Any], version: str) -> dict[str, Any]:
        context = self._context
        spec: dict[str, Any] = {"interactive": False}
        if plugin.get("provideClusterInfo"):
            cluster = {
                "server": context.server,
                "tls-server-name": context.tls_server_name,
                "insecure-skip-tls-verify": context.insecure,
                "certificate-authority-data": base64.b64encode(context.ca or b"").decode(),
                "proxy-url": context.proxy_url,
                "config": context.exec_config,
            }
            spec["cluster"] = {k: v for k, v in cluster.items() if v}
        return {"apiVersion": version, "kind": "ExecCredential", "spec": spec}

    def _read(self, output: bytes, version: str, command: str, fixed: Pass) -> Pass:
        def bad(what: str) -> Forbidden:
            # Never with the output: it may hold the token.
            return Forbidden(
                f"the exec plugin {command} of context {self._context.name} printed {what}",
                hint=f"It must print an ExecCredential of {version} with a token or a client certificate",
            )

        try:
            answer = json.loads(output)
        except ValueError:
            raise bad("no JSON") from None
        if not isinstance(answer, dict) or answer.get("kind") != "ExecCredential":
            raise bad("no ExecCredential")
        if answer.get("apiVersion") != version:
            raise bad(f"an ExecCredential of {answer.get('apiVersion')}")
        status = answer.get("status") or {}
        token, certificate, key = (
            str(status.get(k) or "") for k in ("token", "clientCertificateData", "clientKeyData")
        )
        if bool(certificate) != bool(key):
            raise bad("a client certificate without its key" if certificate else "a client key without its certificate")
        if not token and not certificate:
            raise bad("an ExecCredential without a token or certificate")
        expires = None
        if stamp := status.get("expirationTimestamp"):
            try:
                expires = datetime.fromisoformat(str(stamp)).timestamp()
            except ValueError:
                raise bad(f"an expirationTimestamp that is no time: {stamp}") from None
        return Pass(
            f"Bearer {token}" if token else "",
            certificate.encode() or fixed.certificate,
            key.encode() or fixed.key,
            expires,
        )
