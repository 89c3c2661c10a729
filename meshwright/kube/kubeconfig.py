"""Kubeconfig files: reading one context, cutting it out, merging it into another file.

The format is that of k8s.io/client-go, tools/clientcmd/api/v1. A context is always named; the current context of a
file is never used and never changed.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import posixpath
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import yaml

from meshwright.errors import BadInput, MeshwrightError
from meshwright.target import Target

__all__ = [
    "SECTIONS",
    "Context",
    "Document",
    "Read",
    "certificates",
    "dump",
    "entries",
    "extract",
    "load",
    "material",
    "parse",
    "read",
    "select",
]

Document = dict[str, Any]
Read = Callable[[str], bytes | None]

# Which list of the document names which kind of entry under which key.
SECTIONS = {"contexts": "context", "clusters": "cluster", "users": "user"}
# Keys of a user that this module knows; one of the two that we cannot do is refused rather than ignored.
_RETIRED = {
    "auth-provider": "a credential provider that Kubernetes removed in 1.26",
    "as": "impersonation",
    "as-uid": "impersonation",
    "as-groups": "impersonation",
}


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Leaves dates as the text they are, so that a file that is merged keeps them."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True)
class Context:
    """One context with everything it refers to. `file` is for messages. `ca`, `certificate` and `key` are PEM.

    `folder` is where relative commands and token files belong. `exec` is the exec plugin's block as written.
    """

    file: str
    name: str
    server: str
    folder: str
    namespace: str = "default"
    ca: bytes | None = None
    insecure: bool = False
    tls_server_name: str = ""
    proxy_url: str = field(default="", repr=False)
    certificate: bytes | None = field(default=None, repr=False)
    key: bytes | None = field(default=None, repr=False)
    token: str = field(default="", repr=False)
    token_file: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    exec: Document | None = field(default=None, repr=False)
    exec_config: Any = field(default=None, repr=False)

    def bad(self, what: str, hint: str = "") -> BadInput:
        """The error for a wrong value in this context."""
        return BadInput(f"{self.file}: context {self.name}: {what}", hint=hint)


def read(target: Target, path: str) -> Document:
    """The document in the file `path` of `target`. Raises MeshwrightError (not to be read), BadInput (bad content)."""
    data = target.read(path)
    if data is None:
        raise MeshwrightError(f"the kubeconfig {path} does not exist", hint="Give the path of the file that is meant")
    return parse(data, path)


def load(target: Target, path: str, context: str) -> Context:
    """The context named `context` of the file `path` on `target`, with the files that it refers to."""
    return select(read(target, path), context, file=path, read_file=target.read)


def parse(data: bytes, file: str) -> Document:
    """A kubeconfig from its bytes. Raises BadInput: not UTF-8, not YAML, not a kubeconfig."""
    try:
        document = yaml.load(data.decode(), _Loader)
    except UnicodeDecodeError:
        raise BadInput(f"{file} is not a kubeconfig: it is not UTF-8 text", hint=_WANTED) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "not YAML"
        raise BadInput(f"{file}{line} is not YAML: {problem}", hint=_WANTED) from None
    if document is None:
        raise BadInput(f"{file} is empty", hint=_WANTED)
    if not isinstance(document, dict):
        raise BadInput(f"{file} is not a kubeconfig: it holds {type(document).__name__}, not a mapping", hint=_WANTED)
    for section, key in SECTIONS.items():
        entries = document.get(section)
        if entries is None:
            continue
        if not isinstance(entries, list) or not all(_is_entry(e, key) for e in entries):
            raise BadInput(
                f"{file} is not a kubeconfig: each of its {section} needs a name and a {key}, which is a mapping",
                hint=_WANTED,
            )
    return document


_WANTED = "Give a file as `kubectl config view --raw` prints it"


def _is_entry(entry: Any, key: str) -> bool:
    named = isinstance(entry, dict) and isinstance(entry.get("name"), str)
    return named and isinstance(entry.get(key) or {}, dict)


def entries(document: Document, section: str) -> dict[str, Document]:
    """Entries of one section by name; of two with one name the first counts, as in client-go."""
    found: dict[str, Document] = {}
    for entry in document.get(section) or []:
        found.setdefault(entry["name"], entry.get(SECTIONS[section]) or {})
    return found


def _choose(document: Document, section: str, name: Any, file: str, wanted_by: str = "") -> Document:
    found = entries(document, section)
    if isinstance(name, str) and name in found:
        return found[name]
    singular = section[:-1]
    near = difflib.get_close_matches(str(name), found, n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    there = f"The file has: {', '.join(sorted(found))}" if found else f"The file has no {section}"
    raise BadInput(f"{file} has no {singular} {name}{wanted_by}", hint=meant + there)


def select(document: Document, context: str, *, file: str, read_file: Read) -> Context:
    """The context named `context`. `read_file` reads the files that it refers to by absolute path (None: no such
    file). Raises BadInput naming the file, what is wrong in it and what to do."""
    entry = _choose(document, "contexts", context, file)
    by = f", which context {context} uses"
    cluster = _choose(document, "clusters", entry.get("cluster"), file, by)
    user = _choose(document, "users", entry["user"], file, by) if entry.get("user") else {}
    folder = posixpath.dirname(file)
    found = Context(file, context, text(cluster, "server"), folder)
    if not found.server.startswith(("https://", "http://")):
        raise found.bad(
            f"its cluster's server is {found.server or 'missing'}", "It must be a URL such as https://10.0.0.1:6443"
        )
    for key, what in _RETIRED.items():
        if user.get(key):
            raise found.bad(f"its user asks for {key} ({what})", "Use a token, a client certificate or an exec plugin")
    certificate = material(found, user, "client-certificate", read_file)
    key_ = material(found, user, "client-key", read_file)
    if (certificate is None) != (key_ is None):
        missing = "client-key" if key_ is None else "client-certificate"
        raise found.bad(f"its user has no {missing}", "A client certificate and its key go together")
    plugin = user.get("exec")
    if plugin is not None and not isinstance(plugin, dict):
        raise found.bad("its user's exec is not a mapping", "It needs apiVersion and command")
    token_file = text(user, "tokenFile")
    return Context(
        file=file,
        name=context,
        server=found.server.rstrip("/"),
        folder=folder,
        namespace=text(entry, "namespace") or "default",
        ca=material(found, cluster, "certificate-authority", read_file),
        insecure=cluster.get("insecure-skip-tls-verify") is True,
        tls_server_name=text(cluster, "tls-server-name"),
        proxy_url=text(cluster, "proxy-url"),
        certificate=certificate,
        key=key_,
        token=text(user, "token"),
        token_file=posixpath.join(folder, token_file) if token_file else "",
        username=text(user, "username"),
        password=text(user, "password"),
        exec=plugin,
        exec_config=_exec_config(cluster),
    )


def text(entry: Document, key: str) -> str:
    value = entry.get(key)
    return "" if value is None else str(value)


def _exec_config(cluster: Document) -> Any:
    """What the cluster entry holds for exec plugins (the reserved extension of the exec credential API)."""
    for extension in cluster.get("extensions") or []:
        if isinstance(extension, dict) and extension.get("name") == "client.authentication.k8s.io/exec":
            return extension.get("extension")
    return None


def material(context: Context, entry: Document, key: str, read_file: Read) -> bytes | None:
    """PEM from `KEY-data` (base64; it wins, as in client-go) or from the file that `KEY` names."""
    inline, path = text(entry, f"{key}-data"), text(entry, key)
    if inline:
        try:
            data = base64.b64decode(inline, validate=True)
        except binascii.Error as error:
            raise context.bad(f"{key}-data is not base64: {error}", "Copy the value again, in one piece") from None
        where = f"{key}-data"
    elif path:
        where = posixpath.join(context.folder, path)
        content = read_file(where)
        if content is None:
            raise context.bad(f"its {key} {where} does not exist", "Put the file there or correct the path")
        data = content
    else:
        return None
    if b"-----BEGIN " not in data:
        raise context.bad(f"{where} holds no PEM block", "It must begin with -----BEGIN")
    return data


def extract(document: Document, context: str, *, file: str, read_file: Read) -> Document:
    """A kubeconfig with this one context, current there, and with the files that it refers to inlined: it can be put
    anywhere. Names stay as they are."""
    found = select(document, context, file=file, read_file=read_file)
    entry = dict(entries(document, "contexts")[context])
    cluster = dict(entries(document, "clusters")[entry["cluster"]])
    user = dict(entries(document, "users")[entry["user"]]) if entry.get("user") else None
    _inline(cluster, "certificate-authority", found.ca)
    if user is not None:
        _inline(user, "client-certificate", found.certificate)
        _inline(user, "client-key", found.key)
        if found.token_file:
            user["tokenFile"] = found.token_file
        command = (found.exec or {}).get("command", "")
        if "/" in command:
            user["exec"] = {**user["exec"], "command": posixpath.join(found.folder, command)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": entry["cluster"], "cluster": cluster}],
        "users": [{"name": entry["user"], "user": user}] if user is not None else [],
        "contexts": [{"name": context, "context": entry}],
        "current-context": context,
    }


def _inline(entry: Document, key: str, pem: bytes | None) -> None:
    entry.pop(key, None)
    if pem is not None:
        entry[f"{key}-data"] = base64.b64encode(pem).decode()


def dump(document: Document) -> bytes:
    """The document as YAML."""
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=1_000_000).encode()


def certificates(pem: bytes) -> Iterable[bytes]:
    """The DER of each certificate in `pem`, in its order."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    for part in pem.decode(errors="replace").split(begin)[1:]:
        text = part.split(end)[0]
        try:
            yield ssl.PEM_cert_to_DER_cert(begin + text + end)
        except ValueError:
            yield text.encode()  # not a certificate: equal only to itself
