"""What survives when: a year of backups under a policy, played through day by day."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from dbtui.analysis.backups.clock_doubts import find_rhythm
from dbtui.analysis.backups.retention import choose_kept, counts
from dbtui.model.policies import RetentionPolicy
from dbtui.model.retention import RetentionBackup, RetentionGroup, Survival, SurvivalPoint, Survivor

DAYS = 365
_DAY = timedelta(days=1)
_MOST_A_DAY = 48
_MARKS = ((7, "1 week"), (30, "1 month"), (91, "3 months"), (182, "6 months"), (273, "9 months"), (365, "1 year"))


def simulate(group: RetentionGroup, now: datetime) -> Survival | None:
    """Return what there is in a year of going on as lately; None where no policy was given. `now` is UTC.

    The policy is applied once a day, new backups are as large as the last one and as well proven as the policy asks.
    """
    policy = group.policy
    if policy is None or not group.verdicts:
        return None
    before = [verdict.backup for verdict in group.verdicts]
    good = [each.began_at for each in before if not each.problem]
    rhythm = find_rhythm(good)
    every = max(rhythm or _DAY, _DAY / _MOST_A_DAY)
    kept = list(group.kept)
    points = [_point("today", now, before), _point("expired", now, kept)]
    leaves: dict[str, datetime | None] = {each.backup_id: now for each in group.removed}
    to_come = _backups_to_come(before, every, now, policy)
    marks = dict(_MARKS)
    coming = next(to_come)
    for day in range(1, DAYS + 1):
        moment = now + day * _DAY
        while coming.began_at <= moment:
            kept.insert(0, coming)
            coming = next(to_come)
        stays = choose_kept(kept, policy)
        leaves.update({each.backup_id: moment for each in kept if each.backup_id not in stays})
        kept = [each for each in kept if each.backup_id in stays]
        if day in marks:
            points.append(_point(marks[day], moment, kept))
    return Survival(scope=group.scope, every_seconds=every.total_seconds(), is_rhythm_known=rhythm is not None,
                    points=tuple(points),
                    leaves=tuple((each.backup_id, leaves.get(each.backup_id)) for each in before))  # fmt: skip


def _backups_to_come(
    before: Sequence[RetentionBackup], every: timedelta, now: datetime, policy: RetentionPolicy
) -> Iterator[RetentionBackup]:
    pattern = next((each for each in before if counts(each, policy)), before[0])
    newest = min(before[0].began_at, now)
    step = max(1, -((newest - now) // every))  # the first one after now
    while True:
        yield replace(pattern, backup_id=f" {step}", began_at=newest + step * every, ended_at=None, is_pinned=False,
                      problem="", proof=policy.counts.value)  # fmt: skip
        step += 1


def _point(label: str, at: datetime, backups: Sequence[RetentionBackup]) -> SurvivalPoint:
    return SurvivalPoint(label, at, tuple(
        Survivor(each.began_at, each.size_bytes, "" if each.backup_id.startswith(" ") else each.backup_id)
        for each in backups
    ))  # fmt: skip


def draw_strip(point: SurvivalPoint, begins: datetime, ends: datetime, width: int) -> str:
    """Return a point as cells from `begins` to `ends`.

    A digit counts the backups of today that lie there (`+`: ten and more), `·` marks those still to come.
    """
    today = [0] * width
    coming = [False] * width
    span = max((ends - begins).total_seconds(), 1.0)
    for each in point.survivors:
        place = int((each.began_at - begins).total_seconds() / span * width)
        place = min(max(place, 0), width - 1)
        if each.backup_id:
            today[place] += 1
        else:
            coming[place] = True
    return "".join(_cell(count, later) for count, later in zip(today, coming, strict=True))


def _cell(count: int, is_coming: bool) -> str:
    if count:
        return str(count) if count < 10 else "+"
    return "·" if is_coming else " "


def strip_bounds(survival: Survival) -> tuple[datetime, datetime]:
    """Return where strips begin and end: at the oldest backup, and at the last point."""
    oldest = min(each.began_at for point in survival.points for each in point.survivors)
    return oldest, survival.points[-1].at
