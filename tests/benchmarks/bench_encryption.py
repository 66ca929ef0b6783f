"""How long an encrypted backup and restore take beside the same ones unencrypted, in one run, in turns.

Each is everything that `backup create` and `backup restore` do after their imports, in a process of its own. The
promise: at most 1.2 times as long; but for restoring SQLite, which unencrypted is read where it lies, and encrypted is
decrypted whole before anything is read. Run with `python -m tests.benchmarks.bench_encryption`.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dbtui.demo.servers import PostgreSQL
from dbtui.model.backups import BackupFormat, Compression, CompressionKind, DumpOptions, RestoreOptions, RestoreResult
from dbtui.model.connections import ConnectionProfile, EngineName, Secret
from dbtui.model.events import Routine
from dbtui.routines.backups import apply_restore, create_backup, find_backup, plan_restore
from dbtui.routines.context import RoutineContext
from tests.benchmarks.bench_restore_postgresql import build
from tests.benchmarks.bench_sqlite import build as build_file

LIMIT = 1.2
_DATABASE_SHARE = 1.0  # of the megabytes of text


@dataclass(frozen=True)
class Case:
    """A way to dump."""

    name: str
    engine: EngineName
    form: BackupFormat
    kind: CompressionKind


CASES = (
    Case("PostgreSQL plain", EngineName.POSTGRESQL, BackupFormat.PLAIN, CompressionKind.NONE),
    Case("PostgreSQL plain zstd", EngineName.POSTGRESQL, BackupFormat.PLAIN, CompressionKind.ZSTD),
    Case("PostgreSQL custom gzip:1", EngineName.POSTGRESQL, BackupFormat.CUSTOM, CompressionKind.GZIP),
    Case("SQLite", EngineName.SQLITE, BackupFormat.COPY, CompressionKind.NONE),
    Case("SQLite zstd", EngineName.SQLITE, BackupFormat.COPY, CompressionKind.ZSTD),
)


def make_key(directory: Path) -> Path:
    """Make an identity; its recipient is its first comment's last word."""
    path = directory / "key.txt"
    subprocess.run(["age-keygen", "-o", path], check=True, capture_output=True)
    return path


def run_one(name: str, url: str, directory: str, key: str, *, restores: bool) -> None:
    """Make a backup and, if wanted, restore it, in this process, and print how long each took.

    An empty key encrypts nothing.
    """
    case = next(case for case in CASES if case.name == name)
    identity = Path(key).read_text() if key else ""
    recipients = tuple(line.split()[-1] for line in identity.splitlines() if line.startswith("# public key"))
    level = 1 if case.kind is CompressionKind.GZIP else None
    options = DumpOptions(format=case.form, compression=Compression(case.kind, level), encrypt_to=recipients)
    profile = ConnectionProfile(name="bench", engine=case.engine, url=url, database="source")
    context = RoutineContext(identity_of=lambda _name: Secret(identity) if identity else None)
    context.adapter(case.engine)
    began = time.monotonic()
    for _ in create_backup(context, profile, Path(directory), options):
        pass
    created = time.monotonic()
    if not restores:
        print(json.dumps({"create": created - began}))
        return
    (data,) = (path for path in Path(directory).iterdir() if not path.name.endswith(".json"))
    entry = find_backup(Path(directory), str(data))
    into = RestoreOptions(into="restored.db" if case.engine is EngineName.SQLITE else "restored")

    def restore() -> Routine[RestoreResult]:
        plan = yield from plan_restore(context, entry, profile, into)
        return (yield from apply_restore(context, profile, plan))

    for _ in restore():
        pass
    print(json.dumps({"create": created - began, "restore": time.monotonic() - created}))


def measure(
    case: Case, url: str, directory: Path, key: Path, rounds: int, clean: Callable[[], None], *, restores: bool
) -> bool:
    """Print a line for a case; False when it breaks the promise."""
    seconds: dict[tuple[str, bool], list[float]] = {}
    for _ in range(rounds):
        for encrypted in (False, True):
            words = ["--one", case.name, url, str(directory / "backups"), str(key) if encrypted else ""]
            words += [] if restores else ["--create-only"]
            run = subprocess.run([sys.executable, "-m", __spec__.name, *words], check=True, capture_output=True)
            for step, taken in json.loads(run.stdout).items():
                seconds.setdefault((step, encrypted), []).append(taken)
            shutil.rmtree(directory / "backups")
            clean()
            os.sync()
    kept = True
    for step in sorted({step for step, _ in seconds}):
        plain, sealed = min(seconds[(step, False)]), min(seconds[(step, True)])
        is_promised = step == "create" or case.engine is not EngineName.SQLITE
        is_kept = sealed / plain <= LIMIT or not is_promised
        kept &= is_kept
        said = "" if is_kept else f"more than {LIMIT}"
        print(f"{case.name:26} {step:8} {plain:8.2f} {sealed:8.2f} {sealed / plain:6.2f}  {said}", flush=True)
    return kept


def main(arguments: list[str] | None = None) -> int:
    """Print a table; 1 when the promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=400, help="megabytes of COPY text (400)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="cases whose name begins so")
    parser.add_argument("--create-only", action="store_true", help="make backups, restore none")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        run_one(*options.one, restores=not options.create_only)
        return 0
    print(f"{'case':26} {'step':8} {'plain s':>8} {'age s':>8} {'ratio':>6}", flush=True)
    cases = [case for case in CASES if case.name.startswith(options.only)]
    with PostgreSQL() as server, tempfile.TemporaryDirectory(prefix="dbtui-bench-") as name:
        directory = Path(name)
        key = make_key(directory)
        build(server, options.mb)
        server.execute("VACUUM (ANALYZE)", database="source")
        server.execute("CHECKPOINT")
        file = directory / "source.db"
        build_file(file, int(options.mb * _DATABASE_SHARE))
        os.environ["DBTUI_PG_BIN"] = str(server.binaries)

        def drop() -> None:
            server.execute("DROP DATABASE IF EXISTS restored")
            (directory / "restored.db").unlink(missing_ok=True)

        kept = [
            measure(
                case,
                f"sqlite:///{file}" if case.engine is EngineName.SQLITE else server.url("source"),
                directory,
                key,
                options.rounds,
                drop,
                restores=not options.create_only,
            )
            for case in cases
        ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
