"""What a repository's own words amount to, and whether its write-ahead log is whole. Times are UTC."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from dbtui.errors import UsageError
from dbtui.model.findings import FindingLevel
from dbtui.model.repositories import (
    LATEST,
    BackupKind,
    Repository,
    RepositoryBackup,
    RepositoryConcern,
    RepositoryFinding,
    RepositoryKind,
    RepositoryReport,
    WalArchive,
)
from dbtui.model.text import format_duration, format_untrusted

#: Whoever makes none for so long has most likely lost its schedule: a week and a day, five weeks.
OLD_BACKUP = timedelta(days=8)
OLD_FULL = timedelta(days=35)
#: A server with archive_timeout, and most busy ones, send a segment far more often.
LATE_WAL = timedelta(hours=1)
OLD_WAL = timedelta(hours=24)
#: How many finished segments may be on their way.
WAITING_SEGMENTS = 4
#: What the codes of `pgbackrest info` mean (info.c), and what there is to do.
_STATUS = {
    1: "there is no such stanza in the repository, or it cannot be seen: compare the stanza's name and repo1-path, "
    "and run pgbackrest stanza-create for a new one",
    2: "it holds no whole backup yet: run pgbackrest backup",
    3: "the stanza's data is missing in the repository: run pgbackrest stanza-create",
    4: "not all of its repositories are well",
    5: "the repositories do not belong to the same database cluster: run pgbackrest stanza-upgrade or mend repo-path",
    6: "the backup that was asked for is not in it",
    99: "it cannot be read",
}
_SEGMENT_DIGITS = 24


def assess_repository(report: RepositoryReport, now: datetime) -> tuple[RepositoryFinding, ...]:
    """Return what there is to say of a repository, trouble first."""
    if report.problem:
        return (RepositoryFinding(RepositoryConcern.UNREACHABLE, FindingLevel.TROUBLE, report.problem),)
    found = [*_status(report), *_backups(report, now), *_wal(report, now)]
    if report.is_running:
        words = "a backup is being made or expired there now"
        found.append(RepositoryFinding(RepositoryConcern.RUNNING, FindingLevel.REMARK, words))
    return tuple(sorted(found, key=lambda each: each.level is not FindingLevel.TROUBLE))


def _trouble(kind: RepositoryConcern, words: str) -> RepositoryFinding:
    return RepositoryFinding(kind, FindingLevel.TROUBLE, words)


def _remark(kind: RepositoryConcern, words: str) -> RepositoryFinding:
    return RepositoryFinding(kind, FindingLevel.REMARK, words)


def _status(report: RepositoryReport) -> Iterator[RepositoryFinding]:
    for check in report.checks:
        if not check.is_passed:
            words = f"barman check: {check.name}: FAILED{f': {check.hint}' if check.hint else ''}"
            yield _trouble(RepositoryConcern.STATUS, words)
    if report.status_code and not report.checks:
        words = _STATUS.get(report.status_code, "")
        said = report.status_text or f"status {report.status_code}"
        yield _trouble(RepositoryConcern.STATUS, f"{said}: {words}" if words else said)


def _backups(report: RepositoryReport, now: datetime) -> Iterator[RepositoryFinding]:
    whole = [each for each in report.backups if each.is_usable]
    if not whole:
        if not report.status_code:
            yield _trouble(RepositoryConcern.NO_BACKUP, "it holds no backup that could be restored")
    elif now - whole[0].at > OLD_BACKUP:
        yield _trouble(RepositoryConcern.OLD_BACKUP, f"the newest backup is {_age(whole[0].at, now)} old")
    else:
        full = next((each for each in whole if each.kind is BackupKind.FULL), None)
        if full is not None and now - full.at > OLD_FULL:
            words = f"the newest full backup is {_age(full.at, now)} old, and all later ones need it"
            yield _remark(RepositoryConcern.OLD_FULL, words)
    for each in report.backups:
        if each.problem:
            kind, words = RepositoryConcern.FAILED_BACKUP, f"{each.label}: {each.problem}"
            yield _trouble(kind, words) if each is report.backups[0] or each.is_usable else _remark(kind, words)


def _wal(report: RepositoryReport, now: datetime) -> Iterator[RepositoryFinding]:
    if not report.backups:
        return
    newest = report.archives[-1] if report.archives else WalArchive()
    if not newest.last:
        yield _trouble(RepositoryConcern.NO_WAL, "it holds no WAL: no backup in it can be made consistent")
        return
    if newest.last_at is not None and now - newest.last_at > LATE_WAL:
        words = (
            f"the last WAL segment came {_age(newest.last_at, now)} ago ({newest.last}): what was written since is "
            "not in it; either nothing was, or archiving stands still"
        )
        is_old = now - newest.last_at > OLD_WAL
        yield _trouble(RepositoryConcern.OLD_WAL, words) if is_old else _remark(RepositoryConcern.OLD_WAL, words)
    behind = segments_between(newest.last, newest.current)
    if behind is not None and behind > WAITING_SEGMENTS:
        words = f"{behind} finished WAL segments of the server are not in it: the last one is {newest.last}"
        yield _trouble(RepositoryConcern.OLD_WAL, words)


def _age(moment: datetime, now: datetime) -> str:
    return format_duration((now - moment).total_seconds())


# ---------------------------------------------------------------- segments of the write-ahead log


def segments_between(last: str, current: str) -> int | None:
    """Return how many segments of 16 MiB are finished between two, both left out; None: that cannot be told."""
    if len(last) != _SEGMENT_DIGITS or len(current) != _SEGMENT_DIGITS or last[:8] != current[:8]:
        return None
    try:
        first, second = (int(name[8:16], 16) * 256 + int(name[16:], 16) for name in (last, current))
    except ValueError:
        return None
    return max(0, second - first - 1)


def assess_segments(backup: RepositoryBackup, segments: Sequence[str]) -> tuple[str, ...]:
    """Return what is wrong with the WAL from a backup on, in sentences. `segments` are names in order.

    Without those between its first and last the backup cannot be restored at all; without a later one it can be
    restored, but not to any time after that one. A segment is followed by the next number, the last one of its log
    file by the first one of the next; how many there are depends on the cluster's wal_segment_size.
    """
    problems = []
    names = set(segments)
    for name in dict.fromkeys((backup.wal_start, backup.wal_stop)):
        if name and name not in names:
            problems.append(f"the WAL segment {name} is missing, which the backup needs: it cannot be restored")
    highest = max((int(name[16:], 16) for name in segments), default=0)
    for before, after in pairwise(segments):
        if before[:8] == after[:8] and not _follows(before, after, highest):
            is_own = bool(backup.wal_stop) and after <= backup.wal_stop
            lost = "the backup cannot be restored" if is_own else "nothing after that can be recovered from it"
            problems.append(f"WAL is missing between {before} and {after}: {lost}")
    return tuple(problems)


def describe_segments(segments: Sequence[str]) -> str:
    """Return what was looked at when no segment is missing. `segments` is not empty."""
    count = f"{len(segments)} segment{'' if len(segments) == 1 else 's'}"
    return f"that the WAL has no gap: {count}, {segments[0]} to {segments[-1]}"


def _follows(before: str, after: str, highest: int) -> bool:
    log, number = int(before[8:16], 16), int(before[16:], 16)
    next_log, next_number = int(after[8:16], 16), int(after[16:], 16)
    if log == next_log:
        return next_number == number + 1
    return next_log == log + 1 and next_number == 0 and number == highest


# ---------------------------------------------------------------- references


def parse_reference(text: str) -> tuple[RepositoryKind, str, str] | None:
    """Return what pgbackrest:main/20261123-093000F means: kind, name, label; None: it is no reference.

    Without a label, or with `latest`, the newest backup is meant.
    """
    word, colon, rest = text.partition(":")
    if not colon or word not in tuple(RepositoryKind):
        return None
    name, _, label = rest.partition("/")
    return RepositoryKind(word), name, label or LATEST


def choose_repository(
    kind: RepositoryKind, name: str, known: Iterable[Repository], reference: str
) -> Repository:  # fmt: skip
    """Return the repository of a reference, with the settings of the profile that has it. Raises UsageError."""
    shown = format_untrusted(reference)
    if not name or name.startswith("-") or "/" in name:
        raise UsageError(f"{shown!r} names no repository", f"write {kind.value}:NAME/BACKUP")
    return next(
        (each for each in known if (each.kind, each.name) == (kind, name)),
        Repository(kind, name),
    )


def choose_backup(report: RepositoryReport, label: str, target_time: datetime | None = None) -> RepositoryBackup:
    """Return the backup of a label; `latest` is the newest that can be restored, before `target_time` where given.

    The beginning of a label will do when only one has it. Raises UsageError.
    """
    if label == LATEST:
        usable = [each for each in report.backups if each.is_usable]
        fitting = [each for each in usable if target_time is None or each.at <= target_time]
        if not fitting:
            when = f" that ended before {target_time:%Y-%m-%d %H:%M:%S} UTC" if target_time and usable else ""
            raise UsageError(f"{report.name} holds no backup{when} that could be restored", "see dbtui backup list")
        return fitting[0]
    exact = [each for each in report.backups if each.label == label]
    found = exact or [each for each in report.backups if each.label.startswith(label)]
    if len(found) == 1:
        return found[0]
    shown = format_untrusted(label)
    if found:
        names = ", ".join(each.label for each in found[:4])
        raise UsageError(f"{report.name}: several backups begin with {shown!r}: {names}", "write more of it")
    raise UsageError(f"{report.name} holds no backup {shown!r}", "see dbtui backup list")


def with_findings(report: RepositoryReport, now: datetime) -> RepositoryReport:
    """Return the report with what there is to say of it."""
    return replace(report, findings=assess_repository(report, now))
