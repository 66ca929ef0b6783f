"""Patterns, summed over the units of work that showed them: one row each, however often it was met."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from operator import attrgetter

from dbtui.analysis.queries.applications import fold_application
from dbtui.analysis.queries.judging import Limits, Match, Ran
from dbtui.analysis.queries.weighing import LEAST_FINDING, Run
from dbtui.model.queries import Child, PatternKind, PatternLevel, Repetition, StatementEvent

#: How many values a list of selectinload has at most, so how many look-ups one statement takes the place of.
BATCH_VALUES = 500
MOST_TIMELINE = 200
_SAMPLES = 3
_DURATION = attrgetter("duration_ms")
_MOST_COUNTS = 500
_MANY = 20
_LEAST_SHARE = 0.2
_CUT_SHARE = 0.05
_SAVES = frozenset({PatternKind.N_PLUS_ONE, PatternKind.LOOKUP_LOOP, PatternKind.DUPLICATE})

#: Kind, database, application or route, parent's shape, children's shapes, call site.
Key = tuple[PatternKind, str, str, str, tuple[str, ...], str]


@dataclass(slots=True)
class _ChildSums:
    """One child over all units."""

    repeats: int = 0
    total: int = 0
    batches: int = 0
    timed: int = 0
    milliseconds: float = 0.0
    distinct: int | None = None
    samples: tuple[str, ...] = ()

    def add(self, run: Run, events: Sequence[StatementEvent]) -> None:
        count = len(run.at)
        self.total += count
        self.batches += math.ceil(count / BATCH_VALUES)
        durations = [each for each in map(_DURATION, map(events.__getitem__, run.at)) if each is not None]
        self.timed += len(durations)
        self.milliseconds += sum(durations)
        if count > self.repeats:
            self.repeats, self.distinct = count, run.distinct
            self.samples = tuple(events[at].sql for at in _spread(run.at))


def _spread(at: Sequence[int]) -> list[int]:
    """Choose the first, the last and one between."""
    return sorted({at[0], at[len(at) // 2], at[-1]})[:_SAMPLES]


@dataclass(slots=True)
class Pattern:
    """One pattern's sums, and its best example."""

    kind: PatternKind
    route: str
    example: Repetition
    children: dict[str, _ChildSums] = field(default_factory=dict)
    units: int = 0
    sighted: int = 0  # units in which requests can be told apart
    is_of_many: bool = False  # met in several processes of the application
    counts: Counter[int] = field(default_factory=Counter)
    confidence: float = 0.0
    first_ts: float | None = None
    last_ts: float | None = None

    @classmethod
    def begin(cls, match: Match, route: str) -> "Pattern":
        """Return a pattern without any sums yet."""
        return cls(match.kind, route, _example_of(match))

    def absorb(self, match: Match) -> None:
        """Add a match."""
        events = match.view.events
        self.confidence = max(self.confidence, match.confidence)
        for run in match.runs:
            self.children.setdefault(run.form.shape.text, _ChildSums()).add(run, events)
        self.units += not match.is_continued
        self.sighted += not match.view.is_blind
        self.is_of_many = self.is_of_many or events[match.runs[0].at[0]].application != self.example.application
        if len(self.counts) < _MOST_COUNTS or match.repeats in self.counts:
            self.counts[match.repeats] += 1
        if match.repeats > self.example.repeats:
            self.example = _example_of(match)
        stamps = [events[run.at[edge]].ts for run in match.runs for edge in (0, -1)]
        known = [stamp for stamp in stamps if stamp is not None]
        if known:
            self.first_ts = min(known) if self.first_ts is None else min(self.first_ts, *known)
            self.last_ts = max(known) if self.last_ts is None else max(self.last_ts, *known)

    def copy(self) -> "Pattern":
        """Return a copy that can absorb more without changing this one."""
        children = {text: replace(sums) for text, sums in self.children.items()}
        return replace(self, children=children, counts=self.counts.copy())

    def is_chance(self, ran: Ran) -> bool:
        """Whether requests in turn make such a loop now and then.

        `ran`: how often each shape ran where requests cannot be told apart. There a loop is believed when it follows
        its list, or takes its share of the look-ups, often enough.
        """
        if self.kind is not PatternKind.N_PLUS_ONE or self.sighted or self.example.load:
            return False
        example = self.example
        parts = [(text, sums.total) for text, sums in self.children.items()]
        if example.parent is not None and not example.above:
            parts.append((example.parent.text, self.units))
        application = fold_application(example.application)
        counts = [(part, ran[example.database, application, text]) for text, part in parts]
        shares = [part / whole for part, whole in counts if whole >= _MANY]
        return bool(shares) and max(shares) < _LEAST_SHARE

    def may_be_rest_of(self, other: "Pattern") -> bool:
        """Whether this is rare beside another, and no longer."""
        is_rare = self.units <= max(1, _CUT_SHARE * other.units)
        return is_rare and self.example.repeats <= other.example.repeats

    def total_seconds(self) -> float | None:
        """Return what the repeated statements took, None when nobody measured."""
        timed = [sums for sums in self.children.values() if sums.timed]
        return sum(sums.milliseconds * sums.total / sums.timed for sums in timed) / 1000 if timed else None

    def saved_seconds(self, round_trip_seconds: float | None) -> float | None:
        """Return what a cure saves: all but one statement of a batch, with their round trips."""
        if self.kind not in _SAVES:
            return None
        saved, is_known = 0.0, round_trip_seconds is not None
        for sums in self.children.values():
            mean = sums.milliseconds / sums.timed / 1000 if sums.timed else 0.0
            is_known = is_known or sums.timed > 0
            left = self.units if self.kind is PatternKind.DUPLICATE else sums.batches
            saved += max(sums.total - left, 0) * (mean + (round_trip_seconds or 0.0))
        return saved if is_known else None

    def show(self, limits: Limits, round_trip_seconds: float | None) -> Repetition:
        """Return the pattern as a row of the findings."""
        example = self.example
        children = tuple(
            Child(
                shape=child.shape,
                repeats=sums.repeats,
                seconds=sums.milliseconds * sums.total / sums.timed / 1000 if sums.timed else None,
                samples=sums.samples,
                distinct_values=sums.distinct,
                executions=sums.total,
                batches=sums.batches,
                relationship=child.relationship,
                load=child.load,
            )
            for child in example.children
            if (sums := self.children.get(child.shape.text)) is not None
        )
        return replace(
            example,
            level=self._level(limits, example.repeats),
            confidence=self.confidence,
            children=children,
            units=max(self.units, 1),
            repeats_p50=_median(self.counts),
            total_seconds=self.total_seconds(),
            saved_seconds=self.saved_seconds(round_trip_seconds),
            first_at=_moment(self.first_ts),
            last_at=_moment(self.last_ts),
            route=self.route,
            application=fold_application(example.application) if self.is_of_many else example.application,
        )

    def _level(self, limits: Limits, repeats: int) -> PatternLevel:
        if self.kind is not PatternKind.N_PLUS_ONE:
            return PatternLevel.INFO
        is_sure = repeats >= limits.finding_repeats and self.confidence >= LEAST_FINDING
        return PatternLevel.FINDING if is_sure else PatternLevel.HINT


def key_of(match: Match, route: str) -> Key:
    """Return what makes two matches the same pattern."""
    event = match.view.events[match.runs[0].at[0]]
    parent = match.view.forms[match.parent_at].shape.text if match.parent_at is not None else ""
    children = tuple(sorted(run.form.shape.text for run in match.runs))
    return match.kind, event.database, route or fold_application(event.application), parent, children, event.call_site


def find_cut(patterns: Mapping[Key, Pattern]) -> set[Key]:
    """Return the patterns that are the rest of another one's loop: its list ran before the log or a capture began.

    Such a rest has no parent, is seen once, or hardly ever, and repeats no more than the loop that has one.
    """
    whole: dict[tuple[str, str, str, str], list[Pattern]] = {}
    for kind, database, place, parent, children, site in patterns:
        if kind is PatternKind.N_PLUS_ONE and parent:
            for child in children:
                pattern = patterns[kind, database, place, parent, children, site]
                whole.setdefault((database, place, child, site), []).append(pattern)
    found = set()
    for key, pattern in patterns.items():
        kind, database, place, parent, children, site = key
        if kind is not PatternKind.N_PLUS_ONE or parent:
            continue
        of_all = [whole.get((database, place, child, site), []) for child in children]
        if all(any(pattern.may_be_rest_of(each) for each in of_one) for of_one in of_all):
            found.add(key)
    return found


def _example_of(match: Match) -> Repetition:
    """Make a row of one match alone."""
    events = match.view.events
    parent, positions = match.parent_at, sorted(at for run in match.runs for at in run.at)
    event = events[positions[0]]
    return Repetition(
        kind=match.kind,
        level=PatternLevel.INFO,
        confidence=match.confidence,
        children=tuple(
            Child(
                shape=run.form.shape,
                repeats=len(run.at),
                seconds=None,
                relationship=events[run.at[0]].relationship,
                load=events[run.at[0]].load,
            )
            for run in match.runs
        ),
        parent=match.view.forms[parent].shape if parent is not None else None,
        parent_sql=events[parent].sql if parent is not None else "",
        parent_rows=events[parent].rows if parent is not None else None,
        session=event.session,
        scope=event.scope,
        first_seq=event.seq,
        last_seq=events[positions[-1]].seq,
        repeats=match.repeats,
        database=event.database,
        application=event.application,
        call_site=event.call_site,
        relationship=event.relationship,
        load=event.load,
        above_relationships=_relationships_above(match),
        reasons=match.reasons,
        above=tuple(form.shape for form in match.above),
        timeline=_timeline(events, positions[0] if parent is None else parent, positions),
    )


def _relationships_above(match: Match) -> tuple[str, ...]:
    if match.parent_at is None:
        return ()
    events, where = match.view.events, match.view.where
    names = (events[match.parent_at].relationship, *(events[where[form][0]].relationship for form in match.above))
    return names if any(names) else ()


def _timeline(events: Sequence[StatementEvent], origin: int, positions: Sequence[int]) -> tuple[float, ...]:
    """Return when the look-ups ran, in seconds after the parent or the first."""
    begin = events[origin].ts
    if begin is None:
        return ()
    stamps = [stamp for at in positions[:MOST_TIMELINE] if (stamp := events[at].ts) is not None]
    return tuple(max(stamp - begin, 0.0) for stamp in stamps)


def _median(counts: Counter[int]) -> float:
    """Return the median of counted numbers; the lower one of two."""
    half, seen = (sum(counts.values()) + 1) // 2, 0
    for number, count in sorted(counts.items()):
        seen += count
        if seen >= half:
            return float(number)
    return 0.0


def _moment(ts: float | None) -> datetime | None:
    return datetime.fromtimestamp(ts, UTC) if ts is not None else None
