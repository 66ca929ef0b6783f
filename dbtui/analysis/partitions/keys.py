"""What the key of a partitioned table holds: values of bounds to positions on its axis, and back."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from decimal import Decimal
from math import inf
from uuid import UUID

from dbtui.analysis.partitions.calendar import Position, open_zone, position_of, wall_of
from dbtui.model.partitions import BoundValue, KeyKind, Limit
from dbtui.model.policies import KeyCodec

TIME_KINDS = (KeyKind.DATE, KeyKind.TIMESTAMP, KeyKind.TIMESTAMPTZ)
NUMBER_KINDS = (KeyKind.INTEGER, KeyKind.NUMERIC)
#: Nanoseconds in one of the key's units.
_SCALES = {
    KeyCodec.EPOCH_SECONDS: 1_000_000_000,
    KeyCodec.EPOCH_MILLISECONDS: 1_000_000,
    KeyCodec.EPOCH_MICROSECONDS: 1_000,
    KeyCodec.EPOCH_NANOSECONDS: 1,
}
_ENDLESS = {Limit.LOWEST: -inf, Limit.HIGHEST: inf, "-infinity": -inf, "infinity": inf}
# RFC 9562, section 5.7: 48 bits of milliseconds, then version 7, 12 random bits, variant 2, 62 random bits.
_UUID7_SHIFT, _MILLISECOND = 80, 1_000_000
_UUID7_LOWEST = (7 << 76) | (2 << 62)
_YEAR = 366 * 86400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Axis:
    """How a key is read. `zone`: in which naive times are meant, and of the policy's calendar.

    `has_bare_uuids`: the table writes its bounds without version and variant, as zeros.
    """

    kind: KeyKind
    codec: KeyCodec
    zone: tzinfo
    has_bare_uuids: bool = False

    @property
    def is_time(self) -> bool:
        """Whether positions are nanoseconds."""
        return self.kind in TIME_KINDS or self.codec is not KeyCodec.NONE

    @property
    def grid_zone(self) -> tzinfo | None:
        """The zone of the grid; None: the axis is a wall clock already."""
        return None if self.kind in (KeyKind.DATE, KeyKind.TIMESTAMP) else self.zone

    def position(self, value: BoundValue) -> Position | None:
        """Return where a value is; None if it is not of this key."""
        if isinstance(value, str | Limit) and value in _ENDLESS:
            return _ENDLESS[value]
        if self.kind in TIME_KINDS:
            return _time_position(value, self.kind)
        if self.codec is KeyCodec.UUID7:
            return _uuid_position(value)
        if isinstance(value, Decimal):
            value = int(value) if value.is_finite() and value == value.to_integral_value() else None
        if not isinstance(value, int) or isinstance(value, bool):
            return None
        return value * _SCALES[self.codec] if self.codec in _SCALES else value

    def value(self, position: Position) -> BoundValue:
        """Return the value at a position. Raises OverflowError for a time that the key cannot hold."""
        if position in (-inf, inf):
            return Limit.LOWEST if position < 0 else Limit.HIGHEST
        whole = int(position)
        if self.kind in TIME_KINDS:
            wall = wall_of(whole)
            if self.kind is KeyKind.DATE:
                return wall.date()
            return wall.replace(tzinfo=UTC) if self.kind is KeyKind.TIMESTAMPTZ else wall
        if self.codec is KeyCodec.UUID7:
            return _uuid_at(whole, is_bare=self.has_bare_uuids)
        number = whole // _SCALES[self.codec] if self.codec in _SCALES else whole
        return Decimal(number) if self.kind is KeyKind.NUMERIC else number

    def now(self, now: datetime) -> int:
        """Return where a moment is: what a row written then would hold."""
        return position_of(now if self.grid_zone else now.astimezone(self.zone).replace(tzinfo=None))

    def moment(self, position: Position) -> datetime:
        """Return the aware time at a position, in the axis' zone. Raises OverflowError beyond the calendar."""
        wall = wall_of(int(position))
        return (
            wall.replace(tzinfo=self.zone) if self.grid_zone is None else wall.replace(tzinfo=UTC).astimezone(self.zone)
        )

    def is_sane(self, position: Position) -> bool:
        """Whether a time is one that rows are likely to have: 1970 to 2200. The wrong codec makes others."""
        return position in (-inf, inf) or 0 <= position < 230 * _YEAR


def _time_position(value: BoundValue, kind: KeyKind) -> Position | None:
    if isinstance(value, datetime):
        is_moment = kind is KeyKind.TIMESTAMPTZ
        if is_moment:
            return position_of(value if value.tzinfo is not None else value.replace(tzinfo=UTC))
        return position_of(value.replace(tzinfo=None))
    return position_of(datetime(value.year, value.month, value.day)) if isinstance(value, date) else None


def _uuid_position(value: BoundValue) -> Position | None:
    number = parse_uuid(value)
    if number is None:
        return None
    low = number & ((1 << _UUID7_SHIFT) - 1)
    return (number >> _UUID7_SHIFT) * _MILLISECOND + (0 if low in (0, _UUID7_LOWEST) else 1)


def parse_uuid(value: BoundValue) -> int | None:
    """Return a UUID as a number; None if it is none."""
    if not isinstance(value, str):
        return None
    try:
        return UUID(value).int
    except ValueError:
        return None


def is_bare_uuid(value: BoundValue) -> bool:
    """Whether a UUID has nothing but its time."""
    number = parse_uuid(value)
    return number is not None and number & ((1 << _UUID7_SHIFT) - 1) == 0


def _uuid_at(position: int, *, is_bare: bool) -> str:
    milliseconds = position // _MILLISECOND
    if not 0 <= milliseconds < 1 << 48:
        raise OverflowError("a UUID of version 7 cannot hold this time")
    return str(UUID(int=(milliseconds << _UUID7_SHIFT) | (0 if is_bare else _UUID7_LOWEST)))


def open_axis(kind: KeyKind, codec: KeyCodec, time_zone: str, *, has_bare_uuids: bool = False) -> Axis:
    """Return the axis of a key. Raises UsageError for a time zone that is none."""
    return Axis(kind, codec, open_zone(time_zone), has_bare_uuids)
