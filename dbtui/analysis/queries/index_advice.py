"""The index that a repeated look-up, and the statement that replaces it, has to do without."""

import re
from collections.abc import Iterator, Sequence

from dbtui.analysis.queries.python_names import is_same_table
from dbtui.analysis.queries.select_lists import unquote
from dbtui.analysis.queries.table_keys import TableKeys, keys_of, lookups_of
from dbtui.model.connections import EngineName
from dbtui.model.queries import Child, QuerySchema, Shape

#: PostgreSQL's reserved words (manual, appendix C), those that a table or a column may be called.
_RESERVED = frozenset(
    re.findall(
        r"\w+",
        """all analyse analyze and any array as asc asymmetric both case cast check collate column constraint create
        current_date current_role current_time current_timestamp current_user default deferrable desc distinct do else
        end except false fetch for foreign from grant group having in initially intersect into lateral leading limit
        localtime localtimestamp not null offset on only or order placing primary references returning select
        session_user some symmetric system_user table then to trailing true union unique user using variadic when where
        window with""",
    )
)
_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
_NAME_LIMIT = {EngineName.POSTGRESQL: 63, EngineName.MYSQL: 64}


def advise_index(children: Sequence[Child], schema: QuerySchema | None) -> str:
    """Return CREATE INDEX for each look-up whose columns begin no index, a statement a line; "" when all have one.

    On PostgreSQL CONCURRENTLY, so that writers need not wait. Nothing is said of tables the catalogue did not name.
    """
    if schema is None:
        return ""
    keys = keys_of(schema)
    lines = [line for child in children for line in _advise(child.shape, schema, keys, _engine_of(schema, child))]
    return "\n".join(dict.fromkeys(lines))


def _advise(shape: Shape, schema: QuerySchema, keys: TableKeys, engine: EngineName) -> Iterator[str]:
    lookups = lookups_of(shape)
    for name in dict.fromkeys(lookup.table for lookup in lookups):
        table = keys.find_table(name)
        columns = [lookup.column for lookup in lookups if is_same_table(lookup.table, name)]
        if table is None or not columns:
            continue
        first = {column.casefold() for column in schema.indexed.get(table, frozenset())}
        first |= {column.casefold() for column in schema.primary_keys.get(table, ())[:1]}
        if not first & {column.casefold() for column in columns}:
            key = keys.key_of_columns(table, columns)
            yield _write_index(table, _spell(key.columns if key else columns[:1], schema, table, shape), engine)


def _spell(columns: Sequence[str], schema: QuerySchema, table: str, shape: Shape) -> tuple[str, ...]:
    """Columns as the catalogue has them; one that is in no key as the statement has it, which folds to lower case
    unless it is quoted there."""
    known = {column.casefold(): column for key in schema.foreign_keys if key.table == table for column in key.columns}
    return tuple(
        known.get(column.casefold(), column if f'"{column}"' in shape.text or "`" in shape.text else column.lower())
        for column in columns
    )


def _write_index(table: str, columns: Sequence[str], engine: EngineName) -> str:
    schema, _, bare = table.rpartition(".")
    name = f"ix_{unquote(bare)}_{'_'.join(columns)}"[: _NAME_LIMIT.get(engine, 63)]
    where = ".".join(quote_name(unquote(part), engine) for part in (schema, bare) if part)
    how = "CREATE INDEX CONCURRENTLY" if engine is EngineName.POSTGRESQL else "CREATE INDEX"
    listed = ", ".join(quote_name(column, engine) for column in columns)
    return f"{how} {quote_name(name, engine)} ON {where} ({listed})"


def quote_name(name: str, engine: EngineName) -> str:
    """Return a name as SQL of an engine takes it: quoted unless it is plain."""
    if _PLAIN.fullmatch(name) and name not in _RESERVED:
        return name if engine is not EngineName.MYSQL else f"`{name}`"
    sign = "`" if engine is EngineName.MYSQL else '"'
    return sign + name.replace(sign, sign * 2) + sign


def _engine_of(schema: QuerySchema, child: Child) -> EngineName:
    """Whose SQL it is: as the catalogue says, else by MySQL's quotes and PostgreSQL's placeholders."""
    if schema.engine is not None:
        return schema.engine
    texts = (child.shape.text, *child.samples)
    return EngineName.MYSQL if any("`" in text for text in texts) else EngineName.POSTGRESQL
