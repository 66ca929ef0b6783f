"""One statement as words: read as a server of a given version would read it.

The server runs what stands in `/*!50001 ... */` from that version on (manual, "Comments"; MariaDB leaves out 50700 to
99999 and has `/*M! ... */` of its own). A text is therefore judged once for every server that reads it differently.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from dbtui.errors import DamagedBackupError


@dataclass(frozen=True, slots=True)
class LexicalModes:
    """The two sql_modes that change where a quoted text ends."""

    ansi_quotes: bool = False
    no_backslash: bool = False

    @property
    def are_usual(self) -> bool:
        """Whether texts are quoted as every dump writes its rows."""
        return not (self.ansi_quotes or self.no_backslash)


USUAL_MODES = LexicalModes()
_ANSI_MODES = {"ANSI_QUOTES", "ANSI", "ORACLE", "MSSQL", "DB2", "POSTGRESQL", "MAXDB"}


def parse_modes(sql_mode: str) -> LexicalModes:
    """Return what a value of sql_mode does to quoting."""
    words = {word.strip().upper() for word in sql_mode.split(",")}
    return LexicalModes(bool(words & _ANSI_MODES), "NO_BACKSLASH_ESCAPES" in words)


class Token(NamedTuple):
    """A word of a statement. `kind` is word, name, string, number, variable or sign; start and end are bytes."""

    kind: str
    text: str
    start: int
    end: int

    def is_word(self, *words: str) -> bool:
        """Whether this is one of some unquoted words, written in capitals here."""
        return self.kind == "word" and self.text.upper() in words

    def is_sign(self, sign: str) -> bool:
        """Whether this is a punctuation mark."""
        return self.kind == "sign" and self.text == sign


class Reader(NamedTuple):
    """A server that might read a text: what it is and its version as in versioned comments (100616, 80040)."""

    is_mariadb: bool
    version: int

    def runs(self, is_mariadb_comment: bool, version: int) -> bool:
        """Whether this server runs what stands in a versioned comment."""
        if version > self.version:
            return False
        if self.is_mariadb:
            return is_mariadb_comment or not 50700 <= version <= 99999
        return not is_mariadb_comment


#: The oldest servers that are considered: whatever is younger is derived from the versions that a text names.
_OLDEST = (Reader(False, 50700), Reader(True, 100200))
_VERSION = rb"/\*(M?)!(\d{5,6})?"


def readers_of(text: bytes) -> tuple[Reader, ...]:
    """Return servers of which every other one reads `text` as one of them does."""
    versions = {int(found[2]) for found in re.finditer(_VERSION, text) if found[2]}
    readers = {*_OLDEST}
    for version in versions:
        readers |= {Reader(False, max(version, 50700)), Reader(True, max(version, 100200))}
    return tuple(sorted(readers)) if b"/*" in text else (_OLDEST[0],)


def reads_all(_is_mariadb_comment: bool, _version: int) -> bool:
    """A reader that runs every versioned comment."""
    return True


@cache
def _pattern(modes: LexicalModes) -> re.Pattern[bytes]:
    plain, pair = (rb"", rb"") if modes.no_backslash else (rb"\\", rb"|\\.")

    def inner(mark: bytes) -> bytes:
        return rb"(?:[^" + mark + plain + rb"]++" + pair + rb"|" + mark * 2 + rb"|(?!))*+"

    single = rb"'" + inner(b"'") + rb"'"
    double = rb'"' + inner(b'"') + rb'"'
    quoted_name = rb"`(?:[^`]++|``|(?!))*+`"
    ansi_name = rb'"(?:[^"]++|""|(?!))*+"'
    strings = single if modes.ansi_quotes else single + rb"|" + double
    names = quoted_name + (rb"|" + ansi_name if modes.ansi_quotes else rb"")
    word = rb"[A-Za-z0-9_$\x80-\xff]++"
    return re.compile(
        rb"(?s:(?P<space>[\x00-\x20]++|#[^\n]*+|--(?=[\x00-\x20]|\Z)[^\n]*+)"
        rb"|(?P<version>/\*M?!(?:\d{5,6})?)|(?P<comment>/\*(?!\+).*?\*/)|(?P<close>\*/)"
        rb"|(?P<string>(?:[bBxXnN](?='))?(?:" + strings + rb"))|(?P<name>" + names + rb")"
        rb"|(?P<variable>@@?(?:" + names + rb"|" + strings + rb"|[A-Za-z0-9_.$\x80-\xff]++))"
        rb"|(?P<number>(?:0[xb][0-9A-Fa-f]++|\d++(?:\.\d*+)?(?:[eE][-+]?\d++)?|\.\d++)(?![A-Za-z0-9_$\x80-\xff]))"
        rb"|(?P<word>" + word + rb")|(?P<sign>.))"
    )  # fmt: skip


class UnreadableError(DamagedBackupError):
    """A text that no server would read as a statement."""


def tokens(
    text: bytes, modes: LexicalModes = USUAL_MODES, runs: Callable[[bool, int], bool] = reads_all
) -> Iterator[Token]:
    """Yield the words of a statement as the server that `runs` describes reads them. Raises UnreadableError."""
    pattern, position, is_open = _pattern(modes), 0, False
    while position < len(text):
        found = pattern.match(text, position)
        if found is None:
            raise UnreadableError("a text cannot be read")
        kind, start, position = str(found.lastgroup), position, found.end()
        if kind == "version":
            if is_open:
                raise UnreadableError("a versioned comment stands inside another one")
            version = re.match(_VERSION, found[0])
            is_mariadb, number = (bool(version[1]), int(version[2] or 0)) if version else (False, 0)
            if runs(is_mariadb, number):
                is_open = True
            else:
                position = _skip_comment(text, start)
        elif kind == "close" and is_open:
            is_open = False
        elif kind == "close":
            raise UnreadableError("a comment ends that did not begin")
        elif kind not in ("space", "comment"):
            yield Token(kind, _text_of(kind, found[0], modes), start, position)
    if is_open:
        raise UnreadableError("a versioned comment does not end")


def _skip_comment(text: bytes, start: int) -> int:
    """Where a versioned comment ends that is not run: the server looks for marks alone, and knows one level inside."""
    depth, position = 1, start + 2
    while depth:
        found = re.compile(rb"/\*|\*/").search(text, position)
        if found is None:
            raise UnreadableError("a versioned comment does not end")
        depth += 1 if found[0] == b"/*" and depth == 1 else -1 if found[0] == b"*/" else 0
        position = found.end()
    return position


_ESCAPES = {"0": "\0", "b": "\b", "n": "\n", "r": "\r", "t": "\t", "Z": "\x1a"}


def unquote(quoted: bytes, modes: LexicalModes = USUAL_MODES) -> str:
    """Return the text inside quotation marks of any kind."""
    mark = quoted[:1].decode()
    inner = quoted[1:-1].decode("utf-8", "surrogateescape")
    if mark == "`" or modes.no_backslash or (mark == '"' and modes.ansi_quotes):
        return inner.replace(mark * 2, mark)
    if "\\" not in inner and mark not in inner:
        return inner
    pattern = r"\\(.)|" + mark * 2
    return re.sub(pattern, lambda found: _ESCAPES.get(found[1], found[1]) if found[1] else mark, inner, flags=re.DOTALL)


def _text_of(kind: str, raw: bytes, modes: LexicalModes) -> str:
    if kind == "name" or (kind == "string" and raw[:1] in b"'\""):
        return unquote(raw, modes)
    if kind == "variable":
        marks = "@@" if raw.startswith(b"@@") else "@"
        rest = raw[len(marks) :]
        return marks + (unquote(rest, modes) if rest[:1] in b"`'\"" else rest.decode("utf-8", "surrogateescape"))
    return raw.decode("utf-8", "surrogateescape")
