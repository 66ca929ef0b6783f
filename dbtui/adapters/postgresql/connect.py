"""An open connection to a PostgreSQL server: questions are asked on it, and tools are given a login like its own."""

import contextlib
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg2
from psycopg2.extensions import BYTES, ConnectionInfo, register_type
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, though its author spelt it small
from psycopg2.extras import NamedTupleCursor

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.libpq.conninfo import (
    choose_password,
    fit_conninfo,
    format_conninfo,
    format_passfile,
    format_server,
    parse_conninfo,
    parse_options,
)
from dbtui.adapters.libpq.failures import MissingDatabaseError, translate, translate_connect
from dbtui.adapters.libpq.interrupts import interrupter, open_connection, peer_address
from dbtui.adapters.postgresql.sql import statement
from dbtui.adapters.postgresql.tools import Tool, find_tool
from dbtui.adapters.private_files import private_file
from dbtui.adapters.processes import tool_environment
from dbtui.errors import ConnectError, RefusedError, ServerError, UsageError
from dbtui.model.connections import ConnectionProfile, EngineName, Secret, ServerInfo

__all__ = ["Connection", "PostgresqlTarget", "translate"]

#: Databases that every server has, unless somebody removed them.
_MAINTENANCE = ("postgres", "template1")
#: Parameters that are secrets themselves and can be given to a tool in no other way than its arguments.
_SECRETS = frozenset({"sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
_WAY_PAST_SECONDS = 3
_QUESTION_SECONDS = 2
_NO_SETTINGS: Mapping[str, str] = {}
#: libpq's variables that say how to connect; the only secrets among them are in files that they name.
_TOOL_VARIABLES = (
    "PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGSSLCRL",
    "PGSSLCRLDIR", "PGSSLMINPROTOCOLVERSION", "PGSSLMAXPROTOCOLVERSION", "PGGSSENCMODE", "PGKRBSRVNAME",
    "PGREQUIREPEER", "PGREQUIREAUTH", "PGCHANNELBINDING", "PGPASSFILE",
)  # fmt: skip


class PostgresqlTarget:
    """A login on one server. Its own connection asks short questions, which wait two seconds at most for a
    lock; `connect` opens others for longer work."""

    def __init__(
        self,
        profile: ConnectionProfile,
        password: Secret | None,
        cancellation: Cancellation,
        environ: Mapping[str, str],
    ) -> None:
        """Connect. Raises ConnectError, AuthenticationError, UsageError, Cancelled."""
        self.profile = profile
        self.cancellation = cancellation
        self.environ = environ
        self._scopes = ExitStack()
        self._connections: list[Connection] = []
        self._processes: list[int] = []
        self._kept: dict[str, tuple[float, list[Any]]] = {}
        self._parameters = parse_conninfo(profile.url, profile.connect_seconds)
        self._password = choose_password(password, self._parameters, environ)
        self._settings = _take_settings(self._parameters)
        if not self._parameters.get("dbname") and profile.database:
            self._parameters["dbname"] = profile.database
        self.is_pooled = False
        self._past_pooler: dict[str, str] | None = None
        self._missing: MissingDatabaseError | None = None
        try:
            self._connection = self._open_first()
            # A line of .pgpass may be for one database alone; the login goes on with what let it in, to any other.
            if self._password is None and self._connection.info.password:
                self._password = Secret(self._connection.info.password)
            self._pin()
            self.info = self._introduce()
            if not self.is_pooled:
                self._set_session(self._connection, self._limits())
                self._connection.autocommit = True  # a question is one round trip then
        except BaseException:
            self.close()
            raise

    def _open_first(self) -> Connection:
        """Connect to the database that was asked for, or, if there is none yet, to one that every server has."""
        try:
            return self._open(self._parameters)
        except MissingDatabaseError as error:
            self._missing = error
        for database in _MAINTENANCE:
            try:
                return self._open({**self._parameters, "dbname": database})
            except ConnectError:
                continue
        raise self._missing

    def check_database(self) -> None:
        """Raise ConnectError when the profile's own database does not exist: only a restore can do without it."""
        if self._missing is not None:
            raise self._missing

    def _open(self, parameters: Mapping[str, str], *, shielded: bool = False) -> Connection:
        words = {**parameters, "client_encoding": "UTF8"}
        if self._password is not None:
            words["password"] = self._password.reveal()
        try:
            made = open_connection(format_conninfo(words), None if shielded else self.cancellation)
        except psycopg2.Error as error:
            raise translate_connect(error, parameters) from None  # its frames hold the password
        self._connections.append(made)
        self._processes.append(made.info.backend_pid)
        made.cursor_factory = NamedTupleCursor
        if self.profile.read_only:
            made.set_session(readonly=True)
        if not shielded:
            self._scopes.enter_context(self.cancellation.interrupting(interrupter(made)))
        return made

    def _pin(self) -> None:
        """Let whatever follows, tools included, go to the very server that answered first."""
        made, self._pinned = self._connection.info, dict(self._parameters)
        for choice in ("target_session_attrs", "load_balance_hosts", "hostaddr"):
            self._pinned.pop(choice, None)
        self._pinned |= {"host": made.host, "port": str(made.port), "user": made.user, "dbname": made.dbname}
        address = peer_address(self._connection)
        if address is not None and address != made.host:
            self._pinned["hostaddr"] = address

    def _introduce(self) -> ServerInfo:
        row = self.collect_one("introduce_server", after="trust_catalogue_briefly")
        # A pooler such as PgBouncer answers with a process number of its own.
        self.is_pooled = row.process_id != self._connection.info.backend_pid
        return ServerInfo(
            engine=EngineName.POSTGRESQL,
            flavour="PostgreSQL",
            version=row.version.split()[0],
            version_number=row.version_number,
            role="replica" if row.is_replica else "primary",
            database=row.database if self._missing is None else "",
            user=row.login,
            is_superuser=row.is_superuser,
            extensions=tuple(row.extensions),
        )

    def _limits(self) -> dict[str, str]:
        """The settings that end a question which takes too long."""
        limits = {"lock_timeout": f"{_QUESTION_SECONDS}s"}
        if self.profile.statement_seconds:
            limits["statement_timeout"] = f"{self.profile.statement_seconds}s"
        return limits

    def _set_session(self, of: Connection, defaults: Mapping[str, str] = _NO_SETTINGS) -> None:
        """Settings of the session. Never through a pooler: there they would stay behind for other clients.

        They are set after the login, because a pooler refuses the startup parameter `options`.
        """
        settings = {**defaults, **self._settings}
        if self.profile.read_only:
            settings["default_transaction_read_only"] = "on"
        self.collect("trust_catalogue", of)
        for name, value in settings.items():
            self.rows("SELECT set_config(%(name)s, %(value)s, false)", {"name": name, "value": value}, of)
        of.commit()

    @property
    def wire(self) -> ConnectionInfo:
        """How the own connection reaches the server, as libpq tells it: TLS and parameters."""
        return self._connection.info

    @property
    def where(self) -> str:
        """Where longer work goes, as people say it: `db1:5432`."""
        return format_server(self._route())

    @property
    def host(self) -> str:
        """The host that was reached; a path when it is a unix socket."""
        return self._connection.info.host

    @property
    def is_tls(self) -> bool:
        """Whether the own connection is encrypted, as far as its other end: that may be a pooler."""
        return bool(self._connection.info.ssl_in_use)

    def rows(
        self,
        sql: str,
        binds: Mapping[str, Any] | None = None,
        on: Connection | None = None,
        *,
        are_texts_bytes: bool = False,
    ) -> list[Any]:
        """Run one statement and return its rows, read by column name. Raises ServerError, ConnectError, Cancelled.

        `binds` None: the text is sent as it is. On another connection than the own one a transaction stays open.
        `are_texts_bytes`: texts come as bytes, as the server sent them.
        """
        used = on or self._connection
        if on is None:
            self.cancellation.check()
        with self.translating(), used.cursor() as cursor:
            if are_texts_bytes:
                register_type(BYTES, cursor)
            if on is None and self.is_pooled:
                limits = [f"SET LOCAL {name} = '{limit}'" for name, limit in self._limits().items()]
                cursor.execute("; ".join([*limits, statement("trust_catalogue_briefly", 0)]))
            cursor.execute(sql, binds)
            return cursor.fetchall() if cursor.description else []

    def collect(self, name: str, on: Connection | None = None, *, after: str = "", **binds: Any) -> list[Any]:
        """Ask the question called `name` in queries.sql and return its rows; on the own connection, then commit.

        `after` names another one that is sent before it in the same message, and so runs in the same transaction.
        """
        version = self._connection.info.server_version
        with self._ending_transaction(on):
            return self.rows(";\n".join(statement(each, version) for each in (after, name) if each), binds, on)

    def collect_bytes(self, name: str, **binds: Any) -> list[Any]:
        """Ask a question on the own connection as `collect` does; texts come as bytes, for a question that sees texts
        of other databases, in whatever encoding they are."""
        with self._ending_transaction():
            sql = statement(name, self._connection.info.server_version)
            return self.rows(sql, binds, are_texts_bytes=True)

    def ask(self, sql: str) -> list[Any]:
        """Ask, on the own connection as `collect` does, a question that cannot be in queries.sql: it names a schema."""
        with self._ending_transaction():
            return self.rows(sql)

    def collect_kept(self, name: str, seconds: float) -> list[Any]:
        """Ask a question on the own connection as `collect` does, unless its answer is younger than `seconds`."""
        asked, rows = self._kept.get(name, (float("-inf"), []))
        if time.monotonic() - asked >= seconds:
            asked = time.monotonic()
            self._kept[name] = asked, []  # a question that fails is not asked again at once, either
            rows = self.collect(name)
            self._kept[name] = asked, rows
        return rows

    def show_statement(self, name: str, **binds: Any) -> str:
        """Return a question of queries.sql in one line, as it is sent with these binds."""
        with self._connection.cursor() as cursor:
            sent = cursor.mogrify(statement(name, self._connection.info.server_version), binds)
        return " ".join(sent.decode("utf-8", "replace").split())

    @contextmanager
    def _ending_transaction(self, on: Connection | None = None) -> Iterator[None]:
        try:
            yield
        finally:
            if on is None and not self._connection.autocommit and not self._connection.closed:
                self._connection.rollback()

    def collect_one(self, name: str, on: Connection | None = None, **binds: Any) -> Any:
        """Ask a question that has exactly one row as its answer."""
        return self.collect(name, on, **binds)[0]

    @contextmanager
    def translating(self, what: str = "") -> Iterator[None]:
        """Turn psycopg2's errors in the block into ours, and into Cancelled when a stop was requested."""
        try:
            yield
        except psycopg2.Error as error:
            self.cancellation.check()
            raise translate(error, what) from error

    def connect(self, database: str, *, autocommit: bool = False, shielded: bool = False) -> Connection:
        """Open another connection, to `database` of the same server; it is closed with the target at the latest.

        A requested stop interrupts its statements, unless it is `shielded`: for undoing what a cancelled run began.
        Raises ConnectError, AuthenticationError, Cancelled.
        """
        made = self._open({**self._route(), "dbname": database}, shielded=shielded)
        if not self.works_pooled:
            self._set_session(made)
        made.autocommit = autocommit
        return made

    @property
    def works_pooled(self) -> bool:
        """Whether connections for longer work, and tools, go through a pooler too: there is no way past it."""
        return self.is_pooled and self._route() is self._pinned

    def _route(self) -> dict[str, str]:
        """How longer work goes to the server: past a pooler where that can be, tried once.

        A pooler in transaction mode hands what pg_dump sets for its session (an empty search_path) on to others.
        """
        if not self.is_pooled:
            return self._pinned
        if self._past_pooler is None:
            self._past_pooler = self._find_way_past() or self._pinned
        return self._past_pooler

    def _find_way_past(self) -> dict[str, str] | None:
        row = self.collect_one("introduce_way_past_pooler")
        # A server that the pooler reaches on its own machine is reached there from here, too.
        host = self._pinned["host"] if row.address in (None, "127.0.0.1", "::1") else row.address
        way = {**self._pinned, "host": host, "port": str(row.port), "connect_timeout": str(_WAY_PAST_SECONDS)}
        if host != self._pinned["host"]:
            way.pop("hostaddr", None)
        try:
            made = self._open({**way, "dbname": row.database})
        except ConnectError:
            return None
        seen = self.collect_one("introduce_way_past_pooler", made, after="trust_catalogue_briefly")
        is_direct = self.collect_one("introduce_server", made).process_id == made.info.backend_pid
        made.close()
        return way if is_direct and seen.started == row.started else None

    @contextmanager
    def working(self, database: str, *, autocommit: bool = False, shielded: bool = False) -> Iterator[Connection]:
        """Open another connection as `connect` does and close it when the block ends."""
        made = self.connect(database, autocommit=autocommit, shielded=shielded)
        try:
            yield made
        finally:
            made.close()

    def login_parameters(self) -> tuple[dict[str, str], Secret | None]:
        """Return libpq's parameters, and the password, for more connections like the own one, to the same server.

        Settings of the session are among them as `options`, unless a pooler, which refuses those, is in the path.
        """
        words = {**self._pinned, "client_encoding": "UTF8"}
        settings = {**self._settings}
        if self.profile.read_only:
            settings["default_transaction_read_only"] = "on"
        if settings and not self.is_pooled:
            words["options"] = " ".join(f"-c {name}={_escape(value)}" for name, value in settings.items())
        return words, self._password

    def own_processes(self) -> list[int]:
        """Return the server's process numbers of this target's own sessions, present and past."""
        return list(self._processes)

    def maintenance_database(self, *avoided: str) -> str:
        """Return a database to stand in while `avoided` are created, renamed or dropped. Raises ServerError."""
        if self.cancellation.requested:  # nothing can be asked any more, but what was begun has to be undone
            return next(database for database in _MAINTENANCE if database not in avoided)
        found = [row.name for row in self.collect("collect_open_databases", avoided=list(avoided))]
        for database in (*_MAINTENANCE, *found):
            if database in found:
                return str(database)
        raise ServerError("there is no other database to connect to", "create the database postgres")

    def leave(self, *databases: str) -> None:
        """Close this target's own sessions in databases that are about to be renamed or dropped."""
        if self._connection.info.dbname in databases:
            left, self._connection = (
                self._connection,
                self.connect(self.maintenance_database(*databases), shielded=True),
            )
            left.close()
        for made in self._connections:
            if not made.closed and made.info.dbname in databases:
                made.close()

    def refuse_read_only(self, what: str) -> None:
        """Raise RefusedError when the profile allows no changes."""
        if self.profile.read_only:
            raise RefusedError(f"{what} is refused: profile {self.profile.name} is read-only", "use another profile")

    def tool(self, name: str) -> Path:
        """Return the path of the tool that fits this server. Raises ToolError."""
        return Path(self.find_tool(name).path)

    def find_tool(self, name: str) -> Tool:
        """Return the tool that fits this server. Raises ToolError."""
        return find_tool(name, self.info.version_number, self.environ)

    @contextmanager
    def tool_arguments(self, database: str) -> Iterator[tuple[list[str], dict[str, str]]]:
        """Give a tool the login of this target: arguments without a secret, and the environment that goes with them.

        The password is in a file that only this user can read and that is gone when this process is.
        """
        words = {**self._route(), "dbname": database}
        for keyword in _SECRETS & words.keys():
            raise UsageError(f"a tool cannot be given {keyword} safely", "use a login that does without it")
        environ = tool_environment({name: self.environ[name] for name in _TOOL_VARIABLES if name in self.environ})
        with ExitStack() as stack:
            if self._password is not None:
                words.pop("passfile", None)
                text = format_passfile(self._password.reveal())
                environ["PGPASSFILE"] = stack.enter_context(private_file(text))
            if self._settings and not self.works_pooled:
                words["options"] = " ".join(f"-c {name}={_escape(value)}" for name, value in self._settings.items())
            yield ["-d", format_conninfo(fit_conninfo(words, self.find_tool("pg_dump").major))], environ

    def close(self) -> None:
        """Close every connection. Never raises."""
        for made in self._connections:
            with contextlib.suppress(psycopg2.Error):  # it is gone, which is what was wanted
                made.close()
        self._scopes.close()


def _take_settings(parameters: dict[str, str]) -> dict[str, str]:
    """Take the settings out of `options`, when it holds nothing else, so that they can be set after the login."""
    settings = parse_options(parameters.get("options", ""))
    if settings is None:
        return {}
    parameters.pop("options", None)
    return settings


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace(" ", "\\ ")
