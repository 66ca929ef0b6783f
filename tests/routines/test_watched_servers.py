"""Watches on real servers: lost and found again, with all that makes their sessions harmless."""

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import pairwise

import pytest

from dbtui.demo.servers import MariaDB, PostgreSQL
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.urls import parse_database_url
from dbtui.passwords import Passwords
from dbtui.routines.context import RoutineContext
from dbtui.watches import Watch
from tests.fix_servers import wait_until
from tests.frozen_network import FrozenNetwork
from tests.unit.watched import Looks, is_bad, is_good


def profile_at(engine: EngineName, url: str, name: str = "watched") -> ConnectionProfile:
    found = parse_database_url(url)
    return ConnectionProfile(
        name=name, engine=engine, url=str(found), database=found.database, password=found.password
    )  # fmt: skip


@contextmanager
def watching(
    profile: ConnectionProfile, looks: Looks, context: RoutineContext | None = None, interval: float = 0.1
) -> Iterator[Watch]:
    watch = Watch(profile, context or RoutineContext(environ={}), looks, interval).start()
    try:
        yield watch
    finally:
        watch.stop()


def settings_of_session(server: PostgreSQL) -> list[tuple[str, ...]]:
    return server.execute("SELECT pid, application_name FROM pg_stat_activity WHERE application_name = 'dbtui'")


def test_postgresql_is_found_again_after_a_restart(new_postgresql: Callable[..., PostgreSQL]) -> None:
    server, looks = new_postgresql(), Looks()
    profile = profile_at(EngineName.POSTGRESQL, server.url("postgres"))
    with watching(profile, looks) as watch:
        watch.wants_sessions = True
        before = looks.next(lambda look: is_good(look) and look.sessions is not None)
        ((first, _),) = settings_of_session(server)
        server.stop()
        lost = looks.next(is_bad)
        assert lost.attempt == 1
        assert lost.next_try_at is not None
        assert before.last_seen_at is not None
        assert lost.last_seen_at is not None
        assert lost.last_seen_at >= before.last_seen_at
        server.start()
        again = looks.next(lambda look: is_good(look) and look.sessions is not None)
        assert again.attempt == 0
        assert again.status.started_at != before.status.started_at
        ((second, application),) = settings_of_session(server)
        assert (second != first, application) == (True, "dbtui")


def test_a_terminated_session_is_made_anew(postgresql_server: PostgreSQL) -> None:
    looks = Looks()
    url = postgresql_server.url("postgres", application_name="dbtui_lost")
    with watching(profile_at(EngineName.POSTGRESQL, url), looks):
        looks.next(is_good)
        terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dbtui_lost'"
        postgresql_server.execute(terminate)
        lost = looks.next(is_bad)
        # libpq tells either why the session ended or that the socket is gone.
        assert lost.problem_code in ("57P01", ""), lost.status.problem
        assert "the connection to the server was lost" in lost.status.problem
        assert looks.next(is_good).attempt == 0


def test_mariadb_is_found_again_after_it_was_shot(new_mariadb: Callable[..., MariaDB]) -> None:
    server, looks = new_mariadb(), Looks()
    with watching(profile_at(EngineName.MYSQL, server.url("mysql")), looks):
        looks.next(is_good)
        assert server.process is not None
        server.process.kill()
        lost = looks.next(is_bad)
        assert lost.problem_code in ("2013", "2006", "2003"), lost
        server.stop()
        server.start()
        assert looks.next(is_good).attempt == 0


def test_a_killed_session_of_mariadb_is_made_anew(mariadb_server: MariaDB) -> None:
    mariadb_server.execute("CREATE OR REPLACE USER watched@'%' IDENTIFIED BY 'x'")
    looks = Looks()
    with watching(profile_at(EngineName.MYSQL, mariadb_server.url("", "watched", "x")), looks):
        looks.next(is_good)
        mariadb_server.execute("KILL USER watched@'%'")
        looks.next(is_bad)
        assert looks.next(is_good).attempt == 0
    mariadb_server.execute("DROP USER watched@'%'")


def settings_through(profile: ConnectionProfile, question: str) -> list[str]:
    """What a watch's own session says of its settings, on its first connection and after it was lost."""
    from dbtui.adapters.registry import adapter_for
    from dbtui.watches import polled_profile

    seen: list[str] = []
    for _ in range(2):
        context = RoutineContext(environ={})
        with context.open_target(polled_profile(profile)) as target:
            adapter_for(profile.engine).collect_status(target)
            (row,) = target.rows(question)  # type: ignore[attr-defined]
            seen.append("|".join(str(value) for value in (row.values() if isinstance(row, dict) else row)))
    return seen


def test_each_connection_is_read_only_limited_and_named(
    postgresql_server: PostgreSQL, mariadb_server: MariaDB
) -> None:  # fmt: skip
    postgresql = profile_at(EngineName.POSTGRESQL, postgresql_server.url("postgres"))
    names = ("default_transaction_read_only", "transaction_read_only", "statement_timeout", "application_name")
    question = "SELECT " + ", ".join(f"current_setting('{name}') AS {name}" for name in names)
    assert settings_through(postgresql, question) == ["on|on|5s|dbtui"] * 2
    mariadb = profile_at(EngineName.MYSQL, mariadb_server.url("mysql"))
    question = "SELECT @@session.tx_read_only AS r, @@session.max_statement_time AS t"
    assert settings_through(mariadb, question) == ["1|5.0"] * 2


def test_the_url_s_own_limits_win(postgresql_server: PostgreSQL) -> None:
    url = postgresql_server.url("postgres", options="-cstatement_timeout=1234")
    profile = profile_at(EngineName.POSTGRESQL, url)
    question = "SELECT current_setting('statement_timeout') AS t"
    assert settings_through(profile, question) == ["1234ms"] * 2


# ---------------------------------------------------------------- black holes


@contextmanager
def black_hole() -> Iterator[int]:
    """A port where somebody listens and nobody ever answers."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=64)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("engine", [EngineName.POSTGRESQL, EngineName.MYSQL])
def test_a_port_that_never_answers_is_given_up_in_time(engine: EngineName) -> None:
    looks = Looks()
    with black_hole() as port:
        began = time.monotonic()
        with watching(profile_at(engine, f"{engine.value}://u:p@127.0.0.1:{port}/d"), looks) as watch:
            look = looks.next()
            assert time.monotonic() - began < 8
            assert "did not answer in time" in look.status.problem
            before = time.monotonic()
            watch.stop()
            assert time.monotonic() - before < 0.2
            wait_until(lambda: not watch.is_running)


@pytest.mark.parametrize("engine", [EngineName.POSTGRESQL, EngineName.MYSQL])
def test_a_network_that_carries_nothing_any_more_is_noticed(
    engine: EngineName, postgresql_server: PostgreSQL, mariadb_server: MariaDB, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbtui.watches._LOOKING_SECONDS", 1.0)
    server = postgresql_server if engine is EngineName.POSTGRESQL else mariadb_server
    looks = Looks()
    with FrozenNetwork(server.port) as network:
        url = server.url("postgres" if engine is EngineName.POSTGRESQL else "mysql")
        url = url.replace(f":{server.port}/", f":{network.port}/")
        with watching(profile_at(engine, url), looks):
            looks.next(is_good)
            network.freeze()
            assert "did not answer in time" in looks.next(is_bad).status.problem


def test_ninety_five_real_targets_do_not_wait_for_five_black_holes(
    new_postgresql: Callable[..., PostgreSQL],
) -> None:
    server, looks = new_postgresql(config=["max_connections = 150"]), Looks()
    good = profile_at(EngineName.POSTGRESQL, server.url("postgres"))
    with black_hole() as port:
        silent = profile_at(EngineName.POSTGRESQL, f"postgresql://u:p@127.0.0.1:{port}/d")
        # An address of RFC 5737, which is routed to nowhere or refused at once.
        nowhere = profile_at(EngineName.POSTGRESQL, "postgresql://u:p@192.0.2.1:5432/d")
        profiles = [replace(good, name=f"db{number}") for number in range(95)]
        profiles += [replace(silent, name=f"silent{number}") for number in range(3)]
        profiles += [replace(nowhere, name=f"nowhere{number}") for number in range(2)]
        context = RoutineContext(environ={})
        watches = [Watch(profile, context, looks, 1.0).start() for profile in profiles]
        times: dict[str, list[float]] = {profile.name: [] for profile in profiles[:95]}
        while min(len(each) for each in times.values()) < 5:
            look = looks.next(is_good)
            times[look.profile].append(time.monotonic())
        before = time.monotonic()
        for watch in watches:
            watch.stop()
        assert time.monotonic() - before < 1
    gaps = sorted(after - before for each in times.values() for before, after in pairwise(each[1:]))
    assert gaps[len(gaps) // 2] < 2.0, gaps[len(gaps) // 2]
    assert gaps[-1] < 3.0, gaps[-1]


# ---------------------------------------------------------------- passwords


def test_a_password_command_runs_once_for_each_connection(
    postgresql_server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("command")
    command = folder / "vault"
    command.write_text(f"#!/bin/sh\necho ran >>{folder}/runs\nprintf %s {postgresql_server.password}\n")
    command.chmod(0o700)
    url = postgresql_server.url("postgres", application_name="dbtui_once")
    profile = replace(
        profile_at(EngineName.POSTGRESQL, url), password=None, password_command=(str(command),)
    )  # fmt: skip
    passwords, looks = Passwords({}), Looks()
    context = RoutineContext(password_of=passwords.find, forget_password=passwords.forget, environ={})

    def runs() -> int:
        return len((folder / "runs").read_text().splitlines())

    with watching(profile, looks, context):
        for _ in range(5):
            looks.next(is_good)
        assert runs() == 1
        terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dbtui_once'"
        postgresql_server.execute(terminate)
        looks.next(is_bad)
        looks.next(is_good)
        looks.next(is_good)
        assert runs() == 2


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("exit 3", "failed with exit code 3"),
        ("read -r answer </dev/tty || exit 4; echo $answer", "failed with exit code 4"),
        ("read -r answer || exit 5; echo $answer", "failed with exit code 5"),
        (":", "printed nothing"),
    ],
)
def test_a_password_command_that_fails_or_prompts_is_a_problem(
    script: str, said: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    command = tmp_path_factory.mktemp("command") / "vault"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o700)
    profile = profile_at(EngineName.POSTGRESQL, "postgresql://u@127.0.0.1:1/d")
    profile = replace(profile, password_command=(str(command),))
    passwords, looks = Passwords({}), Looks()
    with watching(profile, looks, RoutineContext(password_of=passwords.find, environ={})):
        look = looks.next()
        assert said in look.status.problem
        assert look.next_try_at is not None


def test_a_file_is_watched_without_being_held(tmp_path_factory: pytest.TempPathFactory) -> None:
    import sqlite3

    path = tmp_path_factory.mktemp("file") / "shop.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE TABLE t (i)")
    looks = Looks()
    with watching(profile_at(EngineName.SQLITE, f"sqlite:///{path}"), looks, interval=0.05):
        looks.next(is_good)
        other = path.with_name("other.db")
        with closing(sqlite3.connect(other)) as database:
            database.execute("CREATE TABLE t (i)")
            database.execute("CREATE TABLE u (i)")
        other.replace(path)
        assert looks.next(lambda look: look.status.tables == 2)
        path.unlink()
        assert "shop.db" in looks.next(is_bad).status.problem
