"""What a card about a repetition is made of: its pattern in few words, the values that vary, when it ran, its cost."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dbtui.analysis.queries.applications import fold_application
from dbtui.analysis.queries.curing import format_suggestion
from dbtui.analysis.queries.python_names import bare_name
from dbtui.analysis.queries.savings import estimate_saving
from dbtui.analysis.query_words import (
    TITLES,
    describe_children,
    describe_evidence,
    describe_parent,
    describe_place,
    describe_times,
    shorten_sql,
)
from dbtui.model.queries import Cure, PatternLevel, Repetition, Shape
from dbtui.model.text import format_count
from dbtui.model.top_queries import QuerySuspect

_LISTED = re.compile(r"^select(?: distinct)? … from ", re.IGNORECASE)
_TAIL = re.compile(r" (?:order by|limit|offset|fetch first) .*$", re.IGNORECASE)
_FIRST = re.compile(r"[\w.\"`]+(?= )")
_TOKEN = re.compile(r"'(?:[^']|'')*'|[\w.]+|\s+|.", re.DOTALL)
#: Values stand alone: texts of another length are compared from both ends, and no word is cut in two.
_WORD = re.compile(r"\w")


# ---------------------------------------------------------------- the pattern


def name_statement(sql: str) -> str:
    """Return a statement in a few words: `order_lines WHERE ? = order_id`. What only orders and limits is left out."""
    short = _TAIL.sub("", _LISTED.sub("", shorten_sql(sql)))
    table = _FIRST.match(short)
    if table is None or " JOIN " in short.upper() or "," in short[: table.end() + 1]:
        return short
    return short[: table.end()] + short[table.end() :].replace(f"{table[0].rpartition('.')[2]}.", "")


def shorten_reading(sql: str) -> str:
    """Return a statement on one line; one that reads begins with what it reads: `… orders WHERE id = ?`."""
    return _LISTED.sub("… ", shorten_sql(sql))


def name_shape(shape: Shape) -> str:
    """Return what a shape reads by the names of its tables, or its text."""
    return ", ".join(bare_name(table) for table in shape.tables[:2]) or name_statement(shape.text)


def name_pattern(repetition: Repetition) -> str:
    """Return a repetition in a line: `orders then 48 × order_lines WHERE ? = order_lines.order_id`."""
    child, *others = repetition.children
    parent = f"{name_shape(repetition.parent)} then " if repetition.parent is not None else ""
    more = f" and {len(others)} more" if others else ""
    return f"{parent}{format_count(child.repeats)} × {name_statement(child.shape.text)}{more}"


def name_suspicion(suspect: QuerySuspect) -> str:
    """Return a suspicion in the same words; how often it repeats is a mean."""
    parent = name_statement(suspect.parent.sql)
    table = _FIRST.match(parent)
    return f"{table[0] if table else parent} then {suspect.repeats:.0f} × {name_statement(suspect.child.sql)}"


def key_of(repetition: Repetition) -> str:
    """Return what tells a repetition from the others of a source, however often it is met."""
    parts = (
        repetition.kind.value,
        repetition.database,
        repetition.route or fold_application(repetition.application),
        repetition.call_site,
        repetition.parent.text if repetition.parent is not None else "",
        *(child.shape.text for child in repetition.children),
    )
    return "\0".join(parts)


def confirms(repetition: Repetition, suspect: QuerySuspect, child_text: str) -> bool:
    """Whether a finding is what was suspected. `child_text`: the suspect's shape, as the normaliser has it."""
    return any(child.shape.text == child_text for child in repetition.children) and (
        not repetition.database or not suspect.child.database or repetition.database == suspect.child.database
    )


# ---------------------------------------------------------------- values that vary


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a statement. `varies`: it is another one in each repetition."""

    text: str
    varies: bool = False


def mark_values(samples: Sequence[str]) -> list[list[Piece]]:
    """Return statements in pieces: what differs between them is marked, word for word where they have as many."""
    tokens = [_TOKEN.findall(sample) for sample in samples]
    if len(samples) < 2:
        return [[Piece(sample)] for sample in samples]
    if len({len(each) for each in tokens}) == 1:
        differs = [len(set(column)) > 1 for column in zip(*tokens, strict=True)]
        return [_join(each, differs) for each in tokens]
    first = min(_shared(one, other) for one, other in pairwise(samples))
    last = min(_shared(one[first:][::-1], other[first:][::-1]) for one, other in pairwise(samples))
    return [_middle(sample, first, last) for sample in samples]


def _join(tokens: Sequence[str], differs: Sequence[bool]) -> list[Piece]:
    pieces: list[Piece] = []
    for token, varies in zip(tokens, differs, strict=True):
        if pieces and pieces[-1].varies == varies:
            pieces[-1] = Piece(pieces[-1].text + token, varies)
        else:
            pieces.append(Piece(token, varies))
    return pieces


def _shared(one: str, other: str) -> int:
    length = next((place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]),
                  min(len(one), len(other)))  # fmt: skip
    while length and _WORD.match(one[length - 1]):
        length -= 1
    return length


def _middle(sample: str, first: int, last: int) -> list[Piece]:
    end = len(sample) - last
    pieces = [Piece(sample[:first]), Piece(sample[first:end], varies=True), Piece(sample[end:])]
    return [piece for piece in pieces if piece.text]


def mark_placeholders(text: str) -> list[Piece]:
    """Return the text of a shape in pieces: the places of values are marked."""
    parts = re.split(r"(\?\+?|\$\d+)", text)
    return [Piece(part, bool(number % 2)) for number, part in enumerate(parts) if part]


# ---------------------------------------------------------------- when and how long


def count_moments(moments: Sequence[float], places: int) -> list[int]:
    """Return how many of some moments fall into each of so many equal parts of the time from 0 to the last."""
    counts = [0] * places
    end = max(moments, default=0.0)
    for moment in moments:
        counts[min(places - 1, int(moment / end * places)) if end > 0 else 0] += 1
    return counts


def reckon_lost(repetition: Repetition, seconds: float | None, sample_rate: float = 1.0) -> float | None:
    """Return the seconds that are lost to a repetition in each minute, or, without `seconds`, in all.

    `seconds`: how long was watched, of which `sample_rate` of the transactions were seen. None: nobody measured.
    """
    lost = repetition.saved_seconds if repetition.saved_seconds is not None else repetition.total_seconds
    if lost is None or not seconds:
        return lost
    return lost / seconds / sample_rate * 60


# ---------------------------------------------------------------- the whole card, as text


def write_card(repetition: Repetition, round_trip_seconds: float | None) -> str:
    """Return all about a repetition as plain text, to be put into a ticket."""
    return "\n".join(_card(repetition, round_trip_seconds))


def _card(repetition: Repetition, round_trip_seconds: float | None) -> Iterator[str]:
    sure = (
        f" ({repetition.level.value}, {repetition.confidence:.2f})" if repetition.level is not PatternLevel.INFO else ""
    )
    yield f"{TITLES[repetition.kind]}{sure}: {name_pattern(repetition)}"
    facts = [
        ("after", describe_parent(repetition)),
        *(("repeats", text) for text in describe_children(repetition)),
        ("where", describe_place(repetition)),
        ("seen", describe_evidence(repetition)),
        ("time", describe_times(repetition)),
        ("saved", estimate_saving(repetition, round_trip_seconds).text if repetition.cure else ""),
    ]
    yield from (f"{label}: {text}" for label, text in facts if text)
    yield from (f"why: {reason}" for reason in repetition.reasons)
    yield from write_cure(repetition.cure)
    for child in repetition.children:
        yield from (f"sample: {sample}" for sample in child.samples)


def write_cure(cure: Cure | None) -> Iterator[str]:
    """Yield what to write instead."""
    if cure is not None:
        yield f"cure: {format_suggestion(cure)}"
        yield from (f"because: {cure.why}",) if cure.why else ()
        yield from (f"guard: {cure.guard}",) if cure.guard else ()


def write_suspicion(suspect: QuerySuspect) -> str:
    """Return all about a suspicion as plain text."""
    lines = [f"suspect: {name_suspicion(suspect)}", f"parent: {suspect.parent.sql}", f"child: {suspect.child.sql}"]
    return "\n".join([*lines, *(f"why: {reason}" for reason in suspect.reasons), *write_cure(suspect.cure)])


def copy_cure(cure: Cure | None) -> str:
    """Return what is pasted into the application: the snippet, with the guard and the index below it."""
    if cure is None:
        return ""
    return "\n".join(part for part in (cure.snippet, cure.guard and f"# guard: {cure.guard}",
                                       cure.index_sql and f"-- {cure.index_sql}") if part)  # fmt: skip
