"""The statements of an archive's table of contents, judged one by one as those of a plain dump are.

pg_restore sends each entry's texts to the server as they are, and makes others from them (an owner's ALTER from the
DROP). So every text of every entry must be what pg_dump writes for an entry of that kind.
"""

import io
from collections import OrderedDict
from collections.abc import Iterator
from typing import BinaryIO

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.archive import Archive, ArchiveEntry, Section, archive_path, collect_archive
from dbtui.adapters.postgresql.archive_data import entry_data
from dbtui.adapters.postgresql.load_code import LoadCode
from dbtui.adapters.postgresql.objects import DumpedObject, parse_object
from dbtui.adapters.postgresql.plain import MOST_PROBLEMS, PlainIndex, PlainItem, RiskAt, dump_encoding
from dbtui.adapters.postgresql.sql_lexer import Lexer, Statement
from dbtui.adapters.postgresql.statements import INSERT_OF_VALUES, LEFT_OUT, Action, assess_statement
from dbtui.adapters.streams import storage_errors
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import BackupFormat, StoredBackup

_KINDS_WITH_DATA = frozenset({b"TABLE DATA", b"BLOBS"})
#: Not restored unless a database is created, which we never let pg_restore do.
_OF_DATABASE = (b"DATABASE", b"DATABASE PROPERTIES", b"SUBSCRIPTION", b"SUBSCRIPTION TABLE")
_DEFINING_KINDS = frozenset({"FUNCTION", "PROCEDURE", "VIEW", "FOREIGN TABLE"})
_KEPT_INDEXES = 4


class ArchiveIndex(PlainIndex):
    """An archive's statements, by the number of their entry: `offset` and `line` of a statement are that number."""

    __slots__ = ("archive", "left_out_ids", "risky_ids")

    def __init__(self, archive: Archive) -> None:
        super().__init__(
            server_version=archive.server_version.split(" ")[0], tool_version=archive.tool_version.split(" ")[0]
        )
        self.archive = archive
        self.left_out_ids: set[int] = set()
        self.risky_ids: dict[int, str] = {}


class _Judge:
    def __init__(self, backup: StoredBackup, archive: Archive, cancellation: Cancellation) -> None:
        self.index = ArchiveIndex(archive)
        self._backup = backup
        self._name = archive_path(backup).name if backup.format is BackupFormat.CUSTOM else _last(backup.data_path)
        self._cancellation = cancellation
        self._code = LoadCode()
        self._seen: list[tuple[int, bytes, str]] = []

    def run(self) -> ArchiveIndex:
        for entry in self.index.archive.entries:
            if len(self.index.problems) >= MOST_PROBLEMS:
                break
            self._cancellation.check()
            problem = self._judge(entry)
            if problem:
                self.index.problems.append(f"{self._name}: {entry.describe()}: {problem}")
        self._examine_all()
        self.index.reaching = self._code.reaching()
        return self.index

    def _examine_all(self) -> None:
        """Functions and views first: pg_restore may run things in another order than that of the entries."""
        defining = [one for one in self._seen if one[2] in _DEFINING_KINDS]
        others = [one for one in self._seen if one[2] not in _DEFINING_KINDS]
        for number, text, kind in (*defining, *others):
            if risk := self._code.examine(text, kind):
                self.index.risks.append(RiskAt(number, risk.reason, risk.skippable))
                if risk.skippable:
                    self.index.risky_ids[number] = risk.reason

    def _judge(self, entry: ArchiveEntry) -> str:
        if entry.section not in (1, 2, 3, 4):
            return "it belongs to no section of a restore"
        if entry.kind in _OF_DATABASE or entry.tag.startswith(b"DATABASE "):
            self.index.left_out_ids.add(entry.dump_id)
            if entry.kind == b"SUBSCRIPTION":
                self.index.left_out.append(f"{self._name}: {entry.describe()} is left out: {LEFT_OUT['SUBSCRIPTION']}")
            return ""
        if entry.kind == b"BLOB METADATA":
            return "" if entry.definition.replace(b"\n", b"").isdigit() else "its list of large objects is not a list"
        try:
            return self._judge_definition(entry) or self._judge_drop(entry) or self._judge_data(entry)
        except DamagedBackupError as error:
            return error.message.partition(": ")[2]

    def _judge_definition(self, entry: ArchiveEntry) -> str:
        for statement in _statements(entry.definition):
            verdict = assess_statement(statement)
            if statement.is_command or statement.has_data:
                return "a psql command or data stands in its definition"
            if verdict.action is Action.REFUSE:
                return verdict.reason
            if verdict.kind == "TRANSACTION" or verdict.action is Action.TRY:
                return f"a {verdict.kind.lower()} statement has no place in its definition"
            if verdict.action is Action.LEAVE_OUT:
                self.index.left_out_ids.add(entry.dump_id)
                continue
            self._note(entry, statement, verdict.kind)
        return ""

    def _note(self, entry: ArchiveEntry, statement: Statement, kind: str) -> None:
        if encoding := dump_encoding(statement.text) if kind == "SET" else "":
            self.index.encoding = encoding
        found = parse_object(statement.text, kind)
        if entry.owner and entry.owner not in found.roles:
            found = found._replace(roles=(*found.roles, entry.owner))
        kept = Statement(statement.text, entry.dump_id, entry.dump_id)
        self.index.items.append(PlainItem(found, kept, Action.RUN))
        self._seen.append((entry.dump_id, statement.text, kind))

    def _judge_drop(self, entry: ArchiveEntry) -> str:
        """One DROP at most: pg_restore makes an owner's ALTER from it."""
        statements = list(_statements(entry.drop)) if entry.kind != b"BLOB METADATA" else []
        for statement in statements:
            verdict = assess_statement(statement)
            if verdict.action is not Action.TRY and not (
                entry.kind in (b"VIEW", b"RULE") and verdict.action is Action.RUN
            ):
                return "what should drop it does something else"
        return "what should drop it is more than one statement" if len(statements) > 1 else ""

    def _judge_data(self, entry: ArchiveEntry) -> str:
        if not entry.has_data:
            return "it has no data and says how to copy it" if entry.copy.strip() else ""
        if entry.kind not in _KINDS_WITH_DATA:
            return "an entry of its kind has no data"
        if entry.kind == b"BLOBS":
            self.index.items.append(_data_item(entry, DumpedObject("BLOBS")))
            return ""
        if not entry.copy.strip():
            return self._judge_inserts(entry)
        statements = list(_statements(entry.copy.rstrip() + b"\n\\.\n"))
        if len(statements) != 1 or not statements[0].has_data:
            return "its data is not copied in the way that pg_dump writes"
        self.index.items.append(_data_item(entry, parse_object(statements[0].text, "COPY"), statements[0].text))
        self._seen.append((entry.dump_id, statements[0].text, "COPY"))
        return ""

    def _judge_inserts(self, entry: ArchiveEntry) -> str:
        """Data as INSERTs (`pg_dump --inserts`) is SQL, which pg_restore would run: every statement is judged."""
        stream = entry_stream(entry_data(self._backup, self.index.archive, entry, self._cancellation))
        self.index.items.append(
            _data_item(entry, DumpedObject("TABLE DATA", entry.schema, entry.tag, (entry.schema, entry.tag)))
        )
        tables: set[bytes] = set()
        for statement in Lexer(stream, self._name):
            verdict = assess_statement(statement)
            if verdict.action is not Action.RUN or verdict.kind not in ("INSERT", "SET"):
                return verdict.reason or "its data hold something other than INSERTs"
            if found := INSERT_OF_VALUES.fullmatch(statement.text):
                tables.add(found["table"])
        # Any of the INSERTs may leave columns to their defaults.
        texts = (b"INSERT INTO " + table + b" DEFAULT VALUES" for table in sorted(tables))
        self._seen += [(entry.dump_id, text, "INSERT") for text in texts]
        return ""


class _Chunks(io.RawIOBase):
    """Chunks of bytes as a stream."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: object) -> int:
        view = memoryview(target)  # type: ignore[arg-type]
        self._rest = self._rest or memoryview(next(self._chunks, b""))
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def entry_stream(chunks: Iterator[bytes]) -> BinaryIO:
    """Return chunks of bytes as a stream."""
    return io.BufferedReader(_Chunks(chunks))


def _statements(text: bytes) -> Iterator[Statement]:
    return iter(Lexer(io.BytesIO(text), "archive"))


def _data_item(entry: ArchiveEntry, found: DumpedObject, text: bytes = b"") -> PlainItem:
    return PlainItem(found, Statement(text, entry.dump_id, entry.dump_id), Action.RUN)


def _last(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


_indexes: "OrderedDict[tuple[object, ...], ArchiveIndex]" = OrderedDict()


def collect_archive_index(backup: StoredBackup, cancellation: Cancellation) -> ArchiveIndex:
    """Return the judged table of contents of an archive; remembered as long as its file does not change.

    Raises DamagedBackupError when there is none, StorageError, ToolError, Cancelled.
    """
    path = archive_path(backup)
    with storage_errors(path):
        facts = path.lstat()
    key = (str(path), facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)
    if (known := _indexes.get(key)) is not None:
        return known
    index = _Judge(backup, collect_archive(backup), cancellation).run()
    _indexes[key] = index
    while len(_indexes) > _KEPT_INDEXES:
        _indexes.popitem(last=False)
    return index


def is_after_data(entry: ArchiveEntry) -> bool:
    """Whether an entry must be restored after all data, whatever section it claims: triggers and rules act on rows."""
    return entry.section == Section.POST_DATA or entry.kind in (b"TRIGGER", b"RULE", b"EVENT TRIGGER")
