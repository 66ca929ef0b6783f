"""What dumps hold, read without a server, in every format, as the tools themselves tell it."""

import subprocess
from pathlib import Path

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.archive import collect_archive
from dbtui.adapters.postgresql.contents import collect_contents, collect_sample, show_definition
from dbtui.errors import Cancelled, DamagedBackupError, UsageError
from dbtui.model.backups import CompressionKind, DumpObject, TableName
from tests.adapters.postgresql_nasty import (
    ODD,
    PLAIN_WAYS,
    ROWS,
    USERS,
    Nasty,
    empty_database,
    listed_entries,
    nasty,
    newest_tools,
    packed,
    stored,
)

__all__ = ["nasty"]
FORMATS = [
    ("plain", CompressionKind.NONE),
    ("plain", CompressionKind.GZIP),
    ("plain", CompressionKind.ZSTD),
    ("inserts", CompressionKind.NONE),
    ("column inserts", CompressionKind.ZSTD),
    ("custom", CompressionKind.NONE),
    ("custom none", CompressionKind.ZSTD),
    ("custom inserts", CompressionKind.NONE),
    ("directory", CompressionKind.NONE),
]


@pytest.mark.parametrize("way", PLAIN_WAYS)
def test_plain_dumps_tell_tables_with_exact_rows(nasty: Nasty, way: str) -> None:
    contents = collect_contents(stored(nasty.dump(way)), Cancellation())
    counted = {table.table_name: table.rows for table in contents.tables if table.rows is not None}
    expected = {name: rows for name, rows in ROWS.items() if rows or "inserts" not in way}
    assert counted == expected
    assert all(table.rows_are == "exact" for table in contents.tables if table.rows is not None)


@pytest.mark.parametrize(("way", "kind"), FORMATS)
def test_contents_are_the_same_in_every_format(nasty: Nasty, way: str, kind: CompressionKind) -> None:
    contents = collect_contents(stored(packed(nasty.dump(way), kind)), Cancellation())
    assert {table.table_name for table in contents.tables} == {*ROWS, TableName("app", "log")}
    assert contents.schemas == ("Wei;rd $chema", "app")
    assert contents.extensions == ("hstore", "pg_trgm")
    assert contents.roles == ("postgres",)
    version = subprocess.run([nasty.server.binaries / "pg_dump", "--version"], capture_output=True, check=True).stdout
    assert contents.server_version == contents.tool_version == version.decode().split()[2]
    for kind_name, name in [
        ("view", "v"), ("materialized view", "mv2"), ("function", "double(i integer)"), ("rule", "r"),
        ("procedure", "proc(INOUT x integer)"), ("type", "status"), ("domain", "email"), ("sequence", "sq"),
        ("index", "usr_expr"), ("trigger", "t"),
        ("fk constraint", "usr_org_fkey"), ("policy", "pol"), ("statistics", "st"), ("aggregate", "agg(integer)"),
        ("text search configuration", "ts"), ("foreign table", "ft"),
    ]:  # fmt: skip
        assert DumpObject(kind_name, "app", name) in contents.objects
    assert DumpObject("operator", "", "app.===") in contents.objects
    assert DumpObject("large objects", "", "") in contents.objects


@pytest.mark.parametrize(("way", "kind"), FORMATS)
def test_a_definition_can_be_run_by_hand(nasty: Nasty, way: str, kind: CompressionKind) -> None:
    backup = stored(packed(nasty.dump(way), kind))
    with empty_database(nasty.server) as database:
        text = show_definition(backup, ODD, Cancellation())
        nasty.server.execute('CREATE SCHEMA "Wei;rd $chema"; ' + text, database=database)
        columns = nasty.server.execute("SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
                                       ['"Wei;rd $chema"."ta""b;le\\.x"'], database=database)  # fmt: skip
    assert {row[0] for row in columns} == {"co;l 'q", "ünïcode", "select"}
    text = show_definition(backup, USERS, Cancellation())
    for part in (
        "CREATE TABLE app.usr (", "GENERATED ALWAYS AS (app.double(org)) STORED", "usr_org_check",
        "usr_pkey PRIMARY KEY",
        "CREATE INDEX usr_expr", "CREATE TRIGGER t", "usr_org_fkey FOREIGN KEY", "SET DEFAULT nextval('app.usr_id_seq'",
        "COMMENT ON TABLE app.usr IS 'it''s; a $$ comment \\! touch'", "GRANT SELECT(id)",
    ):  # fmt: skip
        assert part in text
    assert "app.log" not in text and "CREATE TABLE app.org" not in text


@pytest.mark.parametrize(("way", "kind"), FORMATS)
def test_first_rows_are_those_of_the_table(nasty: Nasty, way: str, kind: CompressionKind) -> None:
    backup = stored(packed(nasty.dump(way), kind))
    sample = collect_sample(backup, ODD, 5, Cancellation())
    assert sample.columns == ("co;l 'q", "ünïcode", "select")
    assert sample.rows == (
        ("1", "\\.", "2"),
        ("2", "line\n\\.\nend", "3"),
        ("3", "tab\there", None),
        ("4", None, "4"),
        ("5", "\\.", "5"),
    )
    assert sample.more
    whole = collect_sample(backup, ODD, 50, Cancellation())
    assert len(whole.rows) == 6 and not whole.more and whole.rows[5] == ("6", "", "6")
    users = collect_sample(backup, USERS, 4, Cancellation())
    assert [row[0] for row in users.rows] == ["1", "2", "3", "4"] and users.more
    assert not collect_sample(backup, TableName("app", "unl"), 5, Cancellation()).rows
    assert not collect_sample(backup, TableName("app", "log"), 5, Cancellation()).rows


@pytest.mark.parametrize("way", ["plain", "custom", "directory"])
def test_a_table_that_is_not_there_is_named(nasty: Nasty, way: str) -> None:
    backup = stored(nasty.dump(way))
    with pytest.raises(UsageError, match=r"no table app\.nothing"):
        show_definition(backup, TableName("app", "nothing"), Cancellation())
    with pytest.raises(UsageError, match=r"no table app\.nothing"):
        collect_sample(backup, TableName("app", "nothing"), 5, Cancellation())


@pytest.mark.parametrize("form", ["custom", "directory"])
@pytest.mark.parametrize("newest", [False, True])
def test_entries_are_those_that_pg_restore_lists(nasty: Nasty, form: str, newest: bool) -> None:
    tools = newest_tools() if newest else nasty.server.binaries
    path = nasty.dump(form, program=tools / "pg_dump" if newest else None)
    archive = collect_archive(stored(path))
    hidden = (b"ENCODING", b"STDSTRINGS", b"SEARCHPATH", b"DATABASE")
    mine = [
        " ".join(
            (f"{one.dump_id}; {one.table_oid} {one.oid} {one.kind.decode()} {one.schema.decode() or '-'} "
             f"{one.tag.decode()} {one.owner.decode()}").split()
        )
        for one in archive.entries
        if one.kind not in hidden
    ]  # fmt: skip
    assert mine == listed_entries(tools / "pg_restore", path)
    assert archive.database == nasty.name and archive.packing == "gzip"
    assert archive.created is not None and archive.server_version


def test_a_dump_of_data_alone_tells_its_tables(nasty: Nasty, tmp_path: Path) -> None:
    for options, name in ((["-a"], "a.sql"), (["-a", "-Fc"], "a.dump")):
        path = tmp_path / name
        subprocess.run([nasty.server.binaries / "pg_dump", "-d", nasty.url, *options, "-f", path], check=True)
        contents = collect_contents(stored(path), Cancellation())
        assert {table.table_name for table in contents.tables} == set(ROWS)


def test_other_encodings_are_read(nasty: Nasty, tmp_path: Path) -> None:
    path = tmp_path / "latin.sql"
    subprocess.run([nasty.server.binaries / "pg_dump", "-E", "LATIN1", "-d", nasty.url, "-f", path], check=True)
    assert collect_sample(stored(path), ODD, 1, Cancellation()).columns[1] == "ünïcode"
    assert "ünïcode" in show_definition(stored(path), ODD, Cancellation())


def test_what_is_no_dump_is_said_to_be_none(tmp_path: Path) -> None:
    path = tmp_path / "x.sql"
    path.write_text("SELECT 1;\n")
    with pytest.raises(DamagedBackupError, match="not a dump made by pg_dump"):
        collect_contents(stored(path), Cancellation())
    archive = tmp_path / "x.dump"
    archive.write_bytes(b"PGDMP\x01\x02")
    with pytest.raises(DamagedBackupError, match="cut off"):
        collect_contents(stored(archive), Cancellation())
    archive.write_bytes(b"PGDMP\x01\x63\x00\x04\x08\x01" + bytes(50))
    with pytest.raises(DamagedBackupError, match=r"version 1\.99"):
        collect_contents(stored(archive), Cancellation())


def test_reading_stops_when_it_is_asked_to(nasty: Nasty, tmp_path: Path) -> None:
    cancellation = Cancellation()
    cancellation.request("test")
    path = tmp_path / "y.dump"
    path.write_bytes(nasty.dump("custom").read_bytes())
    with pytest.raises(Cancelled):
        collect_contents(stored(path), cancellation)
