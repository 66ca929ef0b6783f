"""A statement's text as tokens: PostgreSQL's and MySQL's ways to quote, comment and bind, and texts that were cut.

Nothing is refused. What is opened and never closed ends the tokens, and the text counts as cut.
"""

import re
from enum import IntEnum
from typing import NamedTuple

from dbtui.model.connections import EngineName


class TokenKind(IntEnum):
    """What a token is."""

    WORD = 0  # a keyword or a name without quotes
    NAME = 1  # a name within quotes
    VALUE = 2  # a string or a number
    BIND = 3  # the place of a value: $1, ?, %s, %(x)s, :x, @x
    SIGN = 4  # an operator or punctuation
    MANY = 5  # the comment that a server writes for the rest of a list


class Token(NamedTuple):
    """`text` is as written; of a quoted name what is within the quotes. `start`, `end`: where in the statement."""

    kind: TokenKind
    text: str
    start: int
    end: int


class Tokens(NamedTuple):
    """The tokens of a statement. `is_cut`: something in it was opened and never closed."""

    items: list[Token]
    is_cut: bool


_PLAIN = r"'(?:[^']|'')*'"
_ESCAPED = r"'(?:[^'\\]|''|\\.)*'"
_BEFORE_COLON = r"(?<![:\w\]])"


def _compile(*, escapes: bool, is_double_text: bool, is_hash_comment: bool) -> re.Pattern[str]:
    """Build the pattern of one way to read. Its groups are named after what a token becomes."""
    string = _ESCAPED if escapes else _PLAIN
    double = r'"(?:[^"\\]|""|\\.)*"' if is_double_text else r'"(?:[^"]|"")*"'
    line = r"--(?=\s|$)[^\n]*|\#[^\n]*" if is_hash_comment else r"--[^\n]*"
    return re.compile(
        rf"""(?P<space>\s+|{line})
        |(?P<comment>/\*)
        |(?P<value>[eE]{_ESCAPED}|(?:[nNbBxX]|[uU]&|_[A-Za-z]\w*\s*)?{string}|(?P<dollar>\$(?:[^\W\d]\w*)?\$)
            {"|" + double if is_double_text else ""}
            |\d+(?:\.\d*)?(?:[eE][+-]?\d+)?\w*|\.\d+(?:[eE][+-]?\d+)?)
        |(?P<name>{"" if is_double_text else double + "|"}`(?:[^`]|``)*`|(?<![\w\])])\[[^\W\d][\w\ ]*\])
        |(?P<bind>\$\d+|%s\b|%\(\w+\)s|{_BEFORE_COLON}:[^\W\d]\w*|(?<!@)@[^\W\d]\w*)
        |(?P<word>@@[\w.$]+|[^\W\d][\w$]*)
        |(?P<cut>['"`])
        |(?P<sign>::|<=>|<>|!=|<=|>=|\|\||->>|->|\#>>|\#>|@>|<@|\?\||\?&|!~~?\*?|~~?\*?|\.\.\.|:=|=>|.)""",
        re.VERBOSE | re.DOTALL,
    )


_STANDARD = _compile(escapes=False, is_double_text=False, is_hash_comment=False)
_STANDARD_ESCAPES = _compile(escapes=True, is_double_text=False, is_hash_comment=True)
_MYSQL = _compile(escapes=True, is_double_text=True, is_hash_comment=True)
_REST_OF_LIST = re.compile(r"/\*\s*,\s*\.\.\.\s*\*/\s*\)")
_COMMENT_EDGE = re.compile(r"/\*|\*/")
_KINDS = {
    "value": TokenKind.VALUE,
    "dollar": TokenKind.VALUE,
    "name": TokenKind.NAME,
    "bind": TokenKind.BIND,
    "word": TokenKind.WORD,
    "sign": TokenKind.SIGN,
}
#: After one of these a quoted word may be a value; after anything else it is a name.
_BEFORE_VALUE = frozenset({"=", "<>", "!=", "<", ">", "<=", ">=", "<=>", "(", ",", "like", "in", "values", "limit"})
_BACKSLASH_QUOTE = re.compile(r"\\['\"]")


def read_tokens(sql: str, engine: EngineName | None = None) -> Tokens:
    """Return the tokens of a statement.

    Without an engine the text decides: back quotes are MySQL's. Else a backslash before a quote hides it as in MySQL,
    unless that leaves a string open; and what stands in quotes where only a value can stand is one.
    """
    if engine is EngineName.MYSQL or (engine is None and "`" in sql):
        return _read(_MYSQL, sql)
    read = _read(_STANDARD, sql)
    if engine is not None:
        return read
    if _BACKSLASH_QUOTE.search(sql) and not (tried := _read(_STANDARD_ESCAPES, sql)).is_cut:
        return tried
    if '"' in sql and _are_names_values(read.items):
        return _read(_MYSQL, sql)
    return read


def _read(pattern: re.Pattern[str], sql: str) -> Tokens:
    items: list[Token] = []
    at, end, word = 0, len(sql), TokenKind.WORD
    nests = True
    while at < end:
        for found in pattern.finditer(sql, at):
            group = found.lastgroup
            if group == "space":
                continue
            if group == "word":
                items.append(Token(word, found[0], found.start(), found.end()))
                continue
            if group == "comment":
                at = _end_of_nest(sql, found.start()) if nests else 0
                if at == 0:
                    nests = False
                    at = sql.find("*/", found.start() + 2) + 2
                if at == 1:
                    return Tokens(items, True)
                if _REST_OF_LIST.match(sql, found.start()):
                    items.append(Token(TokenKind.MANY, ", ...", found.start(), at))
                break
            if group == "value" and found["dollar"] is not None:
                closing = sql.find(found["dollar"], found.end())
                if closing < 0:
                    return Tokens(items, True)
                at = closing + len(found["dollar"])
                items.append(Token(TokenKind.VALUE, sql[found.start() : at], found.start(), at))
                break
            if group == "cut":
                return Tokens(items, True)
            text = found[0]
            if group == "name":
                text = text[1:-1].replace(text[0] * 2, text[0]) if text[0] != "[" else text[1:-1]
            elif text == "?":
                group = "bind"
            items.append(Token(_KINDS[group or "sign"], text, found.start(), found.end()))
        else:
            break
    return Tokens(items, False)


def _end_of_nest(sql: str, start: int) -> int:
    """Return where a comment that may hold others ends; 0 when it does not. MySQL's hold none: the first end is it."""
    depth = 0
    for edge in _COMMENT_EDGE.finditer(sql, start):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return 0


def _are_names_values(items: list[Token]) -> bool:
    """Whether every quoted word of a text stands where a value stands: MySQL's "text"."""
    found = False
    for at, token in enumerate(items):
        if token.kind is not TokenKind.NAME:
            continue
        before = items[at - 1].text.lower() if at else ""
        after = items[at + 1].text if at + 1 < len(items) else ""
        if before not in _BEFORE_VALUE or after in (".", "("):
            return False
        if before in ("(", ",") and not _is_in_value_list(items, at):
            return False
        found = True
    return found


def _is_in_value_list(items: list[Token], at: int) -> bool:
    """Whether the parenthesis around a token follows IN or VALUES."""
    while at and items[at].text != "(":
        at -= 1
    return at > 0 and items[at - 1].text.lower() in ("in", "values")
