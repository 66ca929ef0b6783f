"""Reads what a publisher tells, as a collector would."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.fix_servers import wait_until

ROOT = Path(__file__).parents[2]


@contextmanager
def connected(path: Path) -> Iterator[socket.socket]:
    """A connection to a socket, that gives up after ten seconds."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as client:
        client.settimeout(10)
        client.connect(str(path))
        yield client


def ask(path: Path, request: str = "pools") -> dict[str, Any]:
    """The answer to one line."""
    with connected(path) as client, client.makefile("r") as lines:
        client.sendall(f"{request}\n".encode())
        answer: dict[str, Any] = json.loads(lines.readline())
        return answer


def ask_pool(path: Path) -> dict[str, Any]:
    """The only pool that a publisher tells of."""
    (pool,) = ask(path)["pools"]
    assert isinstance(pool, dict)
    return pool


def ask_metrics(path: Path) -> str:
    """The OpenMetrics text, with its end mark."""
    with connected(path) as client, client.makefile("r") as lines:
        client.sendall(b"metrics\n")
        text = ""
        while not text.endswith("# EOF\n"):
            line = lines.readline()
            assert line, "the publisher hung up"
            text += line
        return text


def run_python(code: str, **environment: str) -> str:
    """What a fresh interpreter prints that runs `code` in this project."""
    environ = {**os.environ, **environment}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def run_in_child(work: Callable[[], object]) -> None:
    """Fork, run `work` in the child, and fail here when it failed there."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:
            os.write(2, f"in the child: {error!r}\n".encode())
        finally:
            os._exit(code)
    wait_for_child(pid)


def wait_for_child(pid: int, seconds: float = 60.0) -> None:
    """Wait for a forked child, and fail when it failed or hangs: a child may inherit a lock that nobody lets go."""
    ends = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            assert os.waitstatus_to_exitcode(status) == 0
            return
        if time.monotonic() > ends:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise AssertionError(f"the child {pid} hangs")
        time.sleep(0.005)


def run_threads(count: int, work: Callable[[int], object]) -> None:
    """Run `work` on so many threads at once, wait for all, and fail when one failed."""
    failures: list[BaseException] = []
    gate = threading.Barrier(count)

    def run(number: int) -> None:
        gate.wait()
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


__all__ = ["ask", "ask_metrics", "ask_pool", "connected", "run_in_child", "run_python", "run_threads", "wait_until"]
