"""Cutting a dump into statements: wherever the chunks end, whatever stands in quotes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.adapters.mysql.sql_lexer import Splitter, Statement
from dbtui.adapters.mysql.tap import RowCounter
from dbtui.adapters.mysql.tokens import LexicalModes, UnreadableError, parse_modes, readers_of, tokens

DUMP = b"""/*M!999999\\- enable the sandbox mode */\x20
-- MariaDB dump
/*!40101 SET NAMES utf8mb4 */;
/*!40101 SET @OLD_SQL_MODE=@@SQL_MODE, SQL_MODE='NO_AUTO_VALUE_ON_ZERO' */;
DROP TABLE IF EXISTS `a;b`;
CREATE TABLE `a;b` (
  `x` text DEFAULT 'it''s;\\n\\\\', -- a ; comment '
  `y` int # another ; one "
  /* and ; a third ' */
);
INSERT INTO `a;b` VALUES
('),(','\\'',NULL,-1.5e-3,0xAF),
(';\\n','--','',1,2);
INSERT INTO `a;b` (`x`, `n(1),(2)`) VALUES ('one',1),
('two',2);
DELIMITER ;;
CREATE PROCEDURE p() BEGIN SELECT ';;'; INSERT INTO `a;b` VALUES
(1),
(2);
END ;;
DELIMITER ;
/*!50003 SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES' */ ;
DELIMITER //
CREATE PROCEDURE "p;2"() BEGIN SELECT "a;""b", 'x\\'; END//
DELIMITER ;
/*!50003 SET sql_mode = @OLD_SQL_MODE */;
SELECT 1 - -1, 4/2 ;
-- Dump completed on 2026-01-01"""


def cut(data: bytes, size: int, *, is_trusted: bool = False) -> list[Statement]:
    splitter = Splitter(is_trusted=is_trusted)
    found = []
    for start in range(0, len(data), size):
        found += list(splitter.feed(data[start : start + size]))
    return found + list(splitter.finish())


def shown(statements: list[Statement]) -> list[tuple[bytes, int, int]]:
    return [(one.text, one.line, one.raw_end) for one in statements]


def test_statements_and_their_lines() -> None:
    found = cut(DUMP, len(DUMP))
    assert [one.text.split(b"\n")[0][:24] for one in found] == [
        b"/*!40101 SET NAMES utf8m",
        b"/*!40101 SET @OLD_SQL_MO",
        b"DROP TABLE IF EXISTS `a;",
        b"CREATE TABLE `a;b` (",
        b"INSERT INTO `a;b` VALUES",
        b"INSERT INTO `a;b` (`x`, ",
        b"CREATE PROCEDURE p() BEG",
        b"/*!50003 SET sql_mode = ",
        b'CREATE PROCEDURE "p;2"()',
        b"/*!50003 SET sql_mode = ",
        b"SELECT 1 - -1, 4/2",
    ]
    assert [one.line for one in found] == [3, 4, 5, 6, 11, 14, 17, 22, 24, 26, 27]
    assert all(one.is_ended for one in found)
    assert [one.insert.table for one in found if one.insert] == ["a;b", "a;b"]
    assert all(one.insert.is_literal for one in found if one.insert)


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 11, 64, 100])
def test_where_chunks_end_does_not_matter(size: int) -> None:
    assert shown(cut(DUMP, size)) == shown(cut(DUMP, len(DUMP)))
    assert shown(cut(DUMP, size, is_trusted=True)) == shown(cut(DUMP, len(DUMP)))


@given(st.lists(st.text(), min_size=1, max_size=4), st.integers(1, 40))
def test_any_text_in_quotes_stays_one_value(values: list[str], size: int) -> None:
    escaped = [
        value.encode("utf-8", "replace").replace(b"\\", b"\\\\").replace(b"'", b"\\'").replace(b"\n", b"\\n")
        for value in values
    ]
    rows = b",\n".join(b"('" + value + b"')" for value in escaped)
    found = cut(b"INSERT INTO `t` VALUES\n" + rows + b";\nSELECT 2;\n", size)
    assert [one.insert is not None for one in found] == [True, False]
    counter = RowCounter()
    for start in range(0, len(rows) + 30, size):
        counter.tap(memoryview((b"INSERT INTO `t` VALUES\n" + rows + b";\n")[start : start + size]))
    counter.finish()
    assert counter.tables == {"t": len(values)}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"SELECT 'no end;\n", False),
        (b"SELECT `no end;\n", False),
        (b"SELECT 1 /* no end;\n", False),
        (b"INSERT INTO t VALUES (1)", False),
        (b"SELECT 1", False),
    ],
)
def test_a_statement_that_does_not_end_is_marked(text: bytes, reason: bool) -> None:
    assert [one.is_ended for one in cut(text, 4)] == [reason]


def test_a_delimiter_that_could_hide_something_is_refused() -> None:
    for mark in (b"'", b"--", b"/*", b"abc", b"\\"):
        with pytest.raises(UnreadableError, match="line 2"):
            cut(b"SELECT 1;\nDELIMITER " + mark + b"\nSELECT 2;\n", 5)


def test_a_long_insert_without_line_breaks_is_still_one() -> None:
    data = b"INSERT INTO `t` VALUES " + b",".join(b"(%d,'),(')" % number for number in range(50_000)) + b"; SELECT 1;"
    found = cut(data, 1 << 16)
    assert len(found) == 2
    assert found[0].insert is not None
    assert found[0].insert.is_literal


def test_modes() -> None:
    assert parse_modes("STRICT_TRANS_TABLES,ANSI_QUOTES") == LexicalModes(ansi_quotes=True)
    assert parse_modes("oracle") == LexicalModes(ansi_quotes=True)
    assert parse_modes("NO_BACKSLASH_ESCAPES") == LexicalModes(no_backslash=True)
    assert parse_modes("").are_usual


def test_versioned_comments_are_read_as_each_server_would() -> None:
    text = b"A /*!50001 B */ /*!80016 C */ /*M!100616 D */ /*!99999 ' */ E /*' */"
    read = {}
    for reader in readers_of(text):
        try:
            read[reader] = "".join(one.text for one in tokens(text, runs=reader.runs))
        except UnreadableError:
            read[reader] = "?"
    words = {(reader.is_mariadb, reader.version): found for reader, found in read.items()}
    assert words[False, 50700] == "ABE"
    assert words[False, 80016] == "ABCE"
    assert words[True, 100616] == "ABDE"
    assert words[False, 99999].startswith("ABC")
    assert words[False, 99999] != "ABCE"


def test_tokens_keep_their_place_and_meaning() -> None:
    text = (
        b"CREATE DEFINER=`a``b`@`%` VIEW v AS SELECT 'it''s \\'x\\' \\n', 0x1F, 1.5e3, .5, @@session.x, @`y z`, b'01'"
    )
    found = list(tokens(text))
    assert [(one.kind, one.text) for one in found if one.kind not in ("word", "sign")] == [
        ("name", "a`b"),
        ("variable", "@%"),
        ("string", "it's 'x' \n"),
        ("number", "0x1F"),
        ("number", "1.5e3"),
        ("number", ".5"),
        ("variable", "@@session.x"),
        ("variable", "@y z"),
        ("string", "b'01'"),
    ]
    assert all(text[one.start : one.end] for one in found)
