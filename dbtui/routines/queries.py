"""Reading statements that ran and judging them, asking a server which take the time, and for the plan of one."""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from dbtui.adapters.adapter import QueryAdapter, Target
from dbtui.adapters.logs import LogReader, open_log
from dbtui.adapters.mapped_models import read_mapped_relations
from dbtui.adapters.trace_files import TraceFile
from dbtui.analysis.queries import Detector
from dbtui.analysis.queries.curing import cure
from dbtui.errors import UsageError
from dbtui.model.captures import CaptureWish
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import Progressed, Routine, StepFinished, StepStarted, Warned
from dbtui.model.queries import (
    CapturePlan,
    CaptureResult,
    MappedRelation,
    QueryFindings,
    QuerySchema,
    StatementEvent,
    TopQueriesSnapshot,
    TopQuery,
)
from dbtui.model.top_queries import PlanNode
from dbtui.routines.captures import capture_queries
from dbtui.routines.context import RoutineContext

_PROGRESS_SECONDS = 0.2
#: Looking again and again takes this part of a server's connection at most, as one to so many.
_REST = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectWish:
    """What is to be read and how it is judged. `path`: a file, `-` is stdin. `format_name`, `prefix`: "" is found out.

    `models`: `package:Base`. `round_trip_seconds`: between application and server; None: measured, or estimated.
    """

    path: str
    format_name: str = ""
    prefix: str = ""
    models: str = ""
    finding_repeats: int = 5
    round_trip_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Background:
    """What findings are judged before: the tables, the classes, the way to the server."""

    schema: QuerySchema | None = None
    relations: tuple[MappedRelation, ...] = ()
    round_trip_seconds: float | None = None
    engine: EngineName | None = None

    def detector(self, finding_repeats: int = 5) -> Detector:
        """Return a detector that names cures by this."""
        return Detector(
            finding_repeats=finding_repeats,
            round_trip_seconds=self.round_trip_seconds,
            cure=lambda repetition: cure(repetition, self.schema, self.relations),
            engine=self.engine,
        )


@dataclass(frozen=True, slots=True)
class ExplainedQuery:
    """The plan of one statement, as the server words it and as a tree."""

    query: TopQuery
    plan: str
    tree: PlanNode


def inspect_statements(
    c: RoutineContext, wish: InspectWish, profile: ConnectionProfile | None = None
) -> Routine[QueryFindings]:
    """Read a log or a trace to its end and judge what ran. `profile`: whose tables name the cures.

    Raises UsageError (the file, its format, the models), StorageError, ToolError, ConnectError, ServerError, Cancelled.
    """
    with open_log(wish.path, wish.format_name, wish.prefix, cancellation=c.cancellation) as log:
        background = yield from collect_background(c, profile, wish.models, wish.round_trip_seconds)
        began = time.monotonic()
        yield StepStarted("read", wish.path)
        detector = background.detector(wish.finding_repeats)
        yield from _feed(detector, log)
        yield StepFinished("read", time.monotonic() - began)
        return detector.findings(report=log.report)


def _feed(detector: Detector, log: LogReader) -> Routine[None]:
    told = time.monotonic()
    for batch in log.batches():
        detector.feed_all(batch)
        if time.monotonic() - told >= _PROGRESS_SECONDS:
            told = time.monotonic()
            yield Progressed(log.read_bytes, log.size_bytes, "bytes")
    yield Progressed(log.read_bytes, log.size_bytes, "bytes")


def collect_background(
    c: RoutineContext, profile: ConnectionProfile | None, models: str = "", round_trip_seconds: float | None = None
) -> Routine[Background]:
    """Ask the server and the models for what names cures. A server that cannot be asked is a warning.

    Raises UsageError, ToolError (the models).
    """
    relations: tuple[MappedRelation, ...] = ()
    if models:
        yield StepStarted("models", models)
        began = time.monotonic()
        relations = read_mapped_relations(models)
        yield StepFinished("models", time.monotonic() - began)
        if not relations:
            yield Warned(f"{models} has no relationships: names are taken from tables and foreign keys")
    if profile is None:
        return Background(None, relations, round_trip_seconds)
    queries = _queries_of(c, profile)
    with c.open_target(replace(profile, read_only=True)) as target:
        schema = queries.collect_query_schema(target)
        measured = queries.measure_round_trip(target) if round_trip_seconds is None else round_trip_seconds
    return Background(schema, relations, measured, profile.engine)


def collect_top_queries(
    c: RoutineContext, profile: ConnectionProfile, looks: int = 1, every_seconds: float = 0.0
) -> Routine[tuple[TopQueriesSnapshot, ...]]:
    """Ask a server for its sums of statements, more than once for what happened between.

    The first look has the tables with it. Raises UsageError, ConnectError, ServerError, Cancelled.
    """
    queries = _queries_of(c, profile)
    taken: list[TopQueriesSnapshot] = []
    with c.open_target(replace(profile, read_only=True)) as target:
        for number in range(looks):
            if number:
                yield Progressed(number, looks - 1, "looks")
                c.cancellation.wait(every_seconds)
                c.cancellation.check()
            taken.append(_look(queries, target, is_first=not number))
    return tuple(taken)


def watch_top_queries(
    c: RoutineContext,
    profile: ConnectionProfile,
    pace: Callable[[], float],
    on_look: Callable[[TopQueriesSnapshot], None],
) -> Routine[None]:
    """Ask a server for its sums of statements again and again, on one connection, until it is told to stop.

    `pace`: seconds between two looks; a look that took long is followed by as much more rest. The first has the tables
    with it. Raises UsageError, ConnectError, ServerError, Cancelled.
    """
    yield from ()
    queries = _queries_of(c, profile)
    with c.open_target(replace(profile, read_only=True)) as target:
        is_first = True
        while True:
            began = time.monotonic()
            on_look(_look(queries, target, is_first=is_first))
            took = time.monotonic() - began
            c.cancellation.wait(max(pace(), 0.0 if is_first else took * _REST))
            c.cancellation.check()
            is_first = False


def _look(queries: QueryAdapter, target: Target, *, is_first: bool) -> TopQueriesSnapshot:
    snapshot = queries.collect_top_queries(target)
    if not is_first:
        return snapshot
    round_trip = queries.measure_round_trip(target)
    return replace(snapshot, schema=queries.collect_query_schema(target), round_trip_seconds=round_trip)


def explain_query(c: RoutineContext, profile: ConnectionProfile, key: str) -> Routine[ExplainedQuery]:
    """Ask for the plan of a statement that the server sums up; it is not run. `key`: its own, or how that begins.

    Raises UsageError, RefusedError, ConnectError, ServerError.
    """
    yield from ()
    queries = _queries_of(c, profile)
    with c.open_target(replace(profile, read_only=True)) as target:
        found = [each for each in queries.collect_top_queries(target).queries if each.key.startswith(key)]
        exact = [each for each in found if each.key == key]
        if len(exact or found) != 1:
            many = f"{len(found)} queries begin with {key}" if found else f"{profile.name} sums up no query {key}"
            raise UsageError(many, "dbtui queries top lists the keys")
        (query,) = exact or found
        return ExplainedQuery(query, queries.explain_query(target, query), queries.collect_plan(target, query))


def _queries_of(c: RoutineContext, profile: ConnectionProfile) -> QueryAdapter:
    queries = c.adapter(profile.engine).queries
    if queries is None:
        raise UsageError(f"{profile.name} is an SQLite file: no server sums up or logs its statements",
                         "record them in the application: dbtui.instrument.record_statements")  # fmt: skip
    return queries


# ---------------------------------------------------------------- capturing


class _KeepingJudge:
    """A detector that writes down what it is fed."""

    def __init__(self, detector: Detector, file: TraceFile) -> None:
        self._detector = detector
        self._file = file
        self.findings = detector.findings

    def feed_all(self, events: Sequence[StatementEvent]) -> None:
        """Keep statements, then judge them."""
        self._file.write(events)
        self._detector.feed_all(events)


def capture_statements(
    c: RoutineContext,
    profile: ConnectionProfile,
    plan: CapturePlan,
    journals: Path,
    *,
    models: str = "",
    save: Path | None = None,
    on_findings: Callable[[QueryFindings], None] | None = None,
) -> Routine[CaptureResult]:
    """Do what a plan says, and judge what runs meanwhile before the server's tables and the models.

    `journals`: the directory of the captures' journals. `save`: a new file for the statements. Raises as
    `capture_queries` does, and StorageError, ToolError, UsageError for the file and the models.
    """
    background = yield from collect_background(c, profile, models)
    with ExitStack() as stack:
        judge: Detector | _KeepingJudge = background.detector()
        if save is not None:
            judge = _KeepingJudge(background.detector(), stack.enter_context(TraceFile(save)))
        wish = CaptureWish(seconds=plan.seconds, most_bytes=plan.most_bytes, sample_rate=plan.sample_rate, way=plan.way)
        return (yield from capture_queries(c, profile, wish, journals, plan=plan, judge=judge, on_findings=on_findings))
