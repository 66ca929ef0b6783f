"""Reads PostgreSQL's log over the connection while the server writes it, from one file to the next."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from dbtui.adapters.libpq.conninfo import APPLICATION_NAME
from dbtui.adapters.log_parsing import LogParser
from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.adapters.postgresql.log_csv import CsvlogParser
from dbtui.adapters.postgresql.log_json import JsonlogParser
from dbtui.adapters.postgresql.log_words import ENGLISH, LANGUAGES, Words
from dbtui.adapters.postgresql.top_queries import hush
from dbtui.model.queries import CapturePlan, SourceReport, StatementEvent

_CHUNK_BYTES = 1 << 20
_MOST_CHUNKS = 16
_LOOK_SECONDS = 1.0
_PARSERS: dict[str, type[JsonlogParser] | type[CsvlogParser]] = {"jsonlog": JsonlogParser, "csvlog": CsvlogParser}
_ENDINGS = {"jsonlog": ".json", "csvlog": ".csv"}
_LANGUAGES = {
    "de": "German", "fr": "French", "es": "Spanish", "it": "Italian", "pt": "Portuguese", "ru": "Russian",
    "uk": "Ukrainian", "ja": "Japanese", "ko": "Korean", "sv": "Swedish", "zh": "Chinese",
}  # fmt: skip


@contextmanager
def open_tail(target: PostgresqlTarget, plan: CapturePlan) -> Iterator["LogTail"]:
    """Begin to read the log from where it is now, on a connection of its own. Raises ConnectError, ServerError."""
    with target.working(target.info.database, autocommit=True) as connection:
        hush(target, connection)
        row = target.collect_one("collect_capture_facts", connection)
        yield LogTail(target, connection, plan.format, row.language)


class LogTail:
    """See `dbtui.adapters.adapter.StatementTail`.

    Nothing is lost as long as the files stay: one that is removed or emptied while it is read is remarked upon.
    """

    every_seconds = 0.25

    def __init__(self, target: PostgresqlTarget, connection: Connection, format_name: str, language: str) -> None:
        self._target = target
        self._on = connection
        self._format = format_name
        self._ending = _ENDINGS[format_name]
        self._parser: LogParser = _PARSERS[format_name](_words_of(language))
        self._began = self._collect_sizes()  # where a file that is there already is read from
        self._path = ""
        self._position = 0
        self._looked_at = 0.0
        self._own = {f"{number:x}" for number in target.own_processes()}
        self.read_bytes = 0
        self._open_first()

    def read(self) -> tuple[list[StatementEvent], int]:
        """Return what has come since the last time; the log loses nothing."""
        events: list[StatementEvent] = []
        for _ in range(_MOST_CHUNKS):
            data = self._read_chunk()
            events += self._parser.feed(data)
            if len(data) < _CHUNK_BYTES and not self._go_on():
                if not data:
                    events += self._parser.settle()
                break
        return self._foreign(events), 0

    def finish(self) -> list[StatementEvent]:
        """Return what is left, when the server writes no more."""
        events: list[StatementEvent] = []
        before = -1
        while before < self.read_bytes:
            before = self.read_bytes
            self._looked_at = 0.0  # there is no next time
            events += self.read()[0]
        return events + self._foreign(self._parser.finish())

    def report(self) -> SourceReport:
        """Return what was read."""
        return self._parser.counts.report(f"the log of {self._target.where}", self._parser.name)

    # ------------------------------------------------------------------------------------------------- the files

    def _open_first(self) -> None:
        path = self._find_file()
        if path:
            self._path, self._position = path, self._began.get(_name_of(path), 0)

    def _read_chunk(self) -> bytes:
        if not self._path:
            return b""
        row = self._target.collect_one(
            "read_server_file", self._on, path=self._path, begins=self._position, size=_CHUNK_BYTES
        )
        if row.content is None:
            self._parser.counts.warn(f"{_name_of(self._path)} was removed while it was read: its rest is lost")
            self._began.pop(_name_of(self._path), None)
            self._path = ""
            return b""
        data = bytes(row.content)
        self._position += len(data)
        self.read_bytes += len(data)
        return data

    def _go_on(self) -> bool:
        """At the end of a file: go on with the next one, if there is one; False: nothing more for now."""
        if self._path and time.monotonic() - self._looked_at < _LOOK_SECONDS:
            return False
        self._looked_at = time.monotonic()
        path = self._find_file()  # none when this kind of log has been switched off
        if path and path == self._path:
            return self._begin_anew()
        if self._path and self._grew():  # it was written to until the next one was begun
            self._looked_at = 0.0
            return True
        path = self._next_file(path)
        if not path:
            return False
        self._path, self._position = path, self._began.get(_name_of(path), 0)
        self._looked_at = 0.0
        return True

    def _begin_anew(self) -> bool:
        """Whether somebody has emptied the file, so that it is read from its beginning again."""
        if self._collect_sizes().get(_name_of(self._path), 0) >= self._position:
            return False
        self._parser.counts.warn(f"{_name_of(self._path)} was emptied while it was read: what was in it is lost")
        self._position = 0
        return True

    def _grew(self) -> bool:
        return self._collect_sizes().get(_name_of(self._path), 0) > self._position

    def _next_file(self, newest: str) -> str:
        """The file after the present one: the newest, unless others have come and gone between two looks.

        One that was there before the capture may have been emptied to be used again: then it is read whole.
        """
        directory = (newest or self._path).rpartition("/")[0]
        rows = self._target.collect("collect_log_files", self._on)
        names = [row.name for row in rows if row.name.endswith(self._ending)]
        sizes = {row.name: row.size for row in rows}
        for name in names:
            if sizes[name] < self._began.get(name, 0):
                self._began[name] = 0
        here = _name_of(self._path)
        later = names[names.index(here) + 1 :] if here in names else []
        unread = [name for name in later if sizes[name] > self._began.get(name, 0)]
        self._began[here] = self._position
        return f"{directory}/{unread[0]}" if unread and directory else newest

    def _find_file(self) -> str:
        return str(self._target.collect_one("find_log_file", self._on, format=self._format).path or "")

    def _collect_sizes(self) -> dict[str, int]:
        return {row.name: row.size for row in self._target.collect("collect_log_files", self._on)}

    # ------------------------------------------------------------------------------------------------- the statements

    def _foreign(self, events: list[StatementEvent]) -> list[StatementEvent]:
        """Leave out what dbtui itself has asked."""
        own = self._own
        return [
            event
            for event in events
            if event.application != APPLICATION_NAME and event.session.rpartition(".")[2] not in own
        ]


def _name_of(path: str) -> str:
    return path.rpartition("/")[2]


def _words_of(language: str) -> Words:
    """The words of the server's messages; a session may have chosen other ones for itself."""
    name = _LANGUAGES.get(language[:2].lower(), "")
    return next((words for words in LANGUAGES if words.language == name), ENGLISH)
