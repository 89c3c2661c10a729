"""When windows are open, against a scan of every minute that knows nothing but what the clocks read."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshwright.windows.calendar import HORIZON, Calendar
from meshwright.windows.patterns import Cron, Days, Pattern, Unreadable, Weekly

MINUTE = dt.timedelta(minutes=1)
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# Lord Howe Island changes its clocks by half an hour, Havana and Santiago at midnight.
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "America/Santiago", "UTC")
SCANNED = dt.timedelta(days=3)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def changes(zone: str) -> list[dt.datetime]:
    """The instants of a year at which the zone's clocks change."""
    start, known = utc("2026-01-01"), ZoneInfo(zone)
    hours = [start + dt.timedelta(hours=hour) for hour in range(366 * 24)]
    return [
        next(m for k in range(61) if (m := before + k * MINUTE).astimezone(known).utcoffset() != there)
        for before, after in pairwise(hours)
        if (there := before.astimezone(known).utcoffset()) != after.astimezone(known).utcoffset()
    ]


CHANGES = {zone: changes(zone) for zone in ZONES}


# What windows mean, minute by minute


class Scan:
    """Every minute around an instant, with what the clocks read then; two days more on both sides."""

    def __init__(self, zone: str, start: dt.datetime) -> None:
        known = ZoneInfo(zone)
        self.start, self.end = start, start + SCANNED
        first = start - dt.timedelta(days=4)
        count = int((self.end + dt.timedelta(days=2) - first) / MINUTE)
        self.minutes = [first + index * MINUTE for index in range(count)]
        self.reads = [minute.astimezone(known).replace(tzinfo=None) for minute in self.minutes]

    def between(self, start: dt.datetime, end: dt.datetime) -> set[dt.datetime]:
        """From the first minute that reads `start` or later to the last that reads less than `end`."""
        begin = next((i for i, read in enumerate(self.reads) if read >= start), len(self.reads))
        stop = next((i for i in range(len(self.reads) - 1, -1, -1) if self.reads[i] < end), -1)
        return set(self.minutes[begin : stop + 1])

    def days(self) -> Iterator[dt.datetime]:
        for day in sorted({read.date() for read in self.reads})[:-1]:
            yield dt.datetime.combine(day, dt.time())


def weekly(text: str, scan: Scan) -> set[dt.datetime]:
    days, times = text.split()
    start, end = (dt.timedelta(hours=int(t[:2]), minutes=int(t[3:])) for t in times.split("-"))
    end += dt.timedelta(days=end < start)
    return {
        minute
        for midnight in scan.days()
        if DAYS[midnight.weekday()] in days.split(",")
        for minute in scan.between(midnight + start, midnight + end)
    }


def matches(text: str, read: dt.datetime) -> bool:
    """For fields that are a star, a star with a step, or numbers; day of month and month are stars."""
    minute, hour, _, _, weekday = text.split()

    def one(field: str, value: int) -> bool:
        return value % int(field[2:] or 1) == 0 if field[0] == "*" else value in map(int, field.split(","))

    return one(minute, read.minute) and one(hour, read.hour) and one(weekday, read.isoweekday() % 7)


def cron(text: str, lasts: dt.timedelta, scan: Scan) -> set[dt.datetime]:
    floating = "*" in "".join(text.split()[:2])
    starts, seen = set(), set()
    for (_, before), (minute, read) in pairwise(zip(scan.minutes, scan.reads, strict=True)):
        skipped = [before + step * MINUTE for step in range(1, int((read - before) / MINUTE))]
        if matches(text, read) if floating else read not in seen and matches(text, read):
            starts.add(minute)
        if not floating and any(matches(text, each) for each in skipped):
            starts.add(minute)
        seen.add(read)
    return {start + k * MINUTE for start in starts for k in range(int(lasts / MINUTE))}


def days(text: str, scan: Scan) -> set[dt.datetime]:
    first, last = (dt.date.fromisoformat(day) for day in text.split(".."))
    return {m for m, read in zip(scan.minutes, scan.reads, strict=True) if first <= read.date() <= last}


# Windows of all kinds

# Most clocks change between one and three, or at midnight.
clock = st.sampled_from(["00:00", "00:30", "01:00", "01:45", "02:00", "02:30", "03:00", "23:30"]) | st.builds(
    "{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 45, 59])
)
weeks = st.builds(
    lambda names, start, end: f"{','.join(names)} {start}-{end}",
    st.lists(st.sampled_from(DAYS), min_size=1, max_size=7, unique=True),
    clock,
    clock | st.just("24:00"),
).filter(lambda text: text[-5:] != text[-11:-6])
numbers = st.lists(st.integers(0, 23), min_size=1, max_size=3).map(lambda found: ",".join(map(str, found)))
_weekdays = st.sampled_from(["*", "0", "1,3,5", "6"])
crons = st.tuples(
    st.builds("{} {} * * {}".format, st.sampled_from(["0", "5", "30", "15,45"]), numbers, _weekdays),
    st.sampled_from(["20m", "4h", "1d1h"]),
) | st.tuples(
    st.builds("{} {} * * {}".format, st.sampled_from(["*/10", "*/30"]), numbers | st.just("*"), _weekdays)
    | st.builds("{} {} * * {}".format, st.sampled_from(["0", "15,45"]), st.sampled_from(["*", "*/2"]), _weekdays),
    st.sampled_from(["5m", "8m"]),
)
daily = st.tuples(st.sampled_from(["0 22 * * *", "30 2 * * 0", "15,45 1,2 * * *"]), st.sampled_from(["20m", "4h"]))


@st.composite
def places(draw: st.DrawFn) -> tuple[str, dt.datetime]:
    """A zone, and an instant before one of its clock changes or anywhere else."""
    zone = draw(st.sampled_from(ZONES))
    about = draw(st.sampled_from([*CHANGES[zone], utc("2026-06-10"), utc("2026-12-30")]))
    return zone, about - draw(st.integers(0, 60 * 48)) * MINUTE


def pattern(text: str | tuple[str, str]) -> Pattern:
    return Cron.of(*text) if isinstance(text, tuple) else Days.of(text) if ".." in text else Weekly.of(text)


def kinds(text: str | tuple[str, str], scan: Scan) -> tuple[Pattern, set[dt.datetime]]:
    """A pattern and the minutes that it means."""
    made = pattern(text)
    if isinstance(made, Cron):
        return made, cron(made.text, made.lasts, scan)
    return made, (days if isinstance(made, Days) else weekly)(str(text), scan)


def minutes(calendar: Calendar, scan: Scan) -> set[dt.datetime]:
    """The minutes of the scan in which the openings have it open."""
    found = set()
    for opening in calendar.openings(scan.start):
        if opening.start >= scan.end:
            break
        end = min(opening.end or scan.end, scan.end)
        found |= {opening.start + k * MINUTE for k in range(int((end - opening.start) / MINUTE))}
    return found


@settings(max_examples=100)
@given(places(), weeks | crons)
def test_every_minute_of_a_window_is_found(place: tuple[str, dt.datetime], text: str | tuple[str, str]) -> None:
    scan = Scan(*place)
    made, meant = kinds(text, scan)
    found = minutes(Calendar(ZoneInfo(place[0]), {"a": made}), scan)
    assert found == {minute for minute in meant if scan.start <= minute < scan.end}


@settings(max_examples=50)
@given(places(), st.lists(weeks | crons, max_size=3), st.lists(weeks | crons, max_size=2), st.integers(-3, 3))
def test_an_instant_is_in_or_out(
    place: tuple[str, dt.datetime], allow: list[str | tuple[str, str]], deny: list[str | tuple[str, str]], off: int
) -> None:
    zone, start = place
    scan = Scan(zone, start)
    today = start.astimezone(ZoneInfo(zone)).date() + off * dt.timedelta(days=1)
    allowed = [kinds(text, scan) for text in allow]
    denied = [kinds(text, scan) for text in (*deny, f"{today}..{today + dt.timedelta(days=1)}")]
    calendar = Calendar(
        ZoneInfo(zone),
        {f"a{index}": made for index, (made, _) in enumerate(allowed)},
        {f"d{index}": made for index, (made, _) in enumerate(denied)},
    )
    meant = set().union(*(each for _, each in allowed)) if allow else set(scan.minutes)
    meant -= set().union(*(each for _, each in denied))
    meant = {minute for minute in meant if scan.start <= minute < scan.end}
    assert minutes(calendar, scan) == meant
    for minute in [start, *sorted(meant)[:3], *sorted(set(scan.minutes) - meant)[-3:]]:
        if scan.start <= minute < scan.end:
            state = calendar.state(minute)
            assert (state.opening is not None) == (minute in meant)
            assert (state.closed_by == "") == (minute in meant)


@settings(max_examples=50)
@given(places(), st.lists(weeks | daily, min_size=1, max_size=3), st.lists(weeks, max_size=1))
def test_openings_are_in_order_and_do_not_touch(
    place: tuple[str, dt.datetime], allow: list[str | tuple[str, str]], deny: list[str]
) -> None:
    zone, start = place
    calendar = Calendar(
        ZoneInfo(zone),
        dict(zip("abc", map(pattern, allow), strict=False)),
        dict(zip("d", map(pattern, deny), strict=False)),
    )
    found = calendar.coming(start, 8)
    for opening in found:
        assert opening.start >= start
        assert opening.end is None or opening.start < opening.end
        assert opening.windows
    for sooner, later in pairwise(found):
        assert sooner.end is not None
        assert sooner.end < later.start
        # The first instant after an opening is closed, and what comes next is what was listed next.
        state = calendar.state(sooner.end)
        assert (state.opening, state.following) == (None, later)


_words = st.sampled_from(
    ["*", "0", "7", "31", "60", "L", "LW", "mon", "5#1", "5L", "jan", "1-5", "9-2", "*/5", "/", ""]
)
_fields = _words | st.builds("{}{}{}".format, _words, st.sampled_from([",", "-", "/", "#", "L", ""]), _words)


@settings(max_examples=200)
@given(st.lists(_fields | st.text(max_size=4), min_size=4, max_size=6).map(" ".join) | st.text(max_size=20))
def test_any_text_is_cron_or_told_why_not(text: str) -> None:
    try:
        made = Cron.of(text, "1h")
    except Unreadable:
        return
    first = next(made.spans(ZoneInfo("Europe/Berlin"), utc("2026-11-23")))
    assert first[1] - first[0] == dt.timedelta(hours=1)
    assert made.period > dt.timedelta()


# Where the clocks change, by hand


def spans(made: Pattern, zone: str, since: str, count: int = 1) -> list[tuple[str, str]]:
    found = made.spans(ZoneInfo(zone), utc(since))
    return [tuple(f"{each:%m-%d %H:%M}" for each in next(found)) for _ in range(count)]


@pytest.mark.parametrize(
    ("made", "zone", "since", "found"),
    [
        # Berlin: 2026-03-29 02:00 becomes 03:00 (01:00 UTC), 2026-10-25 03:00 becomes 02:00 (01:00 UTC).
        (Weekly.of("sat 22:00-04:00"), "Europe/Berlin", "2026-03-28", ("03-28 21:00", "03-29 02:00")),  # 5 hours
        (Weekly.of("sat 22:00-04:00"), "Europe/Berlin", "2026-10-24", ("10-24 20:00", "10-25 03:00")),  # 7 hours
        (Weekly.of("sun 02:30-05:00"), "Europe/Berlin", "2026-03-28", ("03-29 01:00", "03-29 03:00")),
        (Weekly.of("sun 01:00-02:30"), "Europe/Berlin", "2026-03-28", ("03-29 00:00", "03-29 01:00")),
        (Weekly.of("sun 02:30-05:00"), "Europe/Berlin", "2026-10-24", ("10-25 00:30", "10-25 04:00")),
        (Weekly.of("sun 01:00-02:30"), "Europe/Berlin", "2026-10-24", ("10-24 23:00", "10-25 01:30")),
        (Weekly.of("sun 01:00-02:00"), "Europe/Berlin", "2026-10-24", ("10-24 23:00", "10-25 00:00")),
        (Weekly.of("sun 01:00-03:00"), "Europe/Berlin", "2026-10-24", ("10-24 23:00", "10-25 02:00")),
        # All of it is skipped: the next one is a week later.
        (Weekly.of("sun 02:10-02:40"), "Europe/Berlin", "2026-03-28", ("04-05 00:10", "04-05 00:40")),
        (Cron.of("0 22 * * 6", "6h"), "Europe/Berlin", "2026-03-28", ("03-28 21:00", "03-29 03:00")),
        (Cron.of("30 2 * * *", "1h"), "Europe/Berlin", "2026-03-29", ("03-29 01:00", "03-29 02:00")),
        (Cron.of("30 2 * * *", "1h"), "Europe/Berlin", "2026-10-25", ("10-25 00:30", "10-25 01:30")),
        # Lord Howe: 2026-10-04 02:00 becomes 02:30 (15:30 UTC before), 2026-04-05 02:00 becomes 01:30 (15:00 UTC).
        (Cron.of("15 2 * * *", "1h"), "Australia/Lord_Howe", "2026-10-03T12:00", ("10-03 15:30", "10-03 16:30")),
        (Cron.of("45 1 * * *", "1h"), "Australia/Lord_Howe", "2026-04-04T12:00", ("04-04 14:45", "04-04 15:45")),
        (Cron.of("*/10 2 * * *", "5m"), "Australia/Lord_Howe", "2026-04-04T15:00", ("04-04 15:30", "04-04 15:35")),
        (Days.of("2026-10-25"), "Europe/Berlin", "2026-01-01", ("10-24 22:00", "10-25 23:00")),
        (Days.of("2026-03-29..2026-03-30"), "Europe/Berlin", "2026-01-01", ("03-28 23:00", "03-30 22:00")),
        # In Santiago 2026-09-06 begins at 01:00, and 2026-04-04 has its last hour twice.
        (Days.of("2026-09-06"), "America/Santiago", "2026-01-01", ("09-06 04:00", "09-07 03:00")),
        (Days.of("2026-04-04"), "America/Santiago", "2026-01-01", ("04-04 03:00", "04-05 04:00")),
    ],
)
def test_where_clocks_change(made: Pattern, zone: str, since: str, found: tuple[str, str]) -> None:
    assert spans(made, zone, since) == [found]


def test_a_match_that_comes_twice_opens_once_by_the_time_of_day_and_twice_by_the_hour() -> None:
    by_day = spans(Cron.of("30 2 * * *", "5m"), "Europe/Berlin", "2026-10-24T12:00", 2)
    by_hour = spans(Cron.of("30 * * * *", "5m"), "Europe/Berlin", "2026-10-24T23:50", 3)
    assert [start for start, _ in by_day] == ["10-25 00:30", "10-26 01:30"]
    assert [start for start, _ in by_hour] == ["10-25 00:30", "10-25 01:30", "10-25 02:30"]


# What a calendar says


BERLIN = ZoneInfo("Europe/Berlin")
NIGHTS = {"nights": Weekly.of("mon-thu 22:00-04:00")}


def test_touching_windows_make_one_opening_with_both_names() -> None:
    calendar = Calendar(BERLIN, {"late": Weekly.of("mon 20:00-24:00"), "early": Cron.of("0 0 * * 2", "3h")})
    [opening] = calendar.coming(utc("2026-11-23"), 1)
    assert (opening.start, opening.end) == (utc("2026-11-23T19:00"), utc("2026-11-24T02:00"))
    assert opening.windows == ("late", "early")


def test_a_denied_part_cuts_an_opening_in_two() -> None:
    calendar = Calendar(BERLIN, NIGHTS, {"deny window backup": Cron.of("0 0 * * *", "1h")})
    assert [(o.start.hour, o.end and o.end.hour) for o in calendar.coming(utc("2026-11-23"), 2)] == [(21, 23), (0, 3)]
    at = calendar.state(utc("2026-11-23T23:30"))
    assert (at.opening, at.closed_by) == (None, "deny window backup")
    assert at.following is not None
    assert at.following.start == utc("2026-11-24")


def test_what_closes_is_named_only_where_a_window_would_be_open() -> None:
    calendar = Calendar(BERLIN, NIGHTS, {"blackout 2026-11-23": Days.of("2026-11-23")})
    assert calendar.state(utc("2026-11-23T12:00")).closed_by == "no window is open"
    assert calendar.state(utc("2026-11-23T21:30")).closed_by == "blackout 2026-11-23"


def test_without_windows_that_allow_all_is_open_that_is_not_denied() -> None:
    calendar = Calendar(BERLIN, {}, {"deny window day": Weekly.of("mon-fri 08:00-18:00")})
    state = calendar.state(utc("2026-11-23T06:59"))
    assert state.opening is not None
    assert (state.opening.end, state.opening.windows) == (utc("2026-11-23T07:00"), ())
    assert calendar.state(utc("2026-11-23T07:00")).closed_by == "deny window day"


def test_what_never_closes_has_no_end_and_what_never_opens_is_no_opening() -> None:
    always = {"always": Weekly.of("mon-sun 00:00-24:00")}
    [opening] = Calendar(BERLIN, always).openings(utc("2026-11-23"))
    assert (opening.end, opening.lasts()) == (None, dt.timedelta.max)
    never = Calendar(BERLIN, NIGHTS, always)
    assert list(never.openings(utc("2026-11-23"))) == []
    assert never.state(utc("2026-11-23T23:00")).following is None


def test_what_is_open_at_the_horizon_has_its_own_end() -> None:
    since = utc("2026-11-23T12:00")
    found = list(Calendar(BERLIN, {"days": Weekly.of("mon-sun 02:00-22:00")}).openings(since))
    assert [opening for opening in found if opening.end is None] == []
    assert found[-1].start < since + HORIZON < found[-1].start + dt.timedelta(days=1)
    [opening] = Calendar(BERLIN, {}, {"blackout": Days.of("2026-11-23..2026-12-31")}).openings(since)
    assert (opening.start, opening.end) == (utc("2026-12-31T23:00"), None)


def test_what_is_too_short_is_not_usable() -> None:
    calendar = Calendar(
        BERLIN,
        {"short": Weekly.of("tue 12:00-12:30"), "long": Weekly.of("wed 12:00-15:00")},
        cutoff=dt.timedelta(minutes=30),
    )
    since = utc("2026-11-23")
    assert next(calendar.usable(since)).windows == ("long",)
    assert next(calendar.usable(since, dt.timedelta(hours=3)), None) is not None
    assert next(calendar.usable(since, dt.timedelta(hours=4)), None) is None


def test_the_horizon_is_looked_through_quickly() -> None:
    """Every hour of it, all denied: what a load does with a window that never opens."""
    calendar = Calendar(BERLIN, {"a": Cron.of("0 * * * *", "10m")}, {"d": Weekly.of("mon-sun 00:00-24:00")})
    start = time.process_time()
    assert list(calendar.openings(utc("2026-11-23"))) == []
    assert time.process_time() - start < 5
    assert dt.timedelta(days=366) < HORIZON
