"""What new partitions are called: as their siblings are, else after their parent and where they begin.

PostgreSQL's names have at most 63 bytes, MySQL's 64 characters. A parent's name that leaves no room is cut, and a few
letters of its hash keep two such parents apart.
"""

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice

from dbtui.analysis.partitions.calendar import Base, Grid
from dbtui.analysis.partitions.keys import Axis
from dbtui.analysis.partitions.spans import Span
from dbtui.model.connections import EngineName
from dbtui.model.partitions import PartitionedTable
from dbtui.model.tables import TableName

_POSTGRESQL_BYTES, _MYSQL_CHARACTERS = 63, 64
_HASH = 6
#: How siblings may tell when they begin, the finest first; %q is the quarter.
_STYLES = (
    "%Y-%m-%d_%H%M%S", "%Y_%m_%d_%H%M%S", "%Y%m%d_%H%M%S", "%Y%m%d%H%M%S", "%Y_%m_%d_%H%M", "%Y%m%d_%H%M", "%Y%m%d%H%M",
    "%Y_%m_%d_%H", "%Y%m%d_%H", "%Y%m%dT%H", "%Y%m%d%H", "%Ym%md%dh%H", "%Ym%md%d", "%Y_%m_%d", "%Y-%m-%d", "%Y%m%d",
    "%Ym%m", "%Y_%m", "%Y-%m", "%Y%m", "%Gw%V", "%G_w%V", "%G_%V", "%Yq%q", "%Y_q%q", "%Y_%q", "%YQ%q", "%y%m%d", "%Y",
)  # fmt: skip
_PLAIN = {Base.HOUR: "y%Ym%md%dh%H", Base.DAY: "y%Ym%md%d", Base.MONTH: "y%Ym%m"}
_PLAIN_MYSQL = {Base.HOUR: "%Y%m%d%H", Base.DAY: "%Y%m%d", Base.MONTH: "%Y%m"}
_SIBLINGS = 3


def is_name_allowed(engine: EngineName, name: str) -> bool:
    """Whether a name is no longer than the engine allows."""
    if engine is EngineName.MYSQL:
        return len(name) <= _MYSQL_CHARACTERS
    return len(name.encode()) <= _POSTGRESQL_BYTES


def fit_name(engine: EngineName, stem: str, suffix: str) -> str:
    """Return `stem` and `suffix`, the former cut and marked with its hash where the whole is too long."""
    if is_name_allowed(engine, stem + suffix):
        return stem + suffix
    mark = f"_{hashlib.sha256(stem.encode()).hexdigest()[:_HASH]}{'_' if stem.endswith('_') else ''}"
    cut = stem.rstrip("_")
    while cut and not is_name_allowed(engine, cut + mark + suffix):
        cut = cut[:-1]
    return cut + mark + suffix


def format_moment(moment: datetime, style: str) -> str:
    """Return a time as strftime writes it; %q is the quarter, and years have four digits everywhere."""
    style = style.replace("%q", str((moment.month + 2) // 3)).replace("%Y", f"{moment.year:04d}")
    return moment.strftime(style)


@dataclass(frozen=True, slots=True)
class Style:
    """How siblings are named: what stands before and after, and how they tell where they begin.

    `pattern` is of strftime; empty: numbers, which `digits` long begin with zeros. `divisor`: what they count.
    `is_utc`: times are of UTC, and not of the axis' zone.
    """

    before: str
    after: str
    pattern: str = ""
    is_utc: bool = False
    digits: int = 0
    divisor: int = 1


class Namer:
    """Gives names that nothing else has. One of it serves a whole plan."""

    def __init__(self, table: PartitionedTable) -> None:
        self._engine = table.engine
        siblings = [each for each in table.partitions if not each.is_default]
        self._schema = siblings[-1].table.schema if siblings else table.table.schema
        self._stem = table.table.name
        taken = [each.table.name for each in table.partitions] + [each.table.name for each in table.detached]
        self._taken = {self._fold(each) for each in (*taken, *table.names_taken, table.table.name)}

    def _fold(self, name: str) -> str:
        return name.lower() if self._engine is EngineName.MYSQL else name

    def take(self, stem: str, suffix: str) -> TableName:
        """Return a free name of `stem` and `suffix`, which is taken then; `_2`, `_3`… tell apart what would be one."""
        number, name = 1, fit_name(self._engine, stem, suffix)
        while self._fold(name) in self._taken:
            number += 1
            name = fit_name(self._engine, stem, f"{suffix}_{number}")
        self._taken.add(self._fold(name))
        return TableName(self._schema, name)

    def name_value(self, value: str) -> TableName:
        """Return the name of a list's partition for one value."""
        plain = re.sub(r"[^0-9A-Za-z]+", "_", value).strip("_").lower() or "value"
        return self.take(self._parent(), plain if self._parent() else f"p_{plain}")

    def name_remainder(self, modulus: int, remainder: int) -> TableName:
        """Return the name of a hash's partition."""
        digits = len(str(max(0, modulus - 1)))
        return self.take(self._stem, f"_h{remainder:0{digits}d}")

    def name_table_of(self, partition: TableName) -> TableName:
        """Return the name of the table that takes the rows of a MySQL partition."""
        name = self.take(f"{self._stem}_", partition.name)
        return TableName(partition.schema, name.name)

    def _parent(self) -> str:
        return "" if self._engine is EngineName.MYSQL else f"{self._stem}_"

    def name_range(self, style: Style | None, lower: int, axis: Axis, grid: Grid) -> TableName:
        """Return the name of the partition that begins at a position."""
        is_on = grid.is_on(lower)
        if style is None:
            return self.take(self._parent(), self._plain_suffix(lower, axis, grid, is_on))
        text = _text(style, lower, axis)
        if not style.pattern:
            return self.take(style.before, text + style.after)
        finer = "" if is_on else _finer(style.pattern, _named_moment(lower, axis, is_utc=style.is_utc))
        return self.take(style.before, text + style.after + finer)

    def _plain_suffix(self, lower: int, axis: Axis, grid: Grid, is_on: bool) -> str:
        if grid.base is Base.NUMBER:
            return f"p{lower}".replace("-", "m")
        moment = _named_moment(lower, axis, is_utc=grid.base is Base.HOUR)
        patterns = _PLAIN_MYSQL if self._engine is EngineName.MYSQL else _PLAIN
        pattern = patterns[grid.base]
        if grid.base is Base.MONTH and grid.count % 12 == 0 and self._engine is not EngineName.MYSQL:
            pattern = "y%Y"
        prefix = "p" if self._engine is EngineName.MYSQL else ""
        return prefix + format_moment(moment, pattern) + ("" if is_on else _finer(pattern, moment))


def _finer(pattern: str, moment: datetime) -> str:
    """What a name adds for a partition that begins where its siblings do not."""
    if "%H" in pattern:
        return moment.strftime("_%M%S")
    return moment.strftime("_%H%M") if "%d" in pattern else moment.strftime("_d%dh%H")


def _named_moment(lower: int, axis: Axis, *, is_utc: bool) -> datetime:
    moment = axis.moment(lower)
    return moment.astimezone(UTC) if is_utc and axis.grid_zone is not None else moment


# --- the style of those that are there -------------------------------------------------------------------------------


def find_style(spans: Sequence[Span], axis: Axis, grid: Grid) -> Style | None:
    """Return how the newest partitions are named; None if their names do not tell where they begin."""
    newest_first = (span for span in reversed(spans) if span.is_finite and grid.is_on(int(span.lower)))
    named = [*islice(newest_first, _SIBLINGS)][::-1]
    if not named:
        return None
    last = int(named[-1].lower)
    styles = _time_styles(named[-1], axis) if axis.is_time else _number_styles(named[-1], grid)
    fitting = (style for style in styles if all(_fits(style, span, axis) for span in named))
    return next(
        (style for style in fitting if _text(style, last, axis) != _text(style, grid.following(last), axis)), None
    )


def _time_styles(span: Span, axis: Axis) -> Iterator[Style]:
    name = span.partition.table.name
    for pattern in _STYLES:
        for is_utc in (False, True):
            text = format_moment(_named_moment(int(span.lower), axis, is_utc=is_utc), pattern)
            at = name.rfind(text)
            if at >= 0 and not name[:at][-1:].isdigit() and not name[at + len(text) :][:1].isdigit():
                yield Style(name[:at], name[at + len(text) :], pattern, is_utc)


def _number_styles(span: Span, grid: Grid) -> Iterator[Style]:
    name = span.partition.table.name
    for found in reversed(list(re.finditer(r"\d+", name))):
        for divisor in (1, grid.count):
            number = int(span.lower) // divisor
            if number >= 0 and int(found[0]) == number:
                digits = len(found[0]) if found[0].startswith("0") and len(found[0]) > 1 else 0
                yield Style(name[: found.start()], name[found.end() :], "", False, digits, divisor)


def _fits(style: Style, span: Span, axis: Axis) -> bool:
    return span.partition.table.name == style.before + _text(style, int(span.lower), axis) + style.after


def _text(style: Style, lower: int, axis: Axis) -> str:
    """What a name of this style tells of where its partition begins."""
    if style.pattern:
        return format_moment(_named_moment(lower, axis, is_utc=style.is_utc), style.pattern)
    return f"{lower // style.divisor:0{style.digits}d}".replace("-", "m")
