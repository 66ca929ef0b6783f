"""Looking into a dump without a server: what it holds, how a table is made, its first rows."""

from dataclasses import dataclass, field

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql.cursor import Refusal
from dbtui.adapters.mysql.directory import open_dump
from dbtui.adapters.mysql.plain import UNKNOWN_END
from dbtui.adapters.mysql.rows import count_tuples, iterate_tuples, parse_columns, parse_tuple
from dbtui.adapters.mysql.sql_lexer import Statement
from dbtui.adapters.mysql.statements import Judge, Verdict, created_table, homeless_rows
from dbtui.adapters.mysql.tokens import tokens
from dbtui.errors import DamagedBackupError, UsageError
from dbtui.model.backups import BackupContents, BackupTable, DumpObject, StoredBackup, TableName, TableSample
from dbtui.model.connections import EngineName
from dbtui.model.text import format_untrusted

_OBJECTS = ("view", "trigger", "function", "procedure", "event", "sequence", "package")
_SHOWN_REFUSALS = 3


@dataclass(slots=True)
class _Index:
    """What was seen so far."""

    rows: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    objects: dict[tuple[str, str], None] = field(default_factory=dict)
    roles: set[str] = field(default_factory=set)
    refusals: list[str] = field(default_factory=list)

    def note(self, verdict: Verdict) -> None:
        if verdict.kind == "table":
            self.rows.setdefault(verdict.name, 0)
        elif verdict.kind in _OBJECTS:
            self.objects[verdict.kind, verdict.name] = None
        if verdict.definer:
            self.roles.add(verdict.definer)

    def refuse(self, statement: Statement, why: str) -> None:
        if len(self.refusals) < _SHOWN_REFUSALS:
            self.refusals.append(f"line {statement.line}: {why}")


def _count(statement: Statement, *, is_trusted: bool) -> int:
    head = statement.insert
    if head is None:
        return 0
    if is_trusted:
        return count_tuples(statement.text, head.rows_start, statement.lines)
    return sum(1 for _ in iterate_tuples(statement.text, head.rows_start, len(statement.text)))


def _is_trusted(backup: StoredBackup) -> bool:
    """A backup of ours is cut the quick way: for looking into it nothing is run, and its tool's manners are known."""
    return backup.manifest is not None


def collect_contents(backup: StoredBackup, cancellation: Cancellation) -> BackupContents:
    """Read what a backup holds: every table with its rows counted, every other object, the accounts it names."""
    index, is_trusted = _Index(), _is_trusted(backup)
    with open_dump(backup, cancellation, is_trusted=is_trusted) as dump:
        judge = Judge(source=dump.source)
        for statement in dump.statements():
            head = statement.insert
            if head is not None:
                index.rows[head.table] = index.rows.get(head.table, 0) + _count(statement, is_trusted=is_trusted)
                index.sizes[head.table] = index.sizes.get(head.table, 0) + len(statement.text)
                if judge.is_homeless(head.table):
                    index.refuse(statement, homeless_rows(head.table))
                continue
            try:
                index.note(judge.judge(statement))
            except Refusal as refusal:
                index.refuse(statement, refusal.message)
        database = judge.own_database
        warnings = [f"it will not be restored: {reason}" for reason in index.refusals]
        if missing := dump.describe_missing_end(judge):
            warnings.append(f"it {missing}")
        elif not dump.head.is_known and not judge.has_settled:
            warnings.append(f"it {UNKNOWN_END}")
        return BackupContents(
            engine=EngineName.MYSQL,
            database=database,
            server_version=dump.head.server_version,
            tool_version=dump.head.tool_version,
            schemas=(database,) if database else (),
            tables=tuple(
                BackupTable(database, name, rows, "exact", index.sizes.get(name, 0))
                for name, rows in sorted(index.rows.items())
            ),
            objects=tuple(DumpObject(kind, database, name) for kind, name in sorted(index.objects)),
            roles=tuple(sorted(index.roles)),
            warnings=tuple(warnings),
        )


def show_definition(backup: StoredBackup, table: TableName, cancellation: Cancellation) -> str:
    """Return the statements that make a table: CREATE TABLE, later changes of it, its triggers. Raises UsageError."""
    found: list[str] = []
    with open_dump(backup, cancellation, is_trusted=_is_trusted(backup)) as dump:
        judge = Judge(source=dump.source)
        for statement in dump.statements(rows_of=""):
            if statement.insert is not None:
                continue
            try:
                verdict = judge.judge(statement)
            except Refusal:
                continue
            if table.name in (verdict.table, verdict.name if verdict.kind in ("table", "alter", "index") else ""):
                found.append(statement.text.decode("utf-8", "replace") + ";")
    if not found:
        raise UsageError(f"the backup has no table {format_untrusted(str(table))}", "see what it holds")
    return "\n\n".join(found) + "\n"


def collect_sample(backup: StoredBackup, table: TableName, limit: int, cancellation: Cancellation) -> TableSample:
    """Return a table's first rows as text; binary stays hexadecimal. Raises UsageError when it is not there."""
    columns: tuple[str, ...] | None = None
    rows: list[tuple[str | None, ...]] = []
    with open_dump(backup, cancellation, is_trusted=_is_trusted(backup)) as dump:
        for statement in dump.statements(rows_of=table.name):
            head = statement.insert
            if head is None:
                if created_table(statement.text) == table.name:
                    columns = parse_created_columns(statement.text)
                continue
            if head.table != table.name:
                if rows:
                    break
                continue
            columns = parse_columns(head.columns) or columns
            for raw in iterate_tuples(statement.text, head.rows_start, len(statement.text)):
                if len(rows) == limit:
                    return _sample(columns, rows, more=True)
                rows.append(parse_tuple(raw))
    if columns is None and not rows:
        raise UsageError(f"the backup has no table {format_untrusted(str(table))}", "see what it holds")
    return _sample(columns, rows, more=False)


def _sample(columns: tuple[str, ...] | None, rows: list[tuple[str | None, ...]], *, more: bool) -> TableSample:
    width = max((len(row) for row in rows), default=0)
    names = columns or ()
    if len(names) < width:
        names = (*names, *(f"column {number}" for number in range(len(names) + 1, width + 1)))
    return TableSample(names, tuple(rows), more)


def parse_created_columns(text: bytes) -> tuple[str, ...]:
    """Return the columns of a CREATE TABLE. Raises DamagedBackupError."""
    names: list[str] = []
    depth, is_first = 0, False
    for word in tokens(text):
        if word.is_sign("("):
            depth += 1
            is_first = depth == 1 and not names
            continue
        depth -= 1 if word.is_sign(")") else 0
        if depth == 0 and names:
            break
        if is_first and word.kind == "name":
            names.append(word.text)
        is_first = depth == 1 and word.is_sign(",")
    if not names:
        raise DamagedBackupError("a table without columns")
    return tuple(names)
