"""Plans: what is refused, what is warned of, what will be run."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dbtui.analysis.backups import (
    assess_shrinking,
    choose_destination,
    compare_counts,
    estimate_bytes,
    plan_create,
    plan_restore,
)
from dbtui.model.backups import (
    BackupContents,
    BackupEntry,
    BackupFormat,
    BackupTable,
    Compression,
    CompressionKind,
    CreatePlan,
    DestinationFacts,
    DumpFacts,
    DumpOptions,
    EntryKind,
    RestoreFacts,
    RestoreOptions,
    RestorePlan,
    SessionBrief,
    StoredBackup,
    TableDifference,
    TableFacts,
    TableName,
)
from dbtui.model.connections import ConnectionProfile, EngineName, Environment, ServerInfo
from tests.unit.samples import MANIFEST, MOMENT

INFO = ServerInfo(
    engine=EngineName.POSTGRESQL, flavour="PostgreSQL", version="15.18", version_number=150018, user="dba"
)
TABLES = (TableFacts("public", "users", bytes=1000), TableFacts("public", "orders", bytes=9000))
FACTS = DumpFacts(
    info=INFO, tool="pg_dump", tool_path="/usr/bin/pg_dump", tool_version="15.18", tool_major=15, tables=TABLES
)
ZSTD = Compression(CompressionKind.ZSTD)


def planned(facts: DumpFacts = FACTS, options: DumpOptions | None = None, **more: Any) -> CreatePlan:
    words: dict[str, Any] = {
        "database": "erp",
        "directory": "/backups",
        "now": MOMENT,
        "is_taken": lambda _: False,
        "free_bytes": 1 << 40,
    }
    return plan_create(facts, options or DumpOptions(), **(words | more))


# ---------------------------------------------------------------- creating


def test_a_good_plan_names_everything() -> None:
    plan = planned(options=DumpOptions(compression=ZSTD))
    assert plan.refusals == ()
    assert plan.backup_id == "erp-20261122T150000Z"
    assert plan.data_name == "erp-20261122T150000Z.sql.zst"
    assert plan.expected_raw_bytes == 9000
    assert "--format=plain -- erp | zstd" in plan.steps[0].command
    assert plan.steps[-1].text == "write erp-20261122T150000Z.sql.zst.manifest.json"


@pytest.mark.parametrize(
    ("facts", "options", "said"),
    [
        (replace(FACTS, tool_major=14, tool_version="14.2"), DumpOptions(), "install the client tools of version 15"),
        (replace(FACTS, unmatched=("odd*",)), DumpOptions(tables=("odd*",)), "no table matches “odd*”"),
        (replace(FACTS, missing_privileges=("GRANT SELECT ON a TO dba",)), DumpOptions(), "GRANT SELECT ON a TO dba"),
        (
            replace(FACTS, tables=(TableFacts("public", "pay", is_readable=False),)),
            DumpOptions(),
            "dba may not read public.pay",
        ),
        (
            replace(FACTS, tables=(TableFacts("public", "pay", has_row_security=True),)),
            DumpOptions(),
            "row-level security hides rows of public.pay",
        ),
        (replace(FACTS, broken_objects=("view v: column x is gone",)), DumpOptions(), "view v: column x is gone"),
        (FACTS, DumpOptions(jobs=4), "--format directory"),
        (FACTS, DumpOptions(jobs=0), "--jobs 0"),
        (FACTS, DumpOptions(format=BackupFormat.COPY), "choose plain, custom, directory"),
    ],
)
def test_refusals_say_what_to_do(facts: DumpFacts, options: DumpOptions, said: str) -> None:
    assert said in "; ".join(planned(facts, options).refusals)


def test_a_superuser_is_not_kept_from_rows() -> None:
    facts = replace(
        FACTS, info=replace(INFO, is_superuser=True), tables=(TableFacts("public", "pay", has_row_security=True),)
    )
    assert planned(facts).refusals == ()


def test_a_new_pg_dump_writes_zstd_directories() -> None:
    facts = replace(FACTS, tool_major=16)
    plan = planned(facts, DumpOptions(format=BackupFormat.DIRECTORY, compression=ZSTD, jobs=2))
    assert plan.refusals == ()
    assert "--jobs=2" in plan.steps[0].command


def test_sqlite_makes_a_copy() -> None:
    facts = replace(FACTS, info=replace(INFO, engine=EngineName.SQLITE, flavour="SQLite", version_number=3040001))
    plan = planned(facts, DumpOptions())
    assert plan.options.format is BackupFormat.COPY
    assert plan.data_name.endswith(".sqlite")
    assert plan.refusals == ()
    packed = planned(replace(facts, database_bytes=1000), DumpOptions(compression=ZSTD), free_bytes=1700)
    assert "1.5 kB will be written" in packed.refusals[0]
    assert "no custom format" in planned(facts, DumpOptions(format=BackupFormat.CUSTOM)).refusals[0]


def test_warnings_do_not_refuse() -> None:
    facts = replace(
        FACTS,
        lock_holders=("pid 8123 app: ALTER TABLE users",),
        long_transactions=("pid 9000, 3 h",),
        tables=(TableFacts("shop", "log", is_transactional=False),),
        large_objects=3,
        remarks=("a materialised view is not populated",),
    )
    plan = planned(facts, DumpOptions(tables=("log",)))
    said = "\n".join(plan.warnings)
    for part in ("8123", "9000", "shop.log", "all 3 large objects", "materialised"):
        assert part in said
    assert plan.refusals == ()


def test_long_lists_are_shortened() -> None:
    facts = replace(FACTS, missing_privileges=tuple(f"GRANT {number}" for number in range(100)))
    refusals = planned(facts).refusals
    assert len(refusals) == 6
    assert "95 more" in refusals[-1]


@settings(deadline=None)
@given(expected=st.integers(1, 1 << 50), free=st.integers(0, 1 << 50))
def test_space_is_refused_exactly_when_it_is_short(expected: int, free: int) -> None:
    previous = replace(MANIFEST, size_bytes=expected, compression="none", database_bytes=None)
    plan = planned(previous=previous, free_bytes=free)
    assert bool(plan.refusals) is (free < expected * 1.2)


def test_the_last_backup_is_the_best_guess() -> None:
    previous = replace(MANIFEST, compression="zstd", size_bytes=100, uncompressed_bytes=500, database_bytes=1000)
    facts = replace(FACTS, database_bytes=2000)
    assert estimate_bytes(facts, DumpOptions(compression=ZSTD), previous) == (1000, 200)
    assert estimate_bytes(facts, DumpOptions(), previous) == (1000, 1000)
    assert estimate_bytes(facts, DumpOptions(tables=("users",)), previous) == (9000, 9000)


@pytest.mark.parametrize("previously", [81_920, 1 << 50])
def test_an_unlikely_growth_is_not_believed(previously: int) -> None:
    previous = replace(MANIFEST, compression="none", size_bytes=48_000_000, database_bytes=previously)
    facts = replace(FACTS, database_bytes=120_000_000)
    assert estimate_bytes(facts, DumpOptions(), previous) == estimate_bytes(facts, DumpOptions(), None)
    assert planned(facts, previous=previous, free_bytes=1 << 30).refusals == ()


def test_a_guess_from_table_sizes_warns_before_it_refuses() -> None:
    expected = planned().expected_bytes
    assert expected is not None
    plan = planned(free_bytes=expected // 2)
    assert plan.refusals == ()
    assert "are free in" in plan.warnings[-1]
    assert "are free in" in planned(free_bytes=expected // 5).refusals[0]
    assert not any("are free" in line for line in planned(free_bytes=2 * expected).warnings)


def test_nothing_known_is_no_refusal() -> None:
    facts = replace(FACTS, tables=(TableFacts("public", "a"),))
    plan = planned(facts, free_bytes=0)
    assert (plan.expected_bytes, plan.refusals) == (None, ())


# ---------------------------------------------------------------- restoring

BACKUP = StoredBackup(
    backup_id=MANIFEST.backup_id,
    engine=EngineName.POSTGRESQL,
    format=BackupFormat.PLAIN,
    compression=Compression(),
    data_path="/backups/erp.sql",
    manifest=MANIFEST,
)
CONTENTS = BackupContents(engine=EngineName.POSTGRESQL, tables=MANIFEST.tables)
PROFILE = ConnectionProfile(
    name="erp", engine=EngineName.POSTGRESQL, url="postgresql://dba@db1:5432/erp", database="erp"
)


def facts_of(exists: bool = True, tables: int = 3, **more: Any) -> RestoreFacts:
    taken = ("erp",) if exists else ()
    words: dict[str, Any] = {
        "info": INFO,
        "destination": DestinationFacts(database="erp", exists=exists, tables=tables),
        "taken_names": taken,
    }
    return RestoreFacts(**(words | more))


def restored(
    facts: RestoreFacts, options: RestoreOptions | None = None, profile: ConnectionProfile = PROFILE
) -> RestorePlan:
    options = options or RestoreOptions()
    choice = choose_destination(
        facts,
        options,
        fresh_name="erp__new",
        kept_name="erp_kept",
        restored_name=lambda number: "erp_restored" if number == 1 else f"erp_restored_{number}",
    )
    return plan_restore(BACKUP, CONTENTS, facts, profile, options, choice, "db1:5432")


def test_by_default_nothing_that_exists_is_touched() -> None:
    plan = restored(facts_of())
    assert (plan.final_database, plan.load_database, plan.replaces) == ("erp_restored", "erp_restored", False)
    assert (plan.confirm_name, plan.refusals, plan.keeps_as) == ("", (), "")
    assert any('CREATE DATABASE "erp_restored"' in step.command for step in plan.steps)


def test_taken_names_are_passed_over() -> None:
    plan = restored(facts_of(taken_names=("erp", "erp_restored", "erp_restored_2")))
    assert plan.final_database == "erp_restored_3"


def test_what_a_killed_restore_left_is_named() -> None:
    left = "erp__new_20261122t190000z_0a1b2c"
    plan = restored(facts_of(taken_names=("erp", left, "other__new_20261122t190000z_0a1b2c", "erp__new")))
    assert [line for line in plan.warnings if "left over" in line] == [
        f"{left} is left over from a restore that was killed, unless one is running now: drop it"
    ]


def test_missing_definers_are_told_apart_from_missing_roles() -> None:
    mysql = replace(INFO, engine=EngineName.MYSQL, flavour="MariaDB")
    said = " ".join(restored(facts_of(info=mysql, missing_roles=("app@%",))).warnings)
    assert "app@%; views, triggers, routines and events that run as them fail" in said
    assert "owners and grants are left out" in " ".join(restored(facts_of(missing_roles=("app",))).warnings)


def test_an_absent_database_is_made() -> None:
    plan = restored(facts_of(exists=False, tables=0))
    assert (plan.final_database, plan.load_database, plan.replaces) == ("erp", "erp", False)


def test_an_empty_database_is_filled_without_being_asked() -> None:
    plan = restored(facts_of(tables=0))
    assert (plan.final_database, plan.load_database, plan.replaces) == ("erp", "erp__new", True)
    assert (plan.confirm_name, plan.refusals) == ("", ())


def test_replacing_asks_for_the_name_and_says_how_to_go_back() -> None:
    sessions = (SessionBrief(8123, "app", "erp-api", "10.0.0.7"),)
    destination = DestinationFacts(database="erp", exists=True, tables=3, sessions=sessions)
    plan = restored(
        facts_of(destination=destination),
        RestoreOptions(replace=True),
        replace(PROFILE, environment=Environment.PRODUCTION),
    )
    assert (plan.final_database, plan.load_database, plan.replaces) == ("erp", "erp__new", True)
    assert (plan.confirm_name, plan.keeps_as, plan.environment) == ("erp", "erp_kept", "production")
    assert plan.sessions == sessions
    assert "1 session on erp will be disconnected" in plan.warnings
    swap = 'BEGIN; ALTER DATABASE "erp" RENAME TO "erp_kept"; ALTER DATABASE "erp__new" RENAME TO "erp"; COMMIT'
    assert plan.steps[-1].command == swap
    assert 'ALTER DATABASE "erp_kept" RENAME TO "erp"' in plan.undo


@pytest.mark.parametrize(
    ("facts", "options", "profile", "said"),
    [
        (facts_of(), RestoreOptions(into="erp"), PROFILE, "erp exists and has 3 tables"),
        (facts_of(), RestoreOptions(), replace(PROFILE, read_only=True), "read-only"),
        (facts_of(info=replace(INFO, role="replica")), RestoreOptions(), PROFILE, "replica"),
        (facts_of(can_create_database=False), RestoreOptions(), PROFILE, 'ALTER ROLE "dba" CREATEDB'),
        (facts_of(missing_extensions=("postgis",)), RestoreOptions(), PROFILE, "postgis"),
        (facts_of(free_bytes=10), RestoreOptions(), PROFILE, "10 B are free"),
        (facts_of(), RestoreOptions(tables=("nope",)), PROFILE, "no table “nope”"),
        (facts_of(), RestoreOptions(tables=("users",), replace=True), PROFILE, "--table with --replace"),
        (facts_of(), RestoreOptions(jobs=0), PROFILE, "--jobs 0"),
        (facts_of(refusals=("the flux is off",)), RestoreOptions(), PROFILE, "the flux is off"),
    ],
)
def test_what_speaks_against_a_restore(
    facts: RestoreFacts, options: RestoreOptions, profile: ConnectionProfile, said: str
) -> None:
    assert said in "; ".join(restored(facts, options, profile).refusals)


def test_warnings_of_a_restore() -> None:
    older = replace(INFO, version="14.9", version_number=140009)
    plan = restored(facts_of(info=older, missing_roles=("app", "reader")))
    said = "\n".join(plan.warnings)
    for part in ("app, reader", "not been verified", "this server is older: 14.9"):
        assert part in said
    other = restored(facts_of(info=replace(INFO, flavour="EnterpriseDB")))
    assert any("EnterpriseDB" in warning for warning in other.warnings)
    assert not any("older" in warning for warning in restored(facts_of()).warnings)


def test_tables_are_chosen_by_name_or_schema_and_name() -> None:
    plan = restored(facts_of(), RestoreOptions(tables=("users", "public.users", "public.orders")))
    assert plan.tables == (TableName("public", "users"), TableName("public", "orders"))
    assert plan.refusals == ()


# ---------------------------------------------------------------- comparing

names = st.builds(TableName, st.sampled_from(["public", "app"]), st.text(max_size=3))
tables = st.dictionaries(names, st.integers(0, 100), max_size=8)


def _as_tables(rows: dict[TableName, int], rows_are: str = "exact") -> tuple[BackupTable, ...]:
    return tuple(BackupTable(name.schema, name.name, count, rows_are) for name, count in rows.items())


@settings(deadline=None)
@given(expected=tables, found=tables)
def test_equal_is_found_equal_and_every_difference_is_named(
    expected: dict[TableName, int], found: dict[TableName, int]
) -> None:
    differences = compare_counts(_as_tables(expected), _as_tables(found))
    assert differences == tuple(
        TableDifference(name.schema, name.name, count, found.get(name))
        for name, count in expected.items()
        if found.get(name) != count
    )
    assert compare_counts(_as_tables(expected), _as_tables(expected)) == ()


def test_estimates_prove_nothing_but_must_exist() -> None:
    expected = _as_tables({TableName("public", "a"): 5}, "estimate")
    assert compare_counts(expected, _as_tables({TableName("public", "a"): 7})) == ()
    assert compare_counts(expected, ()) == (TableDifference("public", "a", 5, None),)


def test_only_the_chosen_tables_are_compared() -> None:
    expected = _as_tables({TableName("public", "a"): 5, TableName("public", "b"): 6})
    assert compare_counts(expected, _as_tables({TableName("public", "b"): 6}), [TableName("public", "b")]) == ()


def test_a_backup_that_lost_half_is_suspicious() -> None:
    def entry(number: int, size: int) -> BackupEntry:
        return BackupEntry(
            backup_id=f"erp-{number}",
            kind=EntryKind.COMPLETE,
            directory="/b",
            data_path="/b/x",
            began_at=datetime(2026, 1, number, tzinfo=UTC),
            database="erp",
            size_bytes=size,
        )

    assert assess_shrinking([entry(3, 38), entry(1, 90), entry(2, 100)]) == {"erp-3": pytest.approx(0.62)}
    assert assess_shrinking([entry(1, 0), entry(2, 0)]) == {}
