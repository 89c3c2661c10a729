"""Commands inside containers, as `kubectl exec` runs them, for what can only be asked from inside the mesh.

The protocol is remotecommand over WebSocket (k8s.io/client-go, tools/remotecommand), channels as in its constants.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from meshwright.errors import MeshwrightError, Unreachable
from meshwright.kube.errors import Call
from meshwright.kube.session import Session
from meshwright.kube.websocket import open_channels

__all__ = ["run"]

_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_STDOUT, _STDERR, _STATUS = 1, 2, 3


def run(
    session: Session, namespace: str, pod: str, container: str, command: Sequence[str], timeout: float = 30
) -> tuple[int, bytes, bytes]:
    """Runs `command` (an argument list, no shell, no input) in a container: exit code, standard output and error.

    `timeout` is in seconds; the command itself is not ended by it. Raises ApiError (no such pod or container),
    MeshwrightError (a command that cannot be started), Forbidden, Unreachable.
    """
    query = [("container", container), ("stdout", "true"), ("stderr", "true"), *(("command", word) for word in command)]
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/pods/{quote(pod, safe='')}/exec?{urlencode(query)}"
    context = session.context
    call = Call("run", f"a command in pod {namespace}/{pod}, container {container}", context.server, context.name)
    output = {_STDOUT: bytearray(), _STDERR: bytearray(), _STATUS: bytearray()}
    with open_channels(session, path, _PROTOCOLS, call, timeout) as channels:
        while (message := channels.receive()) is not None:
            channel, data = message
            if channel in output:
                output[channel] += data
    code = _exit_code(bytes(output[_STATUS]), f"{command[0]} in {namespace}/{pod}, container {container}")
    return code, bytes(output[_STDOUT]), bytes(output[_STDERR])


def _exit_code(status: bytes, what: str) -> int:
    """The exit code in the Status that ends an exec. A connection that ends without one says nothing about it."""
    try:
        said = json.loads(status)
    except ValueError:
        raise Unreachable(f"the connection ended before {what} did") from None
    if said.get("status") == "Success":
        return 0
    for cause in (said.get("details") or {}).get("causes") or []:
        if said.get("reason") == "NonZeroExitCode" and cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise MeshwrightError(f"{what} could not be run: {said.get('message') or said.get('reason')}")
