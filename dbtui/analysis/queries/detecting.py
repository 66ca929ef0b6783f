"""Finding N+1 in a stream of statements: cheap for each statement, bounded in memory, and asked at any time."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from heapq import nsmallest
from itertools import islice
from operator import attrgetter

from dbtui.analysis.queries.forms import Form
from dbtui.analysis.queries.judging import Limits, Match, Ran, judge_unit
from dbtui.analysis.queries.normalising import DIGITS, Normaliser, near_key
from dbtui.analysis.queries.patterns import Key, Pattern, find_cut, key_of
from dbtui.analysis.queries.round_trips import RoundTrips
from dbtui.analysis.queries.tags import NO_TAGS, Tags
from dbtui.analysis.queries.units import VIRTUAL_TRANSACTION, Unit
from dbtui.model.connections import EngineName
from dbtui.model.queries import Cure, PatternKind, QueryFindings, Repetition, SourceReport, StatementEvent

_BATCH = 4096
_MOST_HELD = 40_000  # statements of units that are not over, those with long texts counted more than once
_MOST_IN_UNIT = 5_000
_LONG = 500  # statements of a unit from which a part of it can be judged
_OPEN = 50  # statements at the end of a long unit's part within which a loop may go on
_MOST_PATTERNS = 2_000
_MOST_SHAPES = 10_000
_MOST_SESSIONS = 500_000
_LONG_TEXT, _MOST_TEXT = 700, 4_000
_SESSION = attrgetter("session")


class Detector:
    """Judges statements by their order.

    `finding_repeats`, `hint_repeats`: from how many repeats a pattern is one or the other. `gap_seconds`: a session
    that pauses longer begins a new unit of work. `round_trip_seconds`: as measured; estimated from the pauses
    between statements when None. `cure`: what to write instead of a pattern. `engine`: whose way to quote is meant.
    """

    def __init__(
        self,
        *,
        finding_repeats: int = 5,
        hint_repeats: int = 3,
        gap_seconds: float = 2.0,
        round_trip_seconds: float | None = None,
        cure: Callable[[Repetition], Cure | None] | None = None,
        engine: EngineName | None = None,
    ) -> None:
        self._limits = Limits(finding_repeats, hint_repeats)
        self._gap = gap_seconds
        self._measured = round_trip_seconds
        self._cure = cure
        self.normaliser = Normaliser(engine)
        self._buffer: list[StatementEvent] = []
        self._units: dict[str, Unit] = {}
        self._patterns: dict[Key, Pattern] = {}
        self._round_trips = RoundTrips()
        self._sessions: set[int] = set()
        self._ran: Ran = Counter()
        self._statements = self._unit_count = self._held = self._dropped = 0

    def feed(self, event: StatementEvent) -> None:
        """Take the next statement."""
        self._buffer.append(event)
        if len(self._buffer) >= _BATCH:
            self._drain()

    def feed_all(self, events: Iterable[StatementEvent]) -> None:
        """Take statements until there are no more."""
        coming = iter(events)
        while batch := list(islice(coming, _BATCH)):
            self._buffer += batch
            if len(self._buffer) >= _BATCH:
                self._drain()

    def findings(self, final: bool = True, report: SourceReport | None = None) -> QueryFindings:
        """Return what was found so far; the stream may go on. `final`: units that are not over count too."""
        self._drain()
        patterns, ran = self._patterns, self._ran
        if final:
            patterns, ran = dict(patterns), ran.copy()
            for unit in self._units.values():
                for match in judge_unit(unit, self.normaliser, self._limits, ran):
                    key = key_of(match, unit.route)
                    known = patterns.get(key)
                    if known is None:
                        patterns[key] = Pattern.begin(match, unit.route)
                    elif known is self._patterns.get(key):
                        patterns[key] = known.copy()
                    patterns[key].absorb(match)
        round_trip = self._measured if self._measured is not None else self._round_trips.estimate()
        believed = {key: pattern for key, pattern in patterns.items() if not pattern.is_chance(ran)}
        cut = find_cut(believed)
        shown = [self._show(pattern, round_trip) for key, pattern in believed.items() if key not in cut]
        shown.sort(key=_rank)
        return QueryFindings(
            statements=self._statements,
            sessions=len(self._sessions),
            units=self._unit_count,
            findings=tuple(each for each in shown if each.kind is PatternKind.N_PLUS_ONE),
            others=tuple(each for each in shown if each.kind is not PatternKind.N_PLUS_ONE),
            dropped_units=self._dropped,
            round_trip_seconds=round_trip,
            is_round_trip_measured=self._measured is not None,
            report=report,
        )

    def _show(self, pattern: Pattern, round_trip_seconds: float | None) -> Repetition:
        repetition = pattern.show(self._limits, round_trip_seconds)
        if self._cure is None or repetition.kind not in (PatternKind.N_PLUS_ONE, PatternKind.LOOKUP_LOOP):
            return repetition
        return replace(repetition, cure=self._cure(repetition))

    def _drain(self) -> None:
        """Put the buffered statements into their units."""
        buffer, self._buffer = self._buffer, []
        units, gap, expected = self._units, self._gap, self.normaliser.next.get
        held = len(buffer)
        for event in buffer:
            name, _, sql, ts, _, _, _, _, scope, _, _, _, _, _, is_truncated = event
            route = ""
            if scope:
                name = _unit_of(scope) or name
            unit = units.get(name)
            before = None if unit is None else unit.last
            form = None
            if not is_truncated and (guess := expected(before)) is not None:
                beginning, end, guessed = guess
                if end is None:
                    if sql == beginning:
                        form = guessed
                elif sql.startswith(beginning):
                    rest = sql[len(beginning) :]
                    digits = len(rest) - len(end)
                    if rest.lstrip(DIGITS) == end and (digits > 1 or (digits and rest[0] != "1")):
                        form = guessed
            if form is None:
                form, tags = self._read(sql, before, is_truncated=is_truncated)
                if tags is not NO_TAGS:
                    route = tags.route
                    if tags.scope and not scope:
                        scope = tags.scope
                        name = _unit_of(scope) or name
                        unit = units.get(name)
            if unit is None or (ts is not None and ts > unit.until and not unit.goes_on_at(event)):
                unit = self._begin_unit(name, unit, is_scoped=bool(scope and _unit_of(scope)))
            elif len(unit.events) >= _MOST_IN_UNIT:
                self._judge_part(unit)
            if ts is not None:
                unit.until = ts + gap
            unit.last = form
            if route:
                unit.route = route
            if len(sql) > _LONG_TEXT:
                event = event._replace(sql=sql[:_MOST_TEXT])
                more = len(event.sql) // _LONG_TEXT
                unit.extra += more
                held += more
            unit.events.append(event)
            unit.forms.append(form)
        self._statements += len(buffer)
        self._forget_shapes()
        if len(self._sessions) < _MOST_SESSIONS:
            self._sessions.update(map(hash, set(map(_SESSION, buffer))))
        self._held += held
        if self._held > _MOST_HELD:
            self._make_room()

    def _read(self, sql: str, before: Form | None, *, is_truncated: bool) -> tuple[Form, Tags]:
        """Return a statement's form and what its comments say. `before`: the form that its unit ran before it."""
        normaliser = self.normaliser
        if is_truncated:
            return normaliser.read(sql, is_truncated=True), normaliser.tags
        near = near_key(sql)
        form = normaliser.near.get(near) if near is not None else normaliser.texts.get(sql)
        if form is None:
            form = normaliser.read(sql)
            return form, normaliser.tags
        normaliser.expect(before, sql, near, form)
        return form, NO_TAGS

    def _begin_unit(self, name: str, over: Unit | None, *, is_scoped: bool) -> Unit:
        if over is not None:
            self._close(over)
        unit = self._units[name] = Unit(is_scoped=is_scoped)
        self._unit_count += 1
        return unit

    def _close(self, unit: Unit) -> None:
        """Judge a unit and let its statements go."""
        self._held -= unit.weight
        self._absorb(judge_unit(unit, self.normaliser, self._limits, self._ran), unit.route)

    def _forget_shapes(self) -> None:
        """Keep the shapes that ran most."""
        if len(self._ran) > 2 * _MOST_SHAPES:
            self._ran = Counter(dict(self._ran.most_common(_MOST_SHAPES)))

    def _absorb(self, matches: Iterable[Match], route: str) -> None:
        for match in matches:
            key = key_of(match, route)
            pattern = self._patterns.get(key)
            if pattern is None:
                if len(self._patterns) >= _MOST_PATTERNS:
                    self._forget_patterns()
                pattern = self._patterns[key] = Pattern.begin(match, route)
            pattern.absorb(match)
            self._round_trips.learn(match)

    def _forget_patterns(self) -> None:
        """Let the half of the patterns go that cost least; those of an N+1 last."""
        ranked = sorted(self._patterns, key=lambda key: (key[0] is PatternKind.N_PLUS_ONE, self._cost(key)))
        for key in ranked[: _MOST_PATTERNS // 2]:
            del self._patterns[key]

    def _cost(self, key: Key) -> float:
        pattern = self._patterns[key]
        return pattern.total_seconds() or sum(sums.total for sums in pattern.children.values()) / 1e6

    def _judge_part(self, unit: Unit) -> None:
        """Judge a unit that has become long, and go on with its last list, whose rows may still be gone through."""
        matches = judge_unit(unit, self.normaliser, self._limits, self._ran)
        self._absorb(matches, unit.route)
        self._held -= unit.weight
        kept = sorted({at for match in matches if _is_open(match, unit) and (at := match.last_parent_at) is not None})
        unit.events = [unit.events[at] for at in kept]
        unit.forms = [unit.forms[at] for at in kept]
        unit.carried, unit.extra = len(kept), 0
        self._held += unit.weight

    def _make_room(self) -> None:
        """Judge the units that are over; when that is not enough the long ones, then those that are quiet longest."""
        now = max((unit.events[-1].ts or 0.0 for unit in self._units.values() if unit.events), default=0.0)
        for name in [name for name, unit in self._units.items() if unit.until < now]:
            self._close(self._units.pop(name))
        enough = _MOST_HELD * 3 // 4
        for unit in sorted(self._units.values(), key=lambda unit: -len(unit.events)):
            if self._held <= enough or len(unit.events) < _LONG:
                break
            self._judge_part(unit)
        while self._held > enough:
            names = nsmallest(max(len(self._units) // 2, 1), self._units, key=lambda name: self._units[name].until)
            for name in names:
                self._dropped += 1
                self._close(self._units.pop(name))


def _unit_of(scope: str) -> str:
    """Return the name of a scope's unit; a server's virtual transaction has none of its own."""
    return "" if VIRTUAL_TRANSACTION.fullmatch(scope) else f"scope {scope}"


def _is_open(match: Match, unit: Unit) -> bool:
    """Whether a match's loop may go on behind the part that was judged."""
    return match.view.events is unit.events and any(run.at[-1] >= len(unit.events) - _OPEN for run in match.runs)


def _rank(repetition: Repetition) -> tuple[float, float, int]:
    """Order rows: most time saved first, then most time, then most repeats."""
    saved = repetition.saved_seconds if repetition.saved_seconds is not None else 0.0
    return -saved, -(repetition.total_seconds or 0.0), -repetition.repeats * repetition.units
