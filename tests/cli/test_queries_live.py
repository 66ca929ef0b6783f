"""`dbtui queries top|explain|capture|repair` on a real PostgreSQL and MariaDB, while an application runs."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dbtui.demo.servers import MariaDB, PostgreSQL
from tests.cli.program import Ran, argv, environment, run
from tests.routines.capture_lab import (
    POSTS,
    entries_of,
    is_running,
    journals_in,
    looking_up,
    postgresql_state,
    wait_until,
)


@pytest.fixture
def server(new_postgresql: Callable[..., PostgreSQL]) -> PostgreSQL:
    """A server that collects its log and sums up statements."""
    made = new_postgresql(config=["logging_collector = on"])
    made.execute("CREATE EXTENSION pg_stat_statements")
    return made


@contextmanager
def running_application(url: str) -> Iterator[None]:
    with looking_up(url) as has_run:
        assert has_run.wait(20)
        yield


class Place:
    """A profile `shop` for a server."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.state = folder / "state"
        config = folder / "config.toml"
        config.write_text(f'[profiles.shop]\nurl = "{url}"\n')
        config.chmod(0o600)
        self.environ = {"DBTUI_CONFIG": str(config), "XDG_STATE_HOME": str(self.state)}

    @property
    def journals(self) -> Path:
        return self.state / "dbtui" / "captures"

    def run(self, *words: object, typed: str = "") -> Ran:
        return run("queries", *words, cwd=self.folder, typed=typed, **self.environ)


def test_capture_finds_what_runs_and_puts_everything_back(server: PostgreSQL, tmp_path: Path) -> None:
    place = Place(tmp_path, server.url())
    with running_application(server.url()):
        before = postgresql_state(server)
        plan = place.run("capture", "shop", "--dry-run", "--sample", "1")
        assert plan.code == 0
        assert "log_min_duration_statement = 0   (now -1)" in plan.stdout
        refused = place.run("capture", "shop", "--seconds", "2")
        assert refused.code == 6
        assert "--yes shop" in refused.sentence
        assert postgresql_state(server) == before
        words = ("capture", "shop", "--seconds", "2", "--sample", "1", "--yes", "shop", "--save", "kept.jsonl")
        ran = place.run(*words, "--json", "--fail-on", "finding")
    assert ran.code == 7, ran.stderr
    last = json.loads(ran.stdout.splitlines()[-1])
    assert (last["event"], last["outcome"], last["is_restored"], last["left"]) == ("result", "succeeded", True, [])
    (finding,) = last["findings"]
    assert finding["repeats"] == POSTS
    assert "selectinload(Post.comments)" in finding["suggestion"]
    assert postgresql_state(server) == before
    assert journals_in(place.journals) == []
    kept = tmp_path / "kept.jsonl"
    assert kept.stat().st_mode & 0o777 == 0o600
    again = place.run("inspect", kept, "--json")
    assert again.document["findings"][0]["repeats"] == POSTS
    assert again.document["statements"] == last["statements"]
    assert "capture queries" in run("history", cwd=tmp_path, **place.environ).stdout
    assert place.run(*words).code == 2  # the file is there


def test_ctrl_c_ends_a_capture_with_what_was_found(server: PostgreSQL, tmp_path: Path) -> None:
    place = Place(tmp_path, server.url())
    before = postgresql_state(server)
    command = argv("queries", "capture", "shop", "--seconds", "60", "--sample", "1", "--yes", "shop")
    surroundings = environment(**place.environ)
    with (
        running_application(server.url()),
        subprocess.Popen(command, cwd=tmp_path, env=surroundings, stdout=subprocess.PIPE, text=True) as program,
    ):
        wait_until(lambda: ("0",) in server.execute("SHOW log_min_duration_statement"), "it is switched on")
        time.sleep(1.0)  # of the application's work
        program.send_signal(signal.SIGINT)
        found = program.communicate(timeout=30)[0]
    assert program.returncode == 130
    assert "N+1" in found
    assert postgresql_state(server) == before


def test_why_nothing_was_captured_is_told(server: PostgreSQL, tmp_path: Path) -> None:
    place = Place(tmp_path, server.url())
    login = server.execute("SELECT current_user")[0][0]
    server.execute(f'ALTER ROLE "{login}" SET log_min_duration_statement = 500')
    try:
        with running_application(server.url()):
            ran = place.run("capture", "shop", "--seconds", "2", "--sample", "1", "--yes", "shop")
    finally:
        server.execute(f'ALTER ROLE "{login}" RESET log_min_duration_statement')
    assert ran.code == 0
    assert "0 findings in 0 statements" in ran.stderr
    assert f"role {login} has log_min_duration_statement = 500" in ran.stderr


def test_a_killed_capture_is_put_back_and_told(server: PostgreSQL, tmp_path: Path) -> None:
    """Both are killed, dbtui and its guard: `repair` puts back what they left on."""
    place = Place(tmp_path, server.url())
    before = postgresql_state(server)
    command = argv("queries", "capture", "shop", "--seconds", "60", "--sample", "1", "--yes", "shop")
    with subprocess.Popen(command, cwd=tmp_path, env=environment(**place.environ), stderr=subprocess.PIPE) as program:
        wait_until(lambda: ("0",) in server.execute("SHOW log_min_duration_statement"), "it is switched on")
        program.send_signal(signal.SIGSTOP)  # else it puts everything back itself when its guard is gone
        (journal,) = journals_in(place.journals)
        guards = [entry["process"] for entry in entries_of(journal) if entry.get("event") == "guard"]
        children = subprocess.run(["pgrep", "-f", str(journal)], capture_output=True, text=True, check=False).stdout
        for process in {*guards, *map(int, children.split())}:
            os.kill(process, signal.SIGKILL)
            wait_until(lambda: not is_running(process), "the guard is gone")  # noqa: B023
        program.kill()
    assert postgresql_state(server) != before
    told = place.run("repair", "--dry-run")
    assert "not put back" in told.stdout
    refused = place.run("capture", "shop", "--seconds", "2", "--yes", "shop")
    assert refused.code == 6
    assert "dbtui queries repair shop" in refused.sentence
    assert place.run("repair").code == 0
    assert postgresql_state(server) == before
    assert journals_in(place.journals) == []


def test_what_takes_the_time_and_its_plan(server: PostgreSQL, tmp_path: Path) -> None:
    place = Place(tmp_path, server.url())
    with running_application(server.url()):
        ran = place.run("top", "shop", "--sort", "calls", "--filter", "comment")
        assert ran.code == 0, ran.stderr
        line = next(each for each in ran.stdout.splitlines() if "FROM comment WHERE" in each)
        explained = place.run("explain", "shop", line.split()[0])
        assert explained.code == 0, explained.stderr
        assert "comment" in explained.stdout
        document = place.run("top", "shop", "--seconds", "6", "--json").document
    assert {"calls", "total_seconds", "share"} <= set(document["queries"][0])
    (suspect,) = document["suspects"]
    assert "post_id" in suspect["child"]["sql"]
    assert round(suspect["repeats"]) == POSTS
    missing = place.run("explain", "shop", "nothing")
    assert (missing.code, "sums up no query" in missing.sentence) == (2, True)


def test_why_nothing_is_listed_is_told(server: PostgreSQL, tmp_path: Path) -> None:
    place = Place(tmp_path, server.url())
    ran = place.run("top", "shop", "--filter", "no such words")
    assert (ran.code, ran.stdout) == (0, "")
    assert "statements holds 'no such words'" in ran.stderr
    server.execute("SELECT pg_stat_statements_reset()")
    ran = place.run("top", "shop", "--seconds", "1")
    assert (ran.code, ran.stdout) == (0, "")
    assert "nothing ran in 1 s: --seconds 0 shows what ran since the counters began" in ran.stderr


def test_without_the_extension_it_says_what_to_do(new_postgresql: Callable[..., PostgreSQL], tmp_path: Path) -> None:
    bare = new_postgresql()
    ran = Place(tmp_path, bare.url()).run("top", "shop")
    assert "CREATE EXTENSION pg_stat_statements" in ran.stderr
    capture = Place(tmp_path, bare.url()).run("capture", "shop", "--yes", "shop")
    assert capture.code == 6
    assert "logging_collector" in capture.sentence


def test_mariadb_is_captured_by_its_ring(new_mariadb: Callable[..., MariaDB], tmp_path: Path) -> None:
    server = new_mariadb(options=["--performance-schema=ON"])
    server.execute("CREATE DATABASE shop")
    url = server.url("shop")
    with running_application(url):
        ran = Place(tmp_path, url).run("capture", "shop", "--seconds", "3", "--sample", "1", "--yes", "shop", "--json")
    assert ran.code == 0, ran.stderr
    last = json.loads(ran.stdout.splitlines()[-1])
    assert last["is_restored"] is True
    assert last["findings"][0]["parent_rows"] == POSTS


def test_sqlite_has_no_server(tmp_path: Path) -> None:
    (tmp_path / "app.sqlite").touch()
    for words in (("top",), ("capture",)):
        ran = run("queries", *words, f"sqlite:///{tmp_path}/app.sqlite", cwd=tmp_path)
        assert ran.code == 2
        assert "record" in ran.sentence
