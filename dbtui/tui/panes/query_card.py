"""All about one pattern: what repeats after what, with which values, when, why it is one, what to write instead."""

import re
from collections.abc import Iterator, Sequence

from dbtui.analysis.queries.savings import format_seconds
from dbtui.analysis.query_cards import Piece, count_moments, mark_placeholders, mark_values
from dbtui.analysis.query_words import TITLES, describe_evidence, describe_place, describe_times, shorten_sql
from dbtui.model.queries import Child, Cure, PatternLevel, Repetition
from dbtui.model.text import format_count
from dbtui.model.top_queries import QuerySuspect
from dbtui.tui.ages import format_time
from dbtui.tui.cells import BLANK, Line, Span, Tone, dim, line, strong
from dbtui.tui.dialogs.plan_lines import fact
from dbtui.tui.panes.query_rows import Row, Source, saved_text, show_lost, sign_of
from dbtui.tui.spoken_keys import speak_keys

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDEST_STRIP = 60
_LABEL = 12
_CHILDREN = 4
_TAGS = re.compile(r"\s*/\*[^*]*\*/\s*;?\s*$")


def show_card(row: Row, source: Source | None, width: int) -> list[Line]:
    """Return all about a row, for lines of so many cells."""
    if row.repetition is not None:
        round_trip = source.found.round_trip_seconds if source is not None else None
        return list(_repetition(row, row.repetition, round_trip, width))
    return list(_suspect(row, row.suspect)) if row.suspect is not None else []


def _repetition(row: Row, repetition: Repetition, round_trip_seconds: float | None, width: int) -> Iterator[Line]:
    title = TITLES[repetition.kind]
    if repetition.level is PatternLevel.INFO:
        yield line(sign_of(row), " ", strong(title), dim("   no N+1"))
    else:
        yield line(sign_of(row), " ", strong(f"{title}  {repetition.confidence:.2f}"),
                   dim(f"   {repetition.level.value}"))  # fmt: skip
    yield BLANK
    if place := describe_place(repetition):
        yield fact("where", strong(place))
    if lost := show_lost(row):
        yield fact("lost", Span(lost, Tone.WARNING))
    yield from _cure(repetition.cure, saved_text(repetition, round_trip_seconds))
    yield BLANK
    if repetition.parent is not None:
        rows = "" if repetition.parent_rows is None else f"   returned {repetition.parent_rows} rows"
        yield fact("first", _flat(repetition.parent_sql or repetition.parent.text), dim(rows))
    for child in repetition.children[:_CHILDREN]:
        yield from _child(child)
    if len(repetition.children) > _CHILDREN:
        yield fact("", dim(f"and {len(repetition.children) - _CHILDREN} more statements with it"))
    yield from _timeline(repetition.timeline, width)
    yield BLANK
    for number, reason in enumerate(repetition.reasons):
        yield fact("why" if not number else "", Span("● ", Tone.OK), reason)
    if repetition.cure is not None and repetition.cure.why:
        yield fact("because", repetition.cure.why)
    yield BLANK
    if times := describe_times(repetition):
        yield fact("times", times)
    yield fact("seen", describe_evidence(repetition))
    if repetition.last_at is not None:
        yield fact("last", format_time(repetition.last_at))


def _flat(sql: str) -> str:
    """A statement on one line, without what an application has written behind it; the panel breaks it."""
    return " ".join(_TAGS.sub("", sql).split())


def _child(child: Child) -> Iterator[Line]:
    took = f"   {format_seconds(child.seconds)} in all" if child.seconds is not None else ""
    yield fact(f"then {format_count(child.repeats)} ×", *_pieces(mark_placeholders(child.shape.text)), dim(took))
    for number, pieces in enumerate(mark_values([shorten_sql(_flat(sample)) for sample in child.samples])):
        yield fact("as" if not number else "", *_pieces(pieces, is_sample=True))


def _pieces(pieces: Sequence[Piece], *, is_sample: bool = False) -> Iterator[Span]:
    """What varies stands out by its colour and by signs around it."""
    for piece in pieces:
        if not piece.varies:
            yield dim(piece.text) if is_sample else Span(piece.text)
        else:
            yield Span(f"‹{piece.text}›" if is_sample else piece.text, Tone.ACCENT)


def _timeline(moments: Sequence[float], width: int) -> Iterator[Line]:
    """When the child ran, from its parent's end to its last repeat."""
    if len(moments) < 2 or max(moments) <= 0:
        return
    places = max(10, min(_WIDEST_STRIP, width - _LABEL - 12))
    counts = count_moments(moments, places)
    most = max(counts)
    strip = "".join(_BLOCKS[max(0, round(count / most * len(_BLOCKS)) - 1)] if count else "·" for count in counts)
    yield fact("ran", Span(strip, Tone.ACCENT), dim(f" {format_seconds(max(moments))}"))


def _cure(cure: Cure | None, saved: str) -> Iterator[Line]:
    """Yield what to write instead, with the key that copies it."""
    if cure is None:
        return
    yield BLANK
    for number, each in enumerate(cure.snippet.splitlines()):
        copies = "" if number else speak_keys("   {global.copy} copies it")
        yield fact("" if number else "cure", Span(each, Tone.ACCENT), dim(copies))
    if cure.guard:
        yield fact("guard", Span(cure.guard, Tone.ACCENT), dim("   so that it does not come back"))
    for number, each in enumerate(cure.index_sql.splitlines()):
        yield fact("" if number else "index", Span(each, Tone.ACCENT))
    if not cure.snippet and cure.why:
        yield fact("cure", cure.why)
    if saved:
        yield fact("saved", saved)


def _suspect(row: Row, suspect: QuerySuspect) -> Iterator[Line]:
    yield line(sign_of(row), " ", strong("suspect"), dim("   sums keep no order"))
    yield BLANK
    yield line(Span(speak_keys("{queries.capture} "), Tone.KEY), "captures what runs, to make sure")
    yield BLANK
    yield fact("lost", Span(show_lost(row), Tone.WARNING), dim("   what the repeats take"))
    if suspect.child.database:
        who = f"  user {suspect.child.user}" if suspect.child.user else ""
        yield fact("database", suspect.child.database, dim(who))
    yield from _cure(suspect.cure, "")
    yield BLANK
    yield fact("first", _flat(suspect.parent.sql), dim(f"   {suspect.parent_rows:.0f} rows each"))
    yield fact(f"then {suspect.repeats:.0f} ×", *_pieces(mark_placeholders(_flat(suspect.child.sql))))
    yield BLANK
    for number, reason in enumerate(suspect.reasons):
        yield fact("why" if not number else "", Span("● ", Tone.WARNING), reason)
    if suspect.cure is not None and suspect.cure.why:
        yield fact("because", suspect.cure.why)
