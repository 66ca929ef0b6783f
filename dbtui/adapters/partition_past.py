"""Which partitions a question about the last hour can leave out."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta

from dbtui.model.partitions import BoundValue, Partition, RangeBound

#: Times without a zone are of one that is no further from UTC.
_SLACK = timedelta(days=1)


def has_past(partitions: Iterable[Partition], now: datetime) -> bool:
    """Whether some partition ended a while before a moment: where all reach beyond it, all are rightly read."""
    return any(isinstance(each.bound, RangeBound) and _is_past(each.bound.upper[0], now) for each in partitions)


def _is_past(end: BoundValue, now: datetime) -> bool:
    if isinstance(end, datetime):
        moment = end if end.tzinfo is not None else end.replace(tzinfo=UTC)
    elif isinstance(end, date):
        moment = datetime.combine(end, time(), UTC)
    else:
        return False
    return moment + _SLACK < now
