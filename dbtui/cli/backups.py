"""`dbtui backup …`: what can be typed. What the commands do is in backup_reading.py and backup_acting.py."""

from typing import Any

import click

from dbtui.cli.options import (
    backup_argument,
    directory_option,
    dry_run_option,
    jobs_option,
    json_option,
    quiet_option,
    target_argument,
    to_option,
    yes_option,
)

_BACKUP = "BACKUP is a backup id, the beginning of one, or a path."


@click.group(no_args_is_help=True, epilog="Example: dbtui backup create erp --compress zstd")
def backup() -> None:
    """Make, look into, check, restore and delete backups."""


@backup.command(epilog="Example: dbtui backup create erp --dir /var/backups --format directory --jobs 4")
@target_argument
@directory_option
@click.option(
    "--format", "format_name", type=click.Choice(["plain", "custom", "directory"]), help="How the data lies on disk."
)
@click.option("--compress", metavar="none|gzip|zstd[:LEVEL]", help="How it is packed (default: the profile's).")
@jobs_option
@click.option("--table", "tables", multiple=True, metavar="T", help="Only this table; * and ? match; repeatable.")
@click.option("--exclude-table", "exclude_tables", multiple=True, metavar="T", help="Not this table; repeatable.")
@click.option("--schema-only", is_flag=True, help="Definitions without rows.")
@dry_run_option
@json_option
@quiet_option
def create(**typed: Any) -> int:
    """Back up TARGET (default: DATABASE_URL) and print the path of the backup."""
    from dbtui.cli import backup_acting

    return backup_acting.create(**typed)


@backup.command("list", epilog="Example: dbtui backup list erp --json")
@target_argument
@directory_option
@json_option
def list_(**typed: Any) -> int:
    """List backups, newest first, files without a manifest included; with TARGET only those of its database."""
    from dbtui.cli import backup_reading

    return backup_reading.list_backups(**typed)


@backup.command(epilog=f"{_BACKUP} Example: dbtui backup show erp-20261122T150000Z --table public.users --rows 5")
@backup_argument
@directory_option
@click.option("--table", metavar="T", help="Show this table's definition instead.")
@click.option("--rows", type=click.IntRange(1, 100_000), metavar="N", help="And its first N rows.")
@json_option
def show(**typed: Any) -> int:
    """Show the manifest and contents of BACKUP without restoring it."""
    from dbtui.cli import backup_reading

    return backup_reading.show(**typed)


@backup.command(epilog=f"{_BACKUP} Example: dbtui backup verify erp-20261122T150000Z --restore --to staging")
@backup_argument
@directory_option
@click.option("--restore", is_flag=True, help="Also restore it into a scratch database and compare row counts.")
@to_option
@dry_run_option
@json_option
@quiet_option
def verify(**typed: Any) -> int:
    """Check BACKUP: checksums, sizes, structure; exit code 7 when something is wrong with it."""
    from dbtui.cli import backup_acting

    return backup_acting.verify(**typed)


@backup.command(epilog=f"{_BACKUP} Example: dbtui backup restore erp-20261122T150000Z --into erp_yesterday")
@backup_argument
@directory_option
@to_option
@click.option("--into", default="", metavar="NEW_DATABASE", help="Name of the database to make (SQLite: a file).")
@click.option("--table", "tables", multiple=True, metavar="T", help="Only this table; repeatable.")
@click.option("--replace", is_flag=True, help="Replace the existing database; the old one is kept under a dated name.")
@jobs_option
@dry_run_option
@yes_option
@json_option
@quiet_option
def restore(**typed: Any) -> int:
    """Restore BACKUP into a new database, or with --replace over the existing one.

    The data is loaded into a fresh database, compared with the manifest and only then given its name. --replace asks
    for the name of the database (for a production profile the profile's name too), or takes it from --yes.
    """
    from dbtui.cli import backup_acting

    return backup_acting.restore(**typed)


@backup.command(epilog=f"{_BACKUP} Example: dbtui backup delete erp-20251122T150000Z --yes erp-20251122T150000Z")
@backup_argument
@directory_option
@dry_run_option
@yes_option
@json_option
@quiet_option
def delete(**typed: Any) -> int:
    """Delete BACKUP: the manifest first, then the data. Asks for its id, or takes it from --yes."""
    from dbtui.cli import backup_acting

    return backup_acting.delete(**typed)
