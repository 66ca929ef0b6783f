"""Trying a restore from a repository: into a throwaway directory, a throwaway server on it, and a look at every row."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dbtui.adapters.adapter import Target, narrow
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.restored import SUPERUSER, RestoredPostgresql, collect_databases, read_database
from dbtui.adapters.repositories.repository import RepositoryAdapter
from dbtui.adapters.streams import storage_errors
from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.adapters.throwaway.proving import free_bytes
from dbtui.errors import ConnectError, ServerError, StorageError, ToolError
from dbtui.model.events import CommandRan, Progressed, Routine, StepFinished, StepStarted
from dbtui.model.repositories import (
    RepositoryDetail,
    RepositoryRestoreOptions,
    RepositoryTrialPlan,
    Tablespace,
)
from dbtui.model.text import format_count, format_untrusted
from dbtui.routines.context import RoutineContext, removed_after
from dbtui.routines.repository_findings import Findings

_TICK_SECONDS = 0.1
_FULL_BYTES = 4 << 20
_NOT_ITS_FAULT = "which says nothing against the backup"
#: What a program needs of our environment to reach a server of our own; nothing that leads elsewhere.
_KEPT_VARIABLES = ("PATH", "TMPDIR", "DBTUI_PG_BIN", "LD_LIBRARY_PATH")


class TrialServer:
    """The throwaway directory and its server. While `is_ours` they exist, or are being made; `close` removes both.

    After a `kill -9` of this process a watchdog removes them, and what even that leaves the next verification does.
    """

    def __init__(self, c: RoutineContext, plan: RepositoryTrialPlan) -> None:
        self.is_ours = True
        self.is_being_undone = False
        self.plan = plan
        with storage_errors(Path(plan.parent)):
            self.directory = ServerDirectory.create(Path(plan.parent))
        try:
            self.server = RestoredPostgresql(self.directory, plan, c.environ)
        except BaseException:
            self.directory.close()
            raise

    @property
    def undoing(self) -> str:
        """What is being removed."""
        return f"removing the throwaway {self.plan.server}"

    @property
    def left(self) -> str:
        """What it is, and what becomes of it if this process ends now."""
        place = format_untrusted(str(self.directory.path))
        return f"the throwaway {self.plan.server} in {place}: it ends with dbtui"

    @property
    def is_full(self) -> bool:
        """Whether its disk has no room left."""
        free = free_bytes(self.directory.path)
        return free is not None and free < _FULL_BYTES

    def close(self) -> None:
        """End the server and remove the directory. May be called twice."""
        self.is_being_undone = True
        self.server.stop()
        self.directory.close()
        self.is_ours = self.is_being_undone = False


def restore_on_trial(
    c: RoutineContext,
    adapter: RepositoryAdapter,
    detail: RepositoryDetail,
    plan: RepositoryTrialPlan,
    found: Findings,
) -> Routine[None]:
    """Restore a backup into a throwaway directory, start a server there until it is consistent, and read it.

    Raises what is no fault of the backup: ToolError, StorageError, ConnectError, Cancelled.
    """
    with removed_after(c, TrialServer(c, plan)) as trial:
        is_restored = yield from _restore(adapter, detail, trial, found)
        if is_restored and (yield from _start(c, trial, found)):
            yield from _read(c, trial, found)
        began = time.monotonic()
        yield StepStarted("remove", f"the throwaway {plan.server}")
        trial.close()
        yield StepFinished("remove", time.monotonic() - began)


def _restore(
    adapter: RepositoryAdapter, detail: RepositoryDetail, trial: TrialServer, found: Findings
) -> Routine[bool]:
    """Have the tool restore; False when it could not, which is the backup's fault unless the disk is full."""
    backup, server = detail.backup, trial.server
    found.where = f"a throwaway {trial.plan.server}"
    spaces: Sequence[tuple[Tablespace, str]] = [
        (space, str(server.home / "tablespaces" / str(number))) for number, space in enumerate(detail.tablespaces)
    ]
    options = RepositoryRestoreOptions(directory=str(server.data))
    command = adapter.restore_command(backup, options, spaces, is_trial=True)
    began = time.monotonic()
    yield StepStarted("restore", f"{backup.label} into {server.data}")
    yield CommandRan(format_untrusted(" ".join(command)))
    try:
        yield from adapter.restore(backup, str(server.data), command)
    except ToolError as error:
        if trial.is_full or "No space left" in error.message:
            raise _full(trial) from error
        found.problems.append(f"it cannot be restored: {error.message}")
        return False
    yield StepFinished("restore", time.monotonic() - began)
    found.checked.append(f"a whole restore by {adapter.repository.kind.product}")
    return True


def _full(trial: TrialServer) -> StorageError:
    return StorageError(
        f"the disk under {trial.plan.parent} is full: the throwaway {trial.plan.server} could not go on, "
        f"{_NOT_ITS_FAULT}",
        "let TMPDIR name a directory with more room",
    )


def _start(c: RoutineContext, trial: TrialServer, found: Findings) -> Routine[bool]:
    """Start the server and wait for its consistent state; False when it ends before, by the backup's fault."""
    server = trial.server
    began = time.monotonic()
    yield StepStarted("recovery", f"{trial.plan.server} replays WAL until it is consistent")
    server.prepare()
    server.launch()
    while not server.is_ready():
        if server.has_ended:
            words, is_elsewhere = server.why_not()
            if trial.is_full:
                raise _full(trial)
            if is_elsewhere:
                raise ToolError(f"the restored server does not start here, {_NOT_ITS_FAULT}: {words}")
            found.problems.append(f"a server restored from it does not start: {words}")
            return False
        c.cancellation.wait(_TICK_SECONDS)
        c.cancellation.check()
        yield Progressed(int(time.monotonic() - began), None, "seconds", server.recovered_to())
    yield StepFinished("recovery", time.monotonic() - began)
    found.checked.append("the start of a server from it, and its recovery to a consistent state")
    return True


def _read(c: RoutineContext, trial: TrialServer, found: Findings) -> Routine[None]:
    """Read every table of every database."""
    began = time.monotonic()
    alone = replace(
        c,
        environ={name: c.environ[name] for name in _KEPT_VARIABLES if name in c.environ}
        | {"HOME": str(trial.directory.path)},
        password_of=lambda profile: profile.password,
    )
    with _open(alone, trial) as opened:
        target = narrow(opened, PostgresqlTarget)
        databases = collect_databases(target)
        yield StepStarted("read", f"every table of {len(databases)} databases")
        tables = rows = 0
        for database in databases:
            try:
                counted = yield from read_database(target, database)
            except ServerError as error:
                found.problems.append(f"{format_untrusted(database)} cannot be read: {error.message}")
                continue
            tables, rows = tables + counted[0], rows + counted[1]
            found.problems += counted[2]
    found.databases, found.tables, found.rows = len(databases), tables, rows
    found.checked.append(
        f"every row of {format_count(tables)} {'table' if tables == 1 else 'tables'} in {len(databases)} databases, "
        "and their catalogues"
    )
    yield StepFinished("read", time.monotonic() - began)


@contextmanager
def _open(c: RoutineContext, trial: TrialServer) -> Iterator[Target]:
    """Log in as a superuser, whose name is usually the same everywhere, or the account's."""
    names = tuple(dict.fromkeys((SUPERUSER, trial.plan.account)))
    for number, name in enumerate(names):
        try:
            opened = c.open_target(trial.server.profile(name))
            with opened as target:
                yield target
            return
        except ConnectError as error:
            if error.code != "28000" or number + 1 == len(names):
                raise
