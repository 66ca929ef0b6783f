"""What is seen before a dump and before a restore."""

import threading
from collections.abc import Iterator

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql import databases, facts
from dbtui.adapters.mysql.backups import MysqlBackups
from dbtui.demo.servers import MariaDB
from dbtui.errors import ConnectError, RefusedError
from dbtui.model.backups import BackupContents, DumpFacts, DumpOptions, StoredBackup
from dbtui.model.connections import EngineName
from tests.adapters.mysql_samples import fill
from tests.adapters.mysql_targets import open_mysql, stored_dump
from tests.fix_servers import unique_name

TABLES = [
    "CREATE TABLE a (id int)",
    "CREATE TABLE b (id int) ENGINE=MyISAM",
    "CREATE SEQUENCE s",
    "CREATE VIEW good AS SELECT id FROM a",
    "CREATE TABLE gone (id int)",
    "CREATE VIEW broken AS SELECT id FROM gone",
    "DROP TABLE gone",
    "CREATE PROCEDURE p() SELECT 1",
    "CREATE DEFINER='ghost'@'nowhere' EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1",
]


def look(url: str, **options: object) -> DumpFacts:
    target = open_mysql(url)
    try:
        return facts.collect_dump_facts(target, DumpOptions(**options))  # type: ignore[arg-type]
    finally:
        target.close()


def test_tables_views_and_definers(mariadb_database: str) -> None:
    target = open_mysql(mariadb_database)
    fill(target, TABLES)
    target.close()
    found = look(mariadb_database)
    assert [(table.name, table.is_transactional) for table in found.tables] == [("a", True), ("b", False)]
    assert len(found.broken_objects) == 1
    assert found.broken_objects[0].startswith("view broken: ")
    assert found.roles == ("ghost@nowhere", "root@127.0.0.1")
    assert found.tool_version.startswith(found.info.version.rpartition(".")[0])
    assert found.remarks == ()
    assert found.missing_privileges == ()


def test_a_broken_view_can_be_left_out(mariadb_database: str) -> None:
    target = open_mysql(mariadb_database)
    fill(target, TABLES)
    target.close()
    assert look(mariadb_database, exclude_tables=("broken",)).broken_objects == ()
    found = look(mariadb_database, tables=("a", "nothing*"))
    assert [table.name for table in found.tables] == ["a"]
    assert found.unmatched == ("nothing*",)


@pytest.fixture
def guest(mariadb_server: MariaDB) -> Iterator[str]:
    name = unique_name("guest")
    mariadb_server.execute(f"CREATE USER '{name}'@'127.0.0.1' IDENTIFIED BY 'p'")
    yield name
    mariadb_server.execute(f"DROP USER '{name}'@'127.0.0.1'")


def test_missing_privileges_come_with_their_grant(mariadb_server: MariaDB, mariadb_database: str, guest: str) -> None:
    target = open_mysql(mariadb_database)
    fill(target, TABLES)
    target.rows("DROP VIEW broken", on=target.connect(target.database))
    name = target.database
    target.close()
    mariadb_server.execute(f"GRANT SELECT, EXECUTE ON `{name}`.* TO '{guest}'@'127.0.0.1'")
    url = mariadb_server.url(name, guest, "p")
    found = look(url)
    assert len(found.missing_privileges) == 2
    grant = found.missing_privileges[0].partition(": ")[2]
    assert grant.startswith("GRANT SHOW VIEW, TRIGGER, EVENT ON")
    routines = found.missing_privileges[1].rpartition(": ")[2]
    assert routines.startswith("GRANT SELECT ON mysql.proc TO")
    for statement in (grant, routines):
        mariadb_server.execute(statement)
    assert look(url).missing_privileges == ()
    mariadb_server.execute(f"REVOKE SELECT ON `{name}`.* FROM '{guest}'@'127.0.0.1'")
    mariadb_server.execute(f"GRANT SELECT ON `{name}`.a TO '{guest}'@'127.0.0.1'")
    assert {table.name: table.is_readable for table in look(url).tables} == {"a": True, "b": False}


def test_a_database_that_does_not_exist(mariadb_server: MariaDB) -> None:
    with pytest.raises(ConnectError, match="database nowhere does not exist"):
        look(mariadb_server.url("nowhere"))
    with pytest.raises(ConnectError, match="names no database"):
        look(mariadb_server.url(""))


def test_who_holds_locks_is_named(mariadb_database: str) -> None:
    target, stop = open_mysql(mariadb_database), Cancellation()
    fill(target, ["CREATE TABLE a (id int)"])
    reader = target.connect(target.database)
    target.rows("BEGIN", on=reader)
    target.rows("SELECT * FROM a", on=reader)
    other = open_mysql(mariadb_database, stop)
    changing = other.connect(other.database)
    thread = threading.Thread(target=_swallow, args=(other, changing, "ALTER TABLE a ADD b int"))
    thread.start()
    try:
        while not (holders := facts.collect_dump_facts(target, DumpOptions()).lock_holders):
            pass
        assert "ALTER TABLE a ADD b int" in holders[0]
        assert "of root" in holders[0]
    finally:
        stop.request()
        thread.join()
        target.close()
        other.close()


def test_the_age_of_a_transaction_whatever_the_time_zone_of_the_session(mariadb_database: str) -> None:
    target = open_mysql(mariadb_database)
    fill(target, ["CREATE TABLE a (id int) ENGINE=InnoDB"])
    holder = target.connect(target.database)
    target.rows("BEGIN", on=holder)
    target.rows("INSERT INTO a VALUES (1)", on=holder)
    target.rows("SET time_zone = '+05:00'")
    number = int(holder.thread_id())  # type: ignore[no-untyped-call]
    while not (found := [row for row in target.collect("long_transactions", seconds=0) if row["id"] == number]):
        pass
    assert 0 <= found[0]["seconds"] < 600
    target.close()


def _swallow(target: object, connection: object, sql: str) -> None:
    from dbtui.errors import Cancelled

    with pytest.raises(Cancelled):
        target.rows(sql, on=connection)  # type: ignore[attr-defined]


def test_before_a_restore(mariadb_server: MariaDB, mariadb_database: str, guest: str, tmp_path: object) -> None:
    target = open_mysql(mariadb_database)
    contents = BackupContents(engine=EngineName.MYSQL, roles=("root@localhost", "ghost@nowhere"))
    backup: StoredBackup = stored_dump(__import__("pathlib").Path(str(tmp_path)) / "x.sql", "x")
    found = databases.collect_restore_facts(target, backup, contents, target.database)
    assert (found.destination.exists, found.destination.tables) == (True, 0)
    assert found.missing_roles == ("ghost@nowhere",)
    assert found.can_create_database
    assert target.database in found.taken_names
    assert found.free_bytes is None or found.free_bytes > 0
    fill(target, ["CREATE VIEW v AS SELECT 1 AS a"])
    assert databases.collect_destination(target, target.database).tables == 1
    assert not databases.collect_destination(target, "nowhere").exists
    assert databases.collect_restore_facts(target, backup, contents, "mysql").refusals
    with pytest.raises(RefusedError):
        databases.drop_database(target, "mysql")
    poor = open_mysql(mariadb_server.url("", guest, "p"))
    assert not databases.collect_restore_facts(poor, backup, contents, "new_one").can_create_database
    for one in (poor, target):
        one.close()


def test_a_new_database_takes_after_another(mariadb_server: MariaDB, mariadb_database: str) -> None:
    target = open_mysql(mariadb_database)
    target.rows(f"ALTER DATABASE `{target.database}` CHARACTER SET latin1 COLLATE latin1_bin")
    made = unique_name("made")
    databases.create_database(target, made, target.database, BackupContents(engine=EngineName.MYSQL))
    assert target.collect("find_schema", schema=made)[0]["collation"] == "latin1_bin"
    databases.drop_database(target, made)
    databases.drop_database(target, made)
    target.close()


def test_names_fit_the_servers_limit(mariadb_database: str) -> None:
    target, backups = open_mysql(mariadb_database), MysqlBackups()
    long = "x" * 64
    assert backups.new_name(target, "erp", "_restored") == "erp_restored"
    kept = backups.new_name(target, long, "_kept_20261122t150000z")
    assert (len(kept), kept[40:]) == (64, "xx_kept_20261122t150000z")
    target.close()
