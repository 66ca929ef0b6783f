"""What the sessions pane costs a terminal, beside pg_activity in the same run: start, bytes, processor, keys, memory.

Both look at one private server under a small load, at 160x45, each second. pg_activity comes from the package index
into an environment of its own that is removed afterwards. Each program is started several times, in turn, and the
medians are compared; 1 when dbtui needs more than 1.5 times as long to start, or breaks another promise. Run with
`python -m tests.benchmarks.bench_terminal`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path

import psutil

from dbtui.demo.servers import PostgreSQL
from dbtui.demo.servers.base import HOST
from tests.tui.fix_pty import ROOT, Terminal

PEER = ("pg_activity", "psycopg2-binary")
COLUMNS, ROWS = 160, 45
#: Statements that last long enough to be seen.
SLOW = "\\set tenths random(5, 40)\nSELECT pg_sleep(:tenths / 10.0), count(*) FROM pgbench_accounts WHERE aid < 100;\n"
DOWN, UP = "\x1b[B", "\x1b[A"
LIMIT_START, LIMIT_BYTES, LIMIT_CPU, LIMIT_KEY_MS, LIMIT_KEY_BYTES, LIMIT_MB = 1.5, 5000, 2.0, 8.0, 2000, 60


@dataclass(frozen=True)
class Figures:
    """One run of a program, or the medians of several."""

    start_ms: float
    bytes_per_second: float
    cpu_percent: float
    key_ms: float
    bytes_a_key: float
    memory_mb: float


@dataclass(frozen=True)
class Program:
    """A program, what its first full screen shows, and the keys that lead from there to live sessions."""

    name: str
    argv: Sequence[str]
    environ: dict[str, str]
    ready: str
    keys: Sequence[tuple[str, str]] = ()


def measure(program: Program, live_seconds: float, keys: int) -> Figures:
    """Run a program once."""
    began = time.perf_counter()
    ui = Terminal(program.argv, program.environ, COLUMNS, ROWS, answers=True)
    try:
        while program.ready not in ui.text:
            if time.perf_counter() - began > 30:
                raise AssertionError(f"{program.name} shows:\n{ui.text}")
            ui.read(0.005)
        start = time.perf_counter() - began
        for key, text in program.keys:
            ui.press(key)
            ui.wait_to_see(text)
        ui.read(3.0)
        sent, percent = live(ui, live_seconds)
        taken, costs = press_keys(ui, keys)
        memory = psutil.Process(ui.process.pid).memory_info().rss / 1e6
        ui.press("q")
        ui.end_seconds(10)
    finally:
        ui.process.close(force=True)
    return Figures(start * 1000, sent, percent, statistics.median(taken) * 1000, statistics.median(costs), memory)


def live(ui: Terminal, seconds: float) -> tuple[float, float]:
    """Hands off: bytes a second, and percent of one processor."""
    process = psutil.Process(ui.process.pid)
    before, began, sent = sum(process.cpu_times()[:2]), time.monotonic(), 0
    while time.monotonic() - began < seconds:
        sent += ui.read(0.5)
    lasted = time.monotonic() - began
    return sent / lasted, (sum(process.cpu_times()[:2]) - before) / lasted * 100


def press_keys(ui: Terminal, count: int) -> tuple[list[float], list[float]]:
    """Seconds from a cursor key to the first byte that comes, and the bytes of its answer."""
    taken: list[float] = []
    costs: list[float] = []
    for number in range(count):
        while ui.read(0.12):
            pass
        began = time.perf_counter()
        ui.press(UP if number % 8 >= 4 else DOWN)
        sent = 0
        while not sent and time.perf_counter() - began < 2:
            sent = ui.read(0.5, 1)
        taken.append(time.perf_counter() - began)
        costs.append(sent + ui.read(0.06))
    return taken, costs


def install_peer(directory: Path) -> Path:
    """Install pg_activity into an environment of its own and return its program."""
    venv.create(directory, with_pip=True)
    command = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", *PEER]
    subprocess.run(command, check=True)
    return directory / "bin" / "pg_activity"


def programs(server: PostgreSQL, directory: Path) -> list[Program]:
    """Both, on the same server."""
    common = {"PATH": os.environ["PATH"], "HOME": str(directory), "TERM": "xterm-256color", "LANG": "C.UTF-8",
              "COLORTERM": "truecolor"}  # fmt: skip
    config = directory / "config.toml"
    config.write_text(f'[profiles.erp]\nurl = "{server.url("erp")}"\n')
    config.chmod(0o600)
    ours = {**common, "PYTHONPATH": str(ROOT), "DBTUI_CONFIG": str(config), "XDG_STATE_HOME": str(directory / "state")}
    theirs = {**common, "PGPASSWORD": server.password}
    peer = install_peer(directory / "peer")
    login = ["-h", HOST, "-p", str(server.port), "-U", server.superuser, "-d", "erp", "--refresh", "1"]
    return [
        Program("dbtui", [sys.executable, "-m", "dbtui"], ours, "primary", [("\r", "idle in transaction")]),
        Program("pg_activity", [str(peer), *login], theirs, "RUNNING QUERIES"),
    ]


def show(name: str, figures: Figures) -> None:
    """Print a line."""
    print(
        f"{name:12} {figures.start_ms:9.0f} {figures.bytes_per_second:9.0f} {figures.cpu_percent:7.1f}"
        f" {figures.key_ms:8.1f} {figures.bytes_a_key:8.0f} {figures.memory_mb:6.0f}",
        flush=True,
    )


def medians(runs: Sequence[Figures]) -> Figures:
    """The median of each figure."""
    return Figures(**{
        field.name: statistics.median(getattr(run, field.name) for run in runs) for field in fields(Figures)
    })  # fmt: skip


def broken_promises(ours: Figures, theirs: Figures) -> list[str]:
    """What was promised and is not so."""
    promises = {
        f"the start takes {ours.start_ms / theirs.start_ms:.2f} times as long":
            ours.start_ms <= LIMIT_START * theirs.start_ms,
        f"{ours.bytes_per_second:.0f} bytes a second": ours.bytes_per_second <= LIMIT_BYTES,
        f"{ours.cpu_percent:.1f} % of a processor": ours.cpu_percent <= LIMIT_CPU,
        f"a key takes {ours.key_ms:.1f} ms": ours.key_ms <= LIMIT_KEY_MS,
        f"a key sends {ours.bytes_a_key:.0f} bytes": ours.bytes_a_key <= LIMIT_KEY_BYTES,
        f"{ours.memory_mb:.0f} MB of memory": ours.memory_mb <= LIMIT_MB,
    }  # fmt: skip
    return [text for text, kept in promises.items() if not kept]


def main(arguments: list[str] | None = None) -> int:
    """Print a table and the ratios; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--live", type=float, default=10, help="seconds without a key in each run (10)")
    parser.add_argument("--keys", type=int, default=24)
    parser.add_argument("--mb", help="for other benchmarks")
    asked = parser.parse_args(arguments)
    runs: dict[str, list[Figures]] = {}
    with ExitStack() as stack:
        server = stack.enter_context(PostgreSQL())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dbtui-bench-")))
        server.execute("CREATE DATABASE erp TEMPLATE template0")
        pgbench = [str(server.binaries / "pgbench"), "-h", HOST, "-p", str(server.port), "-U", server.superuser]
        environ = {**os.environ, "PGPASSWORD": server.password}
        subprocess.run([*pgbench, "-i", "-q", "erp"], env=environ, check=True, capture_output=True)
        script = directory / "slow.sql"
        script.write_text(SLOW)
        for words in (["-c", "6", "-R", "30"], ["-c", "8", "-f", str(script)]):
            load = subprocess.Popen([*pgbench, *words, "-T", "3600", "erp"], env=environ,
                                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
            stack.callback(load.wait)
            stack.callback(load.terminate)
        both = programs(server, directory)
        for program in both:
            measure(program, 1, 1)  # what is read first is read from the disk
        print(f"{'':12} {'start ms':>9} {'bytes/s':>9} {'CPU %':>7} {'key ms':>8} {'B a key':>8} {'MB':>6}")
        for _ in range(asked.runs):
            for program in both:
                runs.setdefault(program.name, []).append(measure(program, asked.live, asked.keys))
    ours, theirs = (medians(runs[program.name]) for program in both)
    show("dbtui", ours)
    show("pg_activity", theirs)
    ratios = {field.name: getattr(ours, field.name) / (getattr(theirs, field.name) or 1) for field in fields(Figures)}
    print(f"{'ratio':12} " + " ".join(f"{ratio:.2f}".rjust(width) for ratio, width in
                                      zip(ratios.values(), (9, 9, 7, 8, 8, 6), strict=True)))  # fmt: skip
    broken = broken_promises(ours, theirs)
    for text in broken:
        print(f"promise broken: {text}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
