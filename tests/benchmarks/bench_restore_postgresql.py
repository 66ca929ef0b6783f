"""How long a restore takes beside the bare tool, on the same private server, one after the other.

The promise: at most 1.10 times `psql -X -1 -f` for plain dumps and `pg_restore -j2` for directories, with checksums,
the check of the whole dump and the gathering of statistics included, which the bare tool does not do. Run with
`python -m tests.benchmarks.bench_restore_postgresql`.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.hashing import HashingBeside
from dbtui.adapters.postgresql.check import check_archive
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.contents import collect_contents
from dbtui.adapters.postgresql.load import load
from dbtui.demo.servers import PostgreSQL
from dbtui.model.backups import BackupFormat, Compression, CompressionKind, LoadRequest, Manifest, StoredBackup
from dbtui.model.connections import ConnectionProfile, EngineName

LIMIT = 1.10
ROWS_PER_MB = 7700

BUILD = """
CREATE TABLE organisations (id int PRIMARY KEY, name text NOT NULL, settings jsonb);
INSERT INTO organisations SELECT i, 'Organisation ' || i, jsonb_build_object('plan', i % 5, 'tags', ARRAY['a', 'b'])
  FROM generate_series(1, 2000) i;
CREATE TABLE items (id bigserial PRIMARY KEY, org int NOT NULL, sku text NOT NULL, price numeric(12, 2), stock int,
  changed timestamptz NOT NULL, note text, payload bytea);
INSERT INTO items (org, sku, price, stock, changed, note, payload)
  SELECT 1 + i % 2000, md5(i::text), (i % 99991) / 100.0, i % 777, '2024-01-01'::timestamptz + i * interval '7 s',
    CASE WHEN i % 3 = 0 THEN NULL ELSE repeat(E'word \\t "x" ', i % 9) END, decode(md5((i * 3)::text), 'hex')
  FROM generate_series(1, {items}) i;
CREATE TABLE audit (id bigint NOT NULL, at timestamptz NOT NULL, org int, action text, detail jsonb)
  PARTITION BY RANGE (at);
CREATE TABLE audit_2024 PARTITION OF audit FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE audit_2025 PARTITION OF audit FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
INSERT INTO audit SELECT i, '2024-01-01'::timestamptz + interval '700 days' * (i::float8 / {audit}), i % 2000,
    (ARRAY['create', 'update', 'delete'])[1 + i % 3], jsonb_build_object('row', i, 'by', md5((i % 500)::text))
  FROM generate_series(1, {audit}) i;
ALTER TABLE audit ADD PRIMARY KEY (id, at);
CREATE INDEX ON items (org);
CREATE INDEX ON items (sku);
CREATE INDEX ON audit (org, at);
ALTER TABLE items ADD FOREIGN KEY (org) REFERENCES organisations (id);
ANALYZE;
"""


@dataclass(frozen=True)
class Case:
    """A dump, the bare tool that restores it, and its file."""

    name: str
    path: Path
    format: BackupFormat
    compression: CompressionKind
    jobs: int
    bare: Callable[[str], list[str]]


def build(server: PostgreSQL, megabytes: int) -> None:
    """Fill the database `source` with about so many megabytes of COPY text."""
    rows = megabytes * ROWS_PER_MB
    server.execute("CREATE DATABASE source TEMPLATE template0")
    for sql in BUILD.format(items=rows // 2, audit=rows // 2).split(";\n"):
        if sql.strip():
            server.execute(sql, database="source")


def dump_cases(server: PostgreSQL, directory: Path) -> Iterator[Case]:
    """Dump `source` in every way that is compared."""
    tools = server.binaries
    plain, packed, tree = directory / "source.sql", directory / "source.sql.zst", directory / "source.dir"
    pg_dump = [str(tools / "pg_dump"), "-d", server.url("source")]
    subprocess.run([*pg_dump, "-f", str(plain)], check=True)
    subprocess.run([*pg_dump, "-Fd", "-j2", "-Z1", "-f", str(tree)], check=True)
    subprocess.run(["zstd", "-q", "-1", str(plain), "-o", str(packed)], check=True)

    def psql(url: str) -> list[str]:
        return [str(tools / "psql"), "-X", "-q", "-1", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-d", url]

    yield Case("plain", plain, BackupFormat.PLAIN, CompressionKind.NONE, 1, lambda url: [*psql(url), "-f", str(plain)])
    script = 'zstd -dc "$0" | "$@"'
    yield Case(
        "plain zstd", packed, BackupFormat.PLAIN, CompressionKind.ZSTD, 1,
        lambda url: ["sh", "-c", script, str(packed), *psql(url)],
    )  # fmt: skip
    yield Case(
        "directory -j2", tree, BackupFormat.DIRECTORY, CompressionKind.NONE, 2,
        lambda url: [str(tools / "pg_restore"), "-e", "-j2", "-d", url, str(tree)],
    )  # fmt: skip


def peak_memory_mb() -> float:
    """The most memory that this process ever had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextmanager
def fresh_database(server: PostgreSQL) -> Iterator[str]:
    """An empty database called `copy`; the server is quiet when it is handed out."""
    server.execute("CREATE DATABASE copy TEMPLATE template0")
    server.execute("CHECKPOINT")
    try:
        yield "copy"
    finally:
        server.execute("DROP DATABASE copy WITH (FORCE)")


def time_bare(server: PostgreSQL, case: Case) -> float:
    """Seconds of the bare tool."""
    with fresh_database(server) as name:
        began = time.monotonic()
        subprocess.run(case.bare(server.url(name)), check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - began


def manifest_of(case: Case) -> Manifest:
    """A manifest as our own backups have it, except for the tables."""
    return Manifest(
        format_version=1, backup_id=case.name, engine=EngineName.POSTGRESQL, flavour="PostgreSQL", database="source",
        profile="bench", url="", server_version="", tool="pg_dump", tool_version="", dbtui_version="",
        format=case.format, compression="none", encryption=None, begin_time="", end_time="", files=(), size_bytes=0,
        tables=(),
    )  # fmt: skip


def time_ours(server: PostgreSQL, case: Case) -> tuple[float, float]:
    """Seconds of checksums, check and load together, and of what comes before the load."""
    backup = StoredBackup(
        backup_id=case.name, engine=EngineName.POSTGRESQL, format=case.format,
        compression=Compression(case.compression), data_path=str(case.path), manifest=manifest_of(case),
    )  # fmt: skip
    os.utime(case.path if case.path.is_file() else case.path / "toc.dat")  # nothing is remembered of it
    profile = ConnectionProfile(name="bench", engine=EngineName.POSTGRESQL, url=server.url())
    with fresh_database(server) as name:
        began = time.monotonic()
        cancellation = Cancellation()
        paths = sorted(case.path.iterdir()) if case.path.is_dir() else [case.path]
        with HashingBeside([(path, path.name) for path in paths]) as hashing:
            for _ in check_archive(backup, cancellation):
                pass
            while not hashing.wait_for(1.0):
                pass
        checked = time.monotonic() - began
        contents = collect_contents(backup, cancellation)
        target = PostgresqlTarget(profile, None, cancellation, {"DBTUI_PG_BIN": str(server.binaries)})
        try:
            request = LoadRequest(backup=backup, contents=contents, database=name, jobs=case.jobs)
            for _ in load(target, request):
                pass
        finally:
            target.close()
        return time.monotonic() - began, checked


def main(arguments: list[str] | None = None) -> int:
    """Print a line for each case; 1 when one takes more than the promised ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=1000, help="megabytes of COPY text (1000)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", default="", help="only the cases whose name holds this")
    options = parser.parse_args(arguments)
    worst = 0.0
    with PostgreSQL(config=["shared_buffers = 256MB"]) as server, tempfile.TemporaryDirectory() as directory:
        build(server, options.mb)
        for case in dump_cases(server, Path(directory)):
            if options.case not in case.name:
                continue
            bare, ours = [], []
            for _ in range(options.rounds):
                bare.append(time_bare(server, case))
                ours.append(time_ours(server, case))
            ratio = min(ours)[0] / min(bare)
            worst = max(worst, ratio)
            print(
                f"{case.name:14}  bare {min(bare):6.2f} s   dbtui {min(ours)[0]:6.2f} s (checks {min(ours)[1]:5.2f} s)"
                f"   ratio {ratio:4.2f}   promised {LIMIT:4.2f}   most memory {peak_memory_mb():.0f} MB",
                flush=True,
            )
    return 0 if worst <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
