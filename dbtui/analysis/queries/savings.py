"""What a cure saves, by an arithmetic that can be followed: statements less, each with its time and a round trip."""

from dataclasses import dataclass
from math import ceil

from dbtui.model.queries import Repetition

#: So many keys selectinload() puts into one statement (SQLAlchemy's manual, "Select IN loading").
BATCH = 500


@dataclass(frozen=True, slots=True)
class Saving:
    """Statements and seconds that one unit of work is spared. `text`: how they were reckoned."""

    statements: int
    seconds: float
    text: str


def count_spared(repeats: int) -> int:
    """Return how many of `repeats` statements are spared when one statement does the work of 500."""
    return repeats - ceil(repeats / BATCH) if repeats > 0 else 0


def spare_seconds(repeats: int, mean_seconds: float | None, round_trip_seconds: float | None) -> float:
    """Return what is saved in seconds: (N - ceil(N/500)) x (mean duration + round trip). Unknown times count 0."""
    return count_spared(repeats) * ((mean_seconds or 0.0) + (round_trip_seconds or 0.0))


def estimate_saving(repetition: Repetition, round_trip_seconds: float | None) -> Saving:
    """Return what the cure of a repetition saves in its largest unit of work, all children together."""
    parts, statements, seconds = [], 0, 0.0
    for child in repetition.children:
        mean = child.seconds / child.repeats if child.seconds is not None and child.repeats else None
        spared = spare_seconds(child.repeats, mean, round_trip_seconds)
        statements, seconds = statements + count_spared(child.repeats), seconds + spared
        each = " + ".join(filter(None, (_named(mean, ""), _named(round_trip_seconds, " round trip"))))
        each = each or "unknown time"
        batches = ceil(child.repeats / BATCH) if child.repeats else 0
        parts.append(f"({child.repeats} − {batches}) × ({each})" if "+" in each
                     else f"({child.repeats} − {batches}) × {each}")  # fmt: skip
    if all(child.seconds is None for child in repetition.children) and round_trip_seconds is None:
        return Saving(statements, 0.0, f"{statements} statements fewer; nobody measured their time")
    return Saving(statements, seconds, f"{' + '.join(parts)} = {format_seconds(seconds)}")


def format_seconds(seconds: float) -> str:
    """Return a time that may be very short: `85 µs`, `0.42 ms`, `47.9 ms`, `1.9 s`, `12 min`."""
    if seconds < 0.0000995:
        return f"{seconds * 1_000_000:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1000:.2f} ms" if seconds < 0.00995 else f"{seconds * 1000:.1f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"


def _named(seconds: float | None, name: str) -> str:
    return "" if seconds is None else f"{format_seconds(seconds)}{name}"
