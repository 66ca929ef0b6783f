"""Adding a replica: what is written down first, made step by step, and removed again unless it ends well."""

import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.libpq.conninfo import format_conninfo, format_passfile
from dbtui.adapters.postgresql.basebackup import COPY_NAME, CopyRequest, copy_arguments, copy_server
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.replica_files import (
    choose_socket_directory,
    make_directory,
    own_settings,
    passfile_path,
    remove_contents,
    take_directory,
    write_private,
    write_settings,
)
from dbtui.adapters.postgresql.replica_marker import Marker, is_its_directory, read_marker, remove_marker, write_marker
from dbtui.adapters.postgresql.replica_place import find_account, find_programs
from dbtui.adapters.postgresql.replica_server import ReplicaServer, show_command
from dbtui.adapters.postgresql.replica_source import SourceSettings, collect_settings, replication_parameters
from dbtui.adapters.postgresql.replica_streaming import open_beside, watch_stream
from dbtui.adapters.processes import tool_environment
from dbtui.errors import DbtuiError, RefusedError, ServerError, StorageError
from dbtui.model.events import CommandRan, Routine, StepFinished, StepStarted
from dbtui.model.replicas import ReplicaPlan, ReplicaResult, ReplicaWish
from dbtui.model.text import format_untrusted

_SLOT_SECONDS = 10.0
_NAME_LENGTH = 63
_LOOK_SECONDS = 0.1
_DUPLICATE, _NO_OBJECT, _IN_USE = "42710", "42704", "55006"


class Workshop:
    """Everything that adding one replica works with: names, programs, account. Nothing is made by it."""

    def __init__(self, target: PostgresqlTarget, wish: ReplicaWish, settings: SourceSettings) -> None:
        """Look at what there is. Raises ToolError, UsageError."""
        self.target, self.wish, self.settings = target, wish, settings
        self.directory = Path(wish.data_directory)
        self.account, self.account_problem = find_account(self.directory, settings.data_directory)
        major = target.info.version_number // 10000
        self.programs = find_programs(major, target.environ, is_started=wish.is_started)
        _, self.password = target.login_parameters()
        self.passfile = passfile_path(self.directory) if self.password is not None else None
        passfile = str(self.passfile) if self.passfile else ""
        words = replication_parameters(target, passfile, major)
        # While it copies it has a name of its own: commits may wait for who is called as the replica will be.
        self.copy_name = f"{COPY_NAME}{wish.slot}"[:_NAME_LENGTH]
        self.copy_conninfo = format_conninfo({**words, "application_name": self.copy_name})
        self.conninfo = format_conninfo({**words, "application_name": wish.name})
        self.tablespaces = tuple(
            (each.path, str(self.directory.with_name(f"{self.directory.name}.tablespaces") / str(number)))
            for number, each in enumerate(target.collect("collect_tablespace_places"), 1)
        )

    @property
    def environ(self) -> dict[str, str]:
        """The environment of its tools."""
        return tool_environment({"HOME": self.account.home} if self.account else None)

    def copy_request(self, checkpoint_seconds: float | None = None) -> CopyRequest:
        """What pg_basebackup is asked for."""
        return CopyRequest(
            tool=self.programs.basebackup or "pg_basebackup",
            conninfo=self.copy_conninfo,
            directory=str(self.directory),
            slot=self.wish.slot,
            is_fast_checkpoint=self.wish.is_fast_checkpoint,
            checkpoint_seconds=checkpoint_seconds,
            most_bytes_per_second=self.wish.most_bytes_per_second,
            tablespaces=self.tablespaces,
            account=self.account,
        )

    def own_settings(self) -> dict[str, str]:
        """Return the settings by which the replica differs from its source."""
        place = choose_socket_directory(self.settings, self.directory, self.account)
        return own_settings(self.wish, self.conninfo, place)

    def server(self) -> ReplicaServer:
        """The replica's server."""
        return ReplicaServer(
            pg_ctl=self.programs.pg_ctl or "pg_ctl",
            directory=self.directory,
            account=self.account,
            environ=self.environ,
        )


class ReplicaAddition:
    """One run that adds a replica. While `is_ours`, what it has made is removed when it does not end well."""

    def __init__(self, target: PostgresqlTarget, plan: ReplicaPlan) -> None:
        if plan.wish is None:
            raise TypeError("a plan without a wish adds nothing")
        self._target, self._plan, self._wish = target, plan, plan.wish
        self._room = Workshop(target, plan.wish, collect_settings(target))
        self._marker: Marker | None = None
        self._has_slot = self._has_made_slot = self._has_passfile = self._is_started = False
        self.is_ours = False
        self.is_being_undone = False

    @property
    def undoing(self) -> str:
        """See `routines.context.Unfinished`."""
        return f"removing {self._place}"

    @property
    def left(self) -> str:
        """See `routines.context.Unfinished`."""
        return f"{self._place}: the next `dbtui replicas add` for that directory removes them"

    @property
    def _place(self) -> str:
        slot = f"slot {self._wish.slot} on {self._target.where}"
        return format_untrusted(f"{slot} and what was copied to {self._wish.data_directory}")

    def run(self) -> Routine[ReplicaResult]:
        """Make slot and copy, start the server, wait until it streams.

        Raises ServerError, ToolError, StorageError, RefusedError, Cancelled: nothing is left, or the error says what.
        """
        began = time.monotonic()
        try:
            yield from self._prepare()
            copied = yield from self._copy()
            yield from self._settle()
            process, behind = (yield from self._start()) if self._wish.is_started else (None, None)
            remove_marker(self._room.directory)
        except BaseException as error:
            self._undo_after(error)
            raise
        self.is_ours = False
        return ReplicaResult(
            plan=self._plan,
            seconds=time.monotonic() - began,
            pid=process,
            behind_bytes=behind,
            copied_bytes=copied,
        )

    # ------------------------------------------------------------ steps

    def _prepare(self) -> Routine[None]:
        with _step("prepare", self._wish.data_directory) as (begin, end):
            yield begin
            yield from self._clean_left()
            self._target.cancellation.check()
            had_directory = self._room.directory.is_dir()
            marker = Marker(
                directory=str(self._room.directory),
                server=self._target.where,
                system=str(self._target.collect_one("collect_replication").system),
                slot=self._wish.slot,
                passfile=str(self._room.passfile or ""),
                tablespaces=tuple(new for _, new in self._room.tablespaces),
                had_directory=had_directory,
            )
            write_marker(marker)
            self._marker, self.is_ours = marker, True
            self._make_directory(had_directory)
            self._write_passfile()
            yield CommandRan(f"{self._target.show_statement('create_replication_slot', slot=self._wish.slot)};")
            self._create_slot()
            yield end()

    def _make_directory(self, had_directory: bool) -> None:
        directory, account = self._room.directory, self._room.account
        if not had_directory:
            make_directory(directory, account)
        elif any(directory.iterdir()):
            raise RefusedError(f"{format_untrusted(str(directory))} is not empty any more", "plan it again")
        found = directory.lstat()
        assert self._marker is not None  # noqa: S101 - written before
        self._marker = replace(self._marker, directory_id=(found.st_dev, found.st_ino))
        write_marker(self._marker)
        if had_directory:
            take_directory(directory, account)
        for _, new in self._room.tablespaces:
            if not Path(new).parent.exists():
                make_directory(Path(new).parent, account)

    def _write_passfile(self) -> None:
        passfile, password = self._room.passfile, self._room.password
        if passfile is not None and password is not None:
            write_private(passfile, format_passfile(password.reveal()), self._room.account)
            self._has_passfile = True

    def _create_slot(self) -> None:
        self._has_slot = self._has_made_slot = True
        try:
            self._target.collect("create_replication_slot", slot=self._wish.slot)
        except ServerError as error:
            self._has_slot = error.code != _DUPLICATE
            raise

    def _copy(self) -> Routine[int]:
        request = self._room.copy_request(self._checkpoint_seconds())
        yield CommandRan(show_command(copy_arguments(request), self._room.account))
        return (yield from copy_server(request, self._room.environ, self._target.cancellation))

    def _checkpoint_seconds(self) -> float | None:
        return float(self._target.collect_one("collect_source_facts").checkpoint_seconds)

    def _settle(self) -> Routine[None]:
        with _step("settings", f"port {self._wish.port}") as (begin, end):
            yield begin
            write_settings(self._wish, self._room.settings, self._room.own_settings(), self._room.account)
            yield end()

    def _start(self) -> Routine[tuple[int, int | None]]:
        assert self._marker is not None  # noqa: S101 - written before
        self._marker = replace(self._marker, is_started=True)
        write_marker(self._marker)
        server = self._room.server()
        self._is_started = True
        with _step("start", f"port {self._wish.port}") as (begin, end):
            yield begin
            yield CommandRan(show_command(server.start_arguments(), self._room.account))
            process = yield from server.start(self._target.cancellation)
            yield end()
        with _step("wait until it streams", f"from {self._target.where}") as (begin, end):
            yield begin
            behind = yield from watch_stream(self._target, self._wish, server)
            yield end()
        return process, behind

    # ------------------------------------------------------------ what an earlier run left

    def _clean_left(self) -> Routine[None]:
        marker = read_marker(self._room.directory)
        if marker is None:
            return
        self._marker, self.is_ours = marker, True
        self._has_slot = marker.system == self._target.collect_one("collect_replication").system
        self._has_passfile, self._is_started = bool(marker.passfile), marker.is_started
        left = self._undo()
        if left:
            raise StorageError(f"what an earlier run left could not be removed: {'; '.join(left)}", "remove it by hand")
        self._marker, self.is_ours, self.is_being_undone = None, False, False
        self._has_slot = self._has_passfile = self._is_started = False
        yield CommandRan(f"rm -r {shlex.quote(marker.directory)}  # left by the run of {marker.began}")

    # ------------------------------------------------------------ undoing

    def _undo_after(self, error: BaseException) -> None:
        """Remove what was made; what cannot be is told by the error that ended the run."""
        if not self.is_ours:
            return
        left = self._undo()
        if not left:
            return
        said = f"left behind: {'; '.join(left)}"
        if isinstance(error, DbtuiError):
            error.message = f"{error.message}; {said}"
        elif isinstance(error, Exception):
            raise ServerError(f"{error}; {said}") from error

    def _undo(self) -> list[str]:
        self.is_being_undone = True
        left: list[str] = []
        for undo in (self._stop, self._remove_files, self._remove_passfile, self._drop_slot):
            try:
                undo()
            except (DbtuiError, OSError) as error:
                left.append(format_untrusted(error.message if isinstance(error, DbtuiError) else str(error), 300))
        try:
            if not left:
                remove_marker(self._room.directory)
                self.is_ours = False
            elif self._marker is not None:  # nobody is at it any more: the next run may remove what is left
                write_marker(replace(self._marker, process_began=""))
        except StorageError as error:
            left.append(error.message)
        return left

    def _stop(self) -> None:
        if self._is_started and not self._room.server().stop():
            raise StorageError(f"the server in {self._wish.data_directory} does not stop")

    def _remove_files(self) -> None:
        marker, directory = self._marker, self._room.directory
        if marker is None or not is_its_directory(marker, directory):
            return
        if self._room.server().process() is not None:
            raise StorageError(f"{directory}: a server runs in it")
        remove_contents(directory, itself=not marker.had_directory)
        for parent in {Path(each).parent for each in marker.tablespaces}:
            remove_contents(parent, itself=True)

    def _remove_passfile(self) -> None:
        if self._has_passfile and self._marker is not None and self._marker.passfile:
            Path(self._marker.passfile).unlink(missing_ok=True)

    def _drop_slot(self) -> None:
        """Drop it, uninterrupted by a cancel. Its sender may take a moment to see that nobody reads any more."""
        if not self._has_slot or self._marker is None:
            return
        slot = self._marker.slot
        try:
            with open_beside(self._target, Cancellation()) as undisturbed:
                self._drop_slot_of(undisturbed, slot, time.monotonic() + _SLOT_SECONDS)
        except DbtuiError as error:
            said = f"slot {slot} on {self._target.where} ({error.message}): drop it, or the server keeps its log for it"
            raise ServerError(said) from error

    def _drop_slot_of(self, target: PostgresqlTarget, slot: str, ends: float) -> None:
        while target.collect("look_at_slot", slot=slot):
            if self._has_made_slot:  # else somebody else may read it by now
                target.collect("terminate_copy", slot=slot, copy=self._room.copy_name)
            try:
                target.collect("drop_replication_slot", slot=slot)
            except ServerError as error:
                if error.code == _NO_OBJECT:
                    return
                if error.code != _IN_USE or time.monotonic() > ends:
                    raise
                time.sleep(_LOOK_SECONDS)


@contextmanager
def _step(name: str, detail: str) -> Iterator[tuple[StepStarted, Callable[[], StepFinished]]]:
    """Give a step's two events, the second with its time."""
    began = time.monotonic()
    yield StepStarted(name, detail), lambda: StepFinished(name, time.monotonic() - began)
