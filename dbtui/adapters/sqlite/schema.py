"""What a database file declares, read from its own list of definitions."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dbtui.adapters.sqlite.connect import sql
from dbtui.adapters.sqlite.sql_tokens import module_of
from dbtui.model.backups import DumpObject, TableName

MAIN = "main"
#: Tables that SQLite's modules keep behind a virtual table (xShadowName of each module).
_SHADOWS = {
    "fts3": ("content", "docsize", "segdir", "segments", "stat"),
    "fts4": ("content", "docsize", "segdir", "segments", "stat"),
    "fts5": ("config", "content", "data", "docsize", "idx"),
    "geopoly": ("node", "parent", "rowid"),
    "rtree": ("node", "parent", "rowid"),
    "rtree_i32": ("node", "parent", "rowid"),
    "spellfix1": ("vocab",),
}


@dataclass(frozen=True, slots=True)
class Declared:
    """One definition. `module` is that of a virtual table, `table` what an index or trigger is on."""

    kind: str
    name: str
    table: str
    definition: str | None
    module: str = ""

    @property
    def table_name(self) -> TableName:
        """The name as the model has it."""
        return TableName(MAIN, self.name)


@dataclass(frozen=True, slots=True)
class Schema:
    """Every definition of a file, in the order in which they were made."""

    declared: tuple[Declared, ...]

    @property
    def tables(self) -> tuple[Declared, ...]:
        """The tables an operator knows: ordinary and virtual ones, without those that SQLite or a module keeps."""
        shadows = set(self._shadows())
        found = (each for each in self.declared if each.kind == "table")
        return tuple(
            sorted(
                (one for one in found if not is_internal(one.name) and one.name.lower() not in shadows),
                key=lambda one: one.name,
            )
        )

    def _shadows(self) -> Iterator[str]:
        for each in self.declared:
            for suffix in _SHADOWS.get(each.module, ()):
                yield f"{each.name}_{suffix}".lower()

    def shadows_of(self, table: Declared) -> tuple[str, ...]:
        """Return the names of the tables behind a virtual table, in small letters."""
        return tuple(f"{table.name}_{suffix}".lower() for suffix in _SHADOWS.get(table.module, ()))

    def of_kind(self, kind: str) -> tuple[Declared, ...]:
        """Return the views, triggers or indexes that have a definition of their own."""
        return tuple(each for each in self.declared if each.kind == kind and each.definition is not None)

    @property
    def objects(self) -> tuple[DumpObject, ...]:
        """What there is besides tables."""
        return tuple(
            DumpObject(kind, MAIN, each.name) for kind in ("view", "index", "trigger") for each in self.of_kind(kind)
        )

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that virtual tables need."""
        return tuple(sorted({each.module for each in self.declared if each.module}))

    def find_table(self, name: TableName) -> Declared | None:
        """Return a table by its name, as SQLite compares names: without regard to case."""
        if name.schema.lower() not in ("", MAIN):
            return None
        return next((table for table in self.tables if table.name.lower() == name.name.lower()), None)


def is_internal(name: str) -> bool:
    """Whether a name is one that SQLite keeps for itself."""
    return name.lower().startswith("sqlite_")


def collect_schema(connection: sqlite3.Connection) -> Schema:
    """Read every definition."""
    return Schema(tuple(_declared(connection.execute(sql("schema")).fetchall())))


def _declared(rows: Sequence[sqlite3.Row]) -> Iterator[Declared]:
    for row in rows:
        definition = None if row["sql"] is None else str(row["sql"])
        module = module_of(definition) if definition and row["type"] == "table" and not row["rootpage"] else ""
        yield Declared(str(row["type"]), str(row["name"]), str(row["tbl_name"]), definition, module)
