"""The session with one cluster: every call to an API server goes through here. Objects are JSON dicts as they come."""

from __future__ import annotations

import builtins
import json
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

from meshwright.errors import BadInput, MeshwrightError, Unreachable
from meshwright.kube import parallel, tls
from meshwright.kube.body import body as encoded
from meshwright.kube.discovery import ACCEPT, Discovery, Resource
from meshwright.kube.errors import Call, error, is_absent
from meshwright.kube.kubeconfig import Context
from meshwright.target import Target

if TYPE_CHECKING:
    from meshwright.kube.transport import Answer

__all__ = ["Session"]

T = TypeVar("T")
R = TypeVar("R")
Object = dict[str, Any]

_TIMEOUT = 30.0
_PAGE = 500
_MANAGER = "meshwright"
_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_APPLY, _MERGE = "application/apply-patch+yaml", "application/merge-patch+json"  # JSON is YAML too


class Session:
    """A session with the cluster of one context, through one target. Safe to use from several threads.

    Each call ends within `timeout` seconds. Each may raise Unreachable (no answer), Forbidden (401, 403) and ApiError
    (the server refused or failed it); none of these says anything about what is there.
    """

    def __init__(self, context: Context, target: Target, timeout: float = _TIMEOUT) -> None:
        # httpcore2 takes 0.1 s to import, which only those pay who talk to a cluster.
        from meshwright.kube.transport import Transport

        self.context = context
        self.target = target
        self.timeout = timeout
        self.transport = Transport(context, target, timeout)
        self.guard: Callable[[], None] = lambda: None
        """Called before each write (dry runs are none); raises where this process may not write any more."""
        self._discovery = Discovery(self._discover)
        self._identity: tls.Identity | None = None

    def close(self) -> None:
        """Ends the connections."""
        self.transport.close()

    # What is there

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        """The object; None only when it provably does not exist (or its kind is not known)."""
        resource = self.resource(api_version, kind)
        if resource is None:
            return None
        path = resource.object(name, namespace)
        answer = self.transport.call("GET", path)
        if is_absent(answer.status, answer.body) or self._kind_is_gone(answer, resource):
            return None
        return self._object(answer, self._call("get", kind, name, namespace))

    def list(
        self,
        api_version: str,
        kind: str,
        namespace: str | None = None,
        *,
        labels: str = "",
        fields: str = "",
        metadata_only: bool = False,
    ) -> list[Object]:
        """All objects of a kind, in one namespace or in all; none when the kind is not known.

        `labels` and `fields` are selectors ("app=ratings"). Each object has apiVersion and kind, and nothing but its
        metadata beside them with `metadata_only`.
        """
        resource = self.resource(api_version, kind)
        if resource is None:
            return []
        path = resource.collection(namespace)
        call = self._call("list", kind, "", namespace)
        deadline = time.monotonic() + self.timeout
        found: list[Object] = []
        page = ""
        accept = _METADATA if metadata_only else "application/json"
        while True:
            query = {"limit": _PAGE, "labelSelector": labels, "fieldSelector": fields, "continue": page}
            answer = self.transport.call("GET", path + _query(query), accept=accept)
            if answer.status == 410 and page and time.monotonic() < deadline:
                found, page = [], ""  # the pages that are left belong to a past that is gone
                continue
            if self._kind_is_gone(answer, resource):
                return []
            document = self._object(answer, call)
            for item in document.get("items") or ():
                found.append({**item, "apiVersion": api_version, "kind": kind})
            page = (document.get("metadata") or {}).get("continue") or ""
            if not page:
                return found

    def resource(self, api_version: str, kind: str) -> Resource | None:
        """Where objects of a kind live; None when the API server does not know it (its CRD is absent)."""
        return self._discovery.find(api_version, kind)

    def preferred(self, group: str, kind: str) -> Resource | None:
        """The same, in the version of `group` that the API server prefers."""
        return self._discovery.preferred(group, kind)

    def forget_kinds(self) -> None:
        """Makes the next question about a kind ask the server, after a process of ours has added or removed CRDs."""
        self._discovery.forget()

    # Changes

    def apply(
        self, obj: Object, *, manager: str = _MANAGER, force: bool = False, dry_run: bool = False, subresource: str = ""
    ) -> Object:
        """Server-side apply; unknown fields are an error. Returns the object as it is afterwards.

        A field that another manager owns is an ApiError with reason Conflict, unless `force`.
        """
        query = {"fieldManager": manager, "force": "true" if force else "", "fieldValidation": "Strict"}
        return self._write("PATCH", "apply", obj, query, dry_run, _APPLY, subresource=subresource)

    def create(self, obj: Object, *, manager: str = _MANAGER, dry_run: bool = False) -> Object:
        """Creates the object. One of that name that exists already is an ApiError with reason AlreadyExists."""
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        return self._write("POST", "create", obj, query, dry_run)

    def replace(self, obj: Object, *, manager: str = _MANAGER, dry_run: bool = False, subresource: str = "") -> Object:
        """Replaces the object; with a resourceVersion in it, only if it is still that one (else reason Conflict)."""
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        return self._write("PUT", "replace", obj, query, dry_run, subresource=subresource)

    def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        body: Any,
        content_type: str = _MERGE,
        manager: str = _MANAGER,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Object:
        """Patches the object with a merge patch (or another, by `content_type`)."""
        query = {"fieldManager": manager, "fieldValidation": "Strict"}
        reference = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
        return self._write("PATCH", "patch", reference, query, dry_run, content_type, body, subresource)

    def delete(
        self, api_version: str, kind: str, name: str, namespace: str | None = None, *, uid: str | None = None
    ) -> bool:
        """Deletes the object and, in the background, what it owns. Returns whether it was there.

        With `uid`, only if it is still that very object (else an ApiError with reason Conflict).
        """
        resource = self.resource(api_version, kind)
        if resource is None:
            return False
        self.guard()
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        path = resource.object(name, namespace)
        answer = self.transport.call("DELETE", path, body=json.dumps(options).encode())
        if is_absent(answer.status, answer.body) or self._kind_is_gone(answer, resource):
            return False
        self._object(answer, self._call("delete", kind, name, namespace))
        self._changed(kind)
        return True

    # The server itself

    def get_raw(self, path: str, timeout: float | None = None) -> bytes:
        """The body of a GET of `path` (quoted, with its query), such as a pod's log."""
        answer = self.transport.call("GET", path, accept="*/*", timeout=timeout)
        self._check(answer, Call("get", path.partition("?")[0], self.context.server, self.context.name))
        return answer.body

    def ready(self) -> bool:
        """Whether the API server says that it is ready. One that gives no answer raises Unreachable."""
        answer = self.transport.call("GET", "/readyz", accept="*/*")
        if answer.status == 500:
            return False
        self._check(answer, Call("get", "/readyz", self.context.server, self.context.name))
        return True

    def version(self) -> str:
        """The version of the API server, such as v1.35.4."""
        return str(json.loads(self.get_raw("/version"))["gitVersion"])

    def identity(self) -> tls.Identity:
        """Which cluster this is. Asked once."""
        if self._identity is None:
            namespace = self.get("v1", "Namespace", "kube-system")
            if namespace is None:
                raise MeshwrightError(
                    f"the cluster of context {self.context.name} has no Namespace kube-system, so it has no identity"
                )
            self._identity = tls.Identity(namespace["metadata"]["uid"], tls.ca_sha256(self.context))
        return self._identity

    def map(self, function: Callable[[T], R], items: Iterable[T]) -> builtins.list[R]:
        """`function` of each item, at most eight at once, results in order; the first error is raised."""
        return parallel.run(function, items)

    # Inside

    def _kind_is_gone(self, answer: Answer, resource: Resource) -> bool:
        """Whether a 404 is because the kind itself has been removed since discovery was asked."""
        if answer.status != 404:
            return False
        self._discovery.forget()
        return self.resource(resource.api_version, resource.kind) is None

    def _call(self, verb: str, kind: str, name: str, namespace: str | None) -> Call:
        thing = "/".join(part for part in (namespace, name) if part)
        if not name:
            thing = f"in namespace {namespace}" if namespace else "in all namespaces"
        return Call(verb, f"{kind} {thing}", self.context.server, self.context.name)

    def _check(self, answer: Answer, call: Call) -> None:
        if 200 <= answer.status < 300:
            return
        failed = error(answer.status, answer.body, call)
        ended = tls.expired(self.context.certificate) if answer.status == 401 and self.context.certificate else ""
        if ended:
            failed.message = (
                f"the client certificate of context {call.context} in {self.context.file} expired on {ended}"
            )
        raise failed

    def _object(self, answer: Answer, call: Call) -> Object:
        self._check(answer, call)
        try:
            document = json.loads(answer.body)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise Unreachable(f"what answers at {call.server} is not an API server: its answer is no JSON object")
        return document

    def _discover(self, path: str) -> Answer:
        answer = self.transport.call("GET", path, accept=ACCEPT + ",application/json")
        self._object(answer, Call("get", path, self.context.server, self.context.name))
        return answer

    def _write(
        self,
        method: str,
        verb: str,
        obj: Object,
        query: dict[str, str],
        dry_run: bool,
        content_type: str = "application/json",
        body: Any = None,
        subresource: str = "",
    ) -> Object:
        metadata = obj.get("metadata") or {}
        kind, name, namespace = str(obj.get("kind")), str(metadata.get("name") or ""), metadata.get("namespace")
        resource = self.resource(str(obj.get("apiVersion")), kind)
        if resource is None:
            raise BadInput(
                f"cannot {verb} {kind} {name}: the API server does not know {kind} of {obj.get('apiVersion')}",
                hint="Install what defines it (its CRD) first, or correct apiVersion and kind",
            )
        path = resource.object("" if method == "POST" else name, namespace, subresource)
        query = {**query, "dryRun": "All" if dry_run else ""}
        data = encoded(obj if body is None else body)
        if not dry_run:
            self.guard()
        answer = self.transport.call(method, path + _query(query), body=data, content_type=content_type)
        result = self._object(answer, self._call(verb, kind, name or "(no name)", namespace))
        if not dry_run:
            self._changed(kind)
        return result

    def _changed(self, kind: str) -> None:
        if kind in ("CustomResourceDefinition", "APIService"):
            self._discovery.forget()


def _query(values: dict[str, Any]) -> str:
    given = {k: v for k, v in values.items() if v not in ("", None)}
    return f"?{urlencode(given)}" if given else ""
