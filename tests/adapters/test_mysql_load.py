"""Loading: what goes wrong is told with its place and without the data; a foreign dump gets no more than it needs."""

import threading
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql import contents, databases, load
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.sql_lexer import Statement
from dbtui.adapters.mysql.statements import Verdict
from dbtui.demo.servers import MariaDB
from dbtui.errors import Cancelled, DamagedBackupError, RefusedError, ServerError
from dbtui.model.backups import LoadRequest, StoredBackup
from dbtui.model.events import Progressed, Warned
from tests.adapters.mysql_samples import fill, rows_of
from tests.adapters.mysql_targets import collect, open_mysql, stored_dump
from tests.adapters.test_mysql_round_trip import make_dump
from tests.fix_servers import unique_name

HEAD = (
    "-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)\n"
    "-- Host: db1    Database: erp\n-- Server version\t8.0.36\n"
)
TAIL = "\n-- Dump completed on 2026-01-01\n"


def request_for(backup: StoredBackup, database: str) -> LoadRequest:
    return LoadRequest(backup=backup, contents=contents.collect_contents(backup, Cancellation()), database=database)


def load_text(target: MysqlTarget, path: Path, text: str) -> list[object]:
    return collect(load.load(target, request_for(stored_dump(path, text), target.database)))[0]


def test_an_error_names_file_line_and_table_but_no_data(mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database)
    text = HEAD + "CREATE TABLE t (id int, s varchar(20) PRIMARY KEY);\nINSERT INTO t VALUES (1,'hidden');\n"
    text += "INSERT INTO t VALUES\n(2,'secret'),\n(3,'hidden');\n"
    with pytest.raises(ServerError) as failed:
        load_text(target, tmp_path / "bad.sql", text + TAIL)
    assert failed.value.code == "1062"
    assert failed.value.message.startswith("bad.sql, line 6, rows t: Duplicate entry")
    assert "secret" not in str(failed.value)
    assert "hidden" not in str(failed.value)
    target.rows("DROP TABLE t", on=target.connect(target.database))
    with pytest.raises(ServerError) as failed:
        load_text(target, tmp_path / "bad.sql", HEAD + "CREATE TABLE t (id int, oops 'confidential');\n" + TAIL)
    assert failed.value.code == "1064"
    assert "confidential" not in str(failed.value)
    target.close()


@pytest.mark.parametrize("ending", ["", "INSERT INTO `t` VALUES (1", "INSERT INTO `t` VALUES (3);\n", "/*!40101 SET "])
def test_a_truncated_dump_is_refused(ending: str, mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database)
    with pytest.raises(DamagedBackupError):
        load_text(target, tmp_path / "cut.sql", HEAD + "CREATE TABLE t (id int);\n" + ending)
    target.close()


def test_a_packet_larger_than_the_server_takes_names_the_setting(
    mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path
) -> None:
    target = open_mysql(mariadb_database)
    limit = int(mariadb_server.execute("SELECT @@max_allowed_packet")[0][0])
    path = tmp_path / "large.sql"
    text = HEAD + "CREATE TABLE t (a longtext);\nINSERT INTO t VALUES ('" + "x" * limit + "');\n" + TAIL
    with pytest.raises(RefusedError) as refused:
        load_text(target, path, text)
    assert "large.sql, line 5" in refused.value.message
    assert "max_allowed_packet" in refused.value.message
    assert "SET GLOBAL max_allowed_packet = " in refused.value.hint
    target.close()


def test_a_load_is_cancelled_in_the_middle_of_a_statement(
    mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path
) -> None:
    cancellation = Cancellation()
    target, holder = open_mysql(mariadb_database, cancellation), open_mysql(mariadb_database)
    fill(holder, ["CREATE TABLE t (a int)"])
    lock = holder.connect(holder.database)
    holder.rows("LOCK TABLES t WRITE", on=lock)
    threading.Timer(0.5, cancellation.request).start()
    with pytest.raises(Cancelled):
        load_text(target, tmp_path / "x.sql", HEAD + "DROP TABLE IF EXISTS `t`;\n" + TAIL)
    assert mariadb_server.execute("SELECT id FROM information_schema.processlist WHERE info LIKE 'DROP TABLE%%'") == []
    for one in (holder, target):
        one.close()


def test_progress_goes_to_the_end(mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database)
    fill(target, ["CREATE TABLE t (a longtext)", "INSERT INTO t SELECT repeat('y', 1000000) FROM seq_1_to_30"])
    backup, _ = make_dump(target, tmp_path)
    copy = unique_name("copy")
    databases.create_database(target, copy, "", contents.collect_contents(backup, Cancellation()))
    events, _ = collect(load.load(target, request_for(backup, copy)))
    done = [event for event in events if isinstance(event, Progressed)]
    assert done == sorted(done, key=lambda event: event.done)
    assert {event.total for event in done} == {Path(backup.data_path).stat().st_size}
    assert done[-1].detail == "t"
    databases.drop_database(target, copy)
    target.close()


def test_a_plain_login_restores_what_root_defined(
    mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path
) -> None:
    """Without SUPER nobody may name another account as definer: objects then run as the restoring login."""
    target = open_mysql(mariadb_database)
    fill(target, [
        "CREATE TABLE t (a int)",
        "CREATE DEFINER='ghost'@'nowhere' VIEW v AS SELECT a FROM t",
        "CREATE DEFINER='ghost'@'nowhere' TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1",
        "CREATE DEFINER='ghost'@'nowhere' PROCEDURE p() SELECT 1",
    ])  # fmt: skip
    target.rows("DROP VIEW v", on=target.connect(target.database))
    fill(target, ["CREATE VIEW v AS SELECT a FROM t"])
    backup, _ = make_dump(target, tmp_path)
    user, copy = unique_name("u"), unique_name("copy")
    mariadb_server.execute(f"CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY 'p'")
    mariadb_server.execute(f"GRANT ALL ON `{copy}`.* TO '{user}'@'127.0.0.1'")
    plain = open_mysql(mariadb_server.url("", user, "p"))
    databases.create_database(plain, copy, "", contents.collect_contents(backup, Cancellation()))
    events, _ = collect(load.load(plain, request_for(backup, copy)))
    assert any(isinstance(event, Warned) and f"now run as {user}@127.0.0.1" in event.message for event in events)
    assert plain.collect("definers", schema=copy) == [{"definer": f"{user}@127.0.0.1"}]
    databases.drop_database(plain, copy)
    for one in (plain, target):
        one.close()


def test_definers_that_are_not_here_are_kept_by_root(mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database)
    text = (
        "CREATE TABLE t (a int);\n/*!50003 CREATE*/ /*!50017 DEFINER=`ghost`@`nowhere`*/ "
        "/*!50003 TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1 */;\n"
    )
    load_text(target, tmp_path / "x.sql", HEAD + text + TAIL)
    assert target.collect("definers", schema=target.database) == [{"definer": "ghost@nowhere"}]
    target.close()


def test_names_of_the_dumped_database_do_not_lead_back_to_it(
    mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path
) -> None:
    target = open_mysql(mariadb_database)
    text = (
        "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `erp` /*!40100 DEFAULT CHARACTER SET utf8mb4 */;\nUSE `erp`;\n"
        "CREATE TABLE t (a int);\nINSERT INTO t VALUES (1),(2);\n"
        "ALTER DATABASE `erp` CHARACTER SET latin1 COLLATE latin1_bin ;\n"
        "DELIMITER ;;\nCREATE TRIGGER `erp`.`g` BEFORE INSERT ON `erp`.`t` FOR EACH ROW SET NEW.a = 7;;\nDELIMITER ;\n"
    )
    load_text(target, tmp_path / "x.sql", HEAD + text + TAIL)
    assert rows_of(target, target.database) == {"t": [(1,), (2,)]}
    assert target.collect("find_schema", schema=target.database)[0]["collation"] == "latin1_bin"
    assert not target.collect("find_schema", schema="erp")
    assert [row["name"] for row in target.collect("trigger_names", schema=target.database)] == ["g"]
    target.close()


def test_a_read_only_profile_loads_nothing(mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database, read_only=True)
    with pytest.raises(RefusedError, match="read-only"):
        load_text(target, tmp_path / "x.sql", HEAD + "CREATE TABLE t (a int);\n" + TAIL)
    target.close()


def test_a_mode_that_mysql_8_has_forgotten_is_left_out() -> None:
    modes = b"SET sql_mode = 'STRICT_TRANS_TABLES,NO_AUTO_CREATE_USER,NO_ENGINE_SUBSTITUTION'"
    statement, verdict = Statement(modes, 1, len(modes)), Verdict("setting")
    left = load._second_text(statement, verdict, {}, 1231)
    assert left == b"SET sql_mode = 'STRICT_TRANS_TABLES,NO_ENGINE_SUBSTITUTION'"
    assert load._second_text(statement, verdict, {}, 1227) is None
    last = Statement(b"SET sql_mode = 'ANSI,NO_AUTO_CREATE_USER'", 1, 40)
    assert load._second_text(last, verdict, {}, 1231) == b"SET sql_mode = 'ANSI'"
