"""What is to be done about one repeated statement: which option of the loader, or which statement instead of many."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dbtui.analysis.queries.python_names import bare_name, column_name, is_same_table, stem_of
from dbtui.analysis.queries.relations import Names, Relation, find_relation, is_value_first, name_recorded
from dbtui.analysis.queries.select_lists import parse_select_list, unquote
from dbtui.analysis.queries.table_keys import lookups_of, read_table
from dbtui.model.queries import Child, CureKind, Repetition, Shape, ShapeKind

_ONE_IN_LIST = re.compile(r"""([\w$]+)["`]? IN \(\?\)""")
_FUNCTION = re.compile(r"(?is)^(count|max|min|sum|avg)\s*\(\s*(distinct\s+)?(.*?)\s*\)$")
#: One owner is shared by so many rows: loading owners by themselves is less than repeating them in a join.
_SHARED_BY = 4
#: So many columns without a primary key are keys that a statement looked for, rather than objects.
_KEYS_ALONE = 2
#: How the recorder says what is loaded for one object, other than a relationship, and what no option loads.
_ROW_LOADS, _NOT_LOADABLE = ("column", "refresh", "polymorphic"), ("dynamic", "write_only")


@dataclass(frozen=True, slots=True)
class Remedy:
    """What cures one child. `entity`: the class whose statement it goes into, `columns`: of it, as attributes."""

    kind: CureKind
    entity: str
    table: str
    relation: Relation | None = None
    columns: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    because: str = ""
    is_guess: bool = True


def choose_remedy(names: Names, repetition: Repetition, child: Child, owners: Sequence[str]) -> Remedy | None:
    """Return what cures one child of a repetition; None when its text does not tell enough.

    `owners`: tables whose rows may have been gone through.
    """
    shape, parent, recorded = child.shape, repetition.parent, child.relationship
    if not shape.tables:
        return None
    if child.load in _ROW_LOADS:
        return _reload_recorded(names, child, parent) or _list_values(names, shape)
    relation = name_recorded(names, shape, recorded, owners) if "." in recorded else None
    if shape.kind is ShapeKind.AGGREGATE:
        return _group(names, shape)
    if relation is None:
        if (below := _load_subclass(names, shape, parent)) is not None:
            return below
        if _asks_for_entities(shape, parent, names):
            relation = find_relation(names, shape, owners, parent)
    if parent is not None and is_same_table(read_table(shape), read_table(parent)):
        # Not every row of a tree has another parent, none of them among the rows: they were expired instead.
        is_every_row = child.repeats == repetition.parent_rows and not recorded and not is_value_first(shape)
        is_ours = bool(repetition.call_site) and not child.load  # recorded, and nothing that was loaded late
        is_object = not is_ours and _asks_for_entities(shape, parent, names)
        again = _reload(names, shape, parent) if is_object and (relation is None or is_every_row) else None
        if again is not None or relation is None:
            return again or _list_values(names, shape)
    if relation is None or child.load in _NOT_LOADABLE:
        return _list_values(names, shape, replace(relation, is_loadable=False) if relation else None)
    return _choose_load(names, repetition, child, relation)


def _choose_load(names: Names, repetition: Repetition, child: Child, relation: Relation) -> Remedy | None:
    shape = child.shape
    if not relation.is_loadable:
        return _list_values(names, shape, relation)
    if set(_key_columns(names, shape)) <= set(_ONE_IN_LIST.findall(shape.text)):
        keys = names.keys.primary_key(relation.owner_table)
        return _load(CureKind.PREFETCH, relation, "rows are prefetched for one owner at a time", keys)
    if relation.is_guess and not is_value_first(shape) and _is_by_foreign_key(names, shape):
        return _list_values(names, shape, relation)
    if relation.is_collection:
        return _load(CureKind.SELECTIN, relation, "")
    return _load_one(repetition, child, relation)


def _load(kind: CureKind, relation: Relation, more: str, keys: Sequence[str] = ()) -> Remedy:
    because = "; ".join(filter(None, (relation.because, more)))
    columns = tuple(column_name(column) for column in keys)
    owner, table = relation.owner, relation.owner_table
    return Remedy(kind, owner, table, relation, columns, because=because, is_guess=relation.is_guess)


def _load_one(repetition: Repetition, child: Child, relation: Relation) -> Remedy:
    owners, rows = child.distinct_values or child.repeats, repetition.parent_rows
    if rows and owners * _SHARED_BY <= rows:
        return _load(CureKind.SELECTIN, relation, f"{owners} of them are shared by {rows} rows, so a join repeats them")
    return _load(CureKind.JOINED, relation, "")


def _asks_for_entities(shape: Shape, parent: Shape | None, names: Names) -> bool:
    """Whether parent and child may be objects of an ORM: one that returned keys alone has no relationship to load.

    A column without its table is hand-written; so is a list of keys that are then looked up one by one.
    """
    if is_value_first(shape):
        return True
    items = parse_select_list(shape.text)
    if items and shape.kind is not ShapeKind.AGGREGATE and not any(item.table for item in items):
        return False
    returned = parse_select_list(parent.text) if parent is not None else ()
    if parent is None or not returned:
        return True
    if any(item.column == "*" for item in returned):
        return True
    columns = {item.column.casefold() for item in returned}
    if "id" not in columns and not names.keys.known_primary_key(read_table(parent)):
        return len(returned) > _KEYS_ALONE  # a table that has another key, such as one of two columns
    primary = {column.casefold() for column in names.keys.primary_key(read_table(parent))}
    return len(returned) > 1 and primary <= columns


def _is_by_foreign_key(names: Names, shape: Shape) -> bool:
    columns = [lookup.column for lookup in lookups_of(shape)]
    return not names.keys.is_by_primary_key(read_table(shape), columns)


# ---------------------------------------------------------------- columns that are loaded late


def _reload_recorded(names: Names, child: Child, parent: Shape | None) -> Remedy | None:
    """What the application's recorder says is no relationship."""
    shape, table = child.shape, read_table(child.shape)
    owner, _, attribute = child.relationship.partition(".")
    if not owner:
        return _reload(names, shape, parent)
    if child.load == "refresh" or not attribute:
        return _keep(owner, table, is_guess=False)
    if child.load == "polymorphic" and parent is not None:
        base = read_table(parent)
        return _read_subclass(names.class_of(base), base, owner, table, is_guess=not names.knows_class_of(base))
    primary = {column.casefold() for column in names.keys.primary_key(table)}
    asked = [item.column for item in parse_select_list(shape.text) if item.column not in ("", "*")]
    fresh = [column for column in asked if column.casefold() not in primary]
    return _undefer(names, owner, table, fresh or [attribute], is_known=True)


def _load_subclass(names: Names, shape: Shape, parent: Shape | None) -> Remedy | None:
    """Columns that a row of the parent has in another table, which has the same key: those of a subclass."""
    table, columns = read_table(shape), [lookup.column for lookup in lookups_of(shape)]
    if parent is None or len(shape.tables) != 1 or not is_value_first(shape):
        return None
    base = read_table(parent)
    primary = {column.casefold() for column in names.keys.primary_key(table)}
    asked = {item.column.casefold() for item in parse_select_list(shape.text)}
    if primary != {column.casefold() for column in columns} or primary & asked or is_same_table(base, table):
        return None
    if names.keys.find_table(table) is not None and names.keys.key_of_columns(table, columns, [base]) is None:
        return None
    is_guess = not (names.knows_class_of(base) and names.knows_class_of(table))
    return _read_subclass(names.class_of(base), base, names.class_of(table), table, is_guess=is_guess)


def _read_subclass(base: str, base_table: str, subclass: str, table: str, *, is_guess: bool) -> Remedy:
    because = f"columns of {bare_name(table)} belong to rows of {bare_name(base_table)}, whose subclass it is"
    return Remedy(CureKind.SELECTIN, base, base_table, columns=(subclass,), because=because, is_guess=is_guess)


def _reload(names: Names, shape: Shape, parent: Shape | None) -> Remedy | None:
    """A row that is there already is looked up again: a deferred column, or an object that a commit expired."""
    table = read_table(shape)
    columns = [lookup.column for lookup in lookups_of(shape)]
    if is_value_first(shape) or not names.keys.is_by_primary_key(table, columns):
        return None
    asked = [item.column for item in parse_select_list(shape.text) if item.column]
    primary = {column.casefold() for column in names.keys.primary_key(table)}
    had = _columns_of(parent, table)
    fresh = [column for column in asked if column.casefold() not in had | primary and column != "*"]
    is_whole = primary <= {column.casefold() for column in asked}
    is_known = names.knows_class_of(table)
    if fresh and not is_whole:
        late = _undefer(names, names.class_of(table), table, fresh, is_known=is_known)
        other = "; where no mapped column is deferred, the loop asks for one column: ask once, with all keys in a list"
        return replace(late, because=late.because + other)
    if fresh:  # the parent returned keys, and this is the first time that the rows are read
        return None
    kept = _keep(names.class_of(table), table, is_guess=not is_known)
    parents = [column for column in sorted(had) if stem_of(column) == "parent"]
    more = f"; or they are the rows that {parents[0]} points to, which joinedload() loads" if parents else ""
    return replace(kept, because=kept.because + more)


def _keep(owner: str, table: str, *, is_guess: bool) -> Remedy:
    because = f"rows of {bare_name(table)} are read again by their key: a commit expires what was loaded"
    return Remedy(CureKind.KEEP_LOADED, owner, table, because=because, is_guess=is_guess)


def _undefer(names: Names, owner: str, table: str, fresh: Sequence[str], *, is_known: bool) -> Remedy:
    by_column = {
        each.columns[0].casefold(): each.name
        for each in names.mapped
        if not each.target and each.columns and is_same_table(each.owner_table, table)
    }
    attributes = tuple(by_column.get(column.casefold(), column_name(column)) for column in fresh)
    because = f"{', '.join(fresh)} of {bare_name(table)} was left out of the statement and is loaded row by row"
    return Remedy(CureKind.UNDEFER, owner, table, columns=attributes, because=because, is_guess=not is_known)


def _columns_of(parent: Shape | None, table: str) -> set[str]:
    if parent is None:
        return set()
    is_alone = len(parent.tables) == 1  # then an alias is the table's
    return {
        item.column.casefold()
        for item in parse_select_list(parent.text)
        if item.column and (is_alone or not item.table or is_same_table(item.table, table))
    }


# ---------------------------------------------------------------- one statement instead of many


def _key_columns(names: Names, shape: Shape) -> tuple[str, ...]:
    """The columns that vary: a key of the table, rather than all that are looked up."""
    table = lookups_of(shape)[0].table
    columns = [lookup.column for lookup in lookups_of(shape) if is_same_table(lookup.table, table)]
    key = names.keys.key_of_columns(table, columns)
    primary = names.keys.known_primary_key(table)
    for found in (primary, key.columns if key else ()):
        if found and {column.casefold() for column in found} <= {column.casefold() for column in columns}:
            return tuple(found)
    return tuple(dict.fromkeys(columns))


def _list_values(names: Names, shape: Shape, relation: Relation | None = None) -> Remedy | None:
    if not shape.lookups:
        return None
    table = lookups_of(shape)[0].table
    columns = _key_columns(names, shape)
    because = f"rows of {bare_name(table)} are looked up by {', '.join(columns)} one by one"
    if relation is not None and not relation.is_loadable:
        because += f"; {relation.path} is dynamic or write-only, which no option loads"
    elif relation is not None:
        because += f"; if {relation.owner} has a relationship to them, selectinload() of it does the same"
    attributes = tuple(column_name(column) for column in columns)
    is_guess = not names.knows_class_of(table)
    return Remedy(
        CureKind.IN_LIST, names.class_of(table), table, relation, attributes, because=because, is_guess=is_guess
    )


def _group(names: Names, shape: Shape) -> Remedy | None:
    if not shape.lookups:
        return None
    table = lookups_of(shape)[0].table
    entity, columns = names.class_of(table), _key_columns(names, shape)
    found = [_function(entity, item.text) for item in parse_select_list(shape.text)]
    return Remedy(
        CureKind.GROUPED,
        entity,
        table,
        columns=tuple(column_name(column) for column in columns),
        functions=tuple(dict.fromkeys(each for each in found if each)) or ("func.count()",),
        because=f"rows of {bare_name(table)} are summed up for one {', '.join(columns)} at a time",
        is_guess=not names.knows_class_of(table),
    )


def _function(entity: str, text: str) -> str:
    found = _FUNCTION.match(text)
    if found is None:
        return ""
    name, distinct, argument = found[1].lower(), found[2], found[3]
    if not re.fullmatch(r"""(?:["`\w$]+\.)*["`\w$]+""", argument) or argument.isdigit():
        return "func.count()" if name == "count" else ""
    attribute = f"{entity}.{column_name(unquote(argument.rpartition('.')[2]))}"
    return f"func.{name}({attribute}{'.distinct()' if distinct else ''})"
