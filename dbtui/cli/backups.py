"""`dbtui backup …`: what can be typed. What the commands do is in backup_reading.py and backup_acting.py."""

from collections.abc import Callable
from typing import Any

import click

from dbtui.cli.options import (
    FunctionT,
    backup_argument,
    complete_backups_or_targets,
    complete_remotes,
    complete_targets,
    directory_option,
    dry_run_option,
    identity_option,
    jobs_option,
    json_option,
    places_option,
    quiet_option,
    target_argument,
    to_option,
    yes_option,
)

_BACKUP = "BACKUP is a backup id, the beginning of one, or a path."
_FAR = f"{_BACKUP[:-1]}, or REMOTE/BACKUP."
_LATEST = f"{_BACKUP[:-1]}; latest is the newest, latest:PROFILE that of a profile's database."


@click.group(no_args_is_help=True, epilog="Example: dbtui backup create erp --compress zstd")
def backup() -> None:
    """Make, look into, compare, check, copy, restore and delete backups."""


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
@click.option("--push", is_flag=True, help="Then copy it to the profile's remote; if only that fails: exit code 3.")
@click.option(
    "--encrypt-to",
    "encrypt_to",
    multiple=True,
    metavar="RECIPIENT",
    help="Encrypt it with age: age1…, an SSH public key, or @FILE of them; repeatable. none: do not.",
)
@dry_run_option
@json_option
@quiet_option
def create(**typed: Any) -> int:
    """Back up TARGET (default: DATABASE_URL) and print the path of the backup."""
    from dbtui.cli import backup_acting

    return backup_acting.create(**typed)


@backup.command("list", epilog="Example: dbtui backup list erp --fail-on overdue --json")
@target_argument
@places_option
@click.option("--local", is_flag=True, help="Only what lies here: ask no remote.")
@click.option(
    "--fail-on",
    type=click.Choice(["overdue"]),
    help="Exit with 7 when a profile's newest good backup is older than max_backup_age, or keep, allows.",
)
@json_option
def list_(**typed: Any) -> int:
    """List backups, newest first, files without a manifest included; with TARGET only those of its database.

    What lies in a remote of the configuration is listed too: a backup that is here and there is one row that says so.
    A remote that cannot be asked is left out with a warning.

    Physical backups in the profiles' repositories of pgBackRest and Barman are among them.
    """
    from dbtui.cli import backup_reading

    return backup_reading.list_backups(**typed)


@backup.command(epilog=f"{_FAR} Example: dbtui backup show erp-20261122T150000Z --table public.users --rows 5")
@backup_argument
@directory_option
@click.option("--table", metavar="T", help="Show this table's definition instead.")
@click.option("--rows", type=click.IntRange(1, 100_000), metavar="N", help="And its first N rows.")
@identity_option
@json_option
def show(**typed: Any) -> int:
    """Show the manifest and contents of BACKUP without restoring it."""
    from dbtui.cli import backup_reading, repositories

    return repositories.show(**typed) if repositories.is_meant(typed) else backup_reading.show(**typed)


@backup.command(
    epilog=f"{_FAR} OTHER is one too, or a profile or URL. "
    "Example: dbtui backup diff erp-20261122T150000Z erp --fail-on shrink"
)
@backup_argument
@click.argument("other", metavar="OTHER", shell_complete=complete_backups_or_targets)
@directory_option
@click.option("--table", "tables", multiple=True, metavar="T", help="Only this table; * and ? match; repeatable.")
@click.option("--exclude-table", "exclude_tables", multiple=True, metavar="T", help="Not this table; repeatable.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 100),
    default=10.0,
    show_default=True,
    metavar="PERCENT",
    help="Flag a table that lost more than this share of its rows.",
)
@click.option(
    "--count-seconds",
    type=click.FloatRange(0, 86_400),
    default=5.0,
    show_default=True,
    metavar="S",
    help="Count the rows of a live database for so long at most; 0: estimates alone.",
)
@click.option("--all", "show_all", is_flag=True, help="List tables without a difference too.")
@click.option("--fail-on", type=click.Choice(["shrink", "any"]), help="Exit with 7 when something shrank, or differs.")
@identity_option
@json_option
@quiet_option
def diff(**typed: Any) -> int:
    """Compare BACKUP with another backup or a live database, the earlier with the later.

    Tables, columns, indexes, constraints, sequences, rows and bytes; what looks like a loss comes first. Backups are
    compared by their manifests, so nothing is unpacked. What is not known is said, and never taken for a difference.
    """
    from dbtui.cli import backup_diffing

    return backup_diffing.diff(**typed)


@backup.command(epilog=f"{_LATEST} Or REMOTE/BACKUP. Example: dbtui backup verify latest:erp --restore")
@backup_argument
@directory_option
@click.option("--restore", is_flag=True, help="Also restore it, and compare what arrives with the manifest.")
@click.option(
    "--throwaway", is_flag=True, help="Restore it into a server of its own, made for that (default without --to)."
)
@click.option("--to", "to", metavar="TARGET", shell_complete=complete_targets,
              help="Restore it into a scratch database of this server instead.")  # fmt: skip
@dry_run_option
@identity_option
@json_option
@quiet_option
def verify(**typed: Any) -> int:
    """Check BACKUP: checksums, sizes, structure; exit code 7 when something is wrong with it.

    Of an encrypted one that no identity opens here only checksums and sizes are compared, which is said.

    With --restore it is also restored: row counts have to be the manifest's, constraints valid, indexes usable,
    sequences ahead of their columns, materialised views filled. A throwaway server has a private socket and no
    network, and is gone afterwards. What this machine lacks (an extension, room) is never held against the backup.

    pgbackrest:STANZA/LABEL and barman:SERVER/ID are verified by their own tool; with --restore a server is started from
    them, and read.
    """
    from dbtui.cli import backup_verifying, repositories

    return repositories.verify(**typed) if repositories.is_meant(typed) else backup_verifying.verify(**typed)


@backup.command(epilog=f"{_FAR} Example: dbtui backup restore erp-20261122T150000Z --into erp_yesterday")
@backup_argument
@directory_option
@to_option
@click.option("--into", default="", metavar="NEW_DATABASE", help="Name of the database to make (SQLite: a file).")
@click.option("--table", "tables", multiple=True, metavar="T", help="Only this table; repeatable.")
@click.option("--replace", is_flag=True, help="Replace the existing database; the old one is kept under a dated name.")
@click.option(
    "--target-time", metavar="TIME", help="pgBackRest, Barman: as of this time, such as 2026-11-23T09:24:00Z."
)
@click.option(
    "--delta", is_flag=True, help="pgBackRest: write over the data directory in place; nothing of it is kept."
)
@jobs_option
@dry_run_option
@yes_option
@identity_option
@json_option
@quiet_option
def restore(**typed: Any) -> int:
    """Restore BACKUP into a new database, or with --replace over the existing one.

    The data is loaded into a fresh database, compared with the manifest and only then given its name. --replace asks
    for the name of the database (for a production profile the profile's name too), or takes it from --yes.

    pgbackrest:STANZA/LABEL and barman:SERVER/ID are physical: --into names the data directory to fill, new or empty.
    --replace sets aside what is there, --target-time restores as of then, and the server is not started.
    """
    from dbtui.cli import backup_acting, repositories

    if repositories.is_meant(typed):
        return repositories.restore(**typed)
    return backup_acting.restore(**repositories.without_physical(typed))


@backup.command(epilog=f"{_LATEST} Example: dbtui backup push latest:erp s3://backups/erp")
@backup_argument
@click.argument("remote", required=False, metavar="[REMOTE]", shell_complete=complete_remotes)
@directory_option
@dry_run_option
@json_option
@quiet_option
def push(**typed: Any) -> int:
    """Copy BACKUP to REMOTE (default: the remote of its profile) and print the address of the copy.

    REMOTE is s3://bucket/path, gs://bucket/path, az://container/path, sftp://user@host/path or file:///directory. Every
    file is confirmed by the remote, the manifest comes last and never over another. A push that was cut is completed by
    the next one; what is there already is not sent again.
    """
    from dbtui.cli import backup_shipping

    return backup_shipping.push(**typed)


@backup.command(
    epilog="Example: dbtui backup pull s3://backups/erp/latest; with a configured remote: dbtui backup pull latest:erp"
)
@click.argument("reference", metavar="REMOTE/BACKUP", shell_complete=complete_remotes)
@directory_option
@dry_run_option
@json_option
@quiet_option
def pull(**typed: Any) -> int:
    """Fetch a copy of a backup from a remote and print its path.

    The backup is an id there, the beginning of one, or latest; an id alone is looked for in the configured remotes. It
    is compared with the manifest's checksums before it is called a backup; nothing that is here is written over.
    """
    from dbtui.cli import backup_shipping

    return backup_shipping.pull(**typed)


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


def _keep_option(period: str, text: str) -> Callable[[FunctionT], FunctionT]:
    return click.option(f"--keep-{period}", period, type=click.IntRange(0, 100_000), metavar="N", help=text)


@backup.command(
    epilog="""
\b
Examples:
  dbtui backup expire erp --keep-last 3 --keep-daily 7 --keep-weekly 4 --keep-monthly 12 --dry-run
  dbtui backup expire erp --keep-daily 7 --keep-yearly 5 --simulate
  dbtui schedule backup expire erp --yes erp        by keep = { daily = 7, … } of the configuration
"""
)
@target_argument
@_keep_option("last", "The last N backups.")
@_keep_option("daily", "The newest of each of the last N days that have one.")
@_keep_option("weekly", "The same by weeks, which begin on Monday.")
@_keep_option("monthly", "The same by months.")
@_keep_option("yearly", "The same by years.")
@click.option("--time-zone", metavar="ZONE", help="Where days begin, such as Europe/Paris (default: UTC).")
@click.option(
    "--count",
    type=click.Choice(["complete", "checksums", "restored"]),
    help="What takes a place: every whole backup (default), verified ones, those proven by a restore.",
)
@click.option("--trust-clock", is_flag=True, help="A long silence between backups was real, no jump of the clock.")
@click.option("--simulate", "simulation", is_flag=True, help="Show what survives when for a year; change nothing.")
@directory_option
@dry_run_option
@yes_option
@json_option
@quiet_option
def expire(**typed: Any) -> int:
    """Remove the backups that have no place left by a policy; with TARGET only those of its database.

    Each database is judged by itself, and so is each kind: whole, definitions only, some tables. Broken, foreign and
    pinned backups take no place and stay. One good backup always stays. Asks for the database's name (for a production
    profile also its name), or takes it from --yes. Without --keep options the configuration's keep is used.
    """
    from dbtui.cli import backup_expiring

    return backup_expiring.expire(**typed)


@backup.command(epilog=f"{_BACKUP} Example: dbtui backup pin erp-20261122T150000Z --reason 'before the migration'")
@backup_argument
@click.option("--reason", default="", metavar="TEXT", help="Why, for whoever finds it later.")
@directory_option
@json_option
@quiet_option
def pin(**typed: Any) -> int:
    """Keep BACKUP: neither expire nor delete removes it."""
    from dbtui.cli import backup_expiring

    return backup_expiring.pin(**typed)


@backup.command(epilog=f"{_BACKUP} Example: dbtui backup unpin erp-20261122T150000Z --yes erp-20261122T150000Z")
@backup_argument
@directory_option
@dry_run_option
@yes_option
@json_option
@quiet_option
def unpin(**typed: Any) -> int:
    """Let BACKUP be removed again. Asks, or takes its id from --yes."""
    from dbtui.cli import backup_expiring

    return backup_expiring.unpin(**typed)
