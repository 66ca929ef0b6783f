"""A dump cut into statements while it streams by, as the mysql client would cut it, but without the client's commands.

Statements are sent to the server one by one, so nothing but DELIMITER has a meaning outside them. INSERTs of literals,
which are nearly all of a dump, are recognised whole by one regular expression and marked as such.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from dbtui.adapters.mysql.rows import INSERT, INSERT_HEAD, parse_name
from dbtui.adapters.mysql.tokens import USUAL_MODES, LexicalModes, Token, UnreadableError, parse_modes, tokens

#: Exactly this, as the first line, is what MariaDB's tool writes to keep old clients from going on.
SANDBOX_LINE = re.compile(rb"\A/\*M?!999999\\- enable the sandbox mode \*/ *\r?\n")
_DELIMITER = re.compile(rb"(?i:delimiter)[ \t]++([^\s]++)[^\n]*+\n")
_DELIMITERS = re.compile(rb"[;$|@~^&%!/]{1,4}\Z")
_BLANK = re.compile(
    rb"(?s:(?:[\x00-\x20]++|(?:\#|--(?=[\x00-\x20]))[^\n]*+\n|/\*(?![!+]|M!)(?:[^*]++|\*(?!/)|(?!))*+\*/|(?!))*+)",
    re.VERBOSE,
)
#: What may still become a comment or a DELIMITER line when more of the file is there.
_BEGINNINGS = b"|".join(b"delimiter"[:length] for length in range(9, 0, -1))
_UNSURE = re.compile(
    rb"(?s:(?:-|--|\#[^\n]*+|--[\x00-\x20][^\n]*+|/|/\*|/\*M|/\*(?![!+]|M!)(?:[^*]++|\*(?!/)|(?!))*+"
    rb"|(?i:" + _BEGINNINGS + rb")|(?i:delimiter)[ \t][^\n]*+)\Z)"
)
_END_OF_LINE = re.compile(rb";\n")
_INSERT_START = re.compile(rb"(?i:INSERT|REPLACE)\s")
_SET_START = re.compile(rb"(?:/\*M?!\d*\s*)?(?i:SET)\b")
_LONGEST = 1 << 31
_LONGEST_DELIMITER_LINE = 1 << 16
#: How much of an INSERT is awaited, hoping to recognise it whole, before it is read bit by bit.
_PATIENCE_BYTES = 64 << 20


@dataclass(slots=True)
class Statement:
    """One statement without its delimiter. `line` is where it begins; `raw_end` the bytes of the file up to its end.

    `insert` is set for an INSERT: the table, where its rows begin, and whether it is known to hold literals alone.
    """

    text: bytes
    line: int
    raw_end: int
    insert: "InsertHead | None" = None
    is_ended: bool = True
    modes: LexicalModes = USUAL_MODES  # in which it was read
    lines: int = 0  # line breaks in it


@dataclass(slots=True)
class InsertHead:
    """The beginning of an INSERT: its table, and the offset of its rows in the text."""

    table: str
    is_qualified: bool
    columns: bytes | None
    rows_start: int
    is_literal: bool


def _head_of(found: re.Match[bytes], start: int, *, is_literal: bool) -> InsertHead:
    name = parse_name(found["table"])
    return InsertHead(name, found["qualified"] is not None, found["columns"], found.end() - start, is_literal)


@cache
def _scanner(delimiter: bytes, modes: LexicalModes) -> re.Pattern[bytes]:
    """What may stand before a delimiter; stops at it, or before a text that does not end yet."""
    mark = re.escape(delimiter)
    escape = b"" if modes.no_backslash else rb"\\"
    pair = b"" if modes.no_backslash else rb"|\\."
    single = rb"'(?:[^'" + escape + rb"]++" + pair + rb"|(?!))*+'"
    double = rb'"[^"]*+"' if modes.ansi_quotes else rb'"(?:[^"' + escape + rb"]++" + pair + rb'|(?!))*+"'
    ahead = b"" if len(delimiter) == 1 else rb"(?=.{%d})" % (len(delimiter) - 1)
    return re.compile(
        rb"(?s:(?!" + mark + rb")(?:[^'\"`/#\-" + re.escape(delimiter[:1]) + rb"]++|" + single + rb"|" + double
        + rb"|`[^`]*+`|--(?=[\x00-\x20])[^\n]*+\n|-(?=[^-]|-[^\x00-\x20])|\#[^\n]*+\n"
        + rb"|/\*M?!|/\*(?!!|M!)(?:[^*]++|\*(?!/)|(?!))*+\*/|/(?=[^*])"
        + rb"|(?!['\"`/#\-])" + re.escape(delimiter[:1]) + ahead + rb")|(?!))*+"
    )  # fmt: skip


@dataclass(slots=True)
class ModeFollower:
    """Follows sql_mode through a dump: which quoting holds now, and what the user variables keep."""

    modes: LexicalModes = USUAL_MODES
    kept: dict[str, LexicalModes] = field(default_factory=dict)

    def follow(self, words: list[Token]) -> None:
        """Take note of one SET statement."""
        for target, value in assignments(words):
            name = target.lower()
            if name.startswith("@") and not name.startswith("@@"):
                if value is not None and value.text.lower().removeprefix("@@session.").removeprefix("@@") == "sql_mode":
                    self.kept[name] = self.modes
            elif name.removeprefix("@@").removeprefix("session.") == "sql_mode" and value is not None:
                if value.kind == "string":
                    self.modes = parse_modes(value.text)
                elif value.kind == "variable":
                    self.modes = self.kept.get(value.text.lower(), USUAL_MODES)


def assignments(words: list[Token]) -> Iterator[tuple[str, Token | None]]:
    """Yield what a SET statement sets, and to which single word; None when the value is more than one word."""
    part: list[Token] = []
    for word in [*words[1:], Token("sign", ",", 0, 0)]:
        if not word.is_sign(","):
            part.append(word)
            continue
        names = part[1:] if part and part[0].is_word("SESSION", "LOCAL") else part
        if names and names[0].is_word("NAMES") and len(names) == 2:
            yield "names", names[1]
        elif len(names) >= 3 and (names[1].is_sign("=") or (names[1].is_sign(":") and names[2].is_sign("="))):
            value = names[2:] if names[1].is_sign("=") else names[3:]
            yield names[0].text, value[0] if len(value) == 1 else None
        elif names:
            yield " ".join(name.text for name in names), None
        part = []


class Splitter:
    """Cuts a stream into statements. `feed` bytes, take statements, `finish` at the end.

    `is_trusted`: the stream comes from a dump tool itself, or from a file whose checksum is known, so an INSERT ends at
    the first `;` before a line break; nothing of it is looked at.
    """

    def __init__(self, *, is_trusted: bool = False) -> None:
        self.is_trusted = is_trusted
        self.follower = ModeFollower()
        self.delimiter = b";"
        self.line = 1
        self.raw_end = 0
        self._rest = b""
        self._parts: list[bytes] = []  # the rest, and what came since
        self._waiting = 0
        self._scanned = 0  # how far the rest has been read without finding the statement's end
        self._looked = 0  # how far an INSERT of a trusted dump has been searched for its end
        self._is_finished = False
        self._wanted = 0  # how long the rest must be before it is worth reading on

    def feed(self, data: bytes) -> Iterator[Statement]:
        """Add bytes and yield the statements that are complete. Raises UnreadableError."""
        self._parts.append(data)
        self._waiting += len(data)
        if self._waiting < self._wanted:
            return
        self._rest = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        if not self.raw_end and not self._skip_sandbox_line():
            self._keep(self._rest)
            return
        yield from self._cut()

    def _keep(self, rest: bytes) -> None:
        """Keep what is not cut yet until more of the file is there."""
        self._rest, self._parts, self._waiting = rest, [rest] if rest else [], len(rest)

    def _skip_sandbox_line(self) -> bool:
        """Skip MariaDB's first line; False when the first line is not there yet."""
        if self._rest.startswith(b"/*") and b"\n" not in self._rest and len(self._rest) < _LONGEST_DELIMITER_LINE:
            return self._is_finished
        if sandbox := SANDBOX_LINE.match(self._rest):
            self._advance(self._rest, 0, sandbox.end())
            self._rest = self._rest[sandbox.end() :]
        return True

    def _cut(self) -> Iterator[Statement]:
        text, position = self._rest, 0
        self._wanted = 0
        while True:
            if not self._scanned:
                position = self._skip(text, position)
                if not self._is_finished and _UNSURE.match(text, position):
                    self._wanted = 2 * (len(text) - position)
                    break
            statement = self._next(text, position)
            if statement is None:
                break
            position += statement.raw_end - self.raw_end
            statement.lines = text.count(b"\n", position - (statement.raw_end - self.raw_end), position)
            self.line += statement.lines
            self.raw_end, self._scanned = statement.raw_end, 0
            statement.modes = self.follower.modes
            if statement.insert is None and _SET_START.match(statement.text):
                self._follow(statement.text)
            yield statement
        self._keep(text[position:])
        if len(self._rest) > _LONGEST:
            raise UnreadableError(f"line {self.line}: a statement is longer than {_LONGEST >> 30} GiB")

    def _follow(self, text: bytes) -> None:
        words = list(tokens(text, self.follower.modes))
        if words and words[0].is_word("SET"):
            self.follower.follow(words)

    def _skip(self, text: bytes, position: int) -> int:
        """Skip blanks, comments and DELIMITER lines."""
        while True:
            blank = _BLANK.match(text, position)
            end = blank.end() if blank else position
            self._advance(text, position, end)
            position = end
            command = _DELIMITER.match(text, position)
            if command is None:
                return position
            if not _DELIMITERS.match(command[1]) or command[1].startswith((b"/*", b"--")):
                raise UnreadableError(f"line {self.line}: a DELIMITER that is not understood")
            self.delimiter = command[1]
            self._advance(text, position, command.end())
            position = command.end()

    def _advance(self, text: bytes, start: int, end: int) -> None:
        self.line += text.count(b"\n", start, end)
        self.raw_end += end - start

    def _next(self, text: bytes, position: int) -> Statement | None:
        if not self._scanned and self.delimiter == b";" and self.follower.modes.are_usual:
            if text.startswith(b"INSERT INTO ", position) and self.is_trusted:
                return self._next_trusted(text, position)
            if _INSERT_START.match(text, position):
                if text.find(b";\n", position) < 0 and len(text) - position < _PATIENCE_BYTES and not self._is_finished:
                    self._wanted = len(text) - position + (len(text) - position) // 2
                    return None
                found = INSERT.match(text, position)
                if found is not None:
                    return self._insert(text, position, found.end(), INSERT_HEAD.match(text, position), is_literal=True)
        return self._next_scanned(text, position)

    def _insert(
        self, text: bytes, start: int, end: int, head: re.Match[bytes] | None, *, is_literal: bool
    ) -> Statement:
        insert = _head_of(head, start, is_literal=is_literal) if head else None
        return Statement(text[start : end - 1], self.line, self.raw_end + end - start, insert)

    def _next_trusted(self, text: bytes, position: int) -> Statement | None:
        head = INSERT_HEAD.match(text, position)
        if head is None:
            return self._next_scanned(text, position)
        found = _END_OF_LINE.search(text, max(head.end(), position + self._looked))
        if found is None:
            self._looked = len(text) - position - 1
            self._wanted = len(text) - position + (len(text) - position) // 2
            return None
        self._looked = 0
        return self._insert(text, position, found.start() + 1, head, is_literal=False)

    def _next_scanned(self, text: bytes, position: int) -> Statement | None:
        start = position + self._scanned
        if start >= len(text):
            return None
        found = _scanner(self.delimiter, self.follower.modes).match(text, start)
        end = found.end() if found else start
        if text.startswith(self.delimiter, end):
            length = end - position
            raw_end = self.raw_end + length + len(self.delimiter)
            body = text[position:end].rstrip()
            if self.delimiter == b";" and self.follower.modes.are_usual and _INSERT_START.match(body):
                found = INSERT.fullmatch(body + b";")
                head = INSERT_HEAD.match(body)
                if head is not None:
                    return Statement(body, self.line, raw_end, _head_of(head, 0, is_literal=found is not None))
            return Statement(body, self.line, raw_end)
        self._scanned = end - position
        self._wanted = 2 * (len(text) - end) + self._scanned
        return None

    def finish(self) -> Iterator[Statement]:
        """Yield what stands after the last delimiter, if it is more than blanks. Raises UnreadableError."""
        self._rest = b"".join((*self._parts, b"\n"))
        self._is_finished = True
        yield from self._cut()
        rest = self._rest.strip()
        if rest:
            modes = self.follower.modes
            yield Statement(rest, self.line, self.raw_end + len(self._rest), is_ended=False, modes=modes)
