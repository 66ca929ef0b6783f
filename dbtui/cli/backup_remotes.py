"""Which remote a command means, and which backup in it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from dbtui.cli.backup_finding import LATEST, REMOTE_SCHEMES, find_entry
from dbtui.cli.invocation import Invocation
from dbtui.errors import UsageError
from dbtui.jobs import JobRequest
from dbtui.model.backups import BackupEntry
from dbtui.model.connections import ConnectionProfile
from dbtui.model.events import Routine
from dbtui.model.remote_addresses import parse_remote_address
from dbtui.model.remotes import RemoteAddress
from dbtui.model.shipping import BackupOrigin
from dbtui.model.text import format_untrusted
from dbtui.model.urls import redact_url
from dbtui.routines.backups.remote_find import RemoteBackup, find_remote_backup
from dbtui.routines.backups.staging import with_fetched
from dbtui.routines.backups.stored import database_of, public_url
from dbtui.routines.context import RoutineContext

ResultT = TypeVar("ResultT")
BackupWork = Callable[[RoutineContext, BackupEntry], Routine[ResultT]]

_SAY_WHERE = 'name a REMOTE such as s3://bucket/path, or write remote = "…" into the configuration'


def is_remote(text: str) -> bool:
    """Whether a word is an address of a remote, or begins with one; database URLs have other schemes."""
    return text.lower().startswith(REMOTE_SCHEMES)


@dataclass(frozen=True, slots=True)
class RemoteReference:
    """REMOTE/BACKUP taken apart. `origin` limits `latest` to one database."""

    address: RemoteAddress
    reference: str
    origin: BackupOrigin | None = None


def parse_reference(invocation: Invocation, text: str) -> RemoteReference:
    """Take REMOTE/BACKUP apart; BACKUP may be `latest` or `latest:PROFILE`. Raises UsageError."""
    remote, _, reference = text.rpartition("/")
    if remote.endswith(("/", ":")) or not reference:
        raise UsageError(f"{format_untrusted(text)} names a remote and no backup in it",
                         "write REMOTE/BACKUP; see dbtui backup list --dir REMOTE")  # fmt: skip
    word, colon, profile_name = reference.partition(":")
    address = parse_remote_address(remote)
    if word == LATEST and colon:
        return RemoteReference(address, LATEST, _origin_of(invocation.target(profile_name)))
    return RemoteReference(address, reference)


def find_in_remotes(invocation: Invocation, text: str) -> RemoteReference:
    """Return what REMOTE/BACKUP, or a backup's id in one of the configured remotes, means. Raises UsageError."""
    if is_remote(text):
        return parse_reference(invocation, text)
    if "://" in text:
        raise UsageError(
            f"{redact_url(text)!r} is no address of a remote", f"remotes begin with {', '.join(REMOTE_SCHEMES)}"
        )
    word, colon, profile_name = text.partition(":")
    if word == LATEST and colon:
        profile = invocation.target(profile_name)
        return RemoteReference(remote_of(profile), LATEST, _origin_of(profile))
    addresses = configured_remotes(invocation, None)
    if not addresses:
        raise UsageError(f"no remote is configured to look for {format_untrusted(text)} in", "write REMOTE/BACKUP")
    for address in addresses[:-1]:
        try:
            find_far(invocation, RemoteReference(address, text))
        except UsageError:
            continue
        return RemoteReference(address, text)
    return RemoteReference(addresses[-1], text)


def configured_remotes(invocation: Invocation, profile: ConnectionProfile | None) -> tuple[RemoteAddress, ...]:
    """Return the remotes whose backups belong to a history: the profile's, else all that are configured."""
    if profile is not None:
        names = [profile.remote]
    else:
        names = [invocation.settings.remote, *(each.remote for each in invocation.settings.profiles)]
    return tuple(parse_remote_address(name) for name in dict.fromkeys(names) if name)


def choose_remote(invocation: Invocation, entry: BackupEntry, typed: str | None) -> RemoteAddress:
    """Return where a backup is pushed to: as typed, else its profile's remote, else that of all. Raises UsageError."""
    if typed is not None:
        return parse_remote_address(typed)
    profile = invocation.settings.profile(entry.profile)
    if profile is not None:
        return remote_of(profile)
    if not invocation.settings.remote:
        raise UsageError(f"it is not said where {format_untrusted(entry.backup_id)} goes to", _SAY_WHERE)
    return parse_remote_address(invocation.settings.remote)


def _origin_of(profile: ConnectionProfile) -> BackupOrigin:
    return BackupOrigin(database_of(profile), profile.engine, public_url(profile), profile.name)


def remote_of(profile: ConnectionProfile) -> RemoteAddress:
    """Return the remote of a profile. Raises UsageError when it has none."""
    if not profile.remote:
        raise UsageError(f"profile {format_untrusted(profile.name)} has no remote", _SAY_WHERE)
    return parse_remote_address(profile.remote)


# ---------------------------------------------------------------- a backup here or in a remote


@dataclass(frozen=True, slots=True)
class FoundBackup:
    """A backup that a command works on. `far` is where it lies when it does not lie here."""

    entry: BackupEntry
    far: RemoteBackup | None = None

    def on_fetched(
        self,
        invocation: Invocation,
        directory: str | None,
        work: Callable[[RoutineContext, BackupEntry], Routine[ResultT]],
    ) -> Callable[[RoutineContext], Routine[ResultT]]:
        """Return what does the work on the backup, fetched first into a private directory when it lies in a remote."""
        far = self.far
        if far is None:
            return lambda c: work(c, self.entry)
        where = fetch_directory(invocation, self.entry.profile, directory)
        return lambda c: with_fetched(c, far, where, lambda entry: work(c, entry))


def find_anywhere(invocation: Invocation, reference: str, directory: str | None) -> FoundBackup:
    """Return the backup that an id, a path or REMOTE/BACKUP means. Raises UsageError."""
    if not is_remote(reference):
        return FoundBackup(find_entry(invocation, reference, directory))
    far = find_far(invocation, parse_reference(invocation, reference))
    return FoundBackup(far.entry, far)


def find_far(invocation: Invocation, wanted: RemoteReference) -> RemoteBackup:
    """Ask a remote for a backup. Raises UsageError, DamagedBackupError, RemoteError, ConnectError."""
    request: JobRequest[RemoteBackup] = JobRequest(
        routine="find backup",
        target=str(wanted.address),
        start=lambda c: find_remote_backup(c, wanted.address, wanted.reference, wanted.origin),
        changes=False,
    )
    return invocation.result_of(request)


def fetch_directory(invocation: Invocation, profile_name: str, directory: str | None) -> Path:
    """Return where a copy from a remote goes: as typed, else where its profile's backups are."""
    profile = invocation.settings.profile(profile_name)
    return Path(directory or (profile.backup_dir if profile is not None else invocation.settings.backup_dir))
