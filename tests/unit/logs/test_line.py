from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshwright.logs.line import access, line

TEXT = (
    '[2026-11-22T22:53:43.576Z] "GET /reviews/0?a=b HTTP/1.1" 503 UF,URX upstream_reset_before_response_started{x} - '
    '"delayed connect error: 111" 0 91 12 - "10.42.0.1" "curl/8" "0c1c-4a" "reviews:9080" "10.42.0.7:9080" '
    "outbound|9080|v1|reviews.bookinfo.svc.cluster.local 10.42.0.8:1 10.43.0.9:9080 10.42.0.8:2 - default"
)
TCP = (
    '[2026-11-22T22:53:43.576Z] "- - -" 0 NR filter_chain_not_found - "-" 0 0 0 - "-" "-" "-" "-" "-" - - '
    "10.43.0.9:9080 10.42.0.8:2 db.example - "
)


def test_a_line_of_the_default_format_is_a_request():
    found = access(TEXT)
    assert found is not None
    assert (found.method, found.path, found.protocol, found.code) == ("GET", "/reviews/0?a=b", "HTTP/1.1", 503)
    assert found.flags == ("UF", "URX")
    assert found.details == "upstream_reset_before_response_started{x}"
    assert found.failure == "delayed connect error: 111"
    assert (found.ms, found.authority, found.upstream) == (12, "reviews:9080", "10.42.0.7:9080")
    assert found.cluster == "outbound|9080|v1|reviews.bookinfo.svc.cluster.local"
    assert (found.request_id, found.route, found.downstream) == ("0c1c-4a", "default", "10.42.0.8:2")
    assert found.failed


def test_a_connection_has_no_method():
    found = access(TCP)
    assert found is not None
    assert (found.method, found.path, found.code, found.flags) == ("", "", 0, ("NR",))
    assert found.failed


def test_a_connection_that_ended_well_has_not_failed():
    found = access(TCP.replace("NR", "-"))
    assert found is not None
    assert not found.failed


@pytest.mark.parametrize(("code", "flags", "failed"), [
    (200, "-", False), (404, "-", False), (404, "NR", True), (500, "-", True), (0, "DC", True), (0, "-", True),
    (200, "DI", False), (429, "RL", True),
])  # fmt: skip
def test_what_counts_as_failed(code, flags, failed):
    found = access(TEXT.replace("503 UF,URX", f"{code} {flags}"))
    assert found is not None
    assert found.failed is failed


def test_json_says_the_same():
    said = {
        "start_time": "2026-11-22T22:53:43.576Z", "method": "GET", "path": "/reviews/0?a=b", "protocol": "HTTP/1.1",
        "response_code": 503, "response_flags": "UF,URX", "duration": 12, "authority": "reviews:9080",
        "response_code_details": "upstream_reset_before_response_started{x}", "upstream_host": "10.42.0.7:9080",
        "upstream_transport_failure_reason": "delayed connect error: 111", "request_id": "0c1c-4a",
        "upstream_cluster": "outbound|9080|v1|reviews.bookinfo.svc.cluster.local", "route_name": "default",
        "downstream_remote_address": "10.42.0.8:2",
    }  # fmt: skip
    assert access(json.dumps(said)) == access(TEXT)


@pytest.mark.parametrize("text", [
    "2026-11-22T22:38:46.690402Z\tinfo\tReadiness succeeded", "[warning] envoy config", "{", '{"level": "info"}',
    '{"response_code": "soon"}', "[" * 5000, '{"a":' * 5000, "", "[2026] \"GET / HTTP/1.1\" 200",
])  # fmt: skip
def test_any_other_line_is_no_request(text):
    assert access(text) is None


@given(st.text())
def test_no_line_is_too_strange(text):
    access(text)
    line("a/b", text)


@pytest.mark.parametrize(("stamp", "nanoseconds"), [
    ("1970-01-01T00:00:01Z", 10**9),
    ("1970-01-01T00:00:00.000000001Z", 1),
    ("1970-01-01T01:00:00.5+01:00", 5 * 10**8),
    ("2026-11-22T22:53:44.175123456Z", 1795388024175123456),
])  # fmt: skip
def test_times_keep_their_nanoseconds(stamp, nanoseconds):
    found = line("a/b", f"{stamp} text with spaces")
    assert found is not None
    assert (found.at, found.text, found.when) == (nanoseconds, "text with spaces", nanoseconds)


@pytest.mark.parametrize("raw", ["", "no time", "2026-13-45T00:00:00Z x", "2026-11-22 10:00:00 x"])
def test_what_has_no_time_is_nothing_that_a_container_wrote(raw):
    assert line("a/b", raw) is None


def test_a_request_is_at_the_time_when_it_began():
    found = line("a/b", f"2026-11-22T22:53:44.166000000Z {TEXT}")
    assert found is not None
    assert found.at - found.when == 590_000_000
