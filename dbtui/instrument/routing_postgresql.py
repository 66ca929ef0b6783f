"""PostgreSQL's log: positions are bytes since its beginning. Asked in autocommit, which leaves no snapshot behind."""

import re
from typing import Any

from dbtui.errors import UsageError
from dbtui.instrument.routing_looks import PrimaryLook, ReplicaLook
from dbtui.model.text import format_untrusted

_LSN = re.compile(r"([0-9A-Fa-f]{1,8})/([0-9A-Fa-f]{1,8})")
#: Bytes of a page's header in the log, and of the first page's of a segment (PostgreSQL's xlog_internal.h).
_PAGE_HEADER, _SEGMENT_HEADER = 24, 40

# The INSERT position covers commits with synchronous_commit = off, which no replica has yet.
_POSITION = """
SELECT pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_insert_lsn(), '0/0')::bigint,
       pg_catalog.current_setting('wal_block_size')::int,
       pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))
"""
_REACHED = """
SELECT pg_catalog.pg_is_in_recovery(),
       coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_replay_lsn(), '0/0'), 0)::bigint
"""
_PRIMARY = """
SELECT pg_catalog.pg_is_in_recovery(),
       CASE WHEN NOT pg_catalog.pg_is_in_recovery()
            THEN pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_flush_lsn(), '0/0')::bigint END,
       CASE WHEN NOT pg_catalog.pg_is_in_recovery()
            THEN pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END,
       (SELECT system_identifier::text FROM pg_catalog.pg_control_system())
"""
# The receiver's timeline is shown to pg_monitor alone; the control file's is known to all, and some minutes late.
_REPLICA = """
SELECT pg_catalog.pg_is_in_recovery(),
       coalesce(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_last_wal_replay_lsn(), '0/0'), 0)::bigint,
       CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_is_wal_replay_paused() ELSE false END,
       EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver
               WHERE pid IS NOT NULL AND coalesce(status, 'streaming') = 'streaming'),
       coalesce((SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver),
                greatest((SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),
                         (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery()))),
       (SELECT system_identifier::text FROM pg_catalog.pg_control_system()),
       extract(epoch FROM pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp())::float8
"""


class PostgreSQLLog:
    """How PostgreSQL numbers its log."""

    def parse(self, text: str) -> int:
        """The position of an LSN such as 16/B374D848. Raises UsageError."""
        found = _LSN.fullmatch(text)
        if not found:
            wrong = f"{format_untrusted(text, 40)!r} is no position in PostgreSQL's log"
            raise UsageError(wrong, "give what `session.position` was, such as 16/B374D848")
        return (int(found[1], 16) << 32) + int(found[2], 16)

    def format(self, position: int) -> str:
        """The LSN of a position."""
        return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"

    def covers(self, reached: int, wanted: int) -> bool:
        """Whether `wanted` is not behind `reached`."""
        return reached >= wanted

    def join(self, first: int, second: int) -> int:
        """The later one."""
        return max(first, second)

    def distance_bytes(self, reached: int, wanted: int) -> int:
        """The bytes from one to the other, 0 when `reached` is further."""
        return max(0, wanted - reached)

    def ask_position(self, raw: Any) -> int:
        """Where the log ends, as the next record that is replayed can reach it.

        After a page that is full the server says where the next record will begin, behind the page's header. Replay
        stops before the header, so that one would wait for a record that nobody writes.
        """
        position, page_bytes, segment_bytes = ask(raw, _POSITION)
        if position % segment_bytes == _SEGMENT_HEADER or position % page_bytes == _PAGE_HEADER:
            position -= position % page_bytes
        return int(position)

    def ask_reached(self, raw: Any) -> tuple[bool, int]:
        """Whether the server is in recovery, and the position it has replayed."""
        is_replica, reached = ask(raw, _REACHED)
        return is_replica, reached

    def look_at_primary(self, raw: Any) -> PrimaryLook:
        """The primary's position on disk, its timeline and its system."""
        is_replica, position, timeline, system = ask(raw, _PRIMARY)
        if is_replica:
            return PrimaryLook(position=None, system=system, fault="it is a replica itself")
        return PrimaryLook(position=position, timeline=int(timeline, 16), system=system)

    def look_at_replica(self, raw: Any) -> ReplicaLook:
        """Everything that can be wrong with a replica."""
        is_replica, reached, is_paused, is_receiving, timeline, system, age = ask(raw, _REPLICA)
        return ReplicaLook(
            is_replica=is_replica,
            reached=reached,
            is_paused=is_paused,
            is_receiving=is_receiving,
            timeline=timeline,
            system=system,
            age_seconds=age,
        )


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
