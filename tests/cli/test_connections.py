"""`dbtui connections` and `dbtui history` on real servers: what they show and how it fits."""

import socket
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from dbtui.demo.servers import MariaDB, PostgreSQL
from tests.cli.program import run
from tests.cli.test_danger import Terminal
from tests.fix_servers import unique_name
from tests.lock_chains import lock_chain


@pytest.fixture
def environ(postgresql_server: PostgreSQL, mariadb_server: MariaDB, tmp_path: Path) -> dict[str, str]:
    """Four profiles: two servers, a file, and a server that is down."""
    import sqlite3

    with closing(sqlite3.connect(tmp_path / "shop.db")) as database:
        database.execute("CREATE TABLE t (i)")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
    urls = {
        "main": postgresql_server.url("postgres"),
        "maria": mariadb_server.url("mysql"),
        "shop": f"sqlite:///{tmp_path}/shop.db",
        "gone": f"postgresql://u@127.0.0.1:{port}/d",
    }
    config = tmp_path / "config.toml"
    config.write_text("".join(f'[profiles.{name}]\nurl = "{url}"\n' for name, url in urls.items()))
    config.chmod(0o600)
    return {"DBTUI_CONFIG": str(config)}


def test_every_figure_is_in_the_document(environ: dict[str, str], tmp_path: Path) -> None:
    document = run("connections", "--json", cwd=tmp_path, **environ).document
    seen = {each["name"]: each for each in document["connections"]}
    for name in ("main", "maria"):
        each = seen[name]
        assert each["reachable"]
        assert each["sessions_used"] >= 1
        assert each["sessions_active"] is not None
        assert each["sessions_idle_in_transaction"] is not None
        assert datetime.fromisoformat(each["started_at"]) < datetime.fromisoformat(each["taken_at"])
        assert each["is_tls"] is not None
        assert each["counters"]
        assert each["file"] is None
    assert seen["main"]["is_pooled"] is False
    assert seen["shop"]["file"]["journal_mode"]
    assert seen["shop"]["sessions_used"] is None
    assert not seen["gone"]["reachable"]
    assert "nothing listens" in seen["gone"]["problem"]


def test_what_there_is_to_say_is_marked_in_the_table_and_named_in_the_document(
    environ: dict[str, str], postgresql_server: PostgreSQL, tmp_path: Path
) -> None:
    name = unique_name("chain")
    postgresql_server.execute(f"CREATE DATABASE {name}")
    try:
        with lock_chain(postgresql_server, name, 2):
            document = run("connections", "--json", cwd=tmp_path, **environ).document
            table = run("connections", cwd=tmp_path, **environ).stdout.splitlines()
        seen = {each["name"]: each for each in document["connections"]}
        found = {each["kind"]: each for each in seen["main"]["findings"]}
        assert found["blocked"]["level"] == "trouble"
        assert found["blocked"]["words"].endswith(" blocked")
        assert seen["shop"]["findings"] == seen["gone"]["findings"] == []
        rows = {line.split()[0]: line for line in table[1:]}
        assert "▲ reachable, " in rows["main"]
        assert " blocked" in rows["main"]
        assert "● reachable" in rows["shop"]
    finally:
        postgresql_server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_the_table_fits_eighty_columns(environ: dict[str, str], tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "connections", COLUMNS="80", **environ)
    assert terminal.end() == 0
    table = [line for line in terminal.seen.splitlines() if "warning: " not in line]
    assert len(table) == 5
    assert all(len(line) <= 80 for line in table), terminal.seen
    assert {"NAME", "STATE", "ROLE", "SESSIONS", "ACTIVE", "OLDEST"} <= set(table[0].split())


def test_the_whole_table_names_every_column(environ: dict[str, str], tmp_path: Path) -> None:
    head = run("connections", cwd=tmp_path, **environ).stdout.splitlines()[0]
    for title in ("IDLE TX", "LAG", "UP", "TLS", "POOLER", "SIZE", "ENVIRONMENT", "URL"):
        assert title in head


def test_history_prints_whole_entries(environ: dict[str, str], tmp_path: Path) -> None:
    environ = environ | {"SSH_CONNECTION": "10.1.2.3 51000 10.0.0.1 22"}
    made = run("backup", "create", "shop", cwd=tmp_path, **environ)
    assert made.code == 0, made.stderr
    done = run("history", "--full", cwd=tmp_path, **environ)
    first, *rest = done.stdout.splitlines()
    assert "backup create  succeeded in " in first
    assert any(line.split()[:2] == ["target", "shop"] for line in rest)
    assert any(line.startswith("  by ") and line.endswith("from 10.1.2.3") for line in rest), done.stdout
