"""What `dbtui backup list|show` do: read, and print a table or one JSON document."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dbtui.analysis.backups.places import are_mixed, describe_places
from dbtui.analysis.backups.proof_words import describe_details, describe_proof, describe_proven
from dbtui.cli import backup_places, exit_codes
from dbtui.cli.backup_finding import choose_directories, find_entry, list_request
from dbtui.cli.backup_freshness import code_of, collect_all_freshness, tell_overdue
from dbtui.cli.backup_remotes import find_anywhere, is_remote
from dbtui.cli.invocation import Invocation
from dbtui.cli.printers import print_document, write_data
from dbtui.cli.repositories import collect_reports, show_row, warn_of
from dbtui.cli.tables import Column, format_table, terminal_width
from dbtui.errors import UsageError
from dbtui.jobs import JobRequest
from dbtui.model.backups import BackupContents, BackupEntry, EntryKind, Manifest, TableName, TableSample
from dbtui.model.events import Routine
from dbtui.model.freshness import BackupFreshness
from dbtui.model.proofs import Proof
from dbtui.model.recipients import shorten_recipient
from dbtui.model.repositories import RepositoryBackup
from dbtui.model.shipping import RemoteHistory
from dbtui.model.text import format_bytes, format_count, format_duration, format_untrusted
from dbtui.routines import backups as routines
from dbtui.routines.backups.pins import read_pin
from dbtui.routines.backups.stored import database_of, read_manifest
from dbtui.routines.context import RoutineContext

_LIST_COLUMNS = (
    Column("BACKUP", least=20),
    Column("AGE", right=True),
    Column("DATABASE", least=8, drop=2),
    Column("ENGINE", least=6, drop=3),
    Column("FORMAT", least=6, drop=4),
    Column("SIZE", right=True),
    Column("TABLES", right=True, drop=5),
    Column("ROWS", right=True, drop=1),
    Column("PROOF", least=12),
)
_TABLE_COLUMNS = (
    Column("TABLE", least=20),
    Column("ROWS", right=True),
    Column("COUNT", drop=1),
    Column("BYTES", right=True, drop=2),
)
_SHOWN_PROOFS = 5
_ENGINES = {"PostgreSQL": "PG", "MariaDB": "MDB", "MySQL": "MY", "SQLite": "SQLite"}

# ---------------------------------------------------------------- list


def list_backups(
    *, target: str | None, directory: str | None, local: bool, as_json: bool, fail_on: str | None = None
) -> int:
    """Print the backups of a directory or a remote, or of all that are configured, newest first."""
    invocation = Invocation.begin(as_json=as_json)
    profile = invocation.target(target) if target is not None else None
    database = database_of(profile) if profile is not None else ""
    if directory is not None and is_remote(directory):
        history = backup_places.collect_remote(invocation, directory, database)
        is_judged = profile is not None or fail_on is not None
        fresh = collect_all_freshness(invocation, profile, history.entries) if is_judged else ()
        return code_of(fresh, fail_on, _list_remote(invocation, history, as_json, fresh))
    directories = choose_directories(invocation, profile, directory)
    entries = collect_all(invocation, directories, database)
    is_here_alone = local or directory is not None
    histories = () if is_here_alone else backup_places.collect_histories(invocation, profile, database)
    entries = backup_places.merge(entries, histories)
    reports = collect_reports(invocation, profile, directory)
    code = exit_codes.PARTLY_DONE if any(report.problem for report in reports) else exit_codes.DONE
    backup_places.tell(invocation, histories, remarks=False)
    is_judged = directory is None or profile is not None or fail_on is not None
    fresh = collect_all_freshness(invocation, profile, entries, reports) if is_judged else ()
    code = code_of(fresh, fail_on, code)
    if as_json:
        print_document(backups=entries, repositories=reports, remotes=backup_places.history_fields(histories),
                       freshness=fresh)  # fmt: skip
        return code
    physical = [backup for report in reports for backup in report.backups]
    if entries or physical:
        write_data("\n".join(show_entries(entries, datetime.now(UTC), terminal_width(), physical,
                                          backup_places.labels_of(histories))))  # fmt: skip
    else:
        where = ", ".join(map(str, directories))
        invocation.printer.say(f"no backups in {where}; make one with dbtui backup create TARGET")
    warn_of(invocation, reports)
    tell_overdue(invocation, fresh)
    return code


def _list_remote(
    invocation: Invocation, history: RemoteHistory, as_json: bool, fresh: Sequence[BackupFreshness]
) -> int:
    if as_json:
        print_document(backups=history.entries, remotes=backup_places.history_fields((history,)), freshness=fresh)
        return exit_codes.DONE
    if history.entries:
        write_data("\n".join(show_entries(history.entries, datetime.now(UTC), terminal_width())))
    else:
        invocation.printer.say(f"no backups in {history.address}; dbtui backup push BACKUP {history.address} makes one")
    backup_places.tell(invocation, (history,), remarks=True)
    tell_overdue(invocation, fresh)
    return exit_codes.DONE


def collect_all(invocation: Invocation, directories: tuple[Path, ...], database: str) -> tuple[BackupEntry, ...]:
    """Return the backups of several directories, newest first."""
    entries: list[BackupEntry] = []
    for directory in directories:
        found: tuple[BackupEntry, ...] = invocation.result_of(list_request(directory, database))
        entries.extend(found)
    if len(directories) > 1:
        entries.sort(key=lambda entry: entry.began_at, reverse=True)
    return tuple(entries)


def show_entries(
    entries: tuple[BackupEntry, ...],
    now: datetime,
    width: int | None,
    physical: Sequence[RepositoryBackup] = (),
    labels: Mapping[str, str] | None = None,
) -> list[str]:
    """Return the lines of the list, newest first. `now` is UTC, `width` in cells, None: no limit.

    `labels` are the names of remotes; with any, a column says where a backup lies.
    """
    extra = _extra_columns(entries, labels or {})
    rows = [(entry.began_at, (*show_entry(entry, now), *(cell(entry) for _, cell in extra))) for entry in entries]
    if physical:
        rows += [(backup.at, (*show_row(backup, now), *("" for _ in extra))) for backup in physical]
        rows.sort(key=lambda row: row[0], reverse=True)
    columns = (*_LIST_COLUMNS, *(column for column, _ in extra))
    return format_table(columns, [cells for _moment, cells in rows], width)


def _extra_columns(
    entries: tuple[BackupEntry, ...], labels: Mapping[str, str]
) -> list[tuple[Column, Callable[[BackupEntry], str]]]:
    """Columns that only some lists need: of which server databases of one name are, and where the backups lie."""
    extra: list[tuple[Column, Callable[[BackupEntry], str]]] = []
    if are_mixed(entries):
        extra.append((Column("MADE FROM", least=12), lambda entry: entry.url))
    if labels:
        extra.append((Column("WHERE", least=4), lambda entry: describe_places(entry, labels)))
    return extra


def show_entry(entry: BackupEntry, now: datetime) -> tuple[str, ...]:
    """Return the cells of a backup in the list."""
    return (
        entry.backup_id,
        format_duration((now - entry.began_at).total_seconds()),
        entry.database,
        format_engine(entry),
        format_packing(entry),
        format_bytes(entry.size_bytes) if entry.size_bytes else "",
        "" if entry.tables is None else str(entry.tables),
        "" if entry.rows is None else format_count(entry.rows),
        f"{format_proof(entry, now)}{', pinned' if entry.is_pinned else ''}",
    )


def format_engine(entry: BackupEntry) -> str:
    """Return `PG 15`, `MDB 10` or `SQLite`."""
    if entry.engine is None:
        return ""
    short = _ENGINES.get(entry.flavour, entry.flavour or entry.engine.value)
    major = entry.server_version.split(".")[0]
    return short if short == "SQLite" or not major else f"{short} {major}"


def format_packing(entry: BackupEntry) -> str:
    """Return `plain zstd`, `directory` or `plain zstd age`."""
    compression = entry.compression if entry.compression != "none" else ""
    parts = [entry.format.value if entry.format else "", compression, entry.encryption]
    return " ".join(part for part in parts if part)


def format_proof(entry: BackupEntry, now: datetime) -> str:
    """Return what is known of a backup's soundness. `now` is UTC."""
    if entry.kind is EntryKind.BROKEN:
        return f"✖ {entry.problem}"
    if entry.kind is EntryKind.FOREIGN:
        return f"▲ foreign: {entry.problem}" if entry.problem else "○ foreign"
    said = describe_proven(entry, now)
    if not said:
        return "○ not proven"
    return f"{'✖' if entry.failed_at else '●'} {said}"


# ---------------------------------------------------------------- show


def show(
    *,
    reference: str,
    directory: str | None,
    table: str | None,
    rows: int | None,
    identities: tuple[str, ...],
    as_json: bool,
) -> int:
    """Print what a backup holds, or one of its tables."""
    invocation = Invocation.begin(as_json=as_json)
    if rows is not None and table is None:
        raise UsageError("--rows needs --table", "name the table whose rows you want")
    if is_remote(reference):
        return show_far(invocation, reference, directory, table, rows, identities)
    entry = find_entry(invocation, reference, directory)
    invocation.open_with(entry, identities)
    contents = _result(invocation, entry, lambda c: routines.collect_contents(c, entry))
    if table is not None:
        return _show_table(invocation, entry, find_table(contents, table), rows, as_json)
    manifest = read_manifest(entry) if entry.kind is EntryKind.COMPLETE else None
    proofs = routines.read_proofs(entry)
    if as_json:
        print_document(backup=entry, manifest=manifest, contents=contents, proofs=proofs)
    else:
        write_data("\n".join(show_contents(entry, contents, manifest, terminal_width(), proofs)))
    return exit_codes.DONE


def show_far(
    invocation: Invocation,
    reference: str,
    directory: str | None,
    table: str | None,
    rows: int | None,
    identities: tuple[str, ...],
) -> int:
    """Print what the manifest in a remote tells; for one of its tables the backup is fetched."""
    found = find_anywhere(invocation, reference, directory)
    entry, far = found.entry, found.far
    assert far is not None  # noqa: S101 - its address said so
    contents = far.contents
    if table is None:
        if invocation.as_json:
            print_document(backup=entry, manifest=far.manifest, contents=contents, proofs=())
        else:
            write_data("\n".join(show_contents(entry, contents, far.manifest, terminal_width())))
        return exit_codes.DONE
    name = find_table(contents, table)
    invocation.open_with(entry, identities)
    look = found.on_fetched(invocation, directory, lambda c, here: _look_into(c, here, name, rows))
    definition, sample = _result(invocation, entry, look)
    return _print_table(entry, name, definition, sample, invocation.as_json)


def _look_into(
    c: RoutineContext, entry: BackupEntry, table: TableName, rows: int | None
) -> Routine[tuple[str, TableSample | None]]:
    definition = yield from routines.show_definition(c, entry, table)
    if rows is None:
        return definition, None
    return definition, (yield from routines.collect_sample(c, entry, table, rows))


def _result(invocation: Invocation, entry: BackupEntry, start: Any) -> Any:
    request: JobRequest[Any] = JobRequest(
        routine="backup show", target=entry.profile, subject=entry.backup_id, start=start, changes=False
    )
    return invocation.result_of(request)


def show_contents(
    entry: BackupEntry,
    contents: BackupContents,
    manifest: Manifest | None,
    width: int | None,
    proofs: Sequence[Proof] = (),
) -> list[str]:
    """Return the lines that say what a backup is and holds. `proofs`: what restoring it has shown, newest first."""
    now = datetime.now(UTC)
    about = [
        ("backup", entry.backup_id),
        ("path", entry.data_path),
        ("database", f"{entry.database or contents.database}"),
        (
            "server",
            f"{entry.flavour or contents.engine.value} {entry.server_version or contents.server_version}".strip(),
        ),
        ("begun", f"{entry.began_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("format", format_packing(entry)),
        ("size", format_bytes(entry.size_bytes)),
        ("proof", format_proof(entry, now)),
        *_describe_proofs(proofs, now),
        ("pinned", _describe_pin(entry)),
        ("schemas", ", ".join(contents.schemas)),
        ("extensions", ", ".join(contents.extensions)),
        ("roles", ", ".join(contents.roles)),
        ("others", _count_kinds(contents)),
    ]
    if manifest is not None and manifest.recipients:
        about.insert(7, ("opened by", ", ".join(map(shorten_recipient, manifest.recipients))))
    if manifest is not None:
        about.insert(4, ("tool", f"{manifest.tool} {manifest.tool_version}".strip()))
        about.insert(4, ("made from", manifest.url))
    lines = [f"{label:<11} {format_untrusted(text)}" for label, text in about if text]
    lines += [f"{'warning':<11} {format_untrusted(text)}" for text in contents.warnings]
    rows = [
        (
            str(table.table_name),
            "" if table.rows is None else format_count(table.rows),
            "" if table.rows is None else table.rows_are,
            "" if table.bytes is None else format_bytes(table.bytes),
        )
        for table in contents.tables
    ]
    return [*lines, "", *format_table(_TABLE_COLUMNS, rows, width)]


def _describe_proofs(proofs: Sequence[Proof], now: datetime) -> Iterator[tuple[str, str]]:
    for number, proof in enumerate(proofs[:_SHOWN_PROOFS]):
        yield ("restores" if number == 0 else " ", describe_proof(proof, now))
        if number == 0:
            yield from ((" ", f"  {line}") for line in describe_details(proof))


def _count_kinds(contents: BackupContents) -> str:
    counts: dict[str, int] = {}
    for each in contents.objects:
        counts[each.kind] = counts.get(each.kind, 0) + 1
    return ", ".join(f"{count} {kind.lower()}" for kind, count in sorted(counts.items()))


def _describe_pin(entry: BackupEntry) -> str:
    pin = read_pin(entry) if entry.is_pinned else None
    return "" if pin is None else ", ".join(text for text in (pin.pinned_at, pin.operator, pin.reason) if text)


def find_table(contents: BackupContents, wanted: str) -> TableName:
    """Return the table that `schema.table` or `table` means. Raises UsageError when it is none or several."""
    names = [table.table_name for table in contents.tables]
    found = [name for name in names if str(name) == wanted] or [name for name in names if name.name == wanted]
    if len(found) == 1:
        return found[0]
    shown = format_untrusted(wanted)
    if found:
        raise UsageError(f"--table: several tables are called {shown!r}", f"say which: {', '.join(map(str, found))}")
    raise UsageError(f"--table: the backup has no table {shown!r}", "see dbtui backup show BACKUP for its tables")


def _show_table(
    invocation: Invocation, entry: BackupEntry, table: TableName, rows: int | None, as_json: bool
) -> int:  # fmt: skip
    definition, sample = _result(invocation, entry, lambda c: _look_into(c, entry, table, rows))
    return _print_table(entry, table, definition, sample, as_json)


def _print_table(
    entry: BackupEntry, table: TableName, definition: str, sample: TableSample | None, as_json: bool
) -> int:  # fmt: skip
    if as_json:
        fields = {"sample": sample} if sample is not None else {}
        print_document(backup_id=entry.backup_id, table=table, definition=definition, **fields)
        return exit_codes.DONE
    lines = [format_untrusted(line) for line in definition.splitlines()]
    if sample is not None:
        columns = [Column(name, least=8) for name in sample.columns]
        cells = [["NULL" if value is None else value for value in row] for row in sample.rows]
        lines += ["", *format_table(columns, cells, terminal_width())]
        lines += ["…"] if sample.more else []
    write_data("\n".join(lines))
    return exit_codes.DONE
