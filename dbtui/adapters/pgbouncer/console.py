"""A login on the console of a PgBouncer: one connection, held, that runs one command after another.

The console is no PostgreSQL: it knows neither transactions nor parameters, so everything is sent as plain text in
autocommit. A cancel request would end a PAUSE that somebody else ordered, so what must stop loses its socket instead.
"""

import contextlib
import os
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - a class, though its author spelt it small

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.libpq.conninfo import choose_password, format_conninfo, format_server, parse_conninfo
from dbtui.adapters.libpq.failures import translate_connect
from dbtui.adapters.libpq.interrupts import open_connection, shut_socket
from dbtui.adapters.pgbouncer.machine import find_process, peer_credentials
from dbtui.errors import AuthenticationError, ConnectError, DbtuiError, ServerError
from dbtui.model.connections import ConnectionProfile, Secret
from dbtui.model.text import format_untrusted

#: The database that is no database, and the pool of its sessions.
ADMIN_DATABASE = "pgbouncer"
_MARK = "/bouncer"
_PORT = "6432"
_NEEDS_ONE = "no password supplied"  # libpq's words

Row = dict[str, Any]


class Console:
    """An open console. Commands are SHOW and the orders of `orders`; nothing here sends anything else.

    `source` says where it is, without a login. `kept` is for what is asked less often than the rest.
    """

    def __init__(
        self,
        profile: ConnectionProfile,
        password: Secret | None,
        cancellation: Cancellation,
        environ: Mapping[str, str],
        *,
        is_last_resort: bool = False,
    ) -> None:
        """Connect. `is_last_resort`: the password may be another login's, so that .pgpass is asked before it.

        Raises ConnectError, AuthenticationError, UsageError, Cancelled.
        """
        self.profile = profile
        self.cancellation = cancellation
        self._scopes = ExitStack()
        self._parameters = parse_conninfo(profile.url, profile.connect_seconds)
        self._parameters.setdefault("dbname", ADMIN_DATABASE)
        self._parameters.setdefault("port", _PORT)
        self._parameters.pop("options", None)  # settings of sessions of a server
        self.source = format_server(self._parameters)
        found = choose_password(None if is_last_resort else password, self._parameters, environ)
        try:
            self._connection = self._open(found)
        except psycopg2.Error as error:
            if found is not None or password is None or _NEEDS_ONE not in str(error):
                raise _translate_connect(error, self._parameters, self.source) from None  # its frames hold the password
            self._connection = self._open_at_last(password)
        try:
            self._introduce()
        except BaseException:
            self.close()
            raise

    def _open(self, password: Secret | None) -> Connection:
        secret = {} if password is None else {"password": password.reveal()}
        return open_connection(format_conninfo({**self._parameters, **secret}), self.cancellation)

    def _open_at_last(self, password: Secret) -> Connection:
        try:
            return self._open(password)
        except psycopg2.Error as error:
            raise _translate_connect(error, self._parameters, self.source) from None

    def _introduce(self) -> None:
        made = self._connection
        version = made.get_parameter_status("server_version") or ""
        if not version.endswith(_MARK):
            said = f"what answers at {self.source} is not the console of a PgBouncer"
            hint = "let pgbouncer_url name the port of PgBouncer and the database pgbouncer"
            raise ConnectError(said, hint)
        made.autocommit = True
        self.version = format_untrusted(version.removesuffix(_MARK), 40)
        self.user = made.info.user
        self.kept: dict[str, tuple[float, Any]] = {}
        self.process_id = find_process(made)
        self._scopes.enter_context(self.cancellation.interrupting(lambda: shut_socket(made)))

    def rows(self, command: str) -> list[Row]:
        """Run one SHOW and return its rows by column name. Raises ServerError, ConnectError, Cancelled."""
        self.cancellation.check()
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(command)
                names = [column.name for column in cursor.description or ()]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()] if names else []
        except psycopg2.Error as error:
            self.cancellation.check()
            raise self._translate(error) from None

    def _translate(self, error: psycopg2.Error) -> DbtuiError:
        """PgBouncer refuses everything with the SQLSTATE of a broken connection, which it seldom is."""
        if self._connection.closed:
            hint = "check PgBouncer, then try again"
            return ConnectError(f"the console of PgBouncer at {self.source} was lost", hint, code=error.pgcode or "")
        refused = format_untrusted(error.diag.message_primary or str(error).strip(), 300)
        return ServerError(f"PgBouncer at {self.source} says: {refused}", code=error.pgcode or "")

    def is_same_account(self) -> bool:
        """Whether PgBouncer runs under our account and let us in for that: such a login may do everything."""
        if not self._connection.info.host.startswith("/") or self.user != ADMIN_DATABASE:
            return False
        return peer_credentials(self._connection)[1] == os.geteuid()

    def shut(self) -> None:
        """End what it waits for, from any thread; it is of no use afterwards."""
        shut_socket(self._connection)

    def close(self) -> None:
        """Close the connection. Never raises."""
        with contextlib.suppress(psycopg2.Error):
            self._connection.close()
        self._scopes.close()


def open_console(
    profile: ConnectionProfile,
    password: Secret | None,
    cancellation: Cancellation,
    environ: Mapping[str, str],
    *,
    is_last_resort: bool = False,
) -> Console:
    """Connect to the console that `profile.url` names. Raises ConnectError, AuthenticationError, UsageError."""
    return Console(profile, password, cancellation, environ, is_last_resort=is_last_resort)


def _translate_connect(error: psycopg2.Error, parameters: Mapping[str, str], source: str) -> DbtuiError:
    """A login that PgBouncer knows may still not be one of the console's."""
    text = str(error)
    if "not allowed" in text and "no more connections" not in text:
        user = format_untrusted(parameters.get("user") or "this login", 120)
        return AuthenticationError(
            f'PgBouncer at {source} does not let user "{user}" onto its console',
            f"add {user} to stats_users (to look) or admin_users (to order) in pgbouncer.ini, then RELOAD",
        )
    return translate_connect(error, parameters)
