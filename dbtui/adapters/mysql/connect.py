"""An open connection to a MySQL or MariaDB server, and a login like it for tools."""

import contextlib
import queue
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cache
from typing import Any
from weakref import WeakKeyDictionary

import pymysql
from pymysql.connections import Connection

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql.failures import INTERRUPTED, LOST, split_error, translate
from dbtui.adapters.mysql.options import collect_options, format_tool_options
from dbtui.adapters.mysql.wire import MysqlConnection, open_connection
from dbtui.adapters.private_files import private_file
from dbtui.adapters.queries import query
from dbtui.errors import Cancelled, ConnectError, DbtuiError, RefusedError, ServerError
from dbtui.model.connections import ConnectionProfile, EngineName, Secret, ServerInfo

Row = dict[str, Any]

_THREADS = ("_IO_Running", "_SQL_Running")
_REPEAT_SECONDS = 0.2
_PATIENCE_SECONDS = 5.0
_OWN: WeakKeyDictionary[MysqlConnection, str] = WeakKeyDictionary()  # every connection, with its server
_OWN_LOCK = threading.Lock()
_BIND = re.compile(r"(?<![:\w]):([a-z_]\w*)")


@cache
def statement(name: str, version: tuple[int, ...] = (9999,)) -> str:
    """Return the SQL called `name` in queries.sql, with PyMySQL's binds in place of `:name`."""
    return _BIND.sub(r"%(\1)s", query(__package__, name, version).replace("%", "%%"))


class MysqlTarget:
    """A login on one server. Its own connection asks short questions; `connect` opens others for longer work."""

    def __init__(
        self,
        profile: ConnectionProfile,
        password: Secret | None,
        cancellation: Cancellation,
        environ: Mapping[str, str],
    ) -> None:
        """Connect, to no database yet: it may not exist. Raises ConnectError, AuthenticationError, UsageError."""
        self.profile = profile
        self.cancellation = cancellation
        self.environ = environ
        self.options = collect_options(profile, password, environ)
        self.switched_off_events: dict[str, tuple[str, ...]] = {}  # by database: what loading left disabled
        self.memory: dict[str, object] = {}  # what was learnt and holds as long as the connection
        self._scopes = ExitStack()
        self._connections: list[MysqlConnection] = []
        try:
            self._connection = self.connect("")
            self.info = self._introduce()
            if profile.statement_seconds:
                self._limit_questions(profile.statement_seconds)
        except BaseException:
            self.close()
            raise

    def __repr__(self) -> str:
        return f"<MysqlTarget {self.options.server}>"

    def connect(self, database: str, *, shielded: bool = False) -> MysqlConnection:
        """Open another connection, autocommitting, to `database` or none; it is closed with the target at the latest.

        A requested stop ends its statements, unless it is `shielded`: for undoing what a cancelled run began.
        Raises ConnectError, AuthenticationError, Cancelled.
        """
        made = open_connection(self.options, database) if shielded else self._open_unless_cancelled(database)
        self._connections.append(made)
        with _OWN_LOCK:
            _OWN[made] = self.options.server
        if not shielded:
            self._scopes.enter_context(self.cancellation.interrupting(lambda: self._interrupt(made)))
        if self.profile.read_only:
            self.rows("SET SESSION TRANSACTION READ ONLY", on=made)
        return made

    def _open_unless_cancelled(self, database: str) -> MysqlConnection:
        """Connect on a thread of its own, and give it up at once when a stop is requested."""
        outcomes: queue.SimpleQueue[MysqlConnection | Exception | None] = queue.SimpleQueue()

        def attempt() -> None:
            try:
                outcomes.put(open_connection(self.options, database))
            except Exception as error:  # handed to the thread that waits
                outcomes.put(error)
            if abandoned.is_set():
                _close_all(outcomes)

        abandoned = threading.Event()
        with self.cancellation.interrupting(lambda: outcomes.put(None)):
            threading.Thread(target=attempt, name="connecting", daemon=True).start()
            outcome = outcomes.get()
        if outcome is None:
            abandoned.set()
            _close_all(outcomes)
            raise Cancelled(f"cancelled ({self.cancellation.reason})")
        if isinstance(outcome, Exception):
            self.cancellation.check()
            raise outcome
        return outcome

    def _interrupt(self, made: MysqlConnection) -> None:
        threading.Thread(target=self._cancel_until_closed, args=(made,), name="cancelling", daemon=True).start()

    def _cancel_until_closed(self, made: MysqlConnection) -> None:
        """Send KILL QUERY again and again: one that overtakes its statement is forgotten by the server."""
        if not made.open:
            return
        began, session = time.monotonic(), int(made.thread_id())  # type: ignore[no-untyped-call]
        try:
            second = open_connection(self.options, "")
        except ConnectError:
            _shut_socket(made)
            return
        try:
            while made.open:
                with second.cursor() as cursor:
                    cursor.execute(f"KILL QUERY {session}")
                if time.monotonic() - began > _PATIENCE_SECONDS:
                    _shut_socket(made)
                    return
                time.sleep(_REPEAT_SECONDS)
        except pymysql.Error as error:
            if split_error(error)[0] != 1094:  # the session is gone, which is what was wanted
                _shut_socket(made)
        finally:
            second.close()

    def _introduce(self) -> ServerInfo:
        row = self.collect_one("introduce_server")
        said = str(row["version"])
        flavour = "MariaDB" if "mariadb" in f"{said} {row['version_comment']}".lower() else "MySQL"
        version = (re.findall(r"\d+\.\d+\.\d+", said.removeprefix("5.5.5-")) or ["0.0.0"])[0]
        major, minor, patch = (int(part) for part in version.split("."))
        self.is_encrypted = bool(self.rows("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0]["Value"])
        grants = self.collect_grants()
        everywhere = " ".join(grant for grant in grants if " ON *.* " in grant)
        return ServerInfo(
            engine=EngineName.MYSQL,
            flavour=flavour,
            version=version,
            version_number=major * 10000 + minor * 100 + patch,
            role="replica" if self._is_replica(flavour, (major, minor, patch)) else "primary",
            database=self.options.database,
            user=str(row["login"]),
            is_superuser=bool(re.search(r"\b(?:ALL PRIVILEGES|SUPER)\b", everywhere)),
        )

    def _limit_questions(self, seconds: int) -> None:
        """Have the server end a question of the own connection that takes longer (MySQL: that only reads)."""
        if self.is_mariadb:
            self.rows(f"SET SESSION max_statement_time = {seconds}")
        elif self.info.version_number >= 50708:
            self.rows(f"SET SESSION max_execution_time = {seconds * 1000}")

    def _is_replica(self, flavour: str, version: tuple[int, ...]) -> bool:
        """Whether it applies another server's changes, or would if its threads were not stopped."""
        words = "SHOW REPLICA STATUS" if version >= (8, 0, 22) else "SHOW SLAVE STATUS"
        try:
            sources = self.rows("SHOW ALL SLAVES STATUS" if flavour == "MariaDB" else words)
        except ServerError as error:
            if error.code not in ("1227", "1064", "1235"):
                raise
            return False
        runs = {str(value) for row in sources for name, value in row.items() if name.endswith(_THREADS)}
        return bool(runs & {"Yes", "Connecting", "Preparing"}) or (bool(sources) and self._is_read_only())

    def _is_read_only(self) -> bool:
        return bool(self.collect_one("read_only")["read_only"])

    def collect_grants(self) -> tuple[str, ...]:
        """Return what this login may do, as SHOW GRANTS says it, upper-cased words and quoted names as they come."""
        return tuple(str(next(iter(row.values()))) for row in self.rows("SHOW GRANTS"))

    @property
    def own_number(self) -> int:
        """The number of the own connection's session, as the greeting told it: a proxy tells one of its own."""
        return int(self._connection.thread_id())  # type: ignore[no-untyped-call]

    @property
    def is_mariadb(self) -> bool:
        """Whether the server is MariaDB."""
        return self.info.flavour == "MariaDB"

    @property
    def database(self) -> str:
        """The database that the profile names; empty when it names none."""
        return self.options.database

    def rows(
        self, sql: str, binds: Mapping[str, Any] | None = None, on: MysqlConnection | None = None, what: str = ""
    ) -> list[Row]:
        """Run one statement and return its rows, read by column name.

        `binds` None: the text is sent as it is. Raises ServerError, ConnectError, Cancelled.
        """
        used = on or self._connection
        with self.translating(what), used.cursor() as cursor:
            cursor.execute(sql, binds)
            return list(cursor.fetchall())

    def collect(self, name: str, on: MysqlConnection | None = None, **binds: Any) -> list[Row]:
        """Ask the question called `name` in queries.sql and return its rows."""
        if on is None:
            self.cancellation.check()
        return self.rows(statement(name), binds, on)

    def collect_one(self, name: str, on: MysqlConnection | None = None, **binds: Any) -> Row:
        """Ask a question that has exactly one row as its answer."""
        return self.collect(name, on, **binds)[0]

    @contextmanager
    def translating(self, what: str = "") -> Iterator[None]:
        """Turn PyMySQL's errors in the block into ours, and into Cancelled when a stop was requested."""
        try:
            yield
        except (pymysql.Error, OSError, RuntimeError) as error:
            raise self.explain(error, what) from error

    def explain(self, error: Exception, what: str = "") -> DbtuiError:
        """Return what an error means; raise Cancelled when it only says that a requested stop was obeyed."""
        if self.cancellation.requested and split_error(error)[0] in (0, *LOST, *INTERRUPTED):
            self.cancellation.check()
        return translate(error, what)

    def refuse_read_only(self, what: str) -> None:
        """Raise RefusedError when the profile allows no changes."""
        if self.profile.read_only:
            raise RefusedError(f"{what} is refused: profile {self.profile.name} is read-only", "use another profile")

    @contextmanager
    def tool_arguments(self, mariadb_version: int | None) -> Iterator[str]:
        """Yield the first argument that logs a tool in as this target: an option file only this user can read.

        `mariadb_version` is the number of a MariaDB tool, None for Oracle's. The file is gone when the block ends.
        """
        text = format_tool_options(self.options, is_encrypted=self.is_encrypted, mariadb_version=mariadb_version)
        with private_file(text) as path:
            yield f"--defaults-file={path}"

    def close(self) -> None:
        """Close every connection. Never raises."""
        for made in self._connections:
            close_quietly(made)
        self._scopes.close()


def collect_own_sessions(server: str) -> frozenset[int]:
    """Return the sessions that this process has on a server."""
    with _OWN_LOCK:
        return frozenset(int(made.thread_id()) for made, where in _OWN.items() if where == server and made.open)  # type: ignore[no-untyped-call]


def close_quietly(made: MysqlConnection) -> None:
    """Close a connection; one that is closed or lost already is what was wanted."""
    with contextlib.suppress(pymysql.Error, OSError):
        made.close()


def _close_all(outcomes: "queue.SimpleQueue[MysqlConnection | Exception | None]") -> None:
    with contextlib.suppress(queue.Empty):
        while True:
            late = outcomes.get_nowait()
            if isinstance(late, Connection):
                close_quietly(late)


def _shut_socket(made: MysqlConnection) -> None:
    """Wake a thread that waits for a server which no longer answers."""
    wire = getattr(made, "_sock", None)
    with contextlib.suppress(OSError):
        if wire is not None:
            wire.shutdown(2)
