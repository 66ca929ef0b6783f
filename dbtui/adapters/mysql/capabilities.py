"""What a MySQL or MariaDB login may do, how it reaches its server, and which tools and files are on this machine."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dbtui.adapters.machine import collect_credential_file
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.option_files import login_path_file, option_file_path
from dbtui.adapters.mysql.options import collect_options, option_file_of
from dbtui.adapters.mysql.privileges import format_grant, format_grant_on_new, has_roles, lacks, privileges_on
from dbtui.adapters.mysql.probes import replication_privilege, termination_privilege
from dbtui.adapters.mysql.tools import find_tool, find_tools, remark_on
from dbtui.errors import ToolError
from dbtui.model.connections import ConnectionProfile
from dbtui.model.doctor import Capabilities, Capability, CredentialFile, InstalledTool

TOOL_NAMES = ("mariadb-dump",)
_SCRATCH = "dbtui_verify"  # what databases are called that a verification makes and drops, and an underscore
_DUMP = ("SELECT", "SHOW VIEW", "TRIGGER", "EVENT")
_RESTORE = ("SELECT", "INSERT", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "CREATE VIEW", "SHOW VIEW",
            "CREATE ROUTINE", "ALTER ROUTINE", "TRIGGER", "EVENT", "LOCK TABLES")  # fmt: skip


def collect_capabilities(target: MysqlTarget) -> Capabilities:
    """Ask what this login may do. Raises ServerError, ConnectError."""
    began, monotonic = time.time(), time.monotonic()
    server_seconds = float(target.collect_one("server_clock")["seconds"])
    round_trip = time.monotonic() - monotonic
    remarks, troubles = _judge_tool(target)
    tls = target.options.tls
    return Capabilities(
        info=target.info,
        where=target.options.server,
        items=tuple(_items(target)),
        is_local=target.options.is_local,
        is_tls=target.is_encrypted,
        is_tls_verified=target.is_encrypted and tls.is_verified,
        tls_detail=f"ssl_mode={tls.mode}" if target.is_encrypted else "",
        clock_skew_seconds=server_seconds - (began + round_trip / 2),
        round_trip_seconds=round_trip,
        remarks=remarks,
        troubles=troubles,
    )


def _judge_tool(target: MysqlTarget) -> tuple[tuple[str, ...], tuple[str, ...]]:
    try:
        tool = find_tool(target.info, target.environ)
    except ToolError as error:
        return (), (str(error),)
    return tuple(remark_on(tool, target.info)), ()


@dataclass(frozen=True)
class _Account:
    """The privileges of an account, as SHOW GRANTS says them."""

    name: str
    grants: tuple[str, ...]
    is_superuser: bool

    def can(self, name: str, purpose: str, words: Sequence[str], without: str, on: str = "") -> Capability:
        """Return whether it holds all of these, on database `on` or, empty, everywhere."""
        held = privileges_on(self.grants if on else [grant for grant in self.grants if " ON *.* " in grant], on)
        absent = [] if self.is_superuser and not on else [word for word in words if lacks(held, word)]
        return Capability(
            name=name,
            purpose=purpose,
            is_held=True if not absent else None if has_roles(self.grants) else False,
            without=without,
            grant=format_grant(absent or words, on, self.name),
        )


def _items(target: MysqlTarget) -> Iterator[Capability]:
    database = target.database
    account = _Account(target.info.user, target.collect_grants(), target.info.is_superuser)
    ending = termination_privilege(target)
    yield account.can("PROCESS", "look", ["PROCESS"], "sessions of other logins, and who blocks whom, are hidden")
    yield account.can("replication", "look", [replication_privilege(target)], "it is not shown")
    yield account.can(ending, "act", [ending], "sessions of other logins cannot be cancelled or terminated")
    if database:
        dump = account.can("backup", "dump", _DUMP, "it fails or leaves things out", database)
        yield replace(dump, is_vital=True)
        for name, new, without in (
            ("restore", database, "none into a new database"),
            ("verify --restore", _SCRATCH, "no proof by a restore into a scratch database"),
        ):
            restore = account.can(name, "restore", _RESTORE, without, f"{new}_new")
            yield replace(restore, grant=format_grant_on_new(_RESTORE, new, account.name))


def collect_tools(environ: Mapping[str, str]) -> tuple[InstalledTool, ...]:
    """Find the dump tools of MariaDB and Oracle."""
    return tuple(
        InstalledTool(
            name="mariadb-dump" if tool.is_mariadb else "mysqldump",
            path=tool.path,
            version=tool.version,
            version_number=tool.version_number,
            flavour=tool.flavour,
        )
        for tool in find_tools(environ)
    )


def collect_credential_files(
    profile: ConnectionProfile | None, environ: Mapping[str, str]
) -> tuple[CredentialFile, ...]:
    """Look at the files that logins come from. Raises UsageError, ConfigError."""
    files = []
    path = option_file_path(option_file_of(profile.url) if profile else "", environ)
    if path is not None:
        files.append(collect_credential_file("option file", path, secret_words=("password",)))
    if unread := login_path_file(environ):
        files.append(collect_credential_file("login path file", unread, is_read=False))
    if profile and (key := collect_options(profile, None, environ).tls.key):
        files.append(collect_credential_file("private key", Path(key)))
    return tuple(files)
