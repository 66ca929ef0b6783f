"""What kind of statement a shape is, which tables it reads, and by which columns it looks rows up."""

from dataclasses import dataclass, field
from itertools import pairwise

from dbtui.analysis.queries.statements import MANY, Item, ItemKind, Statement, format_statement, words
from dbtui.model.queries import Lookup, Shape, ShapeKind

_CURSORS = frozenset({"DECLARE", "FETCH", "CLOSE", "move"})
_WRITES = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "MERGE", "COPY", "TRUNCATE"})
_ENDS = frozenset({"COMMIT", "END", "abort"})
_RANGES = frozenset(
    {"<", ">", "<=", ">=", "BETWEEN", "LIKE", "ILIKE", "SIMILAR", "~", "~*", "!~", "!~*", "~~", "~~*", "@>", "<@", "@@"}
    | {"regexp", "rlike"}
)
_AGGREGATES = words(
    "count max min sum avg array_agg string_agg group_concat bool_or bool_and every json_agg jsonb_agg stddev"
)
_CATALOGUES = ("pg_catalog.", "information_schema.", "performance_schema.", "mysql.", "sys.", "sqlite_", "pg_")
_LEAVES_FROM = frozenset(
    {"WHERE", "GROUP", "ORDER", "HAVING", "LIMIT", "WINDOW", "FOR", "UNION", "EXCEPT", "INTERSECT"}
)
_JOINS = frozenset({"FROM", "JOIN", "STRAIGHT_JOIN", ","})
_PRIMARY = frozenset({"id", "pk", "uuid", "guid", "_id"})
_KEY_ENDINGS = ("_id", "_uuid", "_guid", "_pk", "_fk", "_ptr", "_ref", "_no", "_nr")
#: A column of this name says what kind of row it is, not which.
_KIND_COLUMNS = ("type", "kind", "status", "state", "deleted", "content_type_id", "locale", "language", "scope")


@dataclass(slots=True)
class _Clauses:
    """What a walk over a statement's items finds."""

    tables: list[str] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)  # by WITH
    lookups: list[tuple[str, str, bool, bool]] = field(default_factory=list)  # alias, column, value first, hidden
    batches: list[tuple[str, str]] = field(default_factory=list)
    values: list[Item] = field(default_factory=list)  # what is looked up
    has_range: bool = False
    has_offset: bool = False
    has_bind: bool = False
    has_limit_one: bool = False
    is_locking: bool = False
    is_aggregate: bool = False
    is_grouped: bool = False
    writes: bool = False


def classify(statement: Statement) -> Shape:
    """Return a statement's shape."""
    text = format_statement(statement)
    items = statement.items
    verb = next((item.text for item in items if item.text != "("), "")
    kind = _kind_of_verb(verb, items)
    if kind is not None and kind is not ShapeKind.WRITE and verb != "DECLARE":
        return Shape(_short(kind, verb, text), kind, is_truncated=statement.is_cut)
    found = _walk(items)
    if statement.is_cut and not found.tables:
        found.tables = _first_qualifier(items)
    if kind is None:
        kind = _kind_of_select(verb, found, is_cut=statement.is_cut)
    if verb == "DECLARE":
        text = "DECLARE CURSOR" + text[text.find(" FOR ") :] if " FOR " in text else text
    return Shape(
        text=text,
        kind=kind,
        tables=_tables_of(found),
        lookups=tuple(dict.fromkeys(_name_lookups(found))),
        is_hidden=any(hidden for *_, hidden in found.lookups) if found.lookups else found.has_bind,
        has_limit_one=found.has_limit_one,
        is_truncated=statement.is_cut,
    )


def _first_qualifier(items: list[Item]) -> list[str]:
    """Return the table whose columns come first in a text that was cut before its FROM."""
    return next(([item.raw] for item, after in pairwise(items) if item.kind is ItemKind.NAME and after.text == "."), [])


def find_values(statement: Statement) -> list[tuple[Lookup, Item]]:
    """Return what a statement looks rows up by, in order: the column and its value."""
    found = _walk(statement.items)
    return list(zip(_name_lookups(found), found.values, strict=True))


def _short(kind: ShapeKind, verb: str, text: str) -> str:
    """Names of cursors and savepoints are made up anew each time: they are no part of a shape."""
    if kind is ShapeKind.CURSOR or verb in ("SAVEPOINT", "RELEASE"):
        return verb.upper()
    return "ROLLBACK TO SAVEPOINT" if verb == "ROLLBACK" and kind is ShapeKind.UTILITY else text


def _kind_of_verb(verb: str, items: list[Item]) -> ShapeKind | None:
    """Return the kind where the first word tells; None for what reads."""
    words = [item.text.lower() for item in items[:4]]
    if verb in ("SELECT", "WITH", "VALUES", "TABLE"):
        return None
    if verb in _WRITES:
        return ShapeKind.WRITE
    if verb == "BEGIN" or words[:2] == ["start", "transaction"]:
        return ShapeKind.BEGIN
    if verb in _ENDS or (verb == "ROLLBACK" and "to" not in words) or words[:2] == ["prepare", "transaction"]:
        return ShapeKind.END
    if verb in _CURSORS:
        return ShapeKind.CURSOR
    if words[:2] in (["discard", "all"], ["reset", "all"], ["reset", "connection"]):
        return ShapeKind.RESET
    return ShapeKind.UTILITY if verb else ShapeKind.UNREADABLE


def _kind_of_select(verb: str, found: _Clauses, *, is_cut: bool) -> ShapeKind:
    if found.writes:
        return ShapeKind.WRITE
    if is_cut:
        return ShapeKind.UNREADABLE
    tables = [table.lower() for table in _tables_of(found)]
    if verb == "VALUES" or not tables or tables == ["dual"]:
        return ShapeKind.UTILITY
    if all(table.startswith(_CATALOGUES) for table in tables):
        return ShapeKind.UTILITY
    if found.is_locking:
        return ShapeKind.LOCKING
    if _is_batch(found):
        return ShapeKind.BATCH
    if found.has_range or (found.has_offset and not _is_one_row(found)):
        return ShapeKind.RANGE
    if not found.lookups:
        return ShapeKind.SET
    return ShapeKind.AGGREGATE if found.is_aggregate and not found.is_grouped else ShapeKind.LOOKUP


def is_key_column(column: str) -> bool:
    """Whether a column's name is that of a key: `id`, `post_id`, `uuid`."""
    lower = column.lower()
    if lower in ("id", "pk", "uuid", "guid", "oid", "rowid", "_id") or lower.startswith("id_"):
        return True
    return column.endswith(("Id", "ID", "Uuid")) or lower.endswith(_KEY_ENDINGS)


def _is_batch(found: _Clauses) -> bool:
    """Whether a list of many is what is looked up, rather than a condition beside one value."""
    if not found.batches:
        return False
    if any(is_key_column(column) and column.lower() not in _KIND_COLUMNS for _, column in found.batches):
        return not any(value_first for _, _, value_first, _ in found.lookups)
    return not any(
        column.lower() not in _KIND_COLUMNS and not column.lower().endswith("_type")
        for _, column, _, _ in found.lookups
    )


def _is_one_row(found: _Clauses) -> bool:
    """Whether a primary key is looked up, so that an offset, which Prisma writes always, makes no page of it."""
    return any(column.lower() in _PRIMARY for _, column, _, _ in found.lookups)


def _tables_of(found: _Clauses) -> tuple[str, ...]:
    return tuple(dict.fromkeys(table for table in found.tables if table.lower() not in found.made))


def _name_lookups(found: _Clauses) -> list[Lookup]:
    """Put tables in the place of aliases."""
    tables = _tables_of(found)
    only = tables[0] if len(tables) == 1 else ""
    return [
        Lookup(found.aliases.get(alias.lower(), alias) if alias else only, column, value_first)
        for alias, column, value_first, _ in found.lookups
    ]


@dataclass(slots=True)
class _Level:
    """Where the walk is within one parenthesis."""

    clause: str
    is_select: bool


def _walk(items: list[Item]) -> _Clauses:
    """Walk over a statement once."""
    found = _Clauses()
    levels = [_Level("", True)]
    for at, item in enumerate(items):
        level = levels[-1]
        if item.kind is ItemKind.VALUE:
            found.has_bind = found.has_bind or item.is_hidden
        if item.text == "(":
            opens_select = at + 1 < len(items) and items[at + 1].text in ("SELECT", "WITH")
            levels.append(_Level("" if opens_select else _inner_clause(level, items, at), opens_select))
        elif item.text == ")":
            if len(levels) > 1:
                levels.pop()
        elif item.kind is ItemKind.KEYWORD:
            _enter_clause(found, level, items, at, is_top=len(levels) == 1)
        elif item.kind is ItemKind.NAME:
            _read_name(found, level, items, at, is_first=len(levels) == 1)
        if level.clause == "WHERE":
            _read_condition(found, items, at)
        elif item.text == "LIMIT" and at + 1 < len(items) and items[at + 1].text == "1" and len(levels) == 1:
            found.has_limit_one = at + 2 >= len(items) or items[at + 2].text != ","
    return found


def _inner_clause(level: _Level, items: list[Item], at: int) -> str:
    """What a parenthesis holds: arguments of a function hold no tables."""
    is_call = at > 0 and items[at - 1].kind is ItemKind.NAME
    return "call" if level.clause == "FROM" and is_call else level.clause


def _enter_clause(found: _Clauses, level: _Level, items: list[Item], at: int, *, is_top: bool) -> None:
    text = items[at].text
    after = items[at + 1].text if at + 1 < len(items) else ""
    if text in ("INSERT", "DELETE", "UPDATE", "REPLACE", "MERGE") and after != "(" and _begins_write(items, at):
        found.writes = True
        level.clause = "FROM" if text == "UPDATE" else ""
    elif text == "SELECT":
        level.clause, level.is_select = "SELECT", True
    elif text in ("FROM", "JOIN", "STRAIGHT_JOIN", "INTO", "USING") and level.clause != "call":
        if not (text == "FROM" and (not level.is_select or after == "") and level.clause == "SELECT"):
            level.clause = "FROM"
    elif text in ("ON", "SET"):
        level.clause = "ON"
    elif (text == "FOR" and after in ("UPDATE", "SHARE", "no", "key")) or (text == "LOCK" and after == "IN"):
        found.is_locking = True
        level.clause = "FOR"
    elif text == "FOR" and level.clause in ("FROM", "") and items[0].text == "DECLARE":
        level.clause = ""
    elif text in _LEAVES_FROM:
        if text == "GROUP" and is_top:
            found.is_grouped = True
        level.clause = text if text != "HAVING" else "GROUP"
    if text == "OFFSET":
        found.has_offset = True
    if text == "EXISTS" and is_top and level.clause == "SELECT":
        found.is_aggregate = True


def _begins_write(items: list[Item], at: int) -> bool:
    """Whether INSERT, UPDATE or DELETE begins a statement here, as the first word or within WITH."""
    before = items[at - 1].text if at else ""
    return before in ("", "(", ")", ";") or (before == "materialized" and at > 1)


def _read_name(found: _Clauses, level: _Level, items: list[Item], at: int, *, is_first: bool) -> None:
    """Take a name for a table where one is due, and note aggregates of the select list."""
    item = items[at]
    before = items[at - 1].text if at else ""
    after = items[at + 1] if at + 1 < len(items) else None
    if level.clause == "SELECT" and is_first and after is not None and after.text == "(":
        found.is_aggregate = found.is_aggregate or item.text in _AGGREGATES
    is_made = after is not None and after.text == "AS" and at + 2 < len(items) and items[at + 2].text in ("(", "NOT")
    if is_made or before in ("WITH", "RECURSIVE"):
        found.made.add(item.raw.lower())
    if level.clause != "FROM" or before not in (*_JOINS, "INTO", "UPDATE", "ONLY", "LATERAL", "USING", "("):
        return
    names, end = [item.raw], at + 1
    while end + 1 < len(items) and items[end].text == "." and items[end + 1].kind is ItemKind.NAME:
        names.append(items[end + 1].raw)
        end += 2
    if end < len(items) and items[end].text == "(" and before not in ("INTO", "UPDATE"):
        return
    table = ".".join(names)
    found.tables.append(table)
    found.aliases.setdefault(names[-1].lower(), table)
    if end < len(items) and items[end].text == "AS":
        end += 1
    if end < len(items) and items[end].kind is ItemKind.NAME:
        found.aliases[items[end].raw.lower()] = table


def _read_condition(found: _Clauses, items: list[Item], at: int) -> None:
    """Note a look-up or a range where an operator of WHERE says so."""
    text = items[at].text
    if text in _RANGES:
        found.has_range = True
    elif text in ("=", "<=>"):
        _read_equality(found, items, at)
    elif text == "IN" and at + 2 < len(items) and items[at + 2].kind is ItemKind.VALUE:
        is_negated = at > 0 and items[at - 1].text == "NOT"
        for alias, column in [] if is_negated else _columns_before(items, at):
            if items[at + 2].text == MANY:
                found.batches.append((alias, column))
            else:
                found.lookups.append((alias, column, False, items[at + 2].is_hidden))
                found.values.append(items[at + 2])


def _read_equality(found: _Clauses, items: list[Item], at: int) -> None:
    after = items[at + 1] if at + 1 < len(items) else None
    before = items[at - 1] if at else None
    if after is None or before is None:
        return
    if after.text in ("ANY", "SOME"):
        found.batches += _columns_before(items, at)
        return
    value = _value_after(items, at + 1)
    if value is not None:
        for alias, column in _columns_before(items, at):
            found.lookups.append((alias, column, False, value.is_hidden))
            found.values.append(value)
    elif before.kind is ItemKind.VALUE and after.kind is ItemKind.NAME:
        alias, column, end = _name_after(items, at + 1)
        if end >= len(items) or items[end].text != "(":
            found.lookups.append((alias, column, True, before.is_hidden))
            found.values.append(before)


def _value_after(items: list[Item], at: int) -> Item | None:
    """Return the value that an operand is, also within a function or a parenthesis: `lower(?)`, `CAST(? AS int)`."""
    item = items[at]
    if item.kind is ItemKind.VALUE:
        return item
    if item.text == "(" or (
        at + 1 < len(items) and items[at + 1].text == "(" and item.text in ("CAST", "lower", "upper")
    ):
        inner = at + 1 if item.text == "(" else at + 2
        if inner < len(items) and items[inner].kind is ItemKind.VALUE:
            return items[inner]
    return None


def _name_after(items: list[Item], at: int) -> tuple[str, str, int]:
    """Return the qualifier and the name of the column that begins at `at`, and where it ends."""
    names = [items[at].raw]
    at += 1
    while at + 1 < len(items) and items[at].text == "." and items[at + 1].kind is ItemKind.NAME:
        names.append(items[at + 1].raw)
        at += 2
    return (names[-2] if len(names) > 1 else ""), names[-1], at


def _columns_before(items: list[Item], at: int) -> list[tuple[str, str]]:
    """Return the columns left of an operator: one, or those of a row `(a, b)`, or one within a function."""
    end = at - 1
    if end >= 2 and items[end].kind is ItemKind.NAME and items[end - 1].text == "::":
        end -= 2
    if end < 0:
        return []
    if items[end].kind is ItemKind.NAME:
        return [_name_before(items, end)[:2]]
    if items[end].text != ")":
        return []
    columns = []
    index = end - 1
    while index > 0 and items[index].text != "(":
        if items[index].kind is ItemKind.NAME:
            alias, column, index = _name_before(items, index)
            columns.append((alias, column))
        index -= 1
    return columns[::-1]


def _name_before(items: list[Item], end: int) -> tuple[str, str, int]:
    """Return the qualifier and the name of the column that ends at `end`, and where it begins."""
    column = items[end].raw
    if end >= 2 and items[end - 1].text == "." and items[end - 2].kind is ItemKind.NAME:
        return items[end - 2].raw, column, end - 2
    return "", column, end
