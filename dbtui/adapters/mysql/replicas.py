"""Replication as one MySQL or MariaDB server sees it. MySQL renamed words and columns in 8.0.22, 8.2 and 8.4; MariaDB
takes some of the new words and answers with the old columns. So columns are read under both names.
"""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from dbtui.adapters.adapter import ReplicaAddition, Target, narrow
from dbtui.adapters.clocks import measure_skew
from dbtui.adapters.mysql import replica_manual, replica_orders
from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.adapters.mysql.probes import grant_everywhere, measures_itself, probes_of, replication_privilege, version_of
from dbtui.adapters.mysql.replication import is_replica_of, read_column, replica_words
from dbtui.errors import UsageError
from dbtui.model.events import Routine
from dbtui.model.replica_facts import AdditionFacts
from dbtui.model.replicas import (
    NOT_PAUSED,
    Applier,
    Receiver,
    ReplicaAction,
    ReplicaPlan,
    ReplicaStream,
    ReplicaWish,
    ServerReplication,
)
from dbtui.model.text import format_duration, format_untrusted

_ERROR_LENGTH, _NAME_LENGTH = 300, 60
_ROLE = "replication"
#: What the applier does while a query is in its way (manual, "Replication SQL Thread States", "Metadata Locking").
_WAITS_FOR_QUERY = ("Waiting for table metadata lock", "Waiting for table flush", "Waiting for global read lock")


class MysqlReplicas:
    """See `dbtui.adapters.adapter.ReplicaAdapter`."""

    def collect_replication(self, target: Target) -> ServerReplication:
        """Ask a server for its own view. Raises ServerError, ConnectError."""
        return collect_replication(narrow(target, MysqlTarget))

    def show_orders(self, target: Target, action: ReplicaAction, slot: str = "") -> tuple[str, ...]:
        """Return the statements that an action runs. Raises UsageError: there are no slots here."""
        return replica_orders.show_orders(narrow(target, MysqlTarget), action, slot)

    def pause_replay(self, target: Target) -> None:
        """Stop the applier and go on receiving."""
        replica_orders.give_orders(narrow(target, MysqlTarget), ReplicaAction.PAUSE)

    def resume_replay(self, target: Target) -> None:
        """Start the applier."""
        replica_orders.give_orders(narrow(target, MysqlTarget), ReplicaAction.RESUME)

    def drop_slot(self, target: Target, slot: str) -> None:
        """There are no slots here. Raises UsageError."""
        replica_orders.show_orders(narrow(target, MysqlTarget), ReplicaAction.DROP_SLOT, slot)

    def promote(self, target: Target, patience_seconds: float) -> Routine[None]:
        """Apply what was received, forget the source and take writes."""
        return replica_orders.promote(narrow(target, MysqlTarget), patience_seconds)

    def collect_addition(self, target: Target, wish: ReplicaWish) -> AdditionFacts:
        """Say how somebody adds a replica by hand: dbtui does not."""
        return replica_manual.collect_addition(narrow(target, MysqlTarget), wish)

    def prepare_addition(self, target: Target, plan: ReplicaPlan) -> ReplicaAddition:  # noqa: ARG002
        """Nothing is added here. Raises UsageError."""
        raise UsageError(replica_manual.UNSUPPORTED.format(flavour=target.info.flavour), "the plan says how to by hand")


REPLICAS = MysqlReplicas()


def collect_replication(target: MysqlTarget) -> ServerReplication:
    """Ask a server for its own view, its own position first. Raises ServerError, ConnectError, Cancelled."""
    began = time.monotonic()
    log = _collect_log(target)
    sent = time.time()
    told = float(target.collect_one("replication_clock")["clock"])
    skew = measure_skew(told, sent, time.time())
    known = {str(row["Variable_name"]): str(row["Value"]) for row in target.collect("replication_identity")}
    sources = _collect_sources(target)
    is_replica = is_replica_of(sources or (), is_read_only=bool(target.collect_one("read_only")["read_only"]))
    return ServerReplication(
        profile=target.profile.name,
        engine=target.info.engine,
        address=f"{_host_of(target, known)}:{known.get('port', '3306')}",
        flavour=target.info.flavour,
        version=target.info.version,
        monotonic_seconds=began,
        is_replica=is_replica,
        role_gap="" if sources is not None else probes_of(target).refused[_ROLE],
        identity=known.get("server_id", ""),
        position=_number(log.get("Position")) if log else None,
        log_file=str(log.get("File", "")) if log else "",
        log_files=_collect_log_files(target) if log else (),
        gtid=known.get("gtid_binlog_pos") or _squeeze(known.get("gtid_executed", "")),
        streams=tuple(_collect_streams(target)),
        receivers=tuple(read_receiver(row) for row in sources or ()) if is_replica else (),
        applier=_with_details(target, read_applier(sources or ())) if is_replica else None,
        clock_skew_seconds=skew,
        gaps=probes_of(target).gaps,
    )


def _host_of(target: MysqlTarget, known: dict[str, str]) -> str:
    return known.get("report_host") or target.options.server.rpartition(":")[0] or known.get("hostname", "")


# ---------------------------------------------------------------- as a source


def log_privilege(target: MysqlTarget) -> str:
    """Return what looking at the binary log asks for (manuals, SHOW MASTER STATUS, SHOW BINARY LOG STATUS)."""
    is_new = target.is_mariadb and target.info.version_number >= 100502
    return "BINLOG MONITOR" if is_new else "REPLICATION CLIENT"


def log_words(is_mariadb: bool, version_number: int) -> str:
    """Return the statement that tells where the binary log ends: MySQL 8.4 knows the new one alone."""
    return "SHOW BINARY LOG STATUS" if not is_mariadb and version_number >= 80200 else "SHOW MASTER STATUS"


def hosts_words(is_mariadb: bool, version_number: int) -> str:
    """Return the statement that lists registered replicas."""
    return "SHOW REPLICAS" if not is_mariadb and version_number >= 80022 else "SHOW SLAVE HOSTS"


def _collect_log(target: MysqlTarget) -> Row | None:
    """The name and the end of the binary log; None when it is not written, or may not be seen."""
    words = log_words(target.is_mariadb, target.info.version_number)
    gap = f"where the binary log ends needs {grant_everywhere(target, log_privilege(target))}"
    rows = probes_of(target).ask("log position", words, gap)
    return rows[0] if rows else None


def _collect_log_files(target: MysqlTarget) -> tuple[tuple[str, int], ...]:
    rows = probes_of(target).ask("log files", "SHOW BINARY LOGS", "")
    return tuple((str(row["Log_name"]), int(row["File_size"])) for row in rows or ())


def _collect_streams(target: MysqlTarget) -> Iterator[ReplicaStream]:
    """Registered replicas, else the sessions that the log is sent to."""
    privilege = "REPLICATION MASTER ADMIN" if target.is_mariadb else "REPLICATION SLAVE"
    words = hosts_words(target.is_mariadb, target.info.version_number)
    gap = f"registered replicas need {grant_everywhere(target, privilege)}"
    registered = probes_of(target).ask("registered replicas", words, gap)
    dumpers = target.collect("replication_dumpers")
    if registered is None:
        yield from (_dumper(row) for row in dumpers)
        return
    alone = dumpers[0] if len(registered) == len(dumpers) == 1 else None
    for spelt in registered:
        row = {name.lower(): value for name, value in spelt.items()}  # Server_Id, once Server_id
        number, host, port = str(row["server_id"]), str(row.get("host") or ""), row.get("port")
        yield ReplicaStream(
            name=format_untrusted(f"{host}:{port}" if host else f"server {number}", _NAME_LENGTH),
            client=format_untrusted(host or (_client(alone) if alone else "")),
            session_id=int(alone["id"]) if alone else None,
            state=format_untrusted(str(alone["state"] or ""), _NAME_LENGTH) if alone else "",
            identity=number,
        )


def _dumper(row: Row) -> ReplicaStream:
    state = format_untrusted(str(row["state"] or ""), _NAME_LENGTH)
    return ReplicaStream(name=_client(row), client=_client(row), session_id=int(row["id"]), state=state)


def _client(row: Row) -> str:
    host = str(row["host"] or "")
    return format_untrusted(host.rpartition(":")[0] or host, _NAME_LENGTH)


# ---------------------------------------------------------------- as a replica


def _collect_sources(target: MysqlTarget) -> list[Row] | None:
    """A row for each source; None when the login may not see them."""
    grant = grant_everywhere(target, replication_privilege(target))
    words = replica_words(target.is_mariadb, target.info.version_number)
    return probes_of(target).ask(_ROLE, words, f"role and lag of a replica need {grant}")


def read_receiver(row: Row) -> Receiver:
    """Return how a replica gets one source's log, from a row of SHOW REPLICA STATUS under old or new names."""
    running = str(read_column(row, "IO_Running") or "")
    words = {"Yes": "streaming", "No": "stopped"}
    host, port = read_column(row, "Host"), read_column(row, "Port")
    number = str(read_column(row, "Server_Id") or "0")
    return Receiver(
        status=words.get(running, "connecting"),
        source=f"{format_untrusted(str(host))}:{port}" if host else "",
        received=_number(read_column(row, "Read_Log_Pos")),
        log_file=str(read_column(row, "Log_File") or ""),
        source_identity="" if number == "0" else number,
        error=format_untrusted(str(row.get("Last_IO_Error") or ""), _ERROR_LENGTH),
        channel=format_untrusted(str(row.get("Connection_name") or row.get("Channel_Name") or ""), _NAME_LENGTH),
    )


def read_applier(sources: Sequence[Row]) -> Applier | None:
    """Return how the log is applied. Of several sources the one that is worst: stopped, then furthest behind."""
    return min((_applier(row) for row in sources), key=_rank, default=None)


def _rank(applier: Applier) -> tuple[bool, bool, float]:
    return applier.is_running, applier.lag_seconds is not None, -(applier.lag_seconds or 0.0)


def _applier(row: Row) -> Applier:
    running = str(read_column(row, "SQL_Running") or "")
    error = format_untrusted(str(row.get("Last_SQL_Error") or ""), _ERROR_LENGTH)
    behind, state = read_column(row, "Seconds_Behind"), str(read_column(row, "SQL_Running_State") or "")
    is_running = running == "Yes"
    return Applier(
        replayed=_number(read_column(row, "Exec_Log_Pos")),
        log_file=str(read_column(row, "Relay_Log_File") or ""),
        # A stopped applier without an error was stopped by somebody.
        pause=NOT_PAUSED if is_running or error else "paused",
        lag_seconds=None if behind is None else float(str(behind)),
        delay_seconds=float(str(row.get("SQL_Delay") or 0)),
        is_running=is_running,
        is_stalled=state.startswith(_WAITS_FOR_QUERY),
        state=format_untrusted(state, _NAME_LENGTH),
        error=error,
        gtid=str(row.get("Gtid_Slave_Pos") or _squeeze(str(row.get("Executed_Gtid_Set") or ""))),
    )


def _with_details(target: MysqlTarget, applier: Applier | None) -> Applier | None:
    """Add who replay may be waiting for and, on MySQL 8, when what was applied last was committed."""
    if applier is None:
        return None
    age = _replay_age(target)
    rows = _collect_stallers(target) if applier.is_stalled else []
    return replace(
        applier,
        replay_age_seconds=age,
        stalled_by=tuple(_describe_session(row) for row in rows),
        stalled_by_ids=tuple(int(row["id"]) for row in rows),
    )


def _replay_age(target: MysqlTarget) -> float | None:
    if target.is_mariadb or target.info.version_number < 80001 or not measures_itself(target):
        return None
    rows = probes_of(target).collect("applied_transactions", "", version_of(target))
    if not rows:
        return None
    found = rows[0]["applying_seconds"] if rows[0]["applying_seconds"] is not None else rows[0]["applied_seconds"]
    return None if found is None else max(0.0, float(found))


def _collect_stallers(target: MysqlTarget) -> Iterable[Row]:
    gap = f"for whom the applier waits needs {grant_everywhere(target, 'PROCESS')}"
    return probes_of(target).collect("replication_stallers", gap) or ()


def _describe_session(row: Row) -> str:
    who = format_untrusted(str(row["login"]), _NAME_LENGTH)
    since = "" if row["seconds"] is None else f" for {format_duration(float(row['seconds']))}"
    return f"{row['id']} {who} (transaction open{since})"


def _number(found: object) -> int | None:
    return None if found is None else int(str(found))


def _squeeze(gtid: str) -> str:
    return re.sub(r"\s+", "", gtid)
