"""What a repository's words amount to, gaps in its WAL, references to its backups, and what a restore refuses."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dbtui.analysis.repositories import (
    assess_repository,
    assess_segments,
    choose_backup,
    choose_repository,
    parse_reference,
    segments_between,
)
from dbtui.analysis.repository_restores import finish_plan, parse_target_time, place_tablespaces
from dbtui.analysis.repository_words import describe_soundness
from dbtui.errors import UsageError
from dbtui.model.findings import FindingLevel
from dbtui.model.repositories import (
    BackupKind,
    DirectoryFacts,
    Repository,
    RepositoryBackup,
    RepositoryCheck,
    RepositoryDetail,
    RepositoryKind,
    RepositoryProof,
    RepositoryReport,
    RepositoryRestoreOptions,
    RestoreFromRepositoryPlan,
    Tablespace,
    WalArchive,
)

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
MAIN = Repository(RepositoryKind.PGBACKREST, "main")


def made(label: str, age: timedelta, kind: BackupKind = BackupKind.FULL, **others: object) -> RepositoryBackup:
    """A backup that ended `age` ago."""
    values = {"wal_start": "000000010000000000000002", "wal_stop": "000000010000000000000003", "database_bytes": 1000}
    return RepositoryBackup(
        repository="pgbackrest:main", label=label, kind=kind, ended_at=NOW - age, **{**values, **others}  # type: ignore[arg-type]
    )  # fmt: skip


FRESH = made("20261123-090000F", timedelta(hours=1))


def report(*backups: RepositoryBackup, wal_age: timedelta = timedelta(minutes=5), **others: object) -> RepositoryReport:
    """A report of those backups, whose last WAL came `wal_age` ago."""
    wal = WalArchive(archive="15-1", first="0" * 23 + "1", last="0" * 23 + "9", last_at=NOW - wal_age)
    values: dict[str, object] = {"archives": (wal,), **others}
    return RepositoryReport(repository=MAIN, taken_at=NOW, backups=backups, **values)  # type: ignore[arg-type]


def found(of: RepositoryReport) -> list[tuple[str, str]]:
    """What is said of it: kind and level."""
    return [(each.kind.value, each.level.value) for each in assess_repository(of, NOW)]


def test_a_repository_that_is_well_says_nothing() -> None:
    assert found(report(FRESH)) == []


def test_what_is_wrong_with_a_repository() -> None:
    assert found(report()) == [("no_backup", "trouble")]
    assert found(report(problem="gone")) == [("unreachable", "trouble")]
    assert found(report(made("old", timedelta(days=9)))) == [("old_backup", "trouble")]
    incr = made("incr", timedelta(hours=1), BackupKind.INCR)
    assert found(report(incr, made("old", timedelta(days=40)))) == [("old_full", "remark")]
    assert found(report(FRESH, wal_age=timedelta(hours=2))) == [("old_wal", "remark")]
    assert found(report(FRESH, wal_age=timedelta(hours=25))) == [("old_wal", "trouble")]
    assert found(report(FRESH, archives=())) == [("no_wal", "trouble")]
    behind = WalArchive(last="000000010000000000000008", current="000000010000000000000010")
    assert found(report(FRESH, archives=(behind,))) == [("old_wal", "trouble")]
    assert found(report(FRESH, is_running=True)) == [("running", "remark")]
    failed = made("failed", timedelta(minutes=1), is_usable=False, problem="barman calls it FAILED")
    assert found(report(failed, FRESH)) == [("failed_backup", "trouble")]
    assert found(report(FRESH, replace(failed, ended_at=NOW - timedelta(days=1)))) == [("failed_backup", "remark")]
    checks = (RepositoryCheck("wal level", True), RepositoryCheck("receive wal running", False, "see the log"))
    (said,) = assess_repository(report(FRESH, checks=checks, status_code=1), NOW)
    assert (said.level, said.words) == (FindingLevel.TROUBLE, "barman check: receive wal running: FAILED: see the log")


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5, 6, 99, 1234])
def test_every_status_is_a_sentence(code: int) -> None:
    said = assess_repository(report(status_code=code, status_text="words of its own"), NOW)[0]
    assert said.words.startswith("words of its own")
    assert (code == 1234) is (said.words == "words of its own")


def segments(*numbers: int, log: int = 0, timeline: int = 1) -> tuple[str, ...]:
    """The names of WAL segments."""
    return tuple(f"{timeline:08X}{log:08X}{number:08X}" for number in numbers)


def test_gaps_in_the_log() -> None:
    assert assess_segments(FRESH, segments(2, 3, 4, 5)) == ()
    (lost,) = assess_segments(FRESH, segments(2, 3, 5))
    assert lost.endswith("nothing after that can be recovered from it")
    assert "cannot be restored" in assess_segments(FRESH, segments(3, 4))[0]
    assert "cannot be restored" in assess_segments(FRESH, ())[0]
    long = replace(FRESH, wal_stop=segments(6)[0])
    assert assess_segments(long, segments(2, 3, 5, 6)) == (
        f"WAL is missing between {segments(3)[0]} and {segments(5)[0]}: the backup cannot be restored",
    )


def test_the_last_segment_of_a_log_file_is_followed_by_the_next_file() -> None:
    start = replace(FRESH, wal_start=segments(0xFE)[0], wal_stop=segments(0xFF)[0])
    assert assess_segments(start, (*segments(0xFE, 0xFF), *segments(0, 1, log=1))) == ()
    wide = replace(FRESH, wal_start=segments(0x3E)[0], wal_stop=segments(0x3F)[0])  # of 64 MiB
    assert assess_segments(wide, (*segments(0x3E, 0x3F), *segments(0, log=1))) == ()
    assert len(assess_segments(start, (*segments(0xFE, 0xFF), *segments(1, log=1)))) == 1
    assert assess_segments(FRESH, (*segments(2, 3), *segments(3, 4, timeline=2))) == ()
    assert segments_between(segments(0xFE)[0], segments(2, log=1)[0]) == 3
    assert segments_between("x", segments(2)[0]) is None
    assert segments_between("z" * 24, "z" * 24) is None


def test_references() -> None:
    assert parse_reference("pgbackrest:main/x") == (RepositoryKind.PGBACKREST, "main", "x")
    assert parse_reference("barman:main") == (RepositoryKind.BARMAN, "main", "latest")
    for text in ("latest:erp", "erp-20261122T150000Z", "s3://barman/x", "barman", "/srv/barman:x"):
        assert parse_reference(text) is None
    known = Repository(RepositoryKind.BARMAN, "main", "/etc/b.conf", ("sudo", "-u", "barman"))
    assert choose_repository(RepositoryKind.BARMAN, "main", (MAIN, known), "barman:main") == known
    assert choose_repository(RepositoryKind.BARMAN, "other", (known,), "barman:other").run_as == ()
    for name in ("", "--config=x"):
        with pytest.raises(UsageError):
            choose_repository(RepositoryKind.BARMAN, name, (), "barman:")


def test_which_backup_is_meant() -> None:
    older = made("20261122-090000F", timedelta(days=1))
    failed = made("20261123-095000F", timedelta(minutes=1), is_usable=False)
    of = report(failed, FRESH, older)
    assert choose_backup(of, "latest") == FRESH
    assert choose_backup(of, "latest", NOW - timedelta(hours=2)) == older
    assert choose_backup(of, "20261122") == older
    for label in ("202611", "nothing"):
        with pytest.raises(UsageError):
            choose_backup(of, label)
    with pytest.raises(UsageError, match="that ended before"):
        choose_backup(of, "latest", NOW - timedelta(days=9))


def test_times_to_restore_to() -> None:
    assert parse_target_time("2026-11-23 10:24:00+01:00") == datetime(2026, 11, 23, 9, 24, tzinfo=UTC)
    assert parse_target_time("2026-11-23T09:24:00Z") == datetime(2026, 11, 23, 9, 24, tzinfo=UTC)


NEW = DirectoryFacts(path="/srv/new", free_bytes=10_000)
FILLED = replace(NEW, exists=True, entries=20, cluster_version="15", owner="postgres")


def refusals(
    facts: DirectoryFacts = NEW,
    backup: RepositoryBackup = FRESH,
    *,
    of: RepositoryReport | None = None,
    kind: RepositoryKind = RepositoryKind.PGBACKREST,
    wal: tuple[str, ...] = (),
    **options: object,
) -> str:
    """What a restore would be refused for."""
    plan = RestoreFromRepositoryPlan(
        repository=Repository(kind, "main"),
        backup=backup,
        options=RepositoryRestoreOptions(directory=facts.path, **options),  # type: ignore[arg-type]
        command=("pgbackrest",),
        needed_bytes=backup.database_bytes,
        free_bytes=facts.free_bytes,
    )
    done = finish_plan(plan, of or report(backup), facts, wal, ("", ""))
    assert done.confirm_name == facts.path
    return "; ".join(done.refusals)


def test_what_a_restore_refuses() -> None:
    assert refusals() == ""
    assert refusals(replace(NEW, exists=True)) == ""
    assert "is not empty (20 entries)" in refusals(FILLED)
    assert refusals(FILLED, replaces=True) == ""
    assert refusals(FILLED, is_delta=True) == ""
    assert "only pgBackRest" in refusals(FILLED, kind=RepositoryKind.BARMAN, is_delta=True)
    running = replace(FILLED, server_pid="4711", server_lives=True)
    for said in (refusals(running), refusals(running, replaces=True), refusals(running, is_delta=True)):
        assert "a server runs in /srv/new (process 4711)" in said
    assert "postmaster.pid" in refusals(replace(FILLED, server_pid="4711"), is_delta=True)
    assert refusals(replace(FILLED, server_pid="4711"), replaces=True) == ""
    assert "no database cluster" in refusals(replace(FILLED, cluster_version=""), replaces=True)
    assert "mount point" in refusals(replace(FILLED, is_mount=True), replaces=True)
    assert "symbolic link" in refusals(replace(FILLED, is_symlink=True), replaces=True)
    assert "cannot be seen" in refusals(replace(FILLED, is_readable=False))
    assert "not a directory" in refusals(replace(NEW, exists=True, is_directory=False))
    assert "does not exist; make it first" in refusals(replace(NEW, parent_exists=False))
    assert "there is no room: it needs 1.0 kB and 999 B are free" in refusals(replace(NEW, free_bytes=999))
    assert "/srv/new.tablespaces/cold exists" in refusals(replace(NEW, taken=("/srv/new.tablespaces/cold",)))
    assert "needs 20261101-000000F, which is not in the" in refusals(backup=replace(FRESH, needs=("20261101-000000F",)))
    assert "cannot be restored" in refusals(backup=replace(FRESH, is_usable=False, problem="barman calls it FAILED"))
    assert "is missing" in refusals(
        wal=("the WAL segment X is missing, which the backup needs: it cannot be restored",)
    )
    assert refusals(wal=("WAL is missing between A and B: nothing after that can be recovered from it",)) == ""


def test_tablespaces_never_go_where_a_live_server_has_them() -> None:
    detail = RepositoryDetail(backup=FRESH, tablespaces=(Tablespace("cold", "/live/cold", 16384),))
    options = RepositoryRestoreOptions(directory="/srv/new")
    assert place_tablespaces(detail, options, NEW, NOW)[0][1] == "/srv/new.tablespaces/cold"
    assert place_tablespaces(detail, options, FILLED, NOW)[0][1] == "/srv/new.tablespaces-20261123T100000Z/cold"
    delta = replace(options, is_delta=True)
    own = replace(FILLED, tablespaces=(Tablespace("", "/srv/new.tablespaces/cold", 16384),))
    assert place_tablespaces(detail, delta, own, NOW)[0][1] == "/srv/new.tablespaces/cold"
    assert place_tablespaces(detail, delta, FILLED, NOW)[0][1] == ""


def test_times_that_a_restore_refuses() -> None:
    assert refusals(target_time=NOW - timedelta(minutes=10)) == ""
    assert "in the future" in refusals(target_time=NOW + timedelta(minutes=1))
    older = made("20261122-090000F", timedelta(days=1))
    early = refusals(of=report(FRESH, older), target_time=NOW - timedelta(hours=2))
    assert "cannot be rolled back; use pgbackrest:main/20261122-090000F" in early


def test_what_is_known_of_a_backup_in_words() -> None:
    good = RepositoryProof(kind="restored", verified_at="2026-11-23T08:00:00Z", seconds=41.0)
    assert describe_soundness(FRESH, NOW) == "○ not proven"
    assert describe_soundness(replace(FRESH, proof=good), NOW) == "● restored and read, 2 h ago, 41 s"
    bad = replace(good, problems=("gone",))
    assert describe_soundness(replace(FRESH, proof=bad), NOW) == "✖ failed its verification, 2 h ago"
    assert describe_soundness(replace(FRESH, is_usable=False, problem="barman calls it FAILED"), NOW).startswith("✖")
    assert describe_soundness(replace(FRESH, problem="odd"), NOW) == "▲ odd"
