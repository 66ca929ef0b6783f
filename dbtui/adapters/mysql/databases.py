"""Databases on the server: what a restore would meet, making one, dropping one."""

import shutil
from pathlib import Path

from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.names import quote_name, show_name
from dbtui.adapters.mysql.privileges import has_roles, lacks, privileges_on
from dbtui.errors import RefusedError, ServerError, UsageError
from dbtui.model.backups import BackupContents, DestinationFacts, RestoreFacts, StoredBackup

_SYSTEM = ("information_schema", "mysql", "performance_schema", "sys")


def collect_destination(target: MysqlTarget, database: str) -> DestinationFacts:
    """Look at the database a restore would fill. No session is disconnected by a restore, so none is named."""
    if not target.collect("find_schema", schema=database):
        return DestinationFacts(database=database, exists=False)
    counts = target.collect_one("count_objects", schema=database)
    size = target.collect_one("size_of_schema", schema=database)
    return DestinationFacts(
        database=database, exists=True, tables=int(counts["objects"]), size_bytes=int(size["bytes"])
    )


def collect_restore_facts(
    target: MysqlTarget,
    backup: StoredBackup,  # noqa: ARG001 - the protocol has it
    contents: BackupContents,
    database: str,
) -> RestoreFacts:
    """Ask server and machine what planning a restore into `database` needs."""
    grants = target.collect_grants()
    held = privileges_on(grants, database)
    missing = _missing_definers(target, contents)
    refusals = [f"{database} is a database of the server itself"] if database.lower() in _SYSTEM else []
    try:
        quote_name(database)
    except UsageError as error:
        refusals.append(str(error))
    return RestoreFacts(
        info=target.info,
        destination=collect_destination(target, database),
        taken_names=tuple(str(row["name"]) for row in target.collect("schema_names")),
        can_create_database=has_roles(grants) or not lacks(held, "CREATE"),
        missing_roles=missing,
        free_bytes=_free_bytes(target),
        tool="dbtui's own loader",
        refusals=tuple(refusals),
        remarks=tuple(_remarks(target, database)),
    )


def _missing_definers(target: MysqlTarget, contents: BackupContents) -> tuple[str, ...]:
    """Return the accounts that objects of the backup run as and that are not here; none when we may not look."""
    if not contents.roles:
        return ()
    try:
        known = {str(row["account"]) for row in target.collect("accounts")}
    except ServerError as error:
        if error.code not in ("1142", "1044", "1227"):
            raise
        return ()
    return tuple(role for role in contents.roles if role not in known and role.removesuffix("@%") not in known)


def _remarks(target: MysqlTarget, database: str) -> list[str]:
    remarks = []
    users = target.collect("sessions_in_schema", schema=database)
    if users:
        remarks.append(
            f"{len(users)} sessions are in {show_name(database)}; none is disconnected, but an open transaction "
            "there delays a swap"
        )
    outside = target.collect("foreign_keys_from_outside", schema=database)
    if outside:
        first = f"{show_name(str(outside[0]['child_schema']))}.{show_name(str(outside[0]['child']))}"
        remarks.append(
            f"{first} refers to a table of {show_name(database)} from another database: --replace would be refused"
        )
    return remarks


def _free_bytes(target: MysqlTarget) -> int | None:
    """Room where the server keeps its data, if it runs here and we may look."""
    if not target.options.is_local:
        return None
    directory = Path(str(target.collect_one("data_directory")["path"]))
    try:
        return shutil.disk_usage(directory).free
    except OSError:  # another mount namespace, or a directory that we may not see
        return None


def create_database(target: MysqlTarget, database: str, like: str, contents: BackupContents) -> None:
    """Create an empty database with the character set of `like`, else of the dumped one if it is here."""
    target.refuse_read_only(f"creating database {show_name(database)}")
    model = target.collect("find_schema", schema=like or contents.database)
    extra = f" CHARACTER SET {model[0]['charset']} COLLATE {model[0]['collation']}" if model else ""
    target.rows(f"CREATE DATABASE {quote_name(database)}{extra}", what=f"creating database {show_name(database)}")


def drop_database(target: MysqlTarget, database: str) -> None:
    """Drop a database that this run created. No error if it is not there."""
    if database.lower() in _SYSTEM:
        raise RefusedError(f"{database} is a database of the server itself")
    target.refuse_read_only(f"dropping database {show_name(database)}")
    target.rows(f"DROP DATABASE IF EXISTS {quote_name(database)}", what=f"dropping database {show_name(database)}")
