"""Which kinds an API server knows, by aggregated discovery (Kubernetes 1.30; as v2beta1 from 1.27)."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from meshwright.errors import BadInput, Unreachable

if TYPE_CHECKING:
    from meshwright.kube.transport import Answer

__all__ = ["ACCEPT", "Discovery", "Resource"]

ACCEPT = ",".join(
    f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList" for version in ("v2", "v2beta1")
)
# A kind that was not there may have come since (a CRD): asked again, but not for each of a burst of questions.
_MISS_IS_GOOD_FOR = 1.0


@dataclass(frozen=True)
class Resource:
    """A kind and where its objects live. `verbs` are what the API server offers, not what we may do."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    @property
    def group(self) -> str:
        """The API group, empty for the core one."""
        return self.api_version.rpartition("/")[0]

    def collection(self, namespace: str | None = None) -> str:
        """The path of all objects of the kind, in one namespace or in all."""
        prefix = f"/apis/{self.api_version}" if self.group else f"/api/{self.api_version}"
        scope = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace else ""
        return f"{prefix}{scope}/{self.plural}"

    def object(self, name: str, namespace: str | None = None, subresource: str = "") -> str:
        """The path of one object, or, without a name, the one to create it at. Raises BadInput where a namespace is
        needed and missing."""
        if self.namespaced and not namespace:
            raise BadInput(
                f"{self.kind} {name} is namespaced, and no namespace is given", hint="Add metadata.namespace"
            )
        # Names of RBAC objects may have colons and more.
        parts = [self.collection(namespace), quote(name, safe=":"), subresource]
        return "/".join(part for part in parts if part)


class Discovery:
    """The kinds of one API server, asked once and again when one is missing."""

    def __init__(self, fetch: Callable[[str], Answer]) -> None:
        self._fetch = fetch
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], Resource] = {}
        self._stale: frozenset[str] = frozenset()
        self._asked = float("-inf")

    def find(self, api_version: str, kind: str) -> Resource | None:
        """The resource; None when the API server provably does not know the kind.

        Raises Unreachable, also when the kind's own (aggregated) server does not answer; Forbidden.
        """
        key = (api_version, kind)
        with self._lock:
            if key not in self._known and time.monotonic() - self._asked > _MISS_IS_GOOD_FOR:
                self._ask()
            if key not in self._known and api_version in self._stale:
                raise _silent(api_version)
            return self._known.get(key)

    def preferred(self, group: str, kind: str) -> Resource | None:
        """The resource of a kind in the version of its group that the API server prefers; None and raises as `find`."""
        with self._lock:
            found = self._first(group, kind)
            if found is None and time.monotonic() - self._asked > _MISS_IS_GOOD_FOR:
                self._ask()
                found = self._first(group, kind)
            stale = [version for version in self._stale if version.rpartition("/")[0] == group]
            if found is None and stale:
                raise _silent(stale[0])
            return found

    def _first(self, group: str, kind: str) -> Resource | None:
        # A group's versions are listed by preference.
        return next((r for r in self._known.values() if (r.group, r.kind) == (group, kind)), None)

    def forget(self) -> None:
        """Makes the next question ask the server: kinds were added or removed."""
        with self._lock:
            self._known, self._asked = {}, float("-inf")

    def _ask(self) -> None:
        known: dict[tuple[str, str], Resource] = {}
        stale = set()
        for path in ("/api", "/apis"):
            document = json.loads(self._fetch(path).body)
            if document.get("kind") != "APIGroupDiscoveryList":
                raise Unreachable(
                    f"the API server answers {path} with {document.get('kind')}, not with aggregated discovery",
                    hint="Kubernetes 1.27 or newer is needed",
                )
            for group in document["items"]:
                for version in group.get("versions", ()):
                    name = (group.get("metadata") or {}).get("name") or ""
                    api_version = f"{name}/{version['version']}" if name else version["version"]
                    if version.get("freshness") == "Stale":
                        stale.add(api_version)
                    for entry in version.get("resources", ()):
                        kind = (entry.get("responseKind") or {}).get("kind")
                        if not kind:
                            continue
                        known[api_version, kind] = Resource(
                            api_version,
                            kind,
                            entry["resource"],
                            entry.get("scope") == "Namespaced",
                            frozenset(entry.get("verbs", ())),
                        )
        self._known, self._stale = known, frozenset(stale)
        self._asked = time.monotonic()


def _silent(api_version: str) -> Unreachable:
    return Unreachable(
        f"the API server knows {api_version}, but what serves it does not answer",
        hint=f"See `kubectl get apiservice`: the one for {api_version} is not Available",
    )
