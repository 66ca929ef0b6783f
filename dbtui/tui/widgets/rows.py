"""Which rows of a table are shown, in which order and how wide its columns are. Pure: no widget in here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Generic, TypeVar

from dbtui.tui.cells import Line, Span

RowT = TypeVar("RowT")
GAP = 2


@dataclass(frozen=True)
class Column(Generic[RowT]):
    """One column. `grow` shares the room that is left; without room `spare` columns give way, highest number first.

    A text too long for a column that `spills` runs on over the empty cells after it.
    """

    label: str
    draw: Callable[[RowT], Span | Line]
    width: int
    right: bool = False
    grow: int = 0
    widest: int = 0
    spare: int = 0
    spills: bool = False
    order: Callable[[RowT], Any] | None = None
    descending: bool = False

    def cells(self, row: RowT) -> Line:
        """Draw its cell of a row."""
        drawn = self.draw(row)
        return (drawn,) if isinstance(drawn, Span) else drawn


def column_widths(columns: Sequence[Column[RowT]], room: int) -> dict[int, int]:
    """Return the width of each column that fits into `room` cells, by its place; columns that do not fit are absent."""
    kept = list(range(len(columns)))

    def needed() -> int:
        return sum(columns[place].width for place in kept) + GAP * max(0, len(kept) - 1)

    for place in sorted(kept, key=lambda place: columns[place].spare, reverse=True):
        if needed() <= room or not columns[place].spare:
            break
        kept.remove(place)
    widths = {place: columns[place].width for place in kept}
    _share(columns, widths, room - needed())
    return widths


def _share(columns: Sequence[Column[RowT]], widths: dict[int, int], left: int) -> None:
    growing = [place for place in widths if columns[place].grow]
    while left > 0 and growing:
        total = sum(columns[place].grow for place in growing)
        given = 0
        for place in list(growing):
            share = max(1, left * columns[place].grow // total)
            if columns[place].widest:
                share = min(share, columns[place].widest - widths[place])
            share = min(share, left - given)
            widths[place] += share
            given += share
            if columns[place].widest and widths[place] >= columns[place].widest:
                growing.remove(place)
        left -= given
        if not given:
            break


@dataclass
class RowView(Generic[RowT]):
    """The rows of a table as they are seen: filtered and sorted. `shown` is kept until something of it changes."""

    key_of: Callable[[RowT], str]
    search: Callable[[RowT], str]
    rows: Sequence[RowT] = ()
    filter: str = ""
    order: Callable[[RowT], Any] | None = None
    descending: bool = False
    shown: list[RowT] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)

    def refresh(self, holds: bool = False) -> None:
        """Work out anew what is shown; with `holds` the rows that were there keep their order, new ones come last."""
        rows = list(self.rows)
        if self.filter:
            rows = [row for row in rows if self.matches(row)]
        if self.order is not None:
            order = self.order
            valued = [(order(row), row) for row in rows]
            known = [pair for pair in valued if pair[0] is not None]
            known.sort(key=itemgetter(0), reverse=self.descending)
            rows = [row for _, row in known] + [row for value, row in valued if value is None]
        if holds:
            last = len(self.places)
            rows.sort(key=lambda row: self.places.get(self.key_of(row), last))
        self.shown = rows
        self.places = {self.key_of(row): place for place, row in enumerate(rows)}

    def matches(self, row: RowT) -> bool:
        """Whether every word of the filter is in the row; a word that begins with `!` must not be."""
        text = self.search(row).lower()
        return all(
            (word[1:] not in text) if word.startswith("!") and len(word) > 1 else word in text
            for word in self.filter.lower().split()
        )
