"""How long a backup takes beside the bare tool, on the same private server, in turns.

Ours is everything that `backup create` does after its imports: questions, snapshot, dump, exact row counts, SHA-256,
fsync, rename, manifest. The bare tools do none of that, nor an fsync where the shell opens the file. The promise: at
most 1.05 times as long, and at most 120 MB of memory. Run with `python -m tests.benchmarks.bench_backup_postgresql`.
"""

import argparse
import json
import os
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from dbtui.demo.servers import PostgreSQL
from dbtui.model.backups import BackupFormat, Compression, CompressionKind, DumpOptions
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.routines.backups import create_backup
from dbtui.routines.context import RoutineContext
from tests.benchmarks.bench_restore_postgresql import build

LIMIT = 1.05
LIMIT_MB = 120


@dataclass(frozen=True)
class Case:
    """A way to dump: ours, and the shell line that does it bare. {dump} is pg_dump with its login, {to} the target."""

    name: str
    form: BackupFormat
    compression: Compression
    jobs: int
    bare: str
    is_promised: bool = True


CASES = (
    Case("plain", BackupFormat.PLAIN, Compression(), 1, "{dump} > {to}"),
    Case(
        "plain zstd",
        BackupFormat.PLAIN,
        Compression(CompressionKind.ZSTD),
        1,
        "{dump} | zstd -q -1 > {to}",
    ),
    Case(
        "plain zstd, against zstd -1 -T2",
        BackupFormat.PLAIN,
        Compression(CompressionKind.ZSTD),
        1,
        "{dump} | zstd -q -1 -T2 > {to}",
    ),
    Case("directory -j2 -Z0", BackupFormat.DIRECTORY, Compression(), 2, "{dump} -Fd -j2 -Z0 -f {to}", False),
    Case(
        "directory -j2",
        BackupFormat.DIRECTORY,
        Compression(CompressionKind.GZIP),
        2,
        "{dump} -Fd -j2 -f {to}",
    ),
    Case(
        "directory zstd -j2, against gzip 1",
        BackupFormat.DIRECTORY,
        Compression(CompressionKind.ZSTD),
        2,
        "{dump} -Fd -j2 -Z1 -f {to}",
        False,
    ),
    Case("custom -Z1", BackupFormat.CUSTOM, Compression(CompressionKind.GZIP, 1), 1, "{dump} -Fc -Z1 -f {to}", False),
)


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, seconds of processors (the server's sessions too), megabytes of memory at most."""

    seconds: float
    cpu_seconds: float
    megabytes: float = 0.0


def used_seconds(who: int) -> float:
    """Processor time of this process or of its ended children."""
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def server_seconds(server: PostgreSQL) -> float:
    """Processor time of the server's ended sessions: proc(5), cutime and cstime."""
    assert server.process is not None
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def time_bare(server: PostgreSQL, case: Case, directory: Path) -> Cost:
    """What the bare tool costs."""
    to = directory / "bare"
    dump = shlex.join([str(server.binaries / "pg_dump"), "-d", server.url("source")])
    began, used = time.monotonic(), used_seconds(resource.RUSAGE_CHILDREN) + server_seconds(server)
    subprocess.run(["sh", "-c", case.bare.format(dump=dump, to=shlex.quote(str(to)))], check=True)
    seconds = time.monotonic() - began
    shutil.rmtree(to) if to.is_dir() else to.unlink()
    settle()
    return Cost(seconds, used_seconds(resource.RUSAGE_CHILDREN) + server_seconds(server) - used)


def time_ours(server: PostgreSQL, case: Case, directory: Path) -> Cost:
    """What ours costs."""
    words = [sys.executable, "-m", __spec__.name, "--one", case.name, server.url("source"), str(directory / "ours")]
    environ = {**os.environ, "DBTUI_PG_BIN": str(server.binaries)}
    used = server_seconds(server)
    said = subprocess.run(words, env=environ, check=True, stdout=subprocess.PIPE, text=True).stdout
    shutil.rmtree(directory / "ours")
    settle()
    measured = json.loads(said)
    return Cost(measured["seconds"], measured["cpu"] + server_seconds(server) - used, measured["mb"])


def run_one(name: str, url: str, directory: str) -> None:
    """Make one backup in this process and print what it took."""
    case = next(case for case in CASES if case.name == name)
    options = DumpOptions(format=case.form, compression=case.compression, jobs=case.jobs)
    profile = ConnectionProfile(name="bench", engine=EngineName.POSTGRESQL, url=url, database="source")
    context = RoutineContext()
    context.adapter(EngineName.POSTGRESQL)
    began, used = time.monotonic(), used_seconds(resource.RUSAGE_SELF)
    for _ in create_backup(context, profile, Path(directory), options):
        pass
    seconds = time.monotonic() - began
    cpu = used_seconds(resource.RUSAGE_SELF) - used + used_seconds(resource.RUSAGE_CHILDREN)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"seconds": seconds, "cpu": cpu, "mb": megabytes}))


def settle() -> None:
    """Let the disk finish what is left to it, and the server notice that sessions ended."""
    os.sync()
    time.sleep(0.3)


def measure(server: PostgreSQL, case: Case, directory: Path, rounds: int) -> bool:
    """Print a line for a case; False when it breaks the promise."""
    bare, ours = [], []
    for _ in range(rounds):
        bare.append(time_bare(server, case, directory))
        ours.append(time_ours(server, case, directory))
    quickest = [min(cost.seconds for cost in costs) for costs in (bare, ours)]
    middle = statistics.median(each.seconds for each in ours) / statistics.median(each.seconds for each in bare)
    cpu = min(each.cpu_seconds for each in ours) / min(each.cpu_seconds for each in bare)
    megabytes = max(each.megabytes for each in ours)
    ratio = quickest[1] / quickest[0]
    kept = (ratio <= LIMIT or not case.is_promised) and megabytes <= LIMIT_MB
    print(
        f"{case.name:32} {quickest[0]:7.2f} {quickest[1]:7.2f} {ratio:6.2f} {middle:7.2f} {cpu:6.2f} {megabytes:6.0f}"
        f"  {'' if kept else f'more than {LIMIT} or {LIMIT_MB} MB'}",
        flush=True,
    )
    return kept


def main(arguments: list[str] | None = None) -> int:
    """Print a table; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=1000, help="megabytes of COPY text (1000)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        run_one(*options.one)
        return 0
    with PostgreSQL() as server, tempfile.TemporaryDirectory(prefix="dbtui-bench-") as name:
        build(server, options.mb)
        server.execute("VACUUM (ANALYZE)", database="source")
        server.execute("CHECKPOINT")
        print(f"{'case':32} {'bare s':>7} {'ours s':>7} {'ratio':>6} {'median':>7} {'CPU':>6} {'MB':>6}", flush=True)
        cases = [case for case in CASES if case.name.startswith(options.only)]
        kept = [measure(server, case, Path(name), options.rounds) for case in cases]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
