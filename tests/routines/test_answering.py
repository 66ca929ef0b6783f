"""Work on a server that answers nobody any more is ended; work on one that is only busy is not."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from dbtui.adapters import processes
from dbtui.adapters.libpq import interrupts
from dbtui.demo.servers import MariaDB, PostgreSQL
from dbtui.errors import AuthenticationError, Cancelled, ConnectError
from dbtui.model.backups import Compression, CompressionKind, DumpOptions
from dbtui.model.connections import ConnectionProfile, EngineName, Secret
from dbtui.model.events import Event, Progressed, Routine, StepStarted
from dbtui.routines.backups import answering, create_backup
from dbtui.routines.context import RoutineContext
from tests.adapters.postgresql_targets import drive, large_database
from tests.faults.matrix.wires import Wire
from tests.routines.fake_engine import FakeContext, FakeEngine
from tests.routines.test_create import PROFILE

TICK_SECONDS = 0.02


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(answering, "PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(answering, "MISSES", 2)
    monkeypatch.setattr(processes, "_GRACE_SECONDS", 0.5)
    monkeypatch.setattr(interrupts, "_PATIENCE_SECONDS", 0.5)


def nobody() -> None:
    raise ConnectError("db1:5432 did not answer in time")


def quiet_work(c: RoutineContext, until: Callable[[], bool], event: Event | None = None) -> Routine[str]:
    """Says the same again and again until it is cancelled, or `until` says that it is done."""
    while not until():
        yield event or Progressed(7, 10, "bytes")
        c.cancellation.wait(TICK_SECONDS)
        c.cancellation.check()
    return "done"


def test_silence_on_both_ways_ends_the_work() -> None:
    c = FakeContext(fake=FakeEngine(fail_at={"open_target": nobody}))
    work = answering.while_answering(c, PROFILE, quiet_work(c, lambda: False))
    with pytest.raises(ConnectError, match="answers nobody any more, and nothing has come from it for"):
        drive(work)
    assert c.fake.calls.count("open_target") == 2


@pytest.mark.parametrize("answer", [None, AuthenticationError("no"), ConnectError("full", code="53300")])
def test_a_server_that_answers_may_take_its_time(answer: ConnectError | None) -> None:
    def say() -> None:
        if answer is not None:
            raise answer

    fake = FakeEngine(fail_at={"open_target": say})
    c = FakeContext(fake=fake)
    work = quiet_work(c, lambda: fake.calls.count("open_target") >= 4)
    assert drive(answering.while_answering(c, PROFILE, work)) == "done"


def test_progress_is_an_answer() -> None:
    c = FakeContext(fake=FakeEngine(fail_at={"open_target": nobody}))

    def work() -> Routine[str]:
        for done in range(40):
            yield Progressed(done, 40, "bytes")
            c.cancellation.wait(TICK_SECONDS)
            c.cancellation.check()
        return "done"

    assert drive(answering.while_answering(c, PROFILE, work())) == "done"


def test_what_needs_no_server_any_more_is_left_alone() -> None:
    c = FakeContext(fake=FakeEngine(fail_at={"open_target": nobody}))
    ends = threading.Event()
    timer = threading.Timer(0.8, ends.set)
    timer.start()

    def work() -> Routine[str]:
        yield StepStarted("finish")
        return (yield from quiet_work(c, ends.is_set))

    assert drive(answering.while_answering(c, PROFILE, work(), until="finish")) == "done"
    timer.join()


def test_a_stop_that_was_asked_for_stays_one() -> None:
    c = FakeContext(fake=FakeEngine(fail_at={"open_target": nobody}))

    def work() -> Routine[str]:
        c.cancellation.request("operator")
        ends = threading.Event()
        ends.wait(0.6)
        return (yield from quiet_work(c, lambda: False))

    with pytest.raises(Cancelled):
        drive(answering.while_answering(c, PROFILE, work()))


# --- real servers -------------------------------------------------------------------------------------------------


def dump_into_the_void(engine: EngineName, url: str, server: PostgreSQL | MariaDB, directory: Path) -> None:
    """Make a backup through a network that swallows everything once something of the dump has come."""
    packing = Compression(CompressionKind.GZIP)
    with Wire(server.port) as wire:
        url = url.replace(f":{server.port}/", f":{wire.port}/")
        profile = ConnectionProfile(
            name="far", engine=engine, url=f"{url}?connect_timeout=1", password=Secret(server.password)
        )
        directory.mkdir()

        def swallow(event: Event) -> None:
            if isinstance(event, Progressed) and event.done:
                wire.freeze()

        with pytest.raises(ConnectError, match="answers nobody any more"):
            drive(create_backup(RoutineContext(), profile, directory, DumpOptions(compression=packing)), swallow)
    assert list(directory.iterdir()) == []


def test_a_dump_of_postgresql(postgresql_server: PostgreSQL, tmp_path: Path) -> None:
    with large_database(postgresql_server) as name:
        dump_into_the_void(EngineName.POSTGRESQL, postgresql_server.url(name), postgresql_server, tmp_path / "b")


def test_a_dump_of_mariadb(mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path) -> None:
    mariadb_server.execute(
        "CREATE TABLE t AS SELECT seq AS i, sha2(seq, 512) AS t, sha2(seq * 7, 512) AS u FROM seq_1_to_150000",
        database=mariadb_database.rpartition("/")[2],
    )
    dump_into_the_void(EngineName.MYSQL, mariadb_database, mariadb_server, tmp_path / "b")
