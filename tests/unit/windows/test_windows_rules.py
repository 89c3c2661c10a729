"""Windows that cannot be meant are refused when they are loaded: place, value, why."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from meshwright.environment import BadValues, Environment, load
from meshwright.project import Project
from meshwright.windows.rules import RULES

FILE = "group_data/lab.yaml"
ALL = """\
tools: {k3d: 5.9.0, kubectl: 1.35.4}
istio: {version: 1.30.3, hub: docker.io/istio}
namespaces: {bookinfo: {}}
cluster: {kind: k3d, image: 'a:1'}
"""
ZONE = "windows:\n  timezone: Europe/Berlin\n"
NIGHT = "  allow: {nights: {weekly: 'mon-thu 22:00-04:00'}}\n"
FOREVER = "2020-01-01..2099-12-31"


@pytest.fixture
def loading(project: Project) -> Callable[..., Environment]:
    def loading(values: str, shared: str = "") -> Environment:
        (project.root / "group_data" / "all.yaml").write_text(ALL + shared)
        (project.root / "group_data" / "lab.yaml").write_text(values)
        (project.root / "inventory" / "lab.py").touch()
        return load(project, "lab").env

    return loading


def window(text: str, key: str = "allow") -> str:
    return f"{ZONE}  {key}: {{a: {text}}}\n"


def cron(text: str, duration: str = "2h") -> str:
    return window(f"{{cron: '{text}', duration: {duration}}}")


# (values, place, sentence, the rule)
BROKEN = [
    (
        "windows: {timezone: Europe/Berln}",
        "1:21",
        "windows.timezone is Europe/Berln, which is no time zone; the nearest is Europe/Berlin",
        0,
    ),
    ("windows: {timezone: Europe}", "1:21", "windows.timezone is Europe, which is no time zone; the nearest is", 0),
    ("windows: {timezone: ../etc}", "1:21", "windows.timezone is ../etc, which is no time zone", 0),
    ("windows: {timezone: localtime}", "1:21", "windows.timezone is localtime, which is no time zone", 0),
    (window("{}"), "3:11", "windows.allow.a has nothing in it", 1),
    (window("{cron: '0 1 * * *'}"), "3:11", "windows.allow.a has only cron", 1),
    (window("{duration: 4h}", "deny"), "3:10", "windows.deny.a has only duration", 1),
    (window("{weekly: 'mon 01:00-02:00', duration: 4h}"), "3:11", "windows.allow.a has duration and weekly", 1),
    (
        cron("0 25 * * *"),
        "3:21",
        "windows.allow.a.cron is '0 25 * * *': its hour is wrong; it has 0-23",
        2,
    ),
    (
        cron("0 22 * * mon-thr"),
        "3:21",
        "windows.allow.a.cron is '0 22 * * mon-thr': its day-of-week is wrong; it has 0-7 or sun-sat",
        2,
    ),
    (
        cron("22 * * *"),
        "3:21",
        "windows.allow.a.cron is '22 * * *': it has 4 fields, and cron has five: minute, hour, day-of-month, month, "
        "day-of-week",
        2,
    ),
    (cron("0 2 31 2,4 *"), "3:21", "windows.allow.a.cron is '0 2 31 2,4 *': no day matches it", 2),
    (cron("*/5 * * * *", "4m"), "3:21", "windows.allow.a.cron is '*/5 * * * *', which matches every 5 minutes", 3),
    (
        cron("0 22 * * *", "25h"),
        "3:45",
        f"windows.allow.a.duration is 25h, longer than the 24 hours from one match to the next of windows.allow.a.cron "
        f"({FILE}:3)",
        3,
    ),
    (
        cron("0 22,23 * * *", "90m"),
        "3:48",
        f"windows.allow.a.duration is 90m, longer than the 1 hour from one match to the next of windows.allow.a.cron "
        f"({FILE}:3)",
        3,
    ),
    (
        window("{weekly: 'mon 22:00-22:00'}"),
        "3:23",
        "windows.allow.a.weekly is mon 22:00-22:00: it ends when it begins; a whole day is 00:00-24:00",
        4,
    ),
    (
        ZONE + "  blackouts: ['2026-12-24', '2026-02-30']\n",
        "3:29",
        "windows.blackouts[1] is 2026-02-30: there is no day 2026-02-30",
        5,
    ),
    (
        ZONE + "  blackouts: ['2027-01-02..2026-12-24']\n",
        "3:15",
        "windows.blackouts[0] is 2027-01-02..2026-12-24: it ends before it begins",
        5,
    ),
    (
        ZONE + f"  blackouts: [{FOREVER}]\n",
        "1:1",
        "windows leaves no time in the next 400 days: all of it is denied",
        6,
    ),
    (
        ZONE + NIGHT + "  deny: {all: {weekly: 'mon-sun 00:00-24:00'}}\n",
        "3:11",
        "windows.allow.nights is closed by deny window all whenever it opens in the next 400 days",
        6,
    ),
    (
        ZONE + NIGHT + f"  blackouts: [{FOREVER}]\n",
        "3:11",
        f"windows.allow.nights is closed by blackout {FOREVER} whenever it opens in the next 400 days",
        6,
    ),
    (
        cron("0 12 * * *", "30m") + "  cutoff: 30m\n",
        "3:11",
        "windows.allow.a is never open for longer than the cutoff",
        6,
    ),
]


@pytest.mark.parametrize(("values", "place", "sentence", "rule"), BROKEN)
def test_windows_that_cannot_be_meant(
    loading: Callable[..., Environment], values: str, place: str, sentence: str, rule: int
) -> None:
    with pytest.raises(BadValues) as caught:
        loading(values)
    [problem] = caught.value.problems
    # The nearest name of a zone may be another one in another database.
    assert problem.message.startswith(f"{FILE}:{place}: {sentence}")
    assert problem.hint == RULES[rule].says


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (window("{weekly: 'mon 1:00-2:00'}"), "windows.allow.a.weekly is 'mon 1:00-2:00'; it must be days of the week"),
        (window("{weekly: 'mo 01:00-02:00'}"), "windows.allow.a.weekly is 'mo 01:00-02:00'; it must be days of the"),
        (window("{weekly: 'mon 01:00-25:00'}"), "windows.allow.a.weekly is 'mon 01:00-25:00'; it must be days of the"),
        (cron("0 1 * * *", "0h"), "windows.allow.a.duration is 0h; it must be days, hours and minutes"),
        (cron("0 1 * * *", "4 hours"), "windows.allow.a.duration is 4 hours; it must be days, hours and minutes"),
        (cron(""), "windows.allow.a.cron is ''; it must be the five fields of cron as text"),
        (ZONE + "  cutoff: 30\n", "windows.cutoff is 30, which YAML reads as a number; it must be days, hours and"),
        (ZONE + "  blackouts: ['24.12.2026']\n", "windows.blackouts[0] is '24.12.2026'; it must be a day"),
        ("windows: {allow: {}}", "windows.timezone is missing; it must be the name of an IANA time zone"),
        (ZONE + "  alow: {}\n", "windows.alow is not a known key; the nearest is allow"),
    ],
)
def test_windows_of_a_wrong_shape(loading: Callable[..., Environment], values: str, sentence: str) -> None:
    with pytest.raises(BadValues) as caught:
        loading(values)
    assert [sentence in problem.message for problem in caught.value.problems] == [True]


@pytest.mark.parametrize(
    "values",
    [
        ZONE,
        ZONE + NIGHT + "  deny: {backup: {weekly: 'mon-sun 00:00-01:00'}}\n  blackouts: [2020-01-01..2021-01-01]\n",
        cron("0 22 * * *", "24h"),
        cron("0 22 * * mon-thu"),
        cron("30 1 1 * *", "1d12h"),
        cron("0 12 * * *", "31m") + "  cutoff: 30m\n",
        # Shorter than the cutoff alone, not together with what it touches.
        ZONE + "  cutoff: 1h\n  allow: {a: {weekly: 'mon 22:00-22:30'}, b: {weekly: 'mon 22:30-23:30'}}\n",
        "windows: null",
    ],
)
def test_windows_that_are_good(loading: Callable[..., Environment], values: str) -> None:
    assert loading(values).name == "lab"


def test_a_window_and_all_windows_of_all_yaml_can_be_taken_away(loading: Callable[..., Environment]) -> None:
    env = loading("windows: {allow: {nights: null, noon: {weekly: 'mon 12:00-13:00'}}}\n", ZONE + NIGHT)
    assert env.windows is not None
    assert list(env.windows.allow) == ["noon"]
    assert loading("windows: null\n", ZONE + NIGHT).windows is None


def test_each_rule_is_broken_above_and_told_in_the_readme() -> None:
    assert {rule for *_, rule in BROKEN} == set(range(len(RULES)))
    readme = (Path(__file__).parents[3] / "group_data" / "README.md").read_text()
    assert [rule.says for rule in RULES if f"- {rule.says}\n" not in readme] == []
