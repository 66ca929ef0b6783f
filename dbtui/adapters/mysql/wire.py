"""The one place where PyMySQL connects: sockets, TLS, time limits, and nothing of the password left behind."""

import socket
from typing import TYPE_CHECKING, Any

import pymysql
from pymysql.connections import Connection
from pymysql.cursors import DictCursor

from dbtui.adapters.mysql.failures import translate_connect
from dbtui.adapters.mysql.options import MysqlOptions
from dbtui.adapters.mysql.tls_options import make_context

PROGRAM_NAME = "dbtui"
#: Our connections wait while a tool or another connection works, which may take days.
_IDLE_SECONDS = 7 * 86400
_KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 8))

if TYPE_CHECKING:
    MysqlConnection = Connection[DictCursor]
else:
    MysqlConnection = Connection


def open_connection(options: MysqlOptions, database: str) -> MysqlConnection:
    """Connect to `database` or none, autocommitting, one statement at a time, sending no file of ours.

    Raises ConnectError, AuthenticationError.
    """
    # As bytes: PyMySQL would encode it as Latin-1.
    secret = options.password.reveal().encode() if options.password else b""
    try:
        made = pymysql.connect(
            user=options.user,
            password=secret,
            host=options.host,
            port=options.port,
            unix_socket=options.socket or None,
            database=database or None,
            charset=options.charset,
            connect_timeout=options.connect_timeout,
            read_timeout=options.connect_timeout,
            autocommit=True,
            local_infile=False,
            program_name=PROGRAM_NAME,
            init_command=f"SET SESSION wait_timeout = {_IDLE_SECONDS}",
            cursorclass=DictCursor,
            defer_connect=True,
            **_tls_arguments(options),
        )
        _connect(made, options)
    except (pymysql.Error, OSError, LookupError, RuntimeError) as error:
        raise translate_connect(error, options) from None  # its frames hold the password
    # The greeting was awaited with a limit; statements may take as long as they need.
    made._read_timeout = None  # type: ignore[attr-defined]
    _keep_alive(made)
    return made


def _keep_alive(made: MysqlConnection) -> None:
    """Have the kernel send something now and then: firewalls forget connections that wait for a long statement."""
    wire = getattr(made, "_sock", None)
    if wire is None or wire.family == socket.AF_UNIX:
        return
    for option, seconds in _KEEP_ALIVE:
        if hasattr(socket, option):
            wire.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), seconds)


def _connect(made: MysqlConnection, options: MysqlOptions) -> None:
    """Connect; over a unix socket with a socket of ours, because PyMySQL leaks its own when nobody listens there."""
    if not options.socket:
        made.connect()
        return
    wire = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        wire.settimeout(options.connect_timeout)
        wire.connect(options.socket)
    except OSError:
        wire.close()
        raise
    made._secure = True  # type: ignore[attr-defined]  # a local socket needs no TLS to send a password
    made.connect(wire)


def _tls_arguments(options: MysqlOptions) -> dict[str, Any]:
    """Return what makes PyMySQL do as --ssl-mode says; `preferred`: TLS where the server has it, unverified."""
    tls = options.tls
    if options.socket or tls.mode == "disabled":
        return {"ssl_disabled": True}
    return {} if tls.mode == "preferred" and not tls.cert else {"ssl": make_context(tls)}
