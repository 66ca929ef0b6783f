"""An engine in memory that fulfils the adapter protocols, so that routines can be tested at every point of failure.

Databases are dictionaries of tables; a dump is text with one JSON line a table and a trailer.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from dbtui.adapters.adapter import Adapter, BackupAdapter, Target
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.streams import create_file
from dbtui.adapters.throwaway.adapter import ProofAdapter
from dbtui.errors import ConnectError, DamagedBackupError, ServerError
from dbtui.model.backups import (
    BackupContents,
    BackupFile,
    BackupFormat,
    BackupTable,
    DestinationFacts,
    DumpFacts,
    DumpOptions,
    DumpRequest,
    DumpResult,
    LoadRequest,
    RestoreFacts,
    SessionBrief,
    StoredBackup,
    TableFacts,
    TableName,
    TableSample,
)
from dbtui.model.connections import ConnectionProfile, EngineName, Secret, ServerInfo, TargetStatus
from dbtui.model.events import CommandRan, Progressed, Routine, StepStarted
from dbtui.model.proofs import Soundness
from dbtui.model.shapes import DatabaseShape
from dbtui.routines.context import RoutineContext

HEAD = "-- PostgreSQL database dump\n"
TRAILER = "-- end\n"
Tables = dict[TableName, list[str]]


class FakeTarget:
    """A connection to the engine in memory."""

    def __init__(self, engine: "FakeEngine", profile: ConnectionProfile, cancellation: Cancellation) -> None:
        self.engine, self.profile, self.cancellation = engine, profile, cancellation
        self.info = replace(engine.info, database=profile.database)

    def close(self) -> None:
        self.engine.open_targets -= 1


@dataclass
class FakeEngine:
    """A server. `fail_at` maps a method's name to what to do when it is reached, such as raising."""

    databases: dict[str, Tables] = field(default_factory=dict)
    fail_at: dict[str, Callable[[], None]] = field(default_factory=dict)
    dump_facts: Callable[[DumpFacts], DumpFacts] = lambda facts: facts
    restore_facts: Callable[[RestoreFacts], RestoreFacts] = lambda facts: facts
    sessions: tuple[SessionBrief, ...] = ()
    lose_rows: int = 0
    soundness: Soundness = Soundness()  # noqa: RUF009 - a frozen value
    open_targets: int = 0
    calls: list[str] = field(default_factory=list)
    info: ServerInfo = ServerInfo(  # noqa: RUF009 - a frozen value
        engine=EngineName.POSTGRESQL, flavour="PostgreSQL", version="15.18", version_number=150018, user="dba"
    )

    def reach(self, name: str) -> None:
        self.calls.append(name)
        if name in self.fail_at:
            self.fail_at[name]()

    # ------------------------------------------------------------ Adapter

    @property
    def engine(self) -> EngineName:
        return EngineName.POSTGRESQL

    @property
    def backups(self) -> BackupAdapter:
        return cast(BackupAdapter, self)

    def open_target(
        self,
        profile: ConnectionProfile,
        password: Secret | None,
        cancellation: Cancellation,
        environ: Mapping[str, str],
    ) -> Target:
        self.reach("open_target")
        cancellation.check()
        self.open_targets += 1
        return FakeTarget(self, profile, cancellation)

    def collect_status(self, target: Target) -> TargetStatus:
        self.reach("collect_status")
        return TargetStatus(profile=target.profile.name, taken_at=datetime.now(UTC), info=self.info)

    # ------------------------------------------------------------ ProofAdapter

    def collect_soundness(self, target: Target, database: str) -> Routine[Soundness]:
        yield from ()
        return self.soundness

    def is_about_the_place(self, code: str) -> bool:
        return code.startswith("53")

    def is_missing_here(self, code: str) -> bool:
        return code == "58P01"

    # ------------------------------------------------------------ BackupAdapter

    def collect_dump_facts(self, target: Target, options: DumpOptions) -> DumpFacts:
        self.reach("collect_dump_facts")
        tables = self.databases[target.profile.database]
        facts = DumpFacts(
            info=self.info,
            tool="pg_dump",
            tool_path="/usr/bin/pg_dump",
            tool_version="15.18",
            tool_major=15,
            tables=tuple(TableFacts(name.schema, name.name, bytes=100 * len(rows)) for name, rows in tables.items()),
            database_bytes=1000,
        )
        return self.dump_facts(facts)

    def dump(self, target: Target, request: DumpRequest) -> Routine[DumpResult]:
        self.reach("dump")
        tables = self.databases[target.profile.database]
        is_directory = request.options.format is BackupFormat.DIRECTORY
        name = "toc.dat" if is_directory else ""
        path = Path(request.partial_path, name) if name else Path(request.partial_path)
        yield StepStarted("dump", target.profile.database)
        yield CommandRan("pg_dump erp")
        with create_file(path) as file:
            file.write((("PGDMP\n") if is_directory else HEAD).encode())
            for number, (table, rows) in enumerate(tables.items()):
                line = json.dumps([table.schema, table.name, rows])
                file.write(line.encode() + b"\n")
                self.reach("dump table")
                target.cancellation.check()
                yield Progressed(number, len(tables), "tables")
            file.write(TRAILER.encode())
        data = path.read_bytes()
        return DumpResult(
            files=(BackupFile(name, len(data), hashlib.sha256(data).hexdigest()),),
            tables=tuple(BackupTable(t.schema, t.name, len(rows), "exact", 10) for t, rows in tables.items()),
            uncompressed_bytes=len(data),
        )

    def _read(self, backup: StoredBackup) -> Tables:
        path = Path(backup.data_path)
        text = (path / "toc.dat" if path.is_dir() else path).read_text(errors="replace")
        lines = text.splitlines()[1:]
        if not lines or not text.endswith(TRAILER):
            raise DamagedBackupError(f"{path} is cut off")
        tables = [json.loads(line) for line in lines[:-1]]
        return {TableName(schema, name): rows for schema, name, rows in tables}

    def collect_contents(self, backup: StoredBackup, cancellation: Cancellation) -> BackupContents:
        self.reach("collect_contents")
        tables = self._read(backup)
        return BackupContents(engine=EngineName.POSTGRESQL, tables=tuple(BackupTable(t.schema, t.name) for t in tables))

    def collect_shape(self, target: Target) -> DatabaseShape:
        return DatabaseShape()

    def show_definition(self, backup: StoredBackup, table: TableName, cancellation: Cancellation) -> str:
        return f"CREATE TABLE {table}"

    def collect_sample(
        self, backup: StoredBackup, table: TableName, limit: int, cancellation: Cancellation
    ) -> TableSample:
        rows = self._read(backup)[table]
        return TableSample(("value",), tuple((row,) for row in rows[:limit]), more=len(rows) > limit)

    def check_archive(self, backup: StoredBackup, cancellation: Cancellation) -> Routine[tuple[str, ...]]:
        self.reach("check_archive")
        yield Progressed(0, None, "bytes")
        try:
            tables = self._read(backup)
        except ValueError as error:
            raise DamagedBackupError(f"{backup.backup_id} cannot be read") from error
        return tuple(f"{name} holds a hostile statement" for name, rows in tables.items() if "\\! rm" in rows)

    def collect_destination(self, target: Target, database: str) -> DestinationFacts:
        tables = self.databases.get(database)
        sessions = self.sessions if tables else ()
        return DestinationFacts(
            database=database, exists=tables is not None, tables=len(tables or ()), sessions=sessions
        )  # fmt: skip

    def collect_restore_facts(
        self, target: Target, backup: StoredBackup, contents: BackupContents, database: str
    ) -> RestoreFacts:
        self.reach("collect_restore_facts")
        facts = RestoreFacts(
            info=self.info,
            destination=self.collect_destination(target, database),
            taken_names=tuple(self.databases),
        )
        return self.restore_facts(facts)

    def create_database(self, target: Target, database: str, like: str, contents: BackupContents) -> None:
        if database in self.databases:
            raise ServerError(f"{database} exists", code="42P04")
        self.databases[database] = {}
        self.reach("create_database")

    def load(self, target: Target, request: LoadRequest) -> Routine[None]:
        self.reach("load")
        for name, rows in self._read(request.backup).items():
            if request.tables and name not in request.tables:
                continue
            self.databases[request.database][name] = rows[: len(rows) - self.lose_rows]
            self.reach("load table")
            target.cancellation.check()
            yield Progressed(1, 2, "tables")

    def count_rows(
        self, target: Target, database: str, tables: Sequence[TableName]
    ) -> Routine[tuple[BackupTable, ...]]:
        self.reach("count_rows")
        yield Progressed(0, len(tables), "tables")
        there = self.databases[database]
        return tuple(BackupTable(t.schema, t.name, len(there[t]), "exact") for t in tables if t in there)

    def swap_database(self, target: Target, live: str, fresh: str, kept: str) -> Routine[None]:
        self.reach("swap_database")
        yield CommandRan(f"swap {live}")
        self.databases[kept] = self.databases.pop(live)
        self.databases[live] = self.databases.pop(fresh)
        self.reach("swapped")

    def drop_database(self, target: Target, database: str) -> None:
        self.reach("drop_database")
        self.databases.pop(database, None)

    def new_name(self, target: Target, database: str, suffix: str) -> str:
        return database + suffix


@dataclass(frozen=True)
class FakeContext(RoutineContext):
    """A context whose only engine is the one in memory; its clock goes on one second each time it is read."""

    fake: FakeEngine = field(default_factory=FakeEngine)

    @contextmanager
    def open_target(self, profile):  # type: ignore[no-untyped-def]
        target = self.fake.open_target(profile, None, self.cancellation, self.environ)
        try:
            yield target
        finally:
            target.close()

    def adapter(self, engine: EngineName) -> Adapter:
        return cast(Adapter, self.fake)

    def backups(self, engine: EngineName) -> BackupAdapter:
        return self.fake.backups

    def proofs(self, engine: EngineName) -> ProofAdapter:
        return cast(ProofAdapter, self.fake)


class Clock:
    """A clock for tests: begins at a fixed second, goes on by `step` each time it is read."""

    def __init__(self, step: float = 0.0) -> None:
        self.moment = datetime(2026, 11, 22, 15, 0, 0, tzinfo=UTC)
        self.step = timedelta(seconds=step)

    def __call__(self) -> datetime:
        self.moment += self.step
        return self.moment


def unreachable() -> None:
    """What a server that is down does."""
    raise ConnectError("connection refused")


def drive(routine: Routine):  # type: ignore[no-untyped-def, type-arg]
    """Run a routine to its end and return its result."""
    try:
        while True:
            next(routine)
    except StopIteration as end:
        return end.value


def drive_until(routine: Routine, stop: Callable[[object], bool]) -> None:  # type: ignore[type-arg]
    """Run a routine until an event satisfies `stop`, then close it as a runner does."""
    try:
        while not stop(next(routine)):
            pass
    finally:
        routine.close()
