"""Looking into dumps without a server."""

from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql import check, contents
from dbtui.errors import Cancelled, DamagedBackupError, UsageError
from dbtui.model.backups import DumpObject, TableName
from tests.adapters.mysql_samples import fill
from tests.adapters.mysql_targets import drain, open_mysql, stored_dump
from tests.adapters.test_mysql_round_trip import make_dump
from tests.unit.test_mysql_statements import MYSQL_8

COMPLETE = MYSQL_8 + b"-- Dump completed on 2026-01-01\n"


@pytest.mark.parametrize("packing", ["none", "gzip", "zstd"])
def test_everything_in_a_dump_is_listed(packing: str, mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database)
    fill(target)
    backup, result = make_dump(target, tmp_path, packing)
    held = contents.collect_contents(backup, Cancellation())
    assert held.database == target.database
    assert held.server_version == target.info.version
    assert {(one.name, one.rows) for one in held.tables} == {(one.name, one.rows) for one in result.tables}
    assert {one.rows_are for one in held.tables} == {"exact"}
    kinds = {(one.kind, one.name) for one in held.objects}
    assert kinds == {
        ("view", "v0"), ("view", "v1"), ("view", "v2"), ("view", "a_sequence"), ("sequence", "seq1"), ("event", "ev1"),
        ("event", "ev2"), ("trigger", "trig_bi"), ("trigger", "trig_bi2"), ("procedure", "p1"), ("procedure", "p2"),
        ("function", "f1"),
    }  # fmt: skip
    assert held.roles == ("root@127.0.0.1",)
    assert held.warnings == ()
    assert drain(check.check_archive(backup, Cancellation())) == ()
    sample = contents.collect_sample(backup, TableName(target.database, "strings"), 3, Cancellation())
    assert sample.columns == ("id", "a", "b", "c")
    assert sample.more
    assert sample.rows[0] == ("0", "zero", "it's;\n\\", None)
    assert sample.rows[1][1:] == ('it\'s "q" `b` \\ back', "line1\nline2\r\n\tTab;\0nul\x1a", "0x00FF27225C0A0D1A3B")
    odd = contents.collect_sample(backup, TableName("", "new\nline;"), 50, Cancellation())
    assert (odd.columns, odd.rows, odd.more) == (("a\nb", "g"), (("1", "2"), ("2", "3"), ("3", "4")), False)
    hidden = contents.collect_sample(backup, TableName("", "inv"), 50, Cancellation())
    assert hidden.columns == ("id", "secret", "chk")
    assert contents.collect_sample(backup, TableName("", "empty_t"), 50, Cancellation()).rows == ()
    words = contents.show_definition(backup, TableName("", "trig"), Cancellation())
    assert "CREATE TABLE `trig`" in words
    assert "TRIGGER trig_bi2" in words
    with pytest.raises(UsageError, match="no table nope"):
        contents.show_definition(backup, TableName("", "nope"), Cancellation())
    with pytest.raises(UsageError, match="no table nope"):
        contents.collect_sample(backup, TableName("", "nope"), 1, Cancellation())
    target.close()


def test_a_hole_is_seen(tmp_path: Path) -> None:
    """Inside a text it would be restored like any other character, though no tool writes it so."""
    text = COMPLETE.replace(b"-- Dump completed", b"INSERT INTO `t` VALUES (7,'holey','x');\n-- Dump completed")
    backup = stored_dump(tmp_path / "hole.sql", text.replace(b"holey", bytes(5)))
    assert any("a hole of zero bytes" in problem for problem in drain(check.check_archive(backup, Cancellation())))


def test_a_dump_of_mysql_8(tmp_path: Path) -> None:
    backup = stored_dump(tmp_path / "m8.sql", COMPLETE)
    held = contents.collect_contents(backup, Cancellation())
    assert (held.database, held.tool_version, held.roles) == ("erp", "8.0.36", ("app@%",))
    assert [(one.name, one.rows) for one in held.tables] == [("t", 2)]
    assert DumpObject("trigger", "erp", "tr") in held.objects
    sample = contents.collect_sample(backup, TableName("erp", "t"), 5, Cancellation())
    assert sample.rows == (("1", "a", "\0x"), ("2", "b", None))
    assert drain(check.check_archive(backup, Cancellation())) == ()


STRANGERS = {
    "a PostgreSQL archive": b"PGDMP\x01\x0f\x00",
    "a PostgreSQL dump": b"--\n-- PostgreSQL database dump\n--\n",
    "an SQLite database": b"SQLite format 3\0" + bytes(100),
    "an SQLite dump": b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n",
    "compressed with gzip": b"\x1f\x8b\x08\x00",
    "a ZIP archive": b"PK\x03\x04",
    "no text": b"\x7fELF\0\0\0",
    "is empty": b"\n\n",
}


@pytest.mark.parametrize("what", STRANGERS)
def test_files_of_others_are_recognised(what: str, tmp_path: Path) -> None:
    backup = stored_dump(tmp_path / "x.sql", STRANGERS[what])
    with pytest.raises(DamagedBackupError, match=what):
        contents.collect_contents(backup, Cancellation())
    assert what in drain(check.check_archive(backup, Cancellation()))[0]


def test_every_truncation_is_found(tmp_path: Path) -> None:
    for length in range(60, len(COMPLETE) - 20, 7):
        backup = stored_dump(tmp_path / "cut.sql", COMPLETE[:length])
        assert drain(check.check_archive(backup, Cancellation())), length


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_packed_file_that_is_cut_is_found(suffix: str, mariadb_database: str, tmp_path: Path) -> None:
    target = open_mysql(mariadb_database)
    fill(target)
    backup, _ = make_dump(target, tmp_path, {".gz": "gzip", ".zst": "zstd"}[suffix])
    target.close()
    data = Path(backup.data_path).read_bytes()
    for length in range(0, len(data) - 1, max(1, len(data) // 40)):
        cut = stored_dump(tmp_path / f"cut{suffix}", data[:length] or b" ")
        assert drain(check.check_archive(cut, Cancellation())), length


def test_a_dump_without_its_head_is_read_and_says_so(tmp_path: Path) -> None:
    backup = stored_dump(tmp_path / "x.sql", b"create table t (a int);\ninsert into t (a) values (1), (2);\n")
    held = contents.collect_contents(backup, Cancellation())
    assert [(one.name, one.rows) for one in held.tables] == [("t", 2)]
    assert "does not say which tool" in held.warnings[0]
    assert drain(check.check_archive(backup, Cancellation())) == ()
    assert contents.collect_sample(backup, TableName("", "t"), 5, Cancellation()).columns == ("a",)


def test_looking_can_be_cancelled(tmp_path: Path) -> None:
    backup, cancellation = stored_dump(tmp_path / "x.sql", COMPLETE), Cancellation()
    cancellation.request()
    with pytest.raises(Cancelled):
        contents.collect_contents(backup, cancellation)
