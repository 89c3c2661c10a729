"""Stand-ins for the two edges of the core: a host whose processes are scripted, and a cluster that is a dict."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from meshwright import process
from meshwright.environment import Environment
from meshwright.kube import ApiError, Identity, Resource, Session
from meshwright.process import Completed
from meshwright.project import Project
from meshwright.target import Local

Object = dict[str, Any]
Answer = str | bytes | tuple[int, str] | Exception | Callable[[Sequence[str], bytes | None], str | bytes]

UID = "6f2d3c1e-8a4b-4f6e-9c0d-1a2b3c4d5e6f"
CA = "ab" * 32
_CLUSTER_SCOPED = ("Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding")


def environment(name: str = "lab", **over: Any) -> Environment:
    """An environment with a k3d cluster; `over` replaces whole top-level values."""
    values: Object = {
        "name": name,
        "cluster": {"kind": "k3d", "image": "docker.io/rancher/k3s:v1.35.4-k3s1"},
        "tools": {"k3d": "5.9.0", "kubectl": "1.35.4"},
        "istio": {"version": "1.30.3", "hub": "docker.io/istio"},
    }
    return Environment.model_validate(values | over)


def existing(**over: Any) -> Environment:
    """A protected environment on a cluster that somebody else keeps, with its identity; `over` is for `cluster`."""
    cluster = {"kind": "existing", "context": "prod", "uid": UID, "ca_sha256": CA} | over
    return environment("prod", protected=True, cluster=cluster)


class FakeTarget(Local):
    """This machine, with `tmp_path` as the project, and with every process scripted.

    `answers` has (words, answer): the first whose words all are in a command answers it: with its standard output, with
    exit code and standard error, by raising, or by a call with the command and its input. A command that nothing
    answers fails the test. `commands` is what ran.
    """

    def __init__(self, project: Project) -> None:
        self.sentences: list[str] = []
        super().__init__(project, self.sentences.append)
        self.answers: list[tuple[tuple[str, ...], Answer]] = []
        self.commands: list[tuple[str, ...]] = []
        self.environs: list[dict[str, str]] = []

    def answer(self, words: str, answer: Answer = "") -> None:
        """Scripts the commands that have all of `words`; later ones go before earlier ones."""
        self.answers.insert(0, (tuple(words.split()), answer))

    def run(
        self,
        command: Sequence[str],
        *,
        input: bytes | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        timeout: float = 60,
        ok: Collection[int] | None = (0,),
        hint: str = "",
    ) -> Completed:
        self.commands.append(tuple(command))
        self.environs.append(dict(env or {}))
        for words, answer in self.answers:
            if set(words) <= set(command):
                if callable(answer):
                    answer = answer(command, input)
                if isinstance(answer, Exception):
                    raise answer
                code, errors = answer if isinstance(answer, tuple) else (0, "")
                text = "" if isinstance(answer, tuple) else answer
                out = text.encode() if isinstance(text, str) else text
                done = Completed(tuple(command), code, out, errors.encode())
                if ok is not None and code not in ok:
                    raise process.failure(done, hint)
                return done
        raise AssertionError(f"no answer is scripted for {command}")


class FakeSession(Session):
    """A cluster as a dict of objects, with a server-side apply of leaves: enough to plan and apply against.

    `unknown` has the (apiVersion, kind) without a CRD. `defaults` is what the API server would add to an object.
    """

    def __init__(self, *objects: Object, defaults: Callable[[Object], Object] | None = None) -> None:
        self.objects: dict[tuple[str, str, str, str], Object] = {}
        self.owners: dict[tuple[str, str, str, str], dict[tuple[str, ...], str]] = {}
        self.unknown: set[tuple[str, str]] = set()
        self.defaults = defaults
        self.writes: list[Object] = []
        self.patches: list[tuple[str, str, str, Object]] = []
        self.deletes: list[tuple[str, str, str, str]] = []
        self.asked: list[str] = []
        self.who = Identity(UID, CA)
        self.failing: dict[str, Exception] = {}
        self.guard: Callable[[], None] = lambda: None
        self.version_of_all = 0
        self.user = "op@example.com"
        self.rules: dict[str, list[Object]] = {"": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]}
        self.granted: set[tuple[str, str, str]] = set()
        self.reviews: list[Object] = []
        for obj in objects:
            self.put(obj)

    def put(self, obj: Object, manager: str = "kubectl") -> None:
        """An object that was there before."""
        self.owners[_key(obj)] = {path: manager for path, _ in _leaves(obj)}
        self.objects[_key(obj)] = copy.deepcopy(obj)
        self._bump(_key(obj))

    def _bump(self, key: tuple[str, str, str, str]) -> None:
        self.version_of_all += 1
        metadata = self.objects[key]["metadata"]
        metadata["resourceVersion"] = str(self.version_of_all)
        metadata.setdefault("uid", f"uid-{self.version_of_all}")

    def close(self) -> None:
        pass

    def get(self, api_version: str, kind: str, name: str, namespace: str | None = None) -> Object | None:
        self._ask(f"get {kind} {name}")
        return copy.deepcopy(self.objects.get((api_version, kind, namespace or "", name)))

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
        self._ask(f"list {kind}")
        parts = ("apiVersion", "kind", "metadata")
        return [
            {part: value for part, value in copy.deepcopy(obj).items() if part in parts or not metadata_only}
            for (api, of, where, _), obj in sorted(self.objects.items())
            if (api, of) == (api_version, kind)
            and namespace in (None, where)
            and _selected(obj, labels)
            # Of selectors of fields, those that leave namespaces out.
            and f"metadata.namespace!={where}" not in fields.split(",")
        ]

    def resource(self, api_version: str, kind: str) -> Resource | None:
        if (api_version, kind) in self.unknown:
            return None
        return Resource(api_version, kind, kind.lower() + "s", kind not in _CLUSTER_SCOPED, frozenset())

    def preferred(self, group: str, kind: str) -> Resource | None:
        """In the version of the objects that there are, v1 where there are none."""
        versions = {api for api, of, _, _ in self.objects if (api.rpartition("/")[0], of) == (group, kind)}
        return self.resource(min(versions, default=f"{group}/v1".lstrip("/")), kind)

    def apply(
        self,
        obj: Object,
        *,
        manager: str = "meshwright",
        force: bool = False,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Object:
        self._ask(f"{'try' if dry_run else 'apply'} {obj['kind']} {obj['metadata']['name']}")
        owners = dict(self.owners.get(_key(obj), {}))
        after = copy.deepcopy(self.objects.get(_key(obj), {}))
        wanted = dict(_leaves(obj))
        fence = wanted.pop(("metadata", "resourceVersion"), None)
        uid = wanted.pop(("metadata", "uid"), None)
        # As the API server has it: a version binds only what is there, a uid also what is not.
        if (after and fence is not None and fence != _at(after, ("metadata", "resourceVersion"))) or (
            uid is not None and uid != _at(after, ("metadata", "uid"))
        ):
            raise ApiError("the object has been modified", status=409, body={"reason": "Conflict"})
        causes = [
            {
                "reason": "FieldManagerConflict",
                "message": f'conflict with "{owners[path]}"',
                "field": "." + ".".join(path),
            }
            for path, value in wanted.items()
            if owners.get(path, manager) != manager and _at(after, path) != value
        ]
        if causes and not force:
            body = {"reason": "Conflict", "message": "Apply failed", "details": {"causes": causes}}
            raise ApiError("Apply failed", status=409, body=body)
        for path in [path for path, by in owners.items() if by == manager and path not in wanted]:
            _drop(after, path)
            del owners[path]
        for path, value in wanted.items():
            _set(after, path, value)
            owners[path] = manager
        if self.defaults:
            after = self.defaults(after)
        if not dry_run:
            self.guard()
            self.writes.append(copy.deepcopy(obj))
            self.objects[_key(obj)] = after
            self.owners[_key(obj)] = owners
            self._bump(_key(obj))
        return copy.deepcopy(after)

    def create(
        self,
        obj: Object,
        *,
        manager: str = "meshwright",
        dry_run: bool = False,
        subresource: str = "",
    ) -> Object:
        if obj["apiVersion"] == "authorization.k8s.io/v1":
            return self._reviewed(obj)
        verb = "try" if dry_run else "create"
        self._ask(f"{verb} {obj['kind']} {obj['metadata'].get('name', '')}".rstrip())
        if dry_run:
            tried = copy.deepcopy(obj)
            return self.defaults(tried) if self.defaults else tried
        self.guard()
        if obj["kind"] == "SelfSubjectReview":
            return {**obj, "status": {"userInfo": {"username": self.user}}}
        namespace = obj["metadata"].get("namespace")
        if namespace and ("v1", "Namespace", "", namespace) not in self.objects:
            raise ApiError(f"no {namespace}", status=404, body={"reason": "NotFound"})
        if _key(obj) in self.objects:
            raise ApiError("it is there", status=409, body={"reason": "AlreadyExists"})
        return self._stored(obj)

    def _reviewed(self, review: Object) -> Object:
        """What an API server says about our own rights: `rules` are those that it tells, `granted` (verb, resource,
        namespace) those that it only says when asked."""
        self.reviews.append(review)
        spec = review["spec"]
        if review["kind"] == "SelfSubjectRulesReview":
            return {**review, "status": {"resourceRules": self.rules.get(spec["namespace"], self.rules.get("", []))}}
        asked = spec["resourceAttributes"]
        what = "/".join(filter(None, (asked["resource"], asked["subresource"])))
        return {**review, "status": {"allowed": (asked["verb"], what, asked["namespace"]) in self.granted}}

    def replace(
        self,
        obj: Object,
        *,
        manager: str = "meshwright",
        dry_run: bool = False,
        subresource: str = "",
    ) -> Object:
        self._ask(f"replace {obj['kind']} {obj['metadata']['name']}")
        self.guard()
        there = self.objects.get(_key(obj))
        if there is None:
            raise ApiError("it is gone", status=404, body={"reason": "NotFound"})
        if there["metadata"].get("resourceVersion") != obj["metadata"].get("resourceVersion"):
            raise ApiError("it was changed", status=409, body={"reason": "Conflict"})
        return self._stored(obj)

    def patch(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        body: Any,
        **_more: Any,
    ) -> Object:
        """A merge patch. `patches` has those that changed something, as (kind, namespace, name, body)."""
        self._ask(f"patch {kind} {name}")
        self.guard()
        key = (api_version, kind, namespace or "", name)
        if key not in self.objects:
            raise ApiError("it is gone", status=404, body={"reason": "NotFound"})
        before = copy.deepcopy(self.objects[key])
        for path, value in _leaves(body):
            _drop(self.objects[key], path) if value is None else _set(self.objects[key], path, value)
        if self.objects[key] != before:
            self.patches.append((kind, namespace or "", name, copy.deepcopy(body)))
            self._bump(key)
        return copy.deepcopy(self.objects[key])

    def delete(
        self,
        api_version: str,
        kind: str,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
    ) -> bool:
        self._ask(f"delete {kind} {name}")
        self.guard()
        key = (api_version, kind, namespace or "", name)
        if uid and key in self.objects and self.objects[key]["metadata"]["uid"] != uid:
            raise ApiError("it is another one", status=409, body={"reason": "Conflict"})
        self.owners.pop(key, None)
        self.deletes.append(key)
        return self.objects.pop(key, None) is not None

    def _stored(self, obj: Object) -> Object:
        self.version_of_all += 1
        kept = copy.deepcopy(obj)
        kept["metadata"]["resourceVersion"] = str(self.version_of_all)
        kept["metadata"].setdefault("uid", f"uid-{self.version_of_all}")
        self.writes.append(copy.deepcopy(obj))
        self.objects[_key(obj)] = kept
        return copy.deepcopy(kept)

    def ready(self) -> bool:
        self._ask("ready")
        return True

    def version(self) -> str:
        return "v1.35.4"

    def identity(self) -> Identity:
        self._ask("identity")
        return self.who

    def forget_kinds(self) -> None:
        pass

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        for words, error in self.failing.items():
            if what.startswith(words):
                raise error


def _key(obj: Object) -> tuple[str, str, str, str]:
    metadata = obj["metadata"]
    return obj["apiVersion"], obj["kind"], metadata.get("namespace", ""), metadata["name"]


def _leaves(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Paths of everything that is not a mapping: lists are taken whole."""
    if isinstance(value, dict) and (value or not path):
        for key, inner in value.items():
            yield from _leaves(inner, (*path, key))
    else:
        yield path, value


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _set(value: Object, path: tuple[str, ...], leaf: Any) -> None:
    for key in path[:-1]:
        value = value.setdefault(key, {})
    value[path[-1]] = copy.deepcopy(leaf)


def _drop(value: Object, path: tuple[str, ...]) -> None:
    for key in path[:-1]:
        value = value.get(key, {})
    value.pop(path[-1], None)


def _selected(obj: Object, selector: str) -> bool:
    labels = obj["metadata"].get("labels") or {}
    for term in filter(None, selector.split(",")):
        key, equals, value = term.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True
