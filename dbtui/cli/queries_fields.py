"""What repeats, as fields of JSON and as lines of text."""

import textwrap
from collections.abc import Iterator
from typing import Any

from dbtui.analysis.queries.curing import format_suggestion
from dbtui.analysis.queries.savings import estimate_saving
from dbtui.analysis.query_words import (
    SIGNS,
    TITLES,
    describe_children,
    describe_evidence,
    describe_parent,
    describe_place,
    describe_times,
)
from dbtui.model.queries import Child, Cure, PatternLevel, QueryFindings, Repetition
from dbtui.model.text import format_untrusted

_INDENT = " " * 10
_MOST_SQL = 400


def findings_fields(found: QueryFindings, *, shows_others: bool) -> dict[str, Any]:
    """Return the findings of one source; `others` when they are asked for."""
    fields: dict[str, Any] = {
        "statements": found.statements,
        "sessions": found.sessions,
        "units": found.units,
        "dropped_units": found.dropped_units,
        "round_trip_seconds": found.round_trip_seconds,
        "is_round_trip_measured": found.is_round_trip_measured,
        "source": found.report,
        "findings": [repetition_fields(each) for each in found.findings],
    }
    if shows_others:
        fields["others"] = [repetition_fields(each) for each in found.others]
    return fields


def repetition_fields(repetition: Repetition) -> dict[str, Any]:
    """Return one pattern; what is cured how is in words under `suggestion` and apart under `cure`."""
    child = repetition.children[0]
    names = ("kind", "level", "session", "scope", "repeats", "repeats_p50", "units", "first_seq", "last_seq",
             "first_at", "last_at", "database", "application", "route", "call_site", "load", "total_seconds",
             "saved_seconds", "parent_rows", "parent_sql")  # fmt: skip
    cure = repetition.cure
    return {
        **{name: getattr(repetition, name) for name in names},
        "confidence": round(repetition.confidence, 2),
        "parent_sql": repetition.parent_sql or None,
        "parent_shape": None if repetition.parent is None else repetition.parent.text,
        "child_sql": child.samples[0] if child.samples else child.shape.text,
        "child_shape": child.shape.text,
        "children": [_child_fields(each) for each in repetition.children],
        "relationship": repetition.relationship or (cure.relationship if cure else "") or None,
        "suggestion": format_suggestion(cure) or None,
        "cure": cure,
        "reasons": repetition.reasons,
    }


def _child_fields(child: Child) -> dict[str, Any]:
    return {
        "shape": child.shape.text,
        "tables": child.shape.tables,
        "repeats": child.repeats,
        "seconds": child.seconds,
        "distinct_values": child.distinct_values,
        "samples": child.samples,
    }


def format_findings(found: QueryFindings, width: int, *, shows_others: bool) -> list[str]:
    """Return the lines of all findings, a block each."""
    lines: list[str] = []
    for each in (*found.findings, *(found.others if shows_others else ())):
        lines += [*(("",) if lines else ()), *_format_block(each, found.round_trip_seconds, width)]
    return lines


def _format_block(repetition: Repetition, round_trip_seconds: float | None, width: int) -> Iterator[str]:
    sure = f"  {repetition.confidence:.2f}" if repetition.level is not PatternLevel.INFO else ""
    first, *others = describe_children(repetition)
    title = f"{SIGNS[repetition.level]} {TITLES[repetition.kind]}{sure}   {first}"
    yield from _wrap(title, width, _INDENT)
    for each in others:
        yield from _wrap(f"{_INDENT}and {each}", width, _INDENT + "    ")
    words = [
        ("after", describe_parent(repetition)),
        ("where", describe_place(repetition)),
        ("seen", describe_evidence(repetition)),
        ("time", describe_times(repetition)),
        ("saved", estimate_saving(repetition, round_trip_seconds).text if repetition.cure else ""),
        ("why", " · ".join(repetition.reasons)),
    ]
    for name, text in words:
        if text:
            yield from _labelled(name, text, width)
    for name, text in _cure_words(repetition.cure) if repetition.cure else ():
        if text:
            yield from _labelled(name, text, width)


def _cure_words(cure: Cure) -> tuple[tuple[str, str], ...]:
    guessed = "\n(names are guessed)" if cure.snippet and cure.is_guess else ""
    return (
        ("cure", cure.snippet + guessed),
        ("because", cure.why),
        ("guard", cure.guard),
        ("index", cure.index_sql),
    )


def _labelled(name: str, text: str, width: int) -> Iterator[str]:
    for number, line in enumerate(text.splitlines() or [""]):
        label = f"  {name:<8}" if number == 0 else _INDENT
        yield from _wrap(label + line, width, _INDENT)


def _wrap(text: str, width: int, indent: str) -> list[str]:
    shown = format_untrusted(text, _MOST_SQL)
    return textwrap.wrap(shown, max(width, 40), subsequent_indent=indent, break_on_hyphens=False) or [""]
