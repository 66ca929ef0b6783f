"""PostgreSQL's log: a position is a timeline and the bytes since the log's beginning.

Servers on different timelines have different logs at the same bytes: only positions of one timeline are compared.
Everything is asked in autocommit, which leaves no snapshot behind.
"""

import re
from typing import Any

from dbtui.errors import UsageError
from dbtui.instrument.routing_looks import PrimaryLook, ReplicaLook
from dbtui.model.text import format_untrusted

Position = tuple[int, int]

_POSITION_TEXT = re.compile(r"([0-9]{1,10}):([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
#: Bytes of a page's header in the log, and of the first page's of a segment (PostgreSQL's xlog_internal.h).
_PAGE_HEADER, _SEGMENT_HEADER = 24, 40

_WRITER_TIMELINE = "pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8)"
# The receiver's timeline is shown to pg_monitor alone; the control file's is known to all, and some minutes late.
_REPLICA_TIMELINE = """
coalesce((SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver),
         greatest((SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),
                  (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery())))
"""
_REPLAYED = "coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_replay_lsn(), '0/0'), 0)::bigint"

# The INSERT position covers commits with synchronous_commit = off, which no replica has yet.
_ASK_POSITION = f"""
SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')::bigint, {_WRITER_TIMELINE},
       pg_catalog.current_setting('wal_block_size')::int,
       pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))
"""
_ASK_REACHED = f"SELECT pg_catalog.pg_is_in_recovery(), {_REPLICA_TIMELINE}, {_REPLAYED}, pg_catalog.pg_backend_pid()"
_LOOK_AT_PRIMARY = f"""
SELECT pg_catalog.pg_is_in_recovery(),
       CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN {_WRITER_TIMELINE} END,
       CASE WHEN NOT pg_catalog.pg_is_in_recovery()
            THEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(), '0/0')::bigint END,
       (SELECT system_identifier::text FROM pg_catalog.pg_control_system())
"""  # noqa: S608 - made of the constants above
_LOOK_AT_REPLICA = f"""
SELECT pg_catalog.pg_is_in_recovery(), {_REPLICA_TIMELINE}, {_REPLAYED},
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_is_wal_replay_paused() ELSE false END,
       EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver
               WHERE pid IS NOT NULL AND coalesce(status, 'streaming') = 'streaming'),
       (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
       extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())::float8
"""  # noqa: S608 - made of the constants above


class PostgreSQLLog:
    """How PostgreSQL numbers its log."""

    def parse(self, text: str) -> Position:
        """The position of a text such as 1:16/B374D848, a timeline and an LSN. Raises UsageError."""
        found = _POSITION_TEXT.fullmatch(text)
        if not found:
            wrong = f"{format_untrusted(text, 40)!r} is no position in PostgreSQL's log"
            raise UsageError(wrong, "give what `session.position` was, such as 1:16/B374D848")
        return int(found[1]), (int(found[2], 16) << 32) + int(found[3], 16)

    def format(self, position: Position) -> str:
        """The timeline and the LSN of a position."""
        timeline, lsn = position
        return f"{timeline}:{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"

    def covers(self, reached: Position, wanted: Position) -> bool:
        """Whether `wanted` is on the same timeline and not behind `reached`."""
        return reached[0] == wanted[0] and reached[1] >= wanted[1]

    def join(self, first: Position, second: Position) -> Position:
        """The later one; a new timeline is later than an old one."""
        return max(first, second)

    def distance_bytes(self, reached: Position, wanted: Position) -> int:
        """The bytes from one to the other, 0 when `reached` is further."""
        return max(0, wanted[1] - reached[1])

    def ask_position(self, raw: Any) -> Position:
        """Where the log ends, as the next record that is replayed can reach it.

        After a page that is full the server says where the next record will begin, behind the page's header. Replay
        stops before the header, so that one would wait for a record that nobody writes.
        """
        lsn, timeline, page_bytes, segment_bytes = ask(raw, _ASK_POSITION)
        if lsn % segment_bytes == _SEGMENT_HEADER or lsn % page_bytes == _PAGE_HEADER:
            lsn -= lsn % page_bytes
        return int(timeline, 16), int(lsn)

    def ask_reached(self, raw: Any) -> tuple[bool, Position, bool]:
        """Whether the server is in recovery, the position it has replayed, and whether no pooler stands between."""
        is_replica, timeline, lsn, pid = ask(raw, _ASK_REACHED)
        return is_replica, (timeline, lsn), pid == _own_pid(raw)

    def look_at_primary(self, raw: Any) -> PrimaryLook:
        """The primary's position on disk, its timeline and its system."""
        is_replica, timeline, lsn, system = ask(raw, _LOOK_AT_PRIMARY)
        if is_replica:
            return PrimaryLook(position=None, system=system, fault="it is a replica itself")
        number = int(timeline, 16)
        return PrimaryLook(position=(number, lsn), timeline=number, system=system)

    def look_at_replica(self, raw: Any) -> ReplicaLook:
        """Everything that can be wrong with a replica."""
        is_replica, timeline, lsn, is_paused, is_receiving, system, age = ask(raw, _LOOK_AT_REPLICA)
        return ReplicaLook(
            is_replica=is_replica,
            reached=(timeline, lsn),
            is_paused=is_paused,
            is_receiving=is_receiving,
            timeline=timeline,
            system=system,
            age_seconds=age,
        )


def _own_pid(raw: Any) -> int | None:
    """The server's process as it said at the login; a pooler says another one."""
    driver = getattr(raw, "driver_connection", None) or getattr(raw, "_connection", raw)
    for name in ("get_backend_pid", "get_server_pid"):  # psycopg2, asyncpg
        if hasattr(driver, name):
            return int(getattr(driver, name)())
    return getattr(getattr(driver, "info", None), "backend_pid", None)


def ask(raw: Any, sql: str) -> tuple[Any, ...]:
    """The only row of a query, asked outside a transaction by a driver whose `autocommit` is an attribute."""
    before = raw.autocommit
    if not before:
        raw.autocommit = True
    cursor = raw.cursor()
    try:
        cursor.execute(sql)
        row: tuple[Any, ...] = cursor.fetchone()
    finally:
        cursor.close()
    if not before:
        raw.autocommit = False
    return row
