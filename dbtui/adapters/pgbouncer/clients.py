"""The clients of a PgBouncer and the servers they are linked to: asked for on demand alone, for the list may be long.

PgBouncer does nothing else while it writes the list, about two milliseconds for 800 clients.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dbtui.adapters.pgbouncer.columns import read_known_number, read_name, read_number, read_text, without_console
from dbtui.adapters.pgbouncer.console import Console, Row
from dbtui.model.text import format_untrusted

#: With more clients than this the list would hold PgBouncer up for more than about ten milliseconds.
MOST_ASKED = 5000
_MICROSECONDS = 1_000_000
_TIME_FORMAT, _TIME_CHARACTERS = "%Y-%m-%d %H:%M:%S", 19  # a zone follows, as an abbreviation


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedServer:
    """The server connection that a client has at this moment. `local_port` is what the server knows it by."""

    process_id: int
    local_port: int
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RawClient:
    """A line of SHOW CLIENTS. Ages are by PgBouncer's own clock."""

    database: str
    user: str
    application: str
    client: str
    state: str
    wait_seconds: float
    request_seconds: float | None
    connected_seconds: float | None
    is_tls: bool
    client_id: str
    server: LinkedServer | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawClients:
    """What SHOW CLIENTS and SHOW SERVERS say, those who wait longest first, linked ones before those who rest."""

    clients: tuple[RawClient, ...] = ()
    omitted: int = 0
    gaps: tuple[str, ...] = ()


def collect_clients(console: Console, most: int) -> RawClients:
    """Ask for at most `most` clients with the servers that they are linked to. Raises ServerError, ConnectError."""
    there = sum(
        read_number(row, "cl_active") + read_number(row, "cl_waiting")
        for row in without_console(console.rows("SHOW POOLS"))
    )
    if there > MOST_ASKED:
        gap = f"the clients are not listed: there are {there}, and PgBouncer would stand still while it writes them"
        return RawClients(omitted=there, gaps=(gap,))
    rows = console.rows("SHOW CLIENTS")
    servers = {read_name(row, "ptr"): row for row in console.rows("SHOW SERVERS")}
    # Our own command is the newest of all requests, so that its time is PgBouncer's now, in PgBouncer's zone.
    now = max((each for row in rows if (each := _parse_time(row, "request_time"))), default=None)
    clients = [_client(row, servers, now) for row in without_console(rows)]
    clients.sort(key=lambda each: (-each.wait_seconds, each.server is None, -(each.request_seconds or 0.0)))
    return RawClients(clients=tuple(clients[:most]), omitted=max(0, len(clients) - most))


def _client(row: Row, servers: dict[str, Row], now: datetime | None) -> RawClient:
    host, port = read_text(row, "addr"), read_number(row, "port")
    number = read_known_number(row, "id")
    return RawClient(
        database=read_name(row, "database"),
        user=read_name(row, "user"),
        application=read_text(row, "application_name"),
        client=host if host == "unix" or not port else f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
        state=read_text(row, "state"),
        wait_seconds=read_number(row, "wait") + read_number(row, "wait_us") / _MICROSECONDS,
        request_seconds=_age(_parse_time(row, "request_time"), now),
        connected_seconds=_age(_parse_time(row, "connect_time"), now),
        is_tls=bool(read_text(row, "tls")),
        client_id=read_text(row, "ptr") if number is None else str(number),
        server=_find_server(row, servers),
    )


def _find_server(row: Row, servers: dict[str, Row]) -> LinkedServer | None:
    """The server that a client is linked to, if both say so: between two questions a link may have ended."""
    server = servers.get(read_name(row, "link"))
    if server is None or read_name(server, "link") != read_name(row, "ptr"):
        return None
    process_id = read_number(server, "remote_pid")
    if process_id <= 0:
        return None
    state = format_untrusted(read_text(server, "state"))
    return LinkedServer(process_id=process_id, local_port=read_number(server, "local_port"), state=state)


def _parse_time(row: Row, name: str) -> datetime | None:
    try:
        return datetime.strptime(read_text(row, name)[:_TIME_CHARACTERS], _TIME_FORMAT)
    except ValueError:
        return None


def _age(then: datetime | None, now: datetime | None) -> float | None:
    return None if then is None or now is None else max(0.0, (now - then).total_seconds())


def linked_processes(clients: Iterable[RawClient]) -> tuple[int, ...]:
    """Return the process numbers of the servers that these clients are linked to."""
    return tuple(client.server.process_id for client in clients if client.server is not None)
