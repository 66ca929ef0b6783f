"""How long a history of 10,000 backups takes to list, beside what the shell needs for the same directory.

Prints one JSON line. The ratio compares a fresh `dbtui backup list --json` with a fresh Python that lists the same
directory and reads the JSON of every manifest, both after the files were read once.
"""

import argparse
import json
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


def seconds_of(argv: Sequence[str], repeat: int) -> list[float]:
    """Run a command several times and return the wall times."""
    times = []
    for _ in range(repeat):
        began = time.perf_counter()
        subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - began)
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backups", type=int, default=10_000)
    parser.add_argument("--tables", type=int, default=42)
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        write_history(Path(directory), asked.backups, asked.tables)
        bare = seconds_of([sys.executable, "-c", BARE, directory], asked.repeat)
        ours = seconds_of(
            [sys.executable, "-m", "dbtui", "backup", "list", "--dir", directory, "--json"], asked.repeat
        )  # fmt: skip
    result = {
        "benchmark": "catalogue",
        "backups": asked.backups,
        "tables": asked.tables,
        "bare_seconds": round(statistics.median(bare), 3),
        "dbtui_seconds": round(statistics.median(ours), 3),
        "dbtui_best_seconds": round(min(ours), 3),
        "ratio": round(min(ours) / min(bare), 3),
        "promised_seconds": PROMISED_SECONDS,
        "kept": min(ours) <= PROMISED_SECONDS,
    }
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
