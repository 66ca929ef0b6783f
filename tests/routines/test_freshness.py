"""Backups elsewhere vouch for a profile, too: copies in a remote, physical ones in a repository."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from dbtui.adapters.driving import exhaust
from dbtui.config import parse_url
from dbtui.model.backups import BackupEntry, EntryKind
from dbtui.model.connections import EngineName
from dbtui.model.freshness import BackupFreshness
from dbtui.routines.backups.freshness import collect_freshness
from dbtui.routines.context import RoutineContext

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ERP = replace(parse_url("postgresql://erp@db1/erp"), name="erp", max_backup_age_seconds=86400.0)
AWAY = BackupEntry(
    backup_id="erp-1",
    kind=EntryKind.COMPLETE,
    directory="",
    data_path="",
    profile="erp",
    database="erp",
    engine=EngineName.POSTGRESQL,
    began_at=NOW - timedelta(hours=3),
    remote="s3://backups/erp",
)


def fresh(*entries: BackupEntry, physical: datetime | None = None) -> BackupFreshness:
    context = RoutineContext(now=lambda: NOW)
    (found,) = exhaust(collect_freshness(context, [ERP], entries, {"erp": physical} if physical else None))
    return found


def test_a_copy_in_a_remote_counts() -> None:
    assert fresh().is_overdue
    found = fresh(AWAY)
    assert (found.is_overdue, found.newest_id, found.age_seconds) == (False, "erp-1", 3 * 3600.0)


def test_what_is_not_a_good_one_of_this_profile_does_not() -> None:
    for other in ({"profile": "shop"}, {"database": "shop"}, {"failed_at": "2026-11-23T10:00:00+00:00"},
                  {"kind": EntryKind.BROKEN}, {"engine": EngineName.MYSQL}):  # fmt: skip
        assert fresh(replace(AWAY, **other)).newest_id == ""


def test_a_physical_backup_counts() -> None:
    assert not fresh(physical=NOW - timedelta(hours=1)).is_overdue
    assert fresh(AWAY, physical=NOW - timedelta(hours=9)).newest_id == "erp-1"
    assert fresh(replace(AWAY, began_at=NOW - timedelta(days=9)), physical=NOW - timedelta(days=2)).is_overdue
