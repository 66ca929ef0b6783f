"""Counts the rows of each table while a dump streams by: exact, because it is the dump itself that is counted."""

from dbtui.adapters.mysql.rows import count_tuples
from dbtui.adapters.mysql.sql_lexer import Splitter, Statement
from dbtui.adapters.mysql.statements import created_table


class RowCounter:
    """Sees every byte of a dump. `tables` has every table that was created, with its rows so far."""

    def __init__(self) -> None:
        self.tables: dict[str, int] = {}
        self.current = ""
        self._splitter = Splitter(is_trusted=True)

    @property
    def rows(self) -> int:
        """The rows of all tables so far."""
        return sum(self.tables.values())

    def tap(self, chunk: memoryview) -> None:
        """Take the next bytes of the dump."""
        for statement in self._splitter.feed(bytes(chunk)):
            self._count(statement)

    def finish(self) -> None:
        """Take what is left at the end."""
        for statement in self._splitter.finish():
            self._count(statement)

    def _count(self, statement: Statement) -> None:
        head = statement.insert
        if head is not None:
            self.current = head.table
            rows = count_tuples(statement.text, head.rows_start, statement.lines)
            self.tables[head.table] = self.tables.get(head.table, 0) + rows
        elif (name := created_table(statement.text)) is not None:
            self.current = name
            self.tables.setdefault(name, 0)
