"""What the configuration file says of remotes: `remote = "s3://backups/erp"` and [remotes."s3://backups"]."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from dbtui.errors import UsageError
from dbtui.model.policies import RetentionPolicy
from dbtui.model.remote_addresses import parse_remote_address
from dbtui.model.remotes import RemoteAddress, RemoteKind, RemoteSettings
from dbtui.passwords import Passwords
from dbtui.retention_settings import KeepTable, parse_keep

if TYPE_CHECKING:
    from dbtui.policy_settings import Source

_LEAST_SECONDS, _MOST_SECONDS = 1.0, 3600.0


class RemoteTable(msgspec.Struct, forbid_unknown_fields=True):
    """What such a table of the file may hold."""

    endpoint: str = ""
    region: str = ""
    path_style: bool | None = None
    profile: str = ""
    access_key_id: str = ""
    account: str = ""
    secret_env: str = ""
    secret_command: list[str] = []
    credentials_file: str = ""
    ca_file: str = ""
    storage_class: str = ""
    identity_file: str = ""
    ssh_config_file: str = ""
    timeout_seconds: float = 60.0
    keep: KeepTable | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteProfile:
    """How the remotes are reached whose addresses begin with this one. Its secret is looked up when it is needed.

    `keep`: how many backups stay there; None: as many as here.
    """

    address: RemoteAddress
    settings: RemoteSettings
    secret_env: str = ""
    secret_command: tuple[str, ...] = ()
    keep: RetentionPolicy | None = None


def parse_remote(source: "Source", where: tuple[str, ...], text: str) -> str:
    """Return the address that `remote` of a profile, or of the file, names. Raises ConfigError."""
    try:
        return str(parse_remote_address(text))
    except UsageError as error:
        raise source.error(where, "remote", f"remote: {error.message}", error.hint) from None


def parse_remote_table(source: "Source", text: str, typed: RemoteTable) -> RemoteProfile:
    """Return what [remotes."s3://…"] says. Raises ConfigError."""
    where = ("remotes", text)
    try:
        address = _parse_start(text)
    except UsageError as error:
        raise source.error(where, "", error.message, error.hint) from None
    if typed.secret_env and typed.secret_command:
        raise source.error(where, "secret_command", "it has both secret_env and secret_command", "keep one")
    if not _LEAST_SECONDS <= typed.timeout_seconds <= _MOST_SECONDS:
        raise source.error(where, "timeout_seconds", f"timeout_seconds is {typed.timeout_seconds:g}",
                           f"use {_LEAST_SECONDS:g} to {_MOST_SECONDS:g} seconds")  # fmt: skip
    _check_keys(source, where, address, typed)
    settings = RemoteSettings(
        timeout_seconds=typed.timeout_seconds,
        endpoint=typed.endpoint,
        region=typed.region,
        path_style=typed.path_style,
        profile=typed.profile,
        access_key_id=typed.access_key_id,
        account=typed.account,
        credentials_file=_path(typed.credentials_file),
        ca_file=_path(typed.ca_file),
        storage_class=typed.storage_class,
        identity_file=_path(typed.identity_file),
        ssh_config_file=_path(typed.ssh_config_file),
    )
    return RemoteProfile(
        address=address,
        settings=settings,
        secret_env=typed.secret_env,
        secret_command=tuple(typed.secret_command),
        keep=parse_keep(source, (*where, "keep"), typed.keep) if typed.keep is not None else None,
    )


def _parse_start(text: str) -> RemoteAddress:
    """What addresses begin with: of SFTP the machine is enough."""
    machine = text.strip().rstrip("/")
    if machine.startswith(f"{RemoteKind.SFTP.value}://") and machine.count("/") == 2:
        return replace(parse_remote_address(f"{machine}/anywhere"), path="")
    return parse_remote_address(text)


_KEYS = {
    RemoteKind.S3: {"endpoint", "region", "path_style", "profile", "access_key_id", "secret_env", "secret_command",
                    "ca_file", "storage_class"},
    RemoteKind.GCS: {"endpoint", "credentials_file", "ca_file"},
    RemoteKind.AZURE: {"endpoint", "account", "secret_env", "secret_command", "ca_file"},
    RemoteKind.SFTP: {"identity_file", "ssh_config_file"},
    RemoteKind.DIRECTORY: set[str](),
}  # fmt: skip


def _check_keys(source: "Source", where: tuple[str, ...], address: RemoteAddress, typed: RemoteTable) -> None:
    """A key that means nothing for this kind of remote was meant to do something."""
    known = {*_KEYS[address.kind], "timeout_seconds", "keep"}
    for key in typed.__struct_fields__:
        if getattr(typed, key) not in ("", [], None) and key not in known:
            raise source.error(where, key, f"{key} means nothing for {address.kind.value}://",
                               f"known are {', '.join(sorted(known))}")  # fmt: skip


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


@dataclass(frozen=True)
class RemoteAccess:
    """How to reach every remote that is configured; the secrets are looked up once in a run."""

    remotes: Sequence[RemoteProfile]
    passwords: Passwords

    def settings_of(self, address: RemoteAddress) -> RemoteSettings:
        """Return the settings of the longest address that this one begins with. Raises ConfigError, Cancelled."""
        fitting = [each for each in self.remotes if _begins_with(address, each.address)]
        if not fitting:
            return RemoteSettings()
        found = max(fitting, key=lambda each: len(each.address.path))
        secret = self.passwords.find_secret(f"remote {found.address}", found.secret_env, found.secret_command)
        return replace(found.settings, secret=secret)


def find_keep(remotes: Sequence[RemoteProfile], address: RemoteAddress) -> RetentionPolicy | None:
    """Return how many backups stay in a remote, where the configuration says so for it."""
    fitting = [each for each in remotes if each.keep is not None and _begins_with(address, each.address)]
    return max(fitting, key=lambda each: len(each.address.path)).keep if fitting else None


def _begins_with(address: RemoteAddress, start: RemoteAddress) -> bool:
    if (address.kind, address.host, address.port) != (start.kind, start.host, start.port):
        return False
    return not start.path or address.path == start.path or address.path.startswith(f"{start.path}/")
