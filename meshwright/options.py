"""What a person decides for one run; each is a flag of `meshwright` and a `--data` of pyinfra."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from meshwright.errors import BadInput, Exit, MeshwrightError

__all__ = ["Options"]


_TEXTS = ("reason", "to", "mode", "scope", "format")


@dataclass(frozen=True)
class Options:
    """The choices of one run. Steps find those that concern their plans at `target.shared.options`."""

    approved: str | None = None
    """The digest of the plan that was seen and approved."""
    allow_recreate: bool = False
    """Whether a thing that cannot be changed in place may be destroyed and made anew."""
    reason: str = ""
    """Why; kept in the record."""
    adopt: frozenset[str] = frozenset()
    """The objects, as KIND/NAMESPACE/NAME or KIND/NAME, whose fields are taken over from whoever owns them."""
    to: str = ""
    """Where to: for a rollback the id of the record to whose objects it goes (empty: the last one before the present
    one), for a change of the root what it is changed to."""
    override: bool = False
    """Whether something may be changed although the environment's windows are closed; a reason must be given."""
    mode: str = ""
    """How slow proxies follow a change of the root; empty: as it was begun, or live."""
    scope: str = ""
    """Whose access logs, as NAMESPACE or NAMESPACE/WORKLOAD; empty: the whole mesh's."""
    format: str = ""
    """The extension provider that writes access logs; empty: the one that every mesh has."""

    waive: frozenset[str] = frozenset()
    """The proxies, as NAMESPACE/POD, that no gate of a change of the root waits for; a reason must be given."""

    def __post_init__(self) -> None:
        if self.override and not self.reason.strip():
            raise MeshwrightError(
                "an override needs a reason, which is kept in the record",
                hint='Say why: --override --reason "ticket 4711"',
                exit_code=Exit.USAGE,
            )

    @classmethod
    def of(cls, data: dict[str, Any], host: str = "@local") -> Options:
        """From pyinfra's data of `host`. Raises BadInput for a value of the wrong type; MeshwrightError (64) for an
        override without a reason."""
        approved = _approved(data.get("approved"), host)
        for key in ("allow_recreate", "override"):
            if not isinstance(data.get(key, False), bool):
                raise BadInput(f"{key}={data[key]} is neither true nor false")
        return cls(
            approved,
            data.get("allow_recreate", False),
            str(data.get("reason", "")),
            _named(data, "adopt", "KIND/NS/NAME"),
            str(data.get("to", "")),
            data.get("override", False),
            str(data.get("mode", "")),
            str(data.get("scope", "")),
            str(data.get("format", "")),
            _named(data, "waive", "NS/POD"),
        )

    def data(self, approved: Mapping[str, str]) -> dict[str, str]:
        """The other way: what pyinfra is given as `--data`, so that `of` finds these options again. `approved` has the
        digest of each host's plan, which each host compares with its own.

        Text goes as JSON, because pyinfra would read `42` and `true` as something else than text.
        """
        said = {}
        if approved:
            digests = list(approved.values())
            said["approved"] = digests[0] if len(digests) == 1 else json.dumps(approved)
        said |= {key: "true" for key in ("allow_recreate", "override") if getattr(self, key)}
        said |= {key: json.dumps(text) for key in _TEXTS if (text := getattr(self, key))}
        return said | {key: ",".join(sorted(names)) for key in ("adopt", "waive") if (names := getattr(self, key))}

    @classmethod
    def names(cls) -> list[str]:
        """The names of the options, which are the keys of that data."""
        return [field.name for field in fields(cls)]


def _named(data: dict[str, Any], key: str, form: str) -> frozenset[str]:
    """Names with commas between them, or a list of them; each is of the form `form`."""
    said = data.get(key, "")
    names = said.split(",") if isinstance(said, str) else said
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise BadInput(f"{key}={said} is not a list of names", hint=f"--data {key}={form},{form}")
    return frozenset(name.strip() for name in names if name.strip())


def _approved(value: Any, host: str) -> str | None:
    """The digest for `host`: what was given is one for all hosts, or a mapping of hosts to their own."""
    if value is None:
        return None
    given = value.get(host) if isinstance(value, dict) else value
    if isinstance(given, str) and given.startswith("sha256:"):
        return given
    if isinstance(value, dict):
        # A host that was forgotten is not one that needs no approval.
        raise BadInput(
            f"approved has no digest for {host}",
            hint='Give one for each host: --data approved=\'{"HOST": "sha256:...", ...}\'',
        )
    raise BadInput(
        f"approved={value} is not the digest of a plan",
        hint="Give it as it was printed, with its prefix: --data approved=sha256:...",
    )
