"""Dumps that try to run programs, read or write files, or change anything outside the database they are loaded into.

Each payload leaves a trace when it is run: a file, a row, a user, a setting. Every one must be refused before the first
statement, by the check and, on its own, by the loader.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql import check, load
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.demo.servers import MariaDB
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import BackupContents, LoadRequest
from dbtui.model.connections import EngineName
from tests.adapters.mysql_targets import drain, profile_of, stored_dump
from tests.fix_servers import unique_name

HEAD = (
    "/*M!999999\\- enable the sandbox mode */ \n"
    "-- MariaDB dump 10.19  Distrib 10.11.19-MariaDB, for debian-linux-gnu (x86_64)\n"
    "-- Host: localhost    Database: erp\n"
    "/*!40101 SET NAMES utf8mb4 */;\n"
    "/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;\n"
)
TAIL = "\n-- Dump completed on 2026-01-01  0:00:00\n"
TABLE = "CREATE TABLE `t` (`a` text);\n"
FUNCTION = (
    "DELIMITER ;;\nCREATE FUNCTION f() RETURNS INT BEGIN DELETE FROM `{victim}`.`v`; RETURN 1; END ;;\nDELIMITER ;\n"
)

PAYLOADS: dict[str, str] = {
    # commands of the mysql client
    "shell escape": "\\! touch {canary}\n",
    "shell escape with a delimiter": "\\! touch {canary};\n",
    "shell escape inside a statement": "SELECT 1 \\! touch {canary}\n;\n",
    "system": "system touch {canary}\n;\n",
    "system in capitals": "SYSTEM touch {canary};\n",
    "source": "source {canary}.sql\n;\n",
    "source by its sign": "\\. {canary}.sql\n;\n",
    "tee": "tee {canary}\n;\n",
    "tee by its sign": "\\T {canary}\n;\n",
    "pager": "pager touch {canary}\n;\n",
    "pager by its sign": "\\P touch {canary}\n;\n",
    "edit": "edit\n;\n",
    "shell escape in a versioned comment": "/*!50000 \\! touch {canary} */;\n",
    "shell escape after another delimiter": "DELIMITER ;;\nSELECT 1;;\n\\! touch {canary}\n;;\nDELIMITER ;\n",
    "a delimiter that is a quotation mark": "DELIMITER '\nSELECT 1 INTO OUTFILE \"{canary}\" '\nDELIMITER ;\n",
    "shell escape behind a sandbox line that is not the first":  # the first is let pass
    "/*M!999999\\- enable the sandbox mode */\n\\! touch {canary}\n;\n",
    # files
    "into outfile": "SELECT 'x' INTO OUTFILE '{canary}';\n",
    "into dumpfile": "SELECT 'x' INTO DUMPFILE '{canary}';\n",
    "into outfile in a comment that every server runs": "/*!50001 SELECT 'x' INTO OUTFILE '{canary}' */;\n",
    "into outfile in MariaDB's comment": "/*M!100100 SELECT 'x' INTO OUTFILE '{canary}' */;\n",
    "into outfile pieced together": "SELECT 'x' /*!50001 INTO*/ /*!50001 OUTFILE*/ '{canary}';\n",
    "into outfile behind a comment some servers skip": "/*!99999 ' */ SELECT 'x' INTO OUTFILE '{canary}' -- ' */;\n",
    "load data": TABLE + "LOAD DATA INFILE '/etc/passwd' INTO TABLE t;\n",
    "load data local": TABLE + "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t;\n",
    "load_file in a row": TABLE + "INSERT INTO `t` VALUES (load_file('/etc/passwd'));\n",
    "table from a query": "CREATE TABLE `t` AS SELECT load_file('/etc/passwd') AS a;\n",
    "table from a query without as": "CREATE TABLE `t` (a text) SELECT load_file('/etc/passwd') AS a;\n",
    "table of another engine": "CREATE TABLE `t` (a text) ENGINE=CONNECT TABLE_TYPE=DOS FILE_NAME='/etc/passwd';\n",
    "table of another engine by default": "SET default_storage_engine='FEDERATED';\nCREATE TABLE `t` (a text);\n",
    "table on another server": "CREATE TABLE `t` (a int) ENGINE=FEDERATED CONNECTION='mysql://u@h/d/t';\n",
    "row from a query": TABLE + "INSERT INTO `t` SELECT load_file('/etc/passwd');\n",
    "row from a subquery": TABLE + "INSERT INTO `t` VALUES ((SELECT load_file('/etc/passwd')));\n",
    # the server as a whole
    "set global": "SET GLOBAL max_connections = 7;\n",
    "set global in short": "SET @@GLOBAL.max_connections = 7;\n",
    "set global second": "SET @a = 1, GLOBAL max_connections = 7;\n",
    "set global behind a comment": "SET /*!50000 GLOBAL */ max_connections = 7;\n",
    "set persist": "SET PERSIST max_connections = 7;\n",
    "set to a query": "SET @a = (SELECT load_file('/etc/passwd'));\n",
    "set statement": "SET STATEMENT max_statement_time=1 FOR DELETE FROM `{victim}`.`v`;\n",
    "create user": "CREATE USER '{user}'@'%';\n",
    "create user pieced together": "CREATE /*!99999 TABLE t (a int) */ /*!50000 USER '{user}'@'%' */;\n",
    "grant": "GRANT ALL ON *.* TO '{user}'@'%' IDENTIFIED BY 'x';\n",
    "install plugin": "INSTALL SONAME 'ha_connect';\n",
    "function of a library": "CREATE FUNCTION sys_exec RETURNS INTEGER SONAME 'udf.so';\n",
    "aggregate of a library": "CREATE AGGREGATE FUNCTION f RETURNS STRING SONAME 'udf.so';\n",
    "create server": "CREATE SERVER s FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'h');\n",
    "shutdown": "SHUTDOWN;\n",
    "kill": "KILL 1;\n",
    "flush": "FLUSH PRIVILEGES;\n",
    "change master": "CHANGE MASTER TO MASTER_HOST='h';\n",
    # other databases
    "rows for another database": "INSERT INTO `{victim}`.`v` VALUES (666);\n",
    "rows for another database with blanks": "INSERT INTO {victim} . v VALUES (666);\n",
    "delete": "DELETE FROM `{victim}`.`v`;\n",
    "update": "UPDATE `{victim}`.`v` SET a = 666;\n",
    "truncate": "TRUNCATE `{victim}`.`v`;\n",
    "drop table elsewhere": "DROP TABLE IF EXISTS `{victim}`.`v`;\n",
    "drop table elsewhere as the second": "DROP TABLE IF EXISTS `t`, `{victim}`.`v`;\n",
    "drop database": "CREATE DATABASE `erp`;\nDROP DATABASE `{victim}`;\n",
    "use another": "USE `erp`;\nUSE `{victim}`;\nDROP TABLE IF EXISTS `v`;\n",
    "create table elsewhere": "CREATE TABLE `{victim}`.`w` (a int);\n",
    "rename": "RENAME TABLE `{victim}`.`v` TO `{victim}`.`w`;\n",
    "alter table rename": TABLE + "ALTER TABLE `t` ADD b int, RENAME `{victim}`.`w`;\n",
    "alter table elsewhere": "ALTER TABLE `{victim}`.`v` ADD b int;\n",
    "exchange partition": "ALTER TABLE `t` EXCHANGE PARTITION p WITH TABLE `{victim}`.`v`;\n",
    "alter another database": "ALTER DATABASE `erp` CHARACTER SET utf8mb4;\n"
    "ALTER DATABASE `{victim}` CHARACTER SET latin1;\n",
    "rows through a view": "CREATE VIEW `w` AS SELECT * FROM `{victim}`.`v`;\nINSERT INTO `w` VALUES (666);\n",
    "rows through a merge table": "CREATE TABLE `w` (a int) ENGINE=MERGE UNION=(`{victim}`.`v`) INSERT_METHOD=LAST;\n"
    "INSERT INTO `w` VALUES (666);\n",
    "table like another": "CREATE TABLE `t` LIKE `{victim}`.`v`;\n",
    "sequence elsewhere": "DO SETVAL(`{victim}`.`s`, 99, 0);\n",
    "lock held by handler": "HANDLER `{victim}`.`v` OPEN;\n",
    # code of the dump itself
    "call": FUNCTION + "CALL f();\n",
    "do": FUNCTION + "DO f();\n",
    "do sleep": "DO SLEEP(1);\n",
    "function in a row": TABLE + FUNCTION + "INSERT INTO `t` VALUES (f());\n",
    "function in a setting": FUNCTION + "SET @a = f();\n",
    "function in setval": FUNCTION + "DO SETVAL(`s`, f(), 0);\n",
    "rows after a trigger": TABLE
    + "DELIMITER ;;\nCREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW DELETE FROM `{victim}`.`v`;;\nDELIMITER ;\n"
    + "INSERT INTO `t` VALUES ('x');\n",
    "duplicate key clause": TABLE + FUNCTION + "INSERT INTO `t` VALUES ('x') ON DUPLICATE KEY UPDATE a = f();\n",
    "returning clause": TABLE + FUNCTION + "INSERT INTO `t` VALUES ('x') RETURNING f();\n",
    "execute immediate": "EXECUTE IMMEDIATE 'DELETE FROM `{victim}`.`v`';\n",
    "prepare": "SET @q = 'DELETE FROM `{victim}`.`v`';\nPREPARE s FROM @q;\nEXECUTE s;\n",
    "compound statement": "BEGIN NOT ATOMIC DELETE FROM `{victim}`.`v`; END;\n",
    "begin with more": "BEGIN; DELETE FROM `{victim}`.`v`;\n",
    "signal": "SIGNAL SQLSTATE '45000';\n",
    # tricks with reading
    "statement in a string that ends early": TABLE
    + "INSERT INTO `t` VALUES ('a');\nDELETE FROM `{victim}`.`v`; -- ');\n",
    "backslash mode": TABLE
    + "SET sql_mode='NO_BACKSLASH_ESCAPES';\nINSERT INTO `t` VALUES ('\\');\nDELETE FROM `{victim}`.`v`; -- ');\n",
    "backslash mode on some servers": TABLE + "/*!50799 SET sql_mode='NO_BACKSLASH_ESCAPES' */;\n"
    "INSERT INTO `t` VALUES ('\\');\nDELETE FROM `{victim}`.`v`; -- ');\n",
    "character set that eats a backslash": TABLE + "SET NAMES gbk;\nINSERT INTO `t` VALUES ('x');\n",
    "nested versioned comments": "/*!50001 /*!50001 DELETE FROM `{victim}`.`v` */ */;\n",
    "unended comment": "/*!50001 DELETE FROM `{victim}`.`v`;\n",
    "unended string": TABLE + "INSERT INTO `t` VALUES ('x;\n",
    "two statements under another delimiter": "DELIMITER //\nDROP TABLE IF EXISTS t; "
    "DELETE FROM `{victim}`.`v` //\nDELIMITER ;\n",
    "hint that sets": "INSERT /*+ SET_VAR(sql_log_bin=0) */ INTO `t` VALUES ('x');\n",
    "byte order mark": "\ufeffDELETE FROM `{victim}`.`v`;\n",
    "carriage returns": "DELETE\r\nFROM `{victim}`.`v`;\r\n",
    "newline in a name": "-- Table `x\nDELETE FROM `{victim}`.`v`;\n-- `\n",
}


@pytest.fixture(scope="module")
def watcher(mariadb_server: MariaDB) -> Iterator[MysqlTarget]:
    """A login of root that looks on."""
    target = MysqlTarget(*profile_of(mariadb_server.url("")), Cancellation(), {})
    yield target
    target.close()


@pytest.fixture(scope="module")
def victim(watcher: MysqlTarget) -> Iterator[str]:
    """A database that nothing may touch; since nothing does, it serves for all payloads."""
    name = unique_name("victim")
    for sql in (
        f"CREATE DATABASE `{name}`",
        f"CREATE TABLE `{name}`.`v` (a int)",
        f"CREATE SEQUENCE `{name}`.`s`",
        f"INSERT INTO `{name}`.`v` VALUES (1)",
    ):
        watcher.rows(sql)
    yield name
    watcher.rows(f"DROP DATABASE `{name}`")


@pytest.fixture
def target(watcher: MysqlTarget) -> Iterator[MysqlTarget]:
    """The login that restores. Its database is empty before each payload."""
    watcher.rows("CREATE OR REPLACE DATABASE `hostile`")
    yield watcher
    watcher.rows("DROP DATABASE `hostile`")


def surroundings(watcher: MysqlTarget, victim: str) -> list[object]:
    """What a dump must not change."""
    return [
        watcher.rows(sql, {"victim": victim})
        for sql in (
            f"SELECT * FROM `{victim}`.`v`",
            f"SELECT next_not_cached_value FROM `{victim}`.`s`",
            "SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = %(victim)s ORDER BY 1",
            "SELECT default_character_set_name FROM information_schema.schemata WHERE schema_name = %(victim)s",
            "SELECT user, host FROM mysql.user ORDER BY 1, 2",
            "SELECT @@global.max_connections, (SELECT COUNT(*) FROM mysql.func), (SELECT COUNT(*) FROM mysql.servers)",
        )
    ]


@pytest.mark.parametrize("name", PAYLOADS)
def test_hostile_dump_is_refused_and_leaves_no_trace(
    name: str, mariadb_server: MariaDB, target: MysqlTarget, victim: str, tmp_path: Path
) -> None:
    # A directory that the server's account may write to, so that a file could really appear.
    canary = mariadb_server.home / unique_name("canary")
    text = PAYLOADS[name]
    for word, value in {"{canary}": str(canary), "{victim}": victim, "{user}": "intruder"}.items():
        text = text.replace(word, value)
    backup = stored_dump(tmp_path / "hostile.sql", HEAD + text + TAIL)
    before = surroundings(target, victim)

    problems = drain(check.check_archive(backup, Cancellation()))
    assert problems, "the check found nothing"
    assert "hostile.sql" in problems[0]

    request = LoadRequest(backup=backup, contents=BackupContents(engine=EngineName.MYSQL), database="hostile")
    with pytest.raises(DamagedBackupError) as refused:
        drain(load.load(target, request))
    assert "\n" not in str(refused.value)
    assert surroundings(target, victim) == before
    assert not canary.exists()


def test_the_canary_would_sing(mariadb_server: MariaDB) -> None:
    canary = mariadb_server.home / unique_name("canary")
    mariadb_server.execute(f"SELECT 'x' INTO OUTFILE '{canary}'")
    assert canary.exists()


def test_there_are_enough_payloads() -> None:
    assert len(PAYLOADS) >= 60
