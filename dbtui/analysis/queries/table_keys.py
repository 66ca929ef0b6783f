"""Which keys a look-up follows: those of the catalogue, and where it is silent those that names give away."""

from collections import defaultdict
from collections.abc import Sequence

from dbtui.analysis.queries.python_names import bare_name, is_same_table, points_to, stem_of
from dbtui.analysis.queries.select_lists import parse_select_list
from dbtui.model.queries import ForeignKey, Lookup, QuerySchema, Shape


class TableKeys:
    """A schema's keys by table, found however a statement spells the table."""

    def __init__(self, schema: QuerySchema | None) -> None:
        self._schema = schema or QuerySchema()
        self._by_child: defaultdict[str, list[ForeignKey]] = defaultdict(list)
        self._by_parent: defaultdict[str, list[ForeignKey]] = defaultdict(list)
        for key in self._schema.foreign_keys:
            self._by_child[bare_name(key.table).casefold()].append(key)
            self._by_parent[bare_name(key.parent).casefold()].append(key)
        self._tables: defaultdict[str, list[str]] = defaultdict(list)
        known = [*self._schema.primary_keys, *self._schema.indexed, *(key.table for key in self._schema.foreign_keys)]
        for table in dict.fromkeys(known):
            self._tables[bare_name(table).casefold()].append(table)

    def find_table(self, table: str) -> str | None:
        """Return a table as the catalogue spells it; None when it is not there."""
        named = [each for each in self._tables.get(bare_name(table).casefold(), ()) if is_same_table(each, table)]
        return named[0] if named else None

    def primary_key(self, table: str) -> tuple[str, ...]:
        """Return a table's primary key; `id` where that is not known."""
        return self.known_primary_key(table) or ("id",)

    def known_primary_key(self, table: str) -> tuple[str, ...]:
        """Return a table's primary key as the catalogue has it; empty where that is not known."""
        found = self.find_table(table)
        return self._schema.primary_keys.get(found, ()) if found else ()

    def is_by_primary_key(self, table: str, columns: Sequence[str]) -> bool:
        """Whether columns that are looked up are a table's primary key; by their names where that is not known."""
        wanted, known = {column.casefold() for column in columns}, self.known_primary_key(table)
        if known:
            return {column.casefold() for column in known} <= wanted
        return "id" in wanted or any(points_to(column, table) for column in columns)

    def keys_from(self, table: str) -> tuple[ForeignKey, ...]:
        """Return the foreign keys of a table."""
        return tuple(
            key for key in self._by_child.get(bare_name(table).casefold(), ()) if is_same_table(key.table, table)
        )

    def tables_around(self, table: str) -> frozenset[str]:
        """Return the bare names, folded, of the tables that a key joins with this one, in whichever direction."""
        name = bare_name(table).casefold()
        parents = {bare_name(key.parent).casefold() for key in self._by_child.get(name, ())}
        return frozenset(parents | {bare_name(key.table).casefold() for key in self._by_parent.get(name, ())})

    def key_of_columns(self, table: str, columns: Sequence[str], parents: Sequence[str] = ()) -> ForeignKey | None:
        """Return the foreign key of `table` within `columns`; rather one to one of `parents`."""
        wanted = {column.casefold() for column in columns}
        found = [key for key in self.keys_from(table) if {column.casefold() for column in key.columns} <= wanted]
        found.sort(key=lambda key: (not any(is_same_table(key.parent, each) for each in parents), -len(key.columns)))
        return found[0] if found else None

    def keys_to(self, table: str, columns: Sequence[str], children: Sequence[str]) -> tuple[ForeignKey, ...]:
        """Return the foreign keys of `children` that point to these columns of `table`."""
        wanted = {column.casefold() for column in columns}
        return tuple(
            key
            for child in dict.fromkeys(children)
            for key in self.keys_from(child)
            if is_same_table(key.parent, table) and {column.casefold() for column in key.parent_columns} <= wanted
        )


_last: tuple[QuerySchema | None, TableKeys] = (None, TableKeys(None))


def keys_of(schema: QuerySchema | None) -> TableKeys:
    """Return a schema's keys; they are sorted by table once for all the patterns that are judged by it."""
    global _last
    known = _last  # another thread may put another one there meanwhile
    if known[0] is not schema:
        known = _last = (schema, TableKeys(schema))
    return known[1]


def lookups_of(shape: Shape) -> tuple[Lookup, ...]:
    """Return a shape's look-ups, each with the name of its table."""
    tables = shape.tables
    return tuple(
        lookup
        if any(is_same_table(lookup.table, table) for table in tables) or not tables
        else Lookup(tables[0], lookup.column, lookup.is_value_first)
        for lookup in shape.lookups
    )


def read_table(shape: Shape) -> str:
    """Return the table whose rows a shape returns: that of its first column, else the first it names."""
    for item in parse_select_list(shape.text):
        for table in shape.tables:
            if item.table and is_same_table(item.table, table):
                return table
    return shape.tables[0] if shape.tables else ""


def infer_key_of_columns(
    keys: TableKeys, table: str, columns: Sequence[str], parents: Sequence[str]
) -> ForeignKey | None:
    """Return the foreign key that the name of a looked-up column promises: `post_id` to `post`."""
    for column in columns:
        for parent in parents:
            is_own_parent = is_same_table(parent, table) and stem_of(column) == "parent"
            if is_own_parent or (points_to(column, parent) and not is_same_table(parent, table)):
                return ForeignKey(table, (column,), parent, keys.primary_key(parent)[:1])
    return None


def infer_keys_to(keys: TableKeys, table: str, parent: Shape) -> tuple[ForeignKey, ...]:
    """Return the foreign keys to `table` that the names of the columns that a parent returned promise.

    None within one table: rows that are read again by their key are rather what a commit expired.
    """
    owner = read_table(parent)
    columns = [item.column for item in parse_select_list(parent.text) if item.column not in ("", "*")]
    return tuple(
        ForeignKey(owner, (column,), table, keys.primary_key(table)[:1])
        for column in columns
        if points_to(column, table)
    )
