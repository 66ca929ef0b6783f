"""Processes that fork, as prefork servers do: each child tells of itself, under its own number, from nothing."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from dbtui.demo.servers.base import choose_port
from dbtui.instrument import create_engine, publish_pool
from dbtui.instrument.publisher import Publisher
from tests.instrument.reading import (
    ROOT,
    ask,
    ask_pool,
    connected,
    run_in_child,
    run_threads,
    wait_for_child,
    wait_until,
)

# From Python 3.12 on, forking with threads earns a warning; prefork servers do it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

# A prefork server: it loads the application, then forks its workers, and starts new ones for those that die.
SERVER = """
import os, signal, sys, threading, time
from sqlalchemy import text
from dbtui.demo.servers.base import choose_port
from dbtui.instrument import create_engine, publish_pool

url, directory, workers = os.environ["DATABASE_URL"], sys.argv[1], int(sys.argv[2])
engine = create_engine(url, pool_size=2, max_overflow=2, service="prefork")
publisher = publish_pool(engine, "prefork", directory=directory, http_port=0)
with engine.connect() as connection:
    connection.execute(text("SELECT 1"))

def work():
    for _ in range(25):
        with engine.connect() as connection:
            connection.execute(text("SELECT 1"))

def serve():
    engine.dispose(close=False)
    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    signal.pause()

def start():
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit())
        serve()
    return pid

children = {start() for _ in range(workers)}

def stop(*_):
    for pid in children:
        os.kill(pid, signal.SIGTERM)
    for pid in children:
        os.waitpid(pid, 0)
    sys.exit()

signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
while True:
    pid, _ = os.waitpid(-1, 0)
    children.remove(pid)
    children.add(start())
"""


@pytest.fixture
def engine(postgresql_database: str) -> Iterator[Engine]:
    """A pool of two on a real server."""
    made = create_engine(postgresql_database, pool_size=2, max_overflow=0)
    yield made
    made.dispose()


@pytest.fixture
def publisher(engine: Engine, short_directory: Path) -> Iterator[Publisher]:
    """It publishes `engine`."""
    made = publish_pool(engine, "erp-api", directory=short_directory)
    yield made
    made.close()


def use(engine: Engine) -> None:
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def test_a_child_tells_of_itself_and_leaves_its_parent_alone(publisher: Publisher, engine: Engine) -> None:
    use(engine)
    ours = publisher.path

    def in_child() -> None:
        assert publisher.path.name == f"erp-api.{os.getpid()}.sock"
        wait_until(publisher.path.exists)
        first = ask(publisher.path)
        assert first["pid"] == os.getpid()
        assert first["pools"][0]["wait"]["count"] == 0
        engine.dispose(close=False)
        run_threads(6, lambda _: use(engine))
        pool = ask_pool(publisher.path)
        assert pool["wait"]["count"] == pool["hold"]["count"] == 6
        engine.dispose()
        after = ask_pool(publisher.path)
        assert after["closed"] == after["create"]["count"] == pool["checked_in"] > 0
        assert ask(ours)["pid"] == os.getppid()
        publisher.close()
        assert not publisher.path.exists()
        assert ours.exists()

    run_in_child(in_child)
    assert ask(ours)["pid"] == os.getpid()
    assert ask_pool(ours)["wait"]["count"] == 1
    assert {path.name for path in publisher.directory.iterdir()} == {ours.name}


def test_a_fork_while_readers_are_connected_and_threads_are_waiting(publisher: Publisher, engine: Engine) -> None:
    with connected(publisher.path) as client, client.makefile("r") as lines, engine.connect(), engine.connect():
        client.sendall(b"pools\n")
        assert lines.readline()

        def in_child() -> None:
            wait_until(publisher.path.exists)
            pool = ask_pool(publisher.path)
            assert (pool["pending"], pool["wait"]["count"]) == (0, 0)

        run_in_child(in_child)
        client.sendall(b"pools\n")
        assert '"checked_out":2' in lines.readline()


def test_forking_again_and_again_from_many_threads(publisher: Publisher, engine: Engine) -> None:
    use(engine)

    def fork_once(_: int) -> None:
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(BaseException):
                wait_until(publisher.path.exists)
                os._exit(0 if ask(publisher.path)["pid"] == os.getpid() else 1)
            os._exit(2)
        wait_for_child(pid)

    for _ in range(3):
        run_threads(4, fork_once)
    assert ask(publisher.path)["pid"] == os.getpid()


def test_a_child_that_becomes_another_program_leaves_no_socket(publisher: Publisher) -> None:
    subprocess.run(["/bin/true"], check=True, preexec_fn=os.getpid)
    pid = os.fork()
    if pid == 0:
        os.execv("/bin/true", ["true"])
    os.waitpid(pid, 0)
    assert [path.name for path in publisher.directory.iterdir()] == [publisher.path.name]


def test_a_closed_publisher_stays_closed_in_a_child(publisher: Publisher, engine: Engine) -> None:
    publisher.close()

    def in_child() -> None:
        time.sleep(0.3)  # longer than a child waits before it publishes
        assert not list(publisher.directory.iterdir())

    run_in_child(in_child)


def test_a_prefork_server_with_threads(postgresql_database: str, short_directory: Path) -> None:
    environ = {**os.environ, "DATABASE_URL": postgresql_database}
    words = [sys.executable, "-c", SERVER, str(short_directory), "3"]
    with subprocess.Popen(words, cwd=ROOT, env=environ, stdout=subprocess.PIPE) as server:
        assert server.stdout
        assert server.stdout.readline() == b"ready\n"

        def told() -> dict[int, int]:
            waits = {}
            for path in short_directory.glob("prefork.*.sock"):
                with contextlib.suppress(OSError, ValueError):
                    waits[int(path.name.split(".")[1])] = ask_pool(path)["wait"]["count"]
            return waits

        wait_until(lambda: sorted(told().values()) == [1, 200, 200, 200])
        workers = [pid for pid in told() if pid != server.pid]
        assert told()[server.pid] == 1
        os.kill(workers[0], signal.SIGKILL)
        wait_until(lambda: workers[0] not in told() and sorted(told().values()) == [1, 200, 200, 200])
        wait_until(lambda: not (short_directory / f"prefork.{workers[0]}.sock").exists())
        server.terminate()
        assert server.wait(30) == 0
    assert not list(short_directory.glob("*.sock"))


def test_by_http_a_child_has_a_port_of_its_own(engine: Engine, short_directory: Path) -> None:
    publisher = publish_pool(engine, "web", directory=short_directory, http_port=0)
    port = choose_port()
    chosen = publish_pool(create_engine(engine.url), "web2", directory=short_directory, http_port=port)
    assert chosen.http_port == port

    def in_child() -> None:
        wait_until(lambda: chosen.path.exists() and publisher.path.exists())
        assert (chosen.http_port or 0) > port
        assert publisher.http_port not in (None, 0)
        with urllib.request.urlopen(f"http://127.0.0.1:{chosen.http_port}/metrics", timeout=10) as answer:
            assert f'process_pid="{os.getpid()}"' in answer.read().decode()

    run_in_child(in_child)
    publisher.close()
    chosen.close()
