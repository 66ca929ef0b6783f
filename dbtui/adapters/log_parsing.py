"""What every reader of statements shares: bytes come in pieces of any size, whole records are taken out of them.

A parser is fed with what was read, by whoever reads it: a local file, a pipe, a file of the server read over the
connection. What is not a whole record yet is kept until more comes.
"""

import abc
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from dbtui.model.queries import LogFormat, SourceReport, StatementEvent

#: A record longer than this is given up: no server writes one, but a file that is no log may seem to hold one.
MOST_RECORD_BYTES = 1 << 28
_SMALL_BYTES = 1 << 16
_SHOWN_CHARACTERS = 200
_MOST_WARNINGS = 20


@dataclass
class LogCounts:
    """What a parser saw. `skipped`: records that are no statements. `truncated`: statements whose text is cut.

    `lost`: statements that the source itself says are missing from it.
    """

    lines: int = 0
    statements: int = 0
    skipped: int = 0
    unreadable: int = 0
    first_unreadable: str = ""
    truncated: int = 0
    lost: int = 0
    warnings: list[str] = field(default_factory=list)

    def warn(self, sentence: str) -> None:
        """Keep a sentence for the reader of the report, once."""
        if sentence not in self.warnings and len(self.warnings) < _MOST_WARNINGS:
            self.warnings.append(sentence)

    def add_unreadable(self, line: int, text: str, why: str = "") -> None:
        """Count a record that could not be read; the first is kept. `line`: its number, from 1."""
        self.unreadable += 1
        if not self.first_unreadable:
            shown = text.strip("\r\n").partition("\n")[0]
            if len(shown) > _SHOWN_CHARACTERS:
                shown = shown[: _SHOWN_CHARACTERS - 1] + "…"
            self.first_unreadable = f"line {line}: {why}: {shown}" if why else f"line {line}: {shown}"

    def report(self, source: str, name: str, lost: int = 0) -> SourceReport:
        """Return the counts as the report of a source that was read as format `name`."""
        return SourceReport(
            source=source,
            format=name,
            lines=self.lines,
            statements=self.statements,
            skipped=self.skipped,
            unreadable=self.unreadable,
            first_unreadable=self.first_unreadable,
            truncated=self.truncated,
            lost=self.lost + lost,
            warnings=tuple(self.warnings),
        )


class LogParser(abc.ABC):
    """Takes bytes in pieces of any size and gives the statements in them. Any split gives the same statements."""

    name: str  # of the format, as reports show it

    def __init__(self, counts: LogCounts | None = None) -> None:
        self.counts = counts or LogCounts()
        self.title = self.name
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._try_at = 0
        self._is_at_start = True
        self._has_carriage_returns = False

    def feed(self, data: bytes) -> list[StatementEvent]:
        """Take what was read next; return the statements that are whole by now, in order."""
        if not data:
            return []
        self._pieces.append(data)
        self._held_bytes += len(data)
        if self._held_bytes < self._try_at:
            return []
        held = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        cut = self._find_cut(held)
        self._keep(held[cut:] if cut else held)
        return self._count(self._parse(self._begin(held[:cut]))) if cut else []

    def settle(self) -> list[StatementEvent]:
        """Return what is whole if nothing more comes for now: for one who follows a log, when it is silent."""
        held = b"".join(self._pieces)
        if held and not (held.endswith(b"\n") and self._is_whole(held)):
            return []
        self._keep(b"")
        events = self._parse(self._begin(held)) if held else []
        return self._count([*events, *self._settle_statements()])

    def end_file(self) -> list[StatementEvent]:
        """Return what is left of a file that ends; another may follow. A last line without an end is read as it is."""
        held = b"".join(self._pieces)
        self._keep(b"")
        if not held:
            return []
        text = self._begin(held)
        is_whole = held.endswith(b"\n") and self._is_whole(held)
        return self._count(self._parse(text) if is_whole else self._parse_half(text))

    def finish(self) -> list[StatementEvent]:
        """Return what is left when no more will come."""
        return [*self.end_file(), *self._count(list(self._finish_statements()))]

    def _begin(self, whole: bytes) -> bytes:
        """Drop the mark that some editors put before UTF-8, and the line ends of Windows if the first line has one."""
        if self._is_at_start:
            self._is_at_start = False
            whole = whole.removeprefix(b"\xef\xbb\xbf")
            self._has_carriage_returns = whole[: whole.find(b"\n") + 1].endswith(b"\r\n")
        return whole.replace(b"\r\n", b"\n") if self._has_carriage_returns else whole

    def _keep(self, held: bytes) -> None:
        """Keep what is no whole record. A long one is not looked at again before it has doubled."""
        if len(held) > MOST_RECORD_BYTES:
            self.counts.lines += held.count(b"\n")
            self.counts.add_unreadable(self.counts.lines, held[:1000].decode(errors="replace"), "longer than 256 MB")
            held = b""
        self._pieces = [held] if held else []
        self._held_bytes = len(held)
        self._try_at = 2 * len(held) if len(held) > _SMALL_BYTES else 0

    def _count(self, events: list[StatementEvent]) -> list[StatementEvent]:
        self.counts.statements += len(events)
        return events

    def _find_cut(self, held: bytes) -> int:
        """Return where what is kept begins: behind the last record that is whole. Lines are records unless said."""
        return held.rfind(b"\n") + 1

    def _is_whole(self, held: bytes) -> bool:  # noqa: ARG002 - for those whose records have several lines
        """Whether what ends in a line's end is whole if nothing more comes."""
        return True

    @abc.abstractmethod
    def _parse(self, whole: bytes) -> list[StatementEvent]:
        """Read whole records and count their lines."""

    def _parse_half(self, half: bytes) -> list[StatementEvent]:
        """Read what is left at the end of the source and has no end of its own."""
        return self._parse(half)

    def _settle_statements(self) -> Iterable[StatementEvent]:
        """Return statements that waited for what could have followed at once."""
        return ()

    def _finish_statements(self) -> Iterable[StatementEvent]:
        """Return all statements that waited."""
        return self._settle_statements()


@dataclass(frozen=True, slots=True)
class LogKind:
    """A format that is told from its first lines. `make`: a parser, from those lines and a log_line_prefix if given."""

    format: LogFormat
    title: str
    recognises: Callable[[list[str]], bool]
    make: Callable[[list[str], str], LogParser]
