"""Captures on PostgreSQL: what runs is found, and the server is afterwards exactly as it was, whatever happened."""

import itertools
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbtui.demo.servers import PostgreSQL
from dbtui.errors import LockedError, RefusedError
from dbtui.model.captures import CaptureWish
from dbtui.model.events import Event, StepStarted
from dbtui.model.queries import CaptureResult
from dbtui.routines import captures
from dbtui.routines.captures import capture_queries, list_stale_captures, plan_capture, repair_captures
from tests.adapters.postgresql_targets import drive
from tests.frozen_network import FrozenNetwork
from tests.routines.capture_lab import (
    POSTS,
    CutNetwork,
    Kept,
    Victim,
    context,
    has_stale,
    is_running,
    journals_in,
    looking_up,
    postgresql_state,
    profile_of,
    wait_until,
)

WISH = CaptureWish(seconds=2.0, sample_rate=1.0)
CHANGED = "log_min_duration_statement"


@pytest.fixture
def server(new_postgresql: Callable[..., PostgreSQL]) -> PostgreSQL:
    """A server that collects its log."""
    return new_postgresql(config=["logging_collector = on", "log_destination = 'stderr'"])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where the journals are."""
    return tmp_path / "captures"


@pytest.fixture
def unchanged(server: PostgreSQL) -> Iterator[None]:
    """The server is set afterwards as it was before."""
    before = postgresql_state(server)
    yield
    assert postgresql_state(server) == before


def capture(
    url: str,
    directory: Path,
    wish: CaptureWish = WISH,
    judge: Kept | None = None,
    on_capturing: Callable[[], object] = lambda: None,
) -> CaptureResult:
    """Capture; `on_capturing` is called when it has begun."""

    def note(event: Event) -> None:
        if isinstance(event, StepStarted) and event.step == "capture":
            on_capturing()

    return drive(capture_queries(context(), profile_of(url), wish, directory, judge=judge), note)


def setting(server: PostgreSQL, name: str = CHANGED) -> str:
    return str(server.execute(f"SHOW {name}")[0][0])


# ---------------------------------------------------------------- what is found


@pytest.mark.usefixtures("unchanged")
def test_what_runs_is_captured_in_order_and_judged(server: PostgreSQL, directory: Path) -> None:
    kept = Kept()
    with looking_up(server.url()) as has_run:
        assert has_run.wait(20)
        result = capture(server.url(), directory, judge=kept)
    assert (result.is_restored, result.left, result.ended_by) == (True, (), "time")
    assert not journals_in(directory)
    (found,) = result.findings.findings
    assert found.repeats >= POSTS
    assert found.children[0].shape.lookups[0].column == "post_id"
    assert found.parent is not None and found.parent.tables == ("post",)
    assert result.findings.report is not None and result.findings.report.lost == 0
    of_shop = [event for event in kept.events if event.application == "shop"]
    assert {event.application for event in kept.events} == {"shop"}
    values = [int(number[0]) for event in of_shop if (number := re.findall(r"WHERE (\d+) =", event.sql))]
    assert len(values) > 2 * POSTS
    first = values.index(1)
    whole = values[first : first + (len(values) - first) // POSTS * POSTS]
    assert whole == list(range(1, POSTS + 1)) * (len(whole) // POSTS)


@pytest.mark.usefixtures("unchanged")
def test_a_sample_has_whole_transactions(server: PostgreSQL, directory: Path) -> None:
    kept = Kept()
    with looking_up(server.url(), pause_seconds=0.0) as has_run:
        assert has_run.wait(20)
        result = capture(server.url(), directory, CaptureWish(seconds=3.0, sample_rate=0.2), kept)
    names = [change.name for change in result.plan.changes]
    assert "log_transaction_sample_rate" in names and CHANGED not in names
    by_transaction: dict[str, int] = {}
    for event in kept.events:
        if "comment" in event.sql:
            by_transaction[event.transaction] = by_transaction.get(event.transaction, 0) + 1
    counts = list(by_transaction.values())[1:-1]  # the first and the last may have begun before or ended after
    assert counts and all(count == POSTS for count in counts)
    assert result.findings.findings


@pytest.mark.usefixtures("unchanged")
def test_rotation_loses_nothing(server: PostgreSQL, directory: Path) -> None:
    kept = Kept()
    with looking_up(server.url(), pause_seconds=0.0) as has_run:
        assert has_run.wait(20)

        def rotate() -> None:
            logs = server.data / "log"
            wait_until(lambda: any(logs.glob("p-*.json")), "the first file is there")
            wait_until(
                lambda: not any(logs.glob(f"p-{time.strftime('%H%M%S', time.gmtime())}.*")),
                "the next one is called otherwise",
            )
            server.execute("SELECT pg_rotate_logfile()")

        server.execute("ALTER SYSTEM SET log_filename = 'p-%H%M%S.log'")
        server.execute("SELECT pg_reload_conf()")
        result = capture(server.url(), directory, CaptureWish(seconds=4.0, sample_rate=1.0), kept, rotate)
        server.execute("ALTER SYSTEM RESET log_filename")
        server.execute("SELECT pg_reload_conf()")
        wait_until(lambda: setting(server, "log_filename") != "p-%H%M%S.log", "its name is as it was")
    assert result.is_restored
    assert len(list((server.data / "log").glob("p-*.json"))) >= 2
    values = [int(number[0]) for event in kept.events if (number := re.findall(r"WHERE (\d+) =", event.sql))]
    assert len(values) > 20 * POSTS
    assert all(after == before % POSTS + 1 for before, after in itertools.pairwise(values))


@pytest.mark.usefixtures("unchanged")
def test_it_ends_when_the_log_has_grown_enough(server: PostgreSQL, directory: Path) -> None:
    with looking_up(server.url(), pause_seconds=0.0) as has_run:
        assert has_run.wait(20)
        result = capture(server.url(), directory, CaptureWish(seconds=60, most_bytes=1_000_000, sample_rate=1.0))
    assert result.ended_by == "size" and result.seconds < 50 and result.is_restored


@pytest.mark.usefixtures("unchanged")
def test_an_operator_who_stops_it_gets_what_was_found(server: PostgreSQL, directory: Path) -> None:
    c = context()
    with looking_up(server.url()) as has_run:
        assert has_run.wait(20)

        def note(event: Event) -> None:
            if type(event).__name__ == "Progressed":
                c.cancellation.request()

        wish = CaptureWish(seconds=60.0, sample_rate=1.0)
        result = drive(capture_queries(c, profile_of(server.url()), wish, directory), note)
    assert result.ended_by == "cancelled" and result.is_restored and result.findings.statements > 0


# ---------------------------------------------------------------- what was set before


def test_what_alter_system_held_is_set_again_and_nothing_else(server: PostgreSQL, directory: Path) -> None:
    held = {
        CHANGED: "250ms",
        "log_destination": "stderr",
        "log_parameter_max_length": "0700",
        "work_mem": "5MB",
    }
    for name, value in held.items():
        server.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    server.execute("SELECT pg_reload_conf()")
    wait_until(lambda: setting(server) == "250ms", "it is reloaded")
    before = postgresql_state(server)
    result = capture(server.url(), directory, CaptureWish(seconds=0.5, sample_rate=1.0))
    assert {change.name: change.before for change in result.plan.changes} == {
        name: value for name, value in held.items() if name != "work_mem"
    }
    after = postgresql_state(server)
    assert after == before


def test_what_somebody_else_sets_meanwhile_is_left_alone_and_told(server: PostgreSQL, directory: Path) -> None:
    def interfere() -> None:
        server.execute(f"ALTER SYSTEM SET {CHANGED} = '123ms'")
        server.execute("SELECT pg_reload_conf()")

    result = capture(server.url(), directory, CaptureWish(seconds=1.0, sample_rate=1.0), on_capturing=interfere)
    assert result.is_restored and len(result.left) == 1
    assert re.search(rf"{CHANGED}: .*'123ms'.*was not set before: left alone", result.left[0])
    assert setting(server) == "123ms" and setting(server, "log_destination") == "stderr"
    assert not journals_in(directory)


# ---------------------------------------------------------------- what ends too early


@pytest.mark.usefixtures("unchanged")
def test_a_killed_dbtui_leaves_it_to_its_guard(server: PostgreSQL, directory: Path) -> None:
    with Victim(server.url(), directory) as victim:
        guard, journal = victim.guard, victim.journal
        assert setting(server) == "0"
        assert journal.stat().st_mode & 0o777 == 0o600 and directory.stat().st_mode & 0o777 == 0o700
        assert os.getsid(guard) == guard  # no terminal that is closed ends it
        secret = server.password.encode()
        for name in ("cmdline", "environ"):
            assert secret not in Path(f"/proc/{guard}/{name}").read_bytes()
        assert secret not in journal.read_bytes()
        victim.kill()
        wait_until(lambda: not is_running(guard), "the guard has ended")
    assert not journals_in(directory) and not has_stale(directory)


@pytest.mark.usefixtures("unchanged")
def test_a_capture_that_was_killed_with_its_guard_is_repaired(server: PostgreSQL, directory: Path) -> None:
    with Victim(server.url(), directory) as victim:
        guard = victim.guard
        assert not has_stale(directory)
        os.kill(guard, signal.SIGKILL)
        victim.kill()
        wait_until(lambda: not is_running(guard), "the guard has ended")
    assert setting(server) == "0"
    (stale,) = list_stale_captures(directory)
    assert stale.journal is not None and stale.journal.profile == "erp" and not stale.is_restored
    with pytest.raises(RefusedError, match="queries repair erp"):
        capture(server.url(), directory)
    (repair,) = drive(repair_captures(context(), profile_of(server.url()), directory))
    assert repair.is_restored and not repair.left
    assert not list_stale_captures(directory)


@pytest.mark.usefixtures("unchanged")
def test_a_guard_that_was_killed_alone_is_replaced(server: PostgreSQL, directory: Path) -> None:
    with Victim(server.url(), directory) as victim:
        os.kill(victim.guard, signal.SIGKILL)
        assert victim.read_end() == "ended by its guard has ended, restored True, left ()\n"
    assert not journals_in(directory)


@pytest.mark.usefixtures("unchanged")
def test_a_guard_that_is_terminated_puts_everything_back(server: PostgreSQL, directory: Path) -> None:
    with Victim(server.url(), directory) as victim:
        os.kill(victim.guard, signal.SIGTERM)
        assert victim.read_end() == "ended by told to by a signal, restored True, left ()\n"


def test_what_somebody_changed_is_told_when_dbtui_starts_again(server: PostgreSQL, directory: Path) -> None:
    with Victim(server.url(), directory) as victim:
        guard = victim.guard
        server.execute(f"ALTER SYSTEM SET {CHANGED} = '77ms'")
        victim.kill()
        wait_until(lambda: not is_running(guard), "the guard has ended")
    wait_until(lambda: has_stale(directory), "nobody holds its lock any more")
    (stale,) = list_stale_captures(directory)
    assert stale.is_restored and "'77ms'" in stale.left[0]
    assert setting(server) == "77ms"
    (repair,) = drive(repair_captures(context(), profile_of(server.url()), directory))
    assert repair.is_restored and repair.left == stale.left
    assert not list_stale_captures(directory)


@pytest.mark.usefixtures("unchanged")
def test_a_restart_in_the_middle(server: PostgreSQL, directory: Path) -> None:
    with looking_up(server.url()), Victim(server.url(), directory) as victim:
        guard = victim.guard
        server.stop()
        server.start()
        said = victim.read_end()
        wait_until(lambda: not is_running(guard), "the guard has ended")
    assert re.match(r"ended by (server restarted|connection lost), restored True, left \(\)", said)
    assert not journals_in(directory)


@pytest.mark.usefixtures("unchanged")
def test_a_server_that_is_down_for_long_is_put_back_when_it_is_there_again(server: PostgreSQL, directory: Path) -> None:
    with Victim(server.url(), directory) as victim:
        guard, journal = victim.guard, victim.journal
        server.stop()
        victim.kill()
        wait_until(lambda: "refused" in journal.read_text(), "the guard has tried in vain")
        assert is_running(guard) and not has_stale(directory)
        server.start()
        wait_until(lambda: not is_running(guard), "the guard has ended")
    assert not journals_in(directory)


@pytest.mark.usefixtures("unchanged")
def test_a_link_that_is_cut(server: PostgreSQL, directory: Path) -> None:
    with CutNetwork(server.port) as network:
        url = server.url().replace(f":{server.port}/", f":{network.port}/")
        with Victim(url, directory) as victim:
            guard, journal = victim.guard, victim.journal
            network.cut()
            wait_until(lambda: "waiting" in journal.read_text(), "the guard has tried in vain")
            assert setting(server) == "0"
            network.mend()
            assert "restored True, left ()" in victim.read_end()
            wait_until(lambda: not is_running(guard), "the guard has ended")
    assert not journals_in(directory)


@pytest.mark.usefixtures("unchanged")
def test_a_network_that_swallows_everything(
    server: PostgreSQL, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for ever; what the guard cannot do is said, and done over another way."""
    monkeypatch.setattr(captures, "_READ_SECONDS", 2.0)
    monkeypatch.setattr(captures, "_REVERTED_SECONDS", 2.0)
    with FrozenNetwork(server.port) as network:
        url = server.url().replace(f":{server.port}/", f":{network.port}/")
        result = capture(url, directory, CaptureWish(seconds=60.0, sample_rate=1.0), on_capturing=network.freeze)
        assert result.ended_by == "connection lost" and not result.is_restored and result.seconds < 30
        found = re.search(r"not put back yet.*process (\d+).*dbtui queries repair erp", result.left[0])
        assert found and is_running(int(found[1])) and setting(server) == "0"
        assert not has_stale(directory)  # its guard looks after it
        os.kill(int(found[1]), signal.SIGKILL)
        wait_until(lambda: has_stale(directory), "nobody looks after it")
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dbtui'")
        (repair,) = drive(repair_captures(context(), profile_of(server.url()), directory))
        assert repair.is_restored


# ---------------------------------------------------------------- one at a time


@pytest.mark.usefixtures("unchanged")
def test_two_captures_at_once(server: PostgreSQL, directory: Path, tmp_path: Path) -> None:
    with Victim(server.url(), directory):
        with pytest.raises(LockedError, match="a capture of this server runs already"):
            capture(server.url(), directory)
        with pytest.raises(
            LockedError,
            match=r"another capture runs on this server \(session \d+ of \w+ from (127\.0\.0\.1|its own host), since",
        ):
            capture(server.url("template1"), tmp_path / "of another bastion")
        assert not journals_in(tmp_path / "of another bastion")
    wait_until(lambda: not journals_in(directory), "the guard of the first has ended")


def test_a_plan_that_is_out_of_date_changes_nothing(server: PostgreSQL, directory: Path) -> None:
    profile = profile_of(server.url())
    plan = drive(plan_capture(context(), profile, WISH))
    server.execute(f"ALTER SYSTEM SET {CHANGED} = '9s'")
    before = postgresql_state(server)
    with pytest.raises(RefusedError, match=f"{CHANGED} was changed since this was planned"):
        drive(capture_queries(context(), profile, WISH, directory, plan=plan))
    assert postgresql_state(server) == before and not journals_in(directory)
