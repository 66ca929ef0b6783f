"""How long a backup and a restore of an SQLite database take beside SQLite's bare online backup, in one run, in turns.

Ours is everything that `backup create` does after its imports: snapshot, copy, structure check, exact row counts, sizes
of tables, SHA-256, fsync, rename, manifest; and all that `backup restore` does: checksums, the integrity check, the
load, the counts, and for a replacement the copy of the old contents. The bare tool, `.backup` and `.restore` of the
sqlite3 shell (else Python's own `Connection.backup`), does none of that. "copy alone" is the step of ours that does
what the bare tool does. Run with `python -m tests.benchmarks.bench_sqlite`.
"""

import argparse
import contextlib
import functools
import json
import os
import random
import resource
import shlex
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from dbtui.model.backups import Compression, CompressionKind, DumpOptions, RestoreOptions
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.events import StepFinished
from dbtui.routines.backups import apply_restore, create_backup, find_backup, plan_restore
from dbtui.routines.context import RoutineContext

LIMIT_COPY = 1.05
LIMIT_MB = 120
_WORDS = [f"word{number}" for number in range(5000)]


def build(path: Path, megabytes: int) -> None:
    """Write varied rows: short and long, numbers, text, blobs, two indexes."""
    dice = random.Random(7)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
            "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT, mail TEXT UNIQUE, photo BLOB);"
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, user_id INT, price REAL, note TEXT);"
        )
        connection.execute("BEGIN")
        number = 0
        while connection.execute("PRAGMA page_count").fetchone()[0] * 4096 < megabytes * 1_000_000 * 0.93:
            connection.executemany(
                "INSERT INTO users VALUES (?, ?, ?, ?)",
                ((n, f"user {n}", f"u{n}@example.org", dice.randbytes(200)) for n in range(number, number + 2000)),
            )
            connection.executemany(
                "INSERT INTO orders (user_id, price, note) VALUES (?, ?, ?)",
                ((number + n % 2000, dice.random() * 100, " ".join(dice.choices(_WORDS, k=20))) for n in range(10_000)),
            )
            number += 2000
        connection.execute("COMMIT")
        connection.executescript("CREATE INDEX by_user ON orders (user_id); PRAGMA wal_checkpoint(TRUNCATE)")


def profile_of(path: Path) -> ConnectionProfile:
    """The profile of a file."""
    return ConnectionProfile(name="bench", engine=EngineName.SQLITE, url=f"sqlite:///{path}", database=str(path))


def bare_copy(source: Path, target: Path, word: str = "backup") -> None:
    """What a person types: `sqlite3 FILE ".backup COPY"`."""
    if shell := shutil.which("sqlite3"):
        subprocess.run([shell, str(source), f".{word} {shlex.quote(str(target))}"], check=True)
        return
    origin, copy = (source, target) if word == "backup" else (target, source)
    with contextlib.closing(sqlite3.connect(origin)) as first, contextlib.closing(sqlite3.connect(copy)) as second:
        first.backup(second)


def bare_packed(source: Path, target: Path) -> None:
    """The same, packed by hand."""
    bare_copy(source, target)
    subprocess.run(["zstd", "-q", "-1", "-T2", "--rm", str(target), "-o", f"{target}.zst"], check=True)
    Path(f"{target}.zst").rename(target)


def run_ours(case: str, live: str, folder: str) -> None:
    """Do ours once in this process and print what it took."""
    context, profile = RoutineContext(), profile_of(Path(live))
    context.adapter(EngineName.SQLITE)
    began, copied = time.monotonic(), 0.0
    if case in ("copy", "packed"):
        kind = CompressionKind.ZSTD if case == "packed" else CompressionKind.NONE
        for event in create_backup(context, profile, Path(folder), DumpOptions(compression=Compression(kind))):
            if isinstance(event, StepFinished) and event.step == "dump":
                copied = event.seconds
    else:
        (backup,) = (path for path in Path(folder).iterdir() if path.suffix == ".sqlite")
        options = RestoreOptions(replace=case == "replace", into="" if case == "replace" else "new.db")
        planning = plan_restore(context, find_backup(Path(folder), str(backup)), profile, options)
        try:
            while True:
                next(planning)
        except StopIteration as end:
            for event in apply_restore(context, profile, end.value):
                if isinstance(event, StepFinished) and event.step in ("load", "put in the new"):
                    copied = event.seconds
    seconds = time.monotonic() - began
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"seconds": seconds, "copied": copied, "mb": memory}))


def time_ours(case: str, live: Path, folder: Path) -> dict[str, float]:
    """Do ours once in a process of its own."""
    words = [sys.executable, "-m", __spec__.name, "--one", case, str(live), str(folder)]
    measured: dict[str, float] = json.loads(subprocess.run(words, check=True, stdout=subprocess.PIPE).stdout)
    return measured


def time_of(work: Callable[[], object]) -> float:
    """Seconds of a call, with what the last one left to the disk out of the way."""
    os.sync()
    began = time.monotonic()
    work()
    return time.monotonic() - began


def measure(case: str, live: Path, folder: Path, rounds: int) -> bool:
    """Print a line for a case; False when it breaks the promise."""
    bare, ours, copied, memory = [], [], [], 0.0
    backups, other = folder / "backups", folder / "bare.sqlite"
    for _ in range(rounds):
        if case in ("copy", "packed"):
            shutil.rmtree(backups, ignore_errors=True)
            bare.append(time_of(lambda: (bare_packed if case == "packed" else bare_copy)(live, other)))
        else:
            target = live if case == "replace" else folder / "bare-new.db"
            (backup,) = (path for path in backups.iterdir() if path.suffix == ".sqlite")
            bare.append(time_of(functools.partial(bare_copy, target, backup, "restore")))
        os.sync()
        measured = time_ours(case, live, backups)
        ours.append(measured["seconds"])
        copied.append(measured["copied"])
        memory = max(memory, measured["mb"])
        for pattern in ("bare.sqlite", "bare-new.db*", "new.db", "*_kept_*"):
            for left in folder.glob(pattern):
                left.unlink()
    ratio, alone = min(ours) / min(bare), min(copied) / min(bare)
    kept = memory <= LIMIT_MB and (case != "copy" or alone <= LIMIT_COPY)
    middle = statistics.median(ours) / statistics.median(bare)
    broken = "" if kept else f"more than {LIMIT_COPY} or {LIMIT_MB} MB"
    print(
        f"{case:10} {min(bare):7.2f} {min(ours):7.2f} {ratio:6.2f} {middle:7.2f}"
        f" {min(copied):11.2f} {alone:6.2f} {memory:5.0f}  {broken}",
        flush=True,
    )
    return kept


def main(arguments: list[str] | None = None) -> int:
    """Print a table; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=500, help="megabytes of database (500)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        run_ours(*options.one)
        return 0
    with tempfile.TemporaryDirectory(prefix="dbtui-bench-") as name:
        live = Path(name) / "live.db"
        build(live, options.mb)
        print(f"{live.stat().st_size / 1e6:.0f} MB, seconds: the best of {options.rounds}; ratios of the best, median")
        print("case          bare    ours  ratio  median  copy alone  ratio    MB", flush=True)
        kept = [measure(case, live, Path(name), options.rounds) for case in ("packed", "copy", "new", "replace")]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
