from __future__ import annotations

from meshwright.logs.flags import FLAGS, in_words
from meshwright.logs.line import Access, Line
from meshwright.logs.words import as_json, shown

AT = 1795388024_175_123_456


def test_a_request_in_words():
    said = Access("GET", "/a", code=503, flags=("UF",), ms=12, failure="refused", cluster="outbound|80||b", began=AT)
    assert shown(Line(AT, "a/b", "raw", said)) == (
        "22:53:44.175  a/b  GET /a  503  12 ms  UF: the upstream could not be connected to; refused  -> outbound|80||b"
    )


def test_what_is_fine_is_short():
    said = Access("GET", "/a", code=200, details="via_upstream", ms=1)
    assert shown(Line(AT, "a/b", "raw", said)) == "22:53:44.175  a/b  GET /a  200  1 ms"


def test_a_line_that_is_no_request_is_shown_as_it_is():
    assert shown(Line(AT, "a/b", "agent started", None)) == "22:53:44.175  a/b  agent started"
    assert as_json(Line(AT, "a/b", "agent started", None)) == {
        "time": "2026-11-22T22:53:44.175123456Z", "pod": "a/b", "text": "agent started", "access": None,
    }  # fmt: skip


def test_json_has_the_flags_and_their_words():
    found = as_json(Line(AT, "a/b", "raw", Access("GET", "/a", code=0, flags=("UAEX", "XX"))))
    assert found["access"]["flags"] == ["UAEX", "XX"]
    assert found["access"]["flags_in_words"] == "denied by authorization; flag XX"
    assert found["access"]["failed"] is True


def test_the_flags_that_the_field_talks_about_have_words():
    assert {"UH", "UF", "NR", "UAEX", "UO", "URX", "RL", "DC", "UT", "NC"} <= set(FLAGS)
    assert in_words(()) == ""
