"""What `dbtui connections` does: asks every target at the same time and prints a table or one JSON document."""

from datetime import UTC, datetime
from typing import Any

from dbtui.analysis.connections import assess_status
from dbtui.cli import exit_codes
from dbtui.cli.invocation import Invocation
from dbtui.cli.printers import print_document, write_data
from dbtui.cli.tables import Column, format_table, show_age, terminal_width
from dbtui.jobs import JobRequest
from dbtui.model.connections import ConnectionProfile, TargetStatus
from dbtui.model.text import format_bytes
from dbtui.routines.connections import collect_status

#: Of a narrow terminal's table the columns with the highest `drop` go first.
_COLUMNS = (
    Column("NAME", least=8),
    Column("STATE", least=16),
    Column("SERVER", least=10, drop=7),
    Column("ROLE", drop=2),
    Column("SESSIONS", right=True, drop=1),
    Column("ACTIVE", right=True, drop=3),
    Column("IDLE TX", right=True, drop=5),
    Column("OLDEST", right=True, drop=4),
    Column("LAG", right=True, drop=6),
    Column("UP", right=True, drop=10),
    Column("TLS", drop=11),
    Column("POOLER", drop=12),
    Column("SIZE", right=True, drop=9),
    Column("ENVIRONMENT", drop=8),
    Column("URL", least=16, drop=13),
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
        "problem_code": status.problem_code,
        "started_at": status.started_at,
        "sessions_active": status.sessions_active,
        "sessions_idle_in_transaction": status.sessions_idle_in_transaction,
        "sessions_blocked": status.sessions_blocked,
        "oldest_transaction_seconds": status.oldest_transaction_seconds,
        "lag_seconds": status.lag_seconds,
        "is_pooled": status.is_pooled,
        "is_tls": status.is_tls,
        "counters": status.counters,
        "file": status.file,
        "findings": assess_status(status),
    }


def _cells(profile: ConnectionProfile, status: TargetStatus) -> tuple[str, ...]:
    info = status.info
    used, available = status.sessions_used, status.sessions_available
    sessions = "" if used is None else f"{used}/{available}" if available is not None else str(used)
    up = None if status.started_at is None else (status.taken_at - status.started_at).total_seconds()
    return (
        profile.name,
        _state(status) if info else f"✖ {status.problem}",
        f"{info.flavour} {info.version}" if info else profile.engine.value,
        info.role if info else "",
        sessions,
        _count(status.sessions_active),
        _count(status.sessions_idle_in_transaction),
        show_age(status.oldest_transaction_seconds),
        show_age(status.lag_seconds),
        show_age(up),
        _yes(status.is_tls),
        _yes(status.is_pooled),
        format_bytes(status.size_bytes) if status.size_bytes is not None else "",
        profile.environment.value + (", read-only" if profile.read_only else ""),
        profile.url,
    )


def _state(status: TargetStatus) -> str:
    """That it is reachable, and what there is to say of it; a file also says who holds it."""
    findings = assess_status(status)
    parts = [f"{'▲' if findings else '●'} reachable", *(finding.words for finding in findings)]
    if status.file is not None and status.file.lock_state not in ("", "unlocked"):
        parts.append(status.file.lock_state)
    return ", ".join(parts)


def _count(number: int | None) -> str:
    return "" if number is None else str(number)


def _yes(is_so: bool | None) -> str:
    return "" if is_so is None else "yes" if is_so else "no"
