"""Arguments and options that several commands share, and what the shell completes for them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])
_COMPLETED_ENTRIES = 50


def complete_targets(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the profiles' names; nothing when the configuration cannot be read, for completion has no voice."""
    from dbtui.config import load_settings
    from dbtui.errors import ConfigError

    try:
        profiles = load_settings(os.environ).profiles
    except ConfigError:
        return []
    return [CompletionItem(each.name, help=each.url) for each in profiles if each.name.startswith(incomplete)]


def complete_backups(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the ids of the newest backups, by their manifests' names."""
    from dbtui.config import load_settings
    from dbtui.errors import ConfigError
    from dbtui.model.backups import MANIFEST_SUFFIX

    try:
        settings = load_settings(os.environ)
    except ConfigError:
        return []
    named = context.params.get("directory")
    directories = [named] if named else [settings.backup_dir, *(each.backup_dir for each in settings.profiles)]
    names = [
        path.name.removesuffix(MANIFEST_SUFFIX)
        for directory in dict.fromkeys(directories)
        for path in Path(directory).glob(f"*{MANIFEST_SUFFIX}")
    ]
    fitting = sorted((name for name in names if name.startswith(incomplete)), reverse=True)
    return [CompletionItem(name) for name in fitting[:_COMPLETED_ENTRIES]]


def complete_backups_or_targets(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Offer profiles and backups."""
    return [*complete_targets(context, parameter, incomplete), *complete_backups(context, parameter, incomplete)]


def complete_remotes(_context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the remotes of the configuration."""
    from dbtui.config import load_settings
    from dbtui.errors import ConfigError

    try:
        settings = load_settings(os.environ)
    except ConfigError:
        return []
    names = dict.fromkeys((settings.remote, *(each.remote for each in settings.profiles)))
    return [CompletionItem(name) for name in names if name and name.startswith(incomplete)]


target_argument = click.argument("target", required=False, metavar="[TARGET]", shell_complete=complete_targets)
backup_argument = click.argument("reference", metavar="BACKUP", shell_complete=complete_backups)
directory_option = click.option(
    "--dir", "directory", metavar="DIR", type=click.Path(), help="Where the backups are (default: the profile's)."
)
places_option = click.option(
    "--dir",
    "directory",
    metavar="DIR|REMOTE",
    type=click.Path(),
    help="Only this directory, or this remote, such as s3://bucket/path (default: the profile's, and its remote).",
)
to_option = click.option(
    "--to",
    "to",
    metavar="TARGET",
    shell_complete=complete_targets,
    help="Server to use (default: the backup's profile).",
)
identity_option = click.option(
    "--identity",
    "identities",
    multiple=True,
    metavar="FILE",
    type=click.Path(),
    help="The secret key that opens an encrypted backup: a file of age-keygen, or of SSH; repeatable.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")
rich_option = click.option(
    "--rich/--frugal",
    "rich",
    default=None,
    help="Mouse, animation and a refresh each second over SSH too; or none of them anywhere.",
)
quiet_option = click.option("--quiet", "-q", is_flag=True, help="No progress, no remarks; errors and warnings remain.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Print the plan and change nothing.")
jobs_option = click.option(
    "--jobs", "-j", type=click.IntRange(1, 64), default=1, show_default=True, metavar="N", help="Work in parallel."
)
yes_option = click.option(
    "--yes", "confirmed", multiple=True, metavar="NAME", help="Confirm without a prompt by giving the name; repeatable."
)
