"""Sessions of MySQL and MariaDB: who is connected, what each does, and whom it waits for."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.mysql.blocking import collect_blocking
from dbtui.adapters.mysql.connect import MysqlTarget, Row, collect_own_sessions
from dbtui.adapters.mysql.explain import explain
from dbtui.adapters.mysql.probes import (
    gap_without_process,
    grant_performance_schema,
    measures_itself,
    probes_of,
    version_of,
)
from dbtui.adapters.mysql.session_orders import end_session, format_orders
from dbtui.adapters.mysql.session_text import SQL_LENGTH, decode_statement, decode_text, format_client
from dbtui.model.sessions import Session, SessionHit, SessionsSnapshot, SessionVerb

#: Commands of a session that runs nothing (manual, "Thread Command Values").
_RESTING = ("Sleep", "Connect", "Daemon", "Binlog Dump", "Binlog Dump GTID", "Register Slave", "Slave_IO", "Slave_SQL",
            "Slave_worker", "Connect Out")  # fmt: skip
_SERVER_COMMANDS = ("Daemon", "Slave_IO", "Slave_SQL", "Slave_worker")
_SERVER_USERS = ("system user", "event_scheduler")
_WAITING = ("Waiting ", "User lock")


class MysqlSessions:
    """See adapters.adapter.SessionAdapter."""

    def collect_sessions(self, target: Target) -> SessionsSnapshot:
        """Ask for every session this login may see. Raises ServerError, ConnectError."""
        return collect_sessions(narrow(target, MysqlTarget))

    def show_orders(self, target: Target, verb: SessionVerb, sessions: Sequence[Session]) -> tuple[str, ...]:
        """Return the statements that `end_session` would run."""
        return format_orders(narrow(target, MysqlTarget), verb, sessions)

    def end_session(self, target: Target, verb: SessionVerb, session: Session, taken_at: datetime) -> SessionHit:
        """See session_orders.end_session."""
        return end_session(narrow(target, MysqlTarget), verb, session, taken_at)

    def explain(self, target: Target, session: Session) -> str:
        """See explain.explain."""
        return explain(narrow(target, MysqlTarget), session)


SESSIONS = MysqlSessions()


def collect_sessions(target: MysqlTarget) -> SessionsSnapshot:
    """Ask for every session, its transaction and whom it waits for.

    Ages are the server's: of MariaDB to the millisecond, of MySQL, and of transactions, to the second.
    """
    probes = probes_of(target)
    taken_at = datetime.now(UTC)
    rows = _collect_list(target)
    transactions = {
        int(row["id"]): row for row in probes.collect("open_transactions", gap_without_process(target)) or ()
    }
    own = collect_own_sessions(target.options.server)
    programs = _collect_programs(target)
    sessions = [_session(row, transactions.get(int(row["id"])), own, programs.get(int(row["id"]))) for row in rows]
    sessions, gaps = collect_blocking(target, sessions, transactions)
    return SessionsSnapshot(
        profile=target.profile.name,
        taken_at=taken_at,
        sessions=tuple(sessions),
        user=next((decode_text(row["user"]) for row in rows if row["is_own"]), target.options.user),
        gaps=(*probes.gaps, *gaps),
        is_partial=bool(gaps) or gap_without_process(target) in probes.gaps,
    )


def _collect_list(target: MysqlTarget) -> list[Row]:
    length = SQL_LENGTH + 1
    if target.is_mariadb:
        return target.collect("sessions_mariadb", length=length)
    rows = None
    if measures_itself(target):
        gap = "performance_schema.processlist cannot be read: the older list is, which slows connecting down a little"
        rows = probes_of(target).collect("sessions_mysql", gap, version_of(target), length=length)
    return rows if rows is not None else probes_of(target).collect("sessions_mysql", "", (), length=length) or []


def _collect_programs(target: MysqlTarget) -> dict[int, Row]:
    """Ask what the clients call themselves; a server that does not measure itself does not know."""
    if not measures_itself(target):
        return {}
    gap = f"names of client programs need {grant_performance_schema(target)}"
    return {int(row["id"]): row for row in probes_of(target).collect("session_programs", gap) or ()}


def _session(row: Row, transaction: Row | None, own: Iterable[int], program: Row | None) -> Session:
    number, command, user = int(row["id"]), str(row["command"]), decode_text(row["user"])
    seconds = None if row["seconds"] is None or row["seconds"] < 0 else float(row["seconds"])
    is_client = command not in _SERVER_COMMANDS and user not in _SERVER_USERS
    is_active = is_client and command not in _RESTING
    is_own = bool(row["is_own"]) or number in own
    state = decode_text(row["state"])
    return Session(
        session_id=number,
        user=user,
        database=decode_text(row["db"]),
        application=decode_text(program["program"]) if program and program["program"] else "dbtui" if is_own else "",
        client=format_client(decode_text(row["host"])),
        state=f"{command}: {state}" if state else command,
        wait=state if state.startswith(_WAITING) and is_active else "",
        transaction_seconds=None if transaction is None else float(transaction["seconds"]),
        query_seconds=seconds if is_active else None,
        state_seconds=seconds,
        sql=decode_statement(row["info"]),
        is_active=is_active,
        is_idle_in_transaction=transaction is not None and command == "Sleep",
        is_own=is_own,
        is_client=is_client,
        is_tls=None if program is None else str(program["connection_type"]) == "SSL/TLS",
        query_id=int(row["query_id"]) if row.get("query_id") and is_active else None,
    )
