"""Short-lived tokens of service accounts (the TokenRequest API)."""

from __future__ import annotations

import json
from urllib.parse import quote

from meshwright.errors import Unreachable
from meshwright.kube.errors import Call, error
from meshwright.kube.session import Session

__all__ = ["request"]


def request(session: Session, namespace: str, account: str, audience: str, seconds: int = 600) -> str:
    """A token of a service account for `audience`, good for `seconds` (600 is the least that API servers give).

    It needs the right to create serviceaccounts/token, and leaves nothing behind in the cluster. Raises ApiError (no
    such account), Forbidden, Unreachable.
    """
    path = f"/api/v1/namespaces/{quote(namespace, safe='')}/serviceaccounts/{quote(account, safe='')}/token"
    body = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"audiences": [audience], "expirationSeconds": seconds},
    }
    answer = session.transport.call("POST", path, body=json.dumps(body).encode())
    context = session.context
    call = Call("create", f"a token of ServiceAccount {namespace}/{account}", context.server, context.name)
    if not 200 <= answer.status < 300:
        raise error(answer.status, answer.body, call)
    try:
        return str(json.loads(answer.body)["status"]["token"])
    except (ValueError, KeyError, TypeError):
        raise Unreachable(f"what answers at {context.server} is not an API server: it gives no token") from None
