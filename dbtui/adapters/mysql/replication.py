"""Whether a server is a replica, and how far behind: old and new words of MySQL, and MariaDB's named connections."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.adapters.mysql.probes import grant_everywhere, probes_of, replication_privilege
from dbtui.model.text import format_untrusted

_BEHIND = ("Seconds_Behind_Source", "Seconds_Behind_Master")
_IO = ("Replica_IO_Running", "Slave_IO_Running")
_SQL = ("Replica_SQL_Running", "Slave_SQL_Running")
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
    runs = any(_first(row, names) in _ALIVE for row in sources for names in (_IO, _SQL))
    if not sources or not (runs or is_read_only):
        return Replication("primary")
    lags = [_first(row, _BEHIND) for row in sources]
    gaps = tuple(gap for row in sources for gap in _explain_standstill(row))
    if any(lag is None for lag in lags):
        return Replication("replica", None, gaps or ("the lag is not known: the source has not answered yet",))
    return Replication("replica", max(float(str(lag)) for lag in lags), gaps)


def _first(row: Row, names: Iterable[str]) -> object:
    return next((row[name] for name in names if name in row), None)


def _explain_standstill(row: Row) -> Iterator[str]:
    channel = str(row.get("Connection_name") or row.get("Channel_Name") or "")
    of = f" of {format_untrusted(channel, 60)}" if channel else ""
    for thread, names, error in (("IO", _IO, "Last_IO_Error"), ("SQL", _SQL, "Last_SQL_Error")):
        state = str(_first(row, names))
        if state != "Yes":
            said = format_untrusted(str(row.get(error) or ""), 200)
            word = "is connecting" if state in _ALIVE else "is stopped"
            yield f"replication thread {thread}{of} {word}{f': {said}' if said else ''}"
