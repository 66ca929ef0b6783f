"""The plan of a restore: where the data goes, what is replaced, what is missing, how to go back."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dbtui.analysis.backups.steps import restore_steps, undo_sentence
from dbtui.model.backups import (
    BackupContents,
    BackupTable,
    Manifest,
    RestoreFacts,
    RestoreOptions,
    RestorePlan,
    StoredBackup,
    TableName,
)
from dbtui.model.connections import ConnectionProfile, EngineName, ServerInfo
from dbtui.model.names import parse_unfinished
from dbtui.model.text import format_bytes

#: What a database takes on disk, as a multiple of what it took when it was dumped, and of its dump as text.
_DATABASE_MARGIN = 1.1
_TEXT_MARGIN = 1.6
#: Where a profile comes from whose name means nothing to another command.
_TYPED = "command line"


@dataclass(frozen=True, slots=True)
class DestinationChoice:
    """Where a restore goes: loaded as `load`, known as `final` in the end.

    `swaps`: a database called `final` exists, empty or not, and is kept as `keeps_as`. `replaces`: it has tables.
    """

    final: str
    load: str
    keeps_as: str = ""
    swaps: bool = False
    replaces: bool = False


def choose_destination(
    facts: RestoreFacts,
    options: RestoreOptions,
    *,
    fresh_name: str,
    kept_name: str,
    restored_name: Callable[[int], str],
) -> DestinationChoice:
    """Decide where a restore goes.

    Into the database that was asked for, or else the target's own, if it is absent or empty or may be replaced;
    else into a new one. `restored_name(n)` gives the n-th name to try for that.
    """
    wanted = facts.destination
    if not wanted.exists:
        return DestinationChoice(wanted.database, wanted.database)
    is_empty = wanted.tables == 0
    if is_empty or options.replace or options.into:
        return DestinationChoice(wanted.database, fresh_name, kept_name, swaps=True, replaces=not is_empty)
    number = 1
    while restored_name(number) in facts.taken_names:
        number += 1
    name = restored_name(number)
    return DestinationChoice(name, name)


def plan_restore(
    backup: StoredBackup,
    contents: BackupContents,
    facts: RestoreFacts,
    profile: ConnectionProfile,
    options: RestoreOptions,
    choice: DestinationChoice,
    server: str,
) -> RestorePlan:
    """Decide about a restore. `server` names where it goes, as the operator knows it ("db1:5432")."""
    tables, unknown = _chosen_tables(contents, options.tables)
    needed = _needed_bytes(backup, contents, tables)
    refusals = [
        *_refuse_target(facts, profile, options, choice),
        *(f"the backup has no table “{name}”: see `dbtui backup show` for those it has" for name in unknown),
        *_refuse_space(needed, facts.free_bytes),
        *facts.refusals,
    ]
    return RestorePlan(
        backup=backup,
        contents=contents,
        profile=profile.name,
        environment=profile.environment.value,
        server=server,
        load_database=choice.load,
        final_database=choice.final,
        replaces=choice.swaps,
        keeps_as=choice.keeps_as,
        tables=tables,
        jobs=options.jobs,
        sessions=facts.destination.sessions if choice.swaps else (),
        needed_bytes=needed,
        free_bytes=facts.free_bytes,
        missing_roles=facts.missing_roles,
        missing_extensions=facts.missing_extensions,
        steps=restore_steps(backup, facts, choice, tables, options.jobs),
        undo=undo_sentence(backup.engine, choice, profile.name if profile.origin != _TYPED else "TARGET"),
        warnings=tuple(_warn(backup, contents, facts, choice, tables)),
        refusals=tuple(refusals),
        confirm_name=_name_to_type(backup.engine, choice.final) if choice.replaces else "",
    )


def _name_to_type(engine: EngineName, database: str) -> str:
    """What the operator types to confirm: SQLite's databases are paths, and the file's name is enough."""
    return database.rpartition("/")[2] if engine is EngineName.SQLITE else database


def refuse_restore(
    backup: StoredBackup, contents: BackupContents, profile: ConnectionProfile, server: str, reason: str
) -> RestorePlan:
    """Return the plan of a restore that cannot even be looked into."""
    return RestorePlan(
        backup=backup,
        contents=contents,
        profile=profile.name,
        environment=profile.environment.value,
        server=server,
        load_database="",
        final_database="",
        refusals=(reason,),
    )


# ---------------------------------------------------------------- what speaks against it


def _chosen_tables(contents: BackupContents, names: tuple[str, ...]) -> tuple[tuple[TableName, ...], tuple[str, ...]]:
    """Return the tables that were asked for, as `schema.table` or `table`, and the names that match none."""
    chosen: list[TableName] = []
    unknown = []
    for name in names:
        found = [table.table_name for table in contents.tables if name in (str(table.table_name), table.name)]
        chosen += [table for table in found if table not in chosen]
        if not found:
            unknown.append(name)
    return tuple(chosen), tuple(unknown)


def _refuse_target(
    facts: RestoreFacts, profile: ConnectionProfile, options: RestoreOptions, choice: DestinationChoice
) -> Iterator[str]:
    if profile.read_only:
        yield f"profile {profile.name} is read-only: take read_only out of its configuration or choose another target"
    if facts.info.role == "replica":
        yield f"the server behind {profile.name} is a replica and takes no changes: restore on its primary"
    if choice.replaces and not options.replace:
        count = facts.destination.tables
        yield (
            f"{choice.final} exists and has {count} table{'' if count == 1 else 's'}: "
            "choose another name with --into, or replace it with --replace"
        )
    if choice.replaces and options.tables:
        yield (
            f"--table with --replace would leave {choice.final} with those tables alone: "
            "restore them into a new database with --into"
        )
    if not facts.can_create_database:
        yield (
            f"{facts.info.user or 'this login'} may not create the database {choice.load}: "
            f"{_grant_to_create(facts.info, choice.load)}"
        )
    if options.jobs < 1:
        yield f"--jobs {options.jobs} makes no sense: give a number from 1 on"
    for extension in facts.missing_extensions:
        yield f"the server lacks the extension {extension}, which the backup needs: install its package there first"


def _grant_to_create(info: ServerInfo, database: str) -> str:
    user = '"' + info.user.replace('"', '""') + '"'
    if info.engine is EngineName.POSTGRESQL:
        return f"ALTER ROLE {user} CREATEDB"
    if info.engine is EngineName.MYSQL:
        return "GRANT ALL PRIVILEGES ON `{}`.* to it".format(database.replace("`", "``"))
    return "choose a directory that you may write to"


def _needed_bytes(backup: StoredBackup, contents: BackupContents, tables: tuple[TableName, ...]) -> int | None:
    manifest = backup.manifest
    if manifest is None:
        return None
    whole: float | None = None
    if manifest.database_bytes:
        whole = manifest.database_bytes * _DATABASE_MARGIN
    elif manifest.uncompressed_bytes:
        whole = manifest.uncompressed_bytes * _TEXT_MARGIN
    return None if whole is None else int(whole * _share(contents.tables, tables))


def _share(every: tuple[BackupTable, ...], tables: tuple[TableName, ...]) -> float:
    total = sum(table.bytes or 0 for table in every)
    if not tables or not total:
        return 1.0
    return sum(table.bytes or 0 for table in every if table.table_name in tables) / total


def _refuse_space(needed: int | None, free: int | None) -> Iterator[str]:
    if needed is not None and free is not None and free < needed:
        yield (
            f"about {format_bytes(needed)} are needed where the server keeps its data, {format_bytes(free)} are free: "
            "make room, or choose another server"
        )


# ---------------------------------------------------------------- what the operator should know


def _warn(
    backup: StoredBackup,
    contents: BackupContents,
    facts: RestoreFacts,
    choice: DestinationChoice,
    tables: tuple[TableName, ...],
) -> Iterator[str]:
    manifest = backup.manifest
    if facts.missing_roles:
        yield _warn_of_roles(facts)
    if choice.swaps and facts.destination.sessions:
        count = len(facts.destination.sessions)
        yield f"{count} session{'' if count == 1 else 's'} on {choice.final} will be disconnected"
    if manifest is None:
        yield "a foreign file: there is no manifest to compare its checksum and row counts with"
    else:
        if manifest.verified_at is None:
            yield "this backup has not been verified yet"
        yield from _warn_of_version(manifest, facts.info)
        if manifest.schema_only:
            yield "this backup holds the schema alone, no rows"
    if tables and len(tables) < len(contents.tables):
        yield f"{len(tables)} of {len(contents.tables)} tables are restored; what refers to the others is left out"
    for name in facts.taken_names:
        database = parse_unfinished(name)
        if database and facts.destination.database.startswith(database):
            yield f"{name} is left over from a restore that was killed, unless one is running now: drop it"
    yield from contents.warnings
    yield from facts.remarks


def _warn_of_roles(facts: RestoreFacts) -> str:
    names = ", ".join(facts.missing_roles)
    if facts.info.engine is EngineName.MYSQL:
        return f"missing here: {names}; views, triggers, routines and events that run as them fail until they are made"
    return f"missing here: {names}; owners and grants are left out, everything will belong to {facts.info.user}"


def _warn_of_version(manifest: Manifest, info: ServerInfo) -> Iterator[str]:
    if manifest.flavour and info.flavour and manifest.flavour != info.flavour:
        yield f"the backup is of {manifest.flavour}, this server is {info.flavour}: it may not know some statements"
    elif _major(manifest.server_version) > _major(info.version) > (0,):
        yield f"the backup is of {manifest.flavour} {manifest.server_version}, this server is older: {info.version}"


def _major(version: str) -> tuple[int, ...]:
    """The part of a version that decides: 15 of "15.18", (10, 11) of "10.11.19-MariaDB"."""
    numbers = []
    for part in version.split("-")[0].split(" ")[0].split(".")[:2]:
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers[:1] if numbers and numbers[0] >= 13 else numbers) or (0,)
