"""Shapes and the detector: statements a second of CPU, beside libpg_query's fingerprint, and memory for a million.

The statements are those of ORMs: three hundred shapes with their values in the text. The fingerprint is libpg_query's,
through postgast, in an environment of its own that is made for it and thrown away. Each runs in a fresh process, in
turn; the best of the rounds counts. The promises: shapes are not slower than fingerprints; a million statements, with
a hundred thousand shapes or sessions, are judged in less than 200 MB. Run with `python -m
tests.benchmarks.bench_queries`.
"""

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from dbtui.analysis.queries import Detector, Normaliser
from dbtui.model.queries import StatementEvent

PEER = "postgast==0.2.0"
MOST_MEGABYTES = 200
TEMPLATES = 300
_FINGERPRINT = """
import json, resource, sys, time
from postgast import fingerprint
statements = json.load(open(sys.argv[1]))
began = time.process_time()
for sql in statements:
    fingerprint(sql)
print(time.process_time() - began)
"""


def make_statements(count: int, seed: int = 1) -> list[str]:
    """Statements of an application with three hundred shapes."""
    chance = random.Random(seed)
    templates = [_template(number) for number in range(TEMPLATES)]
    return [chance.choice(templates)(chance) for _ in range(count)]


def _template(number: int) -> Callable[[random.Random], str]:
    table = f"orders_{number}"
    columns = ", ".join(f"{table}.{name}" for name in ("id", "customer_id", "status", "created_at", "total", "note"))
    quoted = ", ".join(f'"{table}"."{name}"' for name in ("id", "customer_id", "status", "created_at"))
    kinds: tuple[Callable[[random.Random], str], ...] = (
        lambda c: f"SELECT {columns} \nFROM {table} \nWHERE {c.randrange(10**6)} = {table}.customer_id",
        lambda c: f"SELECT {columns} \nFROM {table} \nWHERE {table}.id = {c.randrange(10**6)}",
        lambda c: f'SELECT {quoted} FROM "{table}" WHERE "{table}"."id" = {c.randrange(10**6)} LIMIT 21',
        lambda c: f"SELECT {columns} FROM {table} WHERE {table}.id IN ({', '.join(_numbers(c))})",
        lambda c: (
            f"INSERT INTO {table} (customer_id, note) VALUES ({c.randrange(99)}, 'it''s {c.random()}') RETURNING id"
        ),
        lambda c: (
            f"UPDATE {table} SET status='s{c.randrange(9)}', total={c.random()} WHERE {table}.id = {c.randrange(9)}"
        ),
    )
    return kinds[number % len(kinds)]


def _numbers(chance: random.Random) -> list[str]:
    return [str(chance.randrange(10**6)) for _ in range(chance.randrange(1, 60))]


def events(mode: str, count: int) -> Iterator[StatementEvent]:
    """A stream: `requests` with an N+1 here and there, or every statement of another shape or session."""
    statements = make_statements(min(count, 20_000))
    for number in range(count):
        ts = 1_795_359_501.0 + number * 0.0002
        session, sql = f"s{number % 50}", statements[number % len(statements)]
        if mode == "shapes":
            name = f"c{number % 100_000}"
            sql = f"SELECT {name}.id, {name}.body FROM {name} WHERE {name}.post_id = {number} AND {name}.kind = 'x'"
        elif mode == "sessions":
            session = f"session-{number % 100_000}"
        elif mode == "bound":
            sql = f"SELECT a.id, a.name, a.body FROM a{number % 200} AS a WHERE a.id = $1"
        yield StatementEvent(session, number, sql, ts, 0.2, 1, scope=f"r{number // 12}" if mode == "bound" else "")


def judge(mode: str, count: int) -> None:
    """In a process of its own: feed a stream, print seconds of CPU and megabytes of memory."""
    detector, batch, seconds = Detector(), [], 0.0
    for event in events(mode, count):
        batch.append(event)
        if len(batch) == 5_000:
            began = time.process_time()
            detector.feed_all(batch)
            seconds += time.process_time() - began
            batch.clear()
    began = time.process_time()
    detector.feed_all(batch)
    statements = detector.findings().statements
    seconds += time.process_time() - began
    assert statements == count
    print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000]))


def normalise(path: str) -> None:
    """In a process of its own: give every statement its shape, print seconds of CPU."""
    statements = json.loads(Path(path).read_text())
    normaliser = Normaliser()
    began = time.process_time()
    for sql in statements:
        normaliser.read(sql)
    print(time.process_time() - began)


def run_self(*arguments: str) -> str:
    """Run this file in a fresh process."""
    argv = [sys.executable, "-m", "tests.benchmarks.bench_queries", *arguments]
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout


def make_peer(directory: Path) -> Path:
    """Make an environment that has libpg_query, and return its Python."""
    python = directory / "peer" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(directory / "peer")], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", PEER], check=True)
    return python


def compare_shapes(count: int, rounds: int) -> bool:
    """Print how many shapes and fingerprints a second of CPU makes; whether ours are as many."""
    with tempfile.TemporaryDirectory(prefix="dbtui-bench-") as name:
        path = Path(name) / "statements.json"
        path.write_text(json.dumps(make_statements(count)))
        python = make_peer(Path(name))
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(float(run_self("--normalise", str(path))))
            argv = [str(python), "-c", _FINGERPRINT, str(path)]
            theirs.append(float(subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout))
    mine, peer = count / min(ours), count / min(theirs)
    print(f"shapes {mine:12,.0f} st/CPU s   libpg_query {peer:10,.0f} st/CPU s   ratio {mine / peer:5.2f}", flush=True)
    return mine >= peer


def measure_judging(mode: str, count: int) -> bool:
    """Print how fast a stream is judged and in how much memory; whether that is little enough."""
    seconds, megabytes = json.loads(run_self("--judge", mode, str(count)))
    print(f"{mode:10} {count:10,} statements {count / seconds:12,.0f} st/CPU s {megabytes:6.0f} MB", flush=True)
    return bool(megabytes < MOST_MEGABYTES)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statements", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--judge", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--normalise", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.judge:
        judge(options.judge[0], int(options.judge[1]))
        return 0
    if options.normalise:
        normalise(options.normalise)
        return 0
    os.environ.setdefault("PYTHONHASHSEED", "0")
    kept = [compare_shapes(min(options.statements, 100_000), options.rounds)]
    kept += [measure_judging(mode, options.statements) for mode in ("bound", "requests", "sessions", "shapes")]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
