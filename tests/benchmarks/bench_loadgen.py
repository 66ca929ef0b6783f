"""The load generator beside wrk and pgbench: the same server, one core's worth of generator each, turn by turn.

HTTP: wrk with one thread against one generator process, on an nginx of one worker that answers from memory. SQL:
pgbench with one thread against one generator process, the same one-row select, the same number of connections. The
promises, for the median of the rounds: at least 0.25 of wrk's rate and 0.5 of pgbench's, with every latency recorded.
Run with `python -m tests.benchmarks.bench_loadgen`.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dbtui.config import parse_url
from dbtui.demo.servers import PostgreSQL
from dbtui.demo.servers.base import choose_port, clean_environment, find_program
from dbtui.model.connections import ConnectionProfile
from dbtui.model.loadtest import LoadKind, LoadPlan, LoadRequest, LoadResult, LoadStage
from dbtui.routines.context import RoutineContext
from dbtui.routines.loadtest import apply_load, plan_load
from tests.fix_servers import wait_until

LEAST_HTTP, LEAST_SQL = 0.25, 0.5
STATEMENT = "SELECT 1"
NGINX = """
worker_processes 1;
daemon off;
pid {home}/pid;
error_log {home}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "hello\\n"; }} }}
}}
"""


@contextmanager
def running_nginx() -> Iterator[str]:
    """An nginx of one worker; yields its URL."""
    program = find_program("nginx")
    if program is None:
        sys.exit("nginx is not installed: script/bench installs it")
    with tempfile.TemporaryDirectory(prefix="dbtui-bench-") as home:
        port = choose_port()
        Path(home, "nginx.conf").write_text(NGINX.format(home=home, port=port))
        Path(home).chmod(0o755)  # its worker is of another account
        process = subprocess.Popen([program, "-c", f"{home}/nginx.conf", "-p", home], env=clean_environment(Path(home)))
        try:
            wait_until(Path(home, "pid").exists)
            yield f"http://127.0.0.1:{port}/"
        finally:
            process.terminate()
            process.wait()


def run_ours(kind: LoadKind, target: str, clients: int, seconds: float, profile: ConnectionProfile | None) -> float:
    """Run the generator; return its rate."""
    stage = LoadStage(name="bench", seconds=seconds, concurrency=clients)
    statements = (STATEMENT,) if kind is LoadKind.SQL else ()
    request = LoadRequest(kind=kind, target=target, stages=(stage,), statements=statements)
    plan = finish(plan_load(RoutineContext(), request, profile))
    assert isinstance(plan, LoadPlan)
    result = finish(apply_load(RoutineContext(), plan, profile))
    assert isinstance(result, LoadResult)
    (judged,) = result.stages
    assert not judged.errors, judged.errors
    assert judged.latencies.count == judged.completed
    return judged.rate


def finish(routine: object) -> object:
    """Drive a routine to its end."""
    try:
        while True:
            next(routine)  # type: ignore[call-overload]
    except StopIteration as end:
        return end.value


def run_wrk(url: str, clients: int, seconds: float) -> float:
    """Run wrk with one thread; return its rate."""
    argv = ["wrk", "-t1", f"-c{clients}", f"-d{seconds:.0f}s", "--latency", url]
    printed = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Requests/sec:\s+([\d.]+)", printed)
    assert found, printed
    return float(found[1])


def run_pgbench(server: PostgreSQL, clients: int, seconds: float, script: Path) -> float:
    """Run pgbench with one thread; return its rate."""
    beside = server.binaries / "pgbench"
    program = str(beside) if beside.exists() else shutil.which("pgbench")
    if program is None:
        sys.exit("pgbench is not installed: it comes with PostgreSQL")
    argv = [program, "-n", "-c", str(clients), "-j", "1", "-T", f"{seconds:.0f}", "-f", str(script),
            "-h", server.host, "-p", str(server.port), "-U", server.superuser, "postgres"]  # fmt: skip
    environ = {**os.environ, "PGPASSWORD": server.password}
    printed = subprocess.run(argv, env=environ, capture_output=True, text=True, check=True).stdout
    found = re.search(r"tps = ([\d.]+)", printed)
    assert found, printed
    return float(found[1])


def compare(
    name: str, theirs: str, rounds: int, run_theirs: Callable[[], float], run_own: Callable[[], float], least: float
) -> bool:  # fmt: skip
    """Measure turn by turn, print each round, and say whether the median ratio keeps the promise."""
    ratios = []
    for number in range(rounds):
        pair = (run_theirs(), run_own()) if number % 2 == 0 else (run_own(), run_theirs())
        other, own = pair if number % 2 == 0 else pair[::-1]
        ratios.append(own / other)
        print(f"{name}  {theirs} {other:>9.0f}/s   dbtui {own:>9.0f}/s   ratio {ratios[-1]:.2f}", flush=True)
    middle = statistics.median(ratios)
    print(f"{name}  ratio {middle:.2f} (at least {least}): {'kept' if middle >= least else 'BROKEN'}", flush=True)
    return middle >= least


def main() -> int:
    """Measure; the exit code says whether both promises are kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    rounds, seconds = options.rounds, options.seconds
    kept = True
    with running_nginx() as url:
        for clients in (4, 32, 128):
            kept &= compare(
                f"http, {clients:>3} clients", "wrk", rounds,
                lambda clients=clients: run_wrk(url, clients, seconds),  # type: ignore[misc]
                lambda clients=clients: run_ours(LoadKind.HTTP, url, clients, seconds, None),  # type: ignore[misc]
                LEAST_HTTP,
            )  # fmt: skip
    with PostgreSQL() as server, tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write(f"{STATEMENT};\n")
        script.flush()
        profile = parse_url(server.url("postgres"), "bench")
        for clients in (1, 8, 32):
            kept &= compare(
                f"sql,  {clients:>3} clients", "pgbench", rounds,
                lambda clients=clients: run_pgbench(server, clients, seconds, Path(script.name)),  # type: ignore[misc]
                lambda clients=clients: run_ours(LoadKind.SQL, "bench", clients, seconds, profile),  # type: ignore[misc]
                LEAST_SQL,
            )  # fmt: skip
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
