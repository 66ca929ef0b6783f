"""What a PostgreSQL login may do, how it reaches its server, and which of its tools and files are on this machine."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dbtui.adapters.libpq.conninfo import parse_conninfo
from dbtui.adapters.machine import collect_credential_file
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.facts import collect_dump_facts
from dbtui.adapters.postgresql.sql import quote_visible_name
from dbtui.adapters.postgresql.tools import find_tools
from dbtui.errors import ToolError
from dbtui.model.backups import DumpFacts, DumpOptions
from dbtui.model.connections import ConnectionProfile
from dbtui.model.doctor import Capabilities, Capability, CredentialFile, InstalledTool
from dbtui.model.text import format_untrusted

TOOL_NAMES = ("pg_dump", "pg_restore", "psql")
_READ_ALL_SINCE = 140000
_LOCAL = ("127.0.0.1", "::1", "localhost", "")


def collect_capabilities(target: PostgresqlTarget) -> Capabilities:
    """Ask what this login may do. Raises ConnectError when the profile's database does not exist."""
    target.check_database()
    began, monotonic = time.time(), time.monotonic()
    rights = target.collect_one("collect_login_rights")
    round_trip = time.monotonic() - monotonic
    troubles: list[str] = []
    facts = None
    try:
        facts = collect_dump_facts(target, DumpOptions())
    except ToolError as error:
        troubles.append(str(error))
    wire = target.wire
    sslmode = wire.dsn_parameters.get("sslmode", "prefer")
    return Capabilities(
        info=target.info,
        where=target.where,
        items=(*_rights(target, rights), *_dumping(target, facts), *_restoring(target, rights)),
        is_local=target.host.startswith("/") or target.host in _LOCAL,
        is_tls=wire.ssl_in_use,
        is_tls_verified=wire.ssl_in_use and sslmode in ("verify-ca", "verify-full"),
        tls_detail=f"{wire.ssl_attribute('protocol') or 'TLS'}, sslmode={sslmode}" if wire.ssl_in_use else "",
        is_pooled=target.is_pooled,
        passes_pooler=target.is_pooled and not target.works_pooled,
        clock_skew_seconds=rights.server_seconds - (began + round_trip / 2),
        round_trip_seconds=round_trip,
        remarks=tuple(_remarks(rights)),
        troubles=tuple(troubles),
    )


def _rights(target: PostgresqlTarget, rights: Any) -> Iterator[Capability]:
    login = quote_visible_name(target.info.user)
    for role, purpose, is_held, without in (
        ("pg_read_all_stats", "look", rights.reads_stats, "the sessions and statements of other logins are hidden"),
        ("pg_monitor", "look", rights.monitors, "some settings, replication and the write-ahead log are hidden"),
        ("pg_signal_backend", "act", rights.signals, "sessions of other logins cannot be cancelled or terminated"),
    ):
        yield Capability(name=role, purpose=purpose, is_held=is_held, without=without, grant=f"GRANT {role} TO {login}")


def _dumping(target: PostgresqlTarget, facts: DumpFacts | None) -> Iterator[Capability]:
    if facts is None:
        return
    login = quote_visible_name(target.info.user)
    hidden = [f"{table.schema}.{table.name}" for table in facts.tables if table.has_row_security]
    objects = [grant for grant in facts.missing_privileges if "LARGE OBJECT" in grant]
    grants = [grant for grant in facts.missing_privileges if grant not in objects]
    has_read_all = target.info.version_number >= _READ_ALL_SINCE
    yield Capability(
        name="SELECT for backups",
        purpose="dump",
        is_held=not grants,
        without=f"a backup fails, {len(grants)} GRANTs are missing, such as {grants[0]}" if grants else "",
        grant=f"GRANT pg_read_all_data TO {login}" if has_read_all else ";\n".join(grants),
        is_vital=True,
    )
    for grant in objects:
        yield Capability(
            name="large objects", purpose="dump", is_held=False, without="a backup fails", grant=grant, is_vital=True
        )
    if hidden:
        shown = ", ".join(format_untrusted(name, 80) for name in hidden[:5])
        yield Capability(
            name="BYPASSRLS",
            purpose="dump",
            is_held=False,
            without=f"row-level security hides rows of {len(hidden)} tables ({shown}): a backup fails",
            grant=f"ALTER ROLE {login} BYPASSRLS",
            is_vital=True,
        )


def _restoring(target: PostgresqlTarget, rights: Any) -> Iterator[Capability]:
    yield Capability(
        name="CREATEDB",
        purpose="restore",
        is_held=rights.creates_databases,
        without="no restore into a new database, and no verify --restore",
        grant=f"ALTER ROLE {quote_visible_name(target.info.user)} CREATEDB",
    )


def _remarks(rights: Any) -> Iterator[str]:
    if rights.closed_databases:
        shown = ", ".join(format_untrusted(name, 80) for name in rights.closed_databases[:5])
        yield f"without CONNECT, and so out of reach: {shown}"


def collect_tools(environ: Mapping[str, str]) -> tuple[InstalledTool, ...]:
    """Find PostgreSQL's client programs, every version of them."""
    return tuple(
        InstalledTool(
            name=tool.name,
            path=tool.path,
            version=tool.version,
            version_number=tool.version_number,
            flavour="PostgreSQL",
        )
        for name in TOOL_NAMES
        for tool in find_tools(name, environ)
    )


def collect_credential_files(
    profile: ConnectionProfile | None, environ: Mapping[str, str]
) -> tuple[CredentialFile, ...]:
    """Look at the files that libpq takes logins from. Raises UsageError for a malformed URL."""
    words = parse_conninfo(profile.url) if profile else {}
    home = Path(environ.get("HOME") or "/nonexistent")
    passfile = Path(words.get("passfile") or environ.get("PGPASSFILE") or home / ".pgpass")
    services = Path(environ.get("PGSERVICEFILE") or home / ".pg_service.conf")
    files = [collect_credential_file("password file", passfile, is_ignored_when_open=True)]
    service_file = collect_credential_file("service file", services, secret_words=("password",))
    if words.get("service") or environ.get("PGSERVICE") or service_file.exists:
        files.append(service_file)
    if key := words.get("sslkey"):
        files.append(collect_credential_file("private key", Path(key), is_ignored_when_open=True))
    return tuple(files)
