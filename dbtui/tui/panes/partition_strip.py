"""The timeline of a table's coverage: a cell for each partition where they fit, gaps, now, what is past retention."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from statistics import median

from dbtui.analysis.partition_words import format_value
from dbtui.model.partitions import CoverageSpan
from dbtui.tui.cells import Line, Span, Tone, dim, width_of

COVERED, DUE, GAP, FOCUS, NOW = "▇", "▂", "·", "█", "┊"
_TONES = {COVERED: Tone.ACCENT, DUE: Tone.WARNING, GAP: Tone.TROUBLE, FOCUS: Tone.STRONG, NOW: Tone.KEY}
_WORDS = {GAP: "gap", NOW: "now", DUE: "past retention"}
_RANKS = {DUE: 0, COVERED: 1, GAP: 2}
_LABEL = " coverage  "
_LEAST_CELLS, _LEAST_YEAR = 10, 4
_YEAR = len(" 2024 ")


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell: what of the axis it stands for (seconds, or numbers of the key), its sign, and its year if it has."""

    begin: float
    end: float
    sign: str
    year: int = 0


@dataclass(frozen=True, slots=True)
class Strip:
    """A table's axis, laid out once for a width; drawn anew for each partition under the cursor."""

    cells: tuple[Cell, ...] = ()
    first: str = ""  # what stands before and behind it, where years are not told
    last: str = ""
    width: int = 0

    def show(self, focused: CoverageSpan | None) -> list[Line]:
        """Return its line, none for an axis without length or room. `focused`: what the cursor is on."""
        if not self.cells:
            return []
        spans = list(self._spans(focused))
        if self.first:
            spans = [dim(f"{self.first} "), *spans, dim(f" {self.last}")]
        drawn = (dim(_LABEL), *_join(spans))
        gap = "   "
        for sign, words in _WORDS.items():
            told = (Span(gap), Span(sign, _TONES[sign]), dim(f" {words}"))
            if any(cell.sign == sign for cell in self.cells) and width_of((*drawn, *told)) <= self.width:
                drawn, gap = (*drawn, *told), "  "
        return [drawn]

    def _spans(self, focused: CoverageSpan | None) -> Iterator[Span]:
        low, high = (position(focused.lower), position(focused.upper)) if focused is not None else (0.0, 0.0)
        year = 0
        for cell in self.cells:
            if cell.year != year:
                yield dim(f" {cell.year} " if year else f"{cell.year} ")
                year = cell.year
            is_focused = cell.sign != NOW and min(cell.end, high) > max(cell.begin, low)
            sign = FOCUS if is_focused and cell.sign != GAP else cell.sign
            yield Span(sign, Tone.STRONG if is_focused else _TONES[sign])


def lay_strip(coverage: Sequence[CoverageSpan], now: datetime, width: int, due: Collection[str] = ()) -> Strip:
    """Lay out an axis. `due`: names of partitions past retention. A cell with any gap in it shows the gap."""
    if not coverage or position(coverage[-1].upper) <= position(coverage[0].lower):
        return Strip()
    is_time = isinstance(coverage[0].lower, datetime)
    years = _years(coverage)
    room = width - len(_LABEL) - 2 - len(years) * _YEAR
    if len(years) >= 2 and room >= len(years) * _LEAST_YEAR:
        cells = _with_now(_cells(coverage, room, frozenset(due), now.tzinfo), now.timestamp())
        return Strip(tuple(cells), width=width)
    first, last = format_value(coverage[0].lower), format_value(coverage[-1].upper)
    room = width - len(_LABEL) - len(first) - len(last) - 4
    if room < _LEAST_CELLS:
        return Strip()
    cells = _cells(coverage, room, frozenset(due), None)
    return Strip(tuple(_with_now(cells, now.timestamp()) if is_time else cells), first, last, width)


def position(value: datetime | int) -> float:
    """Return where a value is on its axis."""
    return value.timestamp() if isinstance(value, datetime) else float(value)


def _years(coverage: Sequence[CoverageSpan]) -> range:
    first, last = coverage[0].lower, coverage[-1].upper
    if not isinstance(first, datetime) or not isinstance(last, datetime):
        return range(0)
    return range(first.year, last.year + (last > datetime(last.year, 1, 1, tzinfo=last.tzinfo)))


def _cells(coverage: Sequence[CoverageSpan], room: int, due: Collection[str], zone: tzinfo | None) -> list[Cell]:
    """A cell for each partition, and for each that a gap misses; fewer, all as long, when there is no room for those.

    `zone`: in which years are told; None: they are not.
    """
    ends = [(position(each.lower), position(each.upper)) for each in coverage]
    own = [upper - lower for each, (lower, upper) in zip(coverage, ends, strict=True) if each.partition]
    usual = median(own or [upper - lower for lower, upper in ends])
    signs = [GAP if not each.partition else DUE if each.partition in due else COVERED for each in coverage]
    counts = [max(1, round((upper - lower) / usual)) if sign == GAP else 1
              for (lower, upper), sign in zip(ends, signs, strict=True)]  # fmt: skip
    if sum(counts) > room:
        made = _scaled(ends, signs, room)
    else:
        made = [
            (lower + (upper - lower) * place / count, lower + (upper - lower) * (place + 1) / count, sign)
            for (lower, upper), sign, count in zip(ends, signs, counts, strict=True)
            for place in range(count)
        ]
    return [Cell(begin, end, sign, _year(begin, end, zone)) for begin, end, sign in made]


def _scaled(ends: Sequence[tuple[float, float]], signs: Sequence[str], room: int) -> list[tuple[float, float, str]]:
    low, high = ends[0][0], ends[-1][1]
    step = (high - low) / room
    shown = [DUE] * room
    for (lower, upper), sign in zip(ends, signs, strict=True):
        begin = min(room - 1, int((lower - low) / step))
        end = min(room, max(begin + 1, -int(-(upper - low) / step // 1)))
        for place in range(begin, end):
            if _RANKS[sign] > _RANKS[shown[place]]:
                shown[place] = sign
    return [(low + place * step, low + (place + 1) * step, sign) for place, sign in enumerate(shown)]


def _year(begin: float, end: float, zone: tzinfo | None) -> int:
    return datetime.fromtimestamp((begin + end) / 2, zone).year if zone is not None else 0


def _with_now(cells: Sequence[Cell], at: float) -> list[Cell]:
    """Put now behind the cell that it is in; before all, or behind all, if it is in none."""
    place = next((number for number, cell in enumerate(cells, 1) if cell.begin <= at < cell.end), None)
    if place is None:
        place = 0 if at < cells[0].begin else len(cells)
    near = cells[max(0, place - 1)]
    return [*cells[:place], Cell(at, at, NOW, near.year), *cells[place:]]


def _join(spans: Sequence[Span]) -> Iterator[Span]:
    """Put neighbours of one tone together."""
    text, tone = "", Tone.PLAIN
    for span in spans:
        if span.tone is not tone and text:
            yield Span(text, tone)
            text = ""
        text, tone = text + span.text, span.tone
    if text:
        yield Span(text, tone)
