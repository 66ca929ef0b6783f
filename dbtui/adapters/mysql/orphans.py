"""The dump tool's session on the server: ended there too when the tool is stopped here.

A tool that is stopped closes its socket, but a server that waits for a lock or sorts does not look at the socket. The
tool's session is found as the one that began while the tool was starting; when that is not certain, it is left alone.
"""

import contextlib
from typing import Self

import pymysql

from dbtui.adapters.mysql.connect import MysqlTarget, close_quietly, statement
from dbtui.adapters.mysql.failures import split_error
from dbtui.errors import ConnectError, DbtuiError, ServerError

_GONE = 1094


class DumpSession:
    """Around the tool's run. If the block ends while `is_running`, the session it left on the server is ended."""

    def __init__(self, target: MysqlTarget) -> None:
        self._target = target
        self.is_running = False
        self._newest_before = 0

    def __enter__(self) -> Self:
        row = self._target.collect_one("newest_session")
        self._newest_before = int(row["id"])
        return self

    def __exit__(self, *_exception: object) -> None:
        if not self.is_running:
            return
        with contextlib.suppress(ConnectError, ServerError):  # the first error counts; the server ends it by itself
            self._terminate()

    def _terminate(self) -> None:
        try:
            second = self._target.connect("", shielded=True)
        except DbtuiError as error:
            raise ConnectError(error.message) from error
        try:
            with second.cursor() as cursor:
                binds = {"schema": self._target.database, "newest": self._newest_before}
                cursor.execute(statement("dump_sessions"), binds)
                found = [int(row["id"]) for row in cursor.fetchall()]
                if len(found) == 1:
                    cursor.execute(f"KILL {found[0]}")
        except pymysql.Error as error:
            if split_error(error)[0] != _GONE:
                raise ServerError(split_error(error)[1]) from error
        finally:
            close_quietly(second)
