"""When cron lines and timers are due: compared with what cron(8) promises and what systemd itself computes."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.analysis.schedule_times import find_last_due, find_next_due, parse_calendar, parse_cron_times
from dbtui.errors import UsageError
from dbtui.model.schedules import Timing

BERLIN = ZoneInfo("Europe/Berlin")
SPRING = datetime(2026, 3, 28, 11, tzinfo=UTC)  # the clock goes from 2 to 3 in the night that follows
AUTUMN = datetime(2026, 10, 24, 22, 45, tzinfo=UTC)  # 00:45 there; from 3 back to 2 a little later


def following(timing: Timing, after: datetime, count: int) -> list[str]:
    found = []
    for _ in range(count):
        moment = find_next_due([timing], after, BERLIN)
        assert moment is not None
        found.append(f"{moment.astimezone(BERLIN):%d %H:%M %Z}")
        after = moment
    return found


@pytest.mark.parametrize(
    ("fields", "after", "expected"),
    [
        ("30 2 * * *", SPRING, ["29 03:00 CEST", "30 02:30 CEST"]),
        ("10,50 2 * * *", SPRING, ["29 03:00 CEST", "30 02:10 CEST"]),
        ("30 * * * *", SPRING + timedelta(hours=12), ["29 00:30 CET", "29 01:30 CET", "29 03:30 CEST"]),
        ("30 2 * * *", AUTUMN, ["25 02:30 CEST", "26 02:30 CET"]),
        ("30 * * * *", AUTUMN, ["25 01:30 CEST", "25 02:30 CEST", "25 02:30 CET", "25 03:30 CET"]),
        ("15 3 * * 1", AUTUMN, ["26 03:15 CET", "02 03:15 CET"]),
        ("15 3 1 * *", AUTUMN, ["01 03:15 CET", "01 03:15 CET"]),
        ("0 0 13 * fri", AUTUMN, ["30 00:00 CET", "06 00:00 CET", "13 00:00 CET", "20 00:00 CET"]),
        ("*/20 1-2 */2 * *", AUTUMN, ["25 01:00 CEST", "25 01:20 CEST", "25 01:40 CEST", "25 02:00 CEST"]),
        ("0 12 * * 7", AUTUMN, ["25 12:00 CET"]),
        ("0 12 29 Feb *", AUTUMN, ["29 12:00 CET"]),
        ("@daily", AUTUMN, ["26 00:00 CET"]),
    ],
)
def test_cron_lines_over_the_turns_of_the_clock(fields: str, after: datetime, expected: list[str]) -> None:
    assert following(parse_cron_times(fields), after, len(expected)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "* * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "5-1 * * * *", "5/2 * * * *",
     "a * * * *", "@reboot", "*/0 * * * *", "1,,2 * * * *", "٣ * * * *", "* * * * * *"],
)  # fmt: skip
def test_what_is_no_time_of_cron(text: str) -> None:
    with pytest.raises(UsageError):
        parse_cron_times(text)


def test_a_day_that_never_comes_is_never_due() -> None:
    assert find_next_due([parse_cron_times("0 0 30 2 *")], AUTUMN, BERLIN) is None


#: As `systemd-analyze calendar` of systemd 252 prints them, in UTC, for a machine in Europe/Berlin.
CALENDARS = [
    ("*-*-* 02:30:00", SPRING, "2026-03-30 00:30, 2026-03-31 00:30, 2026-04-01 00:30, 2026-04-02 00:30"),
    ("*-*-* *:30:00", SPRING, "2026-03-28 11:30, 2026-03-28 12:30, 2026-03-28 13:30, 2026-03-28 14:30"),
    ("Mon *-*-* 04:05:00", SPRING, "2026-03-30 02:05, 2026-04-06 02:05, 2026-04-13 02:05, 2026-04-20 02:05"),
    ("*-*-01 03:15:00", SPRING, "2026-04-01 01:15, 2026-05-01 01:15, 2026-06-01 01:15, 2026-07-01 01:15"),
    ("daily", SPRING, "2026-03-28 23:00, 2026-03-29 22:00, 2026-03-30 22:00, 2026-03-31 22:00"),
    ("weekly", SPRING, "2026-03-29 22:00, 2026-04-05 22:00, 2026-04-12 22:00, 2026-04-19 22:00"),
    ("quarterly", SPRING, "2026-03-31 22:00, 2026-06-30 22:00, 2026-09-30 22:00, 2026-12-31 23:00"),
    ("Mon..Fri 02:30", SPRING, "2026-03-30 00:30, 2026-03-31 00:30, 2026-04-01 00:30, 2026-04-02 00:30"),
    ("Sat,Sun *-*-* 22:00", SPRING, "2026-03-28 21:00, 2026-03-29 20:00, 2026-04-04 20:00, 2026-04-05 20:00"),
    ("*-*-* 00/6:10:00", SPRING, "2026-03-28 11:10, 2026-03-28 17:10, 2026-03-28 23:10, 2026-03-29 04:10"),
    ("*:0/15", SPRING, "2026-03-28 11:15, 2026-03-28 11:30, 2026-03-28 11:45, 2026-03-28 12:00"),
    ("*-02-29 01:00:00", SPRING, "2028-02-29 00:00, 2032-02-29 00:00, 2036-02-29 00:00, 2040-02-29 00:00"),
    ("12-01..10 05:00", SPRING, "2026-12-01 04:00, 2026-12-02 04:00, 2026-12-03 04:00, 2026-12-04 04:00"),
    ("*-*-* 02:30:00 UTC", SPRING, "2026-03-29 02:30, 2026-03-30 02:30, 2026-03-31 02:30, 2026-04-01 02:30"),
    ("Mon 02:30 America/New_York", SPRING, "2026-03-30 06:30, 2026-04-06 06:30, 2026-04-13 06:30, 2026-04-20 06:30"),
    ("hourly", SPRING, "2026-03-28 12:00, 2026-03-28 13:00, 2026-03-28 14:00, 2026-03-28 15:00"),
    ("Tue", SPRING, "2026-03-30 22:00, 2026-04-06 22:00, 2026-04-13 22:00, 2026-04-20 22:00"),
    ("*-*-* 02:30:00", AUTUMN, "2026-10-25 00:30, 2026-10-26 01:30, 2026-10-27 01:30, 2026-10-28 01:30"),
    ("*-*-* *:30:00", AUTUMN, "2026-10-24 23:30, 2026-10-25 00:30, 2026-10-25 02:30, 2026-10-25 03:30"),
    ("Mon *-*-* 04:05:00", AUTUMN, "2026-10-26 03:05, 2026-11-02 03:05, 2026-11-09 03:05, 2026-11-16 03:05"),
    ("*-*-01 03:15:00", AUTUMN, "2026-11-01 02:15, 2026-12-01 02:15, 2027-01-01 02:15, 2027-02-01 02:15"),
    ("daily", AUTUMN, "2026-10-25 23:00, 2026-10-26 23:00, 2026-10-27 23:00, 2026-10-28 23:00"),
    ("weekly", AUTUMN, "2026-10-25 23:00, 2026-11-01 23:00, 2026-11-08 23:00, 2026-11-15 23:00"),
    ("quarterly", AUTUMN, "2026-12-31 23:00, 2027-03-31 22:00, 2027-06-30 22:00, 2027-09-30 22:00"),
    ("Mon..Fri 02:30", AUTUMN, "2026-10-26 01:30, 2026-10-27 01:30, 2026-10-28 01:30, 2026-10-29 01:30"),
    ("Sat,Sun *-*-* 22:00", AUTUMN, "2026-10-25 21:00, 2026-10-31 21:00, 2026-11-01 21:00, 2026-11-07 21:00"),
    ("*-*-* 00/6:10:00", AUTUMN, "2026-10-25 05:10, 2026-10-25 11:10, 2026-10-25 17:10, 2026-10-25 23:10"),
    ("*:0/15", AUTUMN, "2026-10-24 23:00, 2026-10-24 23:15, 2026-10-24 23:30, 2026-10-24 23:45"),
    ("*-02-29 01:00:00", AUTUMN, "2028-02-29 00:00, 2032-02-29 00:00, 2036-02-29 00:00, 2040-02-29 00:00"),
    ("12-01..10 05:00", AUTUMN, "2026-12-01 04:00, 2026-12-02 04:00, 2026-12-03 04:00, 2026-12-04 04:00"),
    ("*-*-* 02:30:00 UTC", AUTUMN, "2026-10-25 02:30, 2026-10-26 02:30, 2026-10-27 02:30, 2026-10-28 02:30"),
    ("Mon 02:30 America/New_York", AUTUMN, "2026-10-26 06:30, 2026-11-02 07:30, 2026-11-09 07:30, 2026-11-16 07:30"),
    ("hourly", AUTUMN, "2026-10-24 23:00, 2026-10-25 00:00, 2026-10-25 02:00, 2026-10-25 03:00"),
    ("Tue", AUTUMN, "2026-10-26 23:00, 2026-11-02 23:00, 2026-11-09 23:00, 2026-11-16 23:00"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "after", "expected"), CALENDARS)
def test_timers_are_due_when_systemd_says(text: str, after: datetime, expected: str) -> None:
    timing, found = parse_calendar(text), []
    for _ in expected.split(", "):
        due = find_next_due([timing], after, BERLIN)
        assert due is not None
        after = due
        found.append(f"{due:%Y-%m-%d %H:%M}")
    assert ", ".join(found) == expected


@pytest.mark.parametrize(
    "text", ["", "nonsense", "2026-12-01 00:00", "*-*-* 03:15:30", "*-*~1 00:00", "*-*-* 03:15 Nowhere/None",
             "*-*-* 25:00", "Mon Tue 03:00", "*-* *-* 03:00"],
)  # fmt: skip
def test_what_is_no_time_of_a_timer_that_can_be_computed(text: str) -> None:
    with pytest.raises(UsageError):
        parse_calendar(text)


moments = st.datetimes(datetime(2020, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))
fields = st.sampled_from(["15 3 * * *", "30 2 * * *", "*/7 * * * *", "0 5 1 * 2", "59 23 31 * *", "0 2,3 * 3,10 sun"])


@given(moments, fields)
def test_next_and_last_meet(moment: datetime, text: str) -> None:
    timing = parse_cron_times(text)
    coming = find_next_due([timing], moment, BERLIN)
    assert coming is not None
    assert coming > moment
    assert find_last_due([timing], coming, BERLIN) == coming
    last = find_last_due([timing], moment, BERLIN)
    assert last is not None
    assert last <= moment
    assert find_next_due([timing], last - timedelta(minutes=1), BERLIN) == last
    assert find_next_due([timing], last, BERLIN) == coming
