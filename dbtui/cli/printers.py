"""What a run says while it works: words on stderr for people, or one JSON object a line on stdout for programs.

Neither ever raises because nobody reads any more: a backup does not end because a pager was closed.
"""

import json
import os
import shutil
import sys
import time
from contextlib import suppress
from typing import IO, Any, Protocol

from dbtui.cli.progress import ProgressMeter
from dbtui.cli.tables import cut_to_cells
from dbtui.errors import StorageError
from dbtui.model.events import CommandRan, Event, LoadTicked, Progressed, StepFinished, StepStarted, Warned
from dbtui.model.text import format_duration, format_untrusted

VERSION = 1
_LINE_SECONDS = 5.0
_REDRAW_SECONDS = 0.2


class Printer(Protocol):
    """What a run speaks to."""

    def event(self, event: Event) -> None:
        """Show what a routine said."""
        ...

    def idle(self) -> None:
        """Called about twice a second while a routine says nothing."""
        ...

    def end(self) -> None:
        """The run is over: leave nothing half drawn."""
        ...

    def warn(self, message: str) -> None:
        """Show a warning that is not a routine's."""
        ...

    def say(self, message: str) -> None:
        """Show a sentence for people."""
        ...

    def result(self, text: str, **fields: Any) -> None:
        """Print the data: `text` for people (empty: nothing), `fields` for programs."""
        ...


def write_words(text: str) -> None:
    """Write one line to stderr. A terminal that is gone is no error."""
    _write(sys.stderr, text + "\n")


def _write(stream: IO[str], text: str) -> bool:
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError):
        return False
    return True


def format_json(document: object) -> str:
    """Return one line of JSON in ASCII, whatever bytes a name may hold."""
    import msgspec

    with suppress(UnicodeEncodeError):  # a lone surrogate in a name
        packed = msgspec.json.encode(document)
        if packed.isascii() and b"\x7f" not in packed:
            return msgspec.json.format(packed, indent=0).decode("ascii")
    return json.dumps(msgspec.to_builtins(document), ensure_ascii=True)


def print_document(**fields: Any) -> None:
    """Print a reading command's one JSON document to stdout. Raises StorageError."""
    write_data(format_json({"version": VERSION, **fields}))


def write_data(text: str) -> None:
    """Write text and a newline to stdout. Raises StorageError; a reader that went away is main's business."""
    try:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise StorageError(f"standard output cannot be written: {error.strerror}") from error


class TextPrinter:
    """Words on stderr: a bar that redraws itself on a terminal, else a plain line every few seconds."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = not quiet and sys.stderr.isatty() and os.environ.get("TERM", "") not in ("", "dumb")
        self._meter: ProgressMeter | None = None
        self._drawn = False
        self._next_draw = 0.0

    def event(self, event: Event) -> None:
        """Show what a routine said."""
        now = time.monotonic()
        if isinstance(event, Warned):
            self.warn(event.message)
        elif isinstance(event, StepStarted):
            self._meter = ProgressMeter.of_step(event, now)
            self._next_draw = now if self._live else now + _LINE_SECONDS
            if not self._live:
                self.say("  ".join(part for part in (event.step, event.detail) if part))
        elif isinstance(event, Progressed) and self._meter is not None:
            self._meter.note(event, now)
            self._draw(now)
        elif isinstance(event, StepFinished):
            self._finish_step(event)

    def idle(self) -> None:
        """Let the seconds of a silent step go on."""
        self._draw(time.monotonic())

    def end(self) -> None:
        """Clear the bar."""
        self._meter = None
        self._clear()

    def warn(self, message: str) -> None:
        """Write a warning; also with --quiet, because it is no progress."""
        self._clear()
        write_words(f"dbtui: warning: {format_untrusted(message)}")

    def say(self, message: str) -> None:
        """Write a sentence unless --quiet."""
        if not self._quiet:
            self._clear()
            write_words(format_untrusted(message))

    def result(self, text: str, **_fields: Any) -> None:
        """Print the data for people to stdout."""
        self._clear()
        if text:
            _write(sys.stdout, text + "\n")

    def _finish_step(self, event: StepFinished) -> None:
        self._meter = None
        if self._live or event.seconds >= 1:
            taken = format_duration(event.seconds) if event.seconds >= 1 else f"{event.seconds:.1f} s"
            self.say("  ".join(part for part in (event.step, f"done in {taken}", event.detail) if part))
        self._clear()

    def _draw(self, now: float) -> None:
        if self._quiet or self._meter is None or now < self._next_draw:
            return
        if not self._live:
            self._next_draw = now + _LINE_SECONDS
            write_words(self._meter.format_line(now, bar=False))
            return
        self._next_draw = now + _REDRAW_SECONDS
        width = shutil.get_terminal_size().columns
        _write(sys.stderr, "\r\x1b[K" + cut_to_cells(self._meter.format_line(now), max(10, width - 1)))
        self._drawn = True

    def _clear(self) -> None:
        if self._drawn:
            _write(sys.stderr, "\r\x1b[K")
            self._drawn = False


class JsonPrinter:
    """One JSON object a line on stdout, each with "event"; the last is the result."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._meter: ProgressMeter | None = None

    def event(self, event: Event) -> None:
        """Print what a routine said."""
        if isinstance(event, StepStarted):
            self._meter = ProgressMeter.of_step(event, time.monotonic())
            self._line("step_started", step=event.step, detail=event.detail)
        elif isinstance(event, Progressed):
            if not self._quiet:
                self._progress(event)
        elif isinstance(event, Warned):
            self.warn(event.message)
        elif isinstance(event, CommandRan):
            self._line("command", text=event.text)
        elif isinstance(event, LoadTicked):
            if not self._quiet:
                from dbtui.analysis.loadtest import describe_second

                self._line("second", **describe_second(event.second))
        else:
            self._line("step_finished", step=event.step, seconds=event.seconds, detail=event.detail)

    def idle(self) -> None:
        """Nothing to say."""

    def end(self) -> None:
        """Nothing is half drawn."""

    def warn(self, message: str) -> None:
        """Print a warning."""
        self._line("warning", message=message)

    def say(self, message: str) -> None:
        """Words are for people."""

    def result(self, text: str, **fields: Any) -> None:  # noqa: ARG002 - the sibling prints the text
        """Print the last line."""
        self._line("result", **fields)

    def _progress(self, event: Progressed) -> None:
        fields: dict[str, Any] = {"done": event.done, "total": event.total, "unit": event.unit, "detail": event.detail}
        if self._meter is not None and event.unit != "seconds":
            self._meter.note(event, time.monotonic())
            if self._meter.rate is not None:
                fields |= {"per_second": self._meter.rate, "left_seconds": self._meter.seconds_left}
        self._line("progress", **fields)

    def _line(self, event: str, **fields: Any) -> None:
        _write(sys.stdout, format_json({"event": event, "version": VERSION, **fields}) + "\n")


def make_printer(*, as_json: bool, quiet: bool = False) -> Printer:
    """Return the printer that the options ask for."""
    return JsonPrinter(quiet=quiet) if as_json else TextPrinter(quiet=quiet)
