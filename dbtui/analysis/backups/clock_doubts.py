"""Whether the times of backups can be believed. Where they cannot, retention removes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

from dbtui.model.retention import RetentionBackup
from dbtui.model.text import format_duration

#: Clocks of several machines may differ by this.
TOLERANCE = timedelta(minutes=5)
#: A silence of more than so many times the usual one, and of at least so long, is absurd.
ABSURD_TIMES = 30
ABSURD_AT_LEAST = timedelta(days=30)
_LOOKED_AT = 10
_FEWEST_GAPS = 2
_CURE = "mend the clock of this machine, or delete or pin that backup"


@dataclass(frozen=True, slots=True)
class ClockDoubts:
    """Why times are not believed. `is_clock_wrong`: they contradict the clock itself, and no option overrules that."""

    sentences: tuple[str, ...] = ()
    is_clock_wrong: bool = False


def assess_clock(
    ordered: Sequence[RetentionBackup], now: datetime, *, trusts_gaps: bool = False
) -> ClockDoubts:  # fmt: skip
    """Judge the times of good backups that are not pinned; `ordered` is newest first, `now` is UTC."""
    looked_at = [each for each in ordered if not (each.problem or each.is_pinned)]
    wrong = tuple(text for each in looked_at if (text := _contradiction(each, now)))
    if wrong:
        return ClockDoubts(wrong, is_clock_wrong=True)
    silence = None if trusts_gaps else _absurd_silence(looked_at, now)
    return ClockDoubts((silence,) if silence else ())


def _contradiction(backup: RetentionBackup, now: datetime) -> str:
    newest = max(backup.began_at, backup.ended_at or backup.began_at)
    if newest > now + TOLERANCE:
        ahead = format_duration((newest - now).total_seconds())
        return f"{backup.backup_id} is dated {_show(newest)}, {ahead} after now ({_show(now)}): {_CURE}"
    if backup.ended_at is not None and backup.ended_at + TOLERANCE < backup.began_at:
        back = format_duration((backup.began_at - backup.ended_at).total_seconds())
        return f"{backup.backup_id} ended {back} before it began, the clock was set back meanwhile: pin or delete it"
    return ""


def _absurd_silence(ordered: Sequence[RetentionBackup], now: datetime) -> str:
    if not ordered:
        return ""
    newest = ordered[0]
    usual = find_rhythm([each.began_at for each in ordered])
    if usual is not None and _is_absurd(now - newest.began_at, usual):
        return (
            f"the newest good backup, {newest.backup_id}, is {_length(now - newest.began_at)} old, and they came every "
            f"{_length(usual)}: either backups have stopped or the clock jumped; take a backup, or if all that is "
            "right say --trust-clock"
        )
    earlier = find_rhythm([each.began_at for each in ordered[1:]])
    if earlier is not None and _is_absurd(newest.began_at - ordered[1].began_at, earlier):
        return (
            f"{newest.backup_id} came {_length(newest.began_at - ordered[1].began_at)} after {ordered[1].backup_id}, "
            f"and they came every {_length(earlier)} before: the clock may have jumped; if that gap is right say "
            "--trust-clock"
        )
    return ""


def find_rhythm(moments: Sequence[datetime]) -> timedelta | None:
    """Return how far backups lie apart, the median of the last ten; None with too few. `moments` is newest first."""
    gaps = [(after - before).total_seconds() for after, before in pairwise(moments[: _LOOKED_AT + 1])]
    return timedelta(seconds=median(gaps)) if len(gaps) >= _FEWEST_GAPS else None


def _is_absurd(gap: timedelta, usual: timedelta) -> bool:
    return gap > max(usual * ABSURD_TIMES, ABSURD_AT_LEAST)


def _length(span: timedelta) -> str:
    return format_duration(span.total_seconds())


def _show(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
