"""Dumping: what happens meanwhile, what is seen of it from outside, and what is left when it does not end well."""

import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql import dump, facts
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.demo.servers import MariaDB
from dbtui.errors import Cancelled, DbtuiError, ToolError
from dbtui.model.backups import DumpOptions, DumpRequest, DumpResult
from dbtui.model.events import CommandRan, Progressed, Routine, Warned
from tests.adapters.mysql_samples import fill
from tests.adapters.mysql_targets import collect, open_mysql

#: Enough that the tool fills the pipe and waits for us while the test does something else.
LARGE = [
    "CREATE TABLE a (id int PRIMARY KEY AUTO_INCREMENT, t longtext)",
    "INSERT INTO a (t) SELECT repeat('0123456789abcdef', 62500) FROM seq_1_to_50",
    "CREATE TABLE z (id int)",
    "INSERT INTO z VALUES (1), (2)",
]


def begin(target: MysqlTarget, path: Path) -> Routine[DumpResult]:
    found = facts.collect_dump_facts(target, DumpOptions())
    return dump.dump(target, DumpRequest(partial_path=str(path), options=DumpOptions(), facts=found))


def until_progress(routine: Routine[DumpResult]) -> Progressed:
    while not isinstance(event := next(routine), Progressed):
        pass
    return event


def tools_of_ours() -> list[psutil.Process]:
    return [one for one in psutil.Process().children(recursive=True) if "dump" in one.name()]


@pytest.fixture
def large(mariadb_database: str) -> Iterator[MysqlTarget]:
    target = open_mysql(mariadb_database)
    fill(target, LARGE)
    yield target
    target.close()


def test_progress_names_the_table_and_no_secret_is_seen_anywhere(
    large: MysqlTarget, mariadb_server: MariaDB, tmp_path: Path
) -> None:
    routine = begin(large, tmp_path / "d.sql")
    first = next(routine), next(routine)
    assert isinstance(first[1], CommandRan)
    event = until_progress(routine)
    assert event.detail == "a"
    assert event.done > 0
    (tool,) = tools_of_ours()
    seen = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in psutil.pids() if Path(f"/proc/{pid}/cmdline").exists()]
    assert not any(mariadb_server.password.encode() in words for words in seen)
    assert mariadb_server.password not in str(tool.environ())
    assert not any(name.startswith(("MYSQL", "MARIADB", "PG")) for name in tool.environ())
    login = next(word for word in tool.cmdline() if word.startswith("--defaults-file="))
    assert tool.cmdline().index(login) == 1
    file = Path(login.partition("=")[2])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    events, result = collect(routine)
    assert not file.exists()
    assert mariadb_server.password not in str([*first, *events])
    assert mariadb_server.password not in str(result)
    assert {table.name: table.rows for table in result.tables} == {"a": 50, "z": 2}
    assert stat.S_IMODE((tmp_path / "d.sql").stat().st_mode) == 0o600
    assert (tmp_path / "d.sql").stat().st_size == result.uncompressed_bytes == result.files[0].size_bytes


def test_a_change_of_structure_makes_it_begin_again(large: MysqlTarget, tmp_path: Path) -> None:
    routine = begin(large, tmp_path / "d.sql")
    until_progress(routine)
    large.rows("ALTER TABLE z ADD b int, ENGINE=InnoDB", on=large.connect(large.database))
    events, result = collect(routine)
    warnings = [event for event in events if isinstance(event, Warned)]
    assert len(warnings) == 1
    assert "begins again" in warnings[0].message
    assert b"`b` int" in (tmp_path / "d.sql").read_bytes()
    assert {table.name: table.rows for table in result.tables} == {"a": 50, "z": 2}


def test_a_structure_that_never_rests_is_an_error(large: MysqlTarget, tmp_path: Path) -> None:
    routine = begin(large, tmp_path / "d.sql")
    changing = large.connect(large.database)
    with pytest.raises(ToolError, match="structure of"):
        for number in range(1000):
            until_progress(routine)
            large.rows(f"ALTER TABLE z ADD b{number} int, ENGINE=InnoDB", on=changing)
    assert not tools_of_ours()


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_a_dump_that_is_stopped_leaves_nothing(
    how: str, mariadb_server: MariaDB, large: MysqlTarget, mariadb_database: str, tmp_path: Path
) -> None:
    cancellation = Cancellation()
    target = open_mysql(mariadb_database, cancellation)
    routine = begin(target, tmp_path / "d.sql")
    until_progress(routine)
    (tool,) = tools_of_ours()
    if how == "cancel":
        cancellation.request("Ctrl-C")
        with pytest.raises(Cancelled, match="Ctrl-C"):
            collect(routine)
    else:
        routine.close()
    assert not tool.is_running()
    target.close()
    wait_until(lambda: sessions_reading(mariadb_server, target.database) == [])


def sessions_reading(server: MariaDB, database: str) -> list[tuple[object, ...]]:
    return server.execute(
        "SELECT id FROM information_schema.processlist WHERE db = %s AND info LIKE 'SELECT /*!40001%%'", [database]
    )


def wait_until(is_so: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def test_a_dump_that_waits_for_a_lock_is_stopped_on_the_server_too(
    mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path
) -> None:
    cancellation = Cancellation()
    target, holder = open_mysql(mariadb_database, cancellation), open_mysql(mariadb_database)
    fill(target, ["CREATE TABLE t (id int)"])
    lock = holder.connect(holder.database)
    holder.rows("LOCK TABLES t WRITE", on=lock)
    routine = begin(target, tmp_path / "d.sql")
    ended: list[DbtuiError] = []

    events: list[object] = []

    def run() -> None:
        try:
            for event in routine:
                events.append(event)
        except DbtuiError as error:
            ended.append(error)

    def waiting() -> list[object]:
        said = "SELECT id FROM information_schema.processlist WHERE db = %s AND state LIKE 'Waiting for table%%'"
        return list(mariadb_server.execute(said, [target.database]))

    thread = threading.Thread(target=run)
    thread.start()
    wait_until(lambda: bool(waiting()))
    wait_until(lambda: len(events) > 3)
    cancellation.request()
    thread.join(20)
    assert isinstance(ended[0], Cancelled)
    wait_until(lambda: not waiting())
    assert not tools_of_ours()
    for one in (target, holder):
        one.close()


def test_a_tool_that_fails_is_quoted(mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database)
    fill(target, ["CREATE TABLE t (id int)", "CREATE VIEW v AS SELECT id FROM t", "DROP TABLE t"])
    with pytest.raises(ToolError, match="references invalid table") as failed:
        collect(begin(target, tmp_path / "d.sql"))
    assert "\n" not in str(failed.value)
    target.close()


def test_a_tool_that_is_killed_is_no_success(large: MysqlTarget, tmp_path: Path) -> None:
    routine = begin(large, tmp_path / "d.sql")
    until_progress(routine)
    (tool,) = tools_of_ours()
    tool.kill()
    with pytest.raises(ToolError, match="SIGKILL"):
        collect(routine)


def test_a_tool_that_says_nothing_at_its_end_is_no_success(large: MysqlTarget, tmp_path: Path) -> None:
    """A tool that exits with 0 before its last line has written half a dump."""
    half = tmp_path / "bin" / "mariadb-dump"
    half.parent.mkdir()
    half.write_text(
        '#!/bin/sh\nfor word; do case "$word" in --version) exec mariadb-dump --version;; esac; done\n'
        'mariadb-dump "$@" | head -c 1000\n'
    )
    half.chmod(0o755)
    large.environ = {**large.environ, "DBTUI_MYSQL_BIN": str(half.parent)}
    with pytest.raises(ToolError, match="without its last line"):
        collect(begin(large, tmp_path / "d.sql"))


def test_an_existing_file_is_not_overwritten(large: MysqlTarget, tmp_path: Path) -> None:
    (tmp_path / "d.sql").write_text("precious")
    with pytest.raises(DbtuiError):
        collect(begin(large, tmp_path / "d.sql"))
    assert (tmp_path / "d.sql").read_text() == "precious"
