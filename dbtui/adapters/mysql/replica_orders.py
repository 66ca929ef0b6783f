"""What changes a MySQL or MariaDB replica: stopping and starting its applier, promoting it."""

import time
from collections.abc import Iterator

from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.adapters.mysql.names import quote_name
from dbtui.adapters.mysql.probes import grant_everywhere, probes_of
from dbtui.adapters.mysql.replication import read_column, replica_words
from dbtui.errors import RefusedError, ServerError, UsageError
from dbtui.model.events import CommandRan, Progressed, Routine
from dbtui.model.replicas import ReplicaAction
from dbtui.model.text import format_duration

_LOOK_SECONDS = 0.2
_NO_PRIVILEGE = ("1227", "1044", "1045")


def show_orders(target: MysqlTarget, action: ReplicaAction, slot: str = "") -> tuple[str, ...]:
    """Return the statements that an action runs. Raises UsageError for what this engine has not."""
    if action is ReplicaAction.DROP_SLOT:
        raise UsageError(f"there is no slot {slot!r}: {target.info.flavour} has none", "expire_logs limits its log")
    word = "REPLICA" if not target.is_mariadb and target.info.version_number >= 80022 else "SLAVE"
    named = [f"{word} {name}" if name else word for name in _connection_names(target)] or [word]
    if action is ReplicaAction.PAUSE:
        return tuple(f"STOP {each} SQL_THREAD;" for each in named)
    if action is ReplicaAction.RESUME:
        return tuple(f"START {each} SQL_THREAD;" for each in named)
    if action is ReplicaAction.PROMOTE:
        stops, resets = (f"STOP {each};" for each in named), (f"RESET {each} ALL;" for each in named)
        return (*stops, *resets, "SET GLOBAL read_only = OFF;")
    raise UsageError(f"{action.value} is more than a statement", "plan it as a whole")


def _connection_names(target: MysqlTarget) -> list[str]:
    """MariaDB's names of connections, in quotes. Oracle's statements without a channel are about all of them."""
    if not target.is_mariadb:
        return [""]
    names = [str(row.get("Connection_name") or "") for row in _sources(target)]
    return [f"'{name.replace(chr(92), chr(92) * 2).replace(chr(39), chr(39) * 2)}'" if name else "" for name in names]


def _sources(target: MysqlTarget) -> list[Row]:
    return target.rows(replica_words(target.is_mariadb, target.info.version_number))


def give_orders(target: MysqlTarget, action: ReplicaAction) -> None:
    """Run an action's statements. Raises RefusedError (read-only profile, no replica, no privilege), ServerError."""
    target.refuse_read_only(action.value)
    if not _sources(target):
        raise RefusedError(f"{action.value} is for replicas: {target.options.server} has no source", "name a replica")
    for order in show_orders(target, action):
        _run(target, order.removesuffix(";"), action)


def _run(target: MysqlTarget, order: str, action: ReplicaAction) -> None:
    try:
        target.rows(order)
    except ServerError as error:
        if error.code not in _NO_PRIVILEGE:
            raise
        hint = f"it needs {grant_everywhere(target, _needed(target, order))}"
        raise RefusedError(f"{action.value} is not allowed for this login: {error.message}", hint) from error


def _needed(target: MysqlTarget, order: str) -> str:
    if "read_only" in order:
        return "READ_ONLY ADMIN" if target.is_mariadb else "CONNECTION_ADMIN, SYSTEM_VARIABLES_ADMIN"
    return "REPLICATION SLAVE ADMIN" if target.is_mariadb else "REPLICATION_SLAVE_ADMIN"


def promote(target: MysqlTarget, patience_seconds: float) -> Routine[None]:
    """Let the applier finish what was received, then forget the source and take writes.

    Raises RefusedError, ServerError (what was received is not applied in time: nothing was changed), Cancelled.
    """
    target.refuse_read_only(ReplicaAction.PROMOTE.value)
    if not _sources(target):
        raise RefusedError(f"{target.options.server} has no source: it is a primary already", "name a replica")
    began = time.monotonic()
    while unapplied := tuple(_unapplied(target)):
        waited = time.monotonic() - began
        if waited > patience_seconds:
            said = f"what was received is not applied after {format_duration(waited)}: {unapplied[0]}"
            raise ServerError(said, "nothing was changed; see that the applier runs")
        yield Progressed(int(waited), None, "seconds", "applying what was received")
        target.cancellation.wait(_LOOK_SECONDS)
        target.cancellation.check()
    for order in show_orders(target, ReplicaAction.PROMOTE):
        yield CommandRan(order)
        _run(target, order.removesuffix(";"), ReplicaAction.PROMOTE)
    probes_of(target).refused.clear()


def _unapplied(target: MysqlTarget) -> Iterator[str]:
    for row in _sources(target):
        read = read_column(row, "Log_File"), read_column(row, "Read_Log_Pos")
        done = read_column(row, "Relay_Log_File"), read_column(row, "Exec_Log_Pos")
        if read != done:
            channel = str(row.get("Connection_name") or row.get("Channel_Name") or "")
            of = f" of {quote_name(channel)}" if channel else ""
            yield f"received{of} up to {read[0]}:{read[1]}, applied up to {done[0]}:{done[1]}"
