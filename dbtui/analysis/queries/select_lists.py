"""What a SELECT returns, as far as its text says: columns of tables, and expressions."""

import re
from typing import NamedTuple

_NAME = r'"(?:[^"]|"")+"|`(?:[^`]|``)+`|[A-Za-z_\u0080-\uffff][\w$]*'
_TOKEN = re.compile(rf"(?P<space>\s+|--[^\n]*|/\*.*?\*/)|(?P<text>'(?:[^'\\]|''|\\.)*')|(?P<name>{_NAME})|.", re.DOTALL)
_AFTER_SELECT = frozenset({"select", "all", "distinct", "sql_calc_found_rows", "straight_join"})
_MOST = 20_000


class SelectItem(NamedTuple):
    """One thing that is returned. `column` is "" for an expression and `*` for all; names are without quotes.

    `text` is as written, without its alias.
    """

    table: str
    column: str
    text: str
    is_quoted: bool = False  # both table and column


class _Word(NamedTuple):
    text: str
    is_name: bool


def parse_select_list(sql: str) -> tuple[SelectItem, ...]:
    """Return what a SELECT returns; empty when the text is none, or ends before its FROM."""
    items: list[list[_Word]] = [[]]
    depth, is_begun = 0, False
    for found in _TOKEN.finditer(sql[:_MOST]):
        text = found[0]
        if found.lastgroup == "space":
            continue
        if not is_begun:
            if text.lower() not in _AFTER_SELECT:
                if not items[0] and text != "(" and depth == 0:
                    return ()
            elif text.lower() == "select":
                is_begun = True
            continue
        depth += (text == "(") - (text == ")")
        if depth == 0 and text.lower() == "from":
            return tuple(_read_item(words) for words in items if words)
        if depth == 0 and text == ",":
            items.append([])
        elif items[-1] or text.lower() not in _AFTER_SELECT:
            items[-1].append(_Word(text, found.lastgroup == "name"))
    return ()


def _read_item(words: list[_Word]) -> SelectItem:
    words = _without_alias(words)
    text = "".join(
        (" " if at and word.is_name and words[at - 1].is_name else "") + word.text for at, word in enumerate(words)
    )
    names, dots = words[::2], words[1::2]
    is_column = len(words) % 2 == 1 and all(word.text == "." for word in dots)
    is_column = is_column and all(word.is_name for word in names[:-1]) and (names[-1].is_name or names[-1].text == "*")
    if not is_column:
        return SelectItem("", "", text)
    parts = [unquote(word.text) for word in names]
    quoted = len(names) > 1 and all(word.text[0] in '"`*' for word in names)
    return SelectItem(".".join(parts[:-1]), parts[-1], text, quoted)


def _without_alias(words: list[_Word]) -> list[_Word]:
    if len(words) > 2 and words[-1].is_name and words[-2].text.lower() == "as":
        return words[:-2]
    is_bare_alias = len(words) > 1 and words[-1].is_name and words[-2].text != "." and words[-2].text.lower() != "as"
    return words[:-1] if is_bare_alias and (words[-2].is_name or words[-2].text == ")") else words


def unquote(name: str) -> str:
    """Return a name without the quotes of PostgreSQL or MySQL."""
    if len(name) > 1 and name[0] == name[-1] and name[0] in '"`':
        return name[1:-1].replace(name[0] * 2, name[0])
    return name
