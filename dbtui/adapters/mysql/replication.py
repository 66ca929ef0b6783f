"""Whether a server is a replica, and how far behind: old and new words of MySQL, and MariaDB's named connections."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.adapters.mysql.probes import grant_everywhere, probes_of, replication_privilege
from dbtui.model.text import format_untrusted

#: Columns of SHOW REPLICA STATUS under their new and old names (manual, 8.0.22; MariaDB has the old ones alone).
_COLUMNS = {
    "Seconds_Behind": ("Seconds_Behind_Source", "Seconds_Behind_Master"),
    "IO_Running": ("Replica_IO_Running", "Slave_IO_Running"),
    "SQL_Running": ("Replica_SQL_Running", "Slave_SQL_Running"),
    "SQL_Running_State": ("Replica_SQL_Running_State", "Slave_SQL_Running_State"),
    "Host": ("Source_Host", "Master_Host"),
    "Port": ("Source_Port", "Master_Port"),
    "Server_Id": ("Source_Server_Id", "Master_Server_Id"),
    "Log_File": ("Source_Log_File", "Master_Log_File"),
    "Read_Log_Pos": ("Read_Source_Log_Pos", "Read_Master_Log_Pos"),
    "Relay_Log_File": ("Relay_Source_Log_File", "Relay_Master_Log_File"),
    "Exec_Log_Pos": ("Exec_Source_Log_Pos", "Exec_Master_Log_Pos"),
}
_ALIVE = ("Yes", "Connecting", "Preparing")


@dataclass(frozen=True, slots=True)
class Replication:
    """What a server says of its sources. `role` is None when it was not told."""

    role: str | None
    lag_seconds: float | None = None
    gaps: tuple[str, ...] = ()


def collect_replication(target: MysqlTarget, *, is_read_only: bool) -> Replication:
    """Ask for the state of every source. Raises ServerError, ConnectError."""
    grant = grant_everywhere(target, replication_privilege(target))
    words = replica_words(target.is_mariadb, target.info.version_number)
    rows = probes_of(target).ask("replication", words, f"role and lag of a replica need {grant}")
    if rows is None:
        return Replication(None)
    return assess_sources(rows, is_read_only=is_read_only)


def replica_words(is_mariadb: bool, version_number: int) -> str:
    """Return the statement that lists the sources (manuals, SHOW REPLICA STATUS)."""
    if is_mariadb:
        return "SHOW ALL SLAVES STATUS"
    return "SHOW REPLICA STATUS" if version_number >= 80022 else "SHOW SLAVE STATUS"


def assess_sources(rows: Iterable[Row], *, is_read_only: bool) -> Replication:
    """Return role and lag: the largest of its sources'; None, with a gap, when a thread that is needed stands still.

    A server whose threads were all stopped is a replica as long as it is read-only.
    """
    sources = list(rows)
    if not is_replica_of(sources, is_read_only=is_read_only):
        return Replication("primary")
    lags = [read_column(row, "Seconds_Behind") for row in sources]
    gaps = tuple(gap for row in sources for gap in _explain_standstill(row))
    if any(lag is None for lag in lags):
        return Replication("replica", None, gaps or ("the lag is not known: the source has not answered yet",))
    return Replication("replica", max(float(str(lag)) for lag in lags), gaps)


def is_replica_of(sources: Collection[Row], *, is_read_only: bool) -> bool:
    """Whether a server with these sources applies their changes, or would if its threads were not stopped."""
    runs = any(read_column(row, name) in _ALIVE for row in sources for name in ("IO_Running", "SQL_Running"))
    return bool(sources) and (runs or is_read_only)


def read_column(row: Row, name: str) -> object:
    """Return a column of SHOW REPLICA STATUS under its new or its old name; None when there is neither."""
    return next((row[each] for each in _COLUMNS[name] if each in row), None)


def _explain_standstill(row: Row) -> Iterator[str]:
    channel = str(row.get("Connection_name") or row.get("Channel_Name") or "")
    of = f" of {format_untrusted(channel, 60)}" if channel else ""
    for thread, error in (("IO", "Last_IO_Error"), ("SQL", "Last_SQL_Error")):
        state = str(read_column(row, f"{thread}_Running"))
        if state != "Yes":
            said = format_untrusted(str(row.get(error) or ""), 200)
            word = "is connecting" if state in _ALIVE else "is stopped"
            yield f"replication thread {thread}{of} {word}{f': {said}' if said else ''}"
