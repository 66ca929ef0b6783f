"""What is not sound in a database although every row is there: asked when it is dumped, and again when restored."""

from collections.abc import Collection
from typing import Any

from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.adapters.postgresql.sql import quote_name, quote_table
from dbtui.model.backups import Flaw, TableName
from dbtui.model.events import Progressed, Routine
from dbtui.model.proofs import Soundness
from dbtui.model.text import format_untrusted

#: pg_sequence is a catalogue of its own from this version on; older servers keep its facts in the sequence itself.
_SEQUENCES_SINCE = 100000
_WORDS = {
    "constraint": "is not validated: rows may break it",
    "index": "is not valid: no query uses it",
    "materialised view": "is not populated: it cannot be read",
}


def collect_soundness(target: PostgresqlTarget, database: str) -> Routine[Soundness]:
    """Look at a restored database: constraints, indexes, materialised views, and sequences against their columns."""
    with target.working(database) as connection:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        target.collect("lift_timeouts", connection)
        counts = target.collect_one("count_checked_objects", connection)
        pairs = _collect_pairs(target, connection)
        flaws = [*_catalogue_flaws(target, connection)]
        for done, pair in enumerate(pairs):
            yield Progressed(done, len(pairs), "sequences", format_untrusted(pair.sequence, 120))
            flaws += _lag(target, connection, pair)
    checked = (("constraints", counts.constraints), ("indexes", counts.indexes), ("materialised views", counts.views),
               ("sequences", len({(pair.sequence_schema, pair.sequence) for pair in pairs})))  # fmt: skip
    return Soundness(tuple((kind, int(count)) for kind, count in checked), tuple(flaws))


def collect_known_flaws(
    target: PostgresqlTarget, connection: Connection, tables: Collection[TableName]
) -> tuple[Flaw, ...]:
    """Return what is not sound in a database that is being dumped, in the dump's own snapshot.

    Only of `tables`, which the dump has locked, sequences are compared with their columns.
    """
    flaws = [*_catalogue_flaws(target, connection)]
    for pair in _collect_pairs(target, connection):
        if TableName(pair.schema, pair.name) in tables:
            flaws += _lag(target, connection, pair)
    return tuple(flaws)


def _catalogue_flaws(target: PostgresqlTarget, connection: Connection) -> list[Flaw]:
    rows = target.collect("collect_flaws", connection)
    return [Flaw(row.kind, row.name, _WORDS[row.kind]) for row in rows]


def _collect_pairs(target: PostgresqlTarget, connection: Connection) -> list[Any]:
    if target.info.version_number < _SEQUENCES_SINCE:
        return []
    return target.collect("collect_sequence_columns", connection)


def _lag(target: PostgresqlTarget, connection: Connection, pair: Any) -> list[Flaw]:
    """A sequence whose next value is in its column already: the next INSERT fails, or writes a second one."""
    table = quote_table(TableName(pair.schema, pair.name))
    sequence = quote_table(TableName(pair.sequence_schema, pair.sequence))
    column, farthest = quote_name(pair.column_name), "max" if pair.ascends else "min"
    found = target.rows(
        f"SELECT s.last_value, s.is_called, (SELECT {farthest}({column}) FROM {table}) AS used FROM {sequence} s",  # noqa: S608
        on=connection,
    )[0]
    if found.used is None:
        return []
    reached = found.last_value if pair.ascends else -found.last_value
    used = found.used if pair.ascends else -found.used
    if reached > used or (reached == used and found.is_called):
        return []
    where = f"{pair.schema}.{pair.name}.{pair.column_name}"
    text = f"is at {found.last_value} and {where} has {found.used} already: the next INSERT repeats a value"
    return [Flaw("sequence", f"{pair.sequence_schema}.{pair.sequence}", text)]
