"""What check-root found, as metrics in a file for Prometheus' node exporter (its textfile collector)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from meshwright.certs.root import Report, Row
from meshwright.check import State
from meshwright.errors import BadInput, MeshwrightError
from meshwright.target import Target, write_atomically

__all__ = ["text", "write", "write_here"]

# The exporter runs as a user of its own.
_READABLE = 0o644
_VALUES = {State.OK: 0, State.WARNING: 1, State.FAILED: 2, State.NOT_VERIFIED: 3}


def text(report: Report, environment: str) -> str:
    """The metrics, in the text format of Prometheus; times in seconds since 1970, UTC."""
    return "".join(f"{line}\n" for line in _lines(report, environment))


def _lines(report: Report, environment: str) -> Iterator[str]:
    env = f'environment="{_quoted(environment)}"'
    yield from _head("meshwright_certificate_not_after_seconds", "End of a certificate's life.")
    for labels, row in _labelled(report, env):
        yield f"meshwright_certificate_not_after_seconds{{{labels}}} {row.certificate.not_after.timestamp():.0f}"
    yield from _head("meshwright_certificate_state", "0 fine, 1 below the warning threshold, 2 failed, 3 not verified.")
    for labels, row in _labelled(report, env):
        yield f"meshwright_certificate_state{{{labels}}} {_VALUES[row.state]}"
    yield from _head("meshwright_certs_check_ok", "1 when every threshold holds and everything could be looked at.")
    yield f"meshwright_certs_check_ok{{{env}}} {int(report.ok)}"
    yield from _head("meshwright_certs_not_verified", "How many things could not be looked at.")
    yield f"meshwright_certs_not_verified{{{env}}} {report.summary['not_verified']}"
    yield from _head("meshwright_certs_check_timestamp_seconds", "When this was found; old: the check does not run.")
    yield f"meshwright_certs_check_timestamp_seconds{{{env}}} {report.now.timestamp():.0f}"


def _labelled(report: Report, env: str) -> Iterator[tuple[str, Row]]:
    seen = set()
    for row in report.rows:
        pairs = {"role": row.role, "name": row.name, "sha256": row.certificate.sha256}
        labels = ",".join([env, *(f'{key}="{_quoted(value)}"' for key, value in pairs.items())])
        if labels not in seen:  # two lines with the same labels would make the exporter refuse the file
            seen.add(labels)
            yield labels, row


def _head(name: str, says: str) -> Iterator[str]:
    yield f"# HELP {name} {says}"
    yield f"# TYPE {name} gauge"


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _named(path: str) -> str:
    if not path.endswith(".prom"):
        raise BadInput(f"{path} does not end in .prom", hint="The node exporter reads no other files")
    return path


def write(target: Target, path: str, report: Report, environment: str) -> None:
    """Puts the metrics at `path` on the host, whole or not at all. Raises BadInput (its name), MeshwrightError."""
    target.write(target.expand(_named(path)), text(report, environment).encode(), _READABLE)


def write_here(path: str, report: Report, environment: str) -> None:
    """The same on this machine, relative to the current folder."""
    try:
        write_atomically(Path(_named(path)), text(report, environment).encode(), _READABLE)
    except OSError as error:
        raise MeshwrightError(f"cannot write {path}: {error.strerror}") from None
