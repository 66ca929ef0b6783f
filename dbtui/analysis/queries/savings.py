"""What a cure saves, by an arithmetic that can be followed: statements less, each with its time and a round trip."""

from dataclasses import dataclass
from math import ceil

from dbtui.analysis.load_report import format_latency
from dbtui.model.queries import Repetition
from dbtui.model.text import format_duration

#: So many keys selectinload() puts into one statement (SQLAlchemy's manual, "Select IN loading").
BATCH = 500


@dataclass(frozen=True, slots=True)
class Saving:
    """Statements and seconds that are spared. `text`: how they were reckoned."""

    statements: int
    seconds: float
    text: str


def estimate_saving(repetition: Repetition, round_trip_seconds: float | None) -> Saving:
    """Return what the cure of a repetition saves in all units of work it was met in, all children together."""
    parts, statements, seconds = [], 0, 0.0
    for child in repetition.children:
        ran = child.executions or child.repeats
        batches = child.batches or ceil(ran / BATCH)
        mean = child.seconds / ran if child.seconds is not None and ran else None
        spared = max(ran - batches, 0)
        statements += spared
        seconds += spared * ((mean or 0.0) + (round_trip_seconds or 0.0))
        times = [_named(mean, ""), _named(round_trip_seconds, " round trip")]
        each = " + ".join(time for time in times if time) or "an unknown time"
        parts.append(f"({ran} − {batches}) × " + (f"({each})" if all(times) else each))
    if all(child.seconds is None for child in repetition.children) and round_trip_seconds is None:
        return Saving(statements, 0.0, f"{statements} statements fewer; nobody measured their time")
    return Saving(statements, seconds, f"{' + '.join(parts)} = {format_seconds(seconds)}")


def format_seconds(seconds: float) -> str:
    """Return a time with the unit that fits, from microseconds to days: `85.0 µs`, `47.9 ms`, `12 min`."""
    return format_latency(seconds) if seconds < 60 else format_duration(seconds)


def _named(seconds: float | None, name: str) -> str:
    return "" if seconds is None else f"{format_seconds(seconds)}{name}"
