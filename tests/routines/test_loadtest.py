"""Load tests by real generator processes: results, cancelling, and that nothing outlives who started it."""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.analysis.load_stages import plan_stages
from dbtui.errors import Cancelled, ConnectError, RefusedError
from dbtui.model.events import Event, LoadTicked, Progressed, Routine, StepStarted
from dbtui.model.loadtest import LoadKind, LoadPlan, LoadRequest, LoadResult, LoadStage
from dbtui.routines.context import RoutineContext
from dbtui.routines.loadtest import apply_load, plan_load
from tests.cli.program import argv, environment
from tests.fix_servers import wait_until
from tests.fix_web import WebServer

SECRET = "hush-5f2a91"


def drive(routine: Routine[LoadResult], events: list[Event]) -> LoadResult:
    while True:
        try:
            events.append(next(routine))
        except StopIteration as end:
            result: LoadResult = end.value
            return result


def plan(c: RoutineContext, request: LoadRequest) -> LoadPlan:
    routine = plan_load(c, request)
    try:
        while True:
            next(routine)
    except StopIteration as end:
        found: LoadPlan = end.value
        return found


def request(url: str, *stages: LoadStage, **options: object) -> LoadRequest:
    chosen = stages or plan_stages(LoadKind.HTTP, duration_seconds=0.5, concurrency=4)
    return LoadRequest(kind=LoadKind.HTTP, target=url, stages=tuple(chosen), **options)  # type: ignore[arg-type]


def generators() -> list[psutil.Process]:
    """The load generators below this process."""
    found = []
    for child in psutil.Process().children(recursive=True):
        try:
            if "dbtui.loadgen" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def test_two_processes_share_the_load(web_server: WebServer) -> None:
    c, events = RoutineContext(), list[Event]()
    stages = plan_stages(LoadKind.HTTP, duration_seconds=0.5, warm_up_seconds=0.2, rate=100)
    asked = request(web_server.url("/ok"), *stages, processes=2, slo_seconds=1.0)
    result = drive(apply_load(c, plan(c, asked)), events)
    warm_up, measured = result.stages
    assert (warm_up.completed, measured.completed, measured.good) == (20, 50, 50)
    assert measured.rate == pytest.approx(100, rel=0.1)
    assert len(web_server.requests) == 70
    assert [event.step for event in events if isinstance(event, StepStarted)] == ["warm-up", "100/s"]
    assert [event.second.stage for event in events if isinstance(event, LoadTicked)] == ["warm-up", "100/s"]
    assert any(isinstance(event, Progressed) and event.unit == "seconds" for event in events)
    assert not generators()


def test_cancelling_ends_the_generator_at_once_and_keeps_what_was_measured(web_server: WebServer) -> None:
    cancellation = Cancellation()
    c = RoutineContext(cancellation=cancellation)
    asked = request(web_server.url("/slow?ms=5"), LoadStage(name="long", seconds=60, concurrency=2))
    routine, events = apply_load(c, plan(c, asked)), list[Event]()
    while not any(isinstance(event, LoadTicked) for event in events):
        events.append(next(routine))
    assert len(generators()) == 1
    began = time.monotonic()
    cancellation.request("Ctrl-C")
    result = drive(routine, events)
    assert time.monotonic() - began < 2
    assert not generators()
    assert result.ended_early == "cancelled (Ctrl-C)"
    assert result.stages[0].completed > 20


def test_cancelling_before_anything_was_measured_is_an_error(web_server: WebServer) -> None:
    cancellation = Cancellation()
    c = RoutineContext(cancellation=cancellation)
    asked = plan(c, request(web_server.url("/ok")))
    threading.Timer(0.3, cancellation.request).start()
    with pytest.raises(Cancelled):
        drive(apply_load(c, asked), [])
    assert not generators()


def test_a_closed_port_is_told_before_anything_is_started() -> None:
    c = RoutineContext()
    with pytest.raises(ConnectError, match="cannot be reached"):
        drive(apply_load(c, plan(c, request("http://127.0.0.1:1/"))), [])


def test_a_public_address_wants_its_host_typed() -> None:
    planned = plan(RoutineContext(), request("http://203.0.113.9:8080/x"))
    assert not planned.is_private
    assert planned.confirm == "203.0.113.9"
    assert "neither loopback nor a private address" in planned.warnings[0]


def test_a_plan_with_refusals_is_not_applied(web_server: WebServer) -> None:
    asked = request(web_server.url("/ok"))
    planned = LoadPlan(request=asked, shown_target="x", is_private=True, refusals=("no",))
    with pytest.raises(RefusedError):
        drive(apply_load(RoutineContext(), planned), [])
    assert not web_server.requests


# --- the parent, and what others can see -------------------------------------------------------------------------


@pytest.fixture
def running(web_server: WebServer, tmp_path: Path) -> Iterator[tuple["subprocess.Popen[bytes]", list[psutil.Process]]]:
    """A command that loads the server, by two generators, with a secret in a header and one in the URL."""
    (tmp_path / "headers").write_text(f"Authorization: Bearer {SECRET}\n")
    words = argv("bench", "http", web_server.url("/slow?ms=5"), "-d", "60s", "--processes", "2", "--quiet")
    process = subprocess.Popen(
        [*words, "--header", f"@{tmp_path / 'headers'}"],
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    wait_until(lambda: process.poll() is not None or len(web_server.requests) > 10)
    assert process.poll() is None, process.communicate()
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) == 2
    yield process, children
    process.kill()
    process.communicate()


def test_generators_end_when_their_parent_is_killed(
    running: tuple["subprocess.Popen[bytes]", list[psutil.Process]],
) -> None:
    process, children = running
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(Path(f"/proc/{child.pid}").exists() and child.is_running() for child in children), 5)


def test_no_secret_shows_in_proc(
    running: tuple["subprocess.Popen[bytes]", list[psutil.Process]], web_server: WebServer
) -> None:
    assert SECRET.encode() in web_server.requests[0]
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            for name in ("cmdline", "environ"):
                try:
                    shown = (folder / name).read_bytes()
                except OSError:
                    continue
                assert SECRET.encode() not in shown, folder


def test_ctrl_c_prints_what_was_measured(web_server: WebServer, tmp_path: Path) -> None:
    process = subprocess.Popen(
        argv("bench", "http", web_server.url("/slow?ms=5"), "-d", "60s", "--json"),
        cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "second":
            break
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read()
    process.stdout.close()
    assert process.wait() == 130
    result = json.loads(rest.splitlines()[-1])
    assert (result["event"], result["outcome"], result["exit_code"]) == ("result", "cancelled", 130)
    assert result["stages"][0]["completed"] > 20
