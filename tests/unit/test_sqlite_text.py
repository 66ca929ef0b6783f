"""Definitions taken apart, judged, and the names of files: no database needed."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.adapters.sqlite.header import check_size, parse_header, recognise_other, rollback_header
from dbtui.adapters.sqlite.hostile import FORBIDDEN_FUNCTIONS, find_hostile
from dbtui.adapters.sqlite.locations import path_of, resolve
from dbtui.adapters.sqlite.selection import matches
from dbtui.adapters.sqlite.sql_tokens import Token, TokenKind, module_of, tokenise
from dbtui.errors import DamagedBackupError, UsageError
from dbtui.model.connections import ConnectionProfile, EngineName


def texts(definition: str) -> list[str]:
    return [token.text for token in tokenise(definition)]


def test_names_strings_and_comments_are_told_apart() -> None:
    definition = """CREATE TABLE "a""b" (`c``d` TEXT, [e f] INT DEFAULT 'it''s -- no (', x'00ff' /* ( */) -- ) end"""
    assert texts(definition) == [
        "CREATE", "TABLE", 'a"b', "(", "c`d", "TEXT", ",", "e f", "INT", "DEFAULT", "'it''s -- no ('", ",",
        "x'00ff'", ")",
    ]  # fmt: skip


@pytest.mark.parametrize("definition", ["'open", '"open', "[open", "/* open", "x'0", "-- open", "`", "'", '"', "["])
def test_what_is_not_closed_ends_with_the_text(definition: str) -> None:
    assert len(texts(definition)) <= 1


@given(st.text(max_size=200))
def test_any_text_is_taken_apart(definition: str) -> None:
    assert all(isinstance(token, Token) for token in tokenise(definition))
    list(find_hostile([("view", "v", definition)]))
    module_of(definition)


@pytest.mark.parametrize(
    ("definition", "module"),
    [
        ("CREATE VIRTUAL TABLE t USING fts5(a)", "fts5"),
        ('CREATE VIRTUAL TABLE " USING x" USING "FTS4" (a)', "fts4"),
        ("create virtual table if not exists main.t /* USING no */ using RTree(id)", "rtree"),
        ("CREATE TABLE t (USING fts5)", ""),
        ("CREATE VIRTUAL TABLE t", ""),
        ("", ""),
    ],
)
def test_the_module_of_a_virtual_table(definition: str, module: str) -> None:
    assert module_of(definition) == module


def test_a_quoted_word_is_no_keyword() -> None:
    assert next(tokenise('"TABLE"')) == Token(TokenKind.QUOTED, "TABLE")
    assert not next(tokenise('"TABLE"')).is_word("TABLE")


# ---------------------------------------------------------------- hostile definitions

HOSTILE = [
    ("view", "v", "CREATE VIEW v AS SELECT load_extension('/tmp/x.so')"),
    ("view", "v", "CREATE VIEW v AS SELECT LOAD_EXTENSION ('/tmp/x.so')"),
    ("view", "v", "CREATE VIEW v AS SELECT \"load_extension\"('/tmp/x.so')"),
    ("view", "v", "CREATE VIEW v AS SELECT [load_extension]/* */\n('/tmp/x.so')"),
    ("view", "v", "CREATE VIEW v AS SELECT `writefile` -- x\n('/etc/cron.d/x', 'y')"),
    ("trigger", "t", "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT writefile('x', 'y'); END"),
    ("trigger", "t", "CREATE TRIGGER t AFTER INSERT ON a WHEN edit(new.x) BEGIN SELECT 1; END"),
    ("table", "t", "CREATE TABLE t (a, b AS (readfile('/etc/passwd')))"),
    ("table", "t", "CREATE TABLE t (a CHECK (fts3_tokenizer('simple', x'4141') IS NULL))"),
    ("table", "t", "CREATE TABLE t (a DEFAULT (eval('SELECT 1')))"),
    ("index", "i", "CREATE INDEX i ON t (load_extension(a))"),
    ("table", "t", "CREATE VIEW t AS SELECT 1"),
    ("table", "t", "CREATE TRIGGER t AFTER INSERT ON a BEGIN SELECT 1; END"),
    ("view", "v", "CREATE TABLE v (a)"),
    ("table", "t", "CREATE TABLE t (a); DROP TABLE users"),
    ("table", "t", "DROP TABLE users"),
    ("table", "t", ""),
    ("table", "t", None),
    ("index", "i", None),
    ("gadget", "g", "CREATE TABLE g (a)"),
]
HONEST = [
    ("table", "edit", "CREATE TABLE edit (id, load_extension TEXT)"),
    ("table", "t", "CREATE TABLE t (a REFERENCES edit (id), note DEFAULT 'load_extension(x)')"),
    ("table", "t", 'CREATE TABLE "t; DROP TABLE x" (a) -- writefile("x")'),
    ("table", "t", "CREATE TABLE t (a);"),
    ("index", "i", "CREATE UNIQUE INDEX i ON edit (id)"),
    ("index", "sqlite_autoindex_t_1", None),
    ("trigger", "t", "CREATE TRIGGER t AFTER INSERT ON a BEGIN INSERT INTO edit (id) VALUES (1); DELETE FROM a; END"),
    ("trigger", "t", "CREATE TRIGGER t AFTER UPDATE ON edit BEGIN UPDATE edit SET id = (SELECT 1); END"),
    ("view", "v", "CREATE VIEW v AS SELECT lower(a), edit.id FROM edit /* writefile( */"),
    ("table", "f", "CREATE VIRTUAL TABLE f USING fts5(a, tokenize = 'porter unicode61')"),
]


@pytest.mark.parametrize("declared", HOSTILE, ids=lambda declared: str(declared[2])[:50])
def test_a_hostile_definition_is_named(declared: tuple[str, str, str | None]) -> None:
    problems = list(find_hostile([declared]))
    assert problems
    assert all(problem.startswith(f"{declared[0]} {declared[1]} ") for problem in problems)


@pytest.mark.parametrize("declared", HONEST, ids=lambda declared: str(declared[2])[:50])
def test_an_honest_definition_is_left_alone(declared: tuple[str, str, str | None]) -> None:
    assert list(find_hostile([declared])) == []


def test_every_forbidden_function_is_found() -> None:
    for name in FORBIDDEN_FUNCTIONS:
        assert list(find_hostile([("view", "v", f"CREATE VIEW v AS SELECT {name.upper()}(1)")]))


def test_names_from_a_file_are_shown_as_text() -> None:
    (problem,) = find_hostile([("table", "x\x1b[2J\u202e", "DROP TABLE x")])
    assert "\x1b" not in problem
    assert "\u202e" not in problem


# ---------------------------------------------------------------- header


def header(page_size: int = 4096, pages: int = 3, change: int = 7, valid: int = 7, version: int = 3_040_001) -> bytes:
    size = 1 if page_size == 65536 else page_size
    return (
        b"SQLite format 3\0" + size.to_bytes(2, "big") + b"\x02\x02" + bytes(4) + change.to_bytes(4, "big")
        + pages.to_bytes(4, "big") + bytes(60) + valid.to_bytes(4, "big") + version.to_bytes(4, "big")
    )  # fmt: skip


def test_a_header_says_how_large_the_file_is() -> None:
    assert len(header()) == 100
    found = parse_header(header(65536), "x")
    assert (found.page_size, found.size_bytes, found.is_wal, found.library_version) == (65536, 196608, True, "3.40.1")
    assert parse_header(header(valid=6), "x").size_bytes is None
    assert parse_header(rollback_header(header()), "x").is_wal is False
    assert len(rollback_header(header())) == 100


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (b"", "is empty"),
        (b"SQLite format 3\0", "truncated"),
        (header(1000), "pages of 1000 bytes"),
        (b"PGDMP" + bytes(200), "an archive of pg_dump"),
        (b"\x1f\x8b" + bytes(200), "gzip data"),
        (b"-- MariaDB dump 10.19" + bytes(200), "a text dump of MariaDB"),
        (b"--\n-- PostgreSQL database dump\n", "a text dump of PostgreSQL"),
        (b"PRAGMA foreign_keys=OFF;\nBEGIN", "a text dump of SQLite"),
        (b"\x9a" * 200, "something else, or encrypted"),
    ],
)
def test_what_is_no_database_is_named(head: bytes, said: str) -> None:
    with pytest.raises(DamagedBackupError, match=said):
        parse_header(head, "x.sqlite")


def test_text_of_another_engine_is_recognised_behind_a_comment() -> None:
    assert recognise_other(b"/*M!999999\\- enable the sandbox mode */\n") == "a text dump of MariaDB"


@pytest.mark.parametrize(("size", "said"), [(8192, "truncated"), (4096 * 3 + 1, "whole pages"), (0, "truncated")])
def test_a_size_that_does_not_fit(size: int, said: str) -> None:
    with pytest.raises(DamagedBackupError, match=said):
        check_size(parse_header(header(), "x"), size, "x")


# ---------------------------------------------------------------- names of files


@pytest.mark.parametrize(
    ("database", "path"),
    [
        ("", "/srv/data/erp.db"),
        ("copy.db", "/srv/data/copy.db"),
        ("a b?#.db", "/srv/data/a b?#.db"),
        ("/tmp/x.db", "/tmp/x.db"),
    ],
)
def test_a_bare_name_lies_beside_the_target(database: str, path: str) -> None:
    assert resolve(Path("/srv/data/erp.db"), database) == Path(path)


def test_a_relative_path_starts_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve(Path("/srv/data/erp.db"), "sub/x.db") == tmp_path / "sub/x.db"


@pytest.mark.parametrize("database", ["a/", "..", ".", "a/..", "x" * 250, "nul\0"])
def test_what_is_no_name_of_a_file(database: str) -> None:
    with pytest.raises(UsageError):
        resolve(Path("/srv/data/erp.db"), database)


def test_a_url_of_memory_has_nothing_to_back_up() -> None:
    with pytest.raises(UsageError, match=r"names no file"):
        path_of(ConnectionProfile(name="x", engine=EngineName.SQLITE, url="sqlite:///:memory:"))


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("users", "users", True),
        ("Users", "users", True),
        ("main.users", "users", True),
        ("other.users", "users", False),
        ("u*", "users", True),
        ("user?", "users", True),
        ("user", "users", False),
        ("[u]sers", "users", False),
        ("[u]sers", "[u]sers", True),
        ("*", "new\nline", True),
    ],
)
def test_patterns_know_two_signs(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits
