"""Cuts a plain SQL dump into statements and blocks of COPY data, in one pass and in bounded memory.

The cuts are where the server's own lexer would make them (quotes, dollar quotes, nested comments, `BEGIN ATOMIC`
bodies, parentheses of a rule's actions). Where the two could disagree the lexer cuts more often or refuses, never less
often: whoever judges statements one by one must not be handed two for one. Rows of COPY data are never looked at one
by one.

Source of the rules: PostgreSQL manual, "Lexical Structure" and "COPY, File Formats".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from dbtui.errors import DamagedBackupError

CHUNK_BYTES = 1 << 20
#: A single statement may not be longer than this; only one row of an INSERT dump could honestly be.
LONGEST_STATEMENT_BYTES = 256 << 20
_LONGEST_TOKEN_HEAD = 64

_WORD = rb"[A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*+"
_NUMBER = rb"[0-9]++(?:\.[0-9]*+|(?!))?+(?:[eE][+-]?[0-9]++|(?!))?+(?![A-Za-z0-9_$\x80-\xff])"
_PARAMETER = rb"\$[0-9]++(?![A-Za-z0-9_$\x80-\xff])"
_STRING = rb"'[^']*+(?:''[^']*+|(?!))*+'"
_ESCAPE_STRING = rb"'[^'\\]*+(?:(?:\\.|'')[^'\\]*+|(?!))*+'"
_IDENTIFIER = rb'"[^"]*+(?:""[^"]*+|(?!))*+"'
_SIGNS = rb"[^A-Za-z0-9_\x80-\xff'\"$;()\\/-]++|-(?!-)|/(?!\*)"


def _run(*alternatives: bytes) -> re.Pattern[bytes]:
    return re.compile(b"(?:" + b"|".join(alternatives) + b"|(?!))*+", re.DOTALL)


_PLAIN_WORD = rb"(?![eE]')" + _WORD
_RUN = _run(_PLAIN_WORD, _SIGNS, _NUMBER, _STRING, _IDENTIFIER, _PARAMETER, rb"[()]")
_RUN_WITH_ESCAPES = _run(_PLAIN_WORD, _SIGNS, _NUMBER, _IDENTIFIER, _PARAMETER, rb"[()]")
_RUN_TO_PARENTHESIS = _run(_PLAIN_WORD, _SIGNS, _NUMBER, _IDENTIFIER, _PARAMETER)
_RUN_TO_WORD = _run(_SIGNS, _NUMBER, _IDENTIFIER, _PARAMETER)
_WHOLE_WORD = re.compile(_WORD)
_STANDARD_STRING = re.compile(_STRING)
_ESCAPED_STRING = re.compile(rb"[eE]" + _ESCAPE_STRING, re.DOTALL)
_CONTINUATION = re.compile(rb"(?:\s|--[^\n\r]*[\n\r])*'")
_DOLLAR = re.compile(rb"\$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*+)?\$")
_LINE_COMMENT = re.compile(rb"--[^\n\r]*+")
_BLOCK_MARK = re.compile(rb"/\*|\*/")
_SPACE = re.compile(rb"[ \t\n\r\f\v]*+")
_LINE = re.compile(rb"[^\n\r]*+")
_RULE = re.compile(rb"CREATE\s+(?:OR\s+REPLACE\s+)?RULE\b", re.IGNORECASE)
_ROUTINE = re.compile(rb"CREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE)\b", re.IGNORECASE)
_NAME = rb"(?:" + _WORD + rb"|" + _IDENTIFIER + rb")"
COPY_FROM_STDIN = re.compile(
    rb"COPY\s+(?P<table>" + _NAME + rb"(?:\." + _NAME + rb")?)\s*"
    rb"(?:\((?P<columns>\s*" + _NAME + rb"(?:\s*,\s*" + _NAME + rb"|(?!))*+\s*)\))?\s*FROM\s+stdin\s*",
    re.IGNORECASE,
)
_STANDARD_STRINGS_OFF = re.compile(rb"SET\s+standard_conforming_strings\s*(?:=|TO)\s*'?(off|on)'?\s*", re.IGNORECASE)
_REST_OF_LINE = re.compile(rb"[ \t\r]*+\n")


@dataclass(slots=True)
class Statement:
    """One statement without its semicolon, or one psql command (`is_command`, a whole line).

    `line` counts from 1, `offset` and `data_offset` (the first byte of COPY data) are bytes of the uncompressed dump.
    `comments` are the comments before it, at most 64 KiB of them.
    """

    text: bytes
    line: int
    offset: int
    comments: bytes = b""
    is_command: bool = False
    has_data: bool = False
    data_offset: int = 0


class Reader(Protocol):
    """What a lexer reads from."""

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at least one unless the stream has ended."""
        ...


class Lexer:
    """Iterate over it for the statements of `stream`; `name` is what errors call the file.

    After a statement with `has_data`, `copy_chunks` gives its data; data not asked for is passed over. Without
    `counts_rows` lines are not counted in data, which is twice as fast, and the lines told after them are wrong.
    `trailing_comments` and `finished` are filled when the iteration ends. Raises DamagedBackupError.
    """

    def __init__(self, stream: Reader, name: str, *, counts_rows: bool = True) -> None:
        self._stream = stream
        self._counts_rows = counts_rows
        self._end_mark = b"\\.\n"
        self._name = name
        self._buffer = bytearray()
        self._at = 0
        self._base = 0  # offset and line of the buffer's first byte
        self._line = 1
        self._ended = False
        self._escapes = False
        self._data_pending = False
        self.data_bytes = 0  # of the COPY block read last
        self.data_lines = 0
        self.trailing_comments = b""
        self.finished = False

    @property
    def offset(self) -> int:
        """Bytes of the uncompressed dump that were read."""
        return self._base + len(self._buffer)

    # ------------------------------------------------------------ statements

    def __iter__(self) -> Iterator[Statement]:
        while True:
            if self._data_pending:
                for _ in self.copy_chunks():
                    pass
            comments = self._skip_blanks()
            if self._at >= len(self._buffer):
                self.trailing_comments, self.finished = comments, True
                return
            yield self._statement(comments)

    def _statement(self, comments: bytes) -> Statement:
        self._discard()
        line, offset = self._line, self._base
        if self._buffer[0] == 0x5C:
            self._at = self._match(_LINE).end()
            return Statement(bytes(self._buffer[: self._at]).rstrip(), line, offset, comments, is_command=True)
        self._find_semicolon()
        text = bytes(self._buffer[: self._at])
        self._at += 1
        if 0 in text:
            raise DamagedBackupError(f"{self._name}:{line}: the statement that begins here holds a zero byte")
        statement = Statement(text.rstrip(), line, offset, comments)
        if setting := _STANDARD_STRINGS_OFF.fullmatch(text):
            self._escapes = setting[1].lower() == b"off"
        elif text[:4].upper() == b"COPY" and COPY_FROM_STDIN.fullmatch(text):
            self._begin_data(statement)
        return statement

    def _begin_data(self, statement: Statement) -> None:
        rest = _REST_OF_LINE.match(self._filled(2), self._at)
        if rest is None:
            raise self._damage(statement.line, "COPY is not followed by its data on the next line")
        self._end_mark = b"\\.\r\n" if b"\r" in rest[0] else b"\\.\n"
        self._at = rest.end()
        self._discard()
        statement.has_data, statement.data_offset = True, self._base
        self._data_pending, self.data_bytes, self.data_lines = True, 0, 0

    def _find_semicolon(self) -> None:
        head = self._filled(256)
        if _RULE.match(head):
            self._find_semicolon_of_rule()
        elif _ROUTINE.match(head):
            self._find_semicolon_of_routine()
        else:
            run = _RUN_WITH_ESCAPES if self._escapes else _RUN
            while not self._ends_after_run(run):
                self._skip_special()

    def _find_semicolon_of_rule(self) -> None:
        depth = 0
        while not self._ends_after_run(_RUN_TO_PARENTHESIS) or depth:
            sign = self._buffer[self._at]
            if sign == 0x3B:
                self._at += 1
            else:
                depth = max(0, depth + self._parenthesis(sign))

    def _find_semicolon_of_routine(self) -> None:
        """Semicolons between `BEGIN ATOMIC` and its `END` belong to the statement.

        No CASE can hold a semicolon, so every semicolon there closes whatever seemed to be an open CASE: a column that
        is merely named "case" cannot hide the end of the body.
        """
        parentheses, blocks, previous = 0, 0, b""
        while not self._ends_after_run(_RUN_TO_WORD) or blocks:
            sign = self._buffer[self._at]
            if sign == 0x3B:
                blocks, previous = 1, b""
                self._at += 1
                continue
            word = self._word(sign)
            if not word:
                parentheses = max(0, parentheses + self._parenthesis(sign))
                previous = b""
            elif parentheses == 0:
                blocks += _block_change(word, previous, blocks)
                previous = word

    def _word(self, sign: int) -> bytes:
        """Pass over a word and return it in upper case; empty if there is none here, or only the E of a string."""
        found = _WHOLE_WORD.match(self._buffer, self._at)
        if found is None or (sign in b"eE" and self._buffer[self._at + 1 : self._at + 2] == b"'"):
            return b""
        if found.end() == len(self._buffer) and self._read_more():
            return self._word(sign)
        self._at = found.end()
        return found[0].upper()

    def _parenthesis(self, sign: int) -> int:
        if sign not in b"()":
            self._skip_special()
            return 0
        self._at += 1
        return 1 if sign == 0x28 else -1

    def _ends_after_run(self, run: re.Pattern[bytes]) -> bool:
        """Pass over everything harmless; whether a semicolon follows. Raises at the end of the file."""
        while True:
            found = run.match(self._buffer, self._at)
            end = self._at if found is None else found.end()
            if (len(self._buffer) - end < _LONGEST_TOKEN_HEAD) and self._read_more():
                continue
            self._at = end
            if end == len(self._buffer):
                raise self._damage(self._line, "the statement that begins here does not end: the file was cut off")
            return self._buffer[end] == 0x3B

    def _skip_special(self) -> None:
        """Pass over a quote, a comment or a sign that a run stops at; refuse what pg_dump never writes."""
        sign = self._buffer[self._at]
        if sign == 0x24:
            self._skip_dollar()
        elif sign in b"'eE":
            self._skip_string(_STANDARD_STRING if sign == 0x27 else _ESCAPED_STRING)
        elif sign == 0x22:
            self._refill("the quoted name that begins here does not end")
        elif sign in b"-/":
            self._skip_comment()
        elif sign == 0x5C:
            raise self._damage(self._here, "a backslash stands in the middle of a statement, as a psql command would")
        elif sign in b"0123456789":
            raise self._damage(self._here, "a number is joined to a word, which pg_dump never writes")
        else:
            self._at += 1

    def _skip_string(self, pattern: re.Pattern[bytes]) -> None:
        while (found := pattern.match(self._buffer, self._at)) is None or found.end() == len(self._buffer):
            self._refill("the quoted text that begins here does not end")
        if self._escapes and pattern is _STANDARD_STRING and b"\\" in found[0]:
            raise self._damage(self._here, "a backslash stands in a text without E, which pg_dump never writes")
        self._at = found.end()
        if pattern is _ESCAPED_STRING and _CONTINUATION.match(self._filled(4096), self._at):
            raise self._damage(self._here, "a quoted text is continued by another one, which pg_dump never writes")

    def _skip_dollar(self) -> None:
        tag = _DOLLAR.match(self._buffer, self._at)
        if tag is None:
            if self._buffer[self._at + 1 : self._at + 2].isdigit():
                raise self._damage(self._here, "a parameter is joined to a word, which pg_dump never writes")
            self._at += 1
            return
        mark, start = tag[0], tag.end()
        while (end := self._buffer.find(mark, start)) < 0:
            start = max(tag.end(), len(self._buffer) - len(mark))
            self._refill("the dollar-quoted text that begins here does not end")
        self._at = end + len(mark)

    def _skip_comment(self) -> None:
        if self._buffer[self._at] == 0x2D:
            while (found := self._match(_LINE_COMMENT)).end() == len(self._buffer) and self._read_more():
                pass
            self._at = found.end()
            return
        depth, at = 1, self._at + 2
        while depth:
            mark = _BLOCK_MARK.search(self._buffer, at)
            if mark is None:
                at = max(at, len(self._buffer) - 1)
                self._refill("the comment that begins here does not end")
            else:
                depth, at = depth + (1 if mark[0] == b"/*" else -1), mark.end()
        self._at = at

    def _skip_blanks(self) -> bytes:
        """Pass over white space and comments before a statement; return the comments."""
        comments = bytearray()
        while True:
            self._at = self._match(_SPACE).end()
            if len(self._buffer) - self._at < 2 and self._read_more():
                continue
            start = self._at
            if bytes(self._buffer[start : start + 2]) not in (b"--", b"/*"):
                return bytes(comments)
            self._skip_comment()
            if len(comments) < 65536:
                comments += self._buffer[start : min(self._at, start + 65536)] + b"\n"
            if self._at > CHUNK_BYTES:
                self._discard()

    # ------------------------------------------------------------ COPY data

    def copy_chunks(self) -> Iterator[bytes]:
        """Yield the data of the COPY block that comes next, as it lies in the file, up to its `\\.` line.

        Raises DamagedBackupError when the block does not end.
        """
        first_line = self._line
        mark = self._end_mark
        window = self._at_least(bytes(self._buffer), len(mark))
        self._buffer.clear()
        end = 0 if window.startswith(mark) else window.find(b"\n" + mark) + 1 or -1
        while end < 0:
            held = next((size for size in range(len(mark), 0, -1) if window.endswith((b"\n" + mark)[:size])), 0)
            ready = window[: len(window) - held] if held else window
            if ready:
                yield self._passed(ready)
            chunk = self._read(CHUNK_BYTES)
            if not chunk:
                raise self._damage(first_line, "the COPY data that begins here does not end: the file was cut off")
            window = window[len(window) - held :] + chunk if held else chunk
            end = window.find(b"\n" + mark) + 1 or -1
        if end:
            yield self._passed(window[:end])
        after = end + len(mark)
        self._base, self._line = self._base + after - end, self._line + 1
        self._buffer += window[after:]
        self._at, self._data_pending = 0, False

    def _passed(self, data: bytes) -> bytes:
        lines = data.count(b"\n") if self._counts_rows else 0
        self.data_bytes += len(data)
        self.data_lines += lines
        self._base += len(data)
        self._line += lines
        return data

    def _at_least(self, window: bytes, count: int) -> bytes:
        while len(window) < count and (chunk := self._read(CHUNK_BYTES)):
            window += chunk
        return window

    # ------------------------------------------------------------ the buffer

    @property
    def _here(self) -> int:
        return self._line + self._buffer.count(b"\n", 0, self._at)

    def _damage(self, line: int, what: str) -> DamagedBackupError:
        return DamagedBackupError(f"{self._name}:{line}: {what}")

    def _discard(self) -> None:
        """Forget what was passed."""
        self._line += self._buffer.count(b"\n", 0, self._at)
        self._base += self._at
        del self._buffer[: self._at]
        self._at = 0

    def _read(self, count: int) -> bytes:
        chunk = self._stream.read(count)
        if b"\0" in chunk:  # PostgreSQL has no such character
            raise self._damage(self._here, "after this a hole of zero bytes begins: the disk or a copy lost a part")
        return chunk

    def _read_more(self) -> bool:
        """Append to the buffer, twice as much each time, so that long tokens are looked at a few times only."""
        if self._ended:
            return False
        if len(self._buffer) > LONGEST_STATEMENT_BYTES:
            raise self._damage(self._line, f"a statement is longer than {LONGEST_STATEMENT_BYTES >> 20} MiB")
        chunk = self._read(max(CHUNK_BYTES, len(self._buffer)))
        self._ended = not chunk
        self._buffer += chunk
        return bool(chunk)

    def _refill(self, otherwise: str) -> None:
        if not self._read_more():
            raise self._damage(self._here, f"{otherwise}: the file was cut off")

    def _filled(self, count: int) -> bytearray:
        """Return the buffer with at least `count` bytes after the present place, if there are as many."""
        while len(self._buffer) - self._at < count and self._read_more():
            pass
        return self._buffer

    def _match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes]:
        """Match a pattern that also matches nothing, reading on while it reaches the buffer's end."""
        while True:
            found = pattern.match(self._buffer, self._at)
            if found is None:
                raise self._damage(self._here, "the file cannot be read from here on")
            if found.end() < len(self._buffer) or not self._read_more():
                return found


def _block_change(word: bytes, previous: bytes, blocks: int) -> int:
    if word == b"ATOMIC" and previous == b"BEGIN":
        return 1
    if blocks and word == b"CASE":
        return 1
    return -1 if blocks and word == b"END" else 0
