"""Taking a definition apart into tokens, the way SQLite does it (https://sqlite.org/src/file/src/tokenize.c).

Enough to tell names from strings and comments; it does not parse.
"""

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum


class TokenKind(Enum):
    """What a token is. A NAME may be a keyword; a QUOTED name never is."""

    NAME = "name"
    QUOTED = "quoted"
    STRING = "string"
    NUMBER = "number"
    MARK = "mark"


@dataclass(frozen=True, slots=True)
class Token:
    """A token; `text` is a name without its quotes."""

    kind: TokenKind
    text: str

    def is_word(self, word: str) -> bool:
        """Whether it is this keyword."""
        return self.kind is TokenKind.NAME and self.text.upper() == word

    @property
    def is_name(self) -> bool:
        """Whether it can stand for a table, column or function."""
        return self.kind in (TokenKind.NAME, TokenKind.QUOTED)


_TOKEN = re.compile(
    r"""(?P<space>[ \t\n\f\r]+|--[^\n]*|/\*.*?(?:\*/|\Z))
      | (?P<string>[xX]?'(?:[^']|'')*(?:'|\Z))
      | (?P<quoted>"(?:[^"]|"")*(?:"|\Z)|`(?:[^`]|``)*(?:`|\Z)|\[[^\]]*(?:\]|\Z))
      | (?P<number>[0-9][0-9A-Za-z_.]*)
      | (?P<name>(?:[A-Za-z_$]|[^\x00-\x7f])(?:[A-Za-z0-9_$]|[^\x00-\x7f])*)
      | (?P<mark>.)""",
    re.DOTALL | re.VERBOSE,
)


def tokenise(text: str) -> Iterator[Token]:
    """Yield the tokens of a definition, without spaces and comments."""
    for found in _TOKEN.finditer(text):
        kind = found.lastgroup
        if kind == "quoted":
            yield Token(TokenKind.QUOTED, _unquote(found[0]))
        elif kind is not None and kind != "space":
            yield Token(TokenKind(kind), found[0])


def _unquote(text: str) -> str:
    quote = text[0]
    if quote == "[":
        return text[1:].removesuffix("]")
    inner = text[1:-1] if len(text) > 1 and text.endswith(quote) else text[1:]
    return inner.replace(quote * 2, quote)


def module_of(definition: str) -> str:
    """Return the module of a CREATE VIRTUAL TABLE, in small letters; empty for everything else."""
    tokens = list(tokenise(definition))
    if len(tokens) < 3 or not tokens[1].is_word("VIRTUAL"):
        return ""
    for token, following in itertools.pairwise(tokens[3:]):
        if token.is_word("USING"):
            return following.text.lower()
    return ""
