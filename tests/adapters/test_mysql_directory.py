"""Directory dumps of MariaDB: rows by mydumper in several sessions, loaded by several: the same database comes back."""

import contextlib
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql import contents, counts, databases, dump_directory
from dbtui.adapters.mysql.adapter import ADAPTER
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.dump import run_tool
from dbtui.adapters.mysql.mydumper import find_mydumper
from dbtui.adapters.streams import open_raw
from dbtui.demo.servers import MariaDB
from dbtui.errors import Cancelled, DamagedBackupError, DbtuiError, ServerError, ToolError
from dbtui.model.backups import (
    BackupFormat,
    Compression,
    CompressionKind,
    DumpOptions,
    DumpRequest,
    DumpResult,
    LoadRequest,
    StoredBackup,
    TableName,
)
from dbtui.model.connections import EngineName
from dbtui.model.events import Warned
from tests.adapters.mysql_samples import NASTY, fill, rows_of, structure_of
from tests.adapters.mysql_targets import collect, drain, open_mysql, parse_kind
from tests.fix_servers import unique_name

BACKUPS = ADAPTER.backups
#: What mydumper cannot be trusted with.
ODD = ("sp ace*", "new?line;", "inv", "nums")


def make_dump(
    target: MysqlTarget, path: Path, packing: str = "none", **options: object
) -> tuple[StoredBackup, DumpResult]:
    asked = DumpOptions(format=BackupFormat.DIRECTORY, compression=Compression(parse_kind(packing)), **options)  # type: ignore[arg-type]
    found = BACKUPS.collect_dump_facts(target, asked)
    assert found.broken_objects == ()
    assert found.missing_privileges == ()
    path.mkdir()
    result = drain(BACKUPS.dump(target, DumpRequest(partial_path=str(path), options=asked, facts=found)))
    return stored(path), result


def stored(path: Path) -> StoredBackup:
    return StoredBackup(
        backup_id=path.name,
        engine=EngineName.MYSQL,
        format=BackupFormat.DIRECTORY,
        compression=Compression(CompressionKind.NONE),
        data_path=str(path),
    )


def load_into(
    target: MysqlTarget, backup: StoredBackup, database: str, jobs: int = 2, tables: tuple[TableName, ...] = ()
) -> list[object]:
    held = contents.collect_contents(backup, target.cancellation)
    databases.create_database(target, database, target.database, held)
    request = LoadRequest(backup=backup, contents=held, database=database, jobs=jobs, tables=tables)
    return collect(BACKUPS.load(target, request))[0]


@contextmanager
def opened(url: str, cancellation: Cancellation | None = None) -> Iterator[MysqlTarget]:
    target = open_mysql(url, cancellation)
    try:
        yield target
    finally:
        target.close()


@contextmanager
def copied(
    server: MariaDB, target: MysqlTarget, backup: StoredBackup, jobs: int = 2
) -> Iterator[tuple[str, list[object]]]:
    copy = unique_name("copy")
    try:
        yield copy, load_into(target, backup, copy, jobs)
    finally:
        server.execute(f"DROP DATABASE IF EXISTS `{copy}`")


@pytest.mark.parametrize(("packing", "jobs"), [("none", 1), ("zstd", 2)])
def test_nasty_data_comes_back(
    packing: str, jobs: int, mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path
) -> None:
    with opened(mariadb_database) as target:
        fill(target, [each.replace("u uuid, i6 inet6", "u char(36), i6 char(40)") for each in NASTY])
        for name in ("sp ace-\"q'[red]", "new\nline;", "inv"):
            target.rows(f"DROP TABLE `{target.database}`.`{name}`")
        backup, result = make_dump(target, tmp_path / "x.dir", packing, jobs=jobs)
        names = sorted(path.name for path in (tmp_path / "x.dir").iterdir())
        assert names == sorted(file.path for file in result.files)
        assert all(name.endswith(".zst") == (packing == "zstd") for name in names)
        original = rows_of(target, target.database)
        assert {table.name: table.rows for table in result.tables} == {n: len(r) for n, r in original.items()}
        assert {table.rows_are for table in result.tables} == {"exact"}
        assert drain(BACKUPS.check_archive(backup, target.cancellation)) == ()
        with copied(mariadb_server, target, backup, jobs) as (copy, events):
            assert rows_of(target, copy) == original
            counted = drain(counts.count_rows(target, copy, [table.table_name for table in result.tables]))
            assert [(one.name, one.rows) for one in counted] == [(one.name, one.rows) for one in result.tables]
            assert [event for event in events if isinstance(event, Warned)], "nobody said that events are switched off"
            target.rows(f"ALTER EVENT `{copy}`.ev1 ENABLE")
            assert structure_of(mariadb_server, copy) == structure_of(mariadb_server, target.database)


def test_what_mydumper_would_lose_is_refused(mariadb_database: str) -> None:
    with opened(mariadb_database) as target:
        fill(target)
        asked = DumpOptions(format=BackupFormat.DIRECTORY)
        found = BACKUPS.collect_dump_facts(target, asked)
        said = "\n".join(found.broken_objects)
        assert (
            "invisible column secret" in said and "sp ace" in said and "new" in said and "no uuid its column u" in said
        )
        assert len(found.broken_objects) == 5, found.broken_objects
        assert any("history" in remark for remark in found.remarks)


def test_a_table_that_mydumper_passes_over_is_no_empty_one(mariadb_database: str, tmp_path: Path) -> None:
    with opened(mariadb_database) as target:
        rows = ["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)"]
        merged = [
            "CREATE TABLE m (a int) ENGINE=MyISAM",
            "INSERT INTO m VALUES (1)",
            "CREATE TABLE mm (a int) ENGINE=MERGE UNION=(m)",
        ]
        fill(target, [*rows, *merged, "CREATE TABLE none (a int)"])
        target.rows(f"ALTER TABLE `{target.database}`.t COMMENT 'VIEW'")
        said = "\n".join(_obstacles(target, ()))
        assert (
            "table mm: mydumper reads no rows of a table that merges" in said
            and "table t: mydumper takes it for a view" in said
        )
        assert _obstacles(target, ("mm", "t")) == ()
        # Whatever else it may pass over: what it did not begin with is told from what is empty.
        asked = DumpOptions(format=BackupFormat.DIRECTORY, exclude_tables=("mm",))
        found = BACKUPS.collect_dump_facts(target, asked)
        (tmp_path / "x.dir").mkdir()
        with pytest.raises(ToolError, match="passed over table t: its rows would be missing"):
            drain(BACKUPS.dump(target, DumpRequest(partial_path=str(tmp_path / "x.dir"), options=asked, facts=found)))


def _obstacles(target: MysqlTarget, left_out: tuple[str, ...]) -> tuple[str, ...]:
    asked = DumpOptions(format=BackupFormat.DIRECTORY, exclude_tables=left_out)
    return BACKUPS.collect_dump_facts(target, asked).broken_objects


def test_without_reload_there_is_no_snapshot(mariadb_server: MariaDB, mariadb_database: str) -> None:
    name = unique_name("u")[:30]
    with opened(mariadb_database) as admin:
        mariadb_server.execute(f"CREATE USER `{name}`@`%` IDENTIFIED BY 'p'")
        mariadb_server.execute(f"GRANT ALL ON `{admin.database}`.* TO `{name}`@`%`")
        mariadb_server.execute(f"GRANT SELECT ON mysql.proc TO `{name}`@`%`")
        fill(admin, ["CREATE TABLE t (a int)"])
    try:
        with opened(mariadb_server.url(admin.database, user=name, password="p")) as target:
            found = BACKUPS.collect_dump_facts(target, DumpOptions(format=BackupFormat.DIRECTORY))
            assert any("RELOAD" in said and "GRANT RELOAD ON *.*" in said for said in found.missing_privileges)
            assert not BACKUPS.collect_dump_facts(target, DumpOptions()).missing_privileges
    finally:
        mariadb_server.execute(f"DROP USER `{name}`@`%`")


def test_looking_inside_and_chosen_tables(mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path) -> None:
    with opened(mariadb_database) as target:
        fill(target)
        assert len(_obstacles(target, ODD)) == 1, "the table with two lines in its name"
        target.rows(f"DROP TABLE `{target.database}`.`new\nline;`")
        backup, result = make_dump(target, tmp_path / "x.dir", "zstd", jobs=2, exclude_tables=ODD)
        name = target.database
        held = contents.collect_contents(backup, target.cancellation)
        assert {table.name: table.rows for table in held.tables} == {table.name: table.rows for table in result.tables}
        assert {
            ("view", "v0"),
            ("trigger", "trig_bi"),
            ("procedure", "p1"),
            ("event", "ev1"),
            ("sequence", "seq1"),
        } <= {(each.kind, each.name) for each in held.objects}
        sample = contents.collect_sample(backup, TableName(name, "parent"), 1, target.cancellation)
        assert (sample.columns, sample.rows, sample.more) == (("id",), (("1",),), True)
        definition = contents.show_definition(backup, TableName(name, "trig"), target.cancellation)
        assert "CREATE TABLE `trig`" in definition and "trig_bi2" in definition
        copy = unique_name("copy")
        try:
            load_into(target, backup, copy, tables=(TableName(name, "parent"), TableName(name, "trig")))
            assert rows_of(target, copy) == {"parent": [(1,), (2,)], "trig": rows_of(target, name)["trig"]}
            assert len(target.rows(f"SHOW TRIGGERS FROM `{copy}`")) == 2
        finally:
            mariadb_server.execute(f"DROP DATABASE IF EXISTS `{copy}`")


@pytest.mark.parametrize("tables", [(), ("CREATE TABLE t (a int)",)])
def test_nothing_and_definitions_alone(
    tables: tuple[str, ...], mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path
) -> None:
    with opened(mariadb_database) as target:
        fill(target, list(tables))
        backup, result = make_dump(target, tmp_path / "x.dir", schema_only=True, jobs=2)
        assert [table.rows for table in result.tables] == [None for _ in tables]
        with copied(mariadb_server, target, backup) as (copy, _):
            assert list(rows_of(target, copy)) == ["t" for _ in tables]


@pytest.fixture(scope="module")
def large(mariadb_server: MariaDB, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Three tables of 5 MB each, dumped into files of 1 MB; the URL of their database."""
    name = unique_name("large")
    mariadb_server.execute(f"CREATE DATABASE `{name}`")
    filling = "INSERT INTO {table} SELECT seq, repeat(md5(seq), 8) FROM seq_1_to_20000"
    for table in ("one", "two", "three"):
        mariadb_server.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, t text)", database=name)
        mariadb_server.execute(filling.format(table=table), database=name)
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(dump_directory, "FILE_MIB", 1)
        yield mariadb_server.url(name)
    mariadb_server.execute(f"DROP DATABASE `{name}`")


def _digests(target: MysqlTarget, database: str) -> dict[str, tuple[object, ...]]:
    return {
        table: tuple(target.rows(f"SELECT COUNT(*), SUM(CRC32(CONCAT(id, t))) FROM `{database}`.{table}")[0].values())
        for table in ("one", "two", "three")
    }


def test_large_tables_are_cut_and_loaded_side_by_side(mariadb_server: MariaDB, large: str, tmp_path: Path) -> None:
    with opened(large) as target:
        backup, result = make_dump(target, tmp_path / "x.dir", "zstd", jobs=2)
        assert len([file for file in result.files if ".one." in file.path]) > 2
        assert {table.rows for table in result.tables} == {20_000}
        with copied(mariadb_server, target, backup) as (copy, events):
            assert _digests(target, copy) == _digests(target, target.database)
        assert events
    assert not [each for each in threading.enumerate() if each.name in ("loading", "packing")]


@pytest.mark.parametrize("damage", ["cut", "flipped", "statement", "stranger", "no triggers", "trailer"])
def test_damage_is_never_loaded(damage: str, mariadb_server: MariaDB, large: str, tmp_path: Path, intact: Path) -> None:
    path = tmp_path / "x.dir"
    shutil.copytree(intact, path)
    rows = max(path.glob("*.two*.sql"), key=lambda each: each.stat().st_size)
    data = rows.read_bytes()
    if damage == "cut":
        rows.write_bytes(data[: len(data) // 2 + 17])
    elif damage == "flipped":
        at = data.index(b"INSERT", len(data) // 2)
        rows.write_bytes(data[:at] + b"\x00" + data[at + 1 :])
    elif damage == "statement":
        rows.write_bytes(data + b"DROP DATABASE mysql;\n")
    elif damage == "stranger":
        (path / "other.sql").write_text("DROP TABLE x;\n")
    elif damage == "no triggers":
        (path / "triggers.sql").unlink()
    else:
        text = (path / "definitions.sql").read_text()
        (path / "definitions.sql").write_text(text[: text.rindex("-- Dump completed")])
    with opened(large) as target:
        copy = unique_name("copy")
        try:
            with pytest.raises((DamagedBackupError, ServerError)):
                load_into(target, stored(path), copy)
            try:
                problems = drain(BACKUPS.check_archive(stored(path), target.cancellation))
            except DbtuiError as error:
                problems = (str(error),)
            assert problems
        finally:
            mariadb_server.execute(f"DROP DATABASE IF EXISTS `{copy}`")
        assert mariadb_server.execute("SELECT COUNT(*) FROM mysql.user")


@pytest.fixture(scope="module")
def intact(large: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("intact") / "x.dir"
    with opened(large) as target:
        make_dump(target, path, jobs=2)
    return path


def test_a_cancel_behind_a_long_query_leaves_nobody_waiting(
    mariadb_server: MariaDB, large: str, tmp_path: Path
) -> None:
    """mydumper waits for the lock on all tables: whoever writes waits behind it, but no longer than the dump lives."""
    cancellation = Cancellation()
    with opened(large, cancellation) as target, opened(large) as reader, opened(large) as watcher:
        connection = reader.connect(reader.database)
        slow = threading.Thread(target=_update_slowly, args=(reader, connection))
        slow.start()
        wait_for(lambda: _sessions(watcher, "UPDATE one%"))
        ending = threading.Thread(target=_cancel_when_waiting, args=(watcher, cancellation))
        ending.start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            make_dump(target, tmp_path / "x.dir", jobs=2)
        ending.join()
        assert time.monotonic() - began < 25
        wait_for(lambda: not _sessions(watcher, "FLUSH TABLES%"))
        watcher.rows(f"UPDATE `{watcher.database}`.three SET t = t WHERE id = 1")
        for number in _sessions(watcher, "UPDATE one%"):
            watcher.rows(f"KILL QUERY {number}")
        slow.join()


def _update_slowly(target: MysqlTarget, connection: Any) -> None:
    with contextlib.suppress(ServerError):  # it is ended by the test
        target.rows("UPDATE one SET t = '' WHERE id = 1 AND SLEEP(30) = 0", on=connection)


def test_nobody_waits_long_behind_a_dump(
    mariadb_server: MariaDB, large: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dump_directory, "LOCK_WAIT_SECONDS", 0.5)
    with opened(large) as target, opened(large) as writer, opened(large) as watcher:
        slow = threading.Thread(target=_update_slowly, args=(writer, writer.connect(writer.database)))
        slow.start()
        wait_for(lambda: _sessions(watcher, "UPDATE one%"))
        with pytest.raises(ServerError, match="could not hold all tables against writing within"):
            make_dump(target, tmp_path / "x.dir", jobs=2)
        wait_for(lambda: not _sessions(watcher, "FLUSH TABLES%"))
        for number in _sessions(watcher, "UPDATE one%"):
            watcher.rows(f"KILL QUERY {number}")
        slow.join()


def _cancel_when_waiting(watcher: MysqlTarget, cancellation: Cancellation, like: str = "FLUSH TABLES%") -> None:
    wait_for(lambda: _sessions(watcher, like))
    cancellation.request("the test")


def _sessions(watcher: MysqlTarget, like: str) -> list[int]:
    found = watcher.rows(
        "SELECT id FROM information_schema.processlist WHERE info LIKE %(like)s AND id <> connection_id()",
        {"like": like},
    )
    return [int(row["id"]) for row in found]


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def test_a_load_that_is_cancelled_ends_at_once(mariadb_server: MariaDB, large: str, intact: Path) -> None:
    cancellation = Cancellation()
    copy = unique_name("copy")
    with opened(large, cancellation) as target, opened(large) as watcher:
        ending = threading.Thread(target=_cancel_when_waiting, args=(watcher, cancellation, "INSERT INTO%"))
        ending.start()
        try:
            with pytest.raises(Cancelled):
                load_into(target, stored(intact), copy)
        finally:
            ending.join()
            mariadb_server.execute(f"DROP DATABASE IF EXISTS `{copy}`")
    assert not [each for each in threading.enumerate() if each.name == "loading"]


def test_a_table_that_changes_meanwhile_has_everything_dumped_again(
    mariadb_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(mariadb_database) as target, opened(mariadb_database) as other:
        fill(target, ["CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)"])
        changes = iter(["ALTER TABLE t ADD COLUMN b int DEFAULT 7", "", ""])
        real = run_tool

        def change_then_run(*arguments: Any) -> Any:
            if statement := next(changes, ""):
                other.rows(statement.replace("TABLE t", f"TABLE `{other.database}`.t"))
            return real(*arguments)

        monkeypatch.setattr(dump_directory, "run_tool", change_then_run)
        path = tmp_path / "x.dir"
        _, result = make_dump(target, path)
        assert [table.rows for table in result.tables] == [1]
        with open_raw(path / f"{target.database}.t.sql", Compression(CompressionKind.NONE)) as rows:
            assert b"(1,7)" in rows.read()


def test_without_mydumper_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbtui.adapters.mysql.mydumper.INSTALLED", ())
    with pytest.raises(ToolError, match="mydumper is not installed here"):
        find_mydumper({"PATH": str(tmp_path)})
