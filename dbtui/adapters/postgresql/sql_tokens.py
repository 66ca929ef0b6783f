"""The words, names and texts of one whole SQL statement, and names as they are quoted there."""

import re
from typing import NamedTuple

_NESTED = re.compile(rb"/\*|\*/")
_TOKEN = re.compile(
    rb"""(?P<space>\s++|--[^\n\r]*+)
    |(?P<comment>/\*)
    |(?P<dollar>\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*+)?\$)
    |(?P<escaped>[eE]'[^'\\]*+(?:(?:\\.|'')[^'\\]*+|(?!))*+')
    |(?P<string>'[^']*+(?:''[^']*+|(?!))*+')
    |(?P<name>"[^"]*+(?:""[^"]*+|(?!))*+")
    |(?P<word>[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*+)
    |(?P<number>[0-9]++(?:\.[0-9]*+|(?!))?+(?:[eE][+-]?[0-9]++|(?!))?+|\$[0-9]++)
    |(?P<sign>.)""",
    re.DOTALL | re.VERBOSE,
)


class Token(NamedTuple):
    """`kind` is "word", "name" (quoted), "string", "number" or "sign"; `text` is as written.

    `body` is what a string or a quoted name holds, or a word in lower case. `is_plain` is False for a string in which
    backslashes have a meaning.
    """

    kind: str
    text: bytes
    body: bytes
    is_plain: bool = True


def parse_tokens(text: bytes, limit: int = 0) -> list[Token]:
    """Return the tokens of a statement without its comments; `limit` (0: none) is how many are wanted."""
    tokens: list[Token] = []
    at = 0
    while (found := _TOKEN.match(text, at)) is not None and (not limit or len(tokens) < limit):
        kind, at = found.lastgroup or "", found.end()
        if kind == "space":
            continue
        if kind == "comment":
            at = _end_of_comment(text, at)
        elif kind == "dollar":
            end = text.find(found[0], at)
            end = len(text) if end < 0 else end
            tokens.append(Token("string", text[found.start() : end + len(found[0])], text[at:end]))
            at = end + len(found[0])
        else:
            tokens.append(_token(kind, found[0]))
    return tokens


def _token(kind: str, text: bytes) -> Token:
    if kind == "word":
        return Token("word", text, text.lower())
    if kind == "name":
        return Token("name", text, text[1:-1].replace(b'""', b'"'))
    if kind == "string":
        return Token("string", text, text[1:-1].replace(b"''", b"'"))
    if kind == "escaped":
        return Token("string", text, text[2:-1].replace(b"''", b"'"), b"\\" not in text)
    return Token(kind, text, text)


def _end_of_comment(text: bytes, at: int) -> int:
    depth = 1
    while depth and (mark := _NESTED.search(text, at)) is not None:
        depth, at = depth + (1 if mark[0] == b"/*" else -1), mark.end()
    return len(text) if depth else at


def head_words(text: bytes, count: int = 8) -> tuple[str, ...]:
    """Return the first words of a statement in capitals; a quoted name, text, number or sign ends them."""
    words: list[str] = []
    for token in parse_tokens(text, count):
        if token.kind != "word":
            break
        words.append(token.text.decode("ascii", "replace").upper())
    return tuple(words)


def qualified_name(tokens: list[Token], at: int) -> tuple[bytes, bytes, int]:
    """Return (schema, name, index after it) of the possibly qualified name at `tokens[at]`; empty if none is there."""
    if at >= len(tokens) or tokens[at].kind not in ("word", "name"):
        return b"", b"", at
    if at + 2 < len(tokens) and tokens[at + 1].text == b"." and tokens[at + 2].kind in ("word", "name"):
        return tokens[at].body, tokens[at + 2].body, at + 3
    return b"", tokens[at].body, at + 1


def after_words(tokens: list[Token], at: int, *words: bytes) -> int:
    """Return the index after `words` if they stand at `tokens[at]`, else `at`."""
    end = at + len(words)
    found = [token.body for token in tokens[at:end] if token.kind == "word"]
    return end if found == list(words) else at
