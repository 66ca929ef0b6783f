"""`dbtui doctor`: what it finds on a machine and on servers, and that its GRANTs really help."""

import os
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from dbtui.demo.servers import MariaDB, PgBouncer, PostgreSQL
from tests.cli.program import Ran, run
from tests.fix_servers import unique_name
from tests.fix_tls import TlsPostgreSQL

FLAWLESS = {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"}


def doctor(*words: object, cwd: Path, **environ: str) -> Ran:
    return run("doctor", *words, cwd=cwd, **(FLAWLESS | environ))


def findings_of(ran: Ran) -> dict[str, dict[str, Any]]:
    """The findings by subject."""
    assert ran.document["exit_code"] == ran.code
    return {finding["subject"]: finding for finding in ran.document["findings"]}


def test_this_machine(tmp_path: Path) -> None:
    ran = doctor(cwd=tmp_path)
    assert ran.code == 0, ran.stdout + ran.stderr
    assert "TERM" in ran.stdout and "xterm-256color" in ran.stdout
    assert "backups: backups: writable" not in ran.stdout
    assert "name a TARGET" in ran.stdout
    found = doctor("--json", cwd=tmp_path)
    assert found.stderr == ""
    assert findings_of(found)["colours"]["sentence"] == "256"
    assert {tool["name"] for tool in found.document["tools"]} >= {"pg_dump", "psql", "zstd"}
    assert not (tmp_path / "backups").exists()


def test_an_old_psql_is_told_of(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, version in (("psql", "16.14"), ("pg_dump", "16.14")):
        (programs / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (programs / name).chmod(0o755)
    found = doctor("--json", cwd=tmp_path, DBTUI_PG_BIN=str(programs)).document["findings"]
    said = [each for each in found if each["subject"] == "psql" and str(programs) in each["sentence"]]
    assert [each["level"] for each in said] == ["remark"]
    assert "CVE-2026-18408" in said[0]["sentence"] and "dbtui does not use psql" in said[0]["sentence"]


def test_a_terminal_that_lacks_things(tmp_path: Path) -> None:
    found = findings_of(doctor("--json", cwd=tmp_path, TERM="dumb", LC_ALL="C", SSH_CONNECTION="192.0.2.7 1 2 22"))
    assert found["TERM"]["level"] == "remark" and "refuses to start" in found["TERM"]["sentence"]
    assert found["characters"]["remedy"] == "export LC_ALL=C.UTF-8"
    assert "192.0.2.7" in found["SSH"]["sentence"]


def test_tmux_is_asked_for_its_settings(tmp_path: Path, short_directory: Path) -> None:
    tmux = [shutil.which("tmux") or "tmux", "-S", str(short_directory / "t"), "-f", "/dev/null"]
    subprocess.run([*tmux, "new-session", "-d", "sleep 60"], check=True)
    try:
        variable = {"TMUX": f"{short_directory}/t,1,0"}
        found = findings_of(doctor("--json", cwd=tmp_path, **variable))
        assert "set-clipboard external" in found["tmux settings"]["sentence"]
        assert found["copy (OSC 52)"]["remedy"] == "tmux set -s set-clipboard on"
        assert "500 ms" in found["tmux escape-time"]["sentence"]
        subprocess.run([*tmux, "set", "-s", "set-clipboard", "on"], check=True)
        subprocess.run([*tmux, "set", "-s", "escape-time", "10"], check=True)
        mended = findings_of(doctor("--json", cwd=tmp_path, **variable))
        assert mended["copy (OSC 52)"]["level"] == "ok"
        assert "tmux escape-time" not in mended
    finally:
        subprocess.run([*tmux, "kill-server"], check=True)


def test_keys_that_keep_the_ui_from_starting_are_a_finding(tmp_path: Path) -> None:
    """The commands go on with them; who asks why `dbtui` does not start is told the line."""
    config = tmp_path / "config.toml"
    config.write_text('[keys]\n"sessions.terminte" = "f9"\n')
    found = doctor("--json", cwd=tmp_path, DBTUI_CONFIG=str(config))
    assert found.code == 7
    keys = findings_of(found)["keys"]
    assert keys["level"] == "trouble"
    assert "line 2: sessions.terminte: there is no such action" in keys["sentence"]
    assert "did you mean sessions.terminate?" in keys["remedy"]
    config.write_text('[keys]\n"sessions.terminate" = "f9"\n')
    assert "keys" not in findings_of(doctor("--json", cwd=tmp_path, DBTUI_CONFIG=str(config)))


def test_a_broken_configuration_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("backup_dri = 'x'\n")
    ran = doctor("--json", cwd=tmp_path, DBTUI_CONFIG=str(tmp_path / "config.toml"))
    assert ran.code == 7
    assert "line 1" in findings_of(ran)["file"]["sentence"]
    assert "TERM" in findings_of(ran)


def test_every_setting_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        'compress = "gzip"\nformat = "custom"\n[profiles.erp]\nurl = "postgresql://joe:hidden@127.0.0.1:1/erp"\n'
        'compress = "zstd"\n[profiles.app]\nurl = "postgresql://joe@127.0.0.1:1/app"\npassword_env = "APP_PASSWORD"\n'
    )
    given = {"DBTUI_CONFIG": str(tmp_path / "config.toml"), "PGSSLMODE": "prefer", "PGPASSWORD": "very-hidden"}
    ran = doctor("erp", "--json", cwd=tmp_path, **given)
    assert ran.code == 4
    settings = {each["setting"]: (each["value"], each["origin"]) for each in ran.document["settings"]}
    assert settings["backup_dir"] == ("backups", "default")
    assert settings["erp: compress"] == ("zstd", "config.toml [profiles.erp]")
    assert settings["erp: format"] == ("custom", "config.toml")
    assert settings["erp: password"] == ("in the URL", "config.toml [profiles.erp]")
    assert settings["PGSSLMODE"] == ("prefer", "environment")
    assert settings["PGPASSWORD"] == ("set, not shown", "environment")
    assert "connection refused" in findings_of(ran)["connection"]["sentence"]
    text = doctor("app", cwd=tmp_path, **given, APP_PASSWORD="very-hidden-too")
    assert "variable APP_PASSWORD (set)" in text.stdout
    assert "hidden" not in ran.stdout + ran.stderr + text.stdout + text.stderr


def test_an_open_password_file_is_trouble(tmp_path: Path, own_home: None) -> None:
    passfile = tmp_path / "passwords"
    passfile.write_text("*:*:*:*:x\n")
    passfile.chmod(0o644)
    ran = doctor("--json", cwd=tmp_path, PGPASSFILE=str(passfile))
    assert ran.code == 7
    assert findings_of(ran)["password file"]["remedy"] == f"chmod 600 {passfile}"
    passfile.chmod(0o600)
    assert doctor(cwd=tmp_path, PGPASSFILE=str(passfile)).code == 0


@pytest.fixture
def reader(postgresql_server: PostgreSQL, postgresql_database: str) -> str:
    """A login that may connect and nothing else, to a database with a table of somebody else's."""
    name = unique_name("reader")
    database = postgresql_database.rpartition("/")[2]
    postgresql_server.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'p'")
    postgresql_server.execute("CREATE TABLE hidden AS SELECT 1 AS n", database=database)
    postgresql_server.execute("ALTER TABLE hidden ENABLE ROW LEVEL SECURITY", database=database)
    return postgresql_server.url(database, name, "p")


def test_the_grants_of_postgresql_help(postgresql_server: PostgreSQL, reader: str, tmp_path: Path) -> None:
    before = doctor(reader, "--json", cwd=tmp_path)
    assert before.code == 7
    found = findings_of(before)
    assert found["SELECT for backups"]["level"] == "trouble"
    for name in ("pg_read_all_stats", "pg_monitor", "pg_signal_backend", "CREATEDB"):
        assert found[name]["level"] == "remark" and found[name]["remedy"]
    script = doctor(reader, "--grants", cwd=tmp_path)
    assert script.code == 0 and "BYPASSRLS" in script.stdout
    database = reader.rpartition("/")[2]
    psycopg2.connect(postgresql_server.url(database)).close()
    for statement in script.stdout.split(";"):
        words = "\n".join(line for line in statement.splitlines() if not line.startswith("--"))
        if words.strip():
            postgresql_server.execute(words, database=database)
    after = doctor(reader, "--json", cwd=tmp_path)
    assert after.code == 0, after.stdout
    assert "has it already: GRANT pg_monitor" in doctor(reader, "--grants", cwd=tmp_path).stdout
    made = run("backup", "create", reader, "--dir", tmp_path / "b", cwd=tmp_path)
    assert made.code == 0, made.stderr


def test_the_grants_of_mariadb_help(mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path) -> None:
    user, database = unique_name("u"), mariadb_database.rpartition("/")[2]
    mariadb_server.execute("CREATE TABLE t (a int)", database=database)
    mariadb_server.execute(f"CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY 'p'")
    mariadb_server.execute(f"GRANT SELECT ON `{database}`.* TO '{user}'@'127.0.0.1'")
    url = mariadb_server.url(database, user, "p")
    before = doctor(url, "--json", cwd=tmp_path)
    assert before.code == 7
    levels = [each["level"] for each in before.document["findings"] if each["area"] == "target"]
    assert levels.count("remark") >= 4 and levels.count("trouble") == 1
    script = doctor(url, "--grants", cwd=tmp_path)
    for line in script.stdout.splitlines():
        if line and not line.startswith("--"):
            mariadb_server.execute(line.removesuffix(";").replace("%", "%%"), [])
    after = doctor(url, "--json", cwd=tmp_path)
    assert after.code == 0, after.stdout
    held = [each for each in after.document["capabilities"]["items"] if each["is_held"]]
    assert len(held) == len(after.document["capabilities"]["items"]) == 6
    assert abs(after.document["capabilities"]["clock_skew_seconds"]) < 5
    made = run("backup", "create", url, "--dir", tmp_path / "b", cwd=tmp_path)
    assert made.code == 0, made.stderr
    backup = next((tmp_path / "b").glob("*.sql"))
    verified = run("backup", "verify", backup, "--restore", "--to", url, cwd=tmp_path)
    assert verified.code == 0, verified.stderr


def test_a_pooler_in_the_path(pgbouncer: PgBouncer, tmp_path: Path) -> None:
    found = findings_of(doctor(pgbouncer.url("postgres"), "--json", cwd=tmp_path))
    assert "in the path; backups and restores go past it" in found["pooler"]["sentence"]


def test_tls_is_told_with_its_proof(tls_postgresql: TlsPostgreSQL, tmp_path: Path) -> None:
    server = tls_postgresql
    proven = doctor(
        server.url_of("joe", sslmode="verify-full", sslrootcert=str(server.files.ca)), "--json", cwd=tmp_path
    )
    assert proven.code == 0, findings_of(proven).get("connection")
    assert "TLSv1.3, sslmode=verify-full; the server has proved who it is" in findings_of(proven)["TLS"]["sentence"]
    blind = doctor(server.url_of("joe"), "--json", cwd=tmp_path)
    assert "has not proved" in findings_of(blind)["TLS"]["sentence"]
    wrong = doctor(server.url_of("joe", sslmode="verify-full", sslrootcert=str(server.files.wrong_ca)), cwd=tmp_path)
    assert wrong.code == 4
    assert "not signed by the authority" in " ".join(wrong.stdout.split())


def test_a_file(tmp_path: Path) -> None:
    import sqlite3

    sqlite3.connect(tmp_path / "a.db").close()
    (tmp_path / "a.db").touch()
    found = findings_of(doctor(f"sqlite:///{tmp_path}/a.db", "--json", cwd=tmp_path))
    assert found["write its directory"]["level"] == "ok"
    assert doctor(f"sqlite:///{tmp_path}/none.db", cwd=tmp_path).code == 4


def test_hostile_names_stay_text(postgresql_server: PostgreSQL, tmp_path: Path) -> None:
    name = f"{unique_name('r')}\x1b[2J[red]\"'"
    quoted = '"' + name.replace('"', '""') + '"'
    postgresql_server.execute(f"CREATE ROLE {quoted} LOGIN PASSWORD 'p'")
    for words in ([], ["--grants"]):
        ran = doctor(postgresql_server.url("postgres", name, "p"), *words, cwd=tmp_path)
        assert "\x1b" not in ran.stdout + ran.stderr
        assert ran.code in (0, 7), ran.stderr
    grants = [line for line in ran.stdout.splitlines() if line.startswith("GRANT pg_monitor")]
    postgresql_server.execute(grants[0])
    member = "SELECT pg_has_role(%s, 'pg_monitor', 'USAGE')"
    assert postgresql_server.execute(member, [name]) == [(True,)]


def test_somebody_elses_home(tmp_path: Path, postgresql_server: PostgreSQL) -> None:
    """Under sudo HOME may be a directory that this user cannot enter."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o000)
    places = {name: f"{closed}/{name}" for name in ("XDG_CONFIG_HOME", "XDG_STATE_HOME")}
    before = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    ran = run("doctor", "--json", cwd=tmp_path, before=before, **(FLAWLESS | places | {"HOME": str(closed)}))
    assert ran.code == 7, ran.stdout + ran.stderr
    assert "cannot be made" in findings_of(ran)["history and locks"]["sentence"]


def test_policies_that_name_no_partitioned_table(postgresql_database: str, tmp_path: Path) -> None:
    with closing(psycopg2.connect(postgresql_database)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE logs (at timestamptz NOT NULL) PARTITION BY RANGE (at);"
            "CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM ('2026-01-01 00:00+00') TO ('2026-02-01 00:00+00');"
            'CREATE TABLE "Up" (at date NOT NULL) PARTITION BY RANGE (at);'
            "CREATE TABLE plain (i int); CREATE VIEW v AS SELECT 1"
        )
    names = ("public.logs", "logs", 'public.\\"Up\\"', "plain", "public.v", "gone.logs", "public.up")
    policies = "".join(f'[profiles.erp.partitions."{name}"]\ninterval = "1 month"\n' for name in names[1:])
    policies += f'[profiles.erp.partitions."{names[0]}"]\ninterval = "1 day"\n'
    config = tmp_path / "config.toml"
    config.write_text(f'[profiles.erp]\nurl = "{postgresql_database}"\n{policies}')
    config.chmod(0o600)
    ran = doctor("erp", "--json", cwd=tmp_path, DBTUI_CONFIG=str(config))
    assert ran.code == 7
    found = {name.removeprefix("partitions of "): (each["level"], each["sentence"])
             for name, each in findings_of(ran).items() if name.startswith("partitions")}  # fmt: skip
    levels = {name: level for name, (level, _) in found.items()}
    assert levels == {
        "public.logs": "remark", "logs": "ok", "public.Up": "ok",
        "plain": "trouble", "public.v": "trouble", "gone.logs": "trouble", "public.up": "trouble",
    }  # fmt: skip
    assert "config.toml, line" in found["plain"][1]
    assert "a table that is not partitioned" in found["plain"][1]
    assert "is a view" in found["public.v"][1]
    assert "there is no table public.up" in found["public.up"][1]
    assert "1 day" in found["public.logs"][1]


def test_policies_of_mariadb_are_checked_too(mariadb_server: MariaDB, mariadb_database: str, tmp_path: Path) -> None:
    database = mariadb_database.rpartition("/")[2]
    mariadb_server.execute(
        "CREATE TABLE logs (at DATETIME NOT NULL) PARTITION BY RANGE COLUMNS (at)"
        " (PARTITION p202601 VALUES LESS THAN ('2026-02-01'), PARTITION rest VALUES LESS THAN (MAXVALUE))",
        database=database,
    )
    mariadb_server.execute("CREATE TABLE plain (i int)", database=database)
    config = tmp_path / "config.toml"
    config.write_text(f'[profiles.shop]\nurl = "{mariadb_database}"\n' + "".join(
        f'[profiles.shop.partitions."{name}"]\ninterval = "1 month"\n'
        for name in (f"{database}.logs", f"{database}.plain", f"{database}.gone")
    ))  # fmt: skip
    config.chmod(0o600)
    found = findings_of(doctor("shop", "--json", cwd=tmp_path, DBTUI_CONFIG=str(config)))
    levels = {name: each["level"] for name, each in found.items() if name.startswith("partitions")}
    assert levels == {
        f"partitions of {database}.logs": "ok", f"partitions of {database}.plain": "trouble",
        f"partitions of {database}.gone": "trouble",
    }  # fmt: skip


def test_policies_of_a_file_are_told_to_be_none(tmp_path: Path) -> None:
    import sqlite3

    sqlite3.connect(tmp_path / "a.db").close()
    (tmp_path / "a.db").touch()
    config = tmp_path / "config.toml"
    config.write_text(f'[profiles.f]\nurl = "sqlite:///{tmp_path}/a.db"\n[profiles.f.partitions."t"]\npremake = 2\n')
    ran = doctor("f", "--json", cwd=tmp_path, DBTUI_CONFIG=str(config))
    assert ran.code == 7
    assert "no partitioned tables" in findings_of(ran)["partitions of t"]["sentence"]
