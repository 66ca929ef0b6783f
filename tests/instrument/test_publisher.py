"""Publishing: who may read, what is told, what hostile readers can do, and what stays behind."""

import gc
import logging
import os
import resource
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import Engine, event, text
from sqlalchemy.pool import NullPool, StaticPool

from dbtui.errors import RefusedError, StorageError, UsageError
from dbtui.instrument import create_async_engine, create_engine, publish_pool
from dbtui.instrument.metered_pool import MeteredQueuePool
from dbtui.instrument.places import choose_directory
from dbtui.instrument.publisher import Publisher
from dbtui.model.pools import BUCKETS_SECONDS
from tests.instrument.reading import ROOT, ask, ask_metrics, ask_pool, connected, run_python, wait_until


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """A pool of two over a file."""
    made = create_engine(f"sqlite:///{tmp_path}/stock.db", pool_size=2, max_overflow=1, pool_timeout=9)
    yield made
    made.dispose()


@pytest.fixture
def publisher(engine: Engine, short_directory: Path) -> Iterator[Publisher]:
    """It publishes `engine`, by HTTP too."""
    with ExitStack() as stack:
        made = publish_pool(engine, "erp-api", directory=short_directory, http_port=0)
        stack.callback(made.close)
        yield made


# --- what is told --------------------------------------------------------------------------------------------


def test_the_document_tells_the_pool(publisher: Publisher, engine: Engine) -> None:
    before = time.time()
    with engine.connect():
        document = ask(publisher.path)
    assert (document["version"], document["service"], document["pid"]) == (1, "erp-api", os.getpid())
    assert before - 60 < document["started_at"] <= before
    assert abs(document["monotonic"] - time.monotonic()) < 30
    assert document["bounds"] == list(BUCKETS_SECONDS)
    (pool,) = document["pools"]
    assert {key: pool[key] for key in ("pool", "size", "max_overflow", "timeout", "checked_in", "checked_out")} == {
        "pool": "stock", "size": 2, "max_overflow": 1, "timeout": 9, "checked_in": 0, "checked_out": 1,
    }  # fmt: skip
    assert all(pool[key] == 0 for key in ("overflow", "pending", "oldest_pending", "timeouts", "invalidated", "closed"))
    for key, count in (("wait", 1), ("abandoned", 0), ("hold", 0), ("create", 1)):
        assert pool[key]["count"] == sum(pool[key]["counts"]) == count
        assert len(pool[key]["counts"]) == len(BUCKETS_SECONDS) + 1
        assert (pool[key]["seconds"] > 0) is bool(count)


def test_a_reader_may_ask_again_and_several_at_once(publisher: Publisher, engine: Engine) -> None:
    with connected(publisher.path) as client, client.makefile("r") as lines:
        client.sendall(b"pools\npools\nwhat\npools\r\n")
        answers = [lines.readline() for _ in range(4)]
        assert '"error": "say pools or metrics"' in answers.pop(2)
        assert len({answer.partition('"pools"')[2] for answer in answers}) == 1
        engine.connect().close()
        client.sendall(b"pools\n")
        assert '"wait":{"count":1' in lines.readline()


def test_no_secret_and_no_statement_is_told(postgresql_database: str, short_directory: Path) -> None:
    secret_url = postgresql_database.replace("postgresql://", "postgres://")
    engine = create_engine(secret_url, service="erp")
    publisher = publish_pool(engine, "erp", directory=short_directory)
    with engine.connect() as connection:
        connection.execute(text("SELECT 'a very secret statement'"))
        told = f"{ask(publisher.path)}{ask_metrics(publisher.path)}{publisher!r}"
    publisher.close()
    engine.dispose()
    assert engine.url.database
    assert engine.url.database in told
    for secret in (engine.url.password, "secret statement", f"{engine.url.username}@", f"{engine.url.username}:"):
        assert secret
        assert secret not in told


def test_where_a_pool_leads_is_told_without_login(short_directory: Path) -> None:
    urls = {
        "postgresql://u:p@db1:6432/erp?sslmode=require": "postgresql://db1:6432/erp",
        "postgresql://u@h1:1,h2:2/erp": "postgresql:///erp?host=h1:1&host=h2:2",
        "postgresql://%2Frun%2Fpg/erp": "postgresql:///erp?host=/run/pg",
        "postgresql://u:p@[::1]/erp": "postgresql://[::1]/erp",
        "mariadb://u:p@localhost/shop?unix_socket=/run/m.sock": "mysql://localhost/shop?unix_socket=/run/m.sock",
    }
    engines = [create_engine(url) for url in urls]
    for each in engines:
        publisher = publish_pool(each, "erp", directory=short_directory)
    pools = ask(publisher.path)["pools"]
    publisher.close()
    assert [pool["url"] for pool in pools] == list(urls.values())
    assert [pool["pool"] for pool in pools] == ["erp", "erp-2", "erp-3", "erp-4", "shop"]


def test_two_engines_are_two_pools_of_one_socket(publisher: Publisher, engine: Engine, tmp_path: Path) -> None:
    other = create_engine(f"sqlite:///{tmp_path}/other.db", pool_logging_name="reports")
    same = publish_pool(other, "erp-api", directory=publisher.directory)
    publish_pool(other, "erp-api", directory=publisher.directory)
    assert same is publisher
    other.connect().close()
    told = {pool["pool"]: pool["wait"]["count"] for pool in ask(publisher.path)["pools"]}
    assert told == {"stock": 0, "reports": 1}
    other.dispose()
    del other
    gc.collect()
    wait_until(lambda: len(ask(publisher.path)["pools"]) == 1)


def test_http_is_chosen_by_the_first_pool(publisher: Publisher, engine: Engine) -> None:
    assert publish_pool(engine, "erp-api", directory=publisher.directory, http_port=publisher.http_port) is publisher
    with pytest.raises(UsageError, match="without HTTP on port 1"):
        publish_pool(engine, "erp-api", directory=publisher.directory, http_port=1)


def test_the_counts_go_on_after_dispose(publisher: Publisher, engine: Engine) -> None:
    engine.connect().close()
    engine.dispose()
    engine.connect().close()
    pool = ask_pool(publisher.path)
    assert (pool["wait"]["count"], pool["closed"], pool["checked_in"]) == (2, 1, 1)


# --- engines made otherwise ----------------------------------------------------------------------------------


def test_a_plain_engine_gets_a_pool_that_keeps_count(tmp_path: Path, short_directory: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    engine = sqlalchemy.create_engine(
        url, pool_size=3, max_overflow=7, pool_timeout=4, pool_recycle=99, echo_pool=False
    )
    connects: list[object] = []
    event.listen(engine, "connect", lambda connection, _: connects.append(connection))
    old = engine.connect()
    engine.connect().close()
    before = engine.pool
    publisher = publish_pool(engine, "plain", directory=short_directory)
    assert isinstance(engine.pool, MeteredQueuePool)
    assert type(before) is sqlalchemy.QueuePool
    assert before.checkedin() == 0
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT 1").scalar_one() == 1
    assert old.exec_driver_sql("SELECT 2").scalar_one() == 2
    old.close()
    pool = ask_pool(publisher.path)
    assert (pool["size"], pool["max_overflow"], pool["timeout"], pool["wait"]["count"]) == (3, 7, 4, 1)
    assert len(connects) == 3
    assert engine.pool.recreate()._recycle == 99
    publisher.close()
    engine.dispose()
    before.dispose()


def test_an_engine_with_options_of_its_own_shares_the_pool(tmp_path: Path, short_directory: Path) -> None:
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/a.db")
    publisher = publish_pool(engine.execution_options(isolation_level="AUTOCOMMIT"), "erp", directory=short_directory)
    engine.connect().close()
    assert ask_pool(publisher.path)["wait"]["count"] == 1
    publisher.close()
    engine.dispose()


@pytest.mark.parametrize("kind", [NullPool, StaticPool, None])
def test_a_pool_without_a_queue_is_refused(kind: type[sqlalchemy.Pool] | None, short_directory: Path) -> None:
    engine = sqlalchemy.create_engine("sqlite://", poolclass=kind)
    with pytest.raises(UsageError, match=r"has a \w+Pool, which has no size and no queue"):
        publish_pool(engine, "erp", directory=short_directory)
    assert not list(short_directory.iterdir())


async def test_an_asyncio_engine_is_published(tmp_path: Path, short_directory: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/a.db")
    plain = sqlalchemy.ext.asyncio.create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/b.db")
    used = sqlalchemy.ext.asyncio.create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/c.db")
    async with used.connect():
        pass
    publisher = publish_pool(engine, "erp", directory=short_directory)
    publish_pool(plain, "erp", directory=short_directory)
    with pytest.raises(UsageError, match="before the first query"):
        publish_pool(used, "erp", directory=short_directory)
    async with engine.connect() as one, plain.connect() as other:
        await one.execute(text("SELECT 1"))
        await other.execute(text("SELECT 1"))
        told = {pool["pool"]: pool["checked_out"] for pool in ask(publisher.path)["pools"]}
    assert told == {"a": 1, "b": 1}
    publisher.close()
    for each in (engine, plain, used):
        await each.dispose()


# --- who may read --------------------------------------------------------------------------------------------


def test_the_socket_is_for_this_user_alone(publisher: Publisher) -> None:
    assert stat.S_IMODE(publisher.path.stat().st_mode) == 0o600
    assert stat.S_ISSOCK(publisher.path.stat().st_mode)
    assert publisher.path.name == f"erp-api.{os.getpid()}.sock"
    assert [each.name for each in publisher.directory.iterdir()] == [publisher.path.name]


def test_the_directory_is_made_for_this_user_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Path(os.environ["XDG_RUNTIME_DIR"])
    (runtime / "dbtui").mkdir(mode=0o755)
    publisher = publish_pool(engine, "erp-api")
    assert publisher.path.parent == runtime / "dbtui"
    assert stat.S_IMODE(publisher.path.parent.stat().st_mode) == 0o700
    publisher.close()
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert choose_directory(os.environ) == Path(f"/tmp/dbtui-{os.geteuid()}")
    assert choose_directory({"XDG_RUNTIME_DIR": "/nowhere"}) == Path(f"/tmp/dbtui-{os.geteuid()}")


def test_a_directory_open_to_others_is_refused(engine: Engine, short_directory: Path) -> None:
    short_directory.chmod(0o755)
    with pytest.raises(RefusedError, match="chmod 700"):
        publish_pool(engine, "erp-api", directory=short_directory)
    link = short_directory / "link"
    link.symlink_to(Path.home())
    with pytest.raises(RefusedError, match="not a directory of this user"):
        publish_pool(engine, "erp-api", directory=link)


def test_another_user_is_shown_the_door(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    code = f"""
import os, socket
if os.geteuid() == 0:
    os.setuid(65534)
client = socket.socket(socket.AF_UNIX)
client.settimeout(10)
client.connect({str(publisher.path)!r})
print(client.recv(1))
client.close()
"""
    publisher.path.chmod(0o666)
    publisher.directory.chmod(0o711)
    if os.geteuid():  # who is not root cannot become another: then it is we who are
        monkeypatch.setattr("dbtui.instrument.places.os.geteuid", lambda: 65534)
    assert run_python(code) == "b''\n"
    monkeypatch.undo()
    assert ask(publisher.path)["service"] == "erp-api"


@pytest.mark.parametrize("service", ["", "a/b", "../x", "-x", "a b", "x" * 65, "é"])
def test_a_name_that_cannot_be_a_files_is_refused(engine: Engine, short_directory: Path, service: str) -> None:
    with pytest.raises(UsageError, match="cannot be the name of a service"):
        publish_pool(engine, service, directory=short_directory)


def test_what_cannot_be_bound_is_told_at_once(engine: Engine, short_directory: Path) -> None:
    with pytest.raises(StorageError, match="too long for a unix socket"):
        publish_pool(engine, "erp-api", directory=short_directory / ("x" * 90))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(StorageError, match=r"127\.0\.0\.1:\d+"):
            publish_pool(engine, "erp-api", directory=short_directory, http_port=taken.getsockname()[1])
    assert not list(short_directory.glob("*.sock"))
    (short_directory / "file").touch()
    with pytest.raises(StorageError, match="cannot be made"):
        publish_pool(engine, "erp-api", directory=short_directory / "file" / "below")


# --- HTTP ----------------------------------------------------------------------------------------------------


def test_http_answers_metrics_and_nothing_else(publisher: Publisher) -> None:
    base = f"http://127.0.0.1:{publisher.http_port}"
    with urllib.request.urlopen(f"{base}/metrics", timeout=10) as answer:
        assert answer.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        assert answer.read().endswith(b"\n# EOF\n")
    for path, method, status in (("/", "GET", 404), ("/metrics", "POST", 405), ("/metrics", "DELETE", 405)):
        request = urllib.request.Request(base + path, method=method)
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=10)
        assert caught.value.code == status
        caught.value.close()
    with socket.create_connection(("127.0.0.1", publisher.http_port or 0), 10) as client:
        client.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    with socket.create_connection(("127.0.0.1", publisher.http_port or 0), 10) as client:
        client.sendall(b"HEAD /metrics HTTP/1.1\r\n\r\n")
        assert client.makefile("rb").read().endswith(b"\r\n\r\n")


# --- readers that misbehave ----------------------------------------------------------------------------------


def test_readers_that_stall_keep_nobody_from_reading(publisher: Publisher, engine: Engine) -> None:
    with ExitStack() as stack:
        for _ in range(10):
            client = stack.enter_context(connected(publisher.path))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            client.sendall(b"metrics\n" * 500)  # and never reads
            stack.enter_context(connected(publisher.path)).sendall(b"poo")  # and never ends the line
        began = time.perf_counter()
        for _ in range(20):
            assert ask(publisher.path)["service"] == "erp-api"
            engine.connect().close()
        assert time.perf_counter() - began < 5


def test_a_reader_that_never_takes_its_answer_is_dropped(publisher: Publisher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbtui.instrument.readers.ANSWER_SECONDS", 0.1)
    with connected(publisher.path) as stalled, connected(publisher.path) as dribbling:
        stalled.sendall(b"metrics\n" * 500)
        dribbling.sendall(b"poo")
        assert dribbling.recv(1) == b""
        wait_until(lambda: not publisher._readers)


def test_a_crowd_of_readers_does_not_lock_others_out(publisher: Publisher) -> None:
    with ExitStack() as stack:
        for _ in range(100):
            stack.enter_context(connected(publisher.path))
            assert ask(publisher.path)["service"] == "erp-api"
        assert len(publisher._readers) <= 32


def test_a_request_without_end_is_cut_off(publisher: Publisher) -> None:
    with connected(publisher.path) as client:
        client.sendall(b"x" * 300)
        assert client.recv(1) == b""
    with socket.create_connection(("127.0.0.1", publisher.http_port or 0), 10) as web:
        web.settimeout(10)
        with pytest.raises(OSError):
            web.sendall(b"X: y\r\n" * 10_000)
            if web.recv(1) == b"":
                raise ConnectionResetError
    assert ask(publisher.path)["service"] == "erp-api"


def test_readers_in_a_hurry_get_a_tenth_of_the_interpreter(publisher: Publisher, engine: Engine) -> None:
    code = f"""
import socket, sys
clients = []
for _ in range(8):
    client = socket.socket(socket.AF_UNIX)
    client.connect({str(publisher.path)!r})
    clients.append((client, client.makefile("r")))
print("ready", flush=True)
while True:
    for client, _ in clients:
        client.sendall(b"pools\\n")
    for _, lines in clients:
        if not lines.readline():
            sys.exit()
"""
    ours = {thread.ident for thread in threading.enumerate() if thread.name == "dbtui pools"}
    assert ours
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as hurrying:
        assert hurrying.stdout
        hurrying.stdout.readline()
        began, used = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
        own = time.thread_time()
        while time.perf_counter() - began < 1.5:
            time.sleep(0.05)
        elapsed = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_SELF)
        hurrying.terminate()
    spent = after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime - (time.thread_time() - own)
    assert spent / elapsed < 0.2


def test_trouble_in_the_thread_is_logged_once_and_the_application_goes_on(
    publisher: Publisher, engine: Engine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbtui.instrument.publisher._TROUBLE_SECONDS", 0.01)
    monkeypatch.setattr(Publisher, "collect", lambda *_: 1 / 0)
    with caplog.at_level(logging.DEBUG, "dbtui.instrument"):
        for _ in range(3):
            with connected(publisher.path) as client:
                client.sendall(b"pools\n")
        wait_until(lambda: bool(caplog.records))
        engine.connect().close()
    monkeypatch.undo()
    wait_until(lambda: ask(publisher.path)["service"] == "erp-api")
    assert len([each for each in caplog.records if each.levelno >= logging.WARNING]) == 1
    assert "division by zero" in caplog.text


# --- the end -------------------------------------------------------------------------------------------------


def test_closing_takes_the_socket_away_even_when_the_thread_has_ended(publisher: Publisher) -> None:
    """Interpreters end threads in no order: nobody is left to be woken."""
    publisher._closing = True
    publisher._waker.send(b"!")
    publisher._thread.join(10)
    publisher._closing = False
    publisher.close()
    assert not publisher.path.exists()


def test_closing_takes_the_socket_away(publisher: Publisher, engine: Engine) -> None:
    publisher.close()
    publisher.close()
    assert not publisher.is_open
    assert not list(publisher.directory.iterdir())
    assert not [each for each in threading.enumerate() if each is publisher._thread]
    again = publish_pool(engine, "erp-api", directory=publisher.directory)
    assert again is not publisher
    assert ask(again.path)["service"] == "erp-api"
    again.close()


PROGRAM = """
import os, signal, sys
from dbtui.instrument import create_engine, publish_pool
engine = create_engine("sqlite:///" + sys.argv[1] + "/a.db")
publisher = publish_pool(engine, "erp-api", directory=sys.argv[1])
assert publisher.path.exists()
engine.connect().close()
if sys.argv[2] == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def run_program(directory: Path, end: str) -> int:
    ran = subprocess.run([sys.executable, "-c", PROGRAM, str(directory), end], cwd=ROOT, timeout=60)
    return ran.returncode


def test_a_process_that_ends_leaves_nothing(short_directory: Path) -> None:
    assert run_program(short_directory, "well") == 0
    assert not list(short_directory.glob("*.sock"))


def test_what_a_killed_process_left_is_removed_by_the_next(engine: Engine, short_directory: Path) -> None:
    assert run_program(short_directory, "killed") == -9
    (left,) = short_directory.glob("erp-api.*.sock")
    (short_directory / "erp-api.1.sock").touch()
    (short_directory / "erp-api-two.2.sock").touch()
    publisher = publish_pool(engine, "erp-api", directory=short_directory)
    assert not left.exists()
    names = {path.name for path in short_directory.glob("*.sock")}
    assert names == {publisher.path.name, "erp-api.1.sock", "erp-api-two.2.sock"}
    publisher.close()


def test_the_socket_of_a_living_process_stays(publisher: Publisher, tmp_path: Path) -> None:
    assert run_program(publisher.directory, "well") == 0
    assert ask(publisher.path)["pid"] == os.getpid()
