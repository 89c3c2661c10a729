"""Lines of a proxy's log: the time that the kubelet puts before each, and what an access log line says.

Read are Istio's default text format (EnvoyTextLogFormat in istio.io/istio, pilot/pkg/model/telemetry_logging.go), what
follows its fields in a format of one's own, and its JSON encoding. Anything else is a line without meaning: shown as it
is, never taken for a request.
"""

from __future__ import annotations

import calendar
import json
import re
import time
from dataclasses import dataclass
from typing import Any

__all__ = ["Access", "Line", "access", "line"]

_NANO = 10**9


@dataclass(frozen=True)
class Access:
    """One request or connection. `code` is 0 where no answer was sent, `ms` its duration in milliseconds (None: the
    format leaves it out), `flags` Envoy's response flags, `upstream` the address that was asked, `cluster` the
    upstream's name, `details` Envoy's own word on the code, `began` when it began in nanoseconds since 1970. Empty or
    None: not said."""

    method: str = ""
    path: str = ""
    protocol: str = ""
    code: int = 0
    flags: tuple[str, ...] = ()
    details: str = ""
    failure: str = ""
    ms: int | None = None
    authority: str = ""
    upstream: str = ""
    cluster: str = ""
    downstream: str = ""
    request_id: str = ""
    route: str = ""
    began: int | None = None

    @property
    def failed(self) -> bool:
        """Whether it failed in the words of the mesh: an answer of 500 or more, none at all, or a response flag other
        than that of a delay put in on purpose."""
        answered = self.code != 0 or not self.method
        return self.code >= 500 or not answered or any(flag != "DI" for flag in self.flags)


@dataclass(frozen=True)
class Line:
    """A line: `at` is when it was written in nanoseconds since 1970, `pod` NAMESPACE/NAME, `text` without the kubelet's
    time, `access` what it says of a request (None: it is no access log line)."""

    at: int
    pod: str
    text: str
    access: Access | None

    @property
    def when(self) -> int:
        """When what it tells of began. An Envoy writes its lines in bundles, so by their times of writing the hops of
        one request are in no order."""
        began = self.access.began if self.access else None
        return self.at if began is None else began


_TEXT = re.compile(
    r"\[(?P<began>[^\]]*)\] "
    r'"(?P<request>[^"]*)" (?P<code>\d+) (?P<flags>\S+) (?P<details>\S+) (?P<ended>\S+) "(?P<failure>[^"]*)" '
    r"(?P<received>\d+|-) (?P<sent>\d+|-) (?P<ms>\d+|-) (?P<service>\S+) "
    r'"(?P<forwarded>[^"]*)" "(?P<agent>[^"]*)" "(?P<id>[^"]*)" "(?P<authority>[^"]*)" "(?P<upstream>[^"]*)" '
    r"(?P<cluster>\S+) (?P<local>\S+) (?P<at>\S+) (?P<downstream>\S+) (?P<name>\S+)(?: (?P<route>\S+))?"
)


def line(pod: str, raw: str) -> Line | None:
    """A line as the kubelet gives it; None where it has no time, which is nothing that a container wrote."""
    stamp, _, text = raw.partition(" ")
    at = _nanoseconds(stamp)
    return None if at is None else Line(at, pod, text, access(text))


def access(text: str) -> Access | None:
    """What an access log line says; None for any other line."""
    if text.startswith("["):
        return _of_text(text)
    return _of_json(text) if text.startswith("{") else None


def _said(value: Any) -> str:
    return "" if value in (None, "-") else str(value)


def _flags(value: str) -> tuple[str, ...]:
    return tuple(flag for flag in _said(value).split(",") if flag)


def _number(value: Any) -> int | None:
    try:
        return int(value)
    except (TypeError, ValueError):
        return None


def _of_text(text: str) -> Access | None:
    found = _TEXT.match(text)
    if found is None:
        return None
    method, path, protocol = _request(found["request"])
    return Access(
        method,
        path,
        protocol,
        int(found["code"]),
        _flags(found["flags"]),
        _said(found["details"]),
        _said(found["failure"]),
        _number(found["ms"]),
        _said(found["authority"]),
        _said(found["upstream"]),
        _said(found["cluster"]),
        _said(found["downstream"]),
        _said(found["id"]),
        _said(found["route"]),
        _nanoseconds(found["began"]),
    )


def _request(text: str) -> tuple[str, str, str]:
    """Method, path and protocol; all empty for a TCP connection ("- - -"). A path may have spaces in it."""
    method, _, rest = text.partition(" ")
    path, _, protocol = rest.rpartition(" ")
    return _said(method), _said(path), _said(protocol)


def _of_json(text: str) -> Access | None:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or "response_code" not in said:
        return None
    code = _number(said["response_code"])
    if code is None:
        return None
    return Access(
        _said(said.get("method")),
        _said(said.get("path")),
        _said(said.get("protocol")),
        code,
        _flags(_said(said.get("response_flags"))),
        _said(said.get("response_code_details")),
        _said(said.get("upstream_transport_failure_reason")),
        _number(said.get("duration")),
        _said(said.get("authority")),
        _said(said.get("upstream_host")),
        _said(said.get("upstream_cluster")),
        _said(said.get("downstream_remote_address")),
        _said(said.get("request_id")),
        _said(said.get("route_name")),
        _nanoseconds(_said(said.get("start_time"))),
    )


_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
_seconds: dict[str, int] = {}


def _nanoseconds(stamp: str) -> int | None:
    found = _STAMP.fullmatch(stamp)
    if found is None:
        return None
    second, fraction, zone = found.groups()
    # Thousands of lines a second have the same first part.
    key = second + zone
    if key not in _seconds:
        if len(_seconds) > 1000:
            _seconds.clear()
        try:
            _seconds[key] = calendar.timegm(time.strptime(second, "%Y-%m-%dT%H:%M:%S")) - _offset(zone)
        except ValueError:
            return None
    return _seconds[key] * _NANO + int((fraction or "0").ljust(9, "0"))


def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    sign = -1 if zone[0] == "-" else 1
    return sign * (int(zone[1:3]) * 3600 + int(zone[4:6]) * 60)
