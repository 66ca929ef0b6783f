"""Watches: nobody waits for another's black hole, failures are tried again later and later, stopping never waits."""

import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from dbtui import watches
from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.deadlines import Deadlines
from dbtui.analysis.connections import describe_backoff
from dbtui.errors import AuthenticationError, ConfigError, ConnectError, ServerError
from dbtui.model.connections import ConnectionProfile, EngineName, Secret
from dbtui.watches import Watch, is_lost, polled_profile
from tests.fix_servers import wait_until
from tests.unit.watched import (
    Looks,
    MemoryContext,
    MemoryServer,
    is_bad,
    is_good,
    never_answer,
    profile_named,
)

NewWatch = Callable[..., Watch]


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def new_watch(server: MemoryServer, looks: Looks) -> Iterator[NewWatch]:
    """Starts a watch that is stopped after the test."""
    made: list[Watch] = []

    def start(profile: ConnectionProfile | None = None, **words: object) -> Watch:
        settings = {"interval_seconds": 0.01, "chance": lambda: 0.0} | words
        context = settings.pop("context", MemoryContext(servers={"": server}))
        watch = Watch(profile or profile_named(), context, looks, **settings)  # type: ignore[arg-type]
        made.append(watch.start())
        return watch

    yield start
    for watch in made:
        watch.stop()


# ---------------------------------------------------------------- looking


def test_one_connection_serves_every_look(new_watch: NewWatch, server: MemoryServer, looks: Looks) -> None:
    new_watch()
    seen = [looks.next() for _ in range(5)]
    assert all(is_good(look) and look.attempt == 0 and look.next_try_at is None for look in seen)
    assert all(look.last_seen_at is not None and look.sessions is None for look in seen)
    assert (server.opened, server.closed, set(server.asked)) == (1, 0, {"status"})


def test_its_thread_is_named_and_never_keeps_the_program_alive(new_watch: NewWatch, looks: Looks) -> None:
    new_watch(profile_named("crm"))
    looks.next()
    (thread,) = [each for each in threading.enumerate() if each.name == "watch crm"]
    assert thread.daemon


def test_it_connects_read_only_and_with_limits(new_watch: NewWatch, server: MemoryServer, looks: Looks) -> None:
    new_watch()
    looks.next()
    (profile,) = server.profiles
    assert (profile.read_only, profile.connect_seconds, profile.statement_seconds) == (True, 3, 5)
    assert polled_profile(profile_named()) == profile


def test_a_file_is_opened_for_each_look(new_watch: NewWatch, server: MemoryServer, looks: Looks) -> None:
    new_watch(profile_named(engine=EngineName.SQLITE))
    for _ in range(3):
        assert is_good(looks.next())
    assert server.opened >= 3
    assert server.opened - server.closed <= 1


def test_the_interval_counts_from_the_end_of_a_look(looks: Looks) -> None:
    ended: list[float] = []
    began: list[float] = []

    def slow(_cancellation: Cancellation) -> None:
        began.append(time.monotonic())
        time.sleep(0.15)
        ended.append(time.monotonic())

    watch = Watch(profile_named(), MemoryContext(servers={"": MemoryServer(on_status=slow)}), looks, 0.1).start()
    looks.next()
    looks.next()
    watch.stop()
    assert began[1] - ended[0] >= 0.1


def test_sessions_are_collected_when_they_are_wanted(new_watch: NewWatch, looks: Looks, server: MemoryServer) -> None:
    watch = new_watch(interval_seconds=3600.0)
    assert looks.next().sessions is None
    watch.wants_sessions = True
    sessions = looks.next().sessions
    assert sessions is not None
    assert [each.session_id for each in sessions.sessions] == [1]
    watch.wants_sessions = False
    watch.wake()
    assert looks.next().sessions is None


def test_an_engine_without_sessions_says_so(new_watch: NewWatch, looks: Looks, server: MemoryServer) -> None:
    server.has_sessions = False
    watch = new_watch(profile_named(engine=EngineName.SQLITE), interval_seconds=3600.0)
    looks.next()
    watch.wants_sessions = True
    sessions = looks.next().sessions
    assert sessions is not None
    assert "SQLite" in sessions.unsupported


def test_waking_pausing_and_another_interval(new_watch: NewWatch, looks: Looks) -> None:
    watch = new_watch(interval_seconds=3600.0)
    looks.next()
    watch.wake()
    looks.next()
    watch.set_interval(0.01)
    looks.next()
    looks.next()
    watch.pause()
    assert watch.is_paused
    while looks.count:
        looks.next()
    watch.wake()
    wait_until(lambda: looks.count > 0)
    watch.resume()
    looks.next()
    looks.next()
    looks.next()


def test_a_paused_watch_does_not_look(new_watch: NewWatch, looks: Looks, server: MemoryServer) -> None:
    watch = new_watch(interval_seconds=0.2)
    looks.next()
    watch.pause()
    before = len(server.asked)
    time.sleep(0.5)
    assert len(server.asked) == before


# ---------------------------------------------------------------- failing


def test_an_unreachable_server_is_tried_later_and_later(
    new_watch: NewWatch, looks: Looks, server: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = describe_backoff
    monkeypatch.setattr(watches, "describe_backoff", lambda *words, **more: real(*words, **more) / 1000)

    def refuse(_cancellation: Cancellation) -> None:
        raise ConnectError("nothing listens at db1:5432", "start it", code="2003")

    server.on_open = refuse
    new_watch()
    seen = [looks.next() for _ in range(7)]
    assert [look.attempt for look in seen] == [1, 2, 3, 4, 5, 6, 7]
    waits = [round((look.next_try_at - look.status.taken_at).total_seconds() * 1000) for look in seen]  # type: ignore[operator]
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert {look.status.problem for look in seen} == {"nothing listens at db1:5432; start it"}
    assert {look.problem_code for look in seen} == {"2003"}
    assert all(look.last_seen_at is None for look in seen)
    server.on_open = lambda _cancellation: None
    assert looks.next(is_good).attempt == 0


def test_a_lost_connection_is_closed_and_made_anew(new_watch: NewWatch, looks: Looks, server: MemoryServer) -> None:
    watch = new_watch()
    good = looks.next(is_good)

    def lose(_cancellation: Cancellation) -> None:
        server.on_status = lambda _cancellation: None
        raise ConnectError("the connection to the server was lost", code="57P01")

    server.on_status = lose
    lost = looks.next(is_bad)
    assert (lost.problem_code, lost.attempt, server.closed) == ("57P01", 1, 1)
    assert lost.last_seen_at is not None
    assert good.last_seen_at is not None
    assert lost.last_seen_at >= good.last_seen_at
    watch.wake()
    again = looks.next(is_good)
    assert (again.attempt, server.opened) == (0, 2)


@pytest.mark.parametrize("code", ["08006", "57P01", "57P05", "53300", "2013", "1053", "1927"])
def test_a_statement_may_say_that_the_connection_is_lost(
    code: str, new_watch: NewWatch, looks: Looks, server: MemoryServer
) -> None:  # fmt: skip
    def lose(_cancellation: Cancellation) -> None:
        raise ServerError("terminating connection", code=code)

    server.on_status = lose
    new_watch()
    assert looks.next().problem_code == code
    assert server.closed == 1


@pytest.mark.parametrize("code", ["", "42501", "57014", "1045", "1227", "08", "42P01"])
def test_other_codes_do_not(code: str) -> None:
    assert not is_lost(code)


def test_a_refused_question_is_a_gap_and_asked_once(new_watch: NewWatch, looks: Looks, server: MemoryServer) -> None:
    def refuse(_cancellation: Cancellation) -> None:
        raise ServerError("permission denied for view", "GRANT pg_monitor TO dba", code="42501")

    server.on_sessions = refuse
    watch = new_watch()
    watch.wants_sessions = True
    for _ in range(5):
        sessions = looks.next(lambda look: look.sessions is not None).sessions
        assert sessions is not None
        assert "GRANT pg_monitor TO dba" in sessions.gaps[0]
    assert (server.asked.count("sessions"), server.opened) == (1, 1)
    server.on_sessions = lambda _cancellation: None
    watch.wake()
    look = looks.next(lambda look: look.sessions is not None and not look.sessions.gaps)
    assert look.sessions is not None
    assert look.sessions.sessions


def test_a_refused_question_is_asked_again_on_a_new_connection(
    new_watch: NewWatch, looks: Looks, server: MemoryServer
) -> None:  # fmt: skip
    def refuse(_cancellation: Cancellation) -> None:
        raise ServerError("permission denied", code="1227")

    server.on_status = refuse
    watch = new_watch()
    for _ in range(3):
        assert "permission denied" in looks.next().status.gaps[0]
    assert (server.asked.count("status"), server.closed) == (1, 0)

    def lose(_cancellation: Cancellation) -> None:
        server.on_status = lambda _cancellation: None
        raise ConnectError("lost")

    server.on_status = lose
    watch.wake()
    looks.next(is_bad)
    watch.wake()
    assert looks.next(is_good).status.gaps == ()


def test_a_timeout_is_asked_again_at_the_next_look(new_watch: NewWatch, looks: Looks, server: MemoryServer) -> None:
    def time_out(_cancellation: Cancellation) -> None:
        raise ServerError("canceling statement due to statement timeout", code="57014")

    server.on_status = time_out
    new_watch()
    for _ in range(3):
        assert "statement timeout" in looks.next().status.gaps[0]
    assert server.asked.count("status") >= 3
    assert server.opened == 1


def test_a_refused_login_is_not_tried_often(new_watch: NewWatch, looks: Looks, server: MemoryServer) -> None:
    def refuse(_cancellation: Cancellation) -> None:
        raise AuthenticationError("db1 refused the password", code="28P01")

    server.on_open = refuse
    watch = new_watch()
    look = looks.next()
    assert look.is_login_refused
    assert look.next_try_at is not None
    assert (look.next_try_at - look.status.taken_at).total_seconds() == 30
    server.on_open = lambda _cancellation: None
    watch.wake()
    assert is_good(looks.next())


def test_whatever_a_look_meets_the_watch_goes_on(new_watch: NewWatch, looks: Looks, server: MemoryServer) -> None:
    def stumble(_cancellation: Cancellation) -> None:
        raise KeyError("postgresql://dba:secret@db1/erp")

    server.on_status = stumble
    watch = new_watch()
    look = looks.next()
    assert "unexpected KeyError" in look.status.problem
    assert "secret" not in look.status.problem
    server.on_status = lambda _cancellation: None
    watch.wake()
    assert is_good(looks.next(is_good))


# ---------------------------------------------------------------- passwords


def test_a_password_is_looked_up_once_for_each_connection(
    new_watch: NewWatch, looks: Looks, server: MemoryServer
) -> None:  # fmt: skip
    asked: list[str] = []

    def password_of(profile: ConnectionProfile) -> Secret:
        asked.append("asked")
        return Secret("s3cret")

    context = MemoryContext(
        servers={"": server}, password_of=password_of, forget_password=lambda _profile: asked.append("forgotten")
    )
    watch = new_watch(context=context)
    for _ in range(5):
        looks.next(is_good)
    assert asked == ["asked"]

    def lose(_cancellation: Cancellation) -> None:
        server.on_status = lambda _cancellation: None
        raise ConnectError("lost")

    server.on_status = lose
    looks.next(is_bad)
    watch.wake()
    looks.next(is_good)
    assert asked == ["asked", "forgotten", "asked"]


def test_a_password_that_cannot_be_found_is_a_problem(new_watch: NewWatch, looks: Looks, server: MemoryServer) -> None:
    def fail(profile: ConnectionProfile) -> Secret:
        raise ConfigError("profile 'erp': its password_command 'vault' failed with exit code 2", "run it by hand")

    new_watch(context=MemoryContext(servers={"": server}, password_of=fail))
    look = looks.next()
    assert "password_command 'vault' failed" in look.status.problem
    assert (look.attempt, server.opened) == (1, 0)


# ---------------------------------------------------------------- black holes


@pytest.mark.parametrize("where", ["on_open", "on_status"])
def test_stopping_interrupts_and_never_waits(
    where: str, new_watch: NewWatch, looks: Looks, server: MemoryServer
) -> None:  # fmt: skip
    entered = threading.Event()

    def block(cancellation: Cancellation) -> None:
        entered.set()
        never_answer(cancellation)

    setattr(server, where, block)
    watch = new_watch()
    assert entered.wait(10)
    began = time.monotonic()
    watch.stop()
    assert time.monotonic() - began < 0.1
    wait_until(lambda: not watch.is_running)
    assert looks.count == 0


def test_a_server_that_stops_answering_is_taken_for_lost(
    new_watch: NewWatch, looks: Looks, server: MemoryServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watches, "_LOOKING_SECONDS", 0.2)
    watch = new_watch()
    looks.next()
    server.on_status = never_answer
    look = looks.next(is_bad)
    assert "did not answer in time" in look.status.problem
    server.on_status = lambda _cancellation: None
    watch.wake()
    assert is_good(looks.next())


def test_a_hundred_targets_do_not_wait_for_five_black_holes(looks: Looks) -> None:
    servers = {f"db{number}": MemoryServer() for number in range(100)}
    for number in (0, 20, 40, 60, 80):
        servers[f"db{number}"].on_open = never_answer
    context = MemoryContext(servers=servers)
    began = time.monotonic()
    made = [Watch(profile_named(name), context, looks, 0.2).start() for name in servers]
    counts: dict[str, int] = {}
    latest = 0.0
    while len(counts) < 95 or min(counts.values()) < 5:
        look = looks.next()
        counts[look.profile] = counts.get(look.profile, 0) + 1
        delay = (datetime.now(UTC) - look.status.taken_at).total_seconds()
        latest = max(latest, delay)
    assert time.monotonic() - began < 5 * 0.2 + 3
    assert latest < 1
    before = time.monotonic()
    for watch in made:
        watch.stop()
    assert time.monotonic() - before < 1
    wait_until(lambda: not any(watch.is_running for watch in made))


# ---------------------------------------------------------------- deadlines


def test_a_deadline_stops_what_takes_too_long_and_nothing_else() -> None:
    deadlines, slow, quick, patient = Deadlines(), Cancellation(), Cancellation(), Cancellation()
    with deadlines.limiting(60, patient):
        with deadlines.limiting(0.05, quick):
            pass
        with deadlines.limiting(0.05, slow):
            assert slow.wait(10)
    assert (slow.reason, quick.requested, patient.requested) == ("no answer in time", False, False)


def test_an_earlier_deadline_overtakes_a_later_one() -> None:
    deadlines, late, early = Deadlines(), Cancellation(), Cancellation()
    with deadlines.limiting(3600, late), deadlines.limiting(0.05, early):
        assert early.wait(10)
    assert not late.requested
