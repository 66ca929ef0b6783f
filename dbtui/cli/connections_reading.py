"""What `dbtui connections` does: asks every target at the same time and prints a table or one JSON document."""

from datetime import UTC, datetime
from typing import Any

from dbtui.cli import exit_codes
from dbtui.cli.invocation import Invocation
from dbtui.cli.printers import print_document, write_data
from dbtui.cli.tables import Column, format_table, terminal_width
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile, TargetStatus
from dbtui.model.text import format_bytes
from dbtui.routines.connections import collect_status

_COLUMNS = (
    Column("NAME", least=8),
    Column("STATE", least=16),
    Column("SERVER", least=10, drop=2),
    Column("ROLE", drop=3),
    Column("SESSIONS", right=True, drop=4),
    Column("SIZE", right=True, drop=1),
    Column("ENVIRONMENT", drop=5),
    Column("URL", least=16, drop=6),
)


def show_connections(*, as_json: bool) -> int:
    """Print how every target is."""
    invocation = Invocation.begin(as_json=as_json)
    profiles = invocation.settings.profiles
    requests = [_request(profile) for profile in profiles]
    seen: list[TargetStatus] = []
    for profile, outcome in zip(profiles, invocation.run_together(requests), strict=True):
        unreachable = TargetStatus(profile=profile.name, taken_at=datetime.now(UTC), problem=str(outcome.error))
        seen.append(outcome.result if outcome.result is not None else unreachable)
    if as_json:
        print_document(
            connections=[connection_fields(each, status) for each, status in zip(profiles, seen, strict=True)]
        )
    elif profiles:
        rows = [_cells(profile, status) for profile, status in zip(profiles, seen, strict=True)]
        write_data("\n".join(format_table(_COLUMNS, rows, terminal_width())))
    else:
        invocation.printer.say("there are no profiles; write one into the configuration file or set DATABASE_URL")
    return exit_codes.DONE


def _request(profile: ConnectionProfile) -> JobRequest[TargetStatus]:
    return JobRequest(
        routine="connection status",
        target=profile.name,
        start=lambda c: collect_status(c, profile),
        changes=False,
    )


def connection_fields(profile: ConnectionProfile, status: TargetStatus) -> dict[str, Any]:
    """Return one connection as fields for JSON; nothing secret is among them."""
    return {
        "name": profile.name,
        "engine": profile.engine,
        "url": profile.url,
        "database": profile.database,
        "environment": profile.environment,
        "read_only": profile.read_only,
        "origin": profile.origin,
        "reachable": status.reachable,
        "problem": status.problem,
        "info": status.info,
        "sessions_used": status.sessions_used,
        "sessions_available": status.sessions_available,
        "size_bytes": status.size_bytes,
        "tables": status.tables,
        "taken_at": status.taken_at,
        "seconds": status.seconds,
        "gaps": status.gaps,
        "warnings": profile.warnings,
    }


def _cells(profile: ConnectionProfile, status: TargetStatus) -> tuple[str, ...]:
    info = status.info
    used, available = status.sessions_used, status.sessions_available
    sessions = "" if used is None else f"{used}/{available}" if available is not None else str(used)
    return (
        profile.name,
        "● reachable" if info else f"✖ {status.problem}",
        f"{info.flavour} {info.version}" if info else profile.engine.value,
        info.role if info else "",
        sessions,
        format_bytes(status.size_bytes) if status.size_bytes is not None else "",
        profile.environment.value + (", read-only" if profile.read_only else ""),
        profile.url,
    )
