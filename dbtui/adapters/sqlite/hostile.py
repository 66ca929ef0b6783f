"""What a definition in a database must not hold: SQLite keeps definitions as text and runs them when they are used.

Nothing here runs anything; the text is taken apart. A file like this would be harmless while dbtui has it open (see
`connect.open_untrusted`), and not once an application opens what was restored from it.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

from dbtui.adapters.sqlite.sql_tokens import Token, TokenKind, tokenise
from dbtui.model.text import format_untrusted

#: Functions of SQLite's own library and shell that load code, read or write files, or run SQL held in text.
FORBIDDEN_FUNCTIONS = frozenset(
    ("load_extension", "fts3_tokenizer", "readfile", "writefile", "edit", "eval", "fsdir")
)  # fmt: skip
_NAMES_FOLLOW = frozenset(("TABLE", "EXISTS", "INTO", "REFERENCES", "ON", "UPDATE", "VIEW", "TRIGGER", "INDEX"))
_STARTS = {
    "table": (("CREATE", "TABLE"), ("CREATE", "VIRTUAL", "TABLE")),
    "index": (("CREATE", "INDEX"), ("CREATE", "UNIQUE", "INDEX")),
    "view": (("CREATE", "VIEW"),),
    "trigger": (("CREATE", "TRIGGER"),),
}
_SHOWN = 60


def find_hostile(definitions: Iterable[tuple[str, str, str | None]]) -> Iterator[str]:
    """Yield a sentence for everything in (kind, name, definition) that no honest database holds."""
    for kind, name, definition in definitions:
        shown = f"{format_untrusted(kind, 20)} {format_untrusted(name, _SHOWN)}"
        if kind not in _STARTS:
            yield f"{shown} is of a kind that SQLite does not know"
        elif definition is None:
            if kind != "index" or not name.startswith("sqlite_autoindex_"):
                yield f"{shown} has no definition"
        else:
            yield from _judge(kind, shown, list(tokenise(definition)))


def _judge(kind: str, shown: str, tokens: Sequence[Token]) -> Iterator[str]:
    if not any(_begins_with(tokens, words) for words in _STARTS[kind]):
        yield f"{shown} is not what its definition makes"
    if kind != "trigger" and any(token == Token(TokenKind.MARK, ";") for token in tokens[:-1]):
        yield f"{shown} has more than one statement in its definition"
    called = sorted(set(_calls(tokens)) & FORBIDDEN_FUNCTIONS)
    if called:
        yield f"{shown} calls {', '.join(called)}, which reaches outside the database"


def _begins_with(tokens: Sequence[Token], words: tuple[str, ...]) -> bool:
    return len(tokens) > len(words) and all(
        token.is_word(word) for token, word in zip(tokens, words, strict=False)
    )  # fmt: skip


def _calls(tokens: Sequence[Token]) -> Iterator[str]:
    """Yield, in small letters, every name that is followed by an opening bracket and does not name a table there."""
    before: Token | None = None
    for token, following in itertools.pairwise(tokens):
        if following == Token(TokenKind.MARK, "(") and token.is_name and not _announces_a_name(before):
            yield token.text.lower()
        before = token


def _announces_a_name(token: Token | None) -> bool:
    return token is not None and token.kind is TokenKind.NAME and token.text.upper() in _NAMES_FOLLOW
