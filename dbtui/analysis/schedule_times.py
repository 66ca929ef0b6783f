"""When a cron line or a systemd timer is due, by the machine's own clock, summer time included.

crontab(5): five fields, `*`, lists, ranges and steps; a day of the month or of the week is enough when both are
restricted. cron(8): what falls into an hour that is skipped runs right after it, what falls into one that comes twice
runs once, unless its hour or its minute begins with `*`. systemd.time(7), "Calendar events": a time that does not exist
that day is left out, one that comes twice is its first. Times are those of whole minutes.
"""

import calendar
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dbtui.errors import UsageError
from dbtui.model.schedules import Timing

_MONTH_NAMES = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAY_NAMES = {name.lower(): number for number, name in enumerate(calendar.day_abbr)}
_LONG_DAY_NAMES = {name.lower(): number for number, name in enumerate(calendar.day_name)}
_CRON_WORDS = {"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
               "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *"}  # fmt: skip
_CALENDAR_WORDS = {"minutely": "*-*-* *:*:00", "hourly": "*-*-* *:00:00", "daily": "*-*-* 00:00:00",
                   "weekly": "Mon *-*-* 00:00:00", "monthly": "*-*-01 00:00:00", "yearly": "*-01-01 00:00:00",
                   "annually": "*-01-01 00:00:00", "quarterly": "*-01,04,07,10-01 00:00:00",
                   "semiannually": "*-01,07-01 00:00:00"}  # fmt: skip
_ALL_DAYS, _ALL_WEEKDAYS = range(1, 32), range(7)
_ALL_MONTHS, _ALL_HOURS, _ALL_MINUTES = range(1, 13), range(24), range(60)
_FURTHEST_DAYS = 8 * 366 + 1  # from one 29 February to the next, over a year like 2100
_DIGITS = re.compile(r"[0-9]{1,4}", re.ASCII)
_GAP_STEP = timedelta(minutes=1)

# ---------------------------------------------------------------- reading


def parse_cron_times(text: str) -> Timing:
    """Return when the five fields, or a word such as @daily, say. Raises UsageError."""
    fields = _CRON_WORDS.get(text.strip().lower(), text).split()
    if len(fields) != 5:
        raise UsageError(f"{text!r} are no five fields of a crontab")
    minute, hour, day, month, weekday = (field.lower() for field in fields)
    weekdays = {(number - 1) % 7 for number in _parse_cron_field(weekday, range(8), _CRON_DAYS)}
    return Timing(
        minutes=_parse_cron_field(minute, _ALL_MINUTES),
        hours=_parse_cron_field(hour, _ALL_HOURS),
        days=_parse_cron_field(day, _ALL_DAYS),
        months=_parse_cron_field(month, _ALL_MONTHS, _MONTH_NAMES),
        weekdays=tuple(sorted(weekdays)),
        either_day=not day.startswith("*") and not weekday.startswith("*"),
        by_running_clock=minute.startswith("*") or hour.startswith("*"),
        makes_up=True,
    )


#: cron counts from Sunday, 0, and takes 7 for it as well.
_CRON_DAYS = {name: (number + 1) % 7 for name, number in _DAY_NAMES.items()}


def _parse_cron_field(text: str, known: range, names: dict[str, int] | None = None) -> tuple[int, ...]:
    return _parse_list(text, known, names or {}, "-", is_open=False)


def _parse_list(text: str, known: range, names: dict[str, int], dash: str, *, is_open: bool) -> tuple[int, ...]:
    """The numbers of `1,5-9,*/15`; `is_open`: `3/5` is from 3 to the end, as systemd has it. Raises UsageError."""
    numbers: set[int] = set()
    for part in text.split(","):
        span, slash, step_text = part.partition("/")
        step = _parse_number(step_text, range(1, known.stop + 1), {}) if slash else 1
        first_text, dashed, last_text = span.partition(dash)
        if span == "*":
            first, last = known.start, known.stop - 1
        else:
            first = _parse_number(first_text, known, names)
            is_to_the_end = slash and is_open and not dashed
            last = known.stop - 1 if is_to_the_end else _parse_number(last_text, known, names) if dashed else first
        if last < first or (slash and not dashed and span != "*" and not is_open):
            raise UsageError(f"{text!r} cannot be read")
        numbers.update(range(first, last + 1, step))
    return tuple(sorted(numbers))


def _parse_number(text: str, known: range, names: dict[str, int]) -> int:
    number = names.get(text, int(text) if _DIGITS.fullmatch(text) else -1)
    if number not in known:
        raise UsageError(f"{text!r} cannot be read")
    return number


def parse_calendar(text: str) -> Timing:
    """Return when an OnCalendar= of a timer says, as far as it counts in whole minutes. Raises UsageError."""
    words = _CALENDAR_WORDS.get(text.strip().lower(), text).split()
    zone = ""
    if len(words) > 1 and re.fullmatch(r"[A-Za-z][A-Za-z0-9_+/-]*", words[-1]) and words[-1].lower() not in _DAY_NAMES:
        zone = words.pop()
        _find_zone(zone)
    weekdays = tuple(_ALL_WEEKDAYS)
    if words and words[0][0].isalpha():
        weekdays = _parse_weekdays(words.pop(0).lower())
    day_text = words.pop(0) if words and "-" in words[0] else "*-*-*"
    time_text = words.pop(0) if words else "00:00:00"
    if words or not text.strip():
        raise UsageError(f"{text!r} cannot be read")
    months, days = _parse_date(day_text)
    hours, minutes = _parse_clock(time_text)
    return Timing(minutes=minutes, hours=hours, days=days, months=months, weekdays=weekdays, zone=zone)


def _parse_weekdays(text: str) -> tuple[int, ...]:
    names = _DAY_NAMES | _LONG_DAY_NAMES
    return _parse_list(text.replace("-", ".."), _ALL_WEEKDAYS, names, "..", is_open=False)


def _parse_date(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    parts = text.split("-")
    if len(parts) == 3 and parts.pop(0) != "*":
        raise UsageError(f"{text!r} names a year")
    if len(parts) != 2:
        raise UsageError(f"{text!r} cannot be read")
    months = _parse_list(parts[0], _ALL_MONTHS, {}, "..", is_open=True)
    return months, _parse_list(parts[1], _ALL_DAYS, {}, "..", is_open=True)


def _parse_clock(text: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    parts = text.split(":")
    if len(parts) == 3 and parts.pop() not in ("0", "00"):
        raise UsageError(f"{text!r} is not at a whole minute")
    if len(parts) != 2:
        raise UsageError(f"{text!r} cannot be read")
    hours = _parse_list(parts[0], _ALL_HOURS, {}, "..", is_open=True)
    return hours, _parse_list(parts[1], _ALL_MINUTES, {}, "..", is_open=True)


def _find_zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise UsageError(f"{name!r} is no time zone that is known here") from None


# ---------------------------------------------------------------- reckoning


def find_next_due(timings: Sequence[Timing], after: datetime, zone: tzinfo) -> datetime | None:
    """Return the first moment after `after` (UTC) at which one of them is due, None if there is none for years."""
    found = (next(_due_from(timing, after, zone, 1), None) for timing in timings)
    return min((moment for moment in found if moment is not None), default=None)


def find_last_due(timings: Sequence[Timing], until: datetime, zone: tzinfo) -> datetime | None:
    """Return the last moment up to `until` (UTC) at which one of them was due, None if there was none for years."""
    found = (next(_due_from(timing, until, zone, -1), None) for timing in timings)
    return max((moment for moment in found if moment is not None), default=None)


def _due_from(timing: Timing, moment: datetime, machine_zone: tzinfo, step: int) -> Iterator[datetime]:
    """Moments after (`step` 1) or up to (-1) a moment, the nearest first."""
    zone = _find_zone(timing.zone) if timing.zone else machine_zone
    day = moment.astimezone(zone).date() - timedelta(days=step)  # a shift of the clock may reach into another day
    for _ in range(_FURTHEST_DAYS):
        if _is_day(timing, day):
            moments = sorted(set(_moments_of(timing, day, zone)), reverse=step < 0)
            yield from (each for each in moments if (each > moment if step > 0 else each <= moment))
        day += timedelta(days=step)


def _is_day(timing: Timing, day: date) -> bool:
    if day.month not in timing.months:
        return False
    fits = (day.day in timing.days, day.weekday() in timing.weekdays)
    return any(fits) if timing.either_day else all(fits)


def _moments_of(timing: Timing, day: date, zone: tzinfo) -> Iterator[datetime]:
    for hour in timing.hours:
        for minute in timing.minutes:
            wall = datetime(day.year, day.month, day.day, hour, minute)
            yield from _moments_at(timing, wall, zone)


def _moments_at(timing: Timing, wall: datetime, zone: tzinfo) -> Iterator[datetime]:
    first, second = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        yield first
        if second != first and timing.by_running_clock:
            yield second
    elif timing.makes_up and not timing.by_running_clock:
        yield _end_of_gap(second, first, zone)


def _end_of_gap(before: datetime, after: datetime, zone: tzinfo) -> datetime:
    """The moment between two at which the clock was put forward."""
    offset = before.astimezone(zone).utcoffset()
    while before < after and before.astimezone(zone).utcoffset() == offset:
        before += _GAP_STEP
    return before
