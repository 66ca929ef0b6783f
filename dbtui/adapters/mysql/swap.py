"""Putting a loaded database in the place of the live one.

MySQL and MariaDB cannot rename a database, but one RENAME TABLE moves all tables of both at once: readers see the old
ones or the new ones. It refuses tables with triggers, so these are dropped before on both sides and made again after;
so are views, routines and events, which it does not move. Until the RENAME everything can be undone; after it whatever
cannot be made is reported with its SQL. Nothing is dropped before it exists elsewhere.
"""

import contextlib
from collections.abc import Iterable, Iterator

from dbtui.adapters.mysql.code import Code, CodeObject, collect_code, drop_statement, enable_statements, make
from dbtui.adapters.mysql.connect import MysqlTarget, close_quietly
from dbtui.adapters.mysql.cursor import Refusal
from dbtui.adapters.mysql.databases import create_database
from dbtui.adapters.mysql.names import quote_name, show_name
from dbtui.adapters.mysql.views import dependents_first, with_definer
from dbtui.adapters.mysql.wire import MysqlConnection
from dbtui.errors import ConnectError, DbtuiError, RefusedError, ServerError
from dbtui.model.backups import BackupContents
from dbtui.model.connections import EngineName
from dbtui.model.events import CommandRan, Routine, Warned

_LOCK_SECONDS = 3
_ATTEMPTS = 20
_LOCK_TIMEOUT = "1205"


def swap_database(target: MysqlTarget, live: str, fresh: str, kept: str) -> Routine[None]:
    """Make `fresh` the database called `live` and keep the old one as `kept`, with its events switched off.

    Raises RefusedError, ServerError and Cancelled with nothing changed; or ServerError after the tables are in place,
    when some view, trigger, routine or event could not be made: then each was reported with its SQL.
    """
    target.refuse_read_only(f"replacing {show_name(live)}")
    outside = target.collect("foreign_keys_from_outside", schema=live)
    if outside:
        child = f"{show_name(str(outside[0]['child_schema']))}.{show_name(str(outside[0]['child']))}"
        raise RefusedError(
            f"{child} has a foreign key to a table of {show_name(live)}, which a rename would lead astray",
            f"drop that foreign key, or restore beside {show_name(live)}",
        )
    connection = target.connect(live, shielded=True)
    try:
        swap = _Swap(target, connection, live, fresh, kept)
        yield from swap.prepare()
        connection = yield from swap.move()
        yield from swap.finish()
    finally:
        close_quietly(connection)


class _Swap:
    def __init__(self, target: MysqlTarget, connection: MysqlConnection, live: str, fresh: str, kept: str) -> None:
        self.target, self.connection = target, connection
        self.live, self.fresh, self.kept = live, fresh, kept
        self.failures: list[str] = []
        self.old = collect_code(target, connection, live)
        self.new = collect_code(target, connection, fresh)
        self.tables = self._tables(live)
        self.arriving = self._tables(fresh)

    def _tables(self, database: str) -> list[str]:
        rows = self.target.collect("movable_tables", on=self.connection, schema=database)
        return [str(row["name"]) for row in rows]

    def _run(self, sql: str) -> Iterator[CommandRan]:
        yield CommandRan(sql)
        self.target.rows(sql, on=self.connection)

    # ------------------------------------------------------------ what can be undone

    def prepare(self) -> Routine[None]:
        """Make the database that keeps the old one, with a copy of everything that needs no tables."""
        create_database(self.target, self.kept, self.live, BackupContents(engine=EngineName.MYSQL))
        try:
            for one in (*self.old.routines, *self.old.events):
                yield from self._make(self.kept, one, self.live, enable=False)
            yield from self._run(f"SET SESSION lock_wait_timeout = {_LOCK_SECONDS}")
        except BaseException:
            self._drop_kept()
            raise

    def _make(self, database: str, one: CodeObject, source: str, *, enable: bool = True) -> Iterator[CommandRan]:
        for sql in make(self.target, self.connection, database, one, source, enable=enable):
            yield CommandRan(sql)

    def _drop_kept(self) -> None:
        """Drop the database that was to keep the old one, unless it has got a table."""
        if not self._tables(self.kept):
            self.target.rows(f"DROP DATABASE IF EXISTS {quote_name(self.kept)}", on=self.connection)

    def move(self) -> Routine[MysqlConnection]:
        """Drop the triggers and rename all tables of both databases in one statement; undo it all if that fails."""
        try:
            for one in self.new.triggers:
                yield from self._run(drop_statement(self.fresh, one))
            yield from self._move_patiently()
        except BaseException as error:
            if not self._has_moved(error):
                self._undo(error)
                raise
            yield Warned(f"the connection was lost during the swap, but all tables are in place: {error}")
        return self.connection

    def _move_patiently(self) -> Routine[None]:
        """Try again while transactions hold the tables; between two attempts the live triggers are in their places."""
        for _ in range(_ATTEMPTS):
            self.target.cancellation.check()
            try:
                yield from self._drop_triggers()
                yield from self._rename()
                return
            except ServerError as error:
                if error.code != _LOCK_TIMEOUT:
                    raise
                left = self._restore_triggers()
                if left:
                    raise ServerError("; ".join(left)) from error
                yield Warned(f"tables of {show_name(self.live)} are in use: waiting for their transactions to end")
        hint = "end the transactions that use them, then restore again"
        raise ServerError(f"tables of {show_name(self.live)} stay locked by others", hint)

    def _drop_triggers(self) -> Routine[None]:
        """Drop the live triggers, all while the tables are locked: so the wait for the locks comes before."""
        if not self.old.triggers:
            return
        locks = ", ".join(f"{quote_name(self.live)}.{quote_name(name)} WRITE" for name in self.tables)
        try:
            yield from self._run(f"LOCK TABLES {locks}")
            for one in self.old.triggers:
                yield from self._run(drop_statement(self.live, one))
        finally:
            self.target.rows("UNLOCK TABLES", on=self.connection)

    def _rename(self) -> Routine[None]:
        pairs = [*((name, self.live, self.kept) for name in self.tables),
                 *((name, self.fresh, self.live) for name in self.arriving)]  # fmt: skip
        if pairs:
            yield from self._run("RENAME TABLE " + ", ".join(
                f"{quote_name(of)}.{quote_name(name)} TO {quote_name(to)}.{quote_name(name)}" for name, of, to in pairs
            ))  # fmt: skip

    def _has_moved(self, error: BaseException) -> bool:
        """Whether a RENAME whose answer was lost was done all the same."""
        if not isinstance(error, ConnectError) or not self.tables:
            return False
        close_quietly(self.connection)
        self.connection = self.target.connect(self.live, shielded=True)
        return self._tables(self.kept) == self.tables

    def _undo(self, error: BaseException) -> None:
        """Make the live triggers again and drop `kept`. What cannot be undone is added to the error, with its SQL."""
        left = self._restore_triggers()
        with contextlib.suppress(DbtuiError):  # an empty database stays; the first error counts
            self._drop_kept()
        if left and isinstance(error, DbtuiError):
            error.message = f"{error.message}; {'; '.join(left)}"
        elif left:
            raise ServerError("; ".join(left)) from error

    def _restore_triggers(self) -> list[str]:
        """Make the live triggers that are gone again; return what could not be made, with its SQL."""
        left = []
        rows = self.target.collect("trigger_names", on=self.connection, schema=self.live)
        there = {str(row["name"]) for row in rows}
        for one in self.old.triggers:
            if one.name in there:
                continue
            try:
                for _sql in make(self.target, self.connection, self.live, one, self.live):
                    pass
            except DbtuiError as error:
                left.append(f"{one} is missing in {show_name(self.live)} ({error.message}): run {one.sql}")
        return left

    # ------------------------------------------------------------ what must be finished

    def finish(self) -> Routine[None]:
        """Make everything else again on both sides, then drop what is left of `fresh`."""
        yield from self._each(self.live, self.new.triggers, self.fresh)
        yield from self._move_sequences(self.live, self.fresh)
        yield from self._each(self.kept, self.old.triggers, self.live)
        yield from self._move_sequences(self.kept, self.live)
        yield from self._make_views(self.kept, self.old)
        yield from self._make_views(self.live, self.new)
        yield from self._drop_missing(self.old.views, self.new.views)
        yield from self._replace(self.old.routines, self.new.routines)
        yield from self._replace(self.old.events, self.new.events)
        yield from self._switch_events_on()
        if not self._tables(self.fresh):
            yield from self._attempt(f"DROP DATABASE {quote_name(self.fresh)}")
        if self.failures:
            first, count = self.failures[0], len(self.failures)
            raise ServerError(
                f"{show_name(self.live)} has the restored tables, but {count} steps failed, first: {first}",
                f"the SQL of each was reported; the old database is {show_name(self.kept)}",
            )

    def _attempt(self, sql: str) -> Routine[None]:
        """Run one statement; a failure is reported with the SQL, and the rest goes on."""
        try:
            yield from self._run(sql)
        except DbtuiError as error:
            yield from self._report(error, sql)

    def _report(self, error: DbtuiError, sql: str) -> Routine[None]:
        self.failures.append(error.message)
        yield Warned(f"{error.message}; to finish it, run: {sql}")

    def _each(self, database: str, objects: Iterable[CodeObject], source: str) -> Routine[None]:
        for one in objects:
            try:
                yield from self._make(database, one, source)
            except DbtuiError as error:
                yield from self._report(error, f"USE {quote_name(database)}; {one.sql}")

    def _move_sequences(self, database: str, source: str) -> Routine[None]:
        wrong, right = f"({quote_name(source)}.", f"({quote_name(database)}."
        for row in self.target.collect("sequence_defaults", on=self.connection, schema=database, source=source):
            table = f"{quote_name(database)}.{quote_name(str(row['name']))}"
            column = quote_name(str(row["column_name"]))
            default = str(row["expression"]).replace(wrong, right)
            yield from self._attempt(f"ALTER TABLE {table} ALTER COLUMN {column} SET DEFAULT ({default})")

    def _make_views(self, database: str, code: Code) -> Routine[None]:
        """Make views as they are; if their definers are in the way, as ours first."""
        failed = yield from self._go_round(database, code.views, code.database)
        if failed:
            failed = yield from self._go_round(database, [with_definer(one, b"") for one in code.views], code.database)
            left = {one.name for one, _ in failed}
            for one in dependents_first(tuple(one for one in code.views if one.name not in left)):
                yield from self._each(database, [one], code.database)
        for one, reason in failed:
            sql = f"USE {quote_name(database)}; {one.sql}"
            if database == self.kept:  # it could not be read in the old database either
                yield Warned(f"{show_name(database)} has no {one}: {reason.message}; to make it, run: {sql}")
            else:
                yield from self._report(reason, sql)

    def _go_round(
        self, database: str, views: Iterable[CodeObject], source: str
    ) -> Routine[list[tuple[CodeObject, DbtuiError]]]:
        """Views may stand on one another: go round until nothing more can be made; return what could not be."""
        waiting = list(views)
        while waiting:
            failed: list[tuple[CodeObject, DbtuiError]] = []
            for one in waiting:
                try:
                    yield from self._make(database, one, source)
                except (ServerError, Refusal) as error:
                    failed.append((one, error))
            if len(failed) == len(waiting):
                return failed
            waiting = [one for one, _ in failed]
        return []

    def _drop_missing(self, old: Iterable[CodeObject], new: Iterable[CodeObject]) -> Routine[None]:
        staying = {(one.kind, one.name) for one in new}
        for one in old:
            if (one.kind, one.name) not in staying:
                yield from self._attempt(drop_statement(self.live, one))

    def _replace(self, old: tuple[CodeObject, ...], new: tuple[CodeObject, ...]) -> Routine[None]:
        """Make the new routines or events where the old ones are; those that say the same stay as they are."""
        yield from self._drop_missing(old, new)
        there = {(one.kind, one.name): one for one in old}
        for one in new:
            before = there.get((one.kind, one.name))
            if before is not None and before.is_same(one):
                continue
            if before is not None:
                yield from self._attempt(drop_statement(self.live, one))
            yield from self._each(self.live, [one], self.fresh)

    def _switch_events_on(self) -> Routine[None]:
        """Switch on the events that loading switched off, for this is no copy any more."""
        names = self.target.switched_off_events.pop(self.fresh, ())
        for sql in enable_statements(self.target, self.live, names):
            yield from self._attempt(sql)
