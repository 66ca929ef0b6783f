"""The dump tool's session on the server: ended there too when the tool is stopped here.

A tool that is stopped closes its socket, but a server that waits for a lock or sorts does not look at the socket. The
session is recognised while the tool runs, as the only one of this login that began after it and reads as dump tools do;
when there are two such, neither is touched.
"""

import contextlib
from typing import Self

import pymysql

from dbtui.adapters.mysql.connect import MysqlTarget, close_quietly
from dbtui.adapters.mysql.failures import split_error
from dbtui.errors import ConnectError, ServerError

_GONE = 1094


def newest_session(target: MysqlTarget) -> int:
    """Return the number of the newest session there is."""
    return int(target.collect_one("newest_session")["id"])


def terminate_flushing(target: MysqlTarget, newest_before: int) -> None:
    """End the sessions of this login, younger than a session, that wait for the lock on all tables.

    A tool that was stopped while it waited for that lock would leave everybody who writes waiting behind it.
    """
    with contextlib.suppress(ConnectError, ServerError, pymysql.Error):  # the first error counts
        second = target.connect("", shielded=True)
        try:
            for row in target.collect("flushing_sessions", on=second, newest=newest_before):
                target.rows(f"KILL {int(row['id'])}", on=second)
        finally:
            close_quietly(second)


class DumpSession:
    """Around the tool's run. If the block ends while `is_running`, the session it left on the server is ended."""

    def __init__(self, target: MysqlTarget) -> None:
        self._target = target
        self.is_running = False
        self._newest_before = 0
        self._number: int | None = None

    def __enter__(self) -> Self:
        self._newest_before = newest_session(self._target)
        return self

    def recognise(self) -> None:
        """Look which session is the tool's, until it is known."""
        if self._number is None:
            found = self._target.collect("dump_sessions", schema=self._target.database, newest=self._newest_before)
            if len(found) == 1:
                self._number = int(found[0]["id"])

    def __exit__(self, *_exception: object) -> None:
        if self.is_running and self._number is not None:
            with contextlib.suppress(ConnectError, ServerError):  # the first error counts; in time the server notices
                self._terminate(self._number)

    def _terminate(self, number: int) -> None:
        second = self._target.connect("", shielded=True)
        try:
            with second.cursor() as cursor:
                cursor.execute(f"KILL {number}")
        except pymysql.Error as error:
            if split_error(error)[0] != _GONE:
                raise ServerError(split_error(error)[1]) from error
        finally:
            close_quietly(second)
