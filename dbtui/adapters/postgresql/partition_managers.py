"""Other programs that look after partitions: what they have set is shown, and their tables are left to them."""

from __future__ import annotations

import re
from typing import Any

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.sql import quote_table
from dbtui.model.backups import TableName
from dbtui.model.text import format_untrusted

_SHOWN = (
    "control", "partition_interval", "premake", "retention", "retention_schema", "retention_keep_table",
    "automatic_maintenance", "infinite_time_partitions", "partition_timezone", "maintenance_last_run",
)  # fmt: skip
_NAME = re.compile(r'(?:"((?:[^"]|"")*)"|([^."]+))(?:\.|\Z)')


def collect_management(target: PostgresqlTarget) -> tuple[dict[TableName, tuple[str, ...]], tuple[str, ...]]:
    """Return the tables that pg_partman manages, with what it has set, and what could not be seen of that."""
    if "pg_partman" not in target.info.extensions:
        return {}, ()
    places = target.collect("collect_partition_managers")
    if not places:
        return {}, ("pg_partman is installed, and this login may not see which tables it manages: GRANT SELECT ON "
                    "its part_config",)  # fmt: skip
    found: dict[TableName, tuple[str, ...]] = {}
    for place in places:
        config = quote_table(TableName(place.schema, place.name))
        for row in target.rows(f"SELECT parent_table, to_jsonb(c) AS settings FROM {config} c"):  # noqa: S608 - quoted
            found[_parse_name(row.parent_table)] = _sentences(row.settings)
    return found, ()


def _parse_name(text: str) -> TableName:
    """pg_partman writes `schema.table` as it was typed: a quote is part of a name only where it stands around it."""
    parts = [quoted.replace('""', '"') or plain for quoted, plain in _NAME.findall(text)]
    return TableName(parts[0], ".".join(parts[1:])) if len(parts) > 1 else TableName("", text)


def _sentences(settings: dict[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"{name} = {format_untrusted(str(settings[name]), 200)}" for name in _SHOWN if settings.get(name) is not None
    )
