"""What watching the ladder costs: CPU time of this process while it looks once a second, as a share of one core.

A real PgBouncer with a pool for each of many databases, and real processes that publish their pools over sockets. The
promise is less than 5 % of a core for 50 pools and 20 sockets. Run with `python -m tests.benchmarks.bench_pools`.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg2

from dbtui.config import parse_url
from dbtui.demo.servers import PgBouncer, PostgreSQL, ServerDirectory
from dbtui.ladders import LadderWatch
from dbtui.model.connections import ConnectionProfile
from dbtui.model.pools import PoolsSnapshot
from dbtui.routines.context import RoutineContext

LIMIT = 0.05
_PUBLISHER = """
import sys
from dbtui.instrument import create_engine, publish_pool
engine = create_engine("sqlite:///" + sys.argv[1] + "/pool.db")
held = [engine.connect() for _ in range(3)]
publisher = publish_pool(engine, service="erp-api", directory=sys.argv[1])
print("ready", flush=True)
sys.stdin.read()
"""


@contextmanager
def publishers(directory: Path, count: int) -> Iterator[None]:
    """Processes that each publish a pool in `directory`."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _PUBLISHER, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
                )
            )
            for _ in range(count)
        ]
        for process in processes:
            assert process.stdout
            process.stdout.readline()
        try:
            yield
        finally:
            for process in processes:
                assert process.stdin
                process.stdin.close()


@contextmanager
def pools(server: PostgreSQL, pooler: PgBouncer, count: int) -> Iterator[None]:
    """A pool with a client for each of so many databases."""
    held = []
    for number in range(count):
        server.execute(f"CREATE DATABASE bench_{number} TEMPLATE template0")
        client = psycopg2.connect(pooler.url(f"bench_{number}"))
        client.autocommit = True
        with client.cursor() as cursor:
            cursor.execute("SELECT 1")
        held.append(client)
    try:
        yield
    finally:
        for client in held:
            client.close()


def measure(profile: ConnectionProfile, seconds: float, interval_seconds: float) -> tuple[float, list[PoolsSnapshot]]:
    """Watch for so long; return the share of a core that this process took, and what was published."""
    seen: list[PoolsSnapshot] = []
    ladder = LadderWatch(profile, RoutineContext(environ={}), seen.append, interval_seconds).start()
    deadline = time.monotonic() + 30
    while not (seen and seen[-1].pooler and seen[-1].server and seen[-1].app) and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(2)
    seen.clear()
    began, used = time.monotonic(), time.process_time()
    time.sleep(seconds)
    share = (time.process_time() - used) / (time.monotonic() - began)
    ladder.stop()
    return share, seen


def main(arguments: list[str] | None = None) -> int:
    """Print a table; 1 when the promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pools", type=int, default=50)
    parser.add_argument("--sockets", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        directory = stack.enter_context(ServerDirectory.create())
        server = stack.enter_context(PostgreSQL(directory))
        pooler = stack.enter_context(PgBouncer(server, directory, settings={"default_pool_size": "3"}))
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dbtui-bench-")))
        stack.enter_context(pools(server, pooler, options.pools))
        stack.enter_context(publishers(sockets, options.sockets))
        console = parse_url(pooler.console_url())
        profile = replace(
            parse_url(server.url("postgres"), "bench"),
            pgbouncer_url=console.url,
            pgbouncer_password=console.password,
            app_pools=(f"unix://{sockets}/*.sock",),
        )
        print(f"{options.pools} pools, {options.sockets} sockets, a look a second, {options.seconds:g} s a round")
        print("round   CPU of dbtui   CPU of PgBouncer   looks   pools   sockets", flush=True)
        shares = []
        for number in range(options.rounds):
            share, seen = measure(profile, options.seconds, 1.0)
            shares.append(share)
            last = seen[-1]
            assert last.pooler
            assert last.app
            first = seen[0].pooler.cpu_seconds_total if seen[0].pooler else None
            pooler_share = ((last.pooler.cpu_seconds_total or 0) - (first or 0)) / options.seconds
            print(f"{number + 1:5}   {share:11.2%}   {pooler_share:15.2%}   {len(seen):5}   {len(last.pooler.pools):5}"
                  f"   {len(last.app.pools):7}", flush=True)  # fmt: skip
            if len(last.pooler.pools) != options.pools or len(last.app.pools) != options.sockets:
                print("not everything was seen", *last.app.gaps[:3])
                return 1
        kept = max(shares) <= LIMIT
        print(f"at most {max(shares):.2%} of a core; promised {LIMIT:.0%}{'' if kept else ': BROKEN'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
