"""Adding a replica: noted first, made step by step, and removed again unless it ends well."""

import os
import time
from dataclasses import replace

from dbtui.adapters.libpq.conninfo import format_passfile
from dbtui.adapters.postgresql.basebackup import copy_arguments, copy_server
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.replica_files import (
    identity_of,
    make_directory,
    take_directory,
    write_private,
    write_settings,
)
from dbtui.adapters.postgresql.replica_marker import Marker, read_marker, remove_marker, write_marker
from dbtui.adapters.postgresql.replica_server import show_command
from dbtui.adapters.postgresql.replica_source import collect_settings
from dbtui.adapters.postgresql.replica_streaming import watch_stream
from dbtui.adapters.postgresql.replica_undoing import Makings
from dbtui.adapters.postgresql.replica_workshop import Workshop
from dbtui.errors import DbtuiError, ServerError, StorageError
from dbtui.model.events import CommandRan, ResultT, Routine, StepFinished, StepStarted, Warned
from dbtui.model.replicas import ReplicaPlan, ReplicaResult
from dbtui.model.text import format_untrusted

_DUPLICATE = "42710"


class ReplicaAddition:
    """One run that adds a replica. While `is_ours`, what it has made is removed when it does not end well."""

    def __init__(self, target: PostgresqlTarget, plan: ReplicaPlan) -> None:
        """Look up what it works with; nothing is made. Raises ToolError, UsageError."""
        if plan.wish is None:
            raise TypeError("a plan without a wish adds nothing")
        self._target, self._plan, self._wish = target, plan, plan.wish
        self._room = Workshop(target, plan.wish, collect_settings(target))
        self.is_ours = False
        self.is_being_undone = False

    @property
    def undoing(self) -> str:
        """See `Unfinished`."""
        return f"removing {self._place}"

    @property
    def left(self) -> str:
        """See `Unfinished`."""
        return f"{self._place}: the next `dbtui replicas add` for that directory removes them"

    @property
    def _place(self) -> str:
        slot = f"slot {self._wish.slot} on {self._target.where}"
        return format_untrusted(f"{slot} and what was copied to {self._wish.data_directory}")

    def run(self) -> Routine[ReplicaResult]:
        """Make slot and copy, start the server, wait until it streams.

        Raises ServerError, ToolError, StorageError, Cancelled: nothing is left, or the error says what.
        """
        began = time.monotonic()
        yield from self._clean()
        self._target.cancellation.check()
        made = Makings(self._room, self._note())
        self.is_ours = True
        try:
            write_marker(made.marker)
            yield from _timed("prepare", self._wish.data_directory, self._prepare(made))
            copied = yield from self._copy()
            yield from _timed("settings", f"port {self._wish.port}", self._settle())
            process, behind = (yield from self._start(made)) if self._wish.is_started else (None, None)
            remove_marker(self._room.directory)
        except BaseException as error:
            self._undo_after(made, error)
            raise
        self.is_ours = False
        return ReplicaResult(
            plan=self._plan,
            seconds=time.monotonic() - began,
            pid=process,
            behind_bytes=behind,
            copied_bytes=copied,
        )

    # ------------------------------------------------------------ what an earlier run left

    def _clean(self) -> Routine[None]:
        """Remove it. Raises StorageError when something of it cannot be."""
        marker = read_marker(self._room.directory)
        if marker is not None:
            yield from _timed("clean", f"what the run of {marker.began} left", self._remove_left(marker))

    def _remove_left(self, marker: Marker) -> Routine[None]:
        is_same_system = marker.system == self._system()
        made = Makings(
            self._room,
            marker,
            has_slot=bool(marker.slot) and is_same_system,
            has_passfile=bool(marker.passfile),
            is_started=marker.is_started,
        )
        if left := made.remove():
            raise StorageError(f"what an earlier run left could not be removed: {'; '.join(left)}", "remove it by hand")
        if marker.slot and not is_same_system:
            yield Warned(
                f"slot {format_untrusted(marker.slot)} of that run, if it is there, is on another server, "
                f"{format_untrusted(marker.server)}: drop it there (dbtui replicas drop-slot), or its log is kept"
            )

    def _system(self) -> str:
        return str(self._target.collect_one("collect_replication").system)

    # ------------------------------------------------------------ steps

    def _note(self) -> Marker:
        """Return what is written down of what will be made, before anything is."""
        return Marker(
            directory=str(self._room.directory),
            server=self._target.where,
            system=self._system(),
            slot=self._wish.slot,
            passfile=str(self._room.passfile or ""),
            had_directory=self._room.directory.is_dir(),
        )

    def _prepare(self, made: Makings) -> Routine[None]:
        self._make_directories(made)
        passfile, password = self._room.passfile, self._room.password
        if passfile is not None and password is not None:
            made.has_passfile = not os.path.lexists(passfile)
            write_private(passfile, format_passfile(password.reveal()), self._room.account)
        yield CommandRan(f"{self._target.show_statement('create_replication_slot', slot=self._wish.slot)};")
        made.has_slot = made.is_slot_new = True
        try:
            self._target.collect("create_replication_slot", slot=self._wish.slot)
        except ServerError as error:
            made.has_slot = error.code != _DUPLICATE
            raise

    def _make_directories(self, made: Makings) -> None:
        directory, beside, account = self._room.directory, self._room.tablespace_directory, self._room.account
        if made.marker.had_directory:
            take_directory(directory, account)
        else:
            make_directory(directory, account)
        made.marker = replace(made.marker, directory_id=identity_of(directory))
        if self._room.tablespaces:
            make_directory(beside, account)
            made.marker = replace(made.marker, tablespaces_id=identity_of(beside))
        write_marker(made.marker)

    def _copy(self) -> Routine[int]:
        request = self._room.copy_request()
        yield CommandRan(show_command(copy_arguments(request), self._room.account))
        return (yield from copy_server(request, self._room.environ, self._target.cancellation))

    def _settle(self) -> Routine[None]:
        yield from ()
        write_settings(self._wish, self._room.settings, self._room.own_settings(), self._room.account)

    def _start(self, made: Makings) -> Routine[tuple[int, int | None]]:
        made.marker = replace(made.marker, is_started=True)
        write_marker(made.marker)
        made.is_started = True
        server = self._room.server()
        yield CommandRan(show_command(server.start_arguments(), self._room.account))
        cancellation = self._target.cancellation
        process = yield from _timed("start", f"port {self._wish.port}", server.start(cancellation))
        watching = watch_stream(self._target, self._wish, server)
        return process, (yield from _timed("wait until it streams", f"from {self._target.where}", watching))

    # ------------------------------------------------------------ undoing

    def _undo_after(self, made: Makings, error: BaseException) -> None:
        """Remove what was made; what cannot be is told by the error that ended the run."""
        self.is_being_undone = True
        left = made.remove()
        self.is_ours = bool(left)
        if not left:
            return
        said = f"left behind: {'; '.join(left)}"
        if isinstance(error, DbtuiError):
            error.message = f"{error.message}; {said}"
        elif isinstance(error, Exception):
            raise ServerError(f"{error}; {said}") from error


def _timed(step: str, detail: str, work: Routine[ResultT]) -> Routine[ResultT]:
    """Do the work as a step."""
    began = time.monotonic()
    yield StepStarted(step, detail)
    result = yield from work
    yield StepFinished(step, time.monotonic() - began)
    return result
