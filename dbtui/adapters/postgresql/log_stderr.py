"""PostgreSQL's log as text (log_destination = stderr), with any log_line_prefix.

A record is a line and the lines after it that begin with a tab. Details are records of their own.
"""

import re
from operator import itemgetter

from dbtui.adapters.log_parsing import LogCounts, LogParser
from dbtui.adapters.postgresql.log_prefixes import Prefix
from dbtui.adapters.postgresql.log_statements import StatementJoiner
from dbtui.adapters.postgresql.log_words import ENGLISH, Words
from dbtui.model.queries import StatementEvent

_TAB = 9
_LINES = r"[^\n]*(?:\n\t[^\n]*)*"


class StderrParser(LogParser):
    """Reads a log as text. `prefix`: its log_line_prefix; `words`: those of its lc_messages."""

    name = "postgresql stderr"

    def __init__(self, prefix: Prefix, words: Words = ENGLISH, counts: LogCounts | None = None) -> None:
        super().__init__(counts)
        names = prefix.names
        first = len(names)
        # After the prefix: level, milliseconds, kind, text, what is no record, and a group that is always empty.
        self._records = re.compile(
            rf"^(?:{prefix.pattern}({words.level}):  ?{words.message}({_LINES})|([^\n]{_LINES}))()",
            re.MULTILINE,
        )
        self._stray, empty = first + 4, first + 5

        def place(*escapes: str) -> int:
            return next((names.index(escape) for escape in escapes if escape in names), empty)

        self._session = place("c", "p", "r")
        self._pick = itemgetter(
            place("m", "t", "n"), place("d"), self._session, place("v"), first, first + 1, first + 2, first + 3, empty,
            place("a"), empty,
        )  # fmt: skip
        self.joiner = StatementJoiner(self.counts, words=words, escape=("\n\t", "\n"), has_detail_rows=True)
        if not prefix.session:
            self.counts.warn(
                f"log_line_prefix {prefix.text!r} has neither %p nor %c: all its sessions are taken for one"
            )

    def _find_cut(self, held: bytes) -> int:
        """A record is whole when the next line begins, with anything but a tab."""
        at = held.rfind(b"\n", 0, -1)
        while at >= 0 and held[at + 1] == _TAB:
            at = held.rfind(b"\n", 0, at)
        return at + 1

    def _parse(self, whole: bytes) -> list[StatementEvent]:
        return self.parse_text(whole.decode("utf-8", "replace"))

    def parse_text(self, text: str) -> list[StatementEvent]:
        """Return the statements in whole records."""
        rows = self._records.findall(text)
        stray = self._stray
        if any([row[stray] for row in rows]):  # noqa: C419 - a list is quicker
            self._count_strays(text)
            rows = [row for row in rows if not row[stray]]
        self.counts.lines += text.count("\n")
        return self.joiner.take(map(self._pick, rows))

    def _count_strays(self, text: str) -> None:
        for found in self._records.finditer(text):
            if found[self._stray + 1]:
                why = "" if text.endswith("\n") else "the log ends within this line"
                line = self.counts.lines + text.count("\n", 0, found.start()) + 1
                self.counts.add_unreadable(line, found[self._stray + 1], why)

    def _parse_half(self, half: bytes) -> list[StatementEvent]:
        """The last line has no end: its statement may be cut anywhere."""
        if half.endswith(b"\n"):
            return self._parse(half)
        events = [*self._parse(half), *self.joiner.settle()]
        self.counts.lines += 1
        found = self._records.search(half.decode("utf-8", "replace"))
        if not events and found:
            self.joiner.mark_cut(found[self._session + 1])
        if events:
            events[-1] = events[-1]._replace(is_truncated=True)
            self.counts.truncated += 1
        return events

    def _settle_statements(self) -> list[StatementEvent]:
        return self.joiner.settle()

    def _finish_statements(self) -> list[StatementEvent]:
        return self.joiner.finish()
