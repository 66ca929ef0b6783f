"""Plain dumps read in one pass: what they hold, where its data lies, and whether all of it may be run.

The pass also is the check: a dump is whole when its last comment is pg_dump's own, every statement and every COPY block
ends, and the psql commands in it are nothing but one matching pair of \\restrict and \\unrestrict.
"""

import re
import time
from collections import OrderedDict
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.driving import exhaust
from dbtui.adapters.encryption import open_data
from dbtui.adapters.postgresql.frame import DumpFrame
from dbtui.adapters.postgresql.load_code import LoadCode
from dbtui.adapters.postgresql.objects import DumpedObject, Name, parse_object
from dbtui.adapters.postgresql.read_ahead import read_ahead
from dbtui.adapters.postgresql.sql_lexer import COPY_FROM_STDIN, Lexer, Reader, Statement
from dbtui.adapters.postgresql.sql_tokens import parse_tokens
from dbtui.adapters.postgresql.statements import INSERT_OF_VALUES, Action, Verdict, assess_statement
from dbtui.adapters.streams import TICK_SECONDS, storage_errors
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import StoredBackup

MOST_PROBLEMS = 20
_KEPT_INDEXES = 4


@dataclass(frozen=True, slots=True)
class PlainItem:
    """A statement that was kept: everything but rows."""

    object: DumpedObject
    statement: Statement
    action: Action


@dataclass(slots=True)
class TableRows:
    """A table's data: `offset` is that of the first COPY data or INSERT, of the uncompressed dump.

    `rows` is None when they were not counted.
    """

    offset: int
    line: int
    columns: tuple[bytes, ...]
    is_copy: bool
    rows: int | None = None
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class RiskAt:
    """A statement that a login with power over the server's files must not run."""

    line: int
    reason: str
    skippable: bool


@dataclass(slots=True)
class PlainIndex:
    """What one pass over a plain dump found. It may be restored only when `problems` is empty."""

    items: list[PlainItem] = field(default_factory=list)
    data: dict[Name, TableRows] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    risks: list[RiskAt] = field(default_factory=list)
    reaching: tuple[str, ...] = ()
    left_out: list[str] = field(default_factory=list)
    server_version: str = ""
    tool_version: str = ""
    encoding: str = "utf-8"
    raw_bytes: int = 0

    def describe_risks(self, name: str) -> tuple[str, ...]:
        """Say what a login with power over the server's files would be refused; `name` is the file's."""
        fates = {True: "leaves this out", False: "is refused"}
        return tuple(
            f"{name}:{risk.line}: a superuser's restore {fates[risk.skippable]}: {risk.reason}" for risk in self.risks
        )

    def text_of(self, name: bytes) -> str:
        """Return a name or statement as text, in the dump's encoding."""
        return name.decode(self.encoding, "replace")


class PlainScan:
    """One pass over a stream of SQL. `name` is what problems call the file; rows are counted with `counts_rows`."""

    def __init__(self, stream: Reader, name: str, *, counts_rows: bool = True) -> None:
        self.index = PlainIndex()
        self._name = name
        self._counts_rows = counts_rows
        self._lexer = Lexer(stream, name, counts_rows=counts_rows)
        self._frame = DumpFrame(name)
        self._code = LoadCode()
        self._last_line = 1
        self._inserted: dict[bytes, TableRows] = {}  # by the table as INSERT writes it

    def run(self, cancellation: Cancellation) -> Generator[int, None, PlainIndex]:
        """Read everything; yields the raw bytes so far at most five times a second. Raises Cancelled, StorageError."""
        next_tick = time.monotonic() + TICK_SECONDS
        index, lexer = self.index, self._lexer
        try:
            for statement in lexer:
                if not self._take(statement):
                    break
                for _ in lexer.copy_chunks() if statement.has_data else ():
                    if time.monotonic() >= next_tick:
                        cancellation.check()
                        yield lexer.offset
                        next_tick = time.monotonic() + TICK_SECONDS
                if statement.has_data:
                    self._count_copy(statement)
                if time.monotonic() >= next_tick:
                    cancellation.check()
                    yield lexer.offset
                    next_tick = time.monotonic() + TICK_SECONDS
        except DamagedBackupError as error:
            index.problems.append(error.message)
        if last := self._code.finish():
            index.risks.append(RiskAt(self._last_line, last.reason, last.skippable))
        if lexer.finished:
            index.problems += self._frame.close(lexer.trailing_comments)
        index.server_version, index.tool_version = self._frame.server_version, self._frame.tool_version
        index.reaching, index.raw_bytes = self._code.reaching(), lexer.offset
        return index

    def _take(self, statement: Statement) -> bool:
        """Judge and note one statement; whether to read on."""
        self._last_line = statement.line
        problem = self._frame.follow(statement)
        verdict = Verdict(Action.LEAVE_OUT, "COMMAND") if statement.is_command else assess_statement(statement)
        if verdict.action is Action.REFUSE:
            problem = problem or f"{self._name}:{statement.line}: {verdict.reason}"
        if problem:
            self.index.problems.append(problem)
            # After a COPY that is not understood, rows would be taken for statements.
            return verdict.kind != "COPY" and not self._frame.is_foreign and len(self.index.problems) < MOST_PROBLEMS
        if verdict.action is Action.LEAVE_OUT:
            if verdict.reason:
                self.index.left_out.append(
                    f"{self._name}:{statement.line}: {verdict.kind} is left out: {verdict.reason}"
                )
            return True
        if risk := self._code.examine(statement.text, verdict.kind):
            self.index.risks.append(RiskAt(statement.line, risk.reason, risk.skippable))
        self._note(statement, verdict)
        return True

    def _note(self, statement: Statement, verdict: Verdict) -> None:
        if verdict.kind == "INSERT":
            self._count_insert(statement)
            return
        found = parse_object(statement.text, verdict.kind)
        if found.kind == "BLOBS" and self.index.items and self.index.items[-1].object.kind == "BLOBS":
            return  # one item stands for all of them
        if verdict.kind == "SET" and (encoding := dump_encoding(statement.text)):
            self.index.encoding = encoding
        self.index.items.append(PlainItem(found, statement, verdict.action))

    def _count_copy(self, statement: Statement) -> None:
        item = self.index.items[-1].object
        columns = copy_columns(statement.text)
        known = self.index.data.setdefault(
            item.key, TableRows(statement.data_offset, statement.line + 1, columns, is_copy=True)
        )
        if self._counts_rows:
            known.rows = (known.rows or 0) + self._lexer.data_lines
        known.bytes += self._lexer.data_bytes

    def _count_insert(self, statement: Statement) -> None:
        found = INSERT_OF_VALUES.fullmatch(statement.text)
        table = found["table"] if found else b""
        known = self._inserted.get(table)
        if known is None:
            key = parse_object(statement.text, "INSERT").key
            columns = listed_names(found["columns"] if found else None)
            known = TableRows(statement.offset, statement.line, columns, is_copy=False)
            known = self._inserted[table] = self.index.data.setdefault(key, known)
        # Several rows in one INSERT are counted by what stands between them.
        new = 1 if statement.text.count(b"),") == 0 else count_insert_rows(statement.text)
        known.rows = (known.rows or 0) + new
        known.bytes += len(statement.text)


def copy_columns(text: bytes) -> tuple[bytes, ...]:
    """Return the columns that a COPY statement names."""
    found = COPY_FROM_STDIN.fullmatch(text)
    return listed_names(found["columns"] if found else None)


def listed_names(text: bytes | None) -> tuple[bytes, ...]:
    """Return the names of a list of columns."""
    return tuple(token.body for token in parse_tokens(text or b"") if token.text != b",")


_NO_VALUES = frozenset({b"b", b"x", b"n", b"on", b"conflict", b"do", b"nothing"})


def count_insert_rows(text: bytes) -> int:
    """Return how many rows an INSERT of plain values has."""
    return len(insert_rows(text))


def insert_rows(text: bytes) -> list[tuple[str | None, ...]]:
    """Return the rows of an INSERT of plain values as text; a NULL is None."""
    tokens = parse_tokens(text)
    start = next((i for i, token in enumerate(tokens) if token.kind == "word" and token.body == b"values"), len(tokens))
    rows: list[tuple[str | None, ...]] = []
    values: list[str | None] = []
    sign = ""
    for token in tokens[start + 1 :]:
        if token.text == b"(":
            values = []
        elif token.text == b")":
            rows.append(tuple(values))
        elif token.kind == "string":
            values.append(token.body.decode("utf-8", "replace"))
        elif token.kind in ("number", "word") and token.body not in (
            b"b",
            b"x",
            b"n",
            b"on",
            b"conflict",
            b"do",
            b"nothing",
        ):
            values.append(None if token.body == b"null" else sign + token.text.decode("ascii", "replace"))
        sign = "-" if token.text == b"-" else ""
    return rows


_ENCODING = re.compile(rb"SET\s+client_encoding\s*(?:=|TO)\s*'?([A-Za-z0-9_-]+)'?\s*", re.IGNORECASE)
_PYTHON_ENCODINGS = {"sqlascii": "utf-8", "utf8": "utf-8", "unicode": "utf-8", "koi8r": "koi8-r", "koi8u": "koi8-u"}


def dump_encoding(text: bytes) -> str:
    """Return Python's name of the encoding that a SET statement chooses; empty when it chooses none that is known."""
    found = _ENCODING.fullmatch(text)
    if found is None:
        return ""
    plain = re.sub(r"[^a-z0-9]", "", found[1].decode().lower())
    if plain.startswith("win"):
        return f"cp{plain[3:]}"
    if plain.startswith("latin"):
        return plain
    try:
        "".encode(choice := _PYTHON_ENCODINGS.get(plain, plain))
    except LookupError:
        return ""
    return choice


_indexes: "OrderedDict[tuple[object, ...], PlainIndex]" = OrderedDict()


def scan_backup(backup: StoredBackup, cancellation: Cancellation) -> Generator[int, None, PlainIndex]:
    """Return the index of a plain backup; remembered for as long as the file does not change.

    With a manifest, which knows the rows, they are not counted again.
    Raises StorageError, Cancelled. Damage is told in the index's problems.
    """
    path = Path(backup.data_path)
    with storage_errors(path):
        facts = path.stat()
    key = (
        backup.manifest is None,
        str(path),
        facts.st_dev,
        facts.st_ino,
        facts.st_size,
        facts.st_mtime_ns,
        facts.st_ctime_ns,
    )
    if (known := _indexes.get(key)) is not None:
        return known
    index = yield from _scan(backup, path, cancellation, counts_rows=backup.manifest is None)
    if backup.manifest is not None and (index.problems or index.risks):
        index = yield from _scan(backup, path, cancellation, counts_rows=True)  # now the lines matter
    _indexes[key] = index
    while len(_indexes) > _KEPT_INDEXES:
        _indexes.popitem(last=False)
    return index


def _scan(
    backup: StoredBackup, path: Path, cancellation: Cancellation, *, counts_rows: bool
) -> Generator[int, None, PlainIndex]:
    with open_data(backup) as stream, storage_errors(path), read_ahead(stream) as reader:
        return (yield from PlainScan(reader, path.name, counts_rows=counts_rows).run(cancellation))


def collect_index(backup: StoredBackup, cancellation: Cancellation) -> PlainIndex:
    """The same, without progress."""
    return exhaust(scan_backup(backup, cancellation))
