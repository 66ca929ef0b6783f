"""The logs of MySQL and MariaDB: a position is a set of global transaction identifiers (GTIDs).

MariaDB's are `domain-server-sequence`, of which the last of each domain stands for all before it; MySQL's are
`source:1-17:19`, every interval of each source. An identifier is of one transaction alone, also after a failover.
"""

import re
from typing import Any

from dbtui.errors import UsageError
from dbtui.instrument.routing_looks import PrimaryLook, ReplicaLook
from dbtui.model.text import format_untrusted

#: Of each domain or source the intervals of transactions that are in it.
Position = dict[str, tuple[tuple[int, int], ...]]

_MARIADB = re.compile(r"([0-9]{1,10})-[0-9]{1,10}-([0-9]{1,20})")
_NUMBERS = r"[0-9]{1,20}(?:-[0-9]{1,20})?"
_MYSQL = re.compile(rf"([0-9a-fA-F-]{{36}}(?::[A-Za-z_][A-Za-z0-9_]{{0,31}})?):({_NUMBERS}(?::{_NUMBERS})*)")
#: Newest first. A server that does not know one says so.
_STATUS = ("SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS", "SHOW SLAVE STATUS")


class GtidLog:
    """How MySQL and MariaDB number their logs."""

    def __init__(self) -> None:
        self._is_mariadb: bool | None = None

    def parse(self, text: str) -> Position:
        """The position of a text such as 0-1-4711, or a set of MySQL's GTIDs. Raises UsageError."""
        position: Position = {}
        for part in filter(None, (each.strip() for each in text.split(","))):
            found = _MARIADB.fullmatch(part)
            mysql = _MYSQL.fullmatch(part)
            if found:
                position[found[1]] = _merge(position.get(found[1], ()), ((1, int(found[2])),))
            elif mysql:
                key = mysql[1].lower()
                position[key] = _merge(position.get(key, ()), tuple(_interval(each) for each in mysql[2].split(":")))
            else:
                wrong = f"{format_untrusted(text, 40)!r} is no set of GTIDs"
                raise UsageError(wrong, "give what `session.position` was, such as 0-1-4711")
        return position

    def format(self, position: Position) -> str:
        """The GTIDs of a position."""
        return ",".join(_format(key, intervals) for key, intervals in sorted(position.items()))

    def covers(self, reached: Position, wanted: Position) -> bool:
        """Whether everything that is wanted was applied."""
        return all(
            any(low <= first and last <= high for low, high in reached.get(key, ()))
            for key, intervals in wanted.items()
            for first, last in intervals
        )

    def join(self, first: Position, second: Position) -> Position:
        """What is in one of them."""
        return {key: _merge(first.get(key, ()), second.get(key, ())) for key in {*first, *second}}

    def distance_bytes(self, _reached: Position, _wanted: Position) -> None:
        """GTIDs count transactions, not bytes."""

    def ask_position(self, raw: Any) -> Position:
        """What is in the primary's log now."""
        name = "@@global.gtid_binlog_pos" if self._asks_mariadb(raw) else "@@global.gtid_executed"
        return self.parse(self._value(raw, f"SELECT {name}"))

    def ask_reached(self, raw: Any) -> tuple[bool, Position, bool]:
        """What the server has applied. A server that was promoted has it, too."""
        name = "@@global.gtid_slave_pos" if self._asks_mariadb(raw) else "@@global.gtid_executed"
        return True, self.parse(self._value(raw, f"SELECT {name}")), True

    def look_at_primary(self, raw: Any) -> PrimaryLook:
        """What is in the primary's log; without a log, or GTIDs, nothing can be known of its replicas."""
        position = self.ask_position(raw)
        return PrimaryLook(position=position, fault="" if position else "it writes no binary log with GTIDs")

    def look_at_replica(self, raw: Any) -> ReplicaLook:
        """What a replica says of its two threads."""
        statuses = self._statuses(raw)
        _, reached, _ = self.ask_reached(raw)
        ages = [_first(each, "seconds_behind_source", "seconds_behind_master") for each in statuses]
        return ReplicaLook(
            is_replica=bool(statuses),
            reached=reached,
            is_paused=any(_first(each, "replica_sql_running", "slave_sql_running") != "Yes" for each in statuses),
            is_receiving=all(_first(each, "replica_io_running", "slave_io_running") == "Yes" for each in statuses),
            age_seconds=max((float(age) for age in ages if age is not None), default=None),
        )

    def _asks_mariadb(self, raw: Any) -> bool:
        if self._is_mariadb is None:
            self._is_mariadb = "mariadb" in self._value(raw, "SELECT @@version").lower()
        return self._is_mariadb

    def _statuses(self, raw: Any) -> list[dict[str, Any]]:
        for sql in _STATUS[0 if self._asks_mariadb(raw) else 1 :]:
            cursor = raw.cursor()
            try:
                cursor.execute(sql)
                names = [column[0].lower() for column in cursor.description]
                return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            except Exception as error:
                if sql == _STATUS[-1] or not _is_syntax_error(error):
                    raise
            finally:
                cursor.close()
        return []

    def _value(self, raw: Any, sql: str) -> str:
        """One value; no table is read, so that no snapshot is made."""
        cursor = raw.cursor()
        try:
            cursor.execute(sql)
            return str(cursor.fetchone()[0] or "").replace("\n", "")
        finally:
            cursor.close()


def _first(status: dict[str, Any], *names: str) -> Any:
    return next((status[name] for name in names if name in status), None)


def _is_syntax_error(error: Exception) -> bool:
    return bool(error.args) and error.args[0] == 1064


def _interval(text: str) -> tuple[int, int]:
    first, _, last = text.partition("-")
    return int(first), int(last or first)


def _format(key: str, intervals: tuple[tuple[int, int], ...]) -> str:
    if key.isdecimal():
        return f"{key}-0-{intervals[-1][1]}"
    return ":".join([key, *(f"{first}-{last}" if last > first else str(first) for first, last in intervals)])


def _merge(first: tuple[tuple[int, int], ...], second: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for low, high in sorted((*first, *second)):
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    return tuple(merged)
