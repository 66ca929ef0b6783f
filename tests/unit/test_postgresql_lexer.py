"""Cutting plain dumps where the server would, whatever the reads look like."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.adapters.postgresql import sql_lexer
from dbtui.adapters.postgresql.sql_lexer import Lexer
from dbtui.errors import DamagedBackupError


class Trickle(io.BytesIO):
    """A stream that gives a few bytes at a time, whatever is asked for."""

    def __init__(self, data: bytes, step: int) -> None:
        super().__init__(data)
        self._step = step

    def read(self, _size: int | None = -1) -> bytes:
        return super().read(self._step)


def cut(text: bytes, step: int = 1 << 20) -> list[tuple[bytes, bytes]]:
    """Every statement with the COPY data that follows it."""
    lexer = Lexer(Trickle(text, step), "dump.sql")
    return [(one.text, b"".join(lexer.copy_chunks()) if one.has_data else b"") for one in lexer]


def texts(text: bytes, step: int = 1 << 20) -> list[bytes]:
    return [statement for statement, _ in cut(text, step)]


WHOLE = [
    b"SELECT 1",
    b"SELECT 'a;b'",
    b"SELECT 'it''s; so', \"od;d\"\"; name\"",
    b"SELECT E'a\\'; b'",
    b"SELECT e'\\\\', 'x\\'",
    b"SELECT $$a;b$$, $tag$ $$ ; $other$ $tag$",
    b"SELECT a$b$c, 1 -- comment; 'not a text\n, 2",
    b"SELECT 1 /* nested /* ; */ ' */ + 2",
    b"SELECT 1 /**/ - -1, 2 * /* */ 3, 4 / 5",
    b"SELECT 1e10, 1.5E-3, .5, 10., $1, x$1",
    b"SELECT U&'\\0041;', B'01', X'ff', N'n;'",
    b"SELECT '' ';' 'a'\n';b'",
    b"CREATE RULE r AS ON INSERT TO v DO INSTEAD (SELECT 1; SELECT ')'; NOTIFY x)",
    b"CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END",
    b"CREATE FUNCTION f(i int) RETURNS int BEGIN ATOMIC SELECT CASE WHEN i > 1 THEN CASE i WHEN 2 THEN 1 END END; END",
    b"CREATE FUNCTION f(begin atomic) RETURNS int LANGUAGE sql AS 'SELECT 1;'",
    b"CREATE PROCEDURE p() BEGIN ATOMIC INSERT INTO t VALUES (';'); END",
    b"CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $_$ BEGIN; RETURN $1; END; $_$",
    "SELECT 'ünï;cödé', ünï".encode(),
]


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 1 << 20])
@pytest.mark.parametrize("statement", WHOLE, ids=range(len(WHOLE)))
def test_a_statement_stays_whole_at_every_read_size(statement: bytes, step: int) -> None:
    found = texts(statement + b";SELECT 'next';", step)
    assert found == [statement, b"SELECT 'next'"]


@given(st.lists(st.sampled_from(WHOLE), max_size=8), st.integers(1, 300))
def test_statements_come_out_as_they_went_in(statements: list[bytes], step: int) -> None:
    assert texts(b"".join(one + b";\n" for one in statements), step) == statements


@pytest.mark.parametrize(
    ("smuggled", "parts"),
    [
        # Words that look like the beginning or end of a block must not hide a second statement.
        (b"CREATE FUNCTION public.begin() RETURNS int AS 'x'; COPY t TO PROGRAM 'y';", 2),
        (b"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 AS case; END; COPY t TO PROGRAM 'y';", 2),
        (b"CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 case, 2 end; END; COPY t TO PROGRAM 'y';", 2),
        (b"CREATE FUNCTION f(begin atomic) AS 'x'; COPY t TO PROGRAM 'y';", 2),
        (b"CREATE RULE r AS ON INSERT TO t DO NOTHING; COPY t TO PROGRAM 'y';", 2),
        (b"CREATE VIEW v AS SELECT ')' || '('; COPY t TO PROGRAM 'y';", 2),
        (b"SELECT (1; COPY t TO PROGRAM 'y';", 2),
        (b"SELECT 1 -- a\rCOPY t TO PROGRAM 'y'; SELECT 2;", 2),
        (b"SELECT '\\'; COPY t TO PROGRAM 'y';", 2),
        (b"SELECT a$$ ; COPY t TO PROGRAM $$y$$;", 2),
    ],
)
def test_a_second_statement_is_never_hidden_in_the_first(smuggled: bytes, parts: int) -> None:
    found = texts(smuggled)
    assert len(found) == parts
    assert found[1].startswith((b"COPY", b"SELECT 2"))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"SELECT 1 \\! id\n;", "backslash"),
        (b"SELECT 0x1F$$ ' $$; COPY t FROM PROGRAM 'x'; --';", "number is joined"),
        (b"SELECT 1$$a$$;", "number is joined"),
        (b"SELECT $1a;", "parameter is joined"),
        (b"SELECT E'a' \n 'b\\';", "continued"),
        (b"SELECT E'a' -- c\n 'b\\';", "continued"),
        (b"SELECT 'abc", "cut off"),
        (b'SELECT "abc', "cut off"),
        (b"SELECT $x$ abc $y$", "cut off"),
        (b"SELECT 1 /* /* */", "cut off"),
        (b"SELECT 1", "cut off"),
        (b"COPY t (a) FROM stdin;\n1\n2\n", "cut off"),
        (b"COPY t (a) FROM stdin; 1\n\\.\n", "not followed"),
        (b"SELECT 'a\0b';", "zero byte"),
        (b"SET standard_conforming_strings = off;\nSELECT 'a\\' , 'b';", "without E"),
    ],
)
@pytest.mark.parametrize("step", [1, 1 << 20])
def test_what_pg_dump_never_writes_is_refused(text: bytes, what: str, step: int) -> None:
    with pytest.raises(DamagedBackupError, match=what):
        texts(text, step)


DATA = [
    b"",
    b"1\tx\n",
    b"\\\\.\n\\N\n",
    b"a\\.\nb\n",
    b"\\.x\n",
    b"1\n" * 5000,
    b"no newline in a mebibyte" * 60000 + b"\n",
]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("data", DATA, ids=range(len(DATA)))
@pytest.mark.parametrize("step", [5, 1 << 20])
def test_copy_data_end_at_their_mark_and_nowhere_else(data: bytes, newline: bytes, step: int) -> None:
    if len(data) > 50000 and step == 5:
        step = 4096
    text = b'COPY "s ;".t (a, "b;") FROM stdin;\n' + data + b"\\.\nSELECT 1;\nCOPY u  FROM stdin;\n\\.\n"
    assert cut(text.replace(b"\n", newline), step) == [
        (b'COPY "s ;".t (a, "b;") FROM stdin', data.replace(b"\n", newline)),
        (b"SELECT 1", b""),
        (b"COPY u  FROM stdin", b""),
    ]


@pytest.mark.parametrize("at", range(1, 60))
def test_an_end_mark_across_two_reads_is_found(at: int) -> None:
    text = b"COPY t (a) FROM stdin;\n1\n22\n\\\\.\n\\.\nSELECT 1;\n"

    class Twice(io.BytesIO):
        def read(self, _size: int | None = -1) -> bytes:
            return super().read(at if self.tell() == 0 else -1)

    lexer = Lexer(Twice(text), "d")
    assert [(one.text, b"".join(lexer.copy_chunks()) if one.has_data else b"") for one in lexer] == [
        (b"COPY t (a) FROM stdin", b"1\n22\n\\\\.\n"),
        (b"SELECT 1", b""),
    ]


def test_lines_offsets_and_comments_are_told() -> None:
    text = (
        b"-- head\n\n/* more */ SELECT 1;\nCOPY t (a) FROM stdin;\n1\n2\n\\.\n"
        b"\n--\n-- x\nSELECT\n 2;\n\\restrict k\n-- end\n"
    )
    lexer = Lexer(io.BytesIO(text), "d")
    found = list(lexer)
    assert [(one.line, one.text) for one in found] == [
        (3, b"SELECT 1"),
        (4, b"COPY t (a) FROM stdin"),
        (11, b"SELECT\n 2"),
        (13, b"\\restrict k"),
    ]
    assert [text[one.offset :][:6] for one in found] == [b"SELECT", b"COPY t", b"SELECT", b"\\restr"]
    assert text[found[1].data_offset :].startswith(b"1\n2\n\\.")
    assert found[0].comments == b"-- head\n/* more */\n" and found[2].comments == b"--\n-- x\n"
    assert found[3].is_command and lexer.trailing_comments == b"-- end\n" and lexer.finished
    assert lexer.offset == len(text)


def test_data_that_nobody_asks_for_are_passed_over_and_counted() -> None:
    lexer = Lexer(io.BytesIO(b"COPY t (a) FROM stdin;\n1\n2\n3\n\\.\nSELECT 1;"), "d")
    assert [one.text for one in lexer] == [b"COPY t (a) FROM stdin", b"SELECT 1"]
    assert (lexer.data_lines, lexer.data_bytes) == (3, 6)


def test_dumps_without_standard_strings_are_read() -> None:
    text = b"SET standard_conforming_strings = off;\nINSERT INTO t VALUES (E'a\\'; b', 'c;');\nSELECT 1;"
    assert texts(text)[1:] == [b"INSERT INTO t VALUES (E'a\\'; b', 'c;')", b"SELECT 1"]


def test_the_buffer_does_not_grow_with_the_dump(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql_lexer, "LONGEST_STATEMENT_BYTES", 1 << 16)
    lexer = Lexer(Trickle(b"SELECT 1;\n" * 200_000, 1 << 12), "d")
    assert sum(1 for _ in lexer) == 200_000
    with pytest.raises(DamagedBackupError, match="longer than"):
        list(Lexer(Trickle(b"SELECT '" + b"x" * (1 << 18) + b"';", 1 << 12), "d"))
