"""`dbtui pools …` with a real PgBouncer before a real PostgreSQL: what is told, ordered, refused, recorded."""

import json
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from dbtui.demo.servers import PgBouncer, PostgreSQL
from dbtui.recordings import read_recording
from tests.cli.program import Ran, argv, environment, run
from tests.fix_servers import unique_name

SIZE = 2


@dataclass
class Place:
    """A profile `erp` whose PgBouncer has pools of two."""

    pooler: PgBouncer
    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"DBTUI_CONFIG": str(self.folder / "config.toml"), "XDG_STATE_HOME": str(self.folder / "state"),
                "PGPASSFILE": str(self.folder / "pgpass")}  # fmt: skip

    def configure(self, user: str = "", **settings: str) -> None:
        user = user or self.pooler.admin_user
        secret = self.pooler.users[user]
        pgpass = self.folder / "pgpass"
        pgpass.write_text(f"*:*:pgbouncer:{user}:{secret}\n")
        pgpass.chmod(0o600)
        console = self.pooler.console_url(user).replace(f":{secret}@", "@")
        more = "".join(f"{name} = {value}\n" for name, value in settings.items())
        for name in ("erp", "clients"):
            text = f'[profiles.{name}]\nurl = "{self.pooler.server.url()}"\npgbouncer_url = "{console}"\n{more}\n'
            with (self.folder / "config.toml").open("a" if name == "clients" else "w") as file:
                file.write(text)

    def run(self, *words: object) -> Ran:
        return run("pools", *words, cwd=self.folder, **self.environ)


@pytest.fixture
def place(postgresql_server: PostgreSQL, tmp_path: Path) -> Iterator[Place]:
    pooler = PgBouncer(postgresql_server, name=unique_name("pools"), settings={"default_pool_size": str(SIZE)})
    pooler.start()
    try:
        made = Place(pooler, tmp_path)
        made.configure()
        with closing(psycopg2.connect(pooler.url())) as connection:  # PgBouncer knows a database once it was asked for
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute("SELECT 1")
            yield made
    finally:
        pooler.stop()


def _sleep(connection: Any, seconds: float) -> threading.Thread:
    def work() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [seconds])

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


@pytest.fixture
def crowd(place: Place) -> Iterator[None]:
    """Five clients that want two servers for six seconds."""
    with ExitStack() as stack:
        connections = [stack.enter_context(closing(psycopg2.connect(place.pooler.url(), application_name="crowd")))
                       for _ in range(5)]  # fmt: skip
        for connection in connections:
            connection.autocommit = True
        threads = [_sleep(connection, 6.0) for connection in connections]
        with closing(psycopg2.connect(place.pooler.console_url())) as console:
            console.autocommit = True
            ends = time.monotonic() + 10
            while time.monotonic() < ends and _waiting(console) < 5 - SIZE:
                time.sleep(0.05)
        yield
        for thread in threads:
            thread.join()


def _waiting(console: Any) -> int:
    with console.cursor() as cursor:
        cursor.execute("SHOW POOLS")
        names = [column.name for column in cursor.description]
        return sum(int(row[names.index("cl_waiting")]) for row in cursor.fetchall())


def test_the_ladder_within_eighty_columns(place: Place) -> None:
    done = place.run("erp")
    assert done.code == 0
    lines = done.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert [line.split()[1] for line in lines[:3]] == ["PgBouncer", "server", "host"]
    assert any("nothing is saturated" in line for line in lines)


def test_one_document(place: Place) -> None:
    document = place.run("erp", "--json").document
    assert document["target"] == "erp"
    assert [tier["tier"] for tier in document["tiers"]] == ["pooler", "server", "host"]
    assert document["verdict"]["kind"] == "ok"
    assert {"countdowns", "projections", "checks", "hidden_queue", "queue", "rates", "gaps"} <= document.keys()


def test_one_look_is_enough_for_a_pool_that_is_full_of_short_transactions(place: Place) -> None:
    ended = threading.Event()

    def hurry() -> None:
        with closing(psycopg2.connect(place.pooler.url())) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while not ended.is_set():
                cursor.execute("SELECT pg_sleep(0.05)")

    threads = [threading.Thread(target=hurry, daemon=True) for _ in range(3 * SIZE + 2)]
    for thread in threads:
        thread.start()
    try:
        done = place.run("erp", "--json", "--fail-on", "critical")
    finally:
        ended.set()
        for thread in threads:
            thread.join(10)
    assert done.code == 7
    assert done.document["verdict"]["kind"] == "pooler_pool"


@pytest.mark.usefixtures("crowd")
def test_a_full_pool_is_named_and_may_fail_the_command(place: Place) -> None:
    done = place.run("erp", "--json", "--watch", "0.5", "--fail-on", "critical")
    assert done.code == 7
    looks = [json.loads(line) for line in done.stdout.splitlines()]
    assert {look["version"] for look in looks} == {1}
    last = looks[-1]
    assert last["verdict"]["kind"] == "pooler_pool"
    (pooler,) = [tier for tier in last["tiers"] if tier["tier"] == "pooler"]
    assert (pooler["pools"][0]["used"], pooler["pools"][0]["waiting"]) == (SIZE, 5 - SIZE)
    assert "pool_size" in last["verdict"]["recommendation"]["command"]


@pytest.mark.usefixtures("crowd")
def test_clients_from_application_to_query(place: Place) -> None:
    clients = place.run("clients", "erp", "--json").document["clients"]
    ours = [each for each in clients if each["application"].startswith("crowd")]
    assert len(ours) == 5
    served = [each for each in ours if each["server_pid"] is not None]
    assert len(served) == SIZE
    assert all("pg_sleep" in each["sql"] for each in served)
    assert sum(each["state"] == "waiting" for each in ours) == 5 - SIZE
    assert "pg_sleep" in place.run("clients", "erp").stdout


def test_watching_until_interrupted_and_recording(place: Place) -> None:
    """A line each interval; Ctrl-C ends it with 130; the recording is private and can be read again."""
    path = place.folder / "looks.jsonl"
    words = argv("pools", "erp", "--watch", "0.3", "--json", "--record", path)
    with subprocess.Popen(words, env=environment(**place.environ), cwd=place.folder, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:  # fmt: skip
        assert process.stdout is not None
        seen = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130
    assert [each["target"] for each in seen] == ["erp"] * 3
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(list(read_recording(path))) >= 3
    again = place.run("erp", "--record", path)
    assert again.code != 0
    assert "looks.jsonl" in again.sentence


def test_orders_are_planned_confirmed_and_kept(place: Place) -> None:
    dry = place.run("pause", "erp", "postgres", "--dry-run", "--json")
    assert dry.code == 0
    assert dry.result["plan"]["command"].startswith("PAUSE")
    unsure = place.run("pause", "erp", "postgres")
    assert unsure.code == 6
    assert "--yes postgres" in unsure.sentence
    assert place.run("pause", "erp", "postgres", "--yes", "postgres").code == 0
    document = place.run("erp", "--json").document
    assert document["verdict"]["kind"] in ("paused", "ok")
    resumed = place.run("resume", "erp", "postgres", "--yes", "postgres", "--json")
    assert (resumed.code, resumed.result["outcome"], resumed.result["verb"]) == (0, "succeeded", "resume")
    entries = run("history", "--json", cwd=place.folder, **place.environ).document["history"]
    assert {"pools pause", "pools resume"} <= {entry["routine"] for entry in entries}


def test_orders_are_refused_without_the_right(place: Place) -> None:
    place.configure(place.pooler.stats_user)
    refused = place.run("kill", "erp", "postgres", "--yes", "postgres")
    assert refused.code == 6
    assert "admin_users" in refused.sentence
    place.configure(read_only="true")
    assert place.run("reload", "erp", "--yes", "erp").code == 6
    assert place.run("kill", "erp").code == 2


def test_advice_before_a_test(place: Place) -> None:
    done = place.run("advise", "erp", "--processes", "8", "--json")
    assert done.code == 0
    document = done.document
    assert document["asked_connections"] == 120
    assert document["facts"]["pooler"]["pool_size"] == SIZE
    assert "pool_mode = transaction" in document["pgbouncer_ini"]
    text = place.run("advise", "erp", "--processes", "8")
    assert "8 processes x (5 + 10) = 120" in " ".join(text.stdout.split())
    assert "[pgbouncer]" in text.stdout
    assert place.run("advise", "erp", "--processes", "8", "--fail-on", "trouble").code == 7


def test_bad_input_is_a_sentence(place: Place, tmp_path: Path) -> None:
    """A name that is both; a file; nobody at home; a recording that is none."""
    both = place.run("clients")
    assert both.code == 2
    assert "dbtui pools show clients" in both.sentence
    assert place.run("show", "clients").code == 0
    file = place.run(f"sqlite:///{tmp_path}/app.sqlite")
    assert file.code == 2
    assert "SQLite file" in file.sentence
    nobody = place.run("postgresql://erp@127.0.0.1:1/erp")
    assert nobody.code == 4
    (tmp_path / "none.jsonl").write_text("{}\n")
    played = run("--replay", tmp_path / "none.jsonl", cwd=place.folder, **place.environ)
    assert played.code == 2
    assert "none.jsonl, line 1" in played.sentence
    assert run("--replay", "x", "erp", cwd=place.folder, **place.environ).code == 2


def test_help_has_examples(place: Place) -> None:
    for words in ((), ("clients",), ("advise",), ("pause",), ("kill",)):
        said = place.run(*words, "--help").stdout
        assert "Example" in said
