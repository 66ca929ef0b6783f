"""Whether the newest good backup of a profile is older than it may be, whoever or whatever makes its backups."""

from dataclasses import dataclass
from datetime import datetime

from dbtui.analysis.schedule_states import grace_of
from dbtui.model.connections import ConnectionProfile
from dbtui.model.freshness import BackupFreshness
from dbtui.model.text import format_duration

_DAY = 86400.0
#: The finest period that `keep` wants a backup of decides: without one in each there is nothing to be kept.
_PERIODS = (("daily", _DAY), ("weekly", 7 * _DAY), ("monthly", 31 * _DAY), ("yearly", 366 * _DAY))
#: Clocks of two machines may differ a little; more is a clock that was put back.
_FUTURE_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class AgeLimit:
    """How many seconds old the newest backup may be, and what says so. `is_explicit`: in so many words."""

    seconds: float
    because: str
    is_explicit: bool


def find_limit(profile: ConnectionProfile) -> AgeLimit | None:
    """Return how old its newest backup may be; None: as old as it likes.

    That is `max_backup_age`, else the shortest period of `keep` with a tenth of it, six hours at most, as grace.
    """
    if profile.max_backup_age_seconds is not None:
        said = profile.max_backup_age_seconds
        return AgeLimit(said, "max_backup_age", is_explicit=True) if said else None
    if profile.keep is None:
        return None
    for name, seconds in _PERIODS:
        if count := getattr(profile.keep, name):
            return AgeLimit(seconds + grace_of(seconds), f"keep = {{ {name} = {count} }}", is_explicit=False)
    return None


def assess_freshness(
    profile: ConnectionProfile, newest: tuple[str, datetime] | None, now: datetime
) -> BackupFreshness | None:
    """Return what is to be said of a profile; None: nothing limits it.

    `newest` is the id of its newest good backup and when it was begun, None when there is none; `now` is UTC.
    """
    limit = find_limit(profile)
    if limit is None:
        return None
    seconds, because = limit.seconds, limit.because
    found = BackupFreshness(profile=profile.name, database=profile.database, limit_seconds=seconds, because=because,
                            is_overdue=True, reason="it has no good backup")  # fmt: skip
    if newest is None:
        return found
    age = (now - newest[1]).total_seconds()
    allowed = f"{because} allows {format_duration(seconds)}"
    if age < -_FUTURE_SECONDS:
        said, is_overdue = "its newest good backup is dated in the future: a clock is or was wrong", True
    else:
        said, is_overdue = f"its newest good backup is {format_duration(age)} old, {allowed}", age > seconds
    return BackupFreshness(profile=profile.name, database=profile.database, limit_seconds=seconds, because=because,
                           newest_id=newest[0], newest_at=newest[1], age_seconds=age, is_overdue=is_overdue,
                           reason=said)  # fmt: skip
