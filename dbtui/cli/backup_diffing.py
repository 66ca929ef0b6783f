"""What `dbtui backup diff` does: find both sides, compare, and print the differences or one JSON document."""

from typing import Any

from dbtui.cli import exit_codes
from dbtui.cli.backup_diff_text import show_differences
from dbtui.cli.backup_finding import find_entry
from dbtui.cli.backup_remotes import find_anywhere, find_far, is_remote, parse_reference
from dbtui.cli.invocation import Invocation
from dbtui.cli.printers import print_document, write_data
from dbtui.cli.tables import terminal_width
from dbtui.errors import UsageError
from dbtui.jobs import JobRequest
from dbtui.model.backup_differences import BackupDifferences, DiffSide, TableDelta
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.model.tables import TableName, parse_table_name
from dbtui.routines import backups as routines
from dbtui.routines.backups.remote_find import RemoteBackup


def diff(
    *,
    reference: str,
    other: str,
    directory: str | None,
    tables: tuple[str, ...],
    exclude_tables: tuple[str, ...],
    threshold: float,
    count_seconds: float,
    show_all: bool,
    fail_on: str | None,
    identities: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> int:
    """Print what is not the same; the exit code says whether `fail_on` was found."""
    invocation = Invocation.begin(as_json=as_json, quiet=quiet)
    wanted = tuple(_parse_table("--table", table) for table in tables)
    excluded = tuple(_parse_table("--exclude-table", table) for table in exclude_tables)
    first = find_anywhere(invocation, reference, directory)
    entry = first.entry
    invocation.open_with(entry, identities)
    found = find_other(invocation, other, directory)
    profile = found if isinstance(found, ConnectionProfile) else None
    request: JobRequest[BackupDifferences] = JobRequest(
        routine="backup diff",
        target=profile.name if profile else entry.profile,
        subject=entry.backup_id,
        start=lambda c: routines.compare_backup(
            c,
            first.far or entry,
            found,
            threshold=threshold / 100,
            tables=wanted,
            excluded=excluded,
            count_seconds=count_seconds,
        ),
        changes=False,
    )
    differences = invocation.result_of(request, profile)
    if as_json:
        print_document(**diff_fields(differences))
    else:
        write_data("\n".join(show_differences(differences, terminal_width(), show_all=show_all)))
    return code_of(differences, fail_on)


def _parse_table(option: str, text: str) -> TableName:
    try:
        return parse_table_name(text)
    except UsageError as error:
        raise UsageError(f"{option}: {error.message}", error.hint) from None


def find_other(
    invocation: Invocation, text: str, directory: str | None
) -> BackupEntry | RemoteBackup | ConnectionProfile:
    """Return what OTHER means: REMOTE/BACKUP, a URL, a profile of that name, else a backup. Raises UsageError."""
    if is_remote(text):
        return find_far(invocation, parse_reference(invocation, text))
    if "://" in text or invocation.settings.profile(text) is not None:
        return invocation.target(text)
    try:
        return find_entry(invocation, text, directory)
    except UsageError as error:
        raise UsageError(f"OTHER: {error.message}, and no profile is called so", error.hint) from None


def code_of(found: BackupDifferences, fail_on: str | None) -> int:
    """Return the exit code for what was found."""
    is_bad = {"shrink": found.has_shrunk, "any": found.has_changed}
    return exit_codes.FOUND_SOMETHING if fail_on and is_bad[fail_on] else exit_codes.DONE


# ---------------------------------------------------------------- JSON


def diff_fields(found: BackupDifferences) -> dict[str, Any]:
    """Return the fields of the JSON document; they are only ever added to."""
    return {
        "before": _side_fields(found.before),
        "after": _side_fields(found.after),
        "reversed": found.is_reversed,
        "threshold": found.threshold,
        "shrunk": found.has_shrunk,
        "changed": found.has_changed,
        "flags": found.flags,
        "tables": [_table_fields(table) for table in found.tables],
        "sequences": found.sequences,
        "gaps": found.gaps,
    }


def _side_fields(side: DiffSide) -> dict[str, Any]:
    return {
        "label": side.label,
        "live": side.is_live,
        "engine": side.engine,
        "flavour": side.flavour,
        "server_version": side.server_version,
        "database": side.database,
        "taken_at": side.taken_at,
        "tables": len(side.tables),
        "partial": side.is_partial,
        "shape_known": side.shape is not None,
    }


def _table_fields(table: TableDelta) -> dict[str, Any]:
    before, after = table.before, table.after
    return {
        "schema": table.schema,
        "name": table.name,
        "change": table.change,
        "rows_before": before.rows if before else None,
        "rows_before_are": before.rows_are if before else None,
        "rows_after": after.rows if after else None,
        "rows_after_are": after.rows_are if after else None,
        "rows_delta": table.rows_delta,
        "rows_are": table.rows_are,
        "bytes_before": before.bytes if before else None,
        "bytes_after": after.bytes if after else None,
        "bytes_delta": table.bytes_delta,
        "parts": table.parts,
        "flag": table.flag,
    }
