"""Where backups lie: one row for one backup, wherever its copies are."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dbtui.analysis.backups.places import (
    are_mixed,
    describe_places,
    fingerprint_files,
    is_of_origin,
    label_remotes,
    merge_places,
)
from dbtui.model.backups import BackupEntry, EntryKind
from dbtui.model.connections import EngineName
from dbtui.model.shipping import BackupOrigin

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
S3, VAULT = "s3://backups/erp", "sftp://vault/srv/backups"


def row(name: str, remote: str = "", **fields: Any) -> BackupEntry:
    values = {"backup_id": name, "kind": EntryKind.COMPLETE, "directory": "" if remote else "/b", "data_path": name,
              "began_at": NOON, "fingerprint": f"of {name}", "remote": remote}  # fmt: skip
    return BackupEntry(**{**values, **fields})


def test_a_copy_is_told_on_the_row_here() -> None:
    (merged,) = merge_places([row("erp")], [[row("erp", S3)], [row("erp", VAULT)]])
    assert (merged.remote, merged.copies, merged.directory) == ("", (S3, VAULT), "/b")


def test_what_lies_in_two_remotes_alone_is_one_row() -> None:
    (merged,) = merge_places([], [[row("erp", S3)], [row("erp", VAULT)], [row("erp", S3)]])
    assert (merged.remote, merged.copies) == (S3, (VAULT,))


@pytest.mark.parametrize(
    "other",
    [
        row("erp", S3, fingerprint="other"),
        row("erp", S3, fingerprint=""),
        row("erp", S3, kind=EntryKind.BROKEN),
        row("erp-2", S3, fingerprint="of erp"),
    ],
)
def test_what_is_not_surely_a_copy_has_a_row_of_its_own(other: BackupEntry) -> None:
    merged = merge_places([row("erp")], [[other]])
    assert {(each.remote, each.copies) for each in merged} == {("", ()), (S3, ())}


def test_the_newest_is_first_and_what_is_here_before_what_is_not() -> None:
    rows = [row("b"), row("a", began_at=NOON - timedelta(days=1)), row("c", kind=EntryKind.FOREIGN, fingerprint="")]
    merged = merge_places(rows, [[row("b", S3, fingerprint="other"), row("d", S3, began_at=NOON + timedelta(days=1))]])
    assert [(each.backup_id, each.remote) for each in merged] == [("d", S3), ("c", ""), ("b", ""), ("b", S3), ("a", "")]


def test_the_fingerprint_knows_nothing_of_the_order_and_everything_of_the_files() -> None:
    files = [("x.dir/1", 1, "aa"), ("x.dir/2", 2, "bb")]
    assert fingerprint_files(files) == fingerprint_files(files[::-1])
    others = [[("x.dir/1", 1, "aa")], [("x.dir/1", 1, "aa"), ("x.dir/2", 2, "cc")], [("x.dir/1", 12, "aa"), files[1]],
              [("x.dir/11", 1, "aa"), files[1]], []]  # fmt: skip
    assert len({fingerprint_files(files), *map(fingerprint_files, others)}) == 6


def test_databases_of_one_name_from_several_servers_are_told_apart() -> None:
    db1, db2 = (
        row("a", database="erp", url="postgresql://db1/erp"),
        row("b", database="erp", url="postgresql://db2/erp"),
    )
    assert are_mixed([db1, db2])
    assert not are_mixed([db1, db1, row("c", database="shop", url="mysql://db3/shop"), row("d", database="erp")])
    origin = BackupOrigin("erp", EngineName.POSTGRESQL, "postgresql://db1/erp", "erp")
    of = {"engine": EngineName.POSTGRESQL, "database": "erp"}
    assert is_of_origin(row("a", url="postgresql://db1/erp", **of), origin)
    assert is_of_origin(row("a", url="postgresql://10.0.0.1/erp", profile="erp", **of), origin)
    assert not is_of_origin(row("a", url="postgresql://db2/erp", profile="other", **of), origin)
    assert not is_of_origin(row("a", url="postgresql://db1/erp", engine=EngineName.MYSQL, database="erp"), origin)
    assert not is_of_origin(row("a"), BackupOrigin("erp", EngineName.POSTGRESQL, "x"))


def test_remotes_have_short_names_where_those_are_clear() -> None:
    labels = label_remotes([S3, VAULT, S3])
    assert labels == {S3: "s3", VAULT: "sftp"}
    assert describe_places(row("erp", copies=(S3,)), labels) == "here + s3"
    assert describe_places(row("erp", VAULT), labels) == "sftp"
    assert describe_places(row("erp", "s3://elsewhere"), labels) == "s3://elsewhere"
    several = label_remotes([S3, "s3://archive"])
    assert several == {S3: "s3 backups/erp", "s3://archive": "s3 archive"}
