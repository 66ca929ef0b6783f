"""What planning a restore needs to know of the server and this machine."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.databases import collect_destination
from dbtui.errors import ToolError
from dbtui.model.backups import BackupContents, BackupFormat, RestoreFacts, StoredBackup
from dbtui.model.text import format_untrusted

_START_LINE = 2
_CLOCK_SECONDS = 2.0


def collect_restore_facts(
    target: PostgresqlTarget, backup: StoredBackup, contents: BackupContents, database: str
) -> RestoreFacts:
    """Ask server and machine what planning a restore into `database` needs."""
    destination = collect_destination(target, database)
    row = target.collect_one("collect_server_for_restore", database=database)
    tool, tool_version, refusals = _tool(target, backup)
    return RestoreFacts(
        info=target.info,
        destination=destination,
        taken_names=tuple(row.databases),
        can_create_database=bool(row.can_create),
        missing_roles=tuple(role for role in contents.roles if role not in row.roles),
        missing_extensions=tuple(name for name in contents.extensions if name not in row.available_extensions),
        free_bytes=_free_bytes(target, row),
        tool=tool,
        tool_version=tool_version,
        refusals=(*refusals, *_refuse_extensions(target, contents, row)),
        remarks=tuple(_remarks(target, contents, row, database)),
    )


def _tool(target: PostgresqlTarget, backup: StoredBackup) -> tuple[str, str, tuple[str, ...]]:
    """Archives are loaded by pg_restore; plain dumps by us, statement by statement."""
    if backup.format is BackupFormat.PLAIN:
        return "", "", ()
    try:
        tool = target.find_tool("pg_restore")
    except ToolError as error:
        return "pg_restore", "", (str(error),)
    return tool.name, tool.version, ()


def _refuse_extensions(target: PostgresqlTarget, contents: BackupContents, row: Any) -> Iterator[str]:
    if target.info.is_superuser:
        return
    for name in contents.extensions:
        if name in row.superuser_extensions:
            yield f"only a superuser may create the extension {name}, which the backup needs: restore as a superuser"


def _remarks(target: PostgresqlTarget, contents: BackupContents, row: Any, database: str) -> Iterator[str]:
    dumped = contents.server_version.partition(".")[0]
    server = target.info.version_number // 10000
    if dumped.isdigit() and int(dumped) > server:
        yield f"the backup is of PostgreSQL {dumped} and the server is {server}: it may hold what this server refuses"
    if row.slots:
        names = ", ".join(format_untrusted(name, 63) for name in row.slots)
        yield f"logical replication slots of {format_untrusted(database)} stay with the old database: {names}"
    if target.is_pooled:
        yield "the connection goes through a pooler: after a replacement tell it to reconnect (PgBouncer: RECONNECT)"


def _free_bytes(target: PostgresqlTarget, row: Any) -> int | None:
    """The free space where the server keeps its data, if the server is on this machine and lets itself be looked at.

    A tunnel can make a server elsewhere look local: the start time in postmaster.pid says whether it is this one.
    """
    if not row.data_directory or not (target.host.startswith("/") or target.host in ("localhost", "127.0.0.1", "::1")):
        return None
    with contextlib.suppress(OSError, ValueError, IndexError):  # not here, or not for our eyes: then it is not known
        lines = (Path(row.data_directory) / "postmaster.pid").read_text().splitlines()
        if abs(float(lines[_START_LINE]) - row.started) <= _CLOCK_SECONDS:
            disk = os.statvfs(row.data_directory)
            return disk.f_bavail * disk.f_frsize
    return None
