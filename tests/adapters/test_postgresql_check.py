"""Damage in dumps is seen before anything is restored, wherever it is."""

import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.check import check_archive
from dbtui.errors import Cancelled
from dbtui.model.backups import CompressionKind, StoredBackup
from dbtui.model.events import Event, Warned
from tests.adapters.postgresql_nasty import (
    ODD,
    ROWS,
    Nasty,
    empty_database,
    manifest_of,
    nasty,
    newest_tools,
    packed,
    stored,
)
from tests.adapters.postgresql_targets import drive

__all__ = ["nasty"]
CUTS = 40


def problems_of(backup: StoredBackup, on_event: Callable[[Event], None] = lambda _event: None) -> tuple[str, ...]:
    return drive(check_archive(backup, Cancellation()), on_event)


def cuts_of(size: int) -> list[int]:
    """Where to cut: every place near both ends, and some between, always the same."""
    places = random.Random(4711)
    near = [*range(20), *range(size - 40, size)]
    return sorted({*(place for place in near if 0 <= place < size), *(places.randrange(size) for _ in range(CUTS))})


WHOLE = [
    ("plain", CompressionKind.NONE), ("plain", CompressionKind.GZIP), ("plain", CompressionKind.ZSTD),
    ("inserts", CompressionKind.NONE), ("clean and create", CompressionKind.NONE), ("clean", CompressionKind.NONE),
    ("custom", CompressionKind.NONE), ("custom none", CompressionKind.NONE), ("custom none", CompressionKind.ZSTD),
    ("custom inserts", CompressionKind.NONE), ("directory", CompressionKind.NONE),
]  # fmt: skip


@pytest.mark.parametrize("with_manifest", [False, True])
@pytest.mark.parametrize(("way", "kind"), WHOLE)
def test_nothing_is_wrong_with_a_whole_dump(nasty: Nasty, way: str, kind: CompressionKind, with_manifest: bool) -> None:
    path = packed(nasty.dump(way), kind)
    warned: list[Event] = []
    backup = stored(path, manifest_of(ROWS) if with_manifest else None)
    assert problems_of(backup, warned.append) == ()
    assert ("create" in way) == any(isinstance(event, Warned) for event in warned)  # CREATE DATABASE is left out


def test_a_dump_that_creates_a_database_with_settings(nasty: Nasty, tmp_path: Path) -> None:
    """pg_dump connects once more after it has written them."""
    path = tmp_path / "erp.sql"
    with empty_database(nasty.server) as name:
        nasty.server.execute(f"ALTER DATABASE {name} SET work_mem = '7MB'")
        nasty.server.execute(f"ALTER ROLE postgres IN DATABASE {name} SET search_path = x")
        tool = str(nasty.server.binaries / "pg_dump")
        subprocess.run([tool, "--create", "-d", nasty.server.url(name), "-f", str(path)], check=True)
    assert path.read_text().count("\\connect") == 2
    assert problems_of(stored(path)) == ()
    path.write_text("\\connect other".join(path.read_text().rsplit(f"\\connect {name}", 1)))
    assert "\\connect stands where" in problems_of(stored(path))[0]


@pytest.mark.parametrize("form", ["plain", "custom", "directory"])
def test_nothing_is_wrong_with_the_newest_tools_dumps(nasty: Nasty, form: str) -> None:
    assert problems_of(stored(nasty.dump(form, program=newest_tools() / "pg_dump"))) == ()


@pytest.mark.parametrize(("way", "kind"), [one for one in WHOLE if one[0] != "directory"])
def test_a_dump_cut_anywhere_is_refused(nasty: Nasty, tmp_path: Path, way: str, kind: CompressionKind) -> None:
    source = packed(nasty.dump(way), kind)
    data = source.read_bytes()
    # What follows the last line and the key in it is blank.
    blank = len(data) - len(data.rstrip(b"\n")) if kind is CompressionKind.NONE and "custom" not in way else 0
    for place in cuts_of(len(data) - blank):
        path = (
            tmp_path / f"{place}{''.join(source.suffixes[-2:]) if kind is not CompressionKind.NONE else source.suffix}"
        )
        path.write_bytes(data[:place])
        problems = problems_of(stored(path))
        assert problems, f"cut at {place} of {len(data)} was not seen"
        assert all("\n" not in problem and problem[0].isprintable() for problem in problems)
        path.unlink()


def test_a_flipped_bit_in_packed_data_is_seen(nasty: Nasty, tmp_path: Path) -> None:
    places = random.Random(1)
    for way, kind, name in [("plain", CompressionKind.GZIP, "x.sql.gz"), ("plain", CompressionKind.ZSTD, "x.sql.zst")]:
        data = packed(nasty.dump(way), kind).read_bytes()
        for _ in range(25):
            place = places.randrange(20, len(data))
            altered = bytearray(data)
            altered[place] ^= 1 << places.randrange(8)
            path = tmp_path / name
            path.write_bytes(altered)
            assert problems_of(stored(path)), f"{name}: a bit flipped at {place}"


@pytest.mark.parametrize("way", ["plain", "inserts"])
def test_a_hole_is_seen(nasty: Nasty, tmp_path: Path, way: str) -> None:
    data = nasty.dump(way).read_bytes()
    for place in (300, len(data) // 3, len(data) // 2, len(data) - 300):
        path = tmp_path / "hole.sql"
        path.write_bytes(data[:place] + bytes(100) + data[place + 100 :])
        assert "a hole of zero bytes" in problems_of(stored(path))[0]


def copied(nasty: Nasty, tmp_path: Path) -> Path:
    path = tmp_path / "copy.dir"
    shutil.copytree(nasty.dump("directory"), path)
    return path


def largest(directory: Path) -> Path:
    return max(directory.glob("*.dat.gz"), key=lambda path: path.stat().st_size)


@pytest.mark.parametrize("with_manifest", [False, True])
@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda path: largest(path).unlink(), "is missing"),
        (lambda path: largest(path).write_bytes(b""), "is empty"),
        (lambda path: (path / "toc.dat").unlink(), "holds no toc.dat"),
        (lambda path: (path / "toc.dat").write_bytes(b""), "cut off"),
        (lambda path: (path / "evil.so").write_bytes(b"x"), "a file that pg_dump does not write"),
        (lambda path: (path / "1.dat").symlink_to("/etc/passwd"), "not a regular file"),
        (lambda path: (path / "sub").mkdir(), "not a regular file"),
        (lambda path: (path / "blobs.toc").write_text("1 ../../etc/passwd\n"), "not a list of large objects"),
        (lambda path: (path / "blob_12345.dat.gz").unlink(), "large object 12345"),
    ],
    ids=range(9),
)
def test_harm_to_a_directory_is_seen(
    nasty: Nasty, tmp_path: Path, harm: Callable[[Path], object], what: str, with_manifest: bool
) -> None:
    path = copied(nasty, tmp_path)
    harm(path)
    problems = problems_of(stored(path, manifest_of(ROWS) if with_manifest else None))
    assert any(what in problem for problem in problems), problems


def test_a_cut_data_file_is_seen(nasty: Nasty, tmp_path: Path) -> None:
    path = copied(nasty, tmp_path)
    file = largest(path)
    data = file.read_bytes()
    for place in [0, 5, 100, len(data) // 2, len(data) - 1]:
        file.write_bytes(data[:place])
        assert problems_of(stored(path)), f"cut at {place}"


@pytest.mark.parametrize("with_manifest", [False, True])
@pytest.mark.parametrize("packs", [False, True])
def test_a_cut_data_file_is_seen_without_unpacking(
    nasty: Nasty, tmp_path: Path, with_manifest: bool, packs: bool
) -> None:
    """A manifest that fits the damaged file, as if its hash told nothing, does not help who forged it."""
    path = tmp_path / "plain.dir"
    tool = str(nasty.server.binaries / "pg_dump")
    subprocess.run([tool, "-Fd", "-Z0", "-d", nasty.url, "-f", str(path)], check=True)
    for file in list(path.glob("[0-9]*.dat")) if packs else []:
        file.with_name(f"{file.name}.zst").write_bytes(zstandard.compress(file.read_bytes()))
        file.unlink()
    manifest = manifest_of(ROWS) if with_manifest else None
    assert problems_of(stored(path, manifest)) == ()
    file = max(path.glob("[0-9]*.dat*"), key=lambda each: each.stat().st_size)
    data = file.read_bytes()
    for place in (1, len(data) // 2, len(data) - 5, len(data) - 1):
        file.write_bytes(data[:place])
        problems = problems_of(stored(path, manifest))
        assert any("is missing" in problem or "too early" in problem for problem in problems), place
    file.write_bytes(b"")
    assert problems_of(stored(path, manifest)), "empty"


def test_a_data_file_that_is_a_link_is_refused(nasty: Nasty, tmp_path: Path) -> None:
    path = copied(nasty, tmp_path)
    file = largest(path)
    elsewhere = tmp_path / "elsewhere.gz"
    file.rename(elsewhere)
    file.symlink_to(elsewhere)
    assert any("not a regular file" in problem for problem in problems_of(stored(path)))


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("x.sql", b"", "is empty"),
        ("x.dump", b"", "is empty"),
        ("x.sql", b"SQLite format 3\0" + bytes(100), "a SQLite database"),
        ("x.sql", b"-- MySQL dump 10.13\n", "a dump of MySQL"),
        ("x.sql", b"/*M!999999\\- enable the sandbox mode */\n-- MariaDB dump\n", "a dump of MariaDB"),
        ("x.sql", b"-- MariaDB dump 10.19\n", "a dump of MariaDB"),
        ("x.sql", b"PGDMP\x01\x0e", "an archive of pg_dump"),
        ("x.sql", b"\x1f\x8b\x08", "packed with gzip"),
        ("x.sql", b"\x28\xb5\x2f\xfd", "packed with zstd"),
        ("x.dump", b"--\n-- PostgreSQL database dump\n", "not an archive"),
        ("x.sql.gz", b"plain text", "damaged"),
        ("x.sql.zst", b"plain text", "damaged"),
        ("x.sql", b"hello\n", "not a dump"),
        ("x.sql", b"\xff\xfe\x00binary\n;", "not a dump"),
        ("x.sql", b"--\n-- PostgreSQL database cluster dump\n--\nCREATE ROLE x;\n", "pg_dumpall"),
        ("x.sql", b"--\n-- PostgreSQL database dump\n--\n\nSELECT 1", "cut off"),
    ],
)
def test_what_is_something_else_is_named(tmp_path: Path, name: str, content: bytes, what: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    (problem,) = problems_of(stored(path))[:1]
    assert what in problem


def test_statements_after_the_end_are_refused(nasty: Nasty, tmp_path: Path) -> None:
    text = nasty.dump("plain").read_bytes()
    path = tmp_path / "twice.sql"
    for addition in (text, b"DROP TABLE app.usr;\n", b"\\connect other\n"):
        path.write_bytes(text + addition)
        assert problems_of(stored(path))


def test_a_restrict_key_that_was_altered_is_refused(nasty: Nasty, tmp_path: Path) -> None:
    text = nasty.dump("plain").read_bytes()
    if b"\\restrict" not in text:
        text = b"--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n" + text + b"\\unrestrict abc\n"
    path = tmp_path / "key.sql"
    for old, new in [
        (b"\\unrestrict ", b"\\unrestrict x"),
        (b"\\unrestrict ", b"\\unrestrict `id`"),
        (b"\\restrict", b"\\!"),
    ]:
        path.write_bytes(text.replace(old, new))
        assert problems_of(stored(path))


def test_rows_that_the_manifest_counted_and_the_dump_lacks_are_missed(nasty: Nasty, tmp_path: Path) -> None:
    text = nasty.dump("plain").read_bytes()
    begin = text.index(b'COPY "Wei;rd $chema"."ta')
    first, last = text.index(b"\n", begin) + 1, text.index(b"\n\\.\n", begin) + 1
    path = tmp_path / "lost.sql"
    path.write_bytes(text[:first] + text[last:])
    (problem,) = problems_of(stored(path, manifest_of({ODD: 6})))
    assert "no rows in the dump, and 6 in the manifest" in problem


def test_a_check_is_ended_by_a_cancel(nasty: Nasty, tmp_path: Path) -> None:
    cancellation = Cancellation()
    cancellation.request("test")
    for way, name in (("custom", "c.dump"), ("directory", "c.dir")):
        path = tmp_path / name
        (shutil.copytree if way == "directory" else shutil.copyfile)(nasty.dump(way), path)
        with pytest.raises(Cancelled):
            drive(check_archive(stored(path), cancellation))
