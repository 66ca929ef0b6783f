"""How far a dump is: bytes that came out, or what the server says its COPY statements have sent."""

import math
import re
import time
from collections.abc import Callable, Sequence

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.errors import ConnectError, ServerError
from dbtui.model.backups import TableFacts
from dbtui.model.events import Progressed
from dbtui.model.text import format_untrusted

_POLL_SECONDS = 1.0
_WARNINGS_AT_MOST = 20
#: COPY text is a little smaller than the table on disk, as measured on mixed data.
_TEXT_PER_TABLE_BYTE = 0.9
_CONTENTS = re.compile(r'dumping contents of table "(.*)"$')


class DumpProgress:
    """Listens to pg_dump's stderr and says how far it is. `announce` is called with each table it comes to."""

    def __init__(
        self,
        target: PostgresqlTarget,
        tables: Sequence[TableFacts],
        expected_bytes: int | None,
        announce: Callable[[str], None],
    ) -> None:
        self.warnings: list[str] = []
        self._target = target
        self._announce = announce
        self._sizes = {format_untrusted(str(table.table_name)): table.bytes or 0 for table in tables}
        table_bytes = sum(self._sizes.values())
        self._expected_text = expected_bytes or int(table_bytes * _TEXT_PER_TABLE_BYTE)
        self._expected_tables = table_bytes
        self._begun: list[str] = []
        self._sent = 0
        self._next_poll = 0.0

    def listen(self, line: str) -> None:
        """Take one line of pg_dump's stderr; called from the thread that reads it."""
        if found := _CONTENTS.search(line):
            self._begun.append(found[1])
            self._announce(found[1])
        elif "warning: " in line and len(self.warnings) < _WARNINGS_AT_MOST:
            self.warnings.append(line.partition("warning: ")[2])

    def of_text(self, written_bytes: int) -> Progressed:
        """How far a dump is that has written so many bytes before compression."""
        return Progressed(written_bytes, max(self._expected_text, written_bytes), "bytes", self._detail)

    def of_tables(self) -> Progressed:
        """How far a dump is whose output is compressed by pg_dump itself; asks the server once a second."""
        if time.monotonic() >= self._next_poll:
            self._next_poll = time.monotonic() + _POLL_SECONDS
            sent = self._collect_sent()
            finished = sum(self._sizes.get(name, 0) for name in self._begun if name not in sent)
            current = sum(min(size, self._sizes.get(name, 0)) for name, size in sent.items())
            self._sent = max(self._sent, finished + current)
        return Progressed(self._sent, max(self._expected_tables, self._sent), "bytes", self._detail)

    def _collect_sent(self) -> dict[str, int]:
        """Bytes of the tables being dumped. A dump goes on without them: its own sessions say when it fails."""
        try:
            rows = self._target.collect("collect_copy_progress")
        except (ConnectError, ServerError):
            self._next_poll = math.inf
            return {}
        return {format_untrusted(f"{row.schema}.{row.name}"): row.bytes_processed for row in rows}

    @property
    def _detail(self) -> str:
        return self._begun[-1] if self._begun else ""
