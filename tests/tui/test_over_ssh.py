"""The whole way: a terminal, ssh, a real sshd, dbtui there, a server under load, a chain of locks, and the cable."""

import getpass
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg2
import pytest

from dbtui.demo.servers import PostgreSQL
from tests.fix_servers import unique_name
from tests.fix_sshd import Sshd
from tests.tui.fix_pty import ROOT, Terminal

ROWS = 4


@pytest.fixture
def database(postgresql_server: PostgreSQL) -> Iterator[str]:
    """A database with pgbench's tables and one whose rows are fought for."""
    name = unique_name("watched")
    postgresql_server.execute(f'CREATE DATABASE "{name}"')
    subprocess.run(
        [postgresql_server.binaries / "pgbench", "-i", "-q", "-s", "1", postgresql_server.url(name)],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    postgresql_server.execute(
        f"CREATE TABLE prize (place int PRIMARY KEY, owner text); INSERT INTO prize SELECT generate_series(1, {ROWS})",
        database=name,
    )
    yield name
    postgresql_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@contextmanager
def under_load(server: PostgreSQL, database: str) -> Iterator[None]:
    """pgbench with two clients, slowly."""
    words = [str(server.binaries / "pgbench"), "-n", "-c", "2", "-R", "20", "-T", "600", server.url(database)]
    running = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        running.terminate()
        running.wait()


class Chain:
    """Four sessions, each but the first waiting for the one before."""

    def __init__(self, server: PostgreSQL, database: str) -> None:
        self._server = server
        self._connections = [
            psycopg2.connect(server.url(database), application_name=f"link {number}") for number in range(ROWS)
        ]
        self.pids = [connection.info.backend_pid for connection in self._connections]
        self._threads: list[threading.Thread] = []
        for number in range(ROWS):
            self._take(number, number)
        for number in range(1, ROWS):
            thread = threading.Thread(target=self._want, args=(number, number - 1), daemon=True)
            thread.start()
            self._threads.append(thread)
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s) AND wait_event_type = 'Lock'"
        while server.execute(waiting, [self.pids])[0][0] < ROWS - 1:
            pass

    def _take(self, number: int, place: int) -> None:
        with self._connections[number].cursor() as cursor:
            cursor.execute("UPDATE prize SET owner = %s WHERE place = %s", (f"link {number}", place + 1))

    def _want(self, number: int, place: int) -> None:
        try:
            self._take(number, place)
            self._connections[number].commit()
        except psycopg2.Error:
            return

    def is_alive(self, number: int) -> bool:
        """Whether the server still has this session."""
        asked = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s"
        return bool(self._server.execute(asked, [self.pids[number]])[0][0])

    def close(self) -> None:
        """End all of it."""
        self._server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = ANY(%s)", [self.pids])
        for thread in self._threads:
            thread.join()
        for connection in self._connections:
            connection.close()


def connect(sshd: Sshd, server: PostgreSQL, database: str, home: Path) -> Terminal:
    """Open dbtui over ssh; the password is in a file over there."""
    (home / "config.toml").write_text(f'[profiles.bench]\nurl = "{server.url(database)}"\n')
    (home / "config.toml").chmod(0o600)
    there = {
        "DBTUI_CONFIG": str(home / "config.toml"),
        "XDG_STATE_HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
    }
    words = ["env", *(f"{name}={value}" for name, value in there.items()), sys.executable, "-m", "dbtui"]
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "xterm-256color", "USER": getpass.getuser()}
    return Terminal(sshd.client(*words, terminal=True), environ, columns=100, rows=30)


def programs(home: Path) -> list[psutil.Process]:
    """Every dbtui that was started with this configuration."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DBTUI_CONFIG") == str(home / "config.toml") and "-m" in process.cmdline():
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_a_chain_of_locks_is_found_and_ended_over_ssh_and_a_dropped_link_leaves_nothing(
    sshd: Sshd, postgresql_server: PostgreSQL, database: str, tmp_path: Path
) -> None:
    with under_load(postgresql_server, database):
        terminal = connect(sshd, postgresql_server, database, tmp_path)
        terminal.wait_to_see("PG 15")
        chain = Chain(postgresql_server, database)
        try:
            terminal.press("\r")
            terminal.wait_to_see("blocks 3")
            assert "every 2 s" in terminal.text  # which is what ssh gets
            terminal.press("t")
            terminal.wait_to_see("blocking tree")
            terminal.wait_to_see(f"{chain.pids[3]}")
            terminal.press("o")
            terminal.press("K")
            terminal.wait_to_see(f"Terminate session {chain.pids[0]} ")
            terminal.wait_to_see("pg_terminate_backend")  # nothing is confirmed before its plan is read
            terminal.press("y")
            terminal.wait_to_see(f"terminated {chain.pids[0]}")
            terminal.wait_for(lambda: not chain.is_alive(0))
            assert [chain.is_alive(number) for number in range(1, ROWS)] == [True] * (ROWS - 1)
            (program,) = programs(tmp_path)
            psutil.Process(terminal.process.pid).kill()
            _gone, left = psutil.wait_procs([program], timeout=5)
            assert not left, "dbtui survived the end of its ssh"
        finally:
            chain.close()
            terminal.process.closed = False
            terminal.process.kill(signal.SIGKILL)
            terminal.process.wait()
            terminal.process.close()
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND application_name = 'dbtui'"
    while postgresql_server.execute(asked, [database])[0][0]:
        pass
