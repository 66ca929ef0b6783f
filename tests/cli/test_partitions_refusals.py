"""`dbtui partitions` with what it cannot or must not do: one sentence, the right exit code, and nothing changed."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psycopg2
import pytest

from dbtui.demo.servers import PostgreSQL, PostgreSQLReplica
from dbtui.model.tables import TableName
from tests.adapters.postgresql_sessions import add_login
from tests.cli.program import Ran, run
from tests.fix_servers import unique_name, wait_until
from tests.routines.partition_scene import Scene


def create_logs(scene: Scene) -> Scene:
    """`logs` by months of UTC, and things that are no partitioned tables."""
    scene.run(
        "CREATE TABLE logs (id bigint NOT NULL, at timestamptz NOT NULL) PARTITION BY RANGE (at)",
        *(
            f"CREATE TABLE logs_2026_{month:02d} PARTITION OF logs FOR VALUES FROM ('2026-{month:02d}-01 00:00+00')"
            f" TO ('2026-{month + 1:02d}-01 00:00+00')"
            for month in (1, 2)
        ),
        "CREATE TABLE plain (i int)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE MATERIALIZED VIEW m AS SELECT 1",
    )
    return scene


@pytest.fixture
def scene(postgresql_database: str, tmp_path: Path) -> Scene:
    """A database of this test alone."""
    return create_logs(Scene(postgresql_database, tmp_path))


@pytest.fixture(scope="module")
def still(postgresql_server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A database in which nothing is ever changed."""
    name = unique_name("still")
    postgresql_server.execute(f'CREATE DATABASE "{name}" TEMPLATE template0')
    yield create_logs(Scene(postgresql_server.url(name), tmp_path_factory.mktemp("still")))
    postgresql_server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def command(scene: Scene, verb: str, *words: object, url: str = "") -> Ran:
    return run("partitions", verb, url or scene.url, *words, cwd=scene.folder)


@contextmanager
def unchanged(scene: Scene) -> Iterator[None]:
    before = scene.run("SELECT oid, relname, relispartition, relchecks FROM pg_class ORDER BY 1")
    yield
    assert scene.run("SELECT oid, relname, relispartition, relchecks FROM pg_class ORDER BY 1") == before


LONG = "x" * 70


@pytest.mark.parametrize(
    ("verb", "table", "said"),
    [
        ("show", "plain", "public.plain is a table that is not partitioned"),
        ("plan", "plain", "public.plain is a table that is not partitioned"),
        ("apply", "plain", "public.plain is a table that is not partitioned"),
        ("apply", "public.v", "public.v is a view"),
        ("plan", "m", "public.m is a materialized view"),
        ("apply", "logs_2026_01", "public.logs_2026_01 is a partition, and not itself partitioned"),
        ("apply", "LOGS", "there is no table LOGS here"),
        ("show", "nowhere.logs", "there is no table nowhere.logs here"),
        ("apply", f"public.{LONG}", f"there is no table public.{LONG} here"),
        ("show", '"logs', "no table's name"),
        ("apply", "", "no table's name"),
        ("apply", "evil\x1b[31m", "there is no table"),
    ],
)
def test_what_is_no_partitioned_table(still: Scene, verb: str, table: str, said: str) -> None:
    words = ("--interval", "1 month", "--yes", table) if verb == "apply" else ()
    with unchanged(still):
        done = command(still, verb, table, *words)
    assert done.code == 2
    assert said in done.sentence
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--interval", "every now and then"), "--interval: “every now and then” is no interval"),
        (("--interval", "1.5 days"), "--interval: "),
        (("--interval", "30 seconds"), "--interval: “30 seconds” has a unit"),
        (("--interval", "9" * 400 + " days"), "--interval: "),
        (("--retention", "a year or so"), "--retention: "),
        (("--time-zone", "../../etc/passwd"), "--time-zone: "),
        (("--codec", "roman"), "--codec: "),
    ],
)
def test_what_cannot_be_read(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    """It is said before a server is asked."""
    done = run("partitions", "apply", "postgresql://127.0.0.1:1/x", "logs", *words, "--yes", "logs", cwd=tmp_path)
    assert done.code == 2
    assert done.sentence.startswith(said)
    assert len(done.stderr) < 1000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--interval", "1 day"), "says 1 day, and no partition is that long"),
        (("--interval", "1 hour"), "says 1 hour, and no partition is that long"),
        (("--interval", "1000"), "the key holds time, and an interval of 1000 is a number"),
        (("--interval", "1 month", "--retention", "1000"), "both are time, or both numbers"),
        (("--interval", "1 month", "--codec", "epoch ms"), "needs no codec"),
        (("--interval", "1 month", "--premake", "0"), "premake 0"),
        (("--interval", "1 month", "--time-zone", "Europe/Paris"), "no midnight in Europe/Paris"),
        (("--interval", "1 month", "--time-zone", "America/Sao_Paulo"), "no midnight in America/Sao_Paulo"),
        (("--interval", "1 month", "--retention", "90000 years"), "the calendar of public.logs ends"),
    ],
)
def test_a_policy_that_disagrees_with_what_is_there(still: Scene, words: tuple[str, ...], said: str) -> None:
    with unchanged(still):
        done = command(still, "apply", "logs", *words, "--yes", "public.logs")
    assert done.code == 6
    assert said in done.sentence


def test_a_plan_that_is_refused_is_shown_with_its_reason(still: Scene) -> None:
    planned = command(still, "plan", "logs", "--interval", "1 week")
    assert planned.code == 6
    assert "refused the policy of public.logs says 1 week" in " ".join(planned.stdout.split())
    assert "nothing was changed" in planned.sentence


def test_who_is_not_the_owner(postgresql_server: PostgreSQL, scene: Scene) -> None:
    login = add_login(postgresql_server)
    scene.run(f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {login}")
    url = f"postgresql://{login}:x@{scene.url.rpartition('@')[2]}"
    try:
        shown = command(scene, "show", "logs", url=url)
        assert shown.code == 0
        assert "does not belong to this login" in " ".join(shown.stdout.split())
        with unchanged(scene):
            assert command(scene, "plan", "logs", url=url).code == 6
            done = command(scene, "apply", "logs", "--yes", "public.logs", url=url)
        assert done.code == 6
        assert "this login does not own public.logs" in done.sentence
        assert "GRANT postgres TO" in done.sentence
        scene.run(
            f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {login}", f"REVOKE ALL ON SCHEMA public FROM {login}"
        )
        assert command(scene, "show", "public.logs", url=url).code == 0
    finally:
        scene.run(f"DROP OWNED BY {login}", f"DROP ROLE {login}")


def test_a_standby(scene: Scene, postgresql_replica: PostgreSQLReplica) -> None:
    url = postgresql_replica.url(scene.url.rpartition("/")[2])
    wait_until(lambda: command(scene, "show", "logs", url=url).code == 0)
    done = command(scene, "apply", "logs", "--yes", "public.logs", url=url)
    assert done.code == 6
    assert "this server is a standby: plan for public.logs on its primary" in done.sentence


def test_rows_in_the_way_few_and_many(scene: Scene) -> None:
    """Few are moved into the partition they belong to. Many stay, with a sentence."""
    scene.run(
        "CREATE TABLE logs_rest PARTITION OF logs DEFAULT",
        "INSERT INTO logs SELECT i, '2026-03-05' FROM generate_series(1, 3) i",
        "INSERT INTO logs SELECT i, '2026-04-05' FROM generate_series(1, 20001) i",
    )
    words = ("--interval", "1 month", "--retention", "12 months", "--yes", "public.logs")
    planned = command(scene, "plan", "logs", *words[:4])
    assert "drain default public.logs_2026_03" in planned.stdout
    assert "20.0 k rows in the way of public.logs_2026_04" in " ".join(planned.stdout.split())
    done = command(scene, "apply", "logs", *words)
    assert done.code == 3
    assert "left alone: public.logs_rest has 20.0 k rows in the way of public.logs_2026_04" in done.stderr
    assert scene.run("SELECT count(*) FROM ONLY logs_2026_03") == [(3,)]
    assert scene.run("SELECT count(*) FROM logs_rest") == [(20001,)]
    assert "logs_2026_05" in scene.bounds()
    again = command(scene, "apply", "logs", *words)
    assert again.code == 6
    assert "20.0 k rows in the way of public.logs_2026_04" in again.sentence


def test_a_lock_that_lasts_longer_than_patience(scene: Scene) -> None:
    words = ("logs", "--premake", "1", "--patience", "1", "--yes", "public.logs")
    assert command(scene, "apply", *words).code == 0
    last = list(scene.bounds())[-1]
    scene.run(f"DROP TABLE {last}")
    with closing(psycopg2.connect(scene.url, application_name="nightly report")) as holder:
        with holder.cursor() as cursor:
            cursor.execute("LOCK TABLE logs IN SHARE MODE")
        done = command(scene, "apply", *words)
    assert done.code == 3
    assert "nightly report" in done.stderr
    assert "locked" in done.stdout
    assert "Traceback" not in done.stderr
    assert last not in scene.bounds()
    assert command(scene, "apply", *words).code == 0
    assert last in scene.bounds()


@pytest.mark.parametrize(
    ("schema", "name"),
    [('My "Odd; S', "T'%s -- x"), ("public", "Audit Logs"), ("Pub.Lic", "läg$1"), ("public", "\x1b[31m")],
)
def test_names_as_they_are_typed(scene: Scene, schema: str, name: str) -> None:
    """Quoted as in SQL on the command line; the name that confirms is the plain one."""
    scene.table = TableName(schema, name)
    quoted = '"' + schema.replace('"', '""') + '"'
    scene.run(f"CREATE SCHEMA IF NOT EXISTS {quoted}",
              f'CREATE TABLE {scene.name} ("When" date NOT NULL) PARTITION BY RANGE ("When")')  # fmt: skip
    typed = scene.name
    refused = command(scene, "apply", typed, "--interval", "1 month")
    assert refused.code == 6
    done = command(scene, "apply", typed, "--interval", "1 month", "--premake", "2", "--yes", f"{schema}.{name}")
    assert done.code == 0, done.stderr
    assert len(scene.bounds()) == 3
    shown = command(scene, "show", typed)
    assert (shown.code, "\x1b" in shown.stdout + done.stdout + done.stderr + refused.stderr) == (0, False)
    assert command(scene, "plan", typed, "--interval", "1 month", "--premake", "2", "--check").code == 0
