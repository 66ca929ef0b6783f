"""`dbtui sessions …` on real servers: what is seen, what is ended, what is refused, and what history keeps."""

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dbtui.demo.servers import MariaDB, PostgreSQL
from tests.cli.program import Ran, run
from tests.cli.test_danger import Terminal
from tests.fix_servers import unique_name, wait_until
from tests.lock_chains import LockChain, lock_chain

GONE = 999_999_999


@dataclass
class Place:
    """A database with a chain of locks, configured as the profile `erp`."""

    chain: LockChain
    folder: Path
    url: str
    environ: dict[str, str]

    def run(self, *words: object, **changes: str) -> Ran:
        return run("sessions", *words, cwd=self.folder, **self.environ, **changes)

    def configure(self, settings: str = "") -> None:
        (self.folder / "config.toml").write_text(f'[profiles.erp]\nurl = "{self.url}"\n{settings}')

    def history(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = run("history", "--json", cwd=self.folder, **self.environ).document["history"]
        return entries


@pytest.fixture(params=["postgresql", "mysql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    name = unique_name("chain")
    is_postgresql = request.param == "postgresql"
    server: PostgreSQL | MariaDB = request.getfixturevalue("postgresql_server" if is_postgresql else "mariadb_server")
    server.execute(f"CREATE DATABASE {name}")
    with lock_chain(server, name) as chain:
        made = Place(chain, tmp_path, server.url(name), {"DBTUI_CONFIG": str(tmp_path / "config.toml")})
        made.configure()
        yield made
    server.execute(f"DROP DATABASE {name}" + (" WITH (FORCE)" if is_postgresql else ""))


def seen(place: Place, *options: str) -> dict[int, dict[str, Any]]:
    document = place.run("erp", "--json", *options).document
    return {each["session_id"]: each for each in document["sessions"]}


# ---------------------------------------------------------------- looking


def test_sessions_as_json(place: Place) -> None:
    done = place.run("erp", "--json")
    assert done.code == 0
    document = done.document
    assert document["target"] == "erp"
    assert document["user"]
    sessions = {each["session_id"]: each for each in document["sessions"]}
    root, first, *_ = (sessions[number] for number in place.chain.ids)
    assert root["is_idle_in_transaction"]
    assert first["is_active"]
    assert first["blocked_by"] == [place.chain.ids[0]]
    assert "UPDATE links" in first["sql"]
    if isinstance(place.chain.server, PostgreSQL):  # MariaDB tells it in a schema that is off by default
        assert first["application"] == "erp web"


def test_what_there_is_to_say_is_marked_in_the_table_and_named_in_the_document(place: Place) -> None:
    root, victim, *_ = place.chain.ids
    findings = place.run("erp", "--json").document["findings"]
    said = {(each["session_id"], each["kind"]): (each["level"], each["words"]) for each in findings}
    assert said[root, "blocks"] == ("remark", "blocks 3")
    assert said[root, "idle_in_transaction"][0] == "remark"
    assert said[victim, "blocked"] == ("trouble", f"blocked by {root}")
    lines = {line.split()[0]: line for line in place.run("erp").stdout.splitlines()}
    assert "  ▲ " in lines[str(root)]
    assert "  ✖ " in lines[str(victim)]


def test_filters(place: Place) -> None:
    ids = place.chain.ids
    assert set(ids) & set(seen(place, "--filter", "blocked")) == set(ids[1:])
    assert set(ids) & set(seen(place, "--filter", "idle-in-transaction")) == {ids[0]}
    assert set(ids) & set(seen(place, "--filter", "active")) == set(ids[1:])
    assert set(ids) <= set(seen(place, "--filter", "mine"))


def test_clients_are_shown_and_the_rest_is_counted(place: Place) -> None:
    """The rest: dbtui's own session, and the workers of the server."""
    clients, everybody = (place.run("erp", "--json", *words).document for words in ([], ["--all"]))
    shown = {each["session_id"] for each in clients["sessions"]}
    assert set(place.chain.ids) <= shown
    assert all(each["is_client"] and not each["is_own"] for each in clients["sessions"])
    rest = [each for each in everybody["sessions"] if each["is_own"] or not each["is_client"]]
    assert any(each["is_own"] for each in rest)
    assert not isinstance(place.chain.server, PostgreSQL) or any(not each["is_client"] for each in rest)
    assert clients["left_out"] >= 1
    assert everybody["left_out"] == 0
    assert set(seen(place, "--filter", "all")) >= shown
    assert any(each["is_own"] for each in seen(place, "--filter", "active", "--all").values())
    assert not any(each["is_own"] for each in seen(place, "--filter", "active").values())
    done = place.run("erp")
    assert " left out: dbtui's own and workers of the server; --all shows them" in done.stderr
    assert "left out" not in place.run("erp", "--all").stderr


def test_a_table_for_people(place: Place) -> None:
    done = place.run("erp")
    assert done.code == 0
    assert done.stdout.splitlines()[0].split()[:3] == ["ID", "USER", "DATABASE"]
    (line,) = [line for line in done.stdout.splitlines() if line.split()[0] == str(place.chain.ids[1])]
    assert f"{place.chain.ids[0]}" in line
    assert "UPDATE links SET n = 'secret1' WHERE i = 0" in line
    groups = place.run("erp", "--group", "database").stdout
    (counted,) = [line.split()[1] for line in groups.splitlines() if line.startswith(place.chain.database)]
    assert counted == "4"


def test_the_tree_shows_the_root_and_those_who_wait(place: Place) -> None:
    root, *victims = place.chain.ids
    lines = place.run("erp", "--tree").stdout.splitlines()
    start = next(number for number, line in enumerate(lines) if line.split()[:2] == [str(root), "3"])
    for depth, victim in enumerate(victims):
        assert lines[start + 1 + depth].startswith(f"{'  ' * depth}└ {victim}")
    document = place.run("erp", "--tree", "--json").document
    nodes = [each for each in document["tree"] if each["root_session_id"] == root]
    assert [(each["session_id"], each["depth"], each["victims"]) for each in nodes] == [
        (number, depth, 3 - depth) for depth, number in enumerate(place.chain.ids)
    ]


def test_the_table_fits_eighty_columns(place: Place) -> None:
    for words in (["erp"], ["erp", "--tree"], ["erp", "--group", "client"]):
        terminal = Terminal(place.folder, "sessions", *words, COLUMNS="80", **place.environ)
        assert terminal.end() == 0
        table = [line for line in terminal.seen.splitlines() if "warning: " not in line]
        assert len(table) > 1
        assert all(len(line) <= 80 for line in table), terminal.seen


def test_a_file_has_no_sessions(tmp_path: Path) -> None:
    import sqlite3

    sqlite3.connect(tmp_path / "shop.db").close()
    url = "sqlite:///shop.db"
    for words in ([url], ["terminate", url, "1", "--yes", "1"], ["explain", url, "1"]):
        done = run("sessions", *words, cwd=tmp_path)
        assert done.code == 2
        assert "SQLite has no server and so no sessions" in done.sentence


# ---------------------------------------------------------------- explaining


def test_the_plan_of_a_statement_that_waits(place: Place) -> None:
    """It names the table, and the statement still waits: it was neither run nor hindered."""
    victim = place.chain.ids[1]
    done = place.run("explain", "erp", victim)
    assert done.code == 0, done.stderr
    assert "links" in done.stdout
    assert f"session {victim} " in done.stderr
    assert "  UPDATE links SET n = 'secret1' WHERE i = 0" in done.stderr
    assert "UPDATE links" not in done.stdout
    document = place.run("explain", "erp", victim, "--json").document
    assert (document["target"], document["session"]["session_id"]) == ("erp", victim)
    assert document["plan"].splitlines() == done.stdout.splitlines()
    assert place.chain.is_waiting(victim)
    assert place.history() == []


def test_a_read_only_profile_explains_what_its_server_lets_it(place: Place) -> None:
    """PostgreSQL plans a change for everybody, MariaDB only for who may change something."""
    place.configure("read_only = true\n")
    done = place.run("explain", "erp", place.chain.ids[1])
    if isinstance(place.chain.server, PostgreSQL):
        assert (done.code, "Update on links" in done.stdout) == (0, True)
    else:
        assert done.code == 6
        assert "explain it with a profile that is not read-only" in done.sentence


def test_what_cannot_be_explained(place: Place) -> None:
    is_mariadb = isinstance(place.chain.server, MariaDB)
    gone = place.run("explain", "erp", GONE)
    assert gone.code == 1
    assert f"there is no session {GONE} on erp" in gone.sentence
    with closing(place.chain.connect()) as setting:
        place.chain.execute(setting, "SET SESSION TRANSACTION READ ONLY" if is_mariadb else "SET lock_timeout = 1000")
        refused = place.run("explain", "erp", place.chain.id_of(setting))
    assert refused.code == 6
    assert ("no statement" if is_mariadb else "not SET") in refused.sentence
    assert place.run("explain", "erp").code == 2
    assert place.run("explain", "erp", "abc").code == 2


# ---------------------------------------------------------------- ending


def test_terminating_the_root_lets_the_chain_go_on(place: Place) -> None:
    root, second, *_ = place.chain.ids
    done = place.run("terminate", "erp", root, "--yes", root)
    assert (done.code, done.stdout) == (0, f"{root} terminated\n"), done.stderr
    wait_until(lambda: not place.chain.is_there(root))
    wait_until(lambda: not place.chain.is_waiting(second))
    (entry,) = place.history()
    assert (entry["routine"], entry["target"], entry["state"]) == ("sessions terminate", "erp", "succeeded")
    assert entry["detail"] == f"{root} terminated"
    assert entry["subject"].startswith(f"{root} ")
    if isinstance(place.chain.server, PostgreSQL):  # MariaDB does not keep what ran last
        assert "UPDATE links SET n = '…' WHERE i = 0" in entry["subject"]
    assert "pass0" not in json.dumps(entry)
    (order,) = entry["commands"]
    assert str(root) in order


def test_cancelling_ends_the_statement_and_leaves_the_session(place: Place) -> None:
    victim = place.chain.ids[1]
    done = place.run("cancel", "erp", victim, "--yes", victim, "--json")
    assert done.code == 0, done.stdout
    result = done.result
    assert (result["outcome"], result["verb"], result["target"]) == ("succeeded", "cancel", "erp")
    assert [(each["session_id"], each["hit"]) for each in result["hits"]] == [(victim, "done")]
    wait_until(lambda: not place.chain.is_waiting(victim))
    assert place.chain.is_there(victim)
    assert [event["event"] for event in done.events].count("command") == 1


def test_without_yes_nothing_is_ended(place: Place) -> None:
    root = place.chain.ids[0]
    done = place.run("terminate", "erp", root)
    assert done.code == 6
    assert f"to confirm pass --yes {root}" in done.sentence
    assert f"terminates session {root} " in done.sentence
    assert place.run("terminate", "erp", root, "--yes", root + 1).code == 6
    assert place.run("terminate", "erp", root, "--yes", "1", "--json").result["error_kind"] == "RefusedError"
    assert place.chain.is_there(root)
    assert place.history() == []


def test_several_need_their_count(place: Place) -> None:
    victims = place.chain.ids[:0:-1]
    refused = place.run("cancel", "erp", *victims, "--yes", victims[0])
    assert refused.code == 6
    assert "cancels the running statement of 3 sessions" in refused.sentence
    assert "to confirm pass --yes 3" in refused.sentence
    done = place.run("cancel", "erp", *victims, "--yes", "3")
    assert done.code == 0, done.stderr
    assert done.stdout.splitlines() == [f"{victim} cancelled" for victim in victims]
    wait_until(lambda: not any(map(place.chain.is_waiting, victims)))


def test_partly_done_is_three_and_none_is_one(place: Place) -> None:
    root, victim, *_ = place.chain.ids
    idle = place.run("cancel", "erp", root, "--yes", root)
    assert idle.code == 1
    assert idle.stdout.startswith(f"{root} ")
    assert "cancelled" not in idle.stdout
    partly = place.run("cancel", "erp", victim, root, "--yes", "2", "--json")
    assert (partly.code, partly.result["outcome"]) == (3, "partial")
    assert partly.result["hits"][0]["hit"] == "done"
    assert partly.result["hits"][1]["hit"] != "done"
    assert [entry["state"] for entry in place.history()] == ["partial", "failed"]


def test_a_dry_run_shows_who_and_what_and_the_order(place: Place) -> None:
    root, victim, *_ = place.chain.ids
    done = place.run("terminate", "erp", root, "--dry-run")
    assert done.code == 0
    assert f"this terminates session {root} " in done.stdout
    if isinstance(place.chain.server, PostgreSQL):
        assert "UPDATE links SET n = 'pass0'" in done.stdout
    assert f"waiting for it: {victim}" in done.stdout
    assert "  order     " in done.stdout
    assert place.chain.is_there(root)
    plan = place.run("terminate", "erp", root, "--dry-run", "--json").result
    assert (plan["dry_run"], plan["plan"]["verb"], len(plan["plan"]["commands"])) == (True, "terminate", 1)


def test_who_has_gone_keeps_nobody_else_from_being_ended(place: Place) -> None:
    root, second, *_ = place.chain.ids
    planned = place.run("terminate", "erp", root, GONE, "--dry-run")
    assert planned.code == 0
    assert f"there is no session {GONE} on erp" in planned.stdout
    unconfirmed = place.run("terminate", "erp", root, GONE)
    assert unconfirmed.code == 6
    assert f"to confirm pass --yes {root}" in unconfirmed.sentence
    assert place.run("terminate", "erp", root, GONE, "--yes", "1").code == 6
    assert place.chain.is_there(root)
    done = place.run("terminate", "erp", root, GONE, "--yes", "2")
    assert done.code == 3
    terminated, gone = done.stdout.splitlines()
    assert terminated == f"{root} terminated"
    assert gone.startswith(f"{GONE} gone (")
    wait_until(lambda: not place.chain.is_there(root))
    partly = place.run("terminate", "erp", GONE, second, "--yes", second, "--json")
    assert (partly.code, partly.result["outcome"]) == (3, "partial")
    assert [(each["session_id"], each["hit"]) for each in partly.result["hits"]] == [(second, "done"), (GONE, "gone")]
    newest, oldest = place.history()
    assert (newest["state"], oldest["state"]) == ("partial", "partial")
    assert oldest["subject"].endswith(f"{GONE} (not there)")


def test_where_nobody_is_there_it_has_failed(place: Place) -> None:
    done = place.run("terminate", "erp", GONE)
    assert done.code == 1
    assert done.stdout == f"{GONE} gone (it was not there, or the login may not see it)\n"
    failed = place.run("cancel", "erp", GONE, GONE - 1, "--json")
    assert (failed.code, failed.result["outcome"]) == (1, "failed")
    assert [each["hit"] for each in failed.result["hits"]] == ["gone", "gone"]
    assert place.run("terminate", "erp", "abc").code == 2
    place.configure("read_only = true\n")
    assert place.run("terminate", "erp", GONE).code == 6


def test_what_may_not_be_ended_is_refused_whole(place: Place) -> None:
    """A worker of the server among those that may be ended; a quiet MariaDB shows none."""
    root = place.chain.ids[0]
    workers = [number for number, each in seen(place, "--filter", "all").items() if not each["is_client"]]
    assert workers or not isinstance(place.chain.server, PostgreSQL)
    for worker in workers[:1]:
        done = place.run("terminate", "erp", root, worker, GONE, "--yes", "3")
        assert done.code == 6
        assert f"session {worker} is a worker of the server itself" in done.sentence
    assert place.chain.is_there(root)


def test_a_read_only_profile_ends_nothing(place: Place) -> None:
    place.configure("read_only = true\n")
    root = place.chain.ids[0]
    for verb in ("cancel", "terminate"):
        done = place.run(verb, "erp", root, "--yes", root)
        assert done.code == 6
        assert "read-only" in done.sentence
    assert place.run("terminate", "erp", root, "--dry-run").code == 6
    assert place.chain.is_there(root)
    assert place.run("erp").code == 0


# ---------------------------------------------------------------- on a terminal


@pytest.mark.parametrize("typed", ["", "n", "4711"])
def test_anything_but_yes_is_no(typed: str, place: Place) -> None:
    root = place.chain.ids[0]
    place.configure('environment = "production"\n')
    terminal = Terminal(place.folder, "sessions", "terminate", "erp", root, **place.environ)
    terminal.wait_for("[y/N] ")
    assert "(PRODUCTION)" in terminal.seen
    assert f"session {root}" in terminal.seen
    terminal.type(typed)
    assert terminal.end() == 6
    assert "nothing was changed" in terminal.seen
    assert place.chain.is_there(root)


def test_yes_is_asked_for_one_and_the_count_for_several(place: Place) -> None:
    root, second, third, _ = place.chain.ids
    terminal = Terminal(place.folder, "sessions", "terminate", "erp", root, **place.environ)
    terminal.wait_for("[y/N] ")
    terminal.type("y")
    assert terminal.end() == 0, terminal.seen
    wait_until(lambda: not place.chain.is_there(root))
    terminal = Terminal(place.folder, "sessions", "terminate", "erp", second, third, **place.environ)
    terminal.wait_for("Type 2 to go on: ")
    terminal.type("2")
    assert terminal.end() == 0, terminal.seen
    wait_until(lambda: not place.chain.is_there(second) and not place.chain.is_there(third))


# ---------------------------------------------------------------- words


def test_help_and_completion(tmp_path: Path) -> None:
    for words in (["--help"], ["explain", "--help"], ["cancel", "--help"], ["terminate", "--help"]):
        done = run("sessions", *words, cwd=tmp_path)
        assert done.code == 0
        assert "Example" in done.stdout
    (tmp_path / "config.toml").write_text('[profiles.erp]\nurl = "sqlite:///x.db"\n')
    environ = {"DBTUI_CONFIG": str(tmp_path / "config.toml"), "_DBTUI_COMPLETE": "bash_complete"}
    for line, offered in (
        ("dbtui sessions ", {"explain", "cancel", "terminate", "erp"}),
        ("dbtui sessions explain ", {"erp"}),
        ("dbtui sessions terminate ", {"erp"}),
        ("dbtui sessions erp --fil", {"--filter"}),
        ("dbtui sess", {"sessions"}),
    ):
        typed = {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))}
        found = run(cwd=tmp_path, **environ, **typed).stdout.split()
        assert offered <= {word.partition(",")[2] for word in found}, (line, found)


def test_the_tree_knows_no_filter(tmp_path: Path) -> None:
    assert "--tree" in run("sessions", "x", "--tree", "--filter", "active", cwd=tmp_path).sentence
    assert run("sessions", "nosuch", cwd=tmp_path).code == 2
