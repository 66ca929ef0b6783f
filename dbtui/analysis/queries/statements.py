"""A statement with its values folded: what is left is the same for every statement of a shape.

Strings, numbers and bind markers become `?`, with their casts and signs. A list of one value after IN stays apart from
a list of many, because the one is a look-up and the other a batch. Rows of VALUES become one.
"""

import re
from enum import IntEnum
from typing import NamedTuple

from dbtui.analysis.queries.lexing import Token, TokenKind, read_tokens
from dbtui.model.connections import EngineName

ONE, MANY = "?", "?+"


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


KEYWORDS = words(
    "ALL ANALYZE AND ANY ARRAY AS ASC BEGIN BETWEEN BY CALL CASE CAST CLOSE COLLATE COMMIT COPY CREATE CROSS CURSOR "
    "DECLARE DEFAULT DELETE DESC DISCARD DISTINCT DO DROP DUPLICATE ELSE END ESCAPE EXCEPT EXECUTE EXISTS EXPLAIN "
    "FALSE FETCH FOR FROM FULL GROUP HAVING ILIKE IN INNER INSERT INTERSECT INTO IS JOIN LATERAL LEFT LIKE LIMIT "
    "LOCK MERGE NATURAL NOT NULL OF OFFSET ON ONLY OR ORDER OUTER OVER PARTITION PREPARE RECURSIVE RELEASE REPLACE "
    "RETURNING RIGHT ROLLBACK SAVEPOINT SELECT SET SHARE SHOW SIMILAR SOME SQL_CALC_FOUND_ROWS START STRAIGHT_JOIN "
    "TABLE THEN TO TRUE TRUNCATE UNION UPDATE USE USING VALUES WHEN WHERE WINDOW WITH XOR"
)
#: A minus after one of these belongs to the operands, not to the number behind it.
_ENDS_OPERAND = frozenset({")", "]", "NULL", "TRUE", "FALSE", "END"})
_TYPED = frozenset({"date", "timestamp", "timestamptz", "time", "timetz", "interval"})
_TYPE_WORDS = frozenset({"varying", "precision", "with", "without", "time", "zone"})
_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_$]*\Z")
_CONSTANTS = frozenset({"NULL", "TRUE", "FALSE", "DEFAULT"})
_BEGINS_LIST = _CONSTANTS | {"ARRAY"}


class ItemKind(IntEnum):
    """What a part of a statement is."""

    KEYWORD = 0
    NAME = 1
    VALUE = 2
    SIGN = 3


class Item(NamedTuple):
    """One part. `text`: as the shape has it; `raw`: a name as written without quotes, a value as written.

    `is_hidden`: a value that was never in the text.
    """

    kind: ItemKind
    text: str
    raw: str
    start: int
    end: int
    is_hidden: bool = False


class Statement(NamedTuple):
    """`is_cut`: the text ends before the statement does."""

    items: list[Item]
    is_cut: bool


def read_statement(sql: str, engine: EngineName | None = None, *, is_cut: bool = False) -> Statement:
    """Read a statement and fold its values. `is_cut`: its source knows that the text was cut."""
    tokens, is_open = read_tokens(sql, engine)
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    if tokens and tokens[-1].text in ("...", "…"):
        is_cut = True
        tokens.pop()
    if is_cut and tokens and tokens[-1].end == len(sql.rstrip(". …")) and tokens[-1].kind is not TokenKind.SIGN:
        tokens.pop()
    items = _fold_values(tokens)
    texts = [item.text for item in items]
    depth = texts.count("(") - texts.count(")")
    is_cut = is_cut or is_open or depth > 0 or (bool(items) and _wants_more(items[-1]))
    return Statement(_fold_lists(items), is_cut)


def _wants_more(item: Item) -> bool:
    """Whether no statement ends so."""
    if item.kind is ItemKind.KEYWORD:
        return item.text in ("SELECT", "WHERE", "AND", "OR", "IN", "BY", "JOIN", "ON", "LIKE", "NOT", "BETWEEN", "INTO")
    return item.kind is ItemKind.SIGN and item.text in ("=", ",", ".", "<", ">", "<=", ">=", "<>", "(", "::")


def _fold_values(tokens: list[Token]) -> list[Item]:
    """Make items of tokens: keywords in capitals, names without needless quotes, values as `?`."""
    items: list[Item] = []
    at, count = 0, len(tokens)
    while at < count:
        token = tokens[at]
        at += 1
        if token.kind in (TokenKind.VALUE, TokenKind.BIND):
            at = _add_value(items, tokens, at)
        elif token.kind is TokenKind.WORD:
            items.append(_read_word(token, items, tokens[at] if at < count else None))
        elif token.kind is TokenKind.NAME:
            items.append(Item(ItemKind.NAME, _quote(token.text), token.text, token.start, token.end))
        elif token.kind is TokenKind.MANY:
            items.append(Item(ItemKind.SIGN, "...", token.text, token.start, token.end))
        else:
            items.append(Item(ItemKind.SIGN, token.text, token.text, token.start, token.end))
    return items


def _read_word(token: Token, items: list[Item], after: Token | None) -> Item:
    """A keyword or a name. After a dot, and before one, everything is a name."""
    upper = token.text.upper()
    is_part = (items and items[-1].text == ".") or (after is not None and after.text == ".")
    if upper in KEYWORDS and not is_part:
        return Item(ItemKind.KEYWORD, upper, token.text, token.start, token.end)
    return Item(ItemKind.NAME, token.text.lower(), token.text, token.start, token.end)


def _quote(name: str) -> str:
    if _PLAIN_NAME.match(name) and name.upper() not in KEYWORDS:
        return name
    return '"' + name.replace('"', '""') + '"'


def _add_value(items: list[Item], tokens: list[Token], at: int) -> int:
    """Add the value before `at` with its sign, its type and its cast. Returns where to go on."""
    token = tokens[at - 1]
    start, is_hidden = token.start, token.kind is TokenKind.BIND
    if items and items[-1].text in ("-", "+") and (len(items) == 1 or _opens_operand(items[-2])):
        start = items.pop().start
    if items and token.text.endswith("'") and items[-1].text in _TYPED:
        start = items.pop().start
    end = token.end
    while at < len(tokens) and not is_hidden and tokens[at].text.startswith("'") and tokens[at - 1].text.endswith("'"):
        end = tokens[at].end
        at += 1
    while at + 1 < len(tokens) and tokens[at].text == "::":
        at = _end_of_type(tokens, at + 1)
        end = tokens[at - 1].end
    text = ONE
    if token.text == "1" and start == token.start and items and items[-1].text == "LIMIT":
        text = ONE if at < len(tokens) and tokens[at].text == "," else "1"
    items.append(Item(ItemKind.VALUE, text, token.text, start, end, is_hidden))
    return at


def _opens_operand(item: Item) -> bool:
    """Whether what follows begins an operand, so that a minus is a sign."""
    if item.kind is ItemKind.KEYWORD:
        return item.text not in _ENDS_OPERAND
    return item.kind is ItemKind.SIGN and item.text not in _ENDS_OPERAND


def _end_of_type(tokens: list[Token], at: int) -> int:
    """Return where the name of a type that begins at `at` ends: `timestamp(3) with time zone`, `public.kind[]`."""
    at += 1
    while at < len(tokens):
        text = tokens[at].text
        if text == "." or text.lower() in _TYPE_WORDS:
            at += 1 + (text == ".")
        elif text == "(" and at + 1 < len(tokens) and tokens[at + 1].kind is TokenKind.VALUE:
            while at < len(tokens) and tokens[at].text != ")":
                at += 1
            at += 1
        elif text == "[" and at + 1 < len(tokens) and tokens[at + 1].text == "]":
            at += 2
        else:
            break
    return min(at, len(tokens))


def _fold_lists(items: list[Item]) -> list[Item]:
    """Fold what follows IN, ANY and VALUES."""
    folded: list[Item] = []
    at, count = 0, len(items)
    while at < count:
        item = items[at]
        folded.append(item)
        at += 1
        if item.kind is not ItemKind.KEYWORD or at + 1 >= count or items[at].text != "(":
            continue
        if items[at + 1].kind is ItemKind.KEYWORD and items[at + 1].text not in _BEGINS_LIST:
            continue
        if item.text == "IN":
            at = _fold_in(folded, items, at)
        elif item.text in ("ANY", "SOME", "ALL"):
            at = _fold_array(folded, items, at)
        elif item.text == "VALUES":
            at = _fold_rows(folded, items, at)
    return folded


def _closing(items: list[Item], at: int) -> int:
    """Return the index of the parenthesis that closes the one at `at`; the number of items when none does."""
    depth = 0
    for index in range(at, len(items)):
        text = items[index].text
        depth += (text == "(") - (text == ")")
        if depth == 0:
            return index
    return len(items)


def _is_constant(item: Item) -> bool:
    return item.kind is ItemKind.VALUE or (item.kind is ItemKind.KEYWORD and item.text in _CONSTANTS)


def _add_list(folded: list[Item], items: list[Item], at: int, closing: int, text: str) -> None:
    """Put one value in the place of those between two parentheses."""
    inner = items[at + 1 : closing]
    is_hidden = any(item.is_hidden for item in inner)
    start, end = inner[0].start, inner[-1].end
    raw = inner[0].raw if len(inner) == 1 else ""
    folded += (
        items[at],
        Item(ItemKind.VALUE, text, raw, start, end, is_hidden),
        Item(ItemKind.SIGN, ")", ")", end, end),
    )


def _fold_in(folded: list[Item], items: list[Item], at: int) -> int:
    """Fold a list of values after IN. A list of columns, and a SELECT, stay."""
    closing = _closing(items, at)
    inner = items[at + 1 : closing]
    if not inner or not all(_is_constant(item) or item.text in (",", "(", ")", "...") for item in inner):
        return at
    depth = commas = 0
    for item in inner:
        depth += (item.text == "(") - (item.text == ")")
        commas += depth == 0 and item.text in (",", "...")
    _add_list(folded, items, at, closing, MANY if commas else ONE)
    return closing + 1


def _fold_array(folded: list[Item], items: list[Item], at: int) -> int:
    """Fold the values of `= ANY (ARRAY[1, 2])`."""
    closing = _closing(items, at)
    inner = items[at + 1 : closing]
    casts = [index for index, item in enumerate(inner) if item.text == "::"]
    values = inner[: casts[0]] if casts else inner
    if not values or not all(_is_constant(item) or item.text in ("ARRAY", "[", "]", ",", "...") for item in values):
        return at
    _add_list(folded, items, at, closing, MANY)
    return closing + 1


def _fold_rows(folded: list[Item], items: list[Item], at: int) -> int:
    """Fold the rows of VALUES into one; `VALUES (column)` of MySQL's ON DUPLICATE KEY UPDATE stays."""
    rows = 0
    while at < len(items) and items[at].text == "(":
        closing = _closing(items, at)
        inner = items[at + 1 : closing]
        has_more = closing + 2 < len(items) and items[closing + 1].text == "," and items[closing + 2].text == "("
        if not inner or not (rows or has_more or any(_is_constant(item) for item in inner)):
            return at
        if rows < 2:
            if rows:
                folded.append(Item(ItemKind.SIGN, ",", ",", items[at].start, items[at].start))
            _add_list(folded, items, at, closing, MANY)
        rows += 1
        at = closing + 1 + has_more
    return at


_NO_SPACE_BEFORE = frozenset({",", ")", ".", "::", "]", "[", ";"})
_NO_SPACE_AFTER = frozenset({"(", ".", "::", "["})


def format_statement(statement: Statement) -> str:
    """Write a statement with one space wherever there is any."""
    parts: list[str] = []
    before: Item | None = None
    for item in statement.items:
        if before is not None and _is_apart(before, item):
            parts.append(" ")
        parts.append(item.text)
        before = item
    return "".join(parts) + (" …" if statement.is_cut else "")


def _is_apart(before: Item, item: Item) -> bool:
    if item.text in _NO_SPACE_BEFORE or before.text in _NO_SPACE_AFTER:
        return False
    return not (item.text == "(" and before.kind is ItemKind.NAME)
