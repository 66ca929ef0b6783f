"""Databases that a restore makes are named alike in every engine, within what each allows."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.model.connections import EngineName
from dbtui.model.names import derive_name, kept_suffix, loading_suffix, parse_unfinished, restored_suffix

MOMENT = datetime(2026, 11, 22, 17, 0, 0, tzinfo=timezone(timedelta(hours=2)))
KEPT = "_kept_20261122t150000z"
SUFFIXES = (kept_suffix(MOMENT, 12), restored_suffix(3), loading_suffix(MOMENT, "0a1b2c"))


def test_one_word_and_one_time_in_all_engines() -> None:
    names = {engine: derive_name(engine, "erp", kept_suffix(MOMENT)) for engine in EngineName}
    assert set(names.values()) == {f"erp{KEPT}"}
    assert derive_name(EngineName.SQLITE, "/srv/erp.db", kept_suffix(MOMENT)) == f"/srv/erp{KEPT}.db"
    assert [kept_suffix(MOMENT, 2), restored_suffix(), restored_suffix(2)] == [f"{KEPT}_2", "_restored", "_restored_2"]


@given(st.text(min_size=1, max_size=64), st.sampled_from(SUFFIXES))
def test_no_name_is_longer_than_its_engine_allows(database: str, suffix: str) -> None:
    name = derive_name(EngineName.MYSQL, database, suffix)
    assert len(name) <= 64
    assert name.endswith(suffix)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=64), st.sampled_from(SUFFIXES))
def test_postgresql_counts_bytes_and_cuts_no_character_in_two(database: str, suffix: str) -> None:
    name = derive_name(EngineName.POSTGRESQL, database, suffix)
    assert len(name.encode()) <= 63
    assert database.startswith(name.removesuffix(suffix))


@pytest.mark.parametrize(
    ("database", "name"),
    [
        ("erp.db", "erp_restored.db"),
        ("erp", "erp_restored.db"),
        ("/a/b/erp.sqlite3", "/a/b/erp_restored.sqlite3"),
        ("sub/erp.db", "sub/erp_restored.db"),
        ("/erp.v2.db", "/erp.v2_restored.db"),
        (".hidden", ".hidden_restored.db"),
        ("\udcff.db", "\udcff_restored.db"),
    ],
)
def test_a_suffix_goes_before_the_extension(database: str, name: str) -> None:
    assert derive_name(EngineName.SQLITE, database, restored_suffix(), ".db") == name


def test_a_long_name_is_cut_to_what_a_file_may_have() -> None:
    """SQLite lays a file beside it whose name is 8 bytes longer."""
    name = derive_name(EngineName.SQLITE, "/x/" + "ü" * 120 + ".db", kept_suffix(MOMENT))
    assert 240 < len(name.removeprefix("/x/").encode()) <= 247
    assert name.endswith(f"ü{KEPT}.db")


def test_what_a_killed_restore_left_is_recognised() -> None:
    suffix = loading_suffix(datetime(2026, 11, 22, 15, tzinfo=UTC), "0a1b2c")
    assert suffix == "__new_20261122t150000z_0a1b2c"
    for engine in EngineName:
        assert parse_unfinished(derive_name(engine, "erp", suffix)) == "erp"
    assert parse_unfinished(derive_name(EngineName.SQLITE, "/srv/erp.db", suffix)) == "/srv/erp"
    for name in ("erp", f"erp{KEPT}", "erp__new_", "erp__new_20261122t150000z"):
        assert parse_unfinished(name) is None
