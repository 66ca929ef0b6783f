"""What planning a dump needs to know of the server, its tables and this machine."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.sql import quote_name, quote_table
from dbtui.adapters.postgresql.tables import CatalogTable, Catalogue, collect_catalogue
from dbtui.adapters.postgresql.tools import lacks_zstd
from dbtui.model.backups import CompressionKind, DumpFacts, DumpOptions, TableFacts, TableName
from dbtui.model.text import format_duration, format_untrusted

_LONG_SECONDS = 300
_NAMED_AT_MOST = 10


def collect_dump_facts(target: PostgresqlTarget, options: DumpOptions) -> DumpFacts:
    """Ask server and machine what planning a dump needs. Raises ToolError when no fitting pg_dump is installed."""
    target.check_database()
    tool = target.find_tool("pg_dump")
    catalogue = collect_catalogue(target)
    chosen, unmatched = catalogue.choose(options)
    large = target.collect_one("collect_large_objects", sees_all=target.info.is_superuser)
    remarks = target.collect_one("collect_dump_remarks")
    return DumpFacts(
        info=target.info,
        tool=tool.name,
        tool_path=tool.path,
        tool_version=tool.version,
        tool_major=tool.major,
        tool_lacks_zstd=options.compression.kind is CompressionKind.ZSTD and lacks_zstd(tool),
        tables=_table_facts(catalogue.listed(chosen)),
        unmatched=unmatched,
        database_bytes=remarks.size_bytes,
        lock_holders=collect_lock_holders(target, {each.table_id for each in chosen}),
        long_transactions=_collect_long_transactions(target),
        missing_privileges=(
            *_missing_on_tables(target, chosen),
            *_missing_elsewhere(target, catalogue, chosen, large.unreadable),
        ),
        extensions=tuple(name for name in target.info.extensions if name != "plpgsql"),
        roles=tuple(row.role_name for row in target.collect("collect_roles")),
        large_objects=large.objects,
        remarks=(
            *_remarks_on_connection(target, remarks),
            *_remarks_on_objects(remarks, [each for each in chosen if each.is_unlogged], target),
            *_remarks_on_choice(target, chosen, options),
        ),
    )


def _table_facts(tables: Sequence[CatalogTable]) -> tuple[TableFacts, ...]:
    return tuple(
        TableFacts(
            schema=each.table.schema,
            name=each.table.name,
            bytes=each.size_bytes,
            rows_estimate=each.rows_estimate,
            is_readable=each.can_read and each.can_use_schema,
            has_row_security=each.hides_rows,
        )
        for each in tables
    )


def collect_lock_holders(target: PostgresqlTarget, table_ids: Collection[int]) -> tuple[str, ...]:
    """Return who holds or waits for a lock that a dump of these tables would wait for, a line each."""
    return tuple(
        f"{_session(row)} {'holds' if row.is_held else 'waits for'} ACCESS EXCLUSIVE on "
        f"{format_untrusted(row.relation_name, 120)}{_since(row)}"
        for row in target.collect("collect_lock_holders")
        if row.is_catalog or row.table_id in table_ids
    )


def _collect_long_transactions(target: PostgresqlTarget) -> tuple[str, ...]:
    return tuple(
        f"{_session(row)} has had a transaction open{_since(row)} ({row.state or 'state not shown to this login'})"
        for row in target.collect("collect_long_transactions", minimum_seconds=_LONG_SECONDS)
    )


def _session(row: Any) -> str:
    who = f" {format_untrusted(row.login, 60)}" if row.login else ""
    what = f" ({format_untrusted(row.application, 60)})" if row.application else ""
    return f"session {row.process_id}{who}{what}"


def _since(row: Any) -> str:
    return "" if row.seconds is None else f" for {format_duration(row.seconds)}"


def _missing_on_tables(target: PostgresqlTarget, chosen: Sequence[CatalogTable]) -> Iterator[str]:
    login = quote_name(target.info.user)
    for schema in sorted({each.table.schema for each in chosen if not each.can_use_schema}):
        yield f"GRANT USAGE ON SCHEMA {quote_name(schema)} TO {login}"
    for each in chosen:
        if not each.can_read:
            yield f"GRANT SELECT ON TABLE {each.sql} TO {login}"


def _missing_elsewhere(
    target: PostgresqlTarget, catalogue: Catalogue, chosen: Sequence[CatalogTable], large_objects: int
) -> Iterator[str]:
    login = quote_name(target.info.user)
    chosen_ids = {each.table_id for each in chosen}
    takes_all = len(chosen) == len(catalogue.tables)
    for row in target.collect("collect_unreadable"):
        if takes_all or row.owner_table_id in chosen_ids:
            kind = "SEQUENCE" if row.kind == "S" else "TABLE"
            yield f"GRANT SELECT ON {kind} {quote_table(TableName(row.schema, row.name))} TO {login}"
    if large_objects:
        yield f"GRANT SELECT ON LARGE OBJECT … TO {login}, for {large_objects} large objects that it may not read"


def _remarks_on_connection(target: PostgresqlTarget, row: Any) -> Iterator[str]:
    if target.info.role == "replica":
        feedback = "on" if row.has_feedback else "off"
        yield (
            "the server is a replica: replay may cancel a long dump "
            f"(max_standby_streaming_delay {row.standby_delay}, hot_standby_feedback {feedback})"
        )
    if target.works_pooled:
        yield (
            "the dump goes through a pooler: pg_dump empties the search_path of its session, which a pooler in "
            "transaction mode then hands on to applications; use the server's own address"
        )
    elif target.is_pooled:
        yield f"the dump goes past the pooler, straight to {target.where}"


def _remarks_on_objects(row: Any, unlogged: Sequence[CatalogTable], target: PostgresqlTarget) -> Iterator[str]:
    if row.unpopulated_views:
        yield f"materialised views without data stay without data: {_names(row.unpopulated_views)}"
    if row.invalid_indexes:
        yield f"invalid indexes are not dumped: {_names(row.invalid_indexes)}"
    if row.foreign_tables:
        yield f"{row.foreign_tables} foreign tables: only their definitions are dumped"
    if unlogged and target.info.role == "replica":
        yield f"unlogged tables have no rows on a replica: {_names([str(each.table) for each in unlogged])}"


def _remarks_on_choice(target: PostgresqlTarget, chosen: Sequence[CatalogTable], options: DumpOptions) -> Iterator[str]:
    if not (options.tables or options.exclude_tables) or not chosen:
        return
    ids = [each.table_id for each in chosen]
    outside = [row.reference for row in target.collect("collect_outside_references", table_ids=ids)]
    if outside:
        yield f"foreign keys lead to tables that are not in the dump: {_names(outside)}"
    if options.tables:
        yield "only tables are dumped: types, functions and extensions that they use are not"


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(format_untrusted(name, 120) for name in names[:_NAMED_AT_MOST])
    return f"{shown} and {len(names) - _NAMED_AT_MOST} more" if len(names) > _NAMED_AT_MOST else shown
