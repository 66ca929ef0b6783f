"""Reading and judging logs of statements, against pgbadger and pt-query-digest: lines and statements a second of CPU.

The logs are made here, of an application that uses an ORM; every program reads the same files, each in a process of
its own, in turn, and the best of the rounds counts. The peers write their usual reports. The promise is ten times as
many lines a second of CPU as pgbadger reads, ten times as many statements as pt-query-digest, and less than 200 MB of
memory for a million statements. A Python that was built without a profile of its own work, as pyenv does unasked, is a
tenth slower than a distribution's. Run with `python -m tests.benchmarks.bench_logs`.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.statement_logs import write_logs

FACTOR = 10
MOST_BYTES = 200_000_000
_READ = """
import sys
from dbtui.adapters.logs import open_log
from dbtui.analysis.queries.detecting import Detector
detector = Detector()
with open_log(sys.argv[1]) as reader:
    for batch in reader.batches():
        detector.feed_all(batch)
found = detector.findings(report=reader.report)
print(reader.report.statements, len(found.findings))
"""
_PEERS = {
    "stderr": ["pgbadger", "-q", "-f", "stderr", "-p", "%m [%p] %q%u@%d "],
    "extended": ["pgbadger", "-q", "-f", "stderr", "-p", "%m [%p] %q%u@%d "],
    "csvlog": ["pgbadger", "-q", "-f", "csv"],
    "jsonlog": ["pgbadger", "-q", "-f", "jsonlog"],
    "slow": ["pt-query-digest", "--type", "slowlog"],
}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a program took: seconds of CPU, its own and the system's, and the most memory it had."""

    seconds: float
    most_bytes: int


def run(argv: list[str], expected: int) -> Cost:
    """Run a program to its end; `expected`: the statements that it must say to have read, 0: it says nothing of it."""
    process = subprocess.Popen(argv, stdout=subprocess.PIPE)
    assert process.stdout
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    assert process.returncode == 0, argv
    if expected:
        statements, findings = map(int, said.split())
        assert statements == expected, f"{statements} statements instead of {expected}"
        assert findings, "nothing was found"
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def run_ours(path: Path, statements: int) -> Cost:
    """Read and judge a log as `dbtui queries inspect` does."""
    return run([sys.executable, "-c", _READ, str(path)], statements)


def run_peer(name: str, path: Path, directory: Path) -> Cost:
    """Let the peer of a format read the log and write its report."""
    argv = _PEERS[name]
    options = ["-o", str(directory / "report.html"), "--pid-dir", str(directory)] if argv[0] == "pgbadger" else []
    return run([*argv, *options, str(path)], 0)


def compare(name: str, path: Path, directory: Path, statements: int, rounds: int) -> bool:
    """Print one line of the table; whether the promises are kept."""
    costs = [(run_ours(path, statements), run_peer(name, path, directory)) for _ in range(rounds)]
    ours = min(cost.seconds for cost, _ in costs)
    peer = min(cost.seconds for _, cost in costs)
    most_bytes = max(cost.most_bytes for cost, _ in costs)
    with path.open("rb") as file:
        lines = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
    print(
        f"{name:8} {lines:10,} {statements:10,}   {lines / ours:11,.0f} {statements / ours:12,.0f}"
        f" {path.stat().st_size / 1e6 / ours:7.1f} {most_bytes / 1e6:5.0f} MB"
        f"   {_PEERS[name][0]:15} {lines / peer:9,.0f} {statements / peer:12,.0f}   {peer / ours:5.1f}x",
        flush=True,
    )
    return peer / ours >= FACTOR and most_bytes <= MOST_BYTES


def main(arguments: list[str] | None = None) -> int:
    """Print a table; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--statements", type=int, default=300_000, help="in each of PostgreSQL's logs")
    parser.add_argument("--slow-statements", type=int, default=1_000_000, help="in the slow log")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--formats", default=",".join(_PEERS))
    options = parser.parse_args(arguments)
    # A statement of the extended protocol has ten lines, and what pgbadger needs for a million takes minutes.
    counts = {"extended": options.statements // 4, "slow": options.slow_statements}
    kept = []
    with tempfile.TemporaryDirectory(prefix="dbtui-bench-") as folder:
        directory = Path(folder)
        print(f"Python {platform.python_version()} of {sys.base_prefix}")
        print(
            "              lines statements   ours: lines/s statements/s    MB/s   memory"
            "   peer              lines/s statements/s"
        )
        for name in options.formats.split(","):
            count = counts.get(name, options.statements)
            path = write_logs(directory, count, (name,))[name]
            kept.append(compare(name, path, directory, count, options.rounds))
            path.unlink()
    print(f"promised: {FACTOR}x, {MOST_BYTES / 1e6:.0f} MB{'' if all(kept) else ': BROKEN'}")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
