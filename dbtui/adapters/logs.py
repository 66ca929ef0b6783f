"""Files of statements: the format is told from the first lines, statements are read as they come, in bounded memory."""

import errno
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from dbtui.adapters.cancellation import Cancellation, current_cancellation
from dbtui.adapters.collecting_less import collecting_less
from dbtui.adapters.log_parsing import LogKind, LogParser
from dbtui.adapters.log_sources import FifoSource, FileSource, FollowedFile, LogSource, PipeSource
from dbtui.adapters.mysql.logs import LOG_KINDS as MYSQL_KINDS
from dbtui.adapters.postgresql.logs import LOG_KINDS as POSTGRESQL_KINDS
from dbtui.adapters.traces import LOG_KINDS as TRACE_KINDS
from dbtui.errors import UsageError
from dbtui.model.queries import LogFormat, SourceReport, StatementEvent
from dbtui.model.text import format_untrusted

KINDS = (*TRACE_KINDS, *POSTGRESQL_KINDS[:2], *MYSQL_KINDS, *POSTGRESQL_KINDS[2:])
_SAMPLE_BYTES = 1 << 18
_SAMPLE_LINES = 3000
_QUIET_SECONDS = 0.5
_IDLE_SECONDS = 0.25
_SHOWN_CHARACTERS = 120
_ENDINGS = {
    b"BZh": "bzip2: unpack it, bzip2 -dc FILE | dbtui queries inspect -",
    b"\xfd7zXZ": "xz: unpack it, xz -dc FILE | dbtui queries inspect -",
    b"\x1f\x8b": "gzip: unpack it, gzip -dc | dbtui queries inspect -",
    b"\x28\xb5\x2f\xfd": "zstd: unpack it, zstd -dc | dbtui queries inspect -",
    b"\xff\xfe": "UTF-16: convert it, iconv -f UTF-16 -t UTF-8",
    b"\xfe\xff": "UTF-16: convert it, iconv -f UTF-16 -t UTF-8",
    b"PK\x03\x04": "zip: unpack it",
}


def open_log(
    source: str | Path | BinaryIO,
    format_name: str = "",
    prefix: str = "",
    *,
    is_followed: bool = False,
    cancellation: Cancellation | None = None,
) -> "LogReader":
    """Open a file, `-` for stdin, or a stream, and tell its format unless it is named.

    `format_name`: a value of LogFormat. `prefix`: PostgreSQL's log_line_prefix, told from the lines when empty.
    `is_followed`: goes on when the file grows and is rotated, until `cancellation` is requested.
    Raises UsageError when there is no such file, the format is not known, the file is empty, binary or not read here;
    StorageError.
    """
    kind = _named(format_name) if format_name else None
    cancellation = cancellation or current_cancellation()
    opened = _open_source(source, is_followed)
    try:
        sample = _read_sample(opened, cancellation)
        return LogReader(opened, _make_parser(opened.name, sample, kind, prefix), sample, cancellation)
    except BaseException:
        opened.close()
        raise


class LogReader:
    """Reads a log once, as statements or as batches of them; a context manager. `report` is true at any time."""

    def __init__(self, source: LogSource, parser: LogParser, sample: bytes, cancellation: Cancellation) -> None:
        self._source = source
        self._parser = parser
        self._sample = sample
        self._cancellation = cancellation

    @property
    def size_bytes(self) -> int | None:
        """How large the source is, packed if it is; None when that is not known."""
        return self._source.size_bytes

    @property
    def read_bytes(self) -> int:
        """How much of it was read."""
        return self._source.read_bytes

    @property
    def report(self) -> SourceReport:
        """What was read so far."""
        if self._source.warning:
            self._parser.counts.warn(self._source.warning)
        return self._parser.counts.report(self._source.name, self._parser.title)

    def __iter__(self) -> Iterator[StatementEvent]:
        for batch in self.batches():
            yield from batch

    def batches(self) -> Iterator[list[StatementEvent]]:
        """Give statements as they are read; an empty batch means that some was read, or waited for, without any.

        Raises Cancelled, StorageError, and UsageError at the end when there were only lines that could not be read.
        """
        with collecting_less():
            yield from self._read()
        self._judge()

    def _read(self) -> Iterator[list[StatementEvent]]:
        parser = self._parser
        sample, self._sample = self._sample, b""
        yield parser.feed(sample)
        while not self._cancellation.requested or not self._source.is_followed:
            self._cancellation.check()
            _await(self._source, self._cancellation)
            data = self._source.read()
            if data:
                yield parser.feed(data)
            elif self._source.has_switched:
                yield parser.end_file()
            elif self._source.is_followed:
                yield parser.settle()
                self._cancellation.wait(_IDLE_SECONDS)
            else:
                break
        yield parser.finish()

    def _judge(self) -> None:
        counts = self._parser.counts
        if counts.statements:
            return
        if counts.unreadable:
            raise UsageError(
                f"{self._source.name}: no line of it could be read as {self._parser.title}; "
                f"{format_untrusted(counts.first_unreadable, 2 * _SHOWN_CHARACTERS)}",
                "is it another format? name it with --format",
            )
        counts.warn(_ADVICE.get(self._parser.name, "no statement stands in it"))

    def close(self) -> None:
        """Let go of the source."""
        self._source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_POSTGRESQL_ADVICE = (
    "no statement stands in it: the server logs them with log_min_duration_statement = 0, or a share of the"
    " transactions with log_transaction_sample_rate"
)
_ADVICE = {
    "postgresql stderr": _POSTGRESQL_ADVICE,
    "postgresql csvlog": _POSTGRESQL_ADVICE,
    "postgresql jsonlog": _POSTGRESQL_ADVICE,
    "postgresql syslog": _POSTGRESQL_ADVICE,
    "mysql slow log": "no statement stands in it: the server logs all with slow_query_log = 1, long_query_time = 0",
    "mysql general log": "no statement stands in it: the server logs them with general_log = 1",
}


def _named(format_name: str) -> LogKind:
    for kind in KINDS:
        if kind.format == format_name:
            return kind
    known = ", ".join(LogFormat)
    raise UsageError(f"there is no format {format_untrusted(format_name)!r}", f"the formats are {known}")


def _open_source(source: str | Path | BinaryIO, is_followed: bool) -> LogSource:
    if isinstance(source, str) and source == "-":
        if sys.stdin is None:
            raise UsageError("stdin is closed, so there is nothing to read", "name a file, or pipe a log into it")
        return PipeSource(sys.stdin.buffer)
    if not isinstance(source, str | Path):
        return PipeSource(source, str(getattr(source, "name", "the stream")))
    path = Path(source)
    if not is_followed:
        _check_path(path)
    if path.is_fifo():
        return FifoSource(path)
    return FollowedFile(path) if is_followed else FileSource(path)


def _check_path(path: Path) -> None:
    """A file that cannot be there is a wrong word of the operator; one that may not be read is another matter."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"there is no file {path}", "name a log of a server, a recorded trace, or - for stdin"
        ) from None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENAMETOOLONG):
            raise UsageError(f"{path} names no file: {error.strerror}", "name a log or a trace") from None
        return  # opening it says why
    if stat.S_ISDIR(mode):
        raise UsageError(f"{path} is a directory", "name one of the files in it")


def _await(source: LogSource, cancellation: Cancellation) -> None:
    """Wait for a pipe that is quiet, as one from `tail -f` is. Raises Cancelled."""
    while not source.is_ready(_IDLE_SECONDS):
        cancellation.check()


def _read_sample(source: LogSource, cancellation: Cancellation) -> bytes:
    """Read the first lines. From a pipe that is quiet, what is there by then must do; for a file one can wait."""
    sample = b""
    while len(sample) < _SAMPLE_BYTES and (b"\n" not in sample or source.is_ready(_QUIET_SECONDS)):
        _await(source, cancellation)
        data = source.read()
        sample += data
        if not data and (sample or not source.is_followed):
            break
        if not data:
            cancellation.wait(_IDLE_SECONDS)
            cancellation.check()
    return sample


def _make_parser(name: str, sample: bytes, kind: LogKind | None, prefix: str) -> LogParser:
    if not sample:
        raise UsageError(f"{name} is empty: nothing was logged in it yet")
    for beginning, what in _ENDINGS.items():
        if sample.startswith(beginning):
            raise UsageError(f"{name} is {what}")
    text = sample.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n")
    lines = text.split("\n")[:_SAMPLE_LINES]
    if kind is None:
        kind = _recognise([line for line in lines if line], prefix)
    if kind is None and b"\0" in sample:  # within a log they are what a crash of the machine left
        raise UsageError(f"{name} is binary, so no log of statements", "name a log file or a trace")
    if kind is None:
        first = next((line for line in lines if line.strip()), "")
        number = lines.index(first) + 1 if first else 1
        tried = ", ".join(each.title for each in KINDS)
        raise UsageError(
            f"{name} is in no format that is read here (tried: {tried}); line {number} is: "
            f"{format_untrusted(first, _SHOWN_CHARACTERS)}",
            "a trace needs session, seq and sql in each line"
            if first.startswith("{")
            else "for a PostgreSQL log with an unusual log_line_prefix, give it with --prefix",
        )
    return kind.make(lines, prefix)


def _recognise(lines: list[str], prefix: str) -> LogKind | None:
    for kind in KINDS:
        if kind.recognises(lines):
            return kind
    return next(kind for kind in KINDS if kind.format is LogFormat.STDERR) if prefix else None
