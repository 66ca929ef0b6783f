"""Other programs that look after partitions: what they have set is shown, and their tables are left to them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.sql import quote_table
from dbtui.model.backups import TableName
from dbtui.model.text import format_untrusted

PARTMAN = "pg_partman"
_SHOWN = (
    "control", "partition_interval", "premake", "retention", "retention_schema", "retention_keep_table",
    "automatic_maintenance", "infinite_time_partitions", "partition_timezone", "maintenance_last_run",
)  # fmt: skip
_NAME = re.compile(r'(?:"((?:[^"]|"")*)"|([^."]+))(?:\.|\Z)')
_UNREADABLE = "this login may not read what pg_partman has set: GRANT SELECT ON its part_config"


@dataclass(frozen=True, slots=True)
class Management:
    """Which tables pg_partman keeps, with what it has set for each; where its settings are not to be read, the names
    of the templates that it made for its tables."""

    settings: Mapping[TableName, tuple[str, ...]] = field(default_factory=dict)
    templates: frozenset[str] = frozenset()
    gaps: tuple[str, ...] = ()

    def keeps(self, table: TableName) -> bool:
        """Whether a table is kept by pg_partman, as far as that can be told."""
        return table in self.settings or f"template_{table.schema}_{table.name}"[:_LONGEST] in self.templates

    def of(self, table: TableName) -> tuple[str, ...]:
        """What is set for a table, a sentence each."""
        return self.settings.get(table, (_UNREADABLE,) if self.keeps(table) else ())


_LONGEST = 63  # characters, to which pg_partman cuts the names that it makes


def collect_management(target: PostgresqlTarget) -> Management:
    """Ask which tables pg_partman manages."""
    if PARTMAN not in target.info.extensions:
        return Management()
    places = target.collect("collect_partition_managers")
    readable = [place for place in places if place.is_readable]
    if not readable:
        names = frozenset(row.name for row in target.collect("collect_partman_templates"))
        return Management(templates=names, gaps=(f"which tables pg_partman manages is not known: {_UNREADABLE}",))
    found: dict[TableName, tuple[str, ...]] = {}
    for place in readable:
        config = quote_table(TableName(place.schema, place.name))
        for row in target.rows(f"SELECT parent_table, to_jsonb(c) AS settings FROM {config} c"):  # noqa: S608 - quoted
            found[_parse_name(row.parent_table)] = _sentences(row.settings)
    return Management(found)


def _parse_name(text: str) -> TableName:
    """pg_partman writes `schema.table` as it was typed: a quote is part of a name only where it stands around it."""
    parts = [quoted.replace('""', '"') or plain for quoted, plain in _NAME.findall(text)]
    return TableName(parts[0], ".".join(parts[1:])) if len(parts) > 1 else TableName("", text)


def _sentences(settings: dict[str, Any]) -> tuple[str, ...]:
    return tuple(
        f"{name} = {format_untrusted(str(settings[name]), 200)}" for name in _SHOWN if settings.get(name) is not None
    )
