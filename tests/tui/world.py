"""A world for the terminal UI without servers: profiles, backups, contents and plans that the panes ask for."""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from textual.pilot import Pilot

from dbtui.analysis.sessions import plan_end
from dbtui.config import Settings, parse_url
from dbtui.errors import ToolError
from dbtui.history import History
from dbtui.jobs import JobRequest, JobRunner
from dbtui.model.backups import (
    BackupContents,
    BackupEntry,
    BackupFormat,
    BackupTable,
    Compression,
    CreatePlan,
    CreateResult,
    DumpFacts,
    DumpObject,
    DumpOptions,
    EntryKind,
    Manifest,
    PlanStep,
    RestoreOptions,
    RestorePlan,
    RestoreResult,
    SessionBrief,
    StoredBackup,
    TableFacts,
    TableName,
    TableSample,
    VerifyResult,
)
from dbtui.model.connections import ConnectionProfile, EngineName, Environment, ServerInfo, TargetStatus
from dbtui.model.events import CommandRan, Event, Progressed, Routine, StepFinished, StepStarted
from dbtui.model.pools import PoolsSnapshot
from dbtui.model.proofs import Proof, ThrowawayPlan
from dbtui.model.repositories import Repository, RepositoryReport
from dbtui.model.schedules import ScheduleState
from dbtui.model.sessions import Hit, Session, SessionHit, SessionsPlan, SessionsResult, SessionsSnapshot, SessionVerb
from dbtui.model.shipping import RemoteHistory
from dbtui.routines.context import RoutineContext
from dbtui.tui import ladder_feed, place_requests, requests, session_requests, watching
from dbtui.tui.app import DbtuiApp
from dbtui.tui.feel import Feel
from dbtui.watches import Look
from tests.tui.fake_watches import FakeWatch, lock_chain, snapshot
from tests.tui.pool_world import FakeLadder

ResultT = TypeVar("ResultT")
NOW = datetime.now(UTC)


def profile(name: str, url: str, directory: Path, **fields: Any) -> ConnectionProfile:
    """A profile."""
    return replace(parse_url(url, name, "config.toml"), backup_dir=str(directory), **fields)


def server(engine: EngineName, database: str, **fields: Any) -> ServerInfo:
    """What a server says of itself."""
    flavour, version = {
        EngineName.POSTGRESQL: ("PostgreSQL", "15.18"),
        EngineName.MYSQL: ("MariaDB", "10.11.14"),
        EngineName.SQLITE: ("SQLite", "3.40.1"),
    }[engine]
    known: dict[str, Any] = {"flavour": flavour, "version": version, "user": "erp", **fields}
    return ServerInfo(engine=engine, database=database, **known)


def entry(backup_id: str, **fields: Any) -> BackupEntry:
    """A complete backup."""
    known: dict[str, Any] = {
        "kind": EntryKind.COMPLETE,
        "directory": "/srv/backups",
        "data_path": f"/srv/backups/{backup_id}.sql",
        "began_at": NOW - timedelta(minutes=12),
        "engine": EngineName.POSTGRESQL,
        "flavour": "PostgreSQL",
        "database": backup_id.partition("-")[0],
        "profile": "erp",
        "server_version": "15.18",
        "format": BackupFormat.PLAIN,
        "compression": "none",
        "size_bytes": 143_000_000,
        "tables": 42,
        "rows": 5_700_000,
        **fields,
    }
    return BackupEntry(backup_id=backup_id, **known)


ENTRIES = (
    entry("erp-20261122T150000Z", compression="zstd", proof="restored", verified_at="2026-11-22T15:10:00+00:00"),
    entry("erp-20261121T150000Z", began_at=NOW - timedelta(days=1, hours=2), format=BackupFormat.DIRECTORY,
          size_bytes=171_000_000, rows=5_600_000, proof="checksums"),
    entry("shop-20261121T031500Z", began_at=NOW - timedelta(days=1, hours=9), engine=EngineName.MYSQL,
          flavour="MariaDB", server_version="10.11.14", size_bytes=561_000_000, tables=18, rows=2_100_000),
    entry("erp-20261120T150000Z", began_at=NOW - timedelta(days=2), compression="gzip:6", size_bytes=138_000_000),
    entry("app-20261120T120000Z", began_at=NOW - timedelta(days=2, hours=3), engine=EngineName.SQLITE,
          flavour="SQLite", server_version="3.40.1", format=BackupFormat.COPY, size_bytes=31_000_000, tables=9,
          rows=120_400),
    entry("old.sql", kind=EntryKind.FOREIGN, began_at=NOW - timedelta(days=9), database="", tables=None, rows=None,
          size_bytes=2_400_000, server_version=""),
    entry("erp-20261101T150000Z", kind=EntryKind.BROKEN, began_at=NOW - timedelta(days=21), size_bytes=0, tables=None,
          rows=None, problem="its data file is gone"),
)  # fmt: skip

CONTENTS = BackupContents(
    engine=EngineName.POSTGRESQL,
    database="erp",
    server_version="15.18",
    schemas=("public", "billing"),
    tables=(
        BackupTable("public", "audit_logs", 3_100_000, "exact", 88_000_000),
        BackupTable("public", "inventory_items", 1_200_000, "exact", 30_000_000),
        BackupTable("public", "order_lines", 940_000, "exact", 17_000_000),
        BackupTable("public", "users", 48_000, "exact", 2_000_000),
        BackupTable("public", "roles", 12, "exact", 900),
        BackupTable("billing", "invoices", 310_000, "exact", 5_000_000),
    ),
    objects=(
        DumpObject("view", "public", "open_orders"),
        DumpObject("function", "public", "touch_updated_at()"),
        DumpObject("sequence", "public", "users_id_seq"),
    ),
    extensions=("pg_trgm", "pgcrypto"),
    roles=("erp", "report"),
)
DEFINITION = """CREATE TABLE public.users (
    id bigint NOT NULL,
    email text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);
"""
SAMPLE = TableSample(
    ("id", "email", "created_at"),
    (("1", "ada@example.org", "2026-01-01 09:00:00+00"), ("2", None, "2026-01-02 10:30:00+00")),
    more=True,
)


def manifest(database: str) -> Manifest:
    """The manifest of a backup just made."""
    return Manifest(
        format_version=1, backup_id=f"{database}-20261122T160000Z", engine=EngineName.POSTGRESQL, flavour="PostgreSQL",
        database=database, profile=database, url="", server_version="15.18", tool="pg_dump", tool_version="15.18",
        dbtui_version="0.1.0", format=BackupFormat.PLAIN, compression="none", encryption=None, begin_time="",
        end_time="", files=(), size_bytes=143_000_000, tables=CONTENTS.tables, duration_seconds=4.0,
    )  # fmt: skip


def create_plan(options: DumpOptions, database: str = "erp", refusals: tuple[str, ...] = ()) -> CreatePlan:
    """A backup plan."""
    facts = DumpFacts(info=server(EngineName.POSTGRESQL, database), tool="pg_dump", tool_path="/usr/bin/pg_dump",
                      tool_version="15.18", database_bytes=400_000_000,
                      tables=tuple(TableFacts(t.schema, t.name, t.bytes, t.rows) for t in CONTENTS.tables))  # fmt: skip
    command = f"pg_dump --format={options.format} {database}"
    return CreatePlan(backup_id=f"{database}-20261122T160000Z", directory="/srv/backups",
                      data_name=f"{database}-20261122T160000Z.sql", options=options, facts=facts,
                      expected_bytes=143_000_000, expected_raw_bytes=400_000_000, free_bytes=80_000_000_000,
                      steps=(PlanStep("dump the database", command, "in one snapshot"),
                             PlanStep("write the manifest")),
                      warnings=("a transaction is open since 2 h",), refusals=refusals)  # fmt: skip


def restore_plan(chosen: BackupEntry, target: ConnectionProfile, options: RestoreOptions) -> RestorePlan:
    """A restore plan, as the real one would be."""
    final = options.into or (target.database if options.replace else f"{chosen.database}_restored")
    stored = StoredBackup(backup_id=chosen.backup_id, engine=EngineName.POSTGRESQL, format=BackupFormat.PLAIN,
                          compression=Compression(), data_path=chosen.data_path)  # fmt: skip
    return RestorePlan(
        backup=stored, contents=CONTENTS, profile=target.name, environment=target.environment.value,
        server="db1:5432", load_database="erp_new", final_database=final, replaces=options.replace,
        keeps_as="erp_kept_20261122t160000z" if options.replace else "",
        tables=tuple(t.table_name for t in CONTENTS.tables if str(t.table_name) in options.tables),
        sessions=(SessionBrief(8123, "app", "erp-api", "10.0.0.7", "idle"),) if options.replace else (),
        needed_bytes=420_000_000, free_bytes=80_000_000_000, missing_roles=("report",),
        undo="ALTER DATABASE erp_kept_20261122t160000z RENAME TO erp" if options.replace else f"DROP DATABASE {final}",
        steps=(PlanStep("create the database", f'CREATE DATABASE "{final}"'), PlanStep("load the data", "psql")),
        confirm_name=final if options.replace else "",
    )  # fmt: skip


@dataclass
class World:
    """What the panes are given instead of servers. `gate` is asked between a job's steps; it may wait or raise."""

    profiles: tuple[ConnectionProfile, ...]
    runner: JobRunner
    entries: tuple[BackupEntry, ...] = ENTRIES
    contents: BackupContents = CONTENTS
    definition: str = DEFINITION
    sample: TableSample = SAMPLE
    statuses: dict[str, TargetStatus] = field(default_factory=dict)
    refusals: tuple[str, ...] = ()
    throwaway: ThrowawayPlan | None = None
    proofs: tuple[Proof, ...] = ()
    remotes: dict[str, RemoteHistory] = field(default_factory=dict)
    reports: dict[Repository, RepositoryReport] = field(default_factory=dict)
    schedules: tuple[ScheduleState, ...] = ()
    asked: dict[str, int] = field(default_factory=dict)  # how often each remote was
    place_gate: Callable[[], object] = lambda: None
    sessions: dict[str, SessionsSnapshot] = field(default_factory=dict)
    watches: dict[str, FakeWatch] = field(default_factory=dict)
    ladders: list[FakeLadder] = field(default_factory=list)
    done: list[tuple[Any, ...]] = field(default_factory=list)
    gate: Callable[[RoutineContext], None] = lambda _context: None
    error: Exception | None = None

    def app(self, opened: ConnectionProfile | None = None, few_colours: bool = False) -> DbtuiApp:
        """The application in this world."""
        settings = Settings(profiles=self.profiles, backup_dir="/srv/backups")
        return DbtuiApp(self.runner, settings, opened, Feel("ansi" if few_colours else "dark"))

    def returns(self, name: str, target: str, make: Callable[[], ResultT]) -> JobRequest[ResultT]:
        """A reading job that returns a value."""

        def start(context: RoutineContext) -> Iterator[Event]:
            yield from ()
            if self.error is not None:
                raise self.error
            return make()  # type: ignore[return-value]

        return JobRequest(routine=name, target=target, start=start, changes=False)  # type: ignore[arg-type]

    def works(self, context: RoutineContext, result: ResultT) -> Routine[ResultT]:
        """A long job: three steps of a dump, then its result."""
        yield StepStarted("dump", "42 tables")
        yield CommandRan("pg_dump --format=plain erp")
        for tenth in range(1, 11):
            self.gate(context)
            context.cancellation.check()
            yield Progressed(tenth * 40_000_000, 400_000_000, "bytes")
        yield StepFinished("dump", 1.5)
        return result


def screen_lines(app: DbtuiApp) -> list[str]:
    """What the screen shows, line by line."""
    return [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]


def screen_text(app: DbtuiApp) -> str:
    """What the screen shows."""
    return "\n".join(screen_lines(app))


async def wait_to_see(pilot: Pilot[Any], *texts: str, seconds: float = 15.0) -> str:
    """Wait until the screen shows every text, and return the screen."""
    app = cast(DbtuiApp, pilot.app)
    await wait_until(pilot, lambda: all(text in screen_text(app) for text in texts), seconds, repr(texts))
    return screen_text(app)


async def wait_until(pilot: Pilot[Any], condition: Callable[[], bool], seconds: float = 15.0, what: str = "it") -> None:
    """Wait until something is so."""
    ends = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > ends:
            raise AssertionError(f"waited in vain for {what}:\n{screen_text(cast(DbtuiApp, pilot.app))}")
        await asyncio.sleep(0.02)
    await pilot.pause()


def _acting(world: World, real: JobRequest[Any], result: Callable[[], Any], *what: Any) -> JobRequest[Any]:
    def start(context: RoutineContext) -> Routine[Any]:
        outcome = yield from world.works(context, result())
        world.done.append(what)
        return outcome

    return replace(real, start=start)


def make_world(state: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Three targets, seven backups, and every request of the panes answered from here."""
    directory = state / "backups"
    profiles = (
        profile("erp", "postgresql://erp@db1:5432/erp", directory, environment=Environment.PRODUCTION),
        profile("erp-test", "postgresql://erp@db2:5432/erp", directory, environment=Environment.STAGING),
        profile("shop", "mysql://shop@db3:3306/shop", directory, read_only=True),
        profile("app", f"sqlite:///{state}/app.sqlite", directory),
    )
    world = World(profiles, JobRunner(RoutineContext(), History(state / "state")))
    for each in profiles:
        info = server(each.engine, each.database)
        world.statuses[each.name] = TargetStatus(
            profile=each.name,
            taken_at=NOW,
            info=info,
            sessions_used=39,
            sessions_available=97,
            size_bytes=91_000_000_000,
            tables=42,
        )
        world.sessions[each.name] = snapshot(each.name, *lock_chain())
    world.sessions["app"] = snapshot("app", unsupported="SQLite has no server and so no sessions")
    world.statuses["shop"] = TargetStatus(profile="shop", taken_at=NOW, problem="connection refused on db3:3306")
    _patch(world, monkeypatch)
    return world


def _patch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real_create, real_restore, real_verify, real_delete = (
        requests.create, requests.restore, requests.verify, requests.delete
    )  # fmt: skip

    def create(target: ConnectionProfile, plan: CreatePlan) -> JobRequest[CreateResult]:
        result = CreateResult(manifest=manifest("erp"), data_path="", manifest_path="")
        return _acting(world, real_create(target, plan), lambda: result, "create", target.name, plan.options)

    def restore(target: ConnectionProfile, plan: RestorePlan) -> JobRequest[RestoreResult]:
        result = RestoreResult(database=plan.final_database, tables=6, rows=5_598_012, kept_as=plan.keeps_as)
        return _acting(world, real_restore(target, plan), lambda: result, "restore", target.name, plan.final_database,
                       plan.replaces, plan.tables)  # fmt: skip

    def verify(chosen: BackupEntry, place: ThrowawayPlan | ConnectionProfile | None) -> JobRequest[VerifyResult]:
        result = VerifyResult(backup_id=chosen.backup_id, proof="restored" if place else "checksums", files_checked=1)
        where = place.name if isinstance(place, ConnectionProfile) else place.server if place else ""
        return _acting(world, real_verify(chosen, place), lambda: result, "verify", chosen.backup_id, where)

    def proof_plan() -> ThrowawayPlan:
        if world.throwaway is None:
            raise ToolError("no PostgreSQL server is installed here for a throwaway one")
        return world.throwaway

    def delete(chosen: BackupEntry) -> JobRequest[str]:
        def gone() -> str:
            world.entries = tuple(each for each in world.entries if each.backup_id != chosen.backup_id)
            return f"deleted {chosen.backup_id}"

        return _acting(world, real_delete(chosen), gone, "delete", chosen.backup_id)

    _patch_watches(world, monkeypatch)
    fakes: dict[str, Callable[..., JobRequest[Any]]] = {
        "entries": lambda directory: world.returns("list", str(directory), lambda: world.entries),
        "contents": lambda chosen: world.returns("look into", chosen.backup_id, lambda: world.contents),
        "manifest": lambda chosen: world.returns("manifest", chosen.backup_id, lambda: manifest(chosen.database)),
        "definition": lambda chosen, table: world.returns("definition", str(table), lambda: world.definition),
        "sample": lambda chosen, table, limit: world.returns("rows", str(table), lambda: world.sample),
        "create_plan": lambda target, directory, options: world.returns(
            "plan backup", target.name, lambda: create_plan(options, refusals=world.refusals)
        ),
        "restore_plan": lambda chosen, target, options: world.returns(
            "plan restore", target.name, lambda: restore_plan(chosen, target, options)
        ),
        "create": create,
        "restore": restore,
        "verify": verify,
        "proof_plan": lambda chosen: world.returns("plan proof", chosen.backup_id, proof_plan),
        "proofs": lambda chosen: world.returns("read proofs", chosen.backup_id, lambda: world.proofs),
        "delete": delete,
    }
    for name, fake in fakes.items():
        monkeypatch.setattr(requests, name, fake)
    _patch_places(world, monkeypatch)


def _patch_places(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Remotes, repositories and schedules are those of the world; how often each was asked is counted."""

    def remote_history(address: str) -> JobRequest[RemoteHistory]:
        def look() -> RemoteHistory:
            world.asked[address] = world.asked.get(address, 0) + 1
            world.place_gate()
            return world.remotes[address]

        return world.returns("list remote", address, look)

    def repository(_history: History, asked: Repository) -> JobRequest[RepositoryReport]:
        return world.returns("ask repository", str(asked), lambda: world.reports[asked])

    def schedules(_history: History, _profiles: Sequence[ConnectionProfile]) -> JobRequest[tuple[ScheduleState, ...]]:
        return world.returns("list schedules", "", lambda: world.schedules)

    for name, fake in {"remote_history": remote_history, "repository": repository, "schedules": schedules}.items():
        monkeypatch.setattr(place_requests, name, fake)


def _patch_watches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks come from the world, and sessions are ended there."""

    def make(target: ConnectionProfile, _context: RoutineContext, publish: Callable[[Look], None],
             seconds: float) -> FakeWatch:  # fmt: skip
        watch = FakeWatch(target, publish, seconds, world.statuses, world.sessions)
        world.watches[target.name] = watch
        return watch

    def end_plan(target: ConnectionProfile, verb: SessionVerb, ids: tuple[int, ...]) -> JobRequest[SessionsPlan]:
        orders = [f"SELECT pg_{verb.value}_backend({each})" for each in ids]
        return world.returns(
            "plan", target.name, lambda: plan_end(world.sessions[target.name], verb, ids, orders, target)
        )

    real_end = session_requests.end_sessions

    def end_sessions(target: ConnectionProfile, plan: SessionsPlan) -> JobRequest[SessionsResult]:
        ids = tuple(each.session_id for each in plan.sessions)

        def start(_context: RoutineContext) -> Routine[SessionsResult]:
            yield from ()
            world.done.append((plan.verb.value, target.name, ids))
            left = tuple(each for each in world.sessions[target.name].sessions if each.session_id not in ids)
            world.sessions[target.name] = replace(
                world.sessions[target.name], sessions=left, taken_at=datetime.now(UTC)
            )
            hits = tuple(SessionHit(session=each, hit=Hit.DONE) for each in plan.sessions)
            return SessionsResult(verb=plan.verb, hits=hits)

        return replace(real_end(target, plan), start=start)

    def explain(target: ConnectionProfile, session: Session) -> JobRequest[str]:
        return world.returns(
            "explain", target.name, lambda: f"Seq Scan on accounts of {session.session_id}\n  Filter: x"
        )

    def make_ladder(target: ConnectionProfile, _context: RoutineContext, publish: Callable[[PoolsSnapshot], None],
                    seconds: float, _server: object) -> FakeLadder:  # fmt: skip
        world.ladders.append(FakeLadder(target, publish, seconds))
        return world.ladders[-1]

    monkeypatch.setattr(watching, "make_watch", make)
    monkeypatch.setattr(ladder_feed, "make_ladder", make_ladder)
    for name, fake in {"end_plan": end_plan, "end_sessions": end_sessions, "explain": explain}.items():
        monkeypatch.setattr(session_requests, name, fake)


def table_names(*names: str) -> tuple[TableName, ...]:
    """`public.users` as a TableName."""
    return tuple(TableName(*name.split(".")) for name in names)
