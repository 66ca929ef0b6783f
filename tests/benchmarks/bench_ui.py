"""What the terminal UI costs while it makes a backup, beside the same backup by command, in a real pseudo-terminal.

Each size of terminal and each packing is backed up twice by keys: once left alone, for processor time and bytes, and
once with a cursor key every 100 to 300 ms. The promises: the main thread, which is the UI, takes less than 5 % of a
core; the process never has more than 120 MB; 95 of 100 keys show within 50 ms; an idle screen sends nothing. Run with
`python -m tests.benchmarks.bench_ui`.
"""

import argparse
import json
import os
import random
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbtui.demo.servers import PostgreSQL
from dbtui.demo.servers.base import HOST
from tests.benchmarks.bench_catalogue import write_history
from tests.benchmarks.bench_restore_postgresql import build
from tests.tui.fix_pty import ROOT, Terminal

LIMIT_CPU = 0.05
LIMIT_MB = 120
LIMIT_KEY_SECONDS = 0.050
IDLE_SECONDS = 10
#: Between two keys; not always the same, which would fall in step with a timer of the UI, or out of step.
KEY_SECONDS = (0.1, 0.3)
PATIENCE_SECONDS = 2
SIZES = ((80, 24), (160, 45))
PACKINGS = ("none", "zstd")
DOWN, UP, SHIFT_TAB = "\x1b[B", "\x1b[A", "\x1b[Z"
RUNNING, DONE = "ctrl+x cancel", "● backed up"
#: The list's part of the screen: below the header, left of the detail, above the strip and the footer.
LIST_ROWS, LIST_COLUMNS = slice(3, 18), 60


HEADER = "size   pack  command s    UI s  ratio  CPU %  whole %  keyed %    MB bytes/s p50 ms p95 ms  keys  idle bytes"


@dataclass(frozen=True)
class Usage:
    """Processor time of a process's main thread and of all its threads, in seconds."""

    main_seconds: float
    all_seconds: float


@dataclass(frozen=True)
class Run:
    """A backup made by keys: how long it took by the manifest, and what the UI used while it ran."""

    dump_seconds: float
    main_share: float
    all_share: float
    bytes_per_second: float
    key_seconds: tuple[float, ...]


class Bench:
    """A server, the settings that name it, and a history to move the cursor in."""

    def __init__(self, server: PostgreSQL, home: Path) -> None:
        self.home = home
        self.backups = home / "backups"
        self.backups.mkdir()
        write_history(self.backups, 60, 42)
        self.old = set(self.backups.iterdir())
        config = home / "config.toml"
        lines = [f'backup_dir = "{self.backups}"']
        url = f"postgresql://{server.superuser}@{HOST}:{server.port}/source"
        for packing in PACKINGS:
            lines += [f"[profiles.{packing}]", f'url = "{url}"', 'password_env = "BENCH"', f'compress = "{packing}"']
        config.touch(mode=0o600)
        config.write_text("\n".join(lines) + "\n")
        self.environ = {
            "PATH": os.environ["PATH"], "HOME": str(home), "DBTUI_CONFIG": str(config), "LANG": "C.UTF-8",
            "TERM": "xterm-256color", "COLORTERM": "truecolor", "DBTUI_PG_BIN": str(server.binaries),
            "BENCH": server.password,
        }  # fmt: skip

    def take_seconds(self) -> float:
        """How long the backup just made took, by its manifest. It is removed and the disk left to settle."""
        new = [path for path in self.backups.iterdir() if path not in self.old]
        (manifest,) = (path for path in new if path.name.endswith(".manifest.json"))
        seconds: float = json.loads(manifest.read_text())["duration_seconds"]
        for path in new:
            path.unlink()
        os.sync()
        time.sleep(0.3)
        return seconds

    def time_command(self, packing: str) -> float:
        """How long the same backup takes by command."""
        words = [sys.executable, "-m", "dbtui", "backup", "create", packing, "--quiet"]
        subprocess.run(words, env=self.environ, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return self.take_seconds()

    @contextmanager
    def opened(self, packing: str, columns: int, rows: int) -> Iterator[Terminal]:
        """The UI, opened on the list of backups; what is left of it is ended afterwards."""
        ui = Terminal([sys.executable, "-m", "dbtui", packing], self.environ, columns, rows)
        try:
            ui.wait_to_see("erp")
            ui.wait_until_idle()
            yield ui
            ui.press("q")
            ui.end_seconds(10)
        finally:
            ui.process.close(force=True)


def used(pid: int) -> Usage:
    """What a process has used: proc(5), utime and stime of its first thread and of the whole."""
    seconds = []
    for path in (f"/proc/{pid}/task/{pid}/stat", f"/proc/{pid}/stat"):
        fields = Path(path).read_text().rpartition(")")[2].split()
        seconds.append((int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK"))
    return Usage(*seconds)


def most_memory_mb(pid: int) -> float:
    """The most memory that a process ever had: VmHWM of proc(5)."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def list_cells(ui: Terminal) -> list[object]:
    """The list as the screen shows it, colours included: the cursor is a colour."""
    places = range(ui.screen.lines)[LIST_ROWS]
    return [tuple(ui.screen.buffer[row][column] for column in range(LIST_COLUMNS)) for row in places]


def key_seconds(ui: Terminal, key: str) -> float:
    """Press a cursor key and return how long the list took to follow, or two seconds if it did not."""
    before = list_cells(ui)
    began = time.perf_counter()
    ui.press(key)
    while time.perf_counter() - began < PATIENCE_SECONDS:
        if select.select([ui.process.fd], [], [], 0.5)[0]:
            came = time.perf_counter()  # before the meter spends time on understanding it
            if ui.read(0.0005) and list_cells(ui) != before:
                return came - began
    return PATIENCE_SECONDS


def start_backup(ui: Terminal) -> None:
    """Ask for a backup by keys; returns when it runs."""
    ui.press("b")
    ui.wait_to_see("Writes source-")
    ui.wait_until_idle(0.3)
    ui.press(SHIFT_TAB)  # from the first field back to the last button
    ui.wait_until_idle(0.3)
    ui.press("\r")
    ui.wait_to_see(RUNNING)
    ui.read(0.3)  # the dialog goes


def back_up(bench: Bench, ui: Terminal, with_keys: bool) -> Run:
    """Make one backup and watch it until its dump has ended."""
    start_backup(ui)
    pid, sent, began, before = ui.process.pid, len(ui.output), time.monotonic(), used(ui.process.pid)
    ended, after = began, before
    keys: list[float] = []
    pauses = random.Random(1)
    while RUNNING in ui.text:
        ended, after = time.monotonic(), used(pid)
        if with_keys:
            keys.append(key_seconds(ui, UP if len(keys) % 16 >= 8 else DOWN))
        ui.read(pauses.uniform(*KEY_SECONDS))
        if time.monotonic() - began > 600:
            raise AssertionError(f"the backup does not end; the screen shows:\n{ui.text}")
    seconds, received = ended - began, len(ui.output) - sent
    ui.wait_to_see(DONE)
    ui.wait_until_idle()
    return Run(
        dump_seconds=bench.take_seconds(),
        main_share=(after.main_seconds - before.main_seconds) / seconds,
        all_share=(after.all_seconds - before.all_seconds) / seconds,
        bytes_per_second=received / seconds,
        key_seconds=tuple(keys),
    )


def idle_bytes(ui: Terminal) -> int:
    """What comes while nothing happens."""
    ends, count = time.monotonic() + IDLE_SECONDS, 0
    while time.monotonic() < ends:
        count += ui.read(0.5)
    return count


def quantile(values: Sequence[float], share: float) -> float:
    """The value that so many of them do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def measure(bench: Bench, packing: str, columns: int, rows: int) -> list[str]:
    """Print what one size and packing cost; returns the promises that were broken."""
    command = [bench.time_command(packing)]
    with bench.opened(packing, columns, rows) as ui:
        quiet_before = idle_bytes(ui)
        watched = back_up(bench, ui, with_keys=False)
        command.append(bench.time_command(packing))
        keyed = back_up(bench, ui, with_keys=True)
        quiet_after = idle_bytes(ui)
        megabytes = most_memory_mb(ui.process.pid)
    p50, p95 = (quantile(keyed.key_seconds, share) for share in (0.5, 0.95))
    ratio = watched.dump_seconds / statistics.mean(command)
    print(
        f"{columns}x{rows:<4} {packing:5} {statistics.mean(command):7.2f} {watched.dump_seconds:7.2f} {ratio:6.2f}"
        f" {watched.main_share * 100:6.1f} {watched.all_share * 100:7.1f} {keyed.main_share * 100:7.1f}"
        f" {megabytes:5.0f} {watched.bytes_per_second:7.0f} {p50 * 1000:6.1f} {p95 * 1000:6.1f}"
        f" {len(keyed.key_seconds):5} {quiet_before + quiet_after:6}",
        flush=True,
    )
    promises = {
        f"the UI took {watched.main_share:.1%} of a core": watched.main_share < LIMIT_CPU,
        f"{megabytes:.0f} MB of memory": megabytes <= LIMIT_MB,
        f"a key took {p95 * 1000:.0f} ms": p95 <= LIMIT_KEY_SECONDS,
        f"{quiet_before + quiet_after} bytes while idle": quiet_before + quiet_after == 0,
    }
    return [f"{columns}x{rows} {packing}: {text}" for text, kept in promises.items() if not kept]


def main(arguments: list[str] | None = None) -> int:
    """Print a table; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=1000, help="megabytes of COPY text (1000)")
    options = parser.parse_args(arguments)
    with PostgreSQL() as server, tempfile.TemporaryDirectory(prefix="dbtui-bench-") as name:
        build(server, options.mb)
        server.execute("VACUUM (ANALYZE)", database="source")
        server.execute("CHECKPOINT")
        bench = Bench(server, Path(name))
        bench.time_command("none")  # what is read first is read from the disk
        print(HEADER)
        broken = [
            text for columns, rows in SIZES for packing in PACKINGS for text in measure(bench, packing, columns, rows)
        ]
    for text in broken:
        print(f"promise broken: {text}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
