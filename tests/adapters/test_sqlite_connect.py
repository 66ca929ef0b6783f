"""Opening a file: whatever its name, never making one, and one sentence when it cannot be."""

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite import connect
from dbtui.adapters.sqlite.adapter import ADAPTER
from dbtui.adapters.sqlite.locations import path_of
from dbtui.adapters.sqlite.translate import sqlite_errors
from dbtui.errors import Cancelled, ConnectError, UsageError
from dbtui.model.connections import ConnectionProfile, EngineName
from tests.adapters.sqlite_files import make_database, opened, profile_of

NAMES = [
    "plain.db",
    "with space.db",
    "what?.db",
    "a#b.db",
    "100%.db",
    "%41.db",
    "new\nline.db",
    "[red]b[bold].db",
    "-rf.db",
    "qu'o\"te.db",
    "ümläut.db",
    "a&b=c;d.db",
    "no extension",
]


@pytest.mark.parametrize("name", NAMES, ids=repr)
def test_a_file_of_any_name_is_the_one_that_is_opened(tmp_path: Path, name: str) -> None:
    path = make_database(tmp_path / name, rows=3)
    with opened(path) as target:
        status = ADAPTER.collect_status(target)
        assert status.tables == 8
        assert status.size_bytes == path.stat().st_size
        assert (status.sessions_used, status.sessions_available, status.problem) == (None, None, "")
        assert target.info.flavour == "SQLite"
        assert target.info.version == sqlite3.sqlite_version
    assert [each.name for each in tmp_path.iterdir()] == [name]


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.db"))
    make_database(path, rows=3)
    profile = ConnectionProfile(name="x", engine=EngineName.SQLITE, url=f"sqlite:///{path}")
    target = connect.open_target(profile, None, Cancellation(), {})
    assert ADAPTER.collect_status(target).tables == 8
    target.close()


def test_a_relative_path_starts_where_the_program_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_database(tmp_path / "app.db", rows=3)
    monkeypatch.chdir(tmp_path)
    with opened("app.db") as target:
        assert target.path == tmp_path / "app.db"
        assert target.reader()


def test_the_size_of_a_log_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "app.db"
    with contextlib.closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = WAL")
        writer.execute("CREATE TABLE t (a)")
        writer.commit()
        with opened(path) as target:
            log = tmp_path / "app.db-wal"
            assert log.stat().st_size
            assert ADAPTER.collect_status(target).size_bytes == path.stat().st_size + log.stat().st_size


def test_an_absent_file_is_told_when_something_of_it_is_asked_and_not_made(tmp_path: Path) -> None:
    with opened(tmp_path / "gone.db") as target, pytest.raises(ConnectError, match=r"there is no file .*gone\.db"):
        ADAPTER.collect_status(target)
    assert not list(tmp_path.iterdir())


def test_an_absent_directory(tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match=r"there is no directory .*nowhere"), opened(tmp_path / "nowhere" / "x.db"):
        raise AssertionError


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match=r"is a directory; name the database file in it"), opened(tmp_path):
        raise AssertionError


def test_a_socket_is_no_file(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        with pytest.raises(ConnectError, match=r"is not a regular file"), opened(tmp_path / "s"):
            raise AssertionError


@pytest.mark.parametrize(
    "content", [b"hello world, I am no database" * 100, os.urandom(4096)], ids=["text", "encrypted"]
)
def test_a_file_that_is_no_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.db"
    path.write_bytes(content)
    with pytest.raises(ConnectError, match=r"x\.db is no SQLite database, or it is encrypted"), opened(path):
        raise AssertionError
    assert path.read_bytes() == content


def test_an_empty_file_is_an_empty_database(tmp_path: Path) -> None:
    (tmp_path / "x.db").touch()
    with opened(tmp_path / "x.db") as target:
        assert ADAPTER.collect_status(target).tables == 0


@pytest.mark.parametrize("query", ["?mode=memory", "?cache=shared"])
def test_parameters_in_the_url_are_told(query: str) -> None:
    profile = ConnectionProfile(name="x", engine=EngineName.SQLITE, url=f"sqlite:///x.db{query}")
    with pytest.raises(UsageError, match=r"%3F"):
        connect.open_target(profile, None, Cancellation(), {})


BECOME_NOBODY = "os.setgroups([]); os.setgid(65534); os.setuid(65534)"
AS_NOBODY = """
import os, sys
sys.path.insert(0, sys.argv[1])
from tests.adapters.sqlite_files import profile_of
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.sqlite import connect
from dbtui.errors import ConnectError
connect.sql("touch")  # all that is read from this checkout is read before the user changes
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    target = connect.open_target(profile_of(sys.argv[2]), None, Cancellation(), {})
    print("looked at")
    target.reader()
except ConnectError as error:
    print(error)
"""


def said_to_nobody(path: Path) -> str:
    """What an unprivileged user is told. An ordinary user is that already, root becomes one."""
    program = AS_NOBODY if os.geteuid() == 0 else AS_NOBODY.replace(BECOME_NOBODY, "")
    root = str(Path(__file__).parents[2])
    ran = subprocess.run([sys.executable, "-c", program, root, str(path)], capture_output=True, text=True, check=False)
    return ran.stdout + ran.stderr


def test_a_file_that_may_not_be_read(short_directory: Path) -> None:
    path = make_database(short_directory / "app.db", rows=3)
    short_directory.chmod(0o755)
    path.chmod(0o000)
    assert "app.db may not be read by this user; run as a user that may read it" in said_to_nobody(path)


def test_a_log_in_a_directory_that_cannot_be_written(short_directory: Path) -> None:
    path = make_database(short_directory / "app.db", wal=True, rows=3)
    path.chmod(0o644)
    short_directory.chmod(0o555)
    try:
        said = said_to_nobody(path)
        assert said.startswith("looked at"), "nobody has it open, so a look needs no log"
        assert "keeps a write-ahead log, and its directory cannot be written" in said
    finally:
        short_directory.chmod(0o755)


def test_nothing_is_written_by_looking(tmp_path: Path) -> None:
    path = make_database(tmp_path / "app.db", rows=3)
    before = path.read_bytes(), path.stat().st_mtime_ns
    with opened(path) as target:
        ADAPTER.collect_status(target)
        with pytest.raises(sqlite3.OperationalError, match=r"readonly|read-only"):
            target.reader().execute("DELETE FROM users")
    assert (path.read_bytes(), path.stat().st_mtime_ns) == before
    assert [each.name for each in tmp_path.iterdir()] == ["app.db"]


def test_a_statement_is_interrupted_by_a_cancel(tmp_path: Path) -> None:
    path = make_database(tmp_path / "app.db", rows=3)
    cancellation = Cancellation()
    with opened(path, cancellation) as target:
        reader = target.reader()
        endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
        timer = threading.Timer(0.1, cancellation.request, ("Ctrl-C",))
        timer.start()
        with (
            pytest.raises(Cancelled, match=r"Ctrl-C"),
            sqlite_errors(path, cancellation),
            cancellation.interrupting(reader.interrupt),
        ):
            reader.execute(endless).fetchone()
        timer.join()


def test_a_profile_names_its_file(tmp_path: Path) -> None:
    assert path_of(profile_of(tmp_path / "x y.db")) == tmp_path / "x y.db"
