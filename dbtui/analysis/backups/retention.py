"""Retention as a plan: which backups take one of the places that a policy keeps, and which go.

Grandfather, father, son: the newest backup of each of the last so many days, weeks, months and years that have one.
Periods without a backup take no place, so that backups which stop are never aged away.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import pairwise

from dbtui.analysis.backups.clock_doubts import ClockDoubts, assess_clock
from dbtui.analysis.backups.compare import SUSPICIOUS_SHARE
from dbtui.analysis.partitions.calendar import open_zone
from dbtui.model.connections import ConnectionProfile
from dbtui.model.policies import CountedProof, RetentionPolicy
from dbtui.model.retention import RetentionBackup, RetentionGroup, RetentionScope, Verdict

Policies = Callable[[RetentionBackup], RetentionPolicy | None]
_NO_POLICY = "no policy says how many to keep"
_PERIODS: tuple[tuple[str, Callable[[datetime], str]], ...] = (
    ("daily", lambda local: f"{local:%Y-%m-%d}"),
    ("weekly", lambda local: f"{local:%G-W%V}"),
    ("monthly", lambda local: f"{local:%Y-%m}"),
    ("yearly", lambda local: f"{local:%Y}"),
)


def choose_policies(profiles: Iterable[ConnectionProfile], otherwise: RetentionPolicy | None) -> Policies:
    """Return the policies that are configured: each backup's is `keep` of the profile it was made with.

    `otherwise` is for backups whose profile is not known any more.
    """
    known = {profile.name: profile.keep for profile in profiles}
    return lambda backup: known.get(backup.profile, otherwise)


def plan_retention(
    backups: Iterable[RetentionBackup], policy_of: Policies, now: datetime, *, trusts_gaps: bool = False
) -> tuple[RetentionGroup, ...]:
    """Return the verdicts on backups, scope by scope and each directory by itself. `now` is UTC.

    `trusts_gaps`: long silences are real ones. Raises UsageError for a time zone that is none.
    """
    scopes: dict[tuple[RetentionScope, str], list[RetentionBackup]] = {}
    for backup in backups:
        scopes.setdefault((backup.scope, backup.directory), []).append(backup)
    return tuple(
        plan_group(scope, found, policy_of(max(found, key=_order)), now, trusts_gaps=trusts_gaps)
        for (scope, _directory), found in sorted(scopes.items())
    )


def plan_group(
    scope: RetentionScope,
    backups: Sequence[RetentionBackup],
    policy: RetentionPolicy | None,
    now: datetime,
    *,
    trusts_gaps: bool = False,
) -> RetentionGroup:
    """Return the verdicts on the backups of one scope in one directory.

    A silence is a warning where nothing would be removed anyway. Raises UsageError for a time zone that is none.
    """
    ordered = sorted(backups, key=_order, reverse=True)
    if policy is None or policy.is_empty:
        stays = tuple(Verdict(each, True, (_NO_POLICY,)) for each in ordered)
        return RetentionGroup(scope=scope, policy=None, verdicts=stays)
    reasons = choose_kept(ordered, policy)
    doubts = assess_clock(ordered, now, trusts_gaps=trusts_gaps)
    warnings = tuple(_warn(ordered, policy))
    if doubts.sentences and not doubts.is_clock_wrong and len(reasons) == len(ordered):
        warnings, doubts = (*warnings, *doubts.sentences), ClockDoubts()
    if doubts.sentences:
        refused = "refused: see above why nothing is removed"
        verdicts = tuple(Verdict(each, True, reasons.get(each.backup_id) or (refused,)) for each in ordered)
    else:
        verdicts = tuple(_judge(each, reasons, policy) for each in ordered)
    return RetentionGroup(scope=scope, policy=policy, verdicts=verdicts, refusals=doubts.sentences,
                          warnings=warnings, is_clock_wrong=doubts.is_clock_wrong)  # fmt: skip


def _order(backup: RetentionBackup) -> tuple[datetime, str]:
    return backup.began_at, backup.backup_id


def _judge(backup: RetentionBackup, reasons: dict[str, tuple[str, ...]], policy: RetentionPolicy) -> Verdict:
    kept = reasons.get(backup.backup_id, ())
    if kept:
        return Verdict(backup, True, kept)
    return Verdict(backup, False, ("no place left" if counts(backup, policy) else f"not {_wanted(policy)}",))


def _wanted(policy: RetentionPolicy) -> str:
    return {CountedProof.RESTORED: "proven by a restore", CountedProof.CHECKSUMS: "verified"}.get(policy.counts, "good")


def counts(backup: RetentionBackup, policy: RetentionPolicy) -> bool:
    """Whether a backup may take a place: it is good, proven as far as the policy asks, and not pinned anyway."""
    if backup.problem or backup.is_pinned:
        return False
    if policy.counts is CountedProof.RESTORED:
        return backup.proof == CountedProof.RESTORED
    return policy.counts is CountedProof.COMPLETE or backup.proof is not None


def choose_kept(ordered: Sequence[RetentionBackup], policy: RetentionPolicy) -> dict[str, tuple[str, ...]]:
    """Return why each backup that stays does so, by id. `ordered` is newest first, of one scope."""
    reasons: dict[str, tuple[str, ...]] = {}

    def keep(backup: RetentionBackup, why: str) -> None:
        reasons[backup.backup_id] = (*reasons.get(backup.backup_id, ()), why)

    counted = [each for each in ordered if counts(each, policy)]
    for place, backup in enumerate(counted[: policy.last], 1):
        keep(backup, f"last {place} of {policy.last}")
    for backup, why in _newest_of_periods(counted, policy):
        keep(backup, why)
    for backup in ordered:
        if backup.is_pinned:
            keep(backup, "pinned")
        if backup.problem:
            keep(backup, f"left alone: {backup.problem}")
        elif not counted:
            keep(backup, f"no backup is {_wanted(policy)}")
        elif _order(backup) >= _order(counted[0]) and backup.backup_id not in reasons:
            keep(backup, f"not {_wanted(policy)} yet" if backup is not counted[0] else "the newest good one")
    for before, after in _suspicious_pairs(ordered):
        if after.backup_id in reasons and before.backup_id not in reasons:
            keep(before, f"the last one before {after.backup_id} became much smaller")
    return reasons


def _newest_of_periods(
    counted: Sequence[RetentionBackup], policy: RetentionPolicy
) -> Iterable[tuple[RetentionBackup, str]]:
    zone = open_zone(policy.time_zone)
    locals_of = [(backup, backup.began_at.astimezone(zone)) for backup in counted]
    for name, key_of in _PERIODS:
        wanted: int = getattr(policy, name)
        seen: set[str] = set()
        for backup, local in locals_of:
            if len(seen) >= wanted:
                break
            key = key_of(local)
            if key not in seen:
                seen.add(key)
                yield backup, f"{name} {key}"


def _suspicious_pairs(ordered: Sequence[RetentionBackup]) -> Iterable[tuple[RetentionBackup, RetentionBackup]]:
    """Neighbours in time of one packing of which the later one lost half or more; the later one first in `ordered`."""
    packings: dict[str, list[RetentionBackup]] = {}
    for backup in ordered:
        if not backup.problem:
            packings.setdefault(backup.packing, []).append(backup)
    for found in packings.values():
        for after, before in pairwise(found):
            if after.size_bytes < before.size_bytes * SUSPICIOUS_SHARE:
                yield before, after


def _warn(ordered: Sequence[RetentionBackup], policy: RetentionPolicy) -> Iterable[str]:
    for before, after in _suspicious_pairs(ordered):
        share = 1 - after.size_bytes / before.size_bytes
        yield f"{after.backup_id} is {share * 100:.0f} % smaller than {before.backup_id} before it: look inside"
    if ordered and not any(counts(each, policy) or each.is_pinned for each in ordered):
        yield f"no backup of {ordered[0].scope.database} is {_wanted(policy)}: nothing is removed"
