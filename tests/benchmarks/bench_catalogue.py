"""How long a history of 10,000 backups takes to list, beside what the shell needs for the same directory.

Prints a line for each way to list: the first time, when nothing is known of the manifests, and later, when the index of
an earlier listing is there. Each is a fresh process from its start to its end, after the files were read once. The bare
way is a fresh Python that lists the same directory and reads the JSON of every manifest. Exits with 1 when listing with
the index takes longer than promised.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from dbtui.model.backups import BackupFile, BackupFormat, BackupTable, Manifest
from dbtui.model.connections import EngineName
from dbtui.routines.backups.manifest import encode_manifest

BARE = """
import json, os, subprocess, sys
subprocess.run(["ls", "-l", sys.argv[1]], stdout=subprocess.DEVNULL, check=True)
for name in os.listdir(sys.argv[1]):
    if name.endswith(".manifest.json"):
        with open(os.path.join(sys.argv[1], name), "rb") as file:
            json.load(file)
"""
PROMISED_SECONDS = 0.5


def sample_manifest(tables: int) -> Manifest:
    """A manifest like those of a real database with so many tables."""
    return Manifest(
        format_version=1,
        backup_id="",
        engine=EngineName.POSTGRESQL,
        flavour="PostgreSQL",
        database="erp",
        profile="erp",
        url="postgresql://erp@db1:5432/erp",
        server_version="15.18",
        tool="pg_dump",
        tool_version="15.18",
        dbtui_version="0.1.0",
        format=BackupFormat.PLAIN,
        compression="zstd",
        encryption=None,
        begin_time="",
        end_time="2026-11-22T15:00:09Z",
        files=(),
        size_bytes=143_000_000,
        tables=tuple(BackupTable("public", f"table_{n}", 1000 * n, "exact", 50_000 * n) for n in range(tables)),
        verified_at=None,
    )


def write_history(directory: Path, backups: int, tables: int) -> None:
    """Fill a directory with backups of one database, an hour apart."""
    base = sample_manifest(tables)
    begin = datetime(2026, 11, 22, 15, 0, 0, tzinfo=UTC)
    for number in range(backups):
        moment = begin - timedelta(hours=number)
        name = f"erp-{moment:%Y%m%dT%H%M%SZ}.sql.zst"
        (directory / name).touch(mode=0o600)
        manifest = replace(
            base,
            backup_id=name.removesuffix(".sql.zst"),
            begin_time=f"{moment:%Y-%m-%dT%H:%M:%SZ}",
            files=(BackupFile(name, 143_000_000, "00" * 32),),
        )
        (directory / f"{name}.manifest.json").write_bytes(encode_manifest(manifest))


def seconds_of(argv: Sequence[str], repeat: int, cache: Path, *, is_first: bool = False) -> list[float]:
    """Run a command several times and return the wall times. `is_first`: the cache is emptied before each run."""
    times = []
    for _ in range(repeat):
        if is_first:
            shutil.rmtree(cache, ignore_errors=True)
        began = time.perf_counter()
        environ = {**os.environ, "XDG_CACHE_HOME": str(cache)}
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True, env=environ)
        times.append(time.perf_counter() - began)
    return times


def show(name: str, times: Sequence[float], bare: Sequence[float]) -> None:
    """Print a line: the least, the median and the most seconds, and the least beside the bare way's."""
    middle = statistics.median(times)
    print(f"{name:32} {min(times):7.3f} {middle:7.3f} {max(times):7.3f}   {min(times) / min(bare):5.2f}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Print a table; 1 when the promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backups", type=int, default=10_000)
    parser.add_argument("--tables", type=int, default=42)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--mb", help="for other benchmarks")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="dbtui-bench-") as name:
        history, cache = Path(name, "history"), Path(name, "cache")
        history.mkdir()
        write_history(history, asked.backups, asked.tables)
        ours = [sys.executable, "-m", "dbtui", "backup", "list", "--dir", str(history)]
        bare = seconds_of([sys.executable, "-c", BARE, str(history)], asked.repeat, cache)
        print(f"{asked.backups} backups of {asked.tables} tables      least  median    most   ratio")
        show("bare", bare, bare)
        show("dbtui, first time", seconds_of(ours, asked.repeat, cache, is_first=True), bare)
        indexed = seconds_of(ours, asked.repeat, cache)
        show("dbtui, with the index", indexed, bare)
        show("dbtui --json, with the index", seconds_of([*ours, "--json"], asked.repeat, cache), bare)
    kept = min(indexed) <= PROMISED_SECONDS
    print(f"promised {PROMISED_SECONDS} s with the index: {'kept' if kept else 'broken'}")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
