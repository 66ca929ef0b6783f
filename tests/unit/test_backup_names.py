"""Names on disk: safe whatever the database is called, and read back."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.analysis.backups import choose_backup_id, data_suffix, format_database, parse_backup_id, parse_data_name
from dbtui.model.backups import MANIFEST_SUFFIX, PARTIAL_SUFFIX, BackupFormat, Compression, CompressionKind

SAFE = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.%~")
MOMENT = datetime(2026, 11, 22, 15, 0, 0, tzinfo=UTC)
NASTY = [
    "my db",
    "o'neil",
    'a"b',
    "a/b",
    "../../etc",
    "-rf",
    ".hidden",
    "..",
    "a\nb",
    "[red]x[/]",
    "ünï",
    "a%2Fb",
    "~x",
]


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=()), min_size=0, max_size=300))
def test_any_name_becomes_a_safe_file_name(database: str) -> None:
    label = format_database(database)
    assert set(label) <= SAFE
    assert label[0] not in "-.~"
    longest = f"{label}-20261122T150000Z-999.sqlite.zst.age{MANIFEST_SUFFIX}{PARTIAL_SUFFIX}"
    assert len(longest.encode()) <= 255


@settings(deadline=None)
@given(st.text(max_size=50), st.text(max_size=50))
def test_two_databases_never_share_a_name(one: str, other: str) -> None:
    assert (format_database(one) == format_database(other)) is (one == other)


@pytest.mark.parametrize("database", NASTY)
def test_the_name_is_read_back(database: str) -> None:
    backup_id = choose_backup_id(database, MOMENT, lambda _: False)
    assert parse_backup_id(backup_id) == (database, MOMENT)


def test_long_names_stay_apart() -> None:
    one, other = format_database("x" * 500 + "1"), format_database("x" * 500 + "2")
    assert one != other
    assert "~" in one


def test_a_second_backup_in_one_second_gets_a_number() -> None:
    taken: set[str] = set()
    for expected in ("erp-20261122T150000Z", "erp-20261122T150000Z-2", "erp-20261122T150000Z-3"):
        backup_id = choose_backup_id("erp", MOMENT, taken.__contains__)
        assert backup_id == expected
        assert parse_backup_id(backup_id) == ("erp", MOMENT)
        taken.add(backup_id)


def test_ids_are_in_utc() -> None:
    there = datetime(2026, 11, 22, 17, 0, 0, tzinfo=timezone(timedelta(hours=2)))
    assert choose_backup_id("erp", there, lambda _: False) == "erp-20261122T150000Z"


@pytest.mark.parametrize("text", ["erp", "erp-20261399T000000Z", "-20261122T150000Z", "erp-20261122T150000Z-1", ""])
def test_other_names_are_not_ids(text: str) -> None:
    assert parse_backup_id(text) is None


@pytest.mark.parametrize(
    ("backup_format", "kind", "major", "suffix"),
    [
        (BackupFormat.PLAIN, CompressionKind.NONE, 15, ".sql"),
        (BackupFormat.PLAIN, CompressionKind.ZSTD, 15, ".sql.zst"),
        (BackupFormat.PLAIN, CompressionKind.GZIP, 15, ".sql.gz"),
        (BackupFormat.CUSTOM, CompressionKind.GZIP, 15, ".dump"),
        (BackupFormat.CUSTOM, CompressionKind.ZSTD, 15, ".dump.zst"),
        (BackupFormat.CUSTOM, CompressionKind.ZSTD, 16, ".dump"),
        (BackupFormat.DIRECTORY, CompressionKind.GZIP, 15, ".dir"),
        (BackupFormat.COPY, CompressionKind.ZSTD, 0, ".sqlite.zst"),
    ],
)
def test_suffixes_tell_format_and_outer_compression(
    backup_format: BackupFormat, kind: CompressionKind, major: int, suffix: str
) -> None:
    assert data_suffix(backup_format, Compression(kind), major) == suffix
    parsed = parse_data_name("erp.sql-20261122T150000Z" + suffix)
    assert parsed is not None
    assert parsed.stem == "erp.sql-20261122T150000Z"
    assert parsed.format is backup_format
    assert (parsed.compression.kind is kind) is (suffix.endswith((".zst", ".gz")) or kind is CompressionKind.NONE)


@pytest.mark.parametrize("name", ["notes.txt", "x.sql.bak", ".sql", "x.dir.gz", "x.sql.partial"])
def test_other_files_are_not_data(name: str) -> None:
    assert parse_data_name(name) is None
