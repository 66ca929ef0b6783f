"""Profiles as rows of the list: reachable or why not, how full, how busy, how old the oldest transaction is."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from dbtui.analysis.connections import NO_RATES, Rates, assess_cache_hit, assess_changes, assess_rates, assess_status
from dbtui.model.connections import ConnectionProfile, EngineName, Environment, TargetStatus
from dbtui.model.findings import FindingLevel, TargetConcern, TargetFinding
from dbtui.model.text import format_bytes, format_count
from dbtui.tui.ages import brief_age
from dbtui.tui.cells import Line, Span, Tone, dim, fresh, line, strong
from dbtui.tui.widgets.header import environment_sign, version_text
from dbtui.tui.widgets.rows import Column
from dbtui.watches import Look

_TONES = {FindingLevel.OK: Tone.OK, FindingLevel.REMARK: Tone.WARNING, FindingLevel.TROUBLE: Tone.TROUBLE}


@dataclass(frozen=True, slots=True)
class Row:
    """A profile, the last look at it, and the last good one with the rates since the one before."""

    profile: ConnectionProfile
    look: Look | None = None
    seen: TargetStatus | None = None
    rates: Rates = NO_RATES
    findings: tuple[TargetFinding, ...] = ()  # of the last good look
    changed: frozenset[str] = frozenset()  # what that one said otherwise than the one before

    @property
    def status(self) -> TargetStatus | None:
        """What the last look said."""
        return self.look.status if self.look is not None else None

    @property
    def is_down(self) -> bool:
        """Whether the last look was none."""
        return self.look is not None and not self.look.status.reachable


def row_after(row: Row, look: Look) -> Row:
    """Return a row after another look; one older than what is shown changes nothing."""
    status = look.status
    if row.status is not None and row.status.taken_at > status.taken_at:
        return row
    if not status.reachable:
        return replace(row, look=look)
    rates = assess_rates(row.seen, status) if row.seen is not None else NO_RATES
    findings, changed = assess_status(status), assess_changes(row.seen, status)
    return replace(row, look=look, seen=status, rates=rates, findings=findings, changed=changed)


def show_problem(row: Row, now: datetime, brief: bool = False) -> str:
    """Return why a target is down, when the next try comes, and when it was last seen; `brief` leaves out the cure."""
    look = row.look
    if look is None:
        return ""
    text = look.status.problem or "unreachable"
    if brief:
        text = text.partition("; ")[0]
    seconds = (look.next_try_at - now).total_seconds() if look.next_try_at is not None else None
    if seconds is not None:
        text += f", next try in {brief_age(seconds)}" if seconds >= 1 else ", trying now"
    seen = look.last_seen_at or (row.seen.taken_at if row.seen else None)
    return f"{text} (last seen {brief_age((now - seen).total_seconds())} ago)" if seen is not None else text


# ------------------------------------------------------------ cells


def _sign(row: Row) -> Span:
    if row.status is None:
        return dim("○")
    if row.is_down:
        return Span("✖", Tone.TROUBLE)
    return Span("▲", Tone.WARNING) if row.findings else Span("●", Tone.OK)


def _up(
    draw: Callable[[TargetStatus], Span], concern: TargetConcern | None = None, value: str = ""
) -> Callable[[Row], Span]:
    """Draw a cell of a reachable target; the reason of one that is down runs on over it.

    Where there is something to say of `concern`, the cell has the tone of it. `value` is what differs when it is fresh.
    """

    def drawn(row: Row) -> Span:
        if row.is_down or row.seen is None:
            return Span("")
        cell = fresh(draw(row.seen), value in row.changed)
        found = next((each for each in row.findings if each.kind is concern), None)
        return replace(cell, tone=_TONES[found.level]) if found is not None else cell

    return drawn


def _sessions(status: TargetStatus) -> Span:
    used, available = status.sessions_used, status.sessions_available
    return dim("–") if used is None else Span(f"{used}/{available}" if available else str(used))


def _number(count: int | None, tone: Tone = Tone.PLAIN) -> Span:
    return Span("", tone) if count is None else dim("0") if not count else Span(str(count), tone)


def _role(status: TargetStatus) -> Span:
    return Span(status.info.role if status.info else "")


def _active(status: TargetStatus) -> Span:
    return _number(status.sessions_active)


def _idle(status: TargetStatus) -> Span:
    return _number(status.sessions_idle_in_transaction, Tone.WARNING)


def _blocked(status: TargetStatus) -> Span:
    return _number(status.sessions_blocked)


def _oldest(status: TargetStatus) -> Span:
    return Span(brief_age(status.oldest_transaction_seconds))


def show_rate(rate: float | None) -> str:
    """Return a rate in a few cells."""
    if rate is None:
        return ""
    return f"{rate:.1f}" if 0 < rate < 10 else format_count(round(rate))


def _rate(row: Row) -> Span:
    if row.is_down:
        return Span("")
    if row.rates.tps is not None:
        return Span(show_rate(row.rates.tps))
    return Span(show_rate(row.rates.qps) + " q" if row.rates.qps is not None else "")


def show_fraction(fraction: float | None) -> str:
    """Return a fraction as percents: `99.2 %`, `100 %`."""
    if fraction is None:
        return ""
    return "100 %" if fraction >= 0.9995 else f"{fraction * 100:.1f} %"


def _hit(row: Row) -> Span:
    if row.is_down:
        return Span("")
    low = assess_cache_hit(row.rates)
    return Span(show_fraction(row.rates.cache_hit_fraction), _TONES[low.level] if low else Tone.PLAIN)


def _lag(status: TargetStatus) -> Span:
    return Span(brief_age(status.lag_seconds))


def _size(status: TargetStatus) -> Span:
    return Span("" if status.size_bytes is None else format_bytes(status.size_bytes))


def _path(status: TargetStatus) -> Span:
    """How the server is reached: with TLS, by a pooler; of a file, how large its write-ahead log is."""
    if status.file is not None:
        wal = status.file.wal_bytes
        return Span("" if wal is None else f"WAL {format_bytes(wal)}")
    words = ["TLS"] if status.is_tls else []
    return Span(" ".join([*words, *(["pooled"] if status.is_pooled else [])]))


def server_cell(row: Row, now: datetime) -> Line:
    """Return version, or why there is none, and then what was last seen."""
    if row.status is None:
        return line(dim("asking …"))
    if row.is_down or row.status.info is None:
        return line(Span(show_problem(row, now, brief=True), Tone.TROUBLE), dim(_last_seen(row.seen)))
    return line(version_text(row.status.info))


def _last_seen(seen: TargetStatus | None) -> str:
    """What a target that is down last said, in few words; how old that is stands before it."""
    if seen is None:
        return ""
    told = [
        f"{_sessions(seen).text} sessions" if seen.sessions_used is not None else "",
        f"{seen.sessions_blocked} blocked" if seen.sessions_blocked else "",
        f"oldest {brief_age(age)}" if (age := seen.oldest_transaction_seconds) is not None else "",
        f"lag {brief_age(lag)}" if (lag := seen.lag_seconds) is not None else "",
        format_bytes(seen.size_bytes) if seen.size_bytes is not None else "",
    ]
    return "  " + ", ".join(each for each in told if each)


def _environment(row: Row) -> Span:
    return environment_sign(row.profile.environment) or (dim("dev") if not row.is_down else Span(""))


def _name(row: Row) -> Line:
    return line(strong(row.profile.name), dim("  read-only" if row.profile.read_only else ""))


def _order(what: Callable[[TargetStatus], object]) -> Callable[[Row], object]:
    return lambda row: what(row.seen) if row.seen is not None and not row.is_down else None


def connection_columns(clock: Callable[[], datetime]) -> list[Column[Row]]:
    """Return the columns of the list; `clock` is what counts down to the next try."""
    return [
        Column("", _sign, 1),
        Column("NAME", _name, 11, grow=2, widest=26, order=lambda row: row.profile.name.lower()),
        Column("SERVER", lambda row: server_cell(row, clock()), 16, spills=True,
               order=lambda row: row.status.info.flavour if row.status and row.status.info else None),
        Column("ROLE", _up(_role, value="role"), 7, spare=1),
        Column("SESSIONS", _up(_sessions, TargetConcern.FULL, "sessions_used"), 8, right=True, descending=True,
               order=_order(lambda s: s.sessions_used)),
        Column("ACTIVE", _up(_active, value="sessions_active"), 6, right=True, spare=7, descending=True,
               order=_order(lambda s: s.sessions_active)),
        Column("IDLE TX", _up(_idle, value="sessions_idle_in_transaction"), 7, right=True, spare=6, descending=True,
               order=_order(lambda s: s.sessions_idle_in_transaction)),
        Column("BLOCKED", _up(_blocked, TargetConcern.BLOCKED, "sessions_blocked"), 7, right=True, spare=4,
               descending=True, order=_order(lambda s: s.sessions_blocked)),
        Column("OLDEST", _up(_oldest, TargetConcern.OLD_TRANSACTION), 6, right=True, spare=2, descending=True,
               order=_order(lambda s: s.oldest_transaction_seconds)),
        Column("TPS", _rate, 6, right=True, spare=3, descending=True, order=lambda row: row.rates.tps),
        Column("LAG", _up(_lag, TargetConcern.LAGGING), 6, right=True, spare=5, descending=True,
               order=_order(lambda s: s.lag_seconds)),
        Column("SIZE", _up(_size), 6, right=True, spare=8, descending=True, order=_order(lambda s: s.size_bytes)),
        Column("HIT", _hit, 6, right=True, spare=9, order=lambda row: row.rates.cache_hit_fraction),
        Column("ENV", _environment, 9, order=lambda row: row.profile.environment.value),
        Column("PATH", _up(_path), 10, spare=10),
    ]  # fmt: skip


def connection_search(row: Row) -> str:
    """Return the words that a filter finds a row by."""
    profile, status = row.profile, row.status
    words = [profile.name, profile.url, profile.engine.value, profile.environment.value]
    if profile.environment is Environment.PRODUCTION:
        words.append("prod")
    if status is not None:
        words.append(status.problem or f"reachable {status.info.role if status.info else ''}")
    return " ".join(words)


def has_password(profile: ConnectionProfile) -> bool:
    """Whether a password can be typed for it."""
    return profile.engine is not EngineName.SQLITE
