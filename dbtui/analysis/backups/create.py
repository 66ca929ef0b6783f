"""The plan of a backup: what will be run, what speaks against it, how large it will be."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from shlex import join

from dbtui.analysis.backups.names import choose_backup_id, data_suffix
from dbtui.model.backups import (
    MANIFEST_SUFFIX,
    PARTIAL_SUFFIX,
    BackupFormat,
    CompressionKind,
    CreatePlan,
    DumpFacts,
    DumpOptions,
    Manifest,
    PlanStep,
)
from dbtui.model.connections import EngineName
from dbtui.model.text import format_bytes

#: How much more room than expected a backup must find.
SPACE_MARGIN = 1.2
#: Without an earlier backup: text of a table as a share of its bytes on disk, and packed text as a share of text.
_TEXT_SHARE = 0.9
_PACKED_SHARE = 0.5
#: A database that seems to have grown or shrunk by more than this since its last backup: the sizes are not to be
#: trusted. MariaDB says 80 kB of tables of 100 MB until their statistics are made.
_LIKELY_GROWTH = 2.0
#: The sizes of tables alone say little about a dump (indexes, bloat, how well it packs): less room than expected earns
#: a warning, less than this share of it a refusal.
_GUESS_SHARE = 0.25
_SHOWN = 5
_OFFERED = {
    EngineName.POSTGRESQL: (BackupFormat.PLAIN, BackupFormat.CUSTOM, BackupFormat.DIRECTORY),
    EngineName.MYSQL: (BackupFormat.PLAIN, BackupFormat.DIRECTORY),
    EngineName.SQLITE: (BackupFormat.COPY,),
}


def fit_options(engine: EngineName, options: DumpOptions) -> DumpOptions:
    """Return the options with SQLite's only format where the default, plain, was asked for."""
    if engine is EngineName.SQLITE and options.format is BackupFormat.PLAIN:
        return replace(options, format=BackupFormat.COPY)
    return options


def plan_create(
    facts: DumpFacts,
    options: DumpOptions,
    *,
    database: str,
    directory: str,
    now: datetime,
    is_taken: Callable[[str], bool],
    free_bytes: int | None = None,
    previous: Manifest | None = None,
    problems: tuple[str, ...] = (),
) -> CreatePlan:
    """Decide about a backup.

    `is_taken` tells whether an id exists already, `previous` is the last backup of the same database,
    `free_bytes` the room in `directory`, `problems` what is wrong with those it should be encrypted to.
    """
    options = fit_options(facts.info.engine, options)
    backup_id = choose_backup_id(database, now, is_taken)
    data_name = backup_id + data_suffix(
        options.format,
        options.compression,
        0 if facts.tool_lacks_zstd else facts.tool_major,
        is_encrypted=bool(options.encrypt_to),
    )
    raw_bytes, disk_bytes = estimate_bytes(facts, options, previous)
    peak_bytes = _peak_bytes(facts, options, raw_bytes, disk_bytes)
    share = SPACE_MARGIN if _is_sure(facts, options, previous) else _GUESS_SHARE
    shortage = _say_shortage(directory, peak_bytes, free_bytes, SPACE_MARGIN)
    grave_shortage = _say_shortage(directory, peak_bytes, free_bytes, share)
    refusals = [*problems, *_refuse_options(facts, options), *_refuse_server(facts, options), *grave_shortage]
    return CreatePlan(
        backup_id=backup_id,
        directory=directory,
        data_name=data_name,
        options=options,
        facts=facts,
        steps=_steps(facts, options, database, data_name),
        warnings=(*_warn(facts, options), *(() if grave_shortage else shortage)),
        refusals=tuple(refusals),
        expected_bytes=disk_bytes,
        expected_raw_bytes=raw_bytes,
        free_bytes=free_bytes,
    )


# ---------------------------------------------------------------- size


def estimate_bytes(facts: DumpFacts, options: DumpOptions, previous: Manifest | None) -> tuple[int | None, int | None]:
    """Return how many bytes the tool will write and how many the backup will take on disk, each None if unknown.

    The last backup of the same tables is the best guess, scaled by how the database grew since.
    """
    if options.schema_only:
        return None, None
    if previous is not None and _is_alike(facts, options, previous):
        growth = _growth(facts, previous)
        raw = previous.uncompressed_bytes
        if previous.format == options.format and previous.compression == str(options.compression):
            return _scaled(raw, growth), _scaled(previous.size_bytes, growth)
        if raw is not None and not _packs(options):
            return _scaled(raw, growth), _scaled(raw, growth)
    known = [table.bytes for table in facts.tables if table.bytes is not None]
    is_whole_copy = options.format is BackupFormat.COPY and not (known and (options.tables or options.exclude_tables))
    total = facts.database_bytes if is_whole_copy else sum(known) if known else None
    if total is None:
        return None, None
    text = total if options.format is BackupFormat.COPY else int(total * _TEXT_SHARE)
    return text, int(text * _PACKED_SHARE) if _packs(options) else text


def _peak_bytes(facts: DumpFacts, options: DumpOptions, raw: int | None, disk: int | None) -> int | None:
    """The room that is needed while it is made: SQLite's copies are made whole before they are packed or cut down."""
    if options.format is not BackupFormat.COPY or disk is None or options.encrypt_to:  # which copies in memory
        return disk
    whole = facts.database_bytes or raw or 0 if options.tables or options.exclude_tables else 0
    return disk + whole + (raw or 0 if _packs(options) else 0)


def _is_sure(facts: DumpFacts, options: DumpOptions, previous: Manifest | None) -> bool:
    """Whether the expected size is more than a guess from the sizes of tables."""
    if options.format is BackupFormat.COPY:
        return True
    return previous is not None and _is_alike(facts, options, previous)


def _growth(facts: DumpFacts, previous: Manifest) -> float:
    if not previous.database_bytes or not facts.database_bytes:
        return 1.0
    return facts.database_bytes / previous.database_bytes


def _is_alike(facts: DumpFacts, options: DumpOptions, previous: Manifest) -> bool:
    return (
        1 / _LIKELY_GROWTH <= _growth(facts, previous) <= _LIKELY_GROWTH
        and previous.selected_tables == options.tables
        and previous.excluded_tables == options.exclude_tables
        and previous.schema_only == options.schema_only
    )


def _packs(options: DumpOptions) -> bool:
    return options.compression.kind is not CompressionKind.NONE


def _scaled(size: int | None, factor: float) -> int | None:
    return None if size is None else int(size * factor)


# ---------------------------------------------------------------- what speaks against it


def _refuse_options(facts: DumpFacts, options: DumpOptions) -> Iterator[str]:
    engine = facts.info.engine
    if options.format not in _OFFERED[engine]:
        offered = ", ".join(_OFFERED[engine])
        yield f"{facts.info.flavour} has no {options.format.value} format here: choose {offered}"
    if (
        engine is EngineName.MYSQL
        and options.format is BackupFormat.DIRECTORY
        and options.compression.kind is CompressionKind.GZIP
    ):
        yield "a directory of mydumper's is packed with zstd here: use --compress zstd or none"
    if options.jobs < 1:
        yield f"--jobs {options.jobs} makes no sense: give a number from 1 on"
    if options.jobs > 1 and options.format is not BackupFormat.DIRECTORY:
        yield f"--jobs {options.jobs} needs --format directory: other formats are written by one process"
    yield from _refuse_memory(facts, options)
    if options.encrypt_to and options.format is BackupFormat.DIRECTORY:
        yield (
            f"{facts.tool} writes the files of a directory itself, so they would lie there unencrypted: "
            "use --format custom or plain with encryption, or --encrypt-to none"
        )
    for pattern in facts.unmatched:
        yield f"no table matches “{pattern}”: check the name, patterns are schema.table or table with * and ?"


def _refuse_memory(facts: DumpFacts, options: DumpOptions) -> Iterator[str]:
    """A copy that is to be encrypted is made in memory, because nothing unencrypted may lie on a disk."""
    if facts.memory_bytes is None or not facts.database_bytes or options.schema_only:
        return
    needed = facts.database_bytes * (2 if options.tables or options.exclude_tables else 1)
    if needed > facts.memory_bytes:
        yield (
            f"what is encrypted is copied in memory first, never on a disk: {format_bytes(needed)} are needed there, "
            f"{format_bytes(facts.memory_bytes)} are free: make room, enlarge /dev/shm, or use --encrypt-to none"
        )


def _refuse_server(facts: DumpFacts, options: DumpOptions) -> Iterator[str]:
    server_major = facts.info.version_number // 10000
    if facts.info.engine is EngineName.POSTGRESQL and 0 < facts.tool_major < server_major:
        yield (
            f"{facts.tool} {facts.tool_version} cannot dump {facts.info.flavour} {facts.info.version}: "
            f"install the client tools of version {server_major} or newer"
        )
    yield from _shortened(facts.missing_privileges, "privileges are missing")
    unreadable = [str(table.table_name) for table in facts.tables if not table.is_readable]
    if unreadable and not facts.missing_privileges and not options.schema_only:
        names = ", ".join(_shortened(unreadable, "tables"))
        yield f"{facts.info.user} may not read {names}: GRANT SELECT on them to {facts.info.user}"
    secured = [str(table.table_name) for table in facts.tables if table.has_row_security]
    if secured and not facts.info.is_superuser and not options.schema_only:
        names = ", ".join(_shortened(secured, "tables"))
        yield (
            f"row-level security hides rows of {names} from {facts.info.user}: "
            "dump as a role with BYPASSRLS, or leave these tables out with --exclude-table"
        )
    for broken in _shortened(facts.broken_objects, "objects are broken"):
        yield f"the dump would fail: {broken}"


def _say_shortage(directory: str, expected: int | None, free: int | None, share: float) -> tuple[str, ...]:
    if expected is None or free is None or free >= expected * share:
        return ()
    return (
        f"about {format_bytes(expected)} will be written, {format_bytes(free)} are free in {directory}: "
        f"make room for {format_bytes(expected * SPACE_MARGIN)} or choose another --dir",
    )


def _warn(facts: DumpFacts, options: DumpOptions) -> Iterator[str]:
    for holder in _shortened(facts.lock_holders, "sessions hold locks"):
        yield f"the dump will wait for a lock: {holder}"
    for transaction in _shortened(facts.long_transactions, "transactions are long"):
        yield f"a long transaction is open: {transaction}"
    loose = [str(table.table_name) for table in facts.tables if not table.is_transactional]
    if loose:
        names = ", ".join(_shortened(loose, "tables"))
        yield f"not transactional, so not of one moment with the rest: {names}"
    if facts.large_objects and options.schema_only:
        yield f"{facts.large_objects} large objects are not in a backup of the schema alone"
    elif facts.large_objects and options.tables:
        yield f"all {facts.large_objects} large objects are taken, whichever tables they belong to"
    if not facts.tables:
        yield "there are no tables in this backup"
    yield from facts.remarks


def _shortened(lines: Iterable[str], what: str) -> tuple[str, ...]:
    """Return the first few lines and, if there are more, how many more."""
    every = tuple(lines)
    if len(every) <= _SHOWN:
        return every
    return (*every[:_SHOWN], f"and {len(every) - _SHOWN} more {what}")


# ---------------------------------------------------------------- what will be run


def _steps(facts: DumpFacts, options: DumpOptions, database: str, data_name: str) -> tuple[PlanStep, ...]:
    return (
        PlanStep(
            f"dump {database} into {data_name}{PARTIAL_SUFFIX}",
            _command(facts, options, database, data_name),
            "one consistent snapshot; the name says that it is not complete yet",
        ),
        PlanStep("check that every table is there and make the data durable", "", "an empty dump is not a backup"),
        PlanStep(f"rename it to {data_name}", "", "nobody sees half a backup under its final name"),
        PlanStep(f"write {data_name}{MANIFEST_SUFFIX}", "", "only with its manifest is it a backup"),
    )


def _command(facts: DumpFacts, options: DumpOptions, database: str, data_name: str) -> str:
    if facts.info.engine is EngineName.SQLITE:
        copied = "the online backup API within one read transaction, into"
        if options.encrypt_to:
            packer = f" | {options.compression.kind.value}" if _packs(options) else ""
            return f"{copied} memory; then {(packer + _sealing(options)).removeprefix(' | ')}"
        return f"{copied} {data_name}{PARTIAL_SUFFIX}"
    words = [facts.tool]
    if facts.info.engine is EngineName.POSTGRESQL:
        words += ["--snapshot=ID", f"--format={options.format.value}"]
        words += [f"--jobs={options.jobs}"] if options.jobs > 1 else []
        words += [f"--table={pattern}" for pattern in options.tables]
        words += [f"--exclude-table={pattern}" for pattern in options.exclude_tables]
        words += ["--schema-only"] if options.schema_only else []
        return join([*words, "--", database]) + _packing(options) + _sealing(options)
    if options.format is BackupFormat.DIRECTORY:
        words += [f"--threads={options.jobs}", "--no-schemas", f"--database={database}"]
        return join(words) + "  (definitions and triggers by mariadb-dump --no-data)" + _packing(options)
    words += ["--single-transaction", "--quick", "--routines", "--events", "--triggers", "--hex-blob"]
    words += ["--no-data"] if options.schema_only else []
    chosen = [table.name for table in facts.tables] if options.tables else []
    return join([*words, "--", database, *chosen]) + _packing(options) + _sealing(options)


def _sealing(options: DumpOptions) -> str:
    """How the encryption is shown: that of the age program."""
    if not options.encrypt_to:
        return ""
    return " | " + join(["age", *(word for each in options.encrypt_to for word in ("-r", each))])


def _packing(options: DumpOptions) -> str:
    """How the compression is shown: a program's, though it is done here, so that it can be done again by hand."""
    if not _packs(options):
        return ""
    if options.format is not BackupFormat.PLAIN:
        return f"  (packed inside with {options.compression})"
    level = f" -{options.compression.level}" if options.compression.level is not None else ""
    return f" | {options.compression.kind.value}{level}"
