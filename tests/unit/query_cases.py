"""Labelled traces: SQLAlchemy programs as PostgreSQL's jsonlog and MariaDB's slow log showed them, 76 cases."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dbtui.analysis.queries import Detector
from dbtui.model.queries import QueryFindings, StatementEvent

TRACES = Path(__file__).parent / "query_traces"


class Case(NamedTuple):
    """A trace and its label."""

    name: str
    is_positive: bool
    events: list[StatementEvent]


def read_cases() -> list[Case]:
    """Return every labelled trace."""
    return [case for path in sorted(TRACES.glob("*.jsonl.gz")) for case in _read(path)]


def _read(path: Path) -> Iterator[Case]:
    cases: dict[str, Case] = {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            fields = json.loads(line)
            name = fields["source_case"]
            case = cases.setdefault(name, Case(name, fields["expected_label"] == "positive", []))
            case.events.append(
                StatementEvent(
                    fields["session"],
                    fields["seq"],
                    fields["sql"],
                    fields["ts"],
                    fields["duration_ms"],
                    fields.get("rows"),
                    transaction=fields.get("scope", ""),
                )
            )
    yield from cases.values()


def detect(events: list[StatementEvent], detector: Detector | None = None) -> QueryFindings:
    """Return what a detector finds in some statements."""
    detector = detector or Detector()
    detector.feed_all(events)
    return detector.findings()


class Score:
    """Counts right and wrong answers."""

    def __init__(self) -> None:
        self.found = self.missed = self.wrong = 0
        self.names: list[str] = []

    def add(self, name: str, *, is_positive: bool, is_found: bool) -> None:
        """Count one answer."""
        self.found += is_positive and is_found
        self.missed += is_positive and not is_found
        self.wrong += is_found and not is_positive
        if is_positive != is_found:
            self.names.append(name)

    @property
    def precision(self) -> float:
        """The share of what was found that is one."""
        return self.found / max(self.found + self.wrong, 1)

    @property
    def recall(self) -> float:
        """The share of what is one that was found."""
        return self.found / max(self.found + self.missed, 1)

    def __str__(self) -> str:
        counts = f"{self.found} found, {self.missed} missed, {self.wrong} wrongly found"
        return f"precision {self.precision:.3f}, recall {self.recall:.3f} ({counts}) {' '.join(self.names)}"
