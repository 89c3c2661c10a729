from __future__ import annotations

import time

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meshwright.environment.scalars import Refusal, resolve


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("Null", None),
        ("true", True),
        ("FALSE", False),
        ("0", 0),
        ("-12", -12),
        ("+7", 7),
        ("0x1F", 31),
        ("9223372036854775807", 2**63 - 1),
        ("1.30", 1.3),
        (".5", 0.5),
        ("2.", 2.0),
        ("1.5e+3", 1500.0),
        ("5.9.0", "5.9.0"),
        ("1.31-alpha.eed52ebb66ad", "1.31-alpha.eed52ebb66ad"),
        ("64Mi", "64Mi"),
        ("yEs", "yEs"),
        ("nothing", "nothing"),
        ("a:b", "a:b"),
        ("=", "="),
        ("2026-1", "2026-1"),
    ],
)
def test_scalars_that_every_reader_takes_for_the_same(text: str, value: object) -> None:
    found = resolve(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("yes", "some readers of YAML take for true and others for text"),
        ("On", "some readers of YAML take for true and others for text"),
        ("y", "some readers of YAML take for true and others for text"),
        ("no", "some readers of YAML take for false and others for text"),
        ("OFF", "some readers of YAML take for false and others for text"),
        ("0644", "some readers of YAML take for an octal number and others for a decimal number"),
        ("0080", "some readers of YAML take for an octal number and others for a decimal number"),
        ("0o17", "some readers of YAML take for text and others for an octal number"),
        ("0b101", "some readers of YAML take for a number and others for text"),
        ("1_000", "some readers of YAML take for a number and others for text"),
        ("8080:22", "some readers of YAML take for a number to the base 60 and others for text"),
        ("1:30:00.5", "some readers of YAML take for a number to the base 60 and others for text"),
        ("1e3", "some readers of YAML take for text and others for a number"),
        ("12e45678", "some readers of YAML take for text and others for a number"),
        ("2026-01-01", "some readers of YAML take for a date and others for text"),
        ("2026-01-01 12:00:00Z", "some readers of YAML take for a date and others for text"),
        (".inf", "JSON has no number for"),
        ("-.INF", "JSON has no number for"),
        (".nan", "JSON has no number for"),
        ("9223372036854775808", "is too large for a number"),
        ("9" * 5000, "is too large for a number"),
        ("1.0e+999", "is too large for a number"),
    ],
)
def test_scalars_that_readers_dispute(text: str, why: str) -> None:
    found = resolve(text)
    assert isinstance(found, Refusal)
    assert found.why == why
    assert f'"{text}"' in found.instead


@pytest.mark.parametrize(
    "text", ["1" * 10**6 + "x", "1_" * 10**6 + "x", "1:1" * 10**6 + "x", "1." * 10**6, "-" * 10**6]
)
def test_a_huge_scalar_takes_no_time(text: str) -> None:
    start = time.perf_counter()
    assert resolve(text) == text
    assert time.perf_counter() - start < 5


@given(st.text(alphabet="0123456789.:eE+-_xobnyof tT", min_size=1, max_size=12))
def test_what_is_not_refused_is_what_pyyaml_reads_too(text: str) -> None:
    """PyYAML is the YAML 1.1 side of the dispute; it takes -.5 for text, against its own specification."""
    found = resolve(text)
    if isinstance(found, Refusal) or text.strip() != text or text[0] in "-+.:" or ": " in text or text[-1] == ":":
        return
    assert yaml.safe_load(text) == found
