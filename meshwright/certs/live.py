"""live: what Envoys present and trust right now, in their own words (the admin page /certs)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from meshwright import envoys
from meshwright.envoys import Proxy
from meshwright.errors import BadInput, MeshwrightError
from meshwright.kube import Session

__all__ = ["Detail", "Live", "look", "parse"]

_PATH = "/certs"


@dataclass(frozen=True, order=True)
class Detail:
    """One certificate as Envoy describes it: `use` is presents or trusts; times as Envoy writes them."""

    use: str
    path: str
    serial: str
    names: tuple[str, ...]
    days: int
    valid_from: str
    expires: str

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        return {
            "use": self.use,
            "path": self.path,
            "serial": self.serial,
            "names": list(self.names),
            "days_left": self.days,
            "not_before": self.valid_from,
            "not_after": self.expires,
        }


@dataclass(frozen=True)
class Live:
    """What one proxy answered, each certificate once, or why it gave no answer."""

    proxy: Proxy
    details: tuple[Detail, ...] = ()
    error: MeshwrightError | None = None

    def as_json(self) -> dict[str, Any]:
        """What `--json` shows."""
        said: dict[str, Any] = {"proxy": str(self.proxy), "role": self.proxy.role}
        if self.error is not None:
            return {**said, "error": self.error.message}
        return {**said, "certificates": [each.as_json() for each in self.details]}


def look(session: Session, only: str = "") -> list[Live]:
    """What all proxies answer, or the one whose name is `only` (NAMESPACE/POD), or those of the namespace `only`.

    Raises BadInput (there is no such proxy), Forbidden, Unreachable.
    """
    every = envoys.proxies(session)
    wanted = [proxy for proxy in every if not only or only in (str(proxy), proxy.namespace)]
    if only and not wanted:
        near = [str(proxy) for proxy in every if only.rpartition("/")[2] in proxy.pod]
        listed = ", ".join((near or [str(proxy) for proxy in every])[:5]) or "none"
        raise BadInput(f"there is no proxy {only}", hint=f"Give NAMESPACE/POD or NAMESPACE; proxies: {listed}")
    if not wanted:
        raise MeshwrightError("there is no proxy in the cluster", hint="A pod gets its sidecar when it is created")
    return list(map(_live, wanted, envoys.ask_all(session, wanted, _PATH)))


def _live(proxy: Proxy, answer: bytes | MeshwrightError) -> Live:
    if isinstance(answer, MeshwrightError):
        return Live(proxy, error=answer)
    try:
        return Live(proxy, parse(answer))
    except (ValueError, KeyError, TypeError, AttributeError):
        return Live(proxy, error=MeshwrightError(f"the Envoy of {proxy} does not answer /certs with certificates"))


def parse(body: bytes) -> tuple[Detail, ...]:
    """The certificates in an answer to /certs (envoy.admin.v3.Certificates), each once, what is presented first. Envoy
    repeats them for each of its TLS contexts. Raises ValueError and the like: it is no such answer."""
    found: dict[Detail, None] = {}
    for entry in json.loads(body)["certificates"]:
        for key, use in (("cert_chain", "presents"), ("ca_cert", "trusts")):
            found |= dict.fromkeys(_details(entry.get(key) or [], use))
    return tuple(sorted(found))


def _details(entries: Sequence[dict[str, Any]], use: str) -> Iterator[Detail]:
    for entry in entries:
        names = tuple(str(value) for name in entry.get("subject_alt_names") or [] for value in name.values())
        yield Detail(
            use,
            str(entry.get("path") or ""),
            str(entry.get("serial_number") or ""),
            names,
            int(entry.get("days_until_expiration") or 0),  # an int64, so text in JSON
            str(entry.get("valid_from") or ""),
            str(entry.get("expiration_time") or ""),
        )
