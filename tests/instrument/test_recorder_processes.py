"""A recorder among processes: forked children, asyncio's tasks, sudden ends, several writers, and full disks."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from dbtui.instrument import create_engine, record_statements, request_scope
from tests.cli.disks import on_small_disk
from tests.fix_servers import wait_until
from tests.instrument.applications import Trace, application, read_trace
from tests.instrument.reading import ROOT, run_in_child, run_python, run_threads, wait_for_child
from tests.orm_models import Author, Post

# From Python 3.12 on, forking with threads earns a warning; prefork servers do it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")

# An application that records itself and then does something: what, is put behind it.
APPLICATION = """
import os, signal, sys, time
from sqlalchemy import text
from dbtui.instrument import create_engine, record_statements

engine = create_engine("sqlite:///" + os.environ["DATABASE"])
recorder = record_statements(engine, os.environ["TRACE"])

def ask(times, words=""):
    with engine.connect() as connection:
        for number in range(times):
            connection.execute(text(f"SELECT {number} -- {words}"))
"""


def ask(engine: Engine, times: int) -> None:
    with engine.connect() as connection:
        for number in range(times):
            connection.execute(text(f"SELECT {number}"))


def sql_of(path: Path) -> list[str]:
    return [line["sql"] for line in read_trace(path)]


# --- children ------------------------------------------------------------------------------------------------


def test_a_forked_child_goes_on_under_another_name_and_writes_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    with record_statements(engine, path) as recorder:
        ask(engine, 100)

        def in_child() -> None:
            engine.dispose(close=False)
            ask(engine, 50)
            assert recorder.flush()
            assert recorder.dropped == 0
            recorder.stop()

        run_in_child(in_child)
        ask(engine, 10)
    lines = read_trace(path)
    assert len(lines) == 160
    children = [line for line in lines if not line["session"].startswith(f"{os.getpid()}-")]
    assert [line["seq"] for line in children] == list(range(1, 51))
    assert len({(line["session"], line["seq"]) for line in lines}) == 160
    engine.dispose()


def test_a_child_that_keeps_its_parents_connection_is_another_session(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    with record_statements(engine, path) as recorder, engine.connect() as connection:
        connection.execute(text("SELECT 1"))

        def in_child() -> None:
            connection.execute(text("SELECT 2"))
            assert recorder.flush()

        run_in_child(in_child)
    assert len({line["session"] for line in read_trace(path)}) == 2
    engine.dispose()


def test_forks_from_many_threads(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    outside_sqlite = threading.Lock()  # whose own locks do not outlive a fork

    def work(_: int) -> None:
        with outside_sqlite:
            ask(engine, 20)
            pid = os.fork()
            if pid == 0:
                engine.dispose(close=False)
                ask(engine, 5)
                os._exit(0 if recorder.flush(20) else 1)
        wait_for_child(pid)

    with record_statements(engine, path) as recorder:
        run_threads(4, work)
    assert len(read_trace(path)) == 4 * 25
    engine.dispose()


# --- ends ----------------------------------------------------------------------------------------------------


def test_at_exit_everything_is_written(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    run_python(f"{APPLICATION}\nask(500)", DATABASE=f"{tmp_path}/a.db", TRACE=str(path))
    assert len(sql_of(path)) == 500


def test_at_exit_by_an_error_or_sys_exit_everything_is_written(tmp_path: Path) -> None:
    for number, end in enumerate(("raise ValueError", "sys.exit(3)")):
        path = tmp_path / f"{number}.jsonl"
        environ = {**os.environ, "DATABASE": f"{tmp_path}/a.db", "TRACE": str(path)}
        subprocess.run(
            [sys.executable, "-c", f"{APPLICATION}\nask(50)\n{end}"], cwd=ROOT, env=environ, capture_output=True
        )
        assert len(sql_of(path)) == 50


def test_after_a_kill_the_next_one_ends_the_half_line(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    code = f"{APPLICATION}\nask(300)\nrecorder.flush()\nprint('ready', flush=True)\nask(10**9)"
    environ = {**os.environ, "DATABASE": f"{tmp_path}/a.db", "TRACE": str(path)}
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environ, stdout=subprocess.PIPE) as program:
        assert program.stdout
        assert program.stdout.readline() == b"ready\n"
        wait_until(lambda: path.stat().st_size > 200_000)
        os.kill(program.pid, signal.SIGKILL)
    whole, _, half = path.read_text().rpartition("\n")
    assert [json.loads(line)["seq"] for line in whole.splitlines()][:300] == list(range(1, 301))
    with path.open("a") as file:
        file.write(half or '{"session":"')
    run_python(f"{APPLICATION}\nask(5)", DATABASE=f"{tmp_path}/a.db", TRACE=str(path))
    assert [json.loads(line)["sql"] for line in path.read_text().splitlines()[-5:]] == [
        f"SELECT {n} -- " for n in range(5)
    ]


def test_several_processes_fill_one_bounded_file(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    code = APPLICATION.replace('os.environ["TRACE"])', 'os.environ["TRACE"], most_bytes=300_000)')
    environ = {**os.environ, "DATABASE": f"{tmp_path}/a.db", "TRACE": str(path)}
    words = [sys.executable, "-c", f"{code}\nfor _ in range(10):\n    ask(100)\n    recorder.flush()"]
    programs = [subprocess.Popen(words, cwd=ROOT, env=environ) for _ in range(3)]
    assert [program.wait(60) for program in programs] == [0, 0, 0]
    kept = path.with_name("trace.jsonl.1")
    lines = read_trace(kept) + read_trace(path)
    assert max(path.stat().st_size, kept.stat().st_size) <= 300_000
    assert len({(line["session"], line["seq"]) for line in lines}) == len(lines) > 1000


# --- disks ---------------------------------------------------------------------------------------------------


def test_a_full_disk_is_told_of_once_and_what_was_lost_when_it_has_room_again(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    code = f"""{APPLICATION}
import json, logging
logging.basicConfig(format="%(levelname)s %(message)s")
filler = {str(disk / "filler")!r}
with open(filler, "wb", buffering=0) as file:
    try:
        while file.write(b"x" * 4096):
            pass
    except OSError:
        pass
ask(400, "x" * 100)
for _ in range(3):
    recorder.flush()
    ask(10)
recorder.flush()
os.remove(filler)
asked, full = 430, os.path.getsize(os.environ["TRACE"])
while os.path.getsize(os.environ["TRACE"]) == full:
    ask(1)
    asked += 1
    recorder.flush()
recorder.stop()
lines = []
for line in open(os.environ["TRACE"]):
    try:
        lines.append(json.loads(line))
    except ValueError:
        pass
lost = sum(line.get("lost", 0) for line in lines)
whole = sum("lost" not in line for line in lines)
print(lost, whole, recorder.dropped, asked)
os.remove(os.environ["TRACE"])
"""
    environ = {**os.environ, "DATABASE": f"{tmp_path}/a.db", "TRACE": str(disk / "trace.jsonl")}
    words = [*on_small_disk(disk, "256k"), sys.executable, "-c", code]
    ran = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    lost, whole, dropped, asked = map(int, ran.stdout.splitlines()[0].split())
    assert lost == dropped > 0
    assert lost + whole == asked
    assert ran.stderr.count("ERROR") == ran.stderr.count("No space left on device") == 1
    assert ran.stderr.count("recorded again") == 1


def test_a_trace_that_somebody_removes_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    engine = create_engine(f"sqlite:///{tmp_path}/app.db")
    with record_statements(engine, path) as recorder:
        ask(engine, 3)
        recorder.flush()
        path.unlink()
        ask(engine, 2)
    assert len(read_trace(path)) == 2
    engine.dispose()


# --- asyncio -------------------------------------------------------------------------------------------------


async def test_tasks_have_their_own_scopes_and_call_sites(tmp_path: Path) -> None:
    with application(f"sqlite:///{tmp_path}/app.db", 5) as engine:
        made = create_async_engine(f"sqlite+aiosqlite:///{engine.url.database}")
        factory = async_sessionmaker(made)

        async def serve(number: int) -> None:
            with request_scope("GET /", str(number)):
                async with factory() as session:
                    for author in await session.scalars(select(Author)):
                        await asyncio.sleep(0)
                        await author.awaitable_attrs.posts
                    await session.run_sync(lambda inner: [post.comments for post in inner.scalars(select(Post))])

        with Trace(made, tmp_path / "trace.jsonl") as trace:
            await asyncio.gather(*(serve(number) for number in range(6)))
        await made.dispose()
    by_scope: dict[str, set[str]] = {}
    for line in trace.lines:
        by_scope.setdefault(line["scope"], set()).add(line["session"])
    assert sorted(by_scope) == [f"GET /#{number}" for number in range(6)]
    assert all(len(sessions) == 1 for sessions in by_scope.values())
    assert len(trace.lines) == 6 * 12
    assert {line["call_site"].rpartition(":")[0] for line in trace.lines} == {
        "tests/instrument/test_recorder_processes.py"
    }
    assert sum(line.get("relationship") == "Author.posts" for line in trace.lines) == 30
    assert sum(line.get("relationship") == "Post.comments" for line in trace.lines) == 30
