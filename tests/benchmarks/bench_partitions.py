"""What 10,000 partitions cost: `dbtui partitions` beside psql asking the one question of the catalogue that it needs.

Each is a fresh process from its start to its end: wall and CPU seconds and the most memory it had. The promises are
`show` and `plan` of a table with 10,000 partitions within a second and 150 MB each, one question for the partitions,
and, while a plan makes 500 of them, no SELECT of a bystander that takes 300 ms. Making the tables takes some minutes.
Exits with 1 when a promise is broken. Run with `python -m tests.benchmarks.bench_partitions`.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

from dbtui.demo.servers import MariaDB, PostgreSQL, ServerDirectory

PROMISED_SECONDS = 1.0
PROMISED_MB = 150.0
PROMISED_WAIT_SECONDS = 0.3
MOST_OF_MARIADB = 8192
#: What a program needs to know at the least: names, bounds, sizes and rows of a table's partitions.
QUESTION = """
SELECT c.oid, c.relname, c.relnamespace, c.relkind, c.relpages, c.reltuples, pg_get_expr(c.relpartbound, c.oid)
FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'events'::regclass
"""
FILL = """
CREATE PROCEDURE fill(parent text, count int) LANGUAGE plpgsql AS $$
DECLARE day date := current_date - count + 5;
BEGIN
  EXECUTE format('CREATE TABLE %I (id bigint NOT NULL, at timestamptz NOT NULL, what text)'
                 ' PARTITION BY RANGE (at)', parent);
  EXECUTE format('CREATE INDEX ON %I (at)', parent);
  FOR number IN 1..count LOOP
    EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                   parent || to_char(day, '_YYYY_MM_DD'), parent, day::timestamptz, (day + 1)::timestamptz);
    day := day + 1;
    IF number % 50 = 0 THEN COMMIT; END IF;
  END LOOP;
END $$
"""


@dataclass(frozen=True)
class Usage:
    """What a process took from its start to its end."""

    wall_seconds: float
    cpu_seconds: float
    peak_mb: float


@dataclass
class Bench:
    """Runs commands and keeps what they took."""

    environ: dict[str, str]
    repeat: int
    broken: list[str] = field(default_factory=list)

    def run_once(self, argv: Sequence[str], environ: dict[str, str]) -> Usage:
        """Run a command that must succeed. Raises CalledProcessError."""
        began = time.perf_counter()
        process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, env={**self.environ, **environ})
        _, status, used = os.wait4(process.pid, 0)
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, argv)
        return Usage(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)

    def measure(self, name: str, argv: Sequence[str], bare: Usage | None = None, **environ: str) -> Usage:
        """Run a command several times, print the quickest with the most memory of all, beside the bare tool's."""
        runs = [self.run_once(argv, environ) for _ in range(self.repeat)]
        quickest = min(runs, key=lambda run: run.wall_seconds)
        found = Usage(quickest.wall_seconds, min(run.cpu_seconds for run in runs), max(run.peak_mb for run in runs))
        ratio = "" if bare is None else f"{found.wall_seconds / bare.wall_seconds:9.1f}"
        figures = f"{found.wall_seconds:9.3f} {found.cpu_seconds:9.3f} {found.peak_mb:9.1f}"
        print(f"{name:44} {figures} {ratio}", flush=True)
        return found

    def promise(self, name: str, found: Usage) -> None:
        """Note what took longer or more memory than promised."""
        if found.wall_seconds > PROMISED_SECONDS:
            self.broken.append(f"{name} took {found.wall_seconds:.2f} s, and {PROMISED_SECONDS:.0f} s is promised")
        if found.peak_mb > PROMISED_MB:
            self.broken.append(f"{name} had {found.peak_mb:.0f} MB, and {PROMISED_MB:.0f} MB is promised")


def dbtui(*words: str) -> list[str]:
    """The command line of `dbtui partitions`."""
    return [sys.executable, "-m", "dbtui", "partitions", *words]


def head(title: str) -> None:
    """Print what the columns are."""
    print(f"{title:44} {'wall s':>9} {'CPU s':>9} {'peak MB':>9} {'ratio':>9}", flush=True)


# ---------------------------------------------------------------- PostgreSQL


class PostgresqlLab:
    """A private server, with a database for each question."""

    def __init__(self, server: PostgreSQL) -> None:
        self.server = server

    def create(self, database: str) -> None:
        """Make a database in which tables can be filled."""
        self.server.execute(f"CREATE DATABASE {database} TEMPLATE template0")
        self.server.execute(FILL, database=database)

    def profile(self, database: str) -> str:
        """The URL that dbtui is given, without a password."""
        return f"postgresql://postgres@127.0.0.1:{self.server.port}/{database}"

    def psql(self, database: str, *words: str) -> list[str]:
        """The command line of psql for a database."""
        return [
            str(self.server.binaries / "psql"), "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1",
            "-p", str(self.server.port), "-U", "postgres", "-d", database, *words,
        ]  # fmt: skip


def bench_one_table(bench: Bench, lab: PostgresqlLab, partitions: int) -> None:
    """One table with very many partitions."""
    lab.create("many")
    began = time.perf_counter()
    lab.server.execute(f"CALL fill('events', {partitions})", database="many")
    lab.server.execute("ANALYZE pg_catalog.pg_class, pg_catalog.pg_inherits, pg_catalog.pg_index", database="many")
    head(f"PostgreSQL, {partitions} partitions ({time.perf_counter() - began:.0f} s to make)")
    url = lab.profile("many")
    bare = bench.measure("psql, the one question", lab.psql("many", "-c", QUESTION))
    bench.measure("psql, \\d+", lab.psql("many", "-c", "\\d+ events"), bare)
    kept = ["--retention", "30 years", "--premake", "10"]
    for name, argv in {
        "show TABLE": dbtui("show", url, "events"),
        "show TABLE --json": dbtui("show", url, "events", "--json"),
        "show": dbtui("show", url),
        "plan TABLE": dbtui("plan", url, "events"),
        "plan TABLE --premake 10 --retention": dbtui("plan", url, "events", *kept),
    }.items():
        bench.promise(name, bench.measure(f"dbtui partitions {name}", argv, bare))
    asked = count_questions(bench, lab, dbtui("plan", url, "events"))
    print(f"questions of a plan that name pg_inherits and bounds: {asked}", flush=True)
    if asked != 1:
        bench.broken.append(f"a plan asked {asked} times for the partitions")


def count_questions(bench: Bench, lab: PostgresqlLab, argv: Sequence[str]) -> int:
    """How many statements of a command asked for bounds, by the server's log."""
    log = lab.server.home / "server.log"
    lab.server.execute("ALTER DATABASE many SET log_min_duration_statement = 0")
    seen = log.stat().st_size
    bench.run_once(argv, {})
    lab.server.execute("ALTER DATABASE many RESET log_min_duration_statement")
    with log.open(errors="replace") as lines:
        lines.seek(seen)
        said = lines.read()
    return sum("relpartbound" in each and "pg_inherits" in each for each in said.split(" statement: "))


def bench_many_tables(bench: Bench, lab: PostgresqlLab, parents: int, each: int) -> None:
    """A database with many partitioned tables."""
    lab.create("wide")
    for number in range(parents):
        lab.server.execute(f"CALL fill('events_{number:03d}', {each})", database="wide")
    head(f"PostgreSQL, {parents} tables of {each} partitions")
    bare = bench.measure("psql, \\dP", lab.psql("wide", "-c", "\\dP"))
    found = bench.measure("dbtui partitions show", dbtui("show", lab.profile("wide")), bare)
    bench.promise("show of a whole database", found)


def bench_apply(bench: Bench, lab: PostgresqlLab, count: int) -> None:
    """A plan that makes many partitions, while somebody reads the table."""
    lab.create("growing")
    lab.server.execute("CALL fill('events', 6)", database="growing")
    lab.server.execute("INSERT INTO events SELECT n, now() FROM generate_series(1, 1000) n", database="growing")
    lab.server.execute("CREATE DATABASE bare TEMPLATE growing")
    words = ["--premake", str(count + 4), "--interval", "1 day"]
    planned = subprocess.run(
        dbtui("plan", lab.profile("bare"), "events", *words, "--json"),
        env=bench.environ,
        capture_output=True,
        check=True,
    )
    steps = [f"BEGIN; {'; '.join(step['sql'])}; COMMIT;" for step in json.loads(planned.stdout)["steps"]]
    head(f"PostgreSQL, {len(steps)} partitions made by one plan")
    single = Bench(bench.environ, 1)
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        script.write("\n".join(steps))
        script.flush()
        bare = single.measure("psql, the same statements", lab.psql("bare", "-f", script.name))
    ours = dbtui("apply", lab.profile("growing"), "events", *words, "--yes", "public.events", "--quiet")
    with reading(lab, "growing") as waits:
        found = single.measure("dbtui partitions apply", ours, bare)
    print(f"{len(steps) / found.wall_seconds:.0f} steps/s; {len(waits)} reads of a bystander, the longest"
          f" {1000 * max(waits):.0f} ms")  # fmt: skip
    if found.peak_mb > PROMISED_MB:
        bench.broken.append(f"apply had {found.peak_mb:.0f} MB, and {PROMISED_MB:.0f} MB is promised")
    if max(waits) >= PROMISED_WAIT_SECONDS:
        bench.broken.append(f"a bystander's SELECT took {max(waits):.2f} s")


@contextmanager
def reading(lab: PostgresqlLab, database: str) -> Iterator[list[float]]:
    """Somebody who reads the newest rows again and again; how long each read took, in seconds."""
    waits: list[float] = []
    is_over = threading.Event()

    def read() -> None:
        with closing(psycopg2.connect(lab.server.url(database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                while not is_over.is_set():
                    began = time.perf_counter()
                    cursor.execute("SELECT count(*) FROM events WHERE at >= current_date AND at < current_date + 1")
                    waits.append(time.perf_counter() - began)
                    is_over.wait(0.002)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield waits
    finally:
        is_over.set()
        reader.join()


# ---------------------------------------------------------------- MariaDB


def bench_mariadb(bench: Bench, server: MariaDB, partitions: int) -> None:
    """One table with as many partitions as MariaDB allows."""
    parts = ", ".join(f"PARTITION p{n} VALUES LESS THAN (TO_DAYS('2035-01-01') + {n - partitions})"
                      for n in range(partitions))  # fmt: skip
    began = time.perf_counter()
    server.execute("CREATE DATABASE many")
    server.execute(
        "CREATE TABLE many.events (id bigint NOT NULL, at date NOT NULL, KEY (at)) ENGINE=InnoDB"
        f" PARTITION BY RANGE (TO_DAYS(at)) ({parts})"
    )
    head(f"MariaDB, {partitions} partitions ({time.perf_counter() - began:.0f} s to make)")
    question = (
        "SELECT partition_name, partition_description, table_rows, data_length FROM information_schema.partitions"
        " WHERE table_schema = 'many' AND table_name = 'events'"
    )
    client = ["mariadb", "-N", "-B", "-h", "127.0.0.1", f"-P{server.port}", "-uroot", "-e", question]
    bare = bench.measure("mariadb, the one question", client, MYSQL_PWD=server.password)
    bench.environ["BENCH_SECRET"] = server.password
    for name, argv in {
        "show TABLE": dbtui("show", "maria", "events"),
        "show": dbtui("show", "maria"),
        "plan TABLE": dbtui("plan", "maria", "events"),
    }.items():
        bench.promise(f"{name} of MariaDB", bench.measure(f"dbtui partitions {name}", argv, bare))


def main(arguments: list[str] | None = None) -> int:
    """Print tables; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--partitions", type=int, default=10_000)
    parser.add_argument("--parents", type=int, default=200)
    parser.add_argument("--creates", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--mb", help="for other benchmarks")
    asked = parser.parse_args(arguments)
    with ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="dbtui-bench-"))
        servers = stack.enter_context(ServerDirectory.create())
        server = stack.enter_context(PostgreSQL(servers))
        passfile = Path(home, "pgpass")
        passfile.write_text(f"*:*:*:*:{server.password}\n")
        passfile.chmod(0o600)
        config = Path(home, "config.toml")
        config.touch(mode=0o600)
        own = {"HOME": home, "XDG_STATE_HOME": home, "PGPASSFILE": str(passfile), "DBTUI_CONFIG": str(config)}
        bench = Bench({**os.environ, **own}, asked.repeat)
        lab = PostgresqlLab(server)
        bench_apply(bench, lab, asked.creates)
        bench_many_tables(bench, lab, asked.parents, 50)
        if MariaDB.is_installed():
            with MariaDB(servers) as mariadb:
                place = f"mariadb://root@127.0.0.1:{mariadb.port}/many"
                config.write_text(f'[profiles.maria]\nurl = "{place}"\npassword_env = "BENCH_SECRET"\n')
                bench_mariadb(bench, mariadb, min(asked.partitions, MOST_OF_MARIADB))
        bench_one_table(bench, lab, asked.partitions)
    for sentence in bench.broken:
        print(f"broken: {sentence}")
    return 1 if bench.broken else 0


if __name__ == "__main__":
    sys.exit(main())
