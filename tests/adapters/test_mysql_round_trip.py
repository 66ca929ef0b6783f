"""What is dumped comes back, row by row and word by word, from every packing and through every door."""

from pathlib import Path

import pytest

from dbtui.adapters.mysql import contents, counts, databases, dump, facts, load
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.demo.servers import MariaDB
from dbtui.model.backups import Compression, DumpOptions, DumpRequest, DumpResult, LoadRequest, StoredBackup, TableName
from dbtui.model.events import Warned
from tests.adapters.mysql_samples import fill, rows_of, structure_of
from tests.adapters.mysql_targets import collect, drain, open_mysql, parse_kind, stored_dump
from tests.fix_servers import unique_name


def make_dump(
    target: MysqlTarget, directory: Path, packing: str = "none", **options: object
) -> tuple[StoredBackup, DumpResult]:
    suffix = {"gzip": ".gz", "zstd": ".zst"}.get(packing, "")
    path = directory / f"{unique_name('dump')}.sql{suffix}"
    asked = DumpOptions(compression=Compression(parse_kind(packing)), **options)  # type: ignore[arg-type]
    found = facts.collect_dump_facts(target, asked)
    result = drain(dump.dump(target, DumpRequest(partial_path=str(path), options=asked, facts=found)))
    return stored_dump(path), result


def load_into(target: MysqlTarget, backup: StoredBackup, database: str) -> list[object]:
    held = contents.collect_contents(backup, target.cancellation)
    databases.create_database(target, database, target.database, held)
    return collect(load.load(target, LoadRequest(backup=backup, contents=held, database=database)))[0]


@pytest.mark.parametrize("packing", ["none", "gzip", "zstd"])
def test_nasty_data_comes_back(packing: str, mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database)
    fill(target)
    backup, result = make_dump(target, tmp_path, packing)
    copy = f"{target.database}_copy"
    events = load_into(target, backup, copy)
    original = rows_of(target, target.database)
    assert rows_of(target, copy) == original
    old_rows = {"sysv": 1}
    expected = {name: len(rows) + old_rows.get(name, 0) for name, rows in original.items()}
    assert {table.name: table.rows for table in result.tables} == expected
    assert {table.rows_are for table in result.tables} == {"exact"}
    counted = drain(counts.count_rows(target, copy, [table.table_name for table in result.tables]))
    assert [(one.name, one.rows) for one in counted] == [(one.name, one.rows) for one in result.tables]

    assert [event for event in events if isinstance(event, Warned)], "nobody said that events are switched off"
    target.rows(f"ALTER EVENT `{copy}`.ev1 ENABLE")
    assert structure_of(mariadb_server, copy) == structure_of(mariadb_server, target.database)
    databases.drop_database(target, copy)
    target.close()


def test_a_restored_copy_counts_with_its_own_sequences(mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database)
    fill(target)
    backup, _ = make_dump(target, tmp_path)
    copy = f"{target.database}_copy"
    load_into(target, backup, copy)
    before = target.rows("SELECT next_not_cached_value AS n FROM seq1", on=target.connect(target.database))
    made = target.rows(f"SHOW CREATE TABLE `{copy}`.counted")[0]["Create Table"]
    assert f"`{copy}`.`seq1`" in made
    target.rows(f"INSERT INTO `{copy}`.counted (x) VALUES (9)")
    assert target.rows("SELECT next_not_cached_value AS n FROM seq1", on=target.connect(target.database)) == before
    databases.drop_database(target, copy)
    target.close()


def test_a_view_whose_definer_may_not_read_comes_back(
    mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path
) -> None:
    target = open_mysql(mariadb_database)
    definer = f"'{unique_name('u')[:30]}'@'%'"
    mariadb_server.execute(f"CREATE USER {definer}")
    fill(target, ["CREATE TABLE t (a int)", f"CREATE DEFINER={definer} VIEW v AS SELECT a, a + 1 AS b FROM t"])
    backup, _ = make_dump(target, tmp_path)
    copy = f"{target.database}_copy"
    load_into(target, backup, copy)
    made = target.rows(f"SHOW CREATE VIEW `{copy}`.v")[0]["Create View"]
    assert f"from `{copy}`.`t`" in made
    assert target.database not in made.replace(copy, "")
    databases.drop_database(target, copy)
    mariadb_server.execute(f"DROP USER {definer}")
    target.close()


@pytest.mark.parametrize(
    "name", ["two words", "quo'te\"s`", "-dash", "--all-databases", "new\nline", "[red]bold", "ünï", "per%cent_"]
)
def test_databases_with_odd_names(name: str, mariadb_server: MariaDB, tmp_path: Path) -> None:
    unique = f"{name} {unique_name('d')}"
    quoted = "`" + unique.replace("`", "``") + "`"
    mariadb_server.execute(f"CREATE DATABASE {quoted}")
    try:
        target = open_mysql(mariadb_server.url(unique))
        fill(target, ["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1), (2)"])
        backup, result = make_dump(target, tmp_path)
        assert [(table.schema, table.name, table.rows) for table in result.tables] == [(unique, "t", 2)]
        copy = unique_name("copy")
        load_into(target, backup, copy)
        assert rows_of(target, copy) == {"t": [(1,), (2,)]}
        databases.drop_database(target, copy)
        target.close()
    finally:
        mariadb_server.execute(f"DROP DATABASE {quoted}")


def test_chosen_and_excluded_tables(mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database)
    fill(target)
    backup, result = make_dump(target, tmp_path, tables=("p*", "trig"), exclude_tables=("parts",))
    assert [table.name for table in result.tables] == ["parent", "trig"]
    text = Path(backup.data_path).read_text()
    assert "TRIGGER trig_bi" in text
    assert "PROCEDURE" not in text
    backup, result = make_dump(target, tmp_path, exclude_tables=("s*", "new?line;"))
    names = {table.name for table in result.tables}
    assert not {"strings", "sysv", "new\nline;"} & names
    assert {"parent", "nums"} <= names
    target.close()


def test_schema_only_has_no_rows_and_claims_none(mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database)
    fill(target)
    backup, result = make_dump(target, tmp_path, schema_only=True)
    assert {table.rows for table in result.tables} == {None}
    assert b"INSERT INTO `strings`" not in Path(backup.data_path).read_bytes()
    target.close()


def test_chosen_tables_are_restored_alone(mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database)
    fill(target)
    backup, _ = make_dump(target, tmp_path)
    held = contents.collect_contents(backup, target.cancellation)
    copy = f"{target.database}_copy"
    databases.create_database(target, copy, "", held)
    wanted = tuple(table.table_name for table in held.tables if table.name in ("child", "trig", "counted"))
    request = LoadRequest(backup=backup, contents=held, database=copy, tables=wanted)
    events, _ = collect(load.load(target, request))
    assert set(rows_of(target, copy)) == {"child", "trig", "counted"}
    assert any("child refers to parent" in str(event) for event in events)
    assert [row["Trigger"] for row in target.rows(f"SHOW TRIGGERS FROM `{copy}`")] == ["trig_bi", "trig_bi2"]
    databases.drop_database(target, copy)
    target.close()


def test_counts_are_those_of_the_dump_while_others_write(mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database)
    fill(target, ["CREATE TABLE t (id int PRIMARY KEY AUTO_INCREMENT, a varchar(2000))",
                  "INSERT INTO t (a) SELECT repeat('x', 1500) FROM seq_1_to_30000"])  # fmt: skip
    asked = DumpOptions()
    found = facts.collect_dump_facts(target, asked)
    path = tmp_path / "dump.sql"
    writer = target.connect(target.database)
    written = 0
    routine = dump.dump(target, DumpRequest(partial_path=str(path), options=asked, facts=found))
    while True:
        try:
            next(routine)
        except StopIteration as end:
            result: DumpResult = end.value
            break
        target.rows("INSERT INTO t (a) VALUES ('late')", on=writer)
        written += 1
    copy = f"{target.database}_copy"
    load_into(target, stored_dump(path), copy)
    assert written
    assert result.tables[0].rows == target.rows(f"SELECT COUNT(*) AS n FROM `{copy}`.t")[0]["n"]
    databases.drop_database(target, copy)
    target.close()


@pytest.mark.parametrize("definer_exists", [True, False])
def test_views_on_views_whose_definer_has_no_rights_in_the_copy(
    definer_exists: bool, mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path
) -> None:
    """The server makes no view on a view that its definer cannot read; each gets its own definer back all the same."""
    target = open_mysql(mariadb_database)
    definer = unique_name("u")[:30]
    mariadb_server.execute(f"CREATE USER '{definer}'@'%'")
    mariadb_server.execute(f"GRANT ALL ON `{target.database}`.* TO '{definer}'@'%'")
    view = f"CREATE DEFINER='{definer}'@'%' VIEW"
    fill(target, ["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1), (2)", f"{view} m AS SELECT a FROM t",
                  f"{view} z AS SELECT a + 1 AS b FROM m", "CREATE VIEW a AS SELECT b FROM z"])  # fmt: skip
    backup, _ = make_dump(target, tmp_path)
    if not definer_exists:
        mariadb_server.execute(f"DROP USER '{definer}'@'%'")
    copy = f"{target.database}_copy"
    load_into(target, backup, copy)
    asked = f"SELECT table_name AS v, definer AS d FROM information_schema.views WHERE table_schema = '{copy}'"
    found = {row["v"]: row["d"] for row in target.rows(asked)}
    assert (found["m"], found["z"]) == (f"{definer}@%", f"{definer}@%")
    assert not found["a"].startswith(definer)
    if definer_exists:
        mariadb_server.execute(f"GRANT ALL ON `{copy}`.* TO '{definer}'@'%'")
        assert target.rows(f"SELECT SUM(b) AS total FROM `{copy}`.a")[0]["total"] == 5
    databases.drop_database(target, copy)
    mariadb_server.execute(f"DROP USER IF EXISTS '{definer}'@'%'")
    target.close()


def test_the_history_of_versioned_tables_comes_back(mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database)
    fill(target, ["CREATE TABLE h (id int PRIMARY KEY, v int) WITH SYSTEM VERSIONING",
                  "INSERT INTO h VALUES (1, 1), (2, 2)",
                  "UPDATE h SET v = 10 WHERE id = 1", "DELETE FROM h WHERE id = 2"])  # fmt: skip
    backup, result = make_dump(target, tmp_path)
    assert [table.rows for table in result.tables] == [3]
    copy = f"{target.database}_copy"
    load_into(target, backup, copy)
    asked = "SELECT id, v, row_start, row_end FROM `{}`.h FOR SYSTEM_TIME ALL ORDER BY row_start, id"
    assert target.rows(asked.format(copy)) == target.rows(asked.format(target.database))
    counted = drain(counts.count_rows(target, copy, [TableName(target.database, "h")]))
    assert [table.rows for table in counted] == [3]
    databases.drop_database(target, copy)
    target.close()


def test_history_by_transaction_stays_behind_and_is_told(mariadb_database: str, tmp_path: Path) -> None:
    """The tool ends at the first such table when it is asked for history."""
    target = open_mysql(mariadb_database)
    columns = ", ".join(f"{name[0]} bigint unsigned GENERATED ALWAYS AS ROW {name}" for name in ("START", "END"))
    fill(target, [f"CREATE TABLE precise (id int, {columns}, PERIOD FOR SYSTEM_TIME (s, e)) WITH SYSTEM VERSIONING",
                  "INSERT INTO precise (id) VALUES (1)", "UPDATE precise SET id = 2"])  # fmt: skip
    remarks = facts.collect_dump_facts(target, DumpOptions()).remarks
    assert len(remarks) == 1
    assert "precise keeps it by transaction" in remarks[0]
    _, result = make_dump(target, tmp_path)
    assert [table.rows for table in result.tables] == [1]
    target.close()
