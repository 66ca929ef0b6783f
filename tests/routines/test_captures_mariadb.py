"""Captures on MariaDB: by the ring of statements in memory, and by the general log where that is off."""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbtui.demo.servers import MariaDB
from dbtui.errors import LockedError
from dbtui.model.captures import CaptureWish
from dbtui.model.events import Event, StepStarted
from dbtui.model.queries import CaptureResult, CaptureWay
from dbtui.routines.captures import capture_queries, list_stale_captures, repair_captures
from tests.adapters.postgresql_targets import drive
from tests.routines.capture_lab import (
    POSTS,
    Kept,
    Victim,
    connect,
    context,
    is_running,
    journals_in,
    looking_up,
    mariadb_state,
    profile_of,
    wait_until,
)

WISH = CaptureWish(seconds=2.0)
ON = ["--performance-schema=ON"]


@pytest.fixture(params=["history", "general"])
def server(request: pytest.FixtureRequest, new_mariadb: Callable[..., MariaDB]) -> MariaDB:
    """A server that keeps statements in memory, and one that does not."""
    made = new_mariadb(options=ON if request.param == "history" else [])
    made.execute("CREATE DATABASE shop")
    return made


@pytest.fixture
def measuring(new_mariadb: Callable[..., MariaDB]) -> MariaDB:
    """A server that keeps statements in memory."""
    made = new_mariadb(options=ON)
    made.execute("CREATE DATABASE shop")
    return made


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the journals are."""
    return tmp_path / "captures"


@pytest.fixture
def unchanged(server: MariaDB) -> Iterator[None]:
    """The server is set afterwards as it was before."""
    before = mariadb_state(server)
    yield
    assert mariadb_state(server) == before


def capture(
    server: MariaDB,
    directory: Path,
    wish: CaptureWish = WISH,
    judge: Kept | None = None,
    on_capturing: Callable[[], object] = lambda: None,
) -> CaptureResult:
    """Capture; `on_capturing` is called when it has begun."""

    def note(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "capture":
            on_capturing()

    return drive(capture_queries(context(), profile_of(server.url("shop")), wish, directory, judge=judge), note)


def is_on(server: MariaDB) -> bool:
    """Whether statements are kept or logged."""
    kept = server.execute(
        "SELECT ENABLED FROM performance_schema.setup_consumers WHERE NAME = 'events_statements_history_long'"
    )
    return bool(server.execute("SELECT @@general_log")[0][0]) or kept == [("YES",)]


@pytest.mark.usefixtures("unchanged")
def test_what_runs_is_captured_in_order_and_judged(server: MariaDB, directory: Path) -> None:
    kept = Kept()
    with looking_up(server.url("shop")) as has_run:
        assert has_run.wait(20)
        result = capture(server, directory, judge=kept)
    assert (result.is_restored, result.left, result.ended_by) == (True, (), "time")
    assert not journals_in(directory)
    found = result.findings.findings[0]
    assert found.repeats >= POSTS and found.children[0].shape.lookups[0].column == "post_id"
    values = [int(number[0]) for event in kept.events if (number := re.findall(r"WHERE (\d+) =", event.sql))]
    assert len(values) > 2 * POSTS
    first = values.index(1)
    whole = values[first : first + (len(values) - first) // POSTS * POSTS]
    assert whole == list(range(1, POSTS + 1)) * (len(whole) // POSTS)
    is_history = result.plan.way is CaptureWay.MYSQL_HISTORY
    of_shop = [event for event in kept.events if "comment" in event.sql]
    assert all((event.rows == 1 and event.duration_ms is not None) == is_history for event in of_shop)
    assert not [event for event in kept.events if "performance_schema" in event.sql or "general_log" in event.sql]


def test_what_the_ring_loses_is_counted(measuring: MariaDB, directory: Path) -> None:
    """Statements that come faster than they are read push each other out of the ring."""
    kept = Kept()
    ran = 5000

    def hurry() -> None:
        connection = connect(measuring.url("shop"))
        with connection.cursor() as cursor:
            for number in range(ran):
                cursor.execute("SELECT %s", (number,))
        connection.close()

    result = capture(measuring, directory, CaptureWish(seconds=1.0), kept, hurry)
    report = result.findings.report
    assert report is not None and report.lost > 0
    seen = sum(bool(re.fullmatch(r"SELECT \d+", event.sql)) for event in kept.events)
    # Beside those the session said two things when it connected, SET NAMES and SET AUTOCOMMIT.
    assert ran <= seen + report.lost <= ran + 3


@pytest.mark.usefixtures("unchanged")
def test_a_killed_dbtui_leaves_it_to_its_guard(server: MariaDB, directory: Path) -> None:
    with Victim(server.url("shop"), directory) as victim:
        guard = victim.guard
        assert is_on(server)
        secret = server.password.encode()
        for name in ("cmdline", "environ"):
            assert secret not in Path(f"/proc/{guard}/{name}").read_bytes()
        assert secret not in victim.journal.read_bytes()
        victim.kill()
        wait_until(lambda: not is_running(guard), "the guard has ended")
    assert not journals_in(directory)


@pytest.mark.usefixtures("unchanged")
def test_a_capture_that_was_killed_with_its_guard_is_repaired(server: MariaDB, directory: Path) -> None:
    with Victim(server.url("shop"), directory) as victim:
        guard = victim.guard
        os.kill(guard, signal.SIGKILL)
        victim.kill()
        wait_until(lambda: not is_running(guard), "the guard has ended")
    assert is_on(server)
    (stale,) = list_stale_captures(directory)
    assert stale.journal is not None and stale.journal.profile == "erp"
    (repair,) = drive(repair_captures(context(), profile_of(server.url("shop")), directory))
    assert repair.is_restored and not repair.left
    assert not list_stale_captures(directory)


@pytest.mark.usefixtures("unchanged")
def test_a_restart_in_the_middle(server: MariaDB, directory: Path) -> None:
    with Victim(server.url("shop"), directory) as victim:
        guard = victim.guard
        server.stop()
        server.start()
        assert "restored True, left ()" in victim.read_end()
        wait_until(lambda: not is_running(guard), "the guard has ended")
    assert not journals_in(directory)


def test_what_somebody_else_sets_meanwhile_is_left_alone_and_told(
    new_mariadb: Callable[..., MariaDB], directory: Path
) -> None:
    server = new_mariadb()
    server.execute("CREATE DATABASE shop")
    result = capture(
        server,
        directory,
        CaptureWish(seconds=1.0),
        on_capturing=lambda: server.execute("SET GLOBAL log_output = 'NONE'"),
    )
    assert result.is_restored and "log_output: somebody else changed it meanwhile; it is NONE" in result.left[0]
    assert server.execute("SELECT @@log_output, @@general_log") == [("NONE", 0)]


def test_two_captures_at_once(measuring: MariaDB, directory: Path, tmp_path: Path) -> None:
    with Victim(measuring.url("shop"), directory):
        with pytest.raises(LockedError, match="a capture of this server runs already"):
            capture(measuring, directory)
        with pytest.raises(LockedError, match=r"another capture runs on this server \(session"):
            capture(measuring, tmp_path / "of another bastion")
    wait_until(lambda: not journals_in(directory), "the guard of the first has ended")


def test_a_slow_log_in_a_file_stays_one(new_mariadb: Callable[..., MariaDB], directory: Path) -> None:
    server = new_mariadb(options=["--slow-query-log=ON", "--log-output=FILE"])
    server.execute("CREATE DATABASE shop")
    before = mariadb_state(server)
    result = capture(server, directory, CaptureWish(seconds=0.5))
    (change,) = [change for change in result.plan.changes if change.name == "log_output"]
    assert (change.before, change.value) == ("FILE", "FILE,TABLE")
    assert any("the general log does too" in warning for warning in result.plan.warnings)
    assert mariadb_state(server) == before
