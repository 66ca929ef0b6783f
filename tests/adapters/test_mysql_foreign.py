"""Dumps that the bare tools make, with whatever options: nothing is lost unsaid, nothing reaches another database."""

import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql import check, contents
from dbtui.demo.servers import MariaDB
from dbtui.errors import DamagedBackupError, ServerError
from dbtui.model.backups import StoredBackup
from dbtui.model.events import Warned
from tests.adapters.mysql_targets import collect, open_mysql, stored_dump
from tests.adapters.test_mysql_load import load_text
from tests.fix_servers import unique_name

TABLE = "CREATE TABLE `t` (`id` int, `e` enum('a'), `u` uuid, `v` varchar(20) CHARACTER SET latin1);\n"
LENIENT = "/*!40101 SET SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;\n"


def problems_of(backup: StoredBackup) -> tuple[list[str], tuple[str, ...]]:
    """What checking the dump warns of, and what it finds."""
    events, problems = collect(check.check_archive(backup, Cancellation()))
    return [event.message for event in events if isinstance(event, Warned)], problems


def bare_dump(server: MariaDB, path: Path, *words: str) -> str:
    """Run mariadb-dump as an operator would, and return what it wrote."""
    options = path.with_suffix(".cnf")
    options.write_text(f'[client]\nsocket={server.socket}\nuser={server.superuser}\npassword="{server.password}"\n')
    with path.open("wb") as file:
        subprocess.run(["mariadb-dump", f"--defaults-file={options}", *words], stdout=file, check=True)
    return path.read_text()


@pytest.mark.parametrize("more", [(), ("--databases",)], ids=" ".join)
def test_a_dump_without_comments_shows_its_end_and_counts_with_its_own_sequence(
    more: tuple[str, ...], mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path
) -> None:
    source = unique_name("source")
    for statement in (
        f"CREATE DATABASE {source}",
        f"CREATE SEQUENCE {source}.counter START 7",
        f"CREATE TABLE {source}.t (id bigint DEFAULT nextval({source}.counter), v text)",
        f"INSERT INTO {source}.t (v) VALUES ('one')",
    ):
        mariadb_server.execute(statement)
    path = tmp_path / "bare.sql"
    text = bare_dump(mariadb_server, path, "--skip-comments", *more, source)
    assert problems_of(stored_dump(path)) == ([], ())
    lines = text.splitlines(keepends=True)
    for cut in range(1, len(lines)):
        if "SQL_NOTES=@OLD_SQL_NOTES" in "".join(lines[:cut]):
            break
        assert problems_of(stored_dump(tmp_path / "cut.sql", "".join(lines[:cut])))[1], f"cut after line {cut}"
    with closing(open_mysql(mariadb_database)) as target:
        load_text(target, path, text)
        before = mariadb_server.execute(f"SELECT next_not_cached_value FROM {source}.counter")
        mariadb_server.execute("INSERT INTO t (v) VALUES ('two')", database=target.database)
        definition = mariadb_server.execute("SHOW CREATE TABLE t", database=target.database)[0][1]
        assert f"nextval(`{target.database}`.`counter`)" in definition
        assert mariadb_server.execute(f"SELECT next_not_cached_value FROM {source}.counter") == before
    mariadb_server.execute(f"DROP DATABASE {source}")


def test_a_dump_that_sets_nothing_cannot_show_its_end(tmp_path: Path) -> None:
    warned, problems = problems_of(stored_dump(tmp_path / "compact.sql", "CREATE TABLE `t` (`id` int);\n"))
    assert problems == ()
    assert warned == [
        "compact.sql does not say which tool wrote it, so nobody can see whether its end is missing",
    ]


@pytest.mark.parametrize("text", ["/*M!999999\\- enable the sandbox mode */ \n", "SET NAMES utf8mb4;\n", "-- x\n;\n"])
def test_a_dump_of_nothing_is_refused(text: str, tmp_path: Path) -> None:
    """Such is the rest of a dump cut after its first line; loaded with --replace it would empty the database."""
    assert problems_of(stored_dump(tmp_path / "cut.sql", text))[1] == ("cut.sql holds nothing that could be restored",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "CREATE TABLE `u` (`i` int);\nINSERT INTO `t` VALUES (1);\n",
            "rows for t, which the dump does not make; make it again without --no-create",
        ),
        (
            "USE `a`;\n" + TABLE + "USE `b`;\n" + TABLE + "USE `b`;\n",
            "a second database, b; a dump of one can be restored",
        ),
        ("SET sql_mode='ANSI';\n" + TABLE.replace("`", '"') + 'INSERT INTO "t" VALUES (1);\n', "without --compatible"),
    ],
)
def test_what_is_refused_says_why_once_and_what_to_do(text: str, reason: str, tmp_path: Path) -> None:
    backup = stored_dump(tmp_path / "odd.sql", text)
    problems = problems_of(backup)[1]
    assert len(problems) == 1, problems
    assert reason in problems[0]
    shown = contents.collect_contents(backup, Cancellation()).warnings
    assert sum(reason in warning for warning in shown) == 1, shown


@pytest.mark.parametrize(
    ("values", "word"), [(b"1,'a',NULL,'\xe9'", "string"), (b"1,'a','\xff',''", "uuid")], ids=["text", "uuid"]
)
def test_a_value_that_the_server_would_lose_ends_the_restore(
    values: bytes, word: str, mariadb_database: str, tmp_path: Path
) -> None:
    """Without strict mode, which dumps switch off, the server stores a question mark or NULL and only warns."""
    text = (LENIENT + TABLE).encode() + b"INSERT INTO `t` VALUES (%s);\n" % values
    with (
        closing(open_mysql(mariadb_database)) as target,
        pytest.raises(ServerError, match=f"lose a value: Incorrect {word}") as e,
    ):
        load_text(target, tmp_path / "latin1.sql", text.decode("utf-8", "surrogateescape"))
    assert e.value.message.startswith("latin1.sql, line 3, rows t: ")
    assert "SET NAMES" in e.value.hint


def test_a_value_that_may_have_been_so_before_is_told(mariadb_database: str, tmp_path: Path) -> None:
    text = LENIENT + TABLE + "INSERT INTO `t` VALUES (1,'',NULL,'x'),(2,'',NULL,'y');\n"
    with closing(open_mysql(mariadb_database)) as target:
        events = load_text(target, tmp_path / "enum.sql", text)
    messages = [event.message for event in events if isinstance(event, Warned)]
    assert messages == ["table t: the server may have changed values: Data truncated for column 'e' at row 1"]


def test_values_of_generated_columns_in_the_shortest_dump(mariadb_database: str, tmp_path: Path) -> None:
    """With --compact nothing switches the strict mode off, in which the server refuses such values."""
    text = "CREATE TABLE `g` (`a` int, `b` int AS (`a` * 2) STORED);\nINSERT INTO `g` VALUES (1,2),(2,4);\n"
    with closing(open_mysql(mariadb_database)) as target:
        load_text(target, tmp_path / "compact.sql", text)
        assert target.rows("SELECT SUM(b) AS total FROM g", on=target.connect(target.database))[0]["total"] == 6


def test_a_cut_dump_is_refused_wherever_it_is_cut(mariadb_database: str, tmp_path: Path) -> None:
    text = "/*!40111 SET @OLD_SQL_NOTES=@@SQL_NOTES, SQL_NOTES=0 */;\n" + TABLE
    with (
        closing(open_mysql(mariadb_database)) as target,
        pytest.raises(DamagedBackupError, match="does not set it back"),
    ):
        load_text(target, tmp_path / "cut.sql", text)
