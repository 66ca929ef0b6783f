"""Switches PostgreSQL's statement logging on and off again, on a connection of its own that holds the capture lock."""

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from dbtui.adapters.postgresql.auto_conf import read_auto_conf
from dbtui.adapters.postgresql.capture import identify
from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget
from dbtui.adapters.postgresql.sql import quote_text
from dbtui.adapters.postgresql.top_queries import hush
from dbtui.errors import LockedError, RefusedError, ServerError
from dbtui.model.captures import CaptureJournal
from dbtui.model.queries import SettingChange
from dbtui.model.text import format_duration, format_untrusted

_EFFECT_SECONDS = 5.0
_END_SECONDS = 10.0
_LOOK_SECONDS = 0.05


@contextmanager
def open_switch(
    target: PostgresqlTarget, journal: CaptureJournal, former: Collection[int] = ()
) -> Iterator["LogSwitch"]:
    """Take the server's capture lock for a block, on a connection of its own past any pooler.

    Raises LockedError, ConnectError, ServerError, RefusedError (it is another server).
    """
    with target.working(target.info.database, autocommit=True) as connection:
        hush(target, connection)
        switch = LogSwitch(target, connection, journal)
        switch.take_lock(former)
        yield switch


class LogSwitch:
    """See `dbtui.adapters.adapter.CaptureSwitch`. What is ours is what postgresql.auto.conf holds as we wrote it."""

    def __init__(self, target: PostgresqlTarget, connection: Connection, journal: CaptureJournal) -> None:
        self._target = target
        self._on = connection
        self._changes = journal.changes
        self._names = tuple(change.name for change in journal.changes)
        found = identify(target.collect_one("collect_capture_facts", connection))
        if found != journal.server:
            raise RefusedError(
                f"this is {found}, and the capture was on {format_untrusted(journal.server, 200)}",
                "connect to the server that the capture was on",
            )
        self._sizes = self._collect_sizes()
        self._began = dict(self._sizes)

    def take_lock(self, former: Collection[int]) -> None:
        """Take the capture lock; a session of ours that was lost and still has it is terminated."""
        deadline = time.monotonic() + _END_SECONDS
        while True:
            is_ours = self._target.collect_one("try_capture_lock", self._on).is_ours
            holders = self._target.collect("collect_capture_lock_holders", self._on)
            if is_ours and not holders:
                return
            lost = [row.process_id for row in holders if row.process_id in former]
            if len(lost) < len(holders) or time.monotonic() > deadline:
                raise self._locked(holders)
            for process_id in lost:
                self._target.collect("terminate_own_session", self._on, process_id=process_id)
            time.sleep(_LOOK_SECONDS)

    def _locked(self, holders: Sequence[Any]) -> LockedError:
        who = ""
        if holders:
            row = holders[0]
            login = format_untrusted(f"{row.login or 'a login'} from {row.client or 'its own host'}", 120)
            who = f" (session {row.process_id} of {login}, since {format_duration(row.seconds or 0.0)})"
        return LockedError(f"another capture runs on this server{who}", "wait until it has ended")

    # ------------------------------------------------------------------------------------------------- CaptureSwitch

    def check(self) -> None:
        """See that ALTER SYSTEM still holds what was planned on. Raises RefusedError."""
        now = read_auto_conf(self._target, self._names, self._on)
        for change in self._changes:
            if now.get(change.name) != change.before:
                raise RefusedError(f"{change.name} was changed since this was planned", "plan it again")

    def apply(self) -> None:
        """Write the settings, have them read, and wait until they are in effect."""
        self.check()
        for change in self._changes:
            self._set(change.name, change.value)
        if not self._changes:
            return
        self._reload()
        if not self._wait_for_effect(lambda change, now: now == change.value):
            raise ServerError(
                "the server did not take the settings of the capture over", "pg_file_settings says why, and its log"
            )

    def measure_growth(self) -> int:
        """Return by how much the files of the log directory have grown; one that was removed since counts on."""
        for name, size in self._collect_sizes().items():
            if size < self._sizes.get(name, 0):  # it was emptied
                self._began[name] = self._began.get(name, 0) - self._sizes[name]
            self._sizes[name] = size
        return sum(size - self._began.get(name, 0) for name, size in self._sizes.items())

    def revert(self) -> tuple[str, ...]:
        """Put back what is still ours and have it read; say what somebody else has changed."""
        left, held = [], read_auto_conf(self._target, self._names, self._on)
        for change in self._changes:
            now = held.get(change.name)
            if now == change.value != change.before:
                self._set(change.name, change.before)
            elif now != change.before:
                left.append(_describe_foreign(change, now))
        self._reload()  # also when nothing was changed: the last one who tried may not have come so far
        self._check_reverted()
        return tuple(left)

    # ------------------------------------------------------------------------------------------------- the server

    def _check_reverted(self) -> None:
        held = read_auto_conf(self._target, self._names, self._on)
        ours = [change.name for change in self._changes if held.get(change.name) == change.value != change.before]
        if ours:
            raise ServerError(f"ALTER SYSTEM still holds what the capture set: {', '.join(ours)}", "it is tried again")
        if not self._wait_for_effect(lambda change, now: now != change.value or _is_meant(change, held)):
            raise ServerError("the server has not read its old settings yet", "pg_file_settings says why, and its log")

    def _set(self, name: str, value: str | None) -> None:
        """Names are ours, never typed; PostgreSQL takes no binds here."""
        words = f"ALTER SYSTEM RESET {name}" if value is None else f"ALTER SYSTEM SET {name} = {quote_text(value)}"
        self._target.rows(words, on=self._on)

    def _reload(self) -> None:
        self._target.collect("reload_settings", self._on)

    def _wait_for_effect(self, is_so: Callable[[SettingChange, str], bool]) -> bool:
        """Wait until the server's processes see the files as they are now; False: they do not, in time."""
        deadline = time.monotonic() + _EFFECT_SECONDS
        while True:
            rows = self._target.collect("collect_settings_in_effect", self._on, names=list(self._names))
            seen = {row.name: row.setting for row in rows if not row.is_hidden}
            if all(is_so(change, seen[change.name]) for change in self._changes if change.name in seen):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(_LOOK_SECONDS)

    def _collect_sizes(self) -> dict[str, int]:
        return {row.name: row.size for row in self._target.collect("collect_log_files", self._on)}


def _is_meant(change: SettingChange, held: dict[str, str]) -> bool:
    """Whether the value that the capture has used is in effect for another reason: a file of the operator's says so."""
    return change.name in held or change.current == change.value


def _describe_foreign(change: SettingChange, now: str | None) -> str:
    held = "not set any more" if now is None else f"set to {format_untrusted(now, 80)!r}"
    before = "not set" if change.before is None else f"set to {format_untrusted(change.before, 80)!r}"
    return f"{change.name}: somebody else changed it meanwhile; it is {held}, and was {before} before: left alone"
