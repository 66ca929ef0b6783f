"""What changing partitions makes others wait for, and who is refused: on PostgreSQL 15 and 18."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg2
import pytest

from dbtui.adapters.postgresql.partitions import PARTITIONS
from dbtui.demo.servers import PostgreSQL, PostgreSQLReplica
from dbtui.errors import LockedError, RefusedError
from dbtui.model.backups import TableName
from dbtui.model.events import Event, Progressed, Warned
from dbtui.model.partitions import LockPatience, StepKind, StepOutcome
from tests.adapters.bystanders import Bystander, keeps_promise
from tests.adapters.partition_tables import (
    LOGS,
    QUICK,
    apply_step,
    create_logs,
    executing,
    month,
    run_sql,
    see,
    step_for,
)
from tests.adapters.postgresql_sessions import add_login, any_database, any_server, newest_postgresql  # noqa: F401
from tests.adapters.postgresql_targets import opened, wait_until


@pytest.fixture
def url(any_server: PostgreSQL, any_database: str) -> str:  # noqa: F811
    return any_server.url(any_database)


@contextmanager
def reading(url: str) -> Iterator[psycopg2.extensions.connection]:
    """A reader who has looked at every partition and keeps the transaction open."""
    made = psycopg2.connect(url, application_name="nightly report")
    try:
        with made.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM logs")
        yield made
    finally:
        made.close()


@contextmanager
def bystanding(url: str) -> Iterator[Bystander]:
    """Somebody who reads `logs` all the time."""
    made = psycopg2.connect(url)
    made.autocommit = True

    def ask(sql: str) -> None:
        with made.cursor() as cursor:
            cursor.execute(sql)

    ask("CREATE TABLE IF NOT EXISTS calm AS SELECT now() AS at FROM generate_series(1, 90)")
    bystander = Bystander(
        lambda: ask("SELECT count(*) FROM logs WHERE at < now()"),
        lambda: ask("SELECT count(*) FROM calm WHERE at < now()"),
    )
    try:
        with bystander.watching():
            yield bystander
    finally:
        made.close()


@pytest.mark.parametrize("has_default", [False, True], ids=["no default", "default"])
def test_a_bystander_hardly_waits_while_a_reader_is_in_the_way(url: str, has_default: bool) -> None:
    def measure() -> float:
        run_sql(url, "DROP TABLE IF EXISTS logs, logs_1")
        create_logs(url, default=has_default)
        return change_beside_a_reader(url, has_default=has_default)

    assert keeps_promise(measure)


def change_beside_a_reader(url: str, *, has_default: bool) -> float:
    """Detach, create and drop, first with a reader in the way and then without; return how long a bystander waited."""
    patience = LockPatience(tries=8, seconds=4.0, longest_pause_seconds=0.1)
    events: list[Event] = []
    with opened(url) as target, bystanding(url) as bystander:
        table = see(target)
        with reading(url) as reader, executing(target, table, patience) as run:
            detached = run(step_for(table, StepKind.DETACH, "logs_1"), events.append)
            created = run(step_for(table, StepKind.CREATE, "logs_4", bound=month(4)), events.append)
            assert detached.outcome is StepOutcome.LOCKED
            assert f"session {reader.info.backend_pid} (nightly report" in detached.detail
            assert created.outcome is (StepOutcome.LOCKED if has_default else StepOutcome.DONE)
        assert any(isinstance(each, Warned) and "nightly report" in each.message for each in events)
        assert sum(isinstance(each, Progressed) for each in events) >= (patience.tries if has_default else 2)
        after = see(target)
        kind = StepKind.REPAIR_DETACH if any(each.is_detach_pending for each in after.partitions) else StepKind.DETACH
        with executing(target, after, patience) as run:
            assert run(step_for(after, kind, "logs_1")).outcome is StepOutcome.DONE
            assert run(step_for(after, StepKind.CREATE, "logs_4", bound=month(4))).outcome is not StepOutcome.LOCKED
            dropping = see(target)
            assert run(step_for(dropping, StepKind.DROP, "logs_1")).outcome is StepOutcome.DONE
    return bystander.longest_seconds


def test_an_old_transaction_is_not_even_tried(url: str) -> None:
    create_logs(url, default=True)
    """A try would last for an hour here."""
    patience = LockPatience(tries=2, rungs_seconds=(3600.0,), first_pause_seconds=0.01, old_seconds=0.0)
    with opened(url) as target, reading(url):
        result = apply_step(target, StepKind.DETACH, "logs_1", patience)
        assert result.outcome is StepOutcome.LOCKED


@pytest.mark.parametrize(
    ("kind", "has_default"),
    [(StepKind.CREATE, False), (StepKind.CREATE, True), (StepKind.DETACH, True)],
)
def test_locks_are_those_that_were_told(url: str, kind: StepKind, has_default: bool) -> None:
    """The step's own SQL in an open transaction, and what pg_locks shows of it."""
    create_logs(url, default=has_default)
    name = "logs_4" if kind is StepKind.CREATE else "logs_1"
    with opened(url) as target:
        fields = {"bound": month(4)} if kind is StepKind.CREATE else {}
        step = step_for(see(target), kind, name, **fields)
    made = psycopg2.connect(url)
    try:
        with made.cursor() as cursor:
            for sql in step.sql:
                cursor.execute(sql)
            cursor.execute(
                "SELECT relation::regclass::text, array_agg(mode) FROM pg_locks"
                " WHERE pid = pg_backend_pid() AND locktype = 'relation' GROUP BY 1"
            )
            held = {relation: {mode.removesuffix("Lock") for mode in modes} for relation, modes in cursor.fetchall()}
    finally:
        made.close()
    told = {"logs": step.locks.parent, name: step.locks.child, "logs_rest": step.locks.default}
    for relation, words in told.items():
        modes = held.get(relation, set())
        strongest = next((mode for mode in ("AccessExclusive", "ShareUpdateExclusive") if mode in modes), "")
        assert strongest.upper() == words.replace(" (new)", "").replace(" ", ""), relation


@pytest.fixture
def related(url: str) -> str:
    """`logs` with a foreign key to `orgs`, and one from `notes`."""
    run_sql(
        url,
        "CREATE TABLE orgs (id int PRIMARY KEY)",
        "CREATE TABLE logs (id int, at timestamptz NOT NULL, org int REFERENCES orgs, PRIMARY KEY (id, at))"
        " PARTITION BY RANGE (at)",
        "CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00')",
        "CREATE TABLE logs_2 PARTITION OF logs FOR VALUES FROM ('2026-02-01 00:00+00') TO ('2026-03-01 00:00+00')",
        "INSERT INTO orgs VALUES (1)",
        "INSERT INTO logs VALUES (1, '2026-01-05', 1)",
    )
    return url


def locked(url: str, sql: Sequence[str], relation: str) -> str:
    """The strongest lock on a table when statements have run, in an open transaction."""
    with closing(psycopg2.connect(url)) as made, made.cursor() as cursor:
        for each in sql:
            cursor.execute(each)
        cursor.execute("SELECT mode FROM pg_locks WHERE pid = pg_backend_pid() AND relation = %s::regclass", [relation])
        modes = {mode.removesuffix("Lock") for (mode,) in cursor.fetchall()}
    return next((mode for mode in ("AccessExclusive", "ShareRowExclusive", "RowShare") if mode in modes), "")


def test_locks_on_the_other_ends_of_foreign_keys_are_told(related: str) -> None:
    with opened(related) as target:
        table = see(target)
        create = step_for(table, StepKind.CREATE, "logs_3", bound=month(3))
        assert create.locks.others == "SHARE ROW EXCLUSIVE on public.orgs"
        assert locked(related, create.sql, "orgs") == "ShareRowExclusive"
        detach = step_for(replace(table, server_version_number=130000), StepKind.DETACH, "logs_1")
        assert detach.locks.others == "SHARE ROW EXCLUSIVE on public.orgs"
        assert locked(related, detach.sql, "orgs") == "ShareRowExclusive"
        assert apply_step(target, StepKind.DETACH, "logs_1").outcome is StepOutcome.DONE
        drop = step_for(see(target), StepKind.DROP, "logs_1")
        assert drop.locks.others == "ACCESS EXCLUSIVE on public.orgs"
        assert locked(related, drop.sql, "orgs") == "AccessExclusive"
        run_sql(related, "CREATE TABLE notes (id int, at timestamptz, FOREIGN KEY (id, at) REFERENCES logs)")
        create = step_for(see(target), StepKind.CREATE, "logs_3", bound=month(3))
        assert create.locks.others.endswith(", SHARE ROW EXCLUSIVE on public.notes")
        assert locked(related, create.sql, "notes") == "ShareRowExclusive"
        older = replace(see(target), server_version_number=140000)
        assert "notes" not in step_for(older, StepKind.CREATE, "logs_3", bound=month(3)).locks.others


def test_who_writes_into_a_table_that_a_foreign_key_names_is_named(related: str) -> None:
    """Attaching a partition waits for them, too; nothing of the table itself is locked by anybody."""
    with closing(psycopg2.connect(related, application_name="nightly import")) as made, opened(related) as target:
        with made.cursor() as cursor:
            cursor.execute("INSERT INTO orgs VALUES (2)")
        result = apply_step(target, StepKind.CREATE, "logs_3", bound=month(3))
        assert result.outcome is StepOutcome.LOCKED
        assert f"session {made.info.backend_pid} (nightly import" in result.detail
        made.rollback()
        assert apply_step(target, StepKind.CREATE, "logs_3", bound=month(3)).outcome is StepOutcome.DONE


def test_two_runs_do_not_meet(url: str) -> None:
    create_logs(url)
    with opened(url) as target:
        table = see(target)
        with (
            PARTITIONS.open_executor(target, table, QUICK),
            pytest.raises(LockedError, match=r"another run .* session \d+"),
            PARTITIONS.open_executor(target, table, QUICK),
        ):
            pass
        assert apply_step(target, StepKind.DETACH, "logs_1").outcome is StepOutcome.DONE


def test_who_is_not_the_owner_is_refused(any_server: PostgreSQL, any_database: str) -> None:  # noqa: F811
    create_logs(any_server.url(any_database))
    login = add_login(any_server)
    run_sql(any_server.url(any_database), f"GRANT SELECT ON logs TO {login}")
    url = f"postgresql://{login}:x@{any_server.host}:{any_server.port}/{any_database}"
    with opened(url) as target:
        table = see(target)
        assert (table.is_owner, table.owner) == (False, "postgres")
        with (
            pytest.raises(RefusedError, match="only its owner"),
            PARTITIONS.open_executor(target, table, QUICK),
        ):
            pass
    run_sql(any_server.url(any_database), f"DROP OWNED BY {login}", f"DROP ROLE {login}")


def test_a_pooler_in_the_path_is_refused(pgbouncer_database: str, postgresql_database: str) -> None:
    create_logs(postgresql_database)
    with opened(pgbouncer_database) as target:
        table = see(target)
        assert table.is_pooled
        with (
            pytest.raises(RefusedError, match="pooler"),
            PARTITIONS.open_executor(target, table, QUICK),
        ):
            pass


def test_a_replica_is_refused(postgresql_database: str, postgresql_replica: PostgreSQLReplica) -> None:
    create_logs(postgresql_database)
    name = postgresql_database.rpartition("/")[2]
    wait_until(lambda: postgresql_replica.host != "" and _is_there(postgresql_replica.url(name)))
    with opened(postgresql_replica.url(name)) as target:
        table = see(target)
        assert table.is_replica
        with (
            pytest.raises(RefusedError, match="replica"),
            PARTITIONS.open_executor(target, table, QUICK),
        ):
            pass


def _is_there(url: str) -> bool:
    try:
        return run_sql(url, "SELECT count(*) FROM pg_class WHERE relname = 'logs_3'") == [(1,)]
    except psycopg2.Error:
        return False


def test_a_read_only_profile_is_refused(url: str) -> None:
    create_logs(url)
    with opened(url, read_only=True) as target:
        table = see(target)
        with (
            pytest.raises(RefusedError, match="read-only"),
            PARTITIONS.open_executor(target, table, QUICK),
        ):
            pass


_RUN = """
import sys
from dbtui.model.partitions import LockPatience, StepKind
from tests.adapters.partition_tables import executing, month, see, step_for
from tests.adapters.postgresql_targets import opened
with opened(sys.argv[1]) as target:
    table = see(target)
    with executing(target, table, LockPatience(tries=1000, seconds=60.0, longest_pause_seconds=0.05)) as run:
        print("ready", flush=True)
        run(step_for(table, StepKind.DETACH, "logs_1"))
        run(step_for(table, StepKind.CREATE, "logs_4", bound=month(4)))
"""


@pytest.mark.parametrize("delay", [0.0, 0.05, 0.2, 0.6])
@pytest.mark.parametrize("has_default", [False, True], ids=["concurrently", "plainly"])
def test_a_run_that_is_killed_leaves_what_a_new_one_goes_on_from(url: str, has_default: bool, delay: float) -> None:
    create_logs(url, default=has_default)
    before = run_sql(url, "SELECT count(*) FROM logs")
    with reading(url):
        run_in = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
        process = subprocess.Popen([sys.executable, "-c", _RUN, url], stdout=subprocess.PIPE, env=run_in)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        threading.Event().wait(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    with opened(url) as target:
        wait_until(lambda: _is_free(url))
        table = see(target)
        pending = [each.table.name for each in table.partitions if each.is_detach_pending]
        if pending:
            assert apply_step(target, StepKind.REPAIR_DETACH, "logs_1").outcome is StepOutcome.DONE
        elif any(each.table.name == "logs_1" for each in table.partitions):
            assert apply_step(target, StepKind.DETACH, "logs_1").outcome is StepOutcome.DONE
        assert apply_step(target, StepKind.CREATE, "logs_4", bound=month(4)).outcome is not StepOutcome.FAILED
        after = see(target)
        assert [each.table for each in after.detached] == [TableName("public", "logs_1")]
        assert [each.bound for each in after.partitions if not each.is_default] == [month(2), month(3), month(4)]
    assert run_sql(url, "SELECT (SELECT count(*) FROM logs) + (SELECT count(*) FROM logs_1)") == before
    assert after.table == LOGS


def _is_free(url: str) -> bool:
    held = run_sql(url, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
    return held == [(0,)]
