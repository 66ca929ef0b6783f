"""Everything that planning a new replica needs, asked of the source and looked for on this machine. Nothing is made."""

import os
import time
from pathlib import Path

from dbtui.adapters.clocks import measure_skew
from dbtui.adapters.disks import free_bytes
from dbtui.adapters.postgresql.basebackup import copy_arguments
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.replica_files import file_settings
from dbtui.adapters.postgresql.replica_marker import describe_left, read_marker
from dbtui.adapters.postgresql.replica_place import (
    account_name,
    find_directory_problem,
    find_port_problem,
)
from dbtui.adapters.postgresql.replica_server import show_command
from dbtui.adapters.postgresql.replica_source import collect_settings, collect_source
from dbtui.adapters.postgresql.replica_workshop import Workshop
from dbtui.errors import StorageError
from dbtui.model.replica_facts import AdditionFacts, LeftAddition, PlaceFacts, SourceFacts
from dbtui.model.replicas import ReplicaWish


def collect_addition(target: PostgresqlTarget, wish: ReplicaWish) -> AdditionFacts:
    """Ask the source, and look at this machine. Raises ServerError, ConnectError, UsageError, ToolError."""
    settings = collect_settings(target)
    source = collect_source(target, settings, _skew(target))
    room = Workshop(target, wish, settings)
    return AdditionFacts(source=source, place=_place(room, source))


def _skew(target: PostgresqlTarget) -> float:
    sent = time.time()
    clock = target.collect_one("collect_replication").clock
    return measure_skew(clock, sent, time.time())


def _place(room: Workshop, source: SourceFacts) -> PlaceFacts:
    left, left_problem = _left(room, source)
    directory = room.directory
    ours = left is not None and left.has_directory  # it is emptied before anything else is made
    problem = left_problem or room.account_problem
    if not problem and not ours:
        problem = _find_source_problem(room) or find_directory_problem(directory, room.account)
    problem = problem or _find_beside_problem(room, left)
    return PlaceFacts(
        data_directory=str(directory),
        exists=directory.is_dir() and (not ours or (left is not None and left.had_directory)),
        problem=problem,
        free_bytes=free_bytes(directory),
        account=account_name(room.account),
        is_other_account=room.account is not None,
        port_problem=find_port_problem(room.wish.host, room.wish.port),
        tool_problem=room.programs.problem,
        commands=_commands(room),
        left=left,
    )


def _find_source_problem(room: Workshop) -> str:
    """Return what is wrong with a directory inside of those that are copied: the copy would copy itself."""
    homes = [room.settings.data_directory, *(old for old, _ in room.tablespaces)]
    inside = next((each for each in homes if each and room.directory.is_relative_to(each)), "")
    if not inside or not Path(inside).is_dir() or room.directory == Path(inside):
        return ""
    return f"{room.directory} is inside of {inside}, which is the source's own: name a directory beside it"


def _find_beside_problem(room: Workshop, left: LeftAddition | None) -> str:
    """Return which of the files beside the data directory is there already, and is not what an earlier run left."""
    if room.passfile is not None and os.path.lexists(room.passfile) and not (left and left.passfile):
        return f"{room.passfile} is there already: dbtui would write the replica's password to it; move it away"
    beside = room.tablespace_directory
    if room.tablespaces and os.path.lexists(beside) and not (left and left.has_directory):
        return f"{beside} is there already: dbtui would copy tablespaces to it; move it away"
    return ""


def _left(room: Workshop, source: SourceFacts) -> tuple[LeftAddition | None, str]:
    try:
        marker = read_marker(room.directory)
    except StorageError as error:
        return None, str(error)
    if marker is None:
        return None, ""
    is_served = marker.is_started and room.server().process() is not None
    return describe_left(marker, source.slot_names, source.system, is_served=is_served), ""


def _commands(room: Workshop) -> tuple[tuple[str, str], ...]:
    """The steps of the plan, as (what, exact text)."""
    wish, target = room.wish, room.target
    settings = "; ".join(f"{name} = {value!r}" for name, value in room.own_settings().items())
    found = [("create slot", f"{target.show_statement('create_replication_slot', slot=wish.slot)};")]
    if room.passfile is not None:
        found.append(
            ("passfile", f"write {room.passfile} (mode 0600): the password of {target.info.user} for {wish.name}")
        )
    found.append(("copy", show_command(copy_arguments(room.copy_request()), room.account)))
    found.append(("settings", f"add to {room.directory}/postgresql.auto.conf: {settings}"))
    if files := file_settings(room.settings, room.directory):
        names = ", ".join(files)
        found.append(("files", f"add to {room.directory}/postgresql.conf: {names}, so that they are its own"))
    found.append(("start", show_command(room.server().start_arguments(), room.account)))
    for old, new in room.tablespaces:
        found.append(("tablespace", f"{old} is copied to {new}"))
    return tuple(found)
