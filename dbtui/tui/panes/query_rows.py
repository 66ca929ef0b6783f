"""What repeats, a line each: findings, and suspicions of what may be one. No widget in here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from dbtui.analysis.queries.savings import estimate_saving, format_seconds
from dbtui.analysis.query_cards import (
    confirms,
    copy_cure,
    key_of,
    name_pattern,
    name_suspicion,
    reckon_lost,
    write_card,
    write_suspicion,
)
from dbtui.analysis.query_words import SHORT_TITLES, SIGNS, TITLES, describe_place
from dbtui.model.queries import Cure, PatternLevel, QueryFindings, Repetition, Shape
from dbtui.model.top_queries import QuerySuspect
from dbtui.tui.cells import Line, Span, Tone, dim, line, strong
from dbtui.tui.widgets.rows import Column

TONES = {PatternLevel.FINDING: Tone.TROUBLE, PatternLevel.HINT: Tone.WARNING, PatternLevel.INFO: Tone.DIM}
#: What a capture has seen for less is told as it is: a page that was asked for once would be taken for busy.
LEAST_RATE_SECONDS = 10.0
_RANKS = {PatternLevel.FINDING: 3, PatternLevel.HINT: 2, PatternLevel.INFO: 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where findings come from. `seconds`: how long a server was watched for them, of which `sample_rate` was seen.

    `is_file`: of a file, whose `name` that is. `ended_by`, `left`: of a capture that has ended; `is_running`: not yet.
    """

    found: QueryFindings
    name: str
    taken_at: datetime
    seconds: float | None = None
    sample_rate: float = 1.0
    is_file: bool = False
    is_running: bool = False
    is_restored: bool = True
    ended_by: str = ""
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One pattern: a repetition that was seen, or one that is suspected. `lost`: seconds a minute, or in all."""

    key: str
    pattern: str
    repetition: Repetition | None = None
    suspect: QuerySuspect | None = None
    lost: float | None = None
    is_per_minute: bool = False
    is_estimate: bool = False

    @property
    def cure(self) -> Cure | None:
        """What to write instead."""
        known = self.repetition or self.suspect
        return known.cure if known is not None else None

    @property
    def sql(self) -> str:
        """The statement that repeats, as it was seen."""
        if self.repetition is not None:
            child = self.repetition.children[0]
            return child.samples[0] if child.samples else child.shape.text
        return self.suspect.child.sql if self.suspect is not None else ""

    def copy_cure(self) -> str:
        """What is pasted into the application, else the statement."""
        return copy_cure(self.cure) or self.sql

    def copy_all(self, source: Source | None) -> str:
        """All about it."""
        if self.repetition is not None:
            return write_card(self.repetition, source.found.round_trip_seconds if source is not None else None)
        return write_suspicion(self.suspect) if self.suspect is not None else ""


def make_rows(
    source: Source | None, suspects: Sequence[QuerySuspect], shape_of: Callable[[str], Shape], *, shows_others: bool
) -> list[Row]:
    """Return the rows: what was found, then what is suspected and not found already, then what is no N+1."""
    repetitions = source.found.findings if source is not None else ()
    rows = [_found(each, source) for each in repetitions if source is not None]
    for suspect in suspects:
        text = shape_of(suspect.child.sql).text
        if not any(confirms(each, suspect, text) for each in repetitions):
            rows.append(_suspected(suspect))
    if shows_others and source is not None:
        rows += [_found(each, source) for each in source.found.others]
    return rows


def _found(repetition: Repetition, source: Source) -> Row:
    is_rate = not source.is_file and not (source.is_running and (source.seconds or 0) < LEAST_RATE_SECONDS)
    seconds = source.seconds if is_rate else None
    return Row(
        key=key_of(repetition),
        pattern=name_pattern(repetition),
        repetition=repetition,
        lost=reckon_lost(repetition, seconds, source.sample_rate),
        is_per_minute=bool(seconds),
        is_estimate=source.sample_rate < 1,
    )


def _suspected(suspect: QuerySuspect) -> Row:
    return Row(
        key=f"suspect\0{suspect.child.key}",
        pattern=name_suspicion(suspect),
        suspect=suspect,
        lost=suspect.seconds_per_second * 60,
        is_per_minute=True,
    )


# ---------------------------------------------------------------- cells


def sign_of(row: Row) -> Span:
    """Return its sign."""
    if row.repetition is None:
        return Span("▲", Tone.WARNING)
    return Span(SIGNS[row.repetition.level], TONES[row.repetition.level])


def _what(row: Row) -> Line:
    if row.repetition is None:
        return line(Span("suspect", Tone.WARNING))
    title = SHORT_TITLES[row.repetition.kind]
    if row.repetition.level is PatternLevel.INFO:
        return line(dim(title))
    return line(strong(title), f" {row.repetition.confidence:.2f}")


def show_lost(row: Row) -> str:
    """Return what is lost: `1.9 s/min`, `1.9 s`, nothing when nobody measured."""
    if row.lost is None:
        return ""
    per = "/min" if row.is_per_minute else ""
    sign = "~" if row.is_estimate else ""
    return f"{sign}{format_seconds(row.lost)}{per}"


def where(row: Row) -> str:
    """Return where it was met."""
    if row.repetition is not None:
        return describe_place(row.repetition)
    return row.suspect.child.database if row.suspect is not None else ""


def search(row: Row) -> str:
    """Return what a filter looks into."""
    words = [row.pattern, row.sql, where(row), "suspect" if row.suspect is not None else ""]
    if row.repetition is not None:
        words += [TITLES[row.repetition.kind], row.repetition.level.value, row.repetition.parent_sql]
    if row.cure is not None:
        words.append(row.cure.snippet)
    return " ".join(words)


def _rank(row: Row) -> float:
    if row.repetition is None:
        return 1.0
    return _RANKS[row.repetition.level] + row.repetition.confidence


def _repeats(row: Row) -> float:
    if row.repetition is not None:
        return row.repetition.repeats
    return row.suspect.repeats if row.suspect is not None else 0.0


COLUMNS: list[Column[Row]] = [
    Column("", sign_of, 1),
    Column("WHAT", _what, 8, order=_rank, descending=True),
    Column("PATTERN", lambda row: Span(row.pattern), 38, grow=6, order=_repeats, descending=True),
    Column("LOST", lambda row: Span(show_lost(row)), 12, right=True, order=lambda row: row.lost, descending=True),
    Column("WHERE", lambda row: dim(where(row)), 9, grow=1, widest=44, spare=1, order=where),
]  # fmt: skip


def saved_text(repetition: Repetition, round_trip_seconds: float | None) -> str:
    """Return the arithmetic of what a cure saves."""
    return estimate_saving(repetition, round_trip_seconds).text if repetition.cure is not None else ""
