"""What the tests of captures share: a load that is an N+1, a capture in a process that can be killed, and everything
that a server is set to, to be compared before and after."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import psycopg2
import pymysql

from dbtui.analysis.queries import Detector
from dbtui.config import parse_url
from dbtui.demo.servers import MariaDB, PostgreSQL
from dbtui.model.connections import ConnectionProfile
from dbtui.model.queries import QueryFindings, SourceReport, StatementEvent
from dbtui.routines.captures import list_stale_captures
from dbtui.routines.context import RoutineContext

ROOT = Path(__file__).parents[2]
POSTS = 12
#: Of MariaDB's variables, those that change by themselves.
_RESTLESS = ("gtid", "timestamp", "last_insert_id", "rand_seed", "pseudo_thread", "error_count", "warning_count",
             "identity", "insert_id", "in_transaction")  # fmt: skip
_VICTIM = """
import os, sys
from pathlib import Path
from dbtui.model.captures import CaptureWish
from dbtui.model.events import StepStarted
from dbtui.routines.captures import capture_queries
from tests.routines.capture_lab import context, profile_of

directory, seconds = sys.argv[1:]
url = sys.stdin.readline().strip()
wish = CaptureWish(seconds=float(seconds), sample_rate=1.0)
run = capture_queries(context(), profile_of(url), wish, Path(directory))
try:
    while True:
        event = next(run)
        if isinstance(event, StepStarted) and event.step == "capture":
            print("capturing", flush=True)
except StopIteration as end:
    print(f"ended by {end.value.ended_by}, restored {end.value.is_restored}, left {end.value.left}", flush=True)
"""


def profile_of(url: str, name: str = "erp", **fields: object) -> ConnectionProfile:
    """The profile that a throwaway server's URL stands for."""
    return replace(parse_url(url, name), **fields)  # type: ignore[arg-type]


def context() -> RoutineContext:
    """The surroundings of a run here."""
    return RoutineContext(environ=dict(os.environ))


# ---------------------------------------------------------------- what a server is set to


def postgresql_state(server: PostgreSQL) -> Mapping[str, Any]:
    """Every setting with its origin, and what ALTER SYSTEM holds."""
    settings = server.execute("SELECT name, setting, source, sourcefile FROM pg_settings")
    lines = (server.data / "postgresql.auto.conf").read_text().splitlines()
    return {"settings": sorted(settings), "held": sorted(lines)}


def mariadb_state(server: MariaDB) -> Mapping[str, Any]:
    """Every global variable, the consumers, and how much the general log's table holds."""
    rows = server.execute("SHOW GLOBAL VARIABLES")
    return {
        "variables": {name: value for name, value in rows if not any(each in name for each in _RESTLESS)},
        "consumers": sorted(server.execute("SELECT * FROM performance_schema.setup_consumers")),
        "logged": server.execute("SELECT COUNT(*) FROM mysql.general_log"),
    }


# ---------------------------------------------------------------- a judge


class Kept:
    """A judge that keeps what it is fed."""

    def __init__(self) -> None:
        self.events: list[StatementEvent] = []
        self._detector = Detector()

    def feed_all(self, events: Iterable[StatementEvent]) -> None:
        """Take the next statements."""
        taken = list(events)
        self.events += taken
        self._detector.feed_all(taken)

    def findings(self, final: bool = True, report: SourceReport | None = None) -> QueryFindings:
        """Return what was found."""
        return self._detector.findings(final, report)


# ---------------------------------------------------------------- an application


@contextmanager
def looking_up(url: str, pause_seconds: float = 0.05) -> Iterator[threading.Event]:
    """An application that reads twelve posts and then the comments of each, again and again, until the block ends.

    It connects anew when the server was away. Yields an event that is set when it has done so once.
    """
    stop, has_run = threading.Event(), threading.Event()
    _prepare(url)

    def serve() -> None:
        while not stop.is_set():
            away = contextlib.suppress(psycopg2.Error, pymysql.Error, OSError)
            with away, contextlib.closing(connect(url)) as connection:
                while not stop.is_set():
                    _load_page(connection)
                    has_run.set()
                    stop.wait(pause_seconds)
            stop.wait(0.1)

    thread = threading.Thread(target=serve, name="application", daemon=True)
    thread.start()
    try:
        yield has_run
    finally:
        stop.set()
        thread.join(20)


def connect(url: str) -> Any:
    """A connection of an application."""
    parts = urlsplit(url)
    if parts.scheme.startswith("postgres"):
        return psycopg2.connect(url, application_name="shop")
    return pymysql.connect(
        host=parts.hostname, port=parts.port or 0, user=unquote(parts.username or ""),
        password=unquote(parts.password or ""), database=parts.path[1:] or None, program_name="shop",
    )  # fmt: skip


def _prepare(url: str) -> None:
    with contextlib.closing(connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS post (id int PRIMARY KEY, title varchar(20))")
        columns = "id int PRIMARY KEY, post_id int NOT NULL REFERENCES post (id), text varchar(20)"
        cursor.execute(f"CREATE TABLE IF NOT EXISTS comment ({columns})")
        cursor.execute("SELECT count(*) FROM post")
        if cursor.fetchone()[0] == 0:
            for number in range(1, POSTS + 1):
                cursor.execute("INSERT INTO post VALUES (%s, 'a post')", (number,))
                cursor.execute("INSERT INTO comment VALUES (%s, %s, 'a comment')", (number, number))
        connection.commit()


def _load_page(connection: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT post.id, post.title FROM post ORDER BY post.id")
        for number, _title in cursor.fetchall():
            cursor.execute("SELECT comment.id, comment.text FROM comment WHERE %s = comment.post_id", (number,))
            cursor.fetchall()
    connection.commit()


# ---------------------------------------------------------------- a capture that can be killed


class Victim:
    """A capture in a process of its own, begun when the block begins, killed at its end at the latest."""

    def __init__(self, url: str, directory: Path, seconds: float = 120.0) -> None:
        self._directory = directory
        self.process = subprocess.Popen(
            [sys.executable, "-c", _VICTIM, str(directory), str(seconds)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdin is not None
        with self.process.stdin as stream:
            stream.write(f"{url}\n")

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "capturing\n"
        return self

    @property
    def journal(self) -> Path:
        """The journal of the capture."""
        (path,) = self._directory.glob("*.jsonl")
        return path

    @property
    def guard(self) -> int:
        """The process number of its guard."""
        name = os.fsencode(self.journal)
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    if name in (entry / "cmdline").read_bytes():
                        return int(entry.name)
        raise AssertionError("there is no guard")

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def read_end(self) -> str:
        """What it says at its end."""
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


def is_running(process: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def journals_in(directory: Path) -> list[Path]:
    """The journals that are there."""
    return sorted(directory.glob("*.jsonl"))


def entries_of(journal: Path) -> list[dict[str, Any]]:
    """What a journal says."""
    return [json.loads(line) for line in journal.read_text().splitlines()]


def wait_until(condition: Any, what: str, seconds: float = 40.0) -> None:
    """Wait for a condition; fail when it does not come to pass."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"it did not come to pass: {what}"
        time.sleep(0.05)


def has_stale(directory: Path) -> bool:
    """Whether a capture is there that nobody looks after."""
    return bool(list_stale_captures(directory))


# ---------------------------------------------------------------- a network that fails


class CutNetwork:
    """Forwards a port of its own to another one until `cut`; `mend` lets it carry again. Use as a context manager.

    While it is cut every connection is closed, and a new one is refused.
    """

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._carried: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._serve()

    def cut(self) -> None:
        """Carry nothing any more."""
        self._close(self._listener)
        for each in self._carried:
            self._close(each)
        self._carried.clear()

    def mend(self) -> None:
        """Carry again, on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._serve()

    def _serve(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # cut
            while True:
                client = listener.accept()[0]
                server = socket.create_connection(self._target)
                self._carried += [client, server]
                for pair in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, of: socket.socket, to: socket.socket) -> None:
        with contextlib.suppress(OSError):  # cut
            while data := of.recv(65536):
                to.sendall(data)
            to.shutdown(socket.SHUT_WR)

    @staticmethod
    def _close(each: socket.socket) -> None:
        with contextlib.suppress(OSError):  # its peer has gone
            each.shutdown(socket.SHUT_RDWR)
        each.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.cut()
