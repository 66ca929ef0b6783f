"""Archives of pg_dump written by hand: every version, every packing, every cut."""

import io
import zlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
import zstandard

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.archive import Archive, ArchiveReader
from dbtui.adapters.postgresql.check import check_archive
from dbtui.adapters.postgresql.contents import collect_contents, collect_sample, show_definition
from dbtui.errors import DamagedBackupError
from dbtui.model.backups import BackupFormat, Compression, StoredBackup, TableName
from dbtui.model.connections import EngineName

TABLE = TableName("public", "t")
ROWS = b"".join(b"%d\tvalue %d\n" % (number, number) for number in range(1, 501)) + b"\\.\n\n\n"
PACKINGS = {"none": 0, "gzip": 1, "lz4": 2, "zstd": 3}


@dataclass
class Writer:
    """Writes an archive in the way of one version."""

    version: tuple[int, int] = (1, 14)
    packing: str = "gzip"
    int_size: int = 4
    knows_offsets: bool = True
    copy: bytes = b"COPY public.t (a, b) FROM stdin;\n"
    definition: bytes = b"CREATE TABLE public.t (\n    a integer,\n    b text\n);\n"
    blocks: list[tuple[int, bytes]] = field(default_factory=lambda: [(2, ROWS)])

    def number(self, value: int) -> bytes:
        return bytes([value < 0]) + abs(value).to_bytes(self.int_size, "little")

    def text(self, value: bytes | None) -> bytes:
        return self.number(-1) if value is None else self.number(len(value)) + value

    def head(self) -> bytes:
        packing = bytes([PACKINGS[self.packing]]) if self.version >= (1, 15) else self.number(self.packing != "none")
        when = b"".join(self.number(part) for part in (5, 4, 3, 2, 0, 126, 0))
        names = self.text(b"erp") + self.text(b"15.18 (Debian)") + self.text(b"15.18")
        return b"PGDMP" + bytes([*self.version, 0, self.int_size, 8, 1]) + packing + when + names

    def entry(self, dump_id: int, kind: bytes, copy: bytes | None, needs: list[int], data_at: int | None) -> bytes:
        has_data = data_at is not None
        parts = [
            self.number(dump_id), self.number(has_data), self.text(b"1259"), self.text(b"%d" % (16000 + dump_id)),
            self.text(b"t"), self.text(kind), self.number(3 if has_data else 2),
            self.text(b"" if has_data else self.definition), self.text(b"" if has_data else b"DROP TABLE public.t;\n"),
            self.text(copy), self.text(b"public"), self.text(None),
            self.text(b"heap") if self.version >= (1, 14) else b"", self.number(0) if self.version >= (1, 16) else b"",
            self.text(b"erp"), self.text(b"false"), *(self.text(b"%d" % one) for one in needs), self.text(None),
        ]  # fmt: skip
        state = 3 if data_at is None else 2 if self.knows_offsets else 1
        return b"".join(parts) + bytes([state]) + (data_at or 0).to_bytes(8, "little")

    def block(self, dump_id: int, rows: bytes) -> bytes:
        if self.packing == "gzip":
            rows = zlib.compress(rows)
        elif self.packing == "zstd":
            rows = zstandard.compress(rows)
        half = len(rows) // 2
        chunks = b"".join(self.number(len(part)) + part for part in (rows[:half], rows[half:]) if part)
        return b"\x01" + self.number(dump_id) + chunks + self.number(0)

    def write(self) -> bytes:
        def toc(at: int) -> bytes:
            entries = self.entry(1, b"TABLE", None, [], None) + self.entry(2, b"TABLE DATA", self.copy, [1], at)
            return self.head() + self.number(2) + entries

        begins = len(toc(0))
        return toc(begins) + b"".join(self.block(dump_id, rows) for dump_id, rows in self.blocks)


def backup_of(directory: Path, data: bytes) -> StoredBackup:
    path = directory / "made.dump"
    path.write_bytes(data)
    return StoredBackup(
        backup_id="made", engine=EngineName.POSTGRESQL, format=BackupFormat.CUSTOM, compression=Compression(),
        data_path=str(path),
    )  # fmt: skip


def problems_of(backup: StoredBackup) -> tuple[str, ...]:
    routine = check_archive(backup, Cancellation())
    while True:
        try:
            next(routine)
        except StopIteration as end:
            found: tuple[str, ...] = end.value
            return found


def read(data: bytes) -> Archive:
    return ArchiveReader(io.BytesIO(data), "made.dump").read(BackupFormat.CUSTOM)


EVERY = [
    Writer((1, 12)),
    Writer((1, 13), "none"),
    Writer((1, 14)),
    Writer((1, 14), "none", knows_offsets=False),
    Writer((1, 15), "zstd"),
    Writer((1, 15), "none"),
    Writer((1, 16), "zstd", int_size=8),
    Writer((1, 16), "gzip", knows_offsets=False),
]


@pytest.mark.parametrize("writer", EVERY, ids=range(len(EVERY)))
def test_every_version_and_packing_is_read(writer: Writer, tmp_path: Path) -> None:
    archive = read(writer.write())
    assert archive.version[:2] == writer.version and archive.packing == writer.packing
    assert (archive.database, archive.server_version, archive.tool_version) == ("erp", "15.18 (Debian)", "15.18")
    assert archive.created == datetime(2026, 1, 2, 3, 4, 5)
    table, data = archive.entries
    assert (table.dump_id, table.kind, table.schema, table.tag, table.owner) == (1, b"TABLE", b"public", b"t", b"erp")
    assert data.has_data and data.dependencies == (1,) and data.copy == writer.copy
    backup = backup_of(tmp_path, writer.write())
    assert problems_of(backup) == ()
    contents = collect_contents(backup, Cancellation())
    assert [table.table_name for table in contents.tables] == [TABLE] and contents.roles == ("erp",)
    assert show_definition(backup, TABLE, Cancellation()).startswith("CREATE TABLE public.t")
    sample = collect_sample(backup, TABLE, 2, Cancellation())
    assert sample.columns == ("a", "b") and sample.rows == (("1", "value 1"), ("2", "value 2")) and sample.more


@pytest.mark.parametrize("writer", [EVERY[2], EVERY[3], EVERY[4]], ids=["gzip", "none", "zstd"])
def test_every_cut_is_seen(writer: Writer, tmp_path: Path) -> None:
    data = writer.write()
    for place in [*range(700), *range(700, len(data), 97), len(data) - 1]:
        if place < len(data):
            assert problems_of(backup_of(tmp_path, data[:place])), f"cut at {place} of {len(data)}"


@pytest.mark.parametrize(
    ("blocks", "what"),
    [
        ([], "is missing"),
        ([(7, ROWS)], "knows nothing"),
        ([(2, ROWS), (2, ROWS)], "knows nothing"),
    ],
)
def test_data_that_are_not_those_of_the_entries(blocks: list[tuple[int, bytes]], what: str, tmp_path: Path) -> None:
    (problem,) = problems_of(backup_of(tmp_path, Writer(blocks=blocks).write()))
    assert what in problem


@pytest.mark.parametrize(
    ("writer", "what"),
    [
        (Writer(definition=b"CREATE TABLE public.t (); COPY t TO PROGRAM 'id';\n"), "program"),
        (Writer(definition=b"CREATE TABLE public.t ()"), "does not end"),
        (Writer(definition=b"DROP TABLE public.t;\n"), "no place"),
        (Writer(definition=b"COMMIT;\n"), "no place"),
        (Writer(definition=b"\\! id\n"), "psql"),
        (Writer(definition=b"COPY public.t (a) FROM stdin;\n1\n\\.\n"), "data stands"),
        (Writer(copy=b"COPY public.t FROM PROGRAM 'id';\n"), "not copied"),
        (Writer(copy=b"COPY public.t (a, b) FROM stdin; SELECT 1;\n"), "not followed"),
        (Writer(copy=b"", blocks=[(2, b"INSERT INTO t VALUES (1); DROP TABLE t;")]), "other than INSERTs"),
        (Writer(copy=b"", blocks=[(2, b"INSERT INTO t VALUES (f());")]), "plain values"),
    ],
    ids=range(10),
)
def test_texts_that_pg_dump_does_not_write_are_refused(writer: Writer, what: str, tmp_path: Path) -> None:
    (problem,) = problems_of(backup_of(tmp_path, writer.write()))
    assert what in problem and problem.startswith("made.dump: entry ")


@pytest.mark.parametrize(
    ("at", "new", "what"),
    [
        (0, b"PGDUM", "not an archive"),
        (5, b"\x02", r"version 2\.14"),
        (6, b"\x0b", r"version 1\.11"),
        (8, b"\x03", "head is damaged"),
        (10, b"\x02", "head is damaged"),
        (10, b"\x03", "directory format"),
    ],
)
def test_a_head_that_makes_no_sense(at: int, new: bytes, what: str) -> None:
    data = bytearray(Writer().write())
    data[at : at + len(new)] = new
    with pytest.raises(DamagedBackupError, match=what):
        read(bytes(data))


def test_numbers_that_would_fill_the_memory_are_refused() -> None:
    writer = Writer()
    head = writer.head()
    with pytest.raises(DamagedBackupError, match="entries"):
        read(head + writer.number(2**31 - 1))
    with pytest.raises(DamagedBackupError, match="bytes"):
        read(head + writer.number(1) + writer.number(1) + writer.number(0) + writer.number(2**31 - 1))


def test_flipped_bits_in_packed_rows_are_seen(tmp_path: Path) -> None:
    data = Writer().write()
    begins = data.index(zlib.compress(ROWS)[:20])
    for place in range(begins + 10, len(data) - 10, 53):
        altered = bytearray(data)
        altered[place] ^= 0x10
        assert problems_of(backup_of(tmp_path, bytes(altered))), f"flipped at {place}"
