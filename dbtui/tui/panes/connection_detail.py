"""All that is known of one connection; of one that is down also what was last seen, and how old that is."""

from collections.abc import Iterator
from datetime import datetime

from dbtui.model.connections import TargetStatus
from dbtui.model.text import format_bytes, format_count, format_duration
from dbtui.tui.ages import age_text, format_time
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, plain_text, strong
from dbtui.tui.dialogs.plan_lines import fact, warning
from dbtui.tui.panes.connection_rows import Row, has_password, show_fraction, show_problem, show_rate
from dbtui.tui.spoken_keys import speak_keys
from dbtui.tui.widgets.header import environment_sign

EMPTY: tuple[Line, ...] = (
    line(" No connection is known yet. Here would be every profile and how it does."),
    BLANK,
    line(dim(" Set "), "DATABASE_URL", dim(", give a URL to "), "dbtui", dim(", or write into config.toml:")),
    BLANK,
    line("   [profiles.erp]"),
    line('   url = "postgresql://erp@db1:5432/erp"'),
    line('   environment = "production"'),
)


def show_connection(row: Row, now: datetime) -> list[Line]:
    """Return what a target says of itself, or why it says nothing; of one that is down what was last seen."""
    profile, status, seen = row.profile, row.status, row.seen
    lines: list[Line] = [line(strong(profile.name), Span("  "), environment_sign(profile.environment) or Span(""))]
    if row.is_down:
        types = " · {connections.password} types a password" if has_password(profile) else ""
        cure = speak_keys("{global.refresh} tries now" + types)
        lines += [line(Span("✖ ", Tone.TROUBLE), Span(show_problem(row, now), Tone.TROUBLE)), line("  ", dim(cure))]
    if seen is not None and seen.info is not None:
        if not row.is_down:
            lines += [warning(finding.words) for finding in row.findings]
        known = [*_load(row, seen), *_file(seen), *_server(seen, now)]
        if row.is_down:
            known = [line(dim(f"last seen {age_text(seen.taken_at, now)}")),
                     *(line(dim(plain_text(each))) for each in known)]  # fmt: skip
        lines += known
    if status is not None:
        lines += [warning(gap) for gap in status.gaps]
    return lines


def show_profile(row: Row) -> list[Line]:
    """Return what the configuration says of a target."""
    profile, status = row.profile, row.status
    lines = [fact("url", profile.url), fact("from", profile.origin or "–"),
             fact("environment", str(profile.environment)), fact("backups in", profile.backup_dir)]  # fmt: skip
    if profile.read_only:
        lines.append(fact("read-only", "nothing can be restored into it, no session ended"))
    if status is not None and not row.is_down:
        took = dim(f"  took {status.seconds * 1000:.0f} ms")
        lines.append(fact("asked", format_time(status.taken_at).split()[1], took))
    return [*lines, *(warning(text) for text in profile.warnings)]


def _server(status: TargetStatus, now: datetime) -> Iterator[Line]:
    info = status.info
    if info is None:
        return
    yield fact("server", f"{info.flavour} {info.version}", dim(f"  {info.role}"))
    if status.started_at is not None:
        seconds = (now - status.started_at).total_seconds()
        yield fact("up since", format_time(status.started_at), dim(f"  {format_duration(seconds - seconds % 60)}"))
    yield fact("database", info.database)
    if info.user:
        yield fact("login", info.user, dim("  superuser" if info.is_superuser else ""))
    path = [word for word, is_so in (("TLS", status.is_tls), ("no TLS", status.is_tls is False),
                                     ("a pooler is in the path", status.is_pooled)) if is_so]  # fmt: skip
    if path:
        yield fact("path", ", ".join(path))
    if info.extensions:
        yield fact("extensions", ", ".join(info.extensions))


def _load(row: Row, status: TargetStatus) -> Iterator[Line]:
    if status.sessions_used is not None:
        of = f" of {status.sessions_available} for ordinary logins" if status.sessions_available else ""
        yield fact("sessions", f"{status.sessions_used}{of}")
        counts = ((status.sessions_active, "active"), (status.sessions_idle_in_transaction, "idle in transaction"),
                  (status.sessions_blocked, "blocked"))  # fmt: skip
        told = ", ".join(f"{count} {what}" for count, what in counts if count is not None)
        if told:
            yield fact("", told)
    if status.oldest_transaction_seconds is not None:
        yield fact("oldest xact", format_duration(status.oldest_transaction_seconds))
    rates = [f"{show_rate(rate)} {unit}" for rate, unit in ((row.rates.tps, "transactions/s"),
             (row.rates.qps, "queries/s")) if rate is not None]  # fmt: skip
    if rates:
        yield fact("rate", ", ".join(rates))
    if row.rates.was_reset:
        yield fact("rate", dim("its counters began anew"))
    if row.rates.cache_hit_fraction is not None:
        yield fact("cache hit", show_fraction(row.rates.cache_hit_fraction))
    if status.lag_seconds is not None:
        yield fact("lag", format_duration(status.lag_seconds))
    if status.size_bytes is not None:
        count = status.tables
        tables = "" if count is None else f"  {format_count(count)} {'table' if count == 1 else 'tables'}"
        yield fact("size", format_bytes(status.size_bytes), dim(tables))


def _file(status: TargetStatus) -> Iterator[Line]:
    file = status.file
    if file is None:
        return
    yield fact(
        "journal",
        file.journal_mode or "–",
        dim(f"  WAL {format_bytes(file.wal_bytes)}" if file.wal_bytes is not None else ""),
    )
    yield fact("lock", file.lock_state or "–")
    bad = file.integrity not in ("", "ok")
    yield fact("integrity", Span(file.integrity or "not looked at", Tone.TROUBLE if bad else Tone.PLAIN))
