"""Rows of INSERTs: counted, and read back as the values that went in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.adapters.mysql.rows import INSERT, INSERT_HEAD, count_tuples, iterate_tuples, parse_columns, parse_tuple


def rows(text: bytes) -> list[tuple[str | None, ...]]:
    head = INSERT_HEAD.match(text)
    assert head is not None
    return [parse_tuple(raw) for raw in iterate_tuples(text, head.end(), len(text))]


def test_values_of_every_kind() -> None:
    text = (
        b"INSERT INTO `t` VALUES (1,-2.5,1e-300,NULL,'it\\'s','a''b','\\0\\n\\r\\t\\Z\\\\\\%',0x00FF,b'101',"
        b"_binary 'x\\'y',_utf8mb4 0x41,\"dq\\\"\",'',TRUE,DEFAULT,X'4A')"
    )
    assert rows(text) == [
        ("1", "-2.5", "1e-300", None, "it's", "a'b", "\0\n\r\t\x1a\\%", "0x00FF", "b'101'", "x'y", "0x41", 'dq"', "",
         "TRUE", "DEFAULT", "X'4A'"),
    ]  # fmt: skip
    assert INSERT.fullmatch(text + b";")


def test_columns() -> None:
    head = INSERT_HEAD.match(b"INSERT INTO `t` (`a`, `b``c`, `n(1),(2)`, plain) VALUES (1,2,3,4)")
    assert head is not None
    assert parse_columns(head["columns"]) == ("a", "b`c", "n(1),(2)", "plain")


@pytest.mark.parametrize(
    "values",
    [b"(f())", b"((SELECT 1))", b"(1)(2)", b"(1),", b"(1) ON DUPLICATE KEY UPDATE a=1", b"('a' || 'b')", b"(@a)",
     b"(1);(2)", b"(load_file('x'))", b"(a.b)", b"(1 /*!50000 + f() */)", b"(NEXTVAL(s))", b"(NULL())"],
)  # fmt: skip
def test_anything_but_literals_is_no_literal_insert(values: bytes) -> None:
    assert INSERT.fullmatch(b"INSERT INTO `t` VALUES " + values + b";") is None


@pytest.mark.parametrize(
    "values", [b"(1)", b"(1),(2)", b"(1), (2)", b"(1),\r\n(2)", b"\n(1,'x'),\n(2,'y')", b"()", b"(unhex('4A'))"]
)
def test_literals_of_other_tools_are(values: bytes) -> None:
    assert INSERT.fullmatch(b"INSERT INTO `t` VALUES " + values + b";")
    assert INSERT.fullmatch(b"insert ignore into t (a) values " + values + b";")


@given(st.lists(st.one_of(st.none(), st.text(), st.integers(), st.binary()), min_size=1, max_size=6))
def test_what_is_written_is_read(values: list[str | int | bytes | None]) -> None:
    texts: list[bytes] = []
    expected: list[str | None] = []
    for value in values:
        if value is None:
            texts.append(b"NULL")
            expected.append(None)
        elif isinstance(value, int):
            texts.append(str(value).encode())
            expected.append(str(value))
        elif isinstance(value, bytes):
            texts.append(b"0x" + value.hex().upper().encode() if value else b"''")
            expected.append("0x" + value.hex().upper() if value else "")
        else:
            raw = value.encode("utf-8", "surrogatepass")
            for plain, escape in ((b"\\", b"\\\\"), (b"'", b"\\'"), (b"\n", b"\\n"), (b"\0", b"\\0")):
                raw = raw.replace(plain, escape)
            texts.append(b"'" + raw + b"'")
            expected.append(value.encode("utf-8", "surrogatepass").decode("utf-8", "surrogateescape"))
    row = b"(" + b",".join(texts) + b")"
    text = b"INSERT INTO `t` VALUES " + row + b"," + row
    assert rows(text) == [tuple(expected)] * 2
    assert count_tuples(text, 23, 0) == 2
    broken = b"INSERT INTO `t` VALUES\n" + row + b",\n" + row
    assert count_tuples(broken, 23, 2) == 2
    assert INSERT.fullmatch(text + b";")
