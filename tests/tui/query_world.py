"""Statements without servers: what was found, what is suspected, what takes the time, and a capture that finds it.

What is judged, compared and described is real; only the server is not.
"""

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dbtui.analysis.queries import Detector
from dbtui.analysis.queries.curing import cure
from dbtui.analysis.queries.live_sums import LiveLook, LiveSums
from dbtui.jobs import JobRequest
from dbtui.model.captures import CaptureJournal, CaptureRepair, CaptureWish, StaleCapture
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import Progressed, Routine, StepFinished, StepStarted
from dbtui.model.queries import (
    CapturePlan,
    CaptureResult,
    CaptureWay,
    ForeignKey,
    QueryFindings,
    QuerySchema,
    SettingChange,
    StatementEvent,
    TopQueriesSnapshot,
    TopQuery,
)
from dbtui.model.top_queries import PlanNode
from dbtui.routines.context import RoutineContext
from dbtui.routines.queries import ExplainedQuery, InspectWish
from dbtui.tui import query_requests as requests
from tests.tui.world import World

NOW = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
POSTS = "SELECT post.id, post.title, post.author_id FROM post ORDER BY post.id"
COMMENTS = "SELECT comment.id, comment.body, comment.written_at FROM comment WHERE {} = comment.post_id"
SCHEMA = QuerySchema(
    foreign_keys=(ForeignKey("comment", ("post_id",), "post", ("id",), is_required=True),),
    primary_keys={"post": ("id",), "comment": ("id",)},
    indexed={"post": frozenset({"id"}), "comment": frozenset({"id"})},
    engine=EngineName.POSTGRESQL,
)
UNEVEN = (2, 7, 3, 9, 4, 8, 2, 6)


def events(pages: int, rows: int = 12, sql: str = COMMENTS) -> list[StatementEvent]:
    """So many requests for a page that lists posts, each with a statement for each post."""
    found, seq = [], 0
    for page in range(pages):
        ts = 1_800_000_000.0 + page * 10
        for number in range(rows + 1):
            text = POSTS if number == 0 else sql.format(number + page)
            seq += 1
            found.append(StatementEvent("s1", seq, f"{text} /*route='%2Fposts'*/", ts + number * 0.002, 1.5,
                                        application="blog", database="erp"))  # fmt: skip
    return found


def judged(statements: list[StatementEvent]) -> QueryFindings:
    """What the detector says of them."""
    detector = Detector(round_trip_seconds=0.0005, cure=lambda repetition: cure(repetition, SCHEMA))
    detector.feed_all(statements)
    return detector.findings()


def snapshot(number: int, profile: str = "erp", **fields: Any) -> TopQueriesSnapshot:
    """Look `number` at a server where posts are listed, each with its comments, and something else runs."""
    calls = sum(UNEVEN[each % len(UNEVEN)] for each in range(number)) + 1
    queries = (
        TopQuery(key="11/posts", sql=f"{POSTS} LIMIT $1", database="erp", user="web", calls=calls,
                 total_seconds=calls * 0.002, rows=calls * 12, read_bytes=0, hit_bytes=calls * 8192),
        TopQuery(key="22/comments", sql=COMMENTS.format("$1"), database="erp", user="web", calls=calls * 12,
                 total_seconds=calls * 12 * 0.0015, rows=calls * 24, read_bytes=calls * 8192, hit_bytes=calls * 8192),
        TopQuery(key="33/totals", sql="SELECT sum(amount) FROM bill", database="erp", user="report",
                 calls=number + 1, total_seconds=(number + 1) * 0.4, rows=number + 1, temp_bytes=5_000_000),
    )  # fmt: skip
    known: dict[str, Any] = {
        "taken_at": NOW + timedelta(seconds=3 * number), "monotonic_seconds": 1000.0 + 3 * number,
        "source": "pg_stat_statements 1.10", "queries": queries, "since": NOW - timedelta(days=2),
        "schema": SCHEMA if number == 0 else None, "round_trip_seconds": 0.0004 if number == 0 else None, **fields,
    }  # fmt: skip
    return TopQueriesSnapshot(profile=profile, **known)


def looks(count: int) -> list[LiveLook]:
    """So many looks, one after another, as they are judged."""
    sums = LiveSums()
    return [sums.take(snapshot(number)) for number in range(count)]


def plan_of(profile: ConnectionProfile, wish: CaptureWish, refusal: str = "") -> CapturePlan:
    """A plan as a server's would be."""
    return CapturePlan(
        profile=profile.name, way=CaptureWay.POSTGRESQL_LOG, seconds=wish.seconds, most_bytes=wish.most_bytes,
        sample_rate=wish.sample_rate or 0.1, server="PostgreSQL 1, port 5432", format="jsonlog", refusal=refusal,
        changes=(SettingChange(name="log_transaction_sample_rate", value="0.1", before=None, current="0"),),
        free_bytes=9_000_000_000, cost="" if refusal else "10 % of the transactions are logged, whole",
        warnings=() if refusal else ("the text and the values of statements are written into the server's log",),
    )  # fmt: skip


def stale_capture(profile: ConnectionProfile) -> StaleCapture:
    """What a capture that was killed has left."""
    journal = CaptureJournal(
        capture_id="20261123T020000Z-1", profile=profile.name, engine=profile.engine, url=profile.url,
        server="PostgreSQL 1, port 5432", way=CaptureWay.POSTGRESQL_LOG, changes=(), began_at=NOW, seconds=30.0,
        deadline_at=NOW, most_bytes=1_000_000, process=1,
    )  # fmt: skip
    return StaleCapture(path="/state/captures/1.jsonl", journal=journal)


@dataclass
class QueryWorld:
    """What the pane is given instead of servers. `watched`: the feeds that ask, with what they call back."""

    world: World
    refusal: str = ""
    stale: tuple[StaleCapture, ...] = ()
    found: QueryFindings = field(default_factory=lambda: judged(events(3)))
    is_restored: bool = True
    watched: list[tuple[str, Callable[[LiveLook], None]]] = field(default_factory=list)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    gate: Callable[[RoutineContext], None] = lambda _context: None

    def watch(self, profile: ConnectionProfile, _sums: LiveSums, _pace: Any, seen: Any) -> JobRequest[None]:
        """Wait until it is cancelled; looks come from the test."""

        def start(context: RoutineContext) -> Routine[None]:
            yield from ()
            self.watched.append((profile.name, seen))
            if self.world.error is not None:
                raise self.world.error
            while not context.cancellation.wait(30):
                pass
            context.cancellation.check()

        return JobRequest(routine="watch", target=profile.name, start=start, changes=False)

    def plan(self, profile: ConnectionProfile, wish: CaptureWish) -> JobRequest[CapturePlan]:
        """A plan."""
        self.asked.append(("plan", wish))
        return self.world.returns("plan", profile.name, lambda: plan_of(profile, wish, self.refusal))

    def capture(self, plan: CapturePlan, seen: Any, context: RoutineContext) -> Routine[CaptureResult]:
        """Find what there is, in two halves."""
        self.asked.append(("capture", plan.seconds, plan.sample_rate))
        yield StepStarted("capture", "postgresql log")
        yield Progressed(10, int(plan.seconds), "seconds", "240 statements")
        seen(self.found)
        self.gate(context)
        yield StepFinished("capture", 30.0)
        left = () if self.is_restored else ("log_destination is stderr: somebody else changed it",)
        ended_by = "cancelled" if context.cancellation.requested else "time"
        return CaptureResult(plan=plan, seconds=30.0, findings=self.found, is_restored=self.is_restored, left=left,
                             ended_by=ended_by)  # fmt: skip

    def repair(self, profile: ConnectionProfile) -> tuple[CaptureRepair, ...]:
        """Nothing is left."""
        self.asked.append(("repair", profile.name))
        self.stale = ()
        return (CaptureRepair(capture_id="1", profile=profile.name, is_restored=True,
                              detail="the settings changed 3 min ago are as they were"),)  # fmt: skip

    def explain(self, profile: ConnectionProfile, key: str) -> JobRequest[ExplainedQuery]:
        """A plan of a statement."""

        def make() -> ExplainedQuery:
            self.asked.append(("explain", key))
            scan = PlanNode("Seq Scan on comment", ("Filter: (post_id = $1)",), 91.5, 4)
            tree = PlanNode("Sort", ("Sort Key: id",), 93.0, 4, (scan,))
            text = "Sort  (cost=92.00..93.00 rows=4)\n  ->  Seq Scan on comment  (cost=0.00..91.50 rows=4)"
            return ExplainedQuery(snapshot(1).queries[1], text, tree)

        return self.world.returns("explain", profile.name, make)

    def inspect(self, wish: InspectWish, _profile: ConnectionProfile | None) -> JobRequest[QueryFindings]:
        """Read a file."""

        def make() -> QueryFindings:
            self.asked.append(("inspect", wish))
            return self.found

        return self.world.returns("inspect", wish.path, make)


def patch_requests(queries: QueryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer the pane from here."""
    real_capture, real_repair = requests.capture, requests.repair

    def capture(profile: ConnectionProfile, plan: CapturePlan, journals: Path, seen: Any) -> JobRequest[CaptureResult]:
        return replace(
            real_capture(profile, plan, journals, seen), start=lambda context: queries.capture(plan, seen, context)
        )

    def repair(profile: ConnectionProfile, journals: Path) -> JobRequest[tuple[CaptureRepair, ...]]:
        made = queries.world.returns("repair", profile.name, lambda: queries.repair(profile))
        return replace(real_repair(profile, journals), start=made.start)

    def stale(profile: ConnectionProfile, _journals: Path) -> JobRequest[tuple[StaleCapture, ...]]:
        return queries.world.returns("stale", profile.name, lambda: queries.stale)

    fakes: dict[str, Any] = {
        "watch": queries.watch, "capture_plan": queries.plan, "capture": capture, "stale": stale, "repair": repair,
        "explain": queries.explain, "inspect": queries.inspect,
    }  # fmt: skip
    for name, fake in fakes.items():
        monkeypatch.setattr(requests, name, fake)


def busy_snapshot(number: int, profile: str) -> TopQueriesSnapshot:
    """Look `number` at a server where two hundred shapes run, each more or less often than before."""
    queries = []
    for place in range(200):
        calls = sum(1 + (each * 7 + place * 13) % 97 for each in range(number + 1))
        queries.append(
            TopQuery(key=f"{place}/busy", sql=f"SELECT item.name, item.price FROM item_{place} WHERE id = $1",
                     database="erp", user="web", calls=calls, total_seconds=calls * (place + 1) * 0.0001,
                     rows=calls * 3, read_bytes=calls * 8192, hit_bytes=calls * 16384, temp_bytes=calls * place)
        )  # fmt: skip
    whole = snapshot(number, profile, taken_at=datetime.now(UTC), monotonic_seconds=time.monotonic())
    return replace(whole, queries=(*whole.queries, *queries))


def patch_live(queries: QueryWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, and the server is looked at as often as the pane asks for."""
    patch_requests(queries, monkeypatch)

    def watch(
        profile: ConnectionProfile, sums: LiveSums, pace: Callable[[], float], seen: Callable[[LiveLook], None]
    ) -> JobRequest[None]:
        def start(context: RoutineContext) -> Routine[None]:
            yield from ()
            for number in itertools.count():
                seen(sums.take(busy_snapshot(number, profile.name)))
                context.cancellation.wait(pace())
                context.cancellation.check()

        return JobRequest(routine="watch", target=profile.name, start=start, changes=False)

    monkeypatch.setattr(requests, "watch", watch)
