"""What a publisher of pools says, as values. A publisher may be wrong or lie: what cannot be true is refused."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated

import msgspec

from dbtui.errors import DbtuiError
from dbtui.model.pools import AppPool, Timing
from dbtui.model.text import format_untrusted, mask_passwords

VERSION = 1
MOST_POOLS = 256
_NAME_CHARACTERS = 120
_PLACE_CHARACTERS = 300
_LONGEST_HISTOGRAM = 64
#: No process has more connections, and no counter gets further in a lifetime.
_Few = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
_Many = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
_Seconds = Annotated[float, msgspec.Meta(ge=0.0, le=1e15)]
#: Nobody waits for months.
_Wait = Annotated[float, msgspec.Meta(ge=0.0, le=1e7)]


class UnreadableError(DbtuiError):
    """What a source says cannot be understood, or cannot be true."""


class _TimingTable(msgspec.Struct):
    count: _Many = 0
    seconds: _Seconds = 0.0
    counts: list[_Many] = []


class _PoolTable(msgspec.Struct):
    pool: str
    size: _Few
    max_overflow: Annotated[int, msgspec.Meta(ge=-1, le=100_000)]
    checked_in: _Few
    checked_out: _Few
    pending: _Few
    url: str = ""
    timeout: _Seconds | None = None
    overflow: Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)] = 0
    oldest_pending: _Wait = 0.0
    timeouts: _Many = 0
    invalidated: _Many = 0
    closed: _Many = 0
    wait: _TimingTable = msgspec.field(default_factory=_TimingTable)
    abandoned: _TimingTable = msgspec.field(default_factory=_TimingTable)
    hold: _TimingTable = msgspec.field(default_factory=_TimingTable)
    create: _TimingTable = msgspec.field(default_factory=_TimingTable)


class _Document(msgspec.Struct):
    version: int
    service: str = ""
    pid: _Many = 0
    started_at: Annotated[float, msgspec.Meta(ge=0.0, le=1e11)] = 0.0
    pools: list[_PoolTable] = []
    bounds: list[_Seconds] = []
    error: str = ""


_DECODER = msgspec.json.Decoder(_Document)


def parse_document(answer: bytes, source: str, monotonic_seconds: float) -> tuple[AppPool, ...]:
    """Read the line that a publisher's socket answers with. Raises UnreadableError."""
    try:
        document = _DECODER.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableError(format_untrusted(f"it does not answer as a publisher of pools: {error}", 300)) from None
    except RecursionError:
        raise UnreadableError("it does not answer as a publisher of pools: too deep") from None
    if document.error:
        raise UnreadableError(f"it answers: {format_untrusted(document.error, 200)}")
    if document.version != VERSION:
        raise UnreadableError(f"it speaks version {document.version} and dbtui version {VERSION}: update the older one")
    if len(document.pools) > MOST_POOLS:
        raise UnreadableError(f"it tells of {len(document.pools)} pools, which no process has")
    bounds = _check_bounds(document.bounds)
    return tuple(_pool(document, table, bounds, source, monotonic_seconds) for table in document.pools)


def _check_bounds(bounds: Sequence[float]) -> tuple[float, ...]:
    if len(bounds) > _LONGEST_HISTOGRAM or any(not low < high for low, high in pairwise(bounds)):
        raise UnreadableError("the bounds of its histograms do not rise")
    return tuple(bounds)


def _pool(
    document: _Document, table: _PoolTable, bounds: tuple[float, ...], source: str, monotonic_seconds: float
) -> AppPool:
    return AppPool(
        source=source,
        service=clean_name(document.service),
        pid=document.pid,
        pool=clean_name(table.pool),
        url=format_untrusted(mask_passwords(table.url), _PLACE_CHARACTERS),
        started_at=parse_start(document.started_at),
        monotonic_seconds=monotonic_seconds,
        size=table.size,
        max_overflow=table.max_overflow,
        timeout_seconds=table.timeout,
        checked_in=table.checked_in,
        checked_out=table.checked_out,
        overflow=max(0, table.overflow),
        pending=table.pending,
        oldest_pending_seconds=table.oldest_pending,
        wait=_timing(table.wait, bounds),
        abandoned=_timing(table.abandoned, bounds),
        hold=_timing(table.hold, bounds),
        create=_timing(table.create, bounds),
        timeouts_total=table.timeouts,
        invalidated_total=table.invalidated,
        closed_total=table.closed,
    )


def _timing(table: _TimingTable, bounds: tuple[float, ...]) -> Timing:
    if table.counts and len(table.counts) != len(bounds) + 1:
        raise UnreadableError(f"a histogram of it has {len(table.counts)} counts for {len(bounds)} bounds")
    return Timing(count=table.count, seconds=table.seconds, counts=tuple(table.counts), bounds=bounds)


def clean_name(text: str) -> str:
    """Return a name that somebody else chose, safe to show."""
    return format_untrusted(text, _NAME_CHARACTERS)


def parse_start(seconds: float | None) -> datetime | None:
    """Return seconds since 1970 as a time; None when that is none."""
    if not seconds or not math.isfinite(seconds):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        return None
