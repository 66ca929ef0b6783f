"""Chosen tables of a dump, and whatever they cannot do without: schemas, types, functions, sequences, extensions.

pg_restore's own `-t` takes the table alone, without its indexes, constraints or sequence. Here everything that belongs
to a chosen table comes along, and whatever its statements mention by a qualified name, which is how pg_dump writes
every name. What ties it to a table that was not chosen is left out, and said.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from dbtui.adapters.postgresql.objects import Name
from dbtui.adapters.postgresql.plain import PlainIndex, PlainItem
from dbtui.adapters.postgresql.sql_tokens import parse_tokens
from dbtui.errors import UsageError
from dbtui.model.backups import TableName
from dbtui.model.text import format_untrusted

_ALWAYS = frozenset({"SETTING", "EXTENSION", "COMMENT ON EXTENSION", "LANGUAGE", "COMMENT ON LANGUAGE"})
_NEVER = frozenset(
    {"VIEW", "MATERIALIZED VIEW", "MATERIALIZED VIEW DATA", "PUBLICATION", "EVENT TRIGGER", "DEFAULT ACL"}
)
_PARTS = frozenset({"RULE", "POLICY"})  # that may mention other tables


@dataclass(slots=True)
class Selection:
    """`offsets` are those of the statements to run (for an archive: numbers of entries)."""

    offsets: frozenset[int]
    tables: frozenset[Name]
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Choice:
    index: PlainIndex
    tables: set[Name]
    chosen: dict[int, PlainItem] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    names: set[Name] = field(default_factory=set)  # of everything chosen

    def take(self, item: PlainItem) -> None:
        self.chosen[item.statement.offset] = item
        self.names.add(item.object.key)

    def warn(self, what: str) -> None:
        self.warnings.append(what)

    def show(self, name: Name) -> str:
        return format_untrusted(".".join(self.index.text_of(part) for part in name if part), 160)


def select_tables(index: PlainIndex, wanted: Iterable[TableName]) -> Selection:
    """Choose the statements that restoring the wanted tables takes. Raises UsageError for a table that is not there."""
    choice = _Choice(index, _with_partitions(index, _known_tables(index, wanted)))
    for item in index.items:
        if _belongs(item, choice):
            choice.take(item)
    _follow_mentions(choice)
    _attach_indexes(choice)
    schemas = {name[0] for name in choice.names} | _extension_schemas(choice)
    for item in index.items:
        found = item.object
        is_schema = found.kind in ("SCHEMA", "COMMENT ON SCHEMA") and found.name in schemas
        if found.kind in _ALWAYS or is_schema or (found.kind == "ACL" and not found.table and found.name in schemas):
            choice.take(item)
    if any(item.object.kind == "BLOBS" for item in index.items):
        choice.warn("large objects are not restored with chosen tables")
    return Selection(frozenset(choice.chosen), frozenset(choice.tables), tuple(dict.fromkeys(choice.warnings)))


def _known_tables(index: PlainIndex, wanted: Iterable[TableName]) -> set[Name]:
    there = {item.object.key for item in index.items if item.object.kind in ("TABLE", "TABLE DATA")} | set(index.data)
    names = set()
    for table in wanted:
        name = (table.schema.encode(index.encoding, "replace"), table.name.encode(index.encoding, "replace"))
        if name not in there:
            raise UsageError(f"the backup holds no table {table}", "see its contents for the tables")
        names.add(name)
    return names


def _with_partitions(index: PlainIndex, names: set[Name]) -> set[Name]:
    children: dict[Name, set[Name]] = defaultdict(set)
    for item in index.items:
        if item.object.kind == "TABLE ATTACH" and item.object.partner:
            children[item.object.key].add(item.object.partner)
    waiting, found = set(names), set(names)
    while waiting:
        new = children[waiting.pop()] - found
        found |= new
        waiting |= new
    return found


def _belongs(item: PlainItem, choice: _Choice) -> bool:
    found = item.object
    if found.kind == "SEQUENCE":
        return found.partner in choice.tables
    if found.kind in ("TABLE", "COMMENT ON TABLE"):
        return found.key in choice.tables
    if found.kind == "TABLE ATTACH":
        if found.partner is not None and found.partner in choice.tables and found.key not in choice.tables:
            child = choice.show(found.partner)
            choice.warn(f"{child} is restored as a table of its own, not as a partition of {choice.show(found.key)}")
        return found.partner in choice.tables and found.key in choice.tables
    if found.table not in choice.tables or found.kind in _NEVER:
        return False
    if found.kind == "FK CONSTRAINT" and found.partner is not None and found.partner not in choice.tables:
        partner = choice.show(found.partner)
        choice.warn(f"the foreign key {choice.show((b'', found.name))} is left out: {partner} is not restored")
        return False
    if found.kind in _PARTS and (others := _tables_in(item, choice) - choice.tables):
        choice.warn(
            f"the {found.kind.lower()} {choice.show(found.key)} is left out: {choice.show(min(others))} is not restored"
        )
        return False
    return True


def _tables_in(item: PlainItem, choice: _Choice) -> set[Name]:
    return _mentioned(item.statement.text) & _created(choice.index, "TABLE", "VIEW", "MATERIALIZED VIEW")


def _created(index: PlainIndex, *kinds: str) -> set[Name]:
    """Names of what is created; `ALTER TABLE` is written for views and sequences, too."""
    found = (item for item in index.items if item.object.kind in kinds)
    return {item.object.key for item in found if item.statement.text[:6].upper() == b"CREATE"}


def _follow_mentions(choice: _Choice) -> None:
    """Take what chosen statements mention, and what that mentions in turn."""
    providers: dict[Name, list[PlainItem]] = defaultdict(list)
    for item in choice.index.items:
        found = item.object
        if found.kind not in _NEVER and found.kind not in ("TABLE DATA", "SCHEMA") and found.table is None:
            providers[_bare(found.key)].append(item)
        elif found.kind == "TABLE" and found.table == found.key:
            providers[found.key].append(item)
    tables = _created(choice.index, "TABLE")
    waiting = list(choice.chosen.values())
    seen: set[Name] = set()
    while waiting:
        item = waiting.pop()
        if item.object.kind == "TABLE DATA":
            continue
        is_table = item.object.kind == "TABLE"
        for name in _mentioned(item.statement.text) - seen:
            if name in tables and (not is_table or name in choice.tables or name == item.object.key):
                continue
            seen.add(name)
            if name in tables:
                choice.warn(
                    f"{choice.show(name)} is restored without its rows: {choice.show(item.object.key)} needs it"
                )
            for provider in providers[name]:
                if provider.statement.offset not in choice.chosen:
                    choice.take(provider)
                    waiting.append(provider)


def _attach_indexes(choice: _Choice) -> None:
    for item in choice.index.items:
        found = item.object
        if found.table is not None or found.key not in choice.names:
            continue
        is_of_both = found.kind == "INDEX ATTACH" and found.partner in choice.names
        if is_of_both or found.kind in ("COMMENT ON INDEX", "INDEX"):
            choice.take(item)


def _extension_schemas(choice: _Choice) -> set[bytes]:
    found = set()
    for item in choice.index.items:
        if item.object.kind == "EXTENSION":
            tokens = parse_tokens(item.statement.text)
            found |= {after.body for word, after in pairwise(tokens) if word.body == b"schema"}
    return found


def _bare(name: Name) -> Name:
    """A function's name without its arguments."""
    return (name[0], name[1].partition(b"(")[0])


def _mentioned(text: bytes) -> set[Name]:
    """Return the qualified names in a statement, in its texts too: 'app.seq'::regclass, a function's body."""
    names: set[Name] = set()
    waiting = [text]
    while waiting:
        tokens = parse_tokens(waiting.pop())
        for index, token in enumerate(tokens):
            if token.kind == "string" and b"." in token.body:
                waiting.append(token.body)
            elif token.text == b"." and 0 < index < len(tokens) - 1:
                names.add((tokens[index - 1].body, tokens[index + 1].body))
    return names
