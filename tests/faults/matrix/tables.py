"""The table of figures: what was tried, what survived, what was lost."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.faults.matrix.trials import Kind, Report

README = Path(__file__).parents[3] / "README.md"
BEGIN = "<!-- fault matrix: written by script/faults --readme -->"
END = "<!-- end of fault matrix -->"


class Tally:
    """Counts by kind."""

    def __init__(self) -> None:
        self.tried: Counter[str] = Counter()
        self.lost_of: Counter[str] = Counter()
        self.sums = 0

    @property
    def lost(self) -> int:
        """How many trials were lost."""
        return sum(self.lost_of.values())

    def add(self, kind: str, report: Report) -> None:
        """Count a trial."""
        self.tried[kind] += report.tried
        self.lost_of[kind] += max(report.lost, 1) if report.losses else 0
        self.sums += report.sums


def table_rows(kinds: Sequence[Kind], tally: Tally) -> list[tuple[str, str, int, int, int]]:
    """Name, title, tried, survived, lost of each kind that was tried, and of all."""
    rows = []
    for kind in kinds:
        tried, lost = tally.tried[kind.name], tally.lost_of[kind.name]
        if tried:
            rows.append((kind.name, kind.title, tried, tried - lost, lost))
    tried = sum(tally.tried.values())
    return [*rows, ("all", "all", tried, tried - tally.lost, tally.lost)]


def format_table(kinds: Sequence[Kind], tally: Tally) -> str:
    """The table as it is printed."""
    lines = [f"{'KIND':18}{'TRIED':>8}{'SURVIVED':>10}{'LOST':>6}"]
    lines += [f"{name:18}{tried:>8}{well:>10}{lost:>6}" for name, _, tried, well, lost in table_rows(kinds, tally)]
    return "\n".join([*lines, f"ledgers restored and compared: {tally.sums}"])


def format_markdown(kinds: Sequence[Kind], tally: Tally) -> str:
    """The table as the README has it."""
    lines = ["| Fault | Tried | Survived | Lost |", "| --- | ---: | ---: | ---: |"]
    lines += [
        f"| {title if name != 'all' else '**All**'} | {tried:,} | {well:,} | {lost:,} |"
        for name, title, tried, well, lost in table_rows(kinds, tally)
    ]
    return "\n".join([*lines, "", f"Ledgers restored meanwhile and found to have every coin: {tally.sums:,}."])


def write_readme(kinds: Sequence[Kind], tally: Tally) -> None:
    """Put the table between its two markers."""
    before, _, rest = README.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n{format_markdown(kinds, tally)}\n{END}{after}", encoding="utf-8")
