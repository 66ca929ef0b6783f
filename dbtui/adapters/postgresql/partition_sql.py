"""The SQL of a plan's steps and the locks it takes. Pure.

Locks were read from pg_locks of servers 13 to 18 while each statement ran; the manual's "Explicit Locking" and
"ALTER TABLE" agree. Order is parent, default, child: whoever reads the parent takes them in that order, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from dbtui.adapters.postgresql.bounds import format_bound, format_value
from dbtui.adapters.postgresql.sql import quote_name, quote_table, quote_text
from dbtui.errors import UsageError
from dbtui.model.backups import TableName
from dbtui.model.partitions import (
    Bound,
    BoundValue,
    DefaultBound,
    Limit,
    ListBound,
    PartitionedTable,
    PartitionIndex,
    PartitionStep,
    PartitionTemplate,
    RangeBound,
    StepKind,
    StepLocks,
)
from dbtui.model.text import format_untrusted

NAME_BYTES = 63
#: A default with more rows gets a CHECK first, so that attaching need not read it under an exclusive lock: two million
#: rows were read in 124 ms. While the CHECK is there, rows for the new partition are refused, so small ones do without.
CHECK_ROWS = 1_000_000
#: How many statements of a step that has a CHECK come before its transaction.
CHECK_PREFIX = 2

_AE, _SUE, _SRE = "ACCESS EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE ROW EXCLUSIVE"
#: From 15 on attaching also locks the tables whose foreign keys name the parent.
_LOCKS_REFERENCING = 150000
_INDEX = re.compile(
    r'CREATE (?P<unique>UNIQUE )?INDEX (?:"(?:[^"]|"")+"|[^\s"]+) ON (?:ONLY )?'
    r'(?:(?:"(?:[^"]|"")+"|[^\s".]+)\.)?(?:"(?:[^"]|"")+"|[^\s".]+) (?P<rest>USING .*)',
    re.DOTALL,
)

_REPLICA_INDEX = """BEGIN EXECUTE (
  SELECT pg_catalog.format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', x.indrelid::pg_catalog.regclass, c.relname)
  FROM pg_catalog.pg_index x JOIN pg_catalog.pg_inherits i ON i.inhrelid = x.indexrelid
  JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid
  WHERE x.indrelid = :child::pg_catalog.regclass AND i.inhparent = :parent::pg_catalog.regclass); END"""


def describe_step(table: PartitionedTable, step: PartitionStep) -> PartitionStep:
    """Return the step with its SQL and locks. Raises UsageError: PostgreSQL has no such step, or a name is too long."""
    check_name(step.partition)
    describe = _DESCRIBED.get(step.kind)
    if describe is None:
        raise UsageError(f"PostgreSQL has no step {step.kind.value}", "plan it again")
    return describe(table, step)


def check_name(name: TableName) -> None:
    """Raise UsageError for a name that the server would cut, or cannot hold."""
    for part in (name.schema, name.name):
        length = len(part.encode("utf-8", "surrogatepass"))
        if length > NAME_BYTES:
            shown = format_untrusted(part, 80)
            raise UsageError(
                f"the name {shown} is {length} bytes long: PostgreSQL cuts names at {NAME_BYTES}",
                "shorten the table's name, or create the partition by hand",
            )
        if not part or "\0" in part:
            raise UsageError(f"{format_untrusted(part, 80)!r} is no name for a table", "correct it")


def format_predicate(table: PartitionedTable, bound: Bound) -> str:
    """Return the condition of rows that belong into a bound, by literals. Raises UsageError where there is none."""
    keys = [quote_name(each) for each in table.key_columns if each]
    if len(keys) != len(table.key_columns):
        raise UsageError(f"rows of {table.table} cannot be told by an expression of its key", "look at them by hand")
    if isinstance(bound, ListBound) and len(keys) == 1:
        return _in_list(keys[0], bound)
    if isinstance(bound, RangeBound):
        return " AND ".join((*_ends(keys, bound.lower, ">="), *_ends(keys, bound.upper, "<"))) or "true"
    raise UsageError(f"rows of {table.table} for such a bound cannot be told by their key", "look at them by hand")


def _in_list(key: str, bound: ListBound) -> str:
    values = [format_value(each) for each in bound.values if each is not None]
    parts = [f"{key} IN ({', '.join(values)})"] if values else []
    if None in bound.values:
        parts.append(f"{key} IS NULL")
    return " OR ".join(parts)


def _ends(keys: list[str], values: tuple[BoundValue, ...], sign: str) -> Iterator[str]:
    """One end of a range; of several columns what stands before the first MINVALUE or MAXVALUE counts."""
    fixed = [format_value(each) for each in values if not isinstance(each, Limit)]
    if len(fixed) == len(values):
        left, right = ", ".join(keys), ", ".join(fixed)
        yield f"{left} {sign} {right}" if len(keys) == 1 else f"({left}) {sign} ({right})"
    elif fixed:
        raise UsageError("a bound of several columns with MINVALUE or MAXVALUE cannot be written as a condition")
    else:
        yield from (f"{key} IS NOT NULL" for key in keys)


# --- create ----------------------------------------------------------------------------------------------------------


def _describe_create(table: PartitionedTable, step: PartitionStep) -> PartitionStep:
    made = [*_creation(table, step), *_row_security(table, step)]
    statements = [*made, *_locks_before_attach(table), _attach(table, step), *_replica_index(table, step)]
    if needs_check(table, step):
        statements = [*check_statements(table, step), *statements, _drop_check(table, step)]
    return replace(step, sql=tuple(statements), locks=_attach_locks(table), in_transaction=True)


def _describe_drain(table: PartitionedTable, step: PartitionStep) -> PartitionStep:
    if table.default is None or table.default.strategy:
        raise UsageError(f"{table.table} has no default partition of its own rows to drain", "plan it again")
    default, columns = quote_table(table.default.table), ", ".join(map(quote_name, table.template.columns))
    moved = (
        f"WITH moved AS (DELETE FROM ONLY {default} WHERE {format_predicate(table, _bound(step))} RETURNING {columns})"  # noqa: S608
        f" INSERT INTO {quote_table(step.partition)} ({columns}) SELECT {columns} FROM moved"
    )
    parent, attaching = _locks_before_attach(table)
    # Whoever reads the default does not wait while its rows move, only for the moment in which it is divided.
    moving = f"LOCK TABLE ONLY {default} IN EXCLUSIVE MODE"
    locked = [parent, moving, moved, *_row_security(table, step), attaching, _attach(table, step)]
    statements = [*_creation(table, step), *locked, *_replica_index(table, step)]
    locks = replace(_attach_locks(table), default=f"EXCLUSIVE while rows move, then {_AE}")
    return replace(step, sql=tuple(statements), locks=locks, in_transaction=True)


def _creation(table: PartitionedTable, step: PartitionStep) -> Iterator[str]:
    """Make the table as a partition would be: identity belongs to the parent alone; it numbers rows for all."""
    if table.default is not None and table.default.is_foreign:
        raise UsageError(
            f"the default {table.default.table} is a foreign table, which cannot be locked", "create it by hand"
        )
    child, template = quote_table(step.partition), table.template
    kind = "CREATE UNLOGGED TABLE" if template.is_unlogged else "CREATE TABLE"
    options = f" WITH ({', '.join(map(_option, template.options))})" if template.options else ""
    space = f" TABLESPACE {quote_name(template.tablespace)}" if template.tablespace else ""
    yield f"{kind} {child} (LIKE {quote_table(table.table)} INCLUDING ALL EXCLUDING IDENTITY){options}{space}"
    yield from _ownership(child, template)
    if template.replica_identity in ("FULL", "NOTHING"):
        yield f"ALTER TABLE {child} REPLICA IDENTITY {template.replica_identity}"


def _replica_index(table: PartitionedTable, step: PartitionStep) -> Iterator[str]:
    """The index that the server has made for the partition, and named, is known once it hangs on the parent's."""
    if table.template.replica_identity == "INDEX" and table.template.replica_index:
        parent = quote_table(TableName(table.table.schema, table.template.replica_index))
        names = {":child": quote_table(step.partition), ":parent": parent}
        body = re.sub(":(?:child|parent)", lambda found: quote_text(names[found[0]]).strip(), _REPLICA_INDEX)
        yield f"DO {quote_text(body).strip()}"


def _row_security(table: PartitionedTable, step: PartitionStep) -> Iterator[str]:
    """Who may read a partition by itself sees of the new one no more than of the others."""
    child, template = quote_table(step.partition), table.template
    if template.row_security:
        yield f"ALTER TABLE {child} ENABLE ROW LEVEL SECURITY"
    if template.row_security == "FORCE":
        yield f"ALTER TABLE {child} FORCE ROW LEVEL SECURITY"
    for policy in template.policies:
        kind = "PERMISSIVE" if policy.is_permissive else "RESTRICTIVE"
        roles = ", ".join(map(quote_name, policy.roles)) or "PUBLIC"
        using = f" USING ({policy.using})" if policy.using else ""
        check = f" WITH CHECK ({policy.check})" if policy.check else ""
        whose = f"AS {kind} FOR {policy.command} TO {roles}"
        yield f"CREATE POLICY {quote_name(policy.name)} ON {child} {whose}{using}{check}"


def _ownership(child: str, template: PartitionTemplate) -> Iterator[str]:
    if template.revoked:
        grantees = ", ".join(quote_name(each) if each else "PUBLIC" for each in template.revoked)
        yield f"REVOKE ALL ON TABLE {child} FROM {grantees}"
    for grant in template.grants:
        grantee = quote_name(grant.grantee) if grant.grantee else "PUBLIC"
        option = " WITH GRANT OPTION" if grant.is_grantable else ""
        columns = f" ({quote_name(grant.column)})" if grant.column else ""
        yield f"GRANT {grant.privilege}{columns} ON TABLE {child} TO {grantee}{option}"
    if template.owner:
        yield f"ALTER TABLE {child} OWNER TO {quote_name(template.owner)}"


def _option(option: str) -> str:
    name, _, value = option.partition("=")
    prefix = "toast." if name.startswith("toast.") else ""
    return f"{prefix}{quote_name(name.removeprefix('toast.'))} = {quote_text(value).strip()}"


def _locks_before_attach(table: PartitionedTable) -> Iterator[str]:
    yield f"LOCK TABLE ONLY {quote_table(table.table)} IN {_SUE} MODE"
    if table.default is not None:
        only = "" if table.default.strategy else "ONLY "
        yield f"LOCK TABLE {only}{quote_table(table.default.table)} IN {_AE} MODE"


def _attach(table: PartitionedTable, step: PartitionStep) -> str:
    bound = format_bound(_bound(step))
    return f"ALTER TABLE {quote_table(table.table)} ATTACH PARTITION {quote_table(step.partition)} {bound}"


def _attach_locks(table: PartitionedTable) -> StepLocks:
    tables = [*table.references, *(table.referenced_by if table.server_version_number >= _LOCKS_REFERENCING else ())]
    others = ", ".join(f"{_SRE} on {each}" for each in tables)
    return StepLocks(parent=_SUE, child=f"{_AE} (new)", default=_AE if table.default else "", others=others)


def _bound(step: PartitionStep) -> Bound:
    if step.bound is None:
        raise UsageError(f"a partition {step.partition} without a bound cannot be made", "plan it again")
    return step.bound


def needs_check(table: PartitionedTable, step: PartitionStep) -> bool:
    """Whether a default is so large that a CHECK first proves it holds no row of the new partition."""
    default = table.default
    if default is None or default.strategy or isinstance(step.bound, DefaultBound):
        return False
    return max(default.rows_estimate or 0, table.default_rows or 0) > CHECK_ROWS or (
        table.default_rows is None and default.rows_estimate is None
    )


def check_statements(table: PartitionedTable, step: PartitionStep) -> tuple[str, str]:
    """Return what adds the CHECK to the default, and what has it proven: the first CHECK_PREFIX of a step's SQL."""
    default = table.default
    if default is None:
        raise UsageError(f"{table.table} has no default partition", "plan it again")
    name, constraint = quote_table(default.table), quote_name(_check_name(step))
    return (
        f"ALTER TABLE {name} DROP CONSTRAINT IF EXISTS {constraint},"
        f" ADD CONSTRAINT {constraint} CHECK ({_exclusion(table, step)}) NOT VALID",
        f"ALTER TABLE {name} VALIDATE CONSTRAINT {constraint}",
    )


def _exclusion(table: PartitionedTable, step: PartitionStep) -> str:
    """A condition from which the server can prove that no row is within a bound: a bare OR of comparisons."""
    bound = _bound(step)
    if len(table.key_columns) != 1 or not isinstance(bound, RangeBound) or not table.key_columns[0]:
        return f"({format_predicate(table, bound)}) IS NOT TRUE"
    key = quote_name(table.key_columns[0])
    ends = [f"{key} IS NULL"]
    if not isinstance(bound.lower[0], Limit):
        ends.append(f"{key} < {format_value(bound.lower[0])}")
    if not isinstance(bound.upper[0], Limit):
        ends.append(f"{key} >= {format_value(bound.upper[0])}")
    return " OR ".join(ends)


def _check_name(step: PartitionStep) -> str:
    digest = hashlib.sha256(format_bound(_bound(step)).encode()).hexdigest()[:16]
    return f"dbtui_excludes_{digest}"


def _drop_check(table: PartitionedTable, step: PartitionStep) -> str:
    default = quote_table(table.default.table) if table.default else ""
    return f"ALTER TABLE {default} DROP CONSTRAINT IF EXISTS {quote_name(_check_name(step))}"


# --- detach and drop -------------------------------------------------------------------------------------------------


def _describe_detach(table: PartitionedTable, step: PartitionStep) -> PartitionStep:
    held = [(_AE, each) for each in table.referenced_by] + [(_SRE, each) for each in table.references]
    others = ", ".join(f"{mode} on {each}" for mode, each in held)
    detach = f"ALTER TABLE {quote_table(table.table)} DETACH PARTITION {quote_table(step.partition)}"
    if detaches_concurrently(table):
        locks = StepLocks(parent=_SUE, child=_AE, others=others)
        return replace(step, sql=(f"{detach} CONCURRENTLY",), locks=locks, in_transaction=False, concurrently=True)
    tables = [table.table, *([table.default.table] if table.default else ()), step.partition]
    lock = f"LOCK TABLE {', '.join(f'ONLY {quote_table(each)}' for each in tables)} IN {_AE} MODE"
    locks = StepLocks(parent=_AE, child=_AE, default=_AE if table.default else "", others=others)
    return replace(step, sql=(lock, detach), locks=locks, in_transaction=True, concurrently=False)


def detaches_concurrently(table: PartitionedTable) -> bool:
    """Whether this version and table allow DETACH CONCURRENTLY: 14, and no default partition."""
    return table.server_version_number >= 140000 and table.default is None


def _describe_repair(table: PartitionedTable, step: PartitionStep) -> PartitionStep:
    finalize = f"ALTER TABLE {quote_table(table.table)} DETACH PARTITION {quote_table(step.partition)} FINALIZE"
    return replace(step, sql=(finalize,), locks=StepLocks(parent=_SUE, child=_AE), in_transaction=False)


def _describe_drop(table: PartitionedTable, step: PartitionStep) -> PartitionStep:
    name = quote_table(step.partition)
    statements = (f"LOCK TABLE {name} IN {_AE} MODE", f"DROP TABLE {name}")
    others = ", ".join(f"{_AE} on {each}" for each in table.references)
    return replace(step, sql=statements, locks=StepLocks(child=_AE, others=others), in_transaction=True)


def _describe_archive(_table: PartitionedTable, step: PartitionStep) -> PartitionStep:
    return replace(step, sql=(), locks=StepLocks(child="ACCESS SHARE"), in_transaction=False)


# --- indexes ---------------------------------------------------------------------------------------------------------


def _describe_index(table: PartitionedTable, step: PartitionStep) -> PartitionStep:
    index = _index(step)
    found = _INDEX.fullmatch(index.definition or _definition_of(table, index))
    if found is None:
        raise UsageError(f"the definition of index {index.name} is not understood", "create it by hand")
    unique, rest = found["unique"] or "", found["rest"]
    if step.partition == table.table:
        sql = f"CREATE {unique}INDEX {quote_name(index.name)} ON ONLY {quote_table(table.table)} {rest}"
        return replace(step, sql=(sql,), locks=StepLocks(parent="SHARE"), in_transaction=True)
    if index.is_constraint:
        raise UsageError(
            f"index {index.name} belongs to a constraint: it cannot be made concurrently for one partition",
            f"add the constraint to {step.partition} by hand",
        )
    name = quote_name(child_index(step))
    sql = f"CREATE {unique}INDEX CONCURRENTLY {name} ON {quote_table(step.partition)} {rest}"
    return replace(step, sql=(sql,), locks=StepLocks(child=_SUE), in_transaction=False, concurrently=True)


def _describe_attach_index(table: PartitionedTable, step: PartitionStep) -> PartitionStep:
    index = _index(step)
    parent = quote_table(TableName(table.table.schema, index.parent or index.name))
    child = quote_table(TableName(step.partition.schema, child_index(step)))
    locks = StepLocks(parent="ACCESS SHARE", child="ACCESS SHARE", others=f"{_AE} on the partition's index")
    return replace(step, sql=(f"ALTER INDEX {parent} ATTACH PARTITION {child}",), locks=locks, in_transaction=True)


def _index(step: PartitionStep) -> PartitionIndex:
    if step.index is None:
        raise UsageError(f"which index of {step.partition} is meant is not said", "plan it again")
    return step.index


def _definition_of(table: PartitionedTable, index: PartitionIndex) -> str:
    wanted = index.parent or index.name
    return next((each.definition for each in table.indexes if each.name == wanted), "")


def child_index(step: PartitionStep) -> str:
    """Return the name of a partition's index. A step names the parent's index, or, with its `parent`, the child's own.

    Otherwise it is the partition's name with the columns, as the server would call it, cut to 63 bytes.
    """
    index = _index(step)
    if index.parent:
        return index.name
    digest = hashlib.sha256(f"{step.partition.name}\0{index.name}".encode()).hexdigest()[:8]
    stem = step.partition.name.encode()[: NAME_BYTES - 13].decode("utf-8", "ignore")
    return f"{stem}_{digest}_idx"


_DESCRIBED: dict[StepKind, Callable[[PartitionedTable, PartitionStep], PartitionStep]] = {
    StepKind.REPAIR_DETACH: _describe_repair,
    StepKind.CREATE: _describe_create,
    StepKind.DRAIN_DEFAULT: _describe_drain,
    StepKind.CREATE_INDEX: _describe_index,
    StepKind.ATTACH_INDEX: _describe_attach_index,
    StepKind.DETACH: _describe_detach,
    StepKind.ARCHIVE: _describe_archive,
    StepKind.DROP: _describe_drop,
}
