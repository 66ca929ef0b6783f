"""Switches a capture on MySQL or MariaDB on and off again, on a connection of its own that holds the capture lock."""

import contextlib
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from dbtui.adapters.mysql.capture import CONSUMER, GENERAL, NO_ROWS, OUTPUT, ROWS, identify
from dbtui.adapters.mysql.connect import MysqlTarget, close_quietly
from dbtui.adapters.mysql.top_queries import collect_settings, hush
from dbtui.adapters.mysql.wire import MysqlConnection
from dbtui.errors import LockedError, RefusedError, ServerError
from dbtui.model.captures import CaptureJournal
from dbtui.model.queries import CaptureWay, SettingChange
from dbtui.model.text import format_untrusted

_END_SECONDS = 10.0
_LOOK_SECONDS = 0.05
_NO_SUCH_SESSION = "1094"
_SETTINGS = (OUTPUT, GENERAL)


@contextmanager
def open_switch(
    target: MysqlTarget, journal: CaptureJournal, former: Collection[int] = ()
) -> Iterator["StatementSwitch"]:
    """Take the server's capture lock for a block. Raises LockedError, ConnectError, ServerError, RefusedError."""
    connection = target.connect("")
    try:
        hush(target, connection)
        switch = StatementSwitch(target, connection, journal)
        switch.take_lock(former)
        yield switch
    finally:
        close_quietly(connection)


class StatementSwitch:
    """See `dbtui.adapters.adapter.CaptureSwitch`. Everything it changes is in the server's memory alone."""

    def __init__(self, target: MysqlTarget, connection: MysqlConnection, journal: CaptureJournal) -> None:
        self._target = target
        self._on = connection
        self._journal = journal
        found = identify(collect_settings(target, connection))
        if found != journal.server:
            was = format_untrusted(journal.server, 200)
            raise RefusedError(
                f"this is {found}, and the capture was on {was}", "connect to the server that the capture was on"
            )

    def take_lock(self, former: Collection[int]) -> None:
        """Take the capture lock; a session of ours that was lost and still has it is terminated."""
        deadline = time.monotonic() + _END_SECONDS
        while True:
            row = self._target.collect_one("try_capture_lock", self._on)
            if row["is_ours"] == 1:
                return
            holder = int(row["holder"] or 0)
            if holder and (holder not in former or time.monotonic() > deadline):
                what = f"another capture runs on this server (session {holder})"
                raise LockedError(what, "wait until it has ended")
            if holder:
                self._terminate(holder)
            time.sleep(_LOOK_SECONDS)

    def _terminate(self, session: int) -> None:
        try:
            self._target.rows(f"KILL CONNECTION {session}", on=self._on)
        except ServerError as error:
            if error.code != _NO_SUCH_SESSION:
                raise

    # ------------------------------------------------------------------------------------------------- CaptureSwitch

    def check(self) -> None:
        """See that the settings are what was planned on. Raises RefusedError."""
        now = self._collect()
        for change in self._journal.changes:
            if now[change.name] != change.before:
                raise RefusedError(f"{change.name} was changed since this was planned", "plan it again")

    def apply(self) -> None:
        """Change the settings, in order; they are in effect at once."""
        self.check()
        for change in self._journal.changes:
            if change.name != ROWS:
                self._set(change.name, change.value)
        self._log_own(is_on=False)

    def measure_growth(self) -> int:
        """Return the bytes in the general log's table; the ring in memory does not grow."""
        if self._journal.way is not CaptureWay.MYSQL_GENERAL:
            return 0
        return int(self._target.collect_one("count_general_log", self._on)["bytes"])

    def revert(self) -> tuple[str, ...]:
        """Put back what is still ours, the last change first; say what somebody else has changed."""
        left: list[str] = []
        self._log_own(is_on=True)
        for change in reversed(self._journal.changes):
            now = self._collect()[change.name]
            if now == change.before:
                continue
            if change.name == ROWS:
                left += self._empty_table(left)
            elif now == change.value:
                self._set(change.name, change.before or "")
            else:
                left.append(_describe_foreign(change, now))
        return tuple(left)

    # ------------------------------------------------------------------------------------------------- the server

    def _collect(self) -> dict[str, str]:
        """Every setting that a capture may change, as it is now."""
        now = {name: value for name, value in collect_settings(self._target, self._on).items() if name in _SETTINGS}
        if self._journal.way is CaptureWay.MYSQL_HISTORY:
            rows = self._target.collect("statement_consumers", self._on)
            return {f"{CONSUMER}{row['name']}": str(row["enabled"]) for row in rows}
        logged = int(self._target.collect_one("count_general_log", self._on)["logged"])
        return {**now, ROWS: f"{logged} rows" if logged else NO_ROWS}

    def _set(self, name: str, value: str) -> None:
        if name.startswith(CONSUMER):
            consumer = name.removeprefix(CONSUMER)
            self._target.collect("switch_consumer", self._on, consumer=consumer, enabled=value)
        else:
            self._target.rows(f"SET GLOBAL {name} = %(value)s", {"value": value}, on=self._on)

    def _log_own(self, *, is_on: bool) -> None:
        """Looking how much was logged need not be logged; what is changed is, if anything is."""
        if self._journal.way is CaptureWay.MYSQL_GENERAL:
            self._target.rows(f"SET SESSION sql_log_off = {int(not is_on)}", on=self._on)

    def _empty_table(self, left: list[str]) -> list[str]:
        """Remove what was logged. It cannot be told from what somebody else logs, so that it stays if one does."""
        if left:
            return [f"{ROWS}: they stay there; TRUNCATE TABLE mysql.general_log removes them"]
        with contextlib.suppress(ServerError):  # a replica has a log of its own; some logins may not say so
            self._target.rows("SET SESSION sql_log_bin = 0", on=self._on)
        self._target.rows("TRUNCATE TABLE mysql.general_log", on=self._on)
        return []


def _describe_foreign(change: SettingChange, now: str) -> str:
    shown, before = format_untrusted(now, 80), format_untrusted(change.before or "", 80)
    return f"{change.name}: somebody else changed it meanwhile; it is {shown}, and was {before} before: left alone"
