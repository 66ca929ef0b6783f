"""Where partitions begin: floors and steps on the axis of a key, with the calendar of a time zone.

The axis of a key that holds time counts nanoseconds since 1970, of UTC for moments, of the wall clock for keys without
a time zone; the axis of any other key is its numbers. Hours are steps of UTC. Days, weeks and months begin at midnight
of the zone. A midnight that a change of the clocks leaves out or repeats is the one PostgreSQL takes it for ("before"
in the first case, "after" in the second: DetermineTimeZoneOffset).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from dbtui.errors import UsageError
from dbtui.model.policies import Interval, IntervalUnit

Position = int | float  # whole numbers, and the two infinities

NANOSECONDS = 1_000_000_000
HOUR = 3600 * NANOSECONDS
_EPOCH = datetime(1970, 1, 1)
_AWARE_EPOCH = _EPOCH.replace(tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_FIRST_DAY = _EPOCH.toordinal()
_MONDAY = 4  # 1970-01-05, in days since the epoch
_MOST_ANCHORED_DAY = 28


class Base(StrEnum):
    """What an interval counts once its unit is broken down."""

    NUMBER = "number"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


_BASES = {
    IntervalUnit.NUMBER: (Base.NUMBER, 1),
    IntervalUnit.HOUR: (Base.HOUR, 1),
    IntervalUnit.DAY: (Base.DAY, 1),
    IntervalUnit.WEEK: (Base.DAY, 7),
    IntervalUnit.MONTH: (Base.MONTH, 1),
    IntervalUnit.QUARTER: (Base.MONTH, 3),
    IntervalUnit.YEAR: (Base.MONTH, 12),
}


def break_down(interval: Interval) -> tuple[Base, int]:
    """Return what an interval counts, and how many of it: a quarter is three months."""
    base, times = _BASES[interval.unit]
    return base, times * interval.count


def open_zone(name: str) -> tzinfo:
    """Return a time zone. Raises UsageError for a name that is none; UTC is there without the system's database."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise UsageError(f"{name!r} is no time zone", 'write one of the IANA names, such as "Europe/Paris"') from None


def position_of(moment: datetime) -> int:
    """Return nanoseconds since 1970: of UTC for an aware time, of the wall clock for a naive one."""
    if moment.tzinfo is UTC:
        return (moment - _AWARE_EPOCH) // _MICROSECOND * 1000
    wall = moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo is not None else moment
    return (wall - _EPOCH) // _MICROSECOND * 1000


def wall_of(position: int) -> datetime:
    """Return the naive time at a position. Raises OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=position // 1000)


def _local_of(position: int, zone: tzinfo | None) -> datetime:
    wall = wall_of(position)
    return wall if zone is None else wall.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None)


@lru_cache(maxsize=65536)
def begin_of(wall: datetime, zone: tzinfo | None) -> int:
    """Return where a time of the zone's wall clock is on the axis; without a zone the axis is the wall clock."""
    position = position_of(wall)
    if zone is None:
        return position
    first, second = (wall.replace(tzinfo=zone, fold=fold).utcoffset() or timedelta() for fold in (0, 1))
    return position - min(first, second) // _MICROSECOND * 1000


def _day_of(local: datetime) -> int:
    return local.toordinal() - _FIRST_DAY


def _begin_of_day(day: int, zone: tzinfo | None) -> int:
    return begin_of(_EPOCH + timedelta(days=day), zone)


def _begin_of_month(month: int, day: int, zone: tzinfo | None) -> int:
    year, index = divmod(month, 12)
    try:
        return begin_of(datetime(year, index + 1, day), zone)
    except ValueError:
        raise OverflowError(f"the year {year} is beyond the calendar") from None


def _month_of(local: datetime, day: int) -> int:
    return local.year * 12 + local.month - 1 - (1 if local.day < day else 0)


@dataclass(frozen=True, slots=True)
class Grid:
    """The points at which partitions begin: every `count` of `base`, one of them at `phase`.

    `phase`: the remainder of their number, hour, day or month; `day`: of the month. `zone` None: of the wall clock.
    """

    base: Base
    count: int
    phase: int = 0
    day: int = 1
    zone: tzinfo | None = None

    def begin(self, index: int) -> int:
        """Return the `index`-th point. Raises OverflowError beyond the calendar."""
        number = self.phase + index * self.count
        if self.base is Base.DAY:
            return _begin_of_day(number, self.zone)
        if self.base is Base.MONTH:
            return _begin_of_month(number, self.day, self.zone)
        return number if self.base is Base.NUMBER else self.phase + index * self.count * HOUR

    def _index(self, position: int) -> int:
        if self.base is Base.NUMBER:
            return (position - self.phase) // self.count
        if self.base is Base.HOUR:
            return (position - self.phase) // (self.count * HOUR)
        local = _local_of(position, self.zone)
        number = _day_of(local) if self.base is Base.DAY else _month_of(local, self.day)
        index = (number - self.phase) // self.count
        while self.begin(index) > position:
            index -= 1
        while self.begin(index + 1) <= position:
            index += 1
        return index

    def floor(self, position: int) -> int:
        """Return the last point at or before a position."""
        return self.begin(self._index(position))

    def following(self, position: int) -> int:
        """Return the first point after a position. Raises OverflowError beyond the calendar."""
        index = self._index(position) + 1
        while (point := self.begin(index)) <= position:
            index += 1
        return point

    def ahead(self, position: int, cells: int) -> int:
        """Return the point that ends the `cells`-th cell after the one that holds a position."""
        point = self.following(position)
        for _ in range(cells):
            point = self.following(point)
        return point

    def is_on(self, position: int) -> bool:
        """Whether a partition may begin here."""
        return self.floor(position) == position


def plain_grid(interval: Interval, zone: tzinfo | None) -> Grid:
    """Return the grid of an interval where nothing is known but it: weeks from Monday, years from January."""
    base, count = break_down(interval)
    phase = _MONDAY if base is Base.DAY and count % 7 == 0 else 0
    return Grid(base, count, phase, zone=zone if base is not Base.NUMBER else None)


def grid_through(lower: int, upper: int, interval: Interval, zone: tzinfo | None) -> Grid | None:
    """Return the grid that has `lower` and `upper` as neighbouring points; None: they are not one interval apart."""
    base, count = break_down(interval)
    if base in (Base.NUMBER, Base.HOUR):
        period = count if base is Base.NUMBER else count * HOUR
        zone = None if base is Base.NUMBER else zone
        return Grid(base, count, lower % period, zone=zone) if upper - lower == period else None
    if base is Base.DAY and zone in (None, UTC):  # days are of one length there: no calendar is needed
        day, rest = divmod(lower, 24 * HOUR)
        return Grid(base, count, day % count, zone=zone) if not rest and upper - lower == count * 24 * HOUR else None
    days = count if base is Base.DAY else 31 * count
    if upper - lower > (days + 2) * 24 * HOUR or (base is Base.DAY and upper - lower < (days - 2) * 24 * HOUR):
        return None
    try:
        return _grid_of_days(lower, upper, base, count, zone)
    except OverflowError:
        return None


def _grid_of_days(lower: int, upper: int, base: Base, count: int, zone: tzinfo | None) -> Grid | None:
    local = _local_of(lower, zone)
    if local.day > _MOST_ANCHORED_DAY and base is Base.MONTH:
        return None
    day = local.day if base is Base.MONTH else 1
    number = _month_of(local, day) if base is Base.MONTH else _day_of(local)
    grid = Grid(base, count, number % count, day, zone)
    index = number // count
    if grid.begin(index) != lower:
        return None
    after = grid.begin(index + 1)
    return grid if (after if after > lower else grid.following(lower)) == upper else None


def step_back(position: int, interval: Interval, zone: tzinfo | None) -> int:
    """Return the position an interval before another; a day that the earlier month lacks is its last day."""
    base, count = break_down(interval)
    if base is Base.NUMBER:
        return position - count
    if base is Base.HOUR:
        return position - count * HOUR
    local = _local_of(position, zone)
    if base is Base.DAY:
        return begin_of(local - timedelta(days=count), zone)
    year, index = divmod(_month_of(local, 1) - count, 12)
    if year < 1:
        raise OverflowError("before the calendar begins")
    return begin_of(local.replace(year=year, month=index + 1, day=min(local.day, _days_in(year, index + 1))), zone)


def _days_in(year: int, month: int) -> int:
    after = date(year + month // 12, month % 12 + 1, 1) if (year, month) != (9999, 12) else None
    return 31 if after is None else (after - timedelta(days=1)).day
