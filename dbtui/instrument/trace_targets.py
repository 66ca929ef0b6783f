"""Where statements go: a file of JSON lines, or a function of the application. What goes wrong there is told once."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from dbtui.errors import DbtuiError
from dbtui.instrument.trace_files import TraceFile
from dbtui.instrument.trace_lines import LineFormat
from dbtui.model.queries import StatementEvent

_LOG = logging.getLogger("dbtui.instrument")
#: How long a file that cannot be written is left alone.
_PAUSE_SECONDS = 1.0
_WRITTEN_AT_ONCE = 32 * 1024  # characters


class FileTarget:
    """Writes to a file. While it cannot be written statements are counted, and a line tells of them afterwards."""

    def __init__(self, file: TraceFile, lines: LineFormat) -> None:
        self._file = file
        self._lines = lines
        self._lost = 0
        self._is_failing = False
        self._resume_at = 0.0
        self.lost = 0

    def write(self, seen: Sequence[StatementEvent], dropped: int) -> None:
        """Write statements; `dropped` more did not get here. Raises nothing."""
        self._lost += dropped
        if self._is_failing and time.monotonic() < self._resume_at:
            self._lose(len(seen))
            return
        begin = self._file.lines
        try:
            if self._lost:
                self._file.append(self._lines.format_lost(self._lost, time.time()))
                self._lost = 0
                begin = self._file.lines
            for text in _join(map(self._lines.format_statement, seen)):
                self._file.append(text)
        except (OSError, DbtuiError) as error:
            self._pause(error, len(seen) - (self._file.lines - begin))
            return
        if self._is_failing:
            self._is_failing = False
            _LOG.warning("statements are recorded again in %s", self._file.path)

    def close(self) -> None:
        """Close the file; what is written later opens it again."""
        self._file.close()

    def _pause(self, error: Exception, unwritten: int) -> None:
        self._lose(unwritten)
        self._file.close()
        self._resume_at = time.monotonic() + _PAUSE_SECONDS
        if not self._is_failing:
            self._is_failing = True
            reason = getattr(error, "strerror", None) or error
            _LOG.error("statements are not recorded: %s cannot be written: %s", self._file.path, reason)

    def _lose(self, count: int) -> None:
        self._lost += count
        self.lost += count


def _join(lines: Iterable[str]) -> Iterator[str]:
    """Join lines to texts that are written at once."""
    joined, size = [], 0
    for line in lines:
        joined.append(line)
        size += len(line)
        if size >= _WRITTEN_AT_ONCE:
            yield "".join(joined)
            joined, size = [], 0
    if joined:
        yield "".join(joined)


class CallTarget:
    """Calls a function with each statement. One that fails is told of once, and is called again with the next."""

    def __init__(self, call: Callable[[StatementEvent], object], lines: LineFormat) -> None:
        self._call = call
        self._lines = lines
        self._was_logged = False
        self.lost = 0

    def write(self, seen: Sequence[StatementEvent], _dropped: int) -> None:
        """Call it. Raises nothing."""
        for each in seen:
            try:
                self._call(self._lines.clean(each))
            except Exception as error:
                self.lost += 1
                if not self._was_logged:
                    self._was_logged = True
                    _LOG.error("the function that statements are given to failed", exc_info=error)

    def close(self) -> None:
        """Nothing is open."""
