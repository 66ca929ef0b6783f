"""`dbtui partitions …` on a real PostgreSQL: what is shown, planned, asked, done; exit codes; what a kill leaves."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from dbtui.demo.erp import fill_erp
from dbtui.demo.rows import months_around
from dbtui.demo.servers import PgBouncer, PostgreSQL
from dbtui.model.tables import TableName
from tests.cli.program import Ran, argv, environment, run
from tests.fix_servers import unique_name, wait_until
from tests.routines.partition_lab import Lab, month

POLICY = """
[profiles.{name}.partitions."public.logs"]
interval = "1 month"
premake = 3
retention = "12 months"
archive = "{archive}"
"""


@dataclass
class Place:
    """A profile `erp` with the table of `Lab`, and what its policy says."""

    lab: Lab

    @property
    def environ(self) -> dict[str, str]:
        return {"DBTUI_CONFIG": str(self.lab.folder / "config.toml"), "XDG_STATE_HOME": str(self.lab.folder / "state")}

    @property
    def journal(self) -> Path:
        (path,) = (self.lab.folder / "state" / "dbtui" / "partitions").iterdir()
        return path

    def configure(self, *, policy: bool = True, **settings: str) -> None:
        more = "".join(f"{name} = {value}\n" for name, value in settings.items())
        text = f'[profiles.erp]\nurl = "{self.lab.url}"\n{more}'
        text += POLICY.format(name="erp", archive=self.lab.folder / "archive") if policy else ""
        path = self.lab.folder / "config.toml"
        path.write_text(text)
        path.chmod(0o600)

    def run(self, *words: object) -> Ran:
        return run("partitions", *words, cwd=self.lab.folder, **self.environ)

    @contextmanager
    def running(self, *words: object) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            argv("partitions", *words), cwd=self.lab.folder, env=environment(**self.environ), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        with process:
            try:
                yield process
            finally:
                process.kill()


@pytest.fixture
def place(postgresql_database: str, tmp_path: Path) -> Place:
    made = Place(Lab(postgresql_database, tmp_path))
    made.lab.create()
    made.configure()
    return made


def test_every_table_and_the_tree_of_one(place: Place) -> None:
    done = place.run("show", "erp")
    assert done.code == 0
    assert "public.logs" in done.stdout
    tree = place.run("show", "erp", "public.logs")
    lines = tree.stdout.splitlines()
    assert all(len(line) <= 80 for line in lines), tree.stdout
    assert lines[0].startswith("public.logs   range(at) every 1 month   16 partitions")
    (gap,) = [line for line in lines if line.endswith("▲ gap")]
    assert f"[{month(-5):%Y-%m-%d}, {month(-4):%Y-%m-%d})" in gap
    assert len([line for line in lines if line.startswith(("├ logs_", "└ logs_"))]) == 16
    assert any(place.lab.name(0) in line and "current" in line for line in lines)
    assert any(place.lab.name(-15) in line and "past retention" in line for line in lines)
    assert any("coverage" in line and "┊" in line and "·" in line for line in lines)


def test_one_document_of_what_is_there(place: Place) -> None:
    document = place.run("show", "erp", "logs", "--exact", "--json").document
    (table,) = document["tables"]
    assert (document["target"], table["strategy"], table["key_columns"]) == ("erp", "range", ["at"])
    first = table["partitions"][0]
    assert first["bound"] == {
        "kind": "range", "lower": [f"{month(-15):%Y-%m-%d}"], "upper": [f"{month(-14):%Y-%m-%d}"],
        "text": f"[{month(-15):%Y-%m-%d}, {month(-14):%Y-%m-%d})",
    }  # fmt: skip
    assert first["bytes_exact"] > 0
    found = table["assessment"]
    assert "gap" in [each["kind"] for each in found["findings"]]
    assert found["due"] == [place.lab.name(offset) for offset in (-15, -14, -13)]
    everything = place.run("show", "erp", "--json").document
    assert [each["table"]["name"] for each in everything["tables"]] == ["logs"]


def test_a_plan_says_what_why_and_with_which_locks(place: Place) -> None:
    done = place.run("plan", "erp", "public.logs")
    assert done.code == 0
    assert f"create public.{place.lab.name(-5)} [{month(-5):%Y-%m-%d}, {month(-4):%Y-%m-%d})" in done.stdout
    assert "parent SHARE UPDATE EXCLUSIVE" in done.stdout
    assert 'ALTER TABLE "public"."logs" ATTACH PARTITION' in done.stdout
    assert "CONCURRENTLY" in done.stdout
    assert "danger  3" in done.stdout
    assert "config.toml, line 4" in " ".join(done.stdout.split())
    assert place.run("plan", "erp", "public.logs", "--check").code == 7
    document = place.run("plan", "erp", "public.logs", "--json").document
    assert (document["is_converged"], document["danger"], document["exit_code"]) == (False, 3, 0)
    assert [each["kind"] for each in document["steps"]].count("drop") == 3
    assert document["steps"][0]["locks"]["parent"] == "SHARE UPDATE EXCLUSIVE"
    assert place.lab.partitions() == {place.lab.name(each) for each in range(-15, 2) if each != -5}


def test_without_a_policy_nothing_is_dropped_and_options_say_the_rest(place: Place) -> None:
    place.configure(policy=False)
    found = {each["kind"] for each in place.run("plan", "erp", "public.logs", "--json").document["steps"]}
    assert found == {"create"}
    words = ("plan", "erp", "public.logs", "--retention", "14 months", "--no-archive", "--premake", "1", "--json")
    steps = place.run(*words).document["steps"]
    assert [(each["kind"], each["partition"]["name"]) for each in steps] == [
        ("create", place.lab.name(-5)), ("detach", place.lab.name(-15)), ("drop", place.lab.name(-15))
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("plan", "erp", "public.logs", "--interval", "1 fortnight"), 2, "--interval: "),
        (("plan", "erp", "public.logs", "--premake", "-1"), 2, "--premake: "),
        (("plan", "erp", "public.logs", "--grace", "1 month"), 2, "--grace: "),
        (("plan", "erp", "public.logs", "--time-zone", "Mars"), 2, "--time-zone: "),
        (("plan", "erp", "public.logs", "--archive", "x", "--no-archive"), 2, "contradict"),
        (("plan", "erp", "public.logs", "--interval", "1 day"), 6, ""),
        (("plan", "erp", "public.nothing"), 2, "nothing"),
        (("plan", "erp", '"public'), 2, "no table's name"),
        (("show", "erp", "--exact"), 2, "name a TABLE"),
        (("show", "sqlite:///x.db"), 2, "SQLite has no partitioned tables"),
        (("apply", "sqlite:///x.db", "logs"), 2, "SQLite has no partitioned tables"),
        (("show", "postgresql://x@127.0.0.1:1/x"), 4, ""),
        (("apply", "erp", "public.logs"), 6, "--yes public.logs"),
        (("apply", "erp", "public.logs", "--yes", "logs"), 6, "--yes public.logs"),
        (("apply", "erp", "public.logs", "--patience", "0"), 2, "--patience"),
    ],
)
def test_what_is_refused(place: Place, words: tuple[str, ...], code: int, said: str) -> None:
    before = place.lab.tables()
    done = place.run(*words)
    assert done.code == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert place.lab.tables() == before


def test_apply_does_what_the_plan_says_and_then_nothing(place: Place) -> None:
    dry = place.run("apply", "erp", "public.logs", "--dry-run")
    assert (dry.code, dry.stdout) == (0, place.run("plan", "erp", "public.logs").stdout)
    done = place.run("apply", "erp", "public.logs", "--yes", "public.logs", "--json")
    assert done.code == 0
    assert {each["outcome"] for each in done.result["results"]} == {"done"}
    assert len(done.result["results"]) == 12
    assert (done.result["outcome"], done.result["left"]) == ("succeeded", 0)
    assert place.lab.partitions() == {place.lab.name(each) for each in range(-12, 4)}
    again = place.run("apply", "erp", "public.logs")
    assert (again.code, again.stdout) == (0, "")
    assert "nothing to do" in again.stderr
    assert place.run("plan", "erp", "public.logs", "--check").code == 0
    history = run("history", "--json", cwd=place.lab.folder, **place.environ).document
    assert "partitions apply" in json.dumps(history)


def test_production_wants_its_name_too_and_read_only_nothing(place: Place) -> None:
    place.configure(environment='"production"')
    one = place.run("apply", "erp", "public.logs", "--yes", "public.logs")
    assert one.code == 6
    assert "PRODUCTION" in one.stderr
    assert "--yes erp" in one.stderr
    place.configure(read_only="true")
    refused = place.run("apply", "erp", "public.logs", "--yes", "public.logs", "--yes", "erp")
    assert refused.code == 6
    assert "read-only" in refused.sentence
    assert place.run("plan", "erp", "public.logs").code == 0
    place.configure(environment='"production"')
    assert place.run("apply", "erp", "public.logs", "--yes", "public.logs", "--yes", "erp").code == 0


def test_somebody_in_the_way_is_named_and_the_rest_is_done(place: Place) -> None:
    with place.lab.holding(f'SELECT count(*) FROM "{place.lab.name(-14)}"'):
        done = place.run("apply", "erp", "public.logs", "--yes", "public.logs", "--patience", "2")
    assert done.code == 3
    assert "bystander" in done.stderr
    assert f"done: create public.{place.lab.name(-5)}" in done.stdout
    assert "locked" in done.stdout
    assert place.lab.name(-14) in place.lab.tables()
    assert place.run("apply", "erp", "public.logs", "--yes", "public.logs").code == 0
    assert place.lab.tables() == {place.lab.name(each) for each in range(-12, 4)} | {"logs"}


def _journalled(place: Place, event: str, kind: str) -> bool:
    folder = place.lab.folder / "state" / "dbtui" / "partitions"
    entries = [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text().splitlines()]
    return any(each["event"] == event and each.get("kind") == kind for each in entries)


def test_another_run_is_met_and_a_killed_one_is_told_of(place: Place) -> None:
    words = ("apply", "erp", "public.logs", "--yes", "public.logs", "--patience", "60")
    with place.lab.holding(f'LOCK TABLE "{place.lab.name(-15)}"'):
        with place.running(*words) as process:
            wait_until(lambda: _journalled(place, "step", "detach"))
            met = place.run(*words)
            assert met.code == 5
            assert "already running" in met.stderr
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        other = {**place.environ, "XDG_STATE_HOME": str(place.lab.folder / "elsewhere")}
        assert run("partitions", "plan", "erp", "public.logs", cwd=place.lab.folder, **other).code == 0
    wait_until(lambda: not place.lab.run("SELECT FROM pg_locks WHERE locktype = 'advisory'"))
    after = place.run(*words)
    assert after.code == 0, after.stderr
    assert "ended without a word, while it was at: detach" in after.stderr
    assert place.lab.tables() == {place.lab.name(each) for each in range(-12, 4)} | {"logs"}


def test_a_run_from_another_machine_is_met(place: Place) -> None:
    """Its state directory is another: only the server's own lock keeps the two apart."""
    words = ("apply", "erp", "public.logs", "--yes", "public.logs", "--patience", "60")
    other = {**place.environ, "XDG_STATE_HOME": str(place.lab.folder / "elsewhere")}
    with place.lab.holding(f'LOCK TABLE "{place.lab.name(-15)}"'), place.running(*words):
        wait_until(lambda: _journalled(place, "step", "detach"))
        met = run("partitions", *words, cwd=place.lab.folder, **other)
        assert met.code == 5, met.stderr


def test_an_interrupt_leaves_what_is_whole(place: Place) -> None:
    words = ("apply", "erp", "public.logs", "--yes", "public.logs", "--patience", "60")
    with place.lab.holding(f'LOCK TABLE "{place.lab.name(-15)}"'), place.running(*words) as process:
        wait_until(lambda: _journalled(place, "step", "detach"))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
        assert process.returncode == 130, said
    assert json.loads(place.journal.read_text().splitlines()[-1])["outcome"].startswith("Cancelled")
    after = place.run(*words)
    assert after.code == 0
    assert "without a word" not in after.stderr


def test_the_missing_month_of_the_demo_is_found_and_cured(
    postgresql_server: PostgreSQL, postgresql_database: str, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    for role in ("erp_owner", "erp_app", "erp_report"):
        postgresql_server.execute(
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}')"
            f" THEN CREATE ROLE {role} NOLOGIN; END IF; END $$"
        )
    with closing(psycopg2.connect(postgresql_database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute("GRANT CREATE ON SCHEMA public TO erp_owner")
        cursor.execute(f'ALTER DATABASE "{connection.info.dbname}" OWNER TO erp_owner')
    fill_erp(postgresql_database, now, 0.01)
    lab = Lab(postgresql_database, tmp_path, TableName("public", "audit_logs"))
    place = Place(lab)
    place.configure(policy=False)
    there = months_around(now)
    missing = next(one.end for one, after in pairwise(there) if one.end != after.begin)
    name = f"audit_logs_y{missing:%Ym%m}"
    assert name not in lab.partitions()
    planned = place.run("plan", "erp", "public.audit_logs", "--check", "--json")
    assert planned.code == 7
    assert name in _names(planned.document)
    assert place.run("apply", "erp", "public.audit_logs", "--yes", "public.audit_logs").code == 0
    assert name in lab.partitions()
    assert place.run("plan", "erp", "public.audit_logs", "--check").code == 0
    owner = lab.run(f"SELECT relowner::regrole::text FROM pg_class WHERE relname = '{name}'")
    assert owner == [("erp_owner",)]
    lab.run(f"SET ROLE erp_app; INSERT INTO {name} SELECT (jsonb_populate_record(null::{name}, to_jsonb(a)"
            f" || jsonb_build_object('created_at', '{missing.isoformat()}'))).* FROM audit_logs a LIMIT 1")  # fmt: skip


def test_what_is_safe_is_done_and_what_is_refused_is_told(place: Place) -> None:
    """Partitions past retention stay while foreign keys lead to the table; the gap is filled all the same."""
    place.lab.run("ALTER TABLE logs ADD PRIMARY KEY (id, at)")
    place.lab.run("CREATE TABLE notes (id bigint, at timestamptz, FOREIGN KEY (id, at) REFERENCES logs)")
    planned = place.run("plan", "erp", "public.logs", "--json").document
    assert {each["kind"] for each in planned["steps"]} == {"create"}
    assert "notes" in planned["refusals"][0]
    done = place.run("apply", "erp", "public.logs", "--yes", "public.logs")
    assert done.code == 3
    assert "left alone: " in done.stderr
    assert place.lab.name(-5) in place.lab.partitions()
    assert place.lab.name(-15) in place.lab.partitions()
    again = place.run("apply", "erp", "public.logs", "--yes", "public.logs")
    assert again.code == 6
    assert "notes" in again.sentence


def test_through_a_pooler_nothing_is_changed(postgresql_server: PostgreSQL, place: Place) -> None:
    before = place.lab.tables()
    database = place.lab.url.rpartition("/")[2]
    with PgBouncer(postgresql_server, name=unique_name("parts")) as pooler:
        url = pooler.url(database)
        assert place.run("show", url, "public.logs").code == 0
        done = place.run("apply", url, "public.logs", "--yes", "public.logs")
    assert done.code == 6
    assert "pooler" in done.stderr
    assert place.lab.tables() == before


def test_a_locked_partition_is_shown_all_the_same(place: Place) -> None:
    with place.lab.holding(f'LOCK TABLE "{place.lab.name(-3)}"'):
        shown = place.run("show", "erp", "public.logs")
        assert shown.code == 0, shown.stderr
        assert place.lab.name(-3) in shown.stdout
        assert place.run("plan", "erp", "public.logs").code == 0


def _names(document: dict[str, Any]) -> list[str]:
    return [each["partition"]["name"] for each in document["steps"]]
