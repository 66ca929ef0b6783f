"""Dumps that try to run a program, touch files or reach other databases, restored by a superuser of a real server.

Every payload would leave a canary behind: a file in the server's reach, or a table in a database that is not the
restored one. None may. Honest neighbours of the payloads show that refusing is not all that happens.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psycopg2
import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql.check import check_archive
from dbtui.demo.servers import PostgreSQL
from dbtui.errors import DamagedBackupError, DbtuiError, RefusedError
from dbtui.model.backups import StoredBackup
from tests.adapters.postgresql_nasty import empty_database, environ_with, restore, stored
from tests.adapters.postgresql_targets import drive, opened
from tests.fix_servers import unique_name

HEAD = "--\n-- PostgreSQL database dump\n--\n\n"
TAIL = "\n--\n-- PostgreSQL database dump complete\n--\n\n"
#: What is called must look harmless to the server (IMMUTABLE), so it calls what does the deed.
DEED = """CREATE FUNCTION public.deed() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
  EXECUTE 'CO' || 'PY (SELECT 1) TO PRO' || 'GRAM ''touch CANARY'''; END $$;
"""
CALLER = "CREATE FUNCTION public.evil({}) RETURNS {} LANGUAGE plpgsql AS $$ BEGIN PERFORM public.deed(); {} END $$;"
MACROS = {
    "@FUNCTION@": DEED + CALLER.format("i int", "int IMMUTABLE", "RETURN i;"),
    "@TRIGGER@": DEED + CALLER.format("", "trigger", "RETURN NEW;"),
    "@EVENT@": DEED + CALLER.format("", "event_trigger", ""),
    "@ROW@": "COPY public.t (a) FROM stdin;\n1\n\\.",
}
ROW = MACROS["@ROW@"] + "\n"


def read_payloads() -> dict[str, str]:
    """Every payload by its name, macros written out."""
    with Path(__file__).with_name("postgresql_payloads.sql").open(newline="") as file:
        text = file.read()
    for macro, stands_for in MACROS.items():
        text = text.replace(f"{macro}\n", f"{stands_for}\n")
    parts = (part.partition("\n") for part in text.split("-- payload: ")[1:])
    return {name: body for name, _, body in parts}


PAYLOADS = read_payloads()
#: These are restored, without the part that would do harm.
DISARMED = {"refreshed view", "event trigger"}


@dataclass(frozen=True)
class Trap:
    """Where a canary would appear."""

    server: PostgreSQL
    directory: Path

    @property
    def canary(self) -> Path:
        """The file that a payload tries to make."""
        return self.directory / "canary"

    def arm(self, text: str) -> str:
        """Let a payload aim at this trap."""
        return text.replace("CANARY_TABLE", "canary_table").replace("CANARY", str(self.canary))

    def assert_untouched(self) -> None:
        """No canary, nowhere."""
        assert not list(self.directory.iterdir())
        rows = self.server.execute("SELECT to_regclass('public.canary_table')")
        assert rows == [(None,)]
        assert not self.server.execute("SELECT 1 FROM pg_roles WHERE rolname LIKE 'canary%'")
        assert not (self.server.data / "postgresql.auto.conf").read_text().count("archive_command")


@pytest.fixture
def trap(postgresql_server: PostgreSQL) -> Iterator[Trap]:
    """A directory that both the server's account and we could write to."""
    directory = postgresql_server.home / unique_name("trap")
    directory.mkdir(mode=0o777)
    directory.chmod(0o777)
    if postgresql_server.account:
        os.chown(directory, postgresql_server.account.uid, postgresql_server.account.gid)
    yield Trap(postgresql_server, directory)
    shutil.rmtree(directory)


def dump_of(directory: Path, body: str) -> StoredBackup:
    path = directory / "hostile.sql"
    path.write_text(HEAD + body + TAIL)
    return stored(path)


def test_the_traps_work(trap: Trap) -> None:
    """What the payloads try does leave a canary when nobody stops it."""
    for name in ("check constraint", "generated column", "trigger before data"):
        with (
            empty_database(trap.server) as database,
            closing(psycopg2.connect(trap.server.url(database))) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(trap.arm(PAYLOADS[name].removesuffix(ROW)))
            # The program does not read: the server complains of a broken pipe when it ends first.
            with contextlib.suppress(psycopg2.errors.InternalError_):
                cursor.execute("INSERT INTO public.t VALUES (1)")
        trap.canary.unlink()


@pytest.mark.parametrize("name", PAYLOADS)
def test_no_payload_of_a_plain_dump_does_anything(trap: Trap, tmp_path: Path, name: str) -> None:
    backup = dump_of(tmp_path, trap.arm(PAYLOADS[name]))
    with empty_database(trap.server) as database, opened(trap.server.url()) as target:
        if name in DISARMED:
            restore(target, backup, database)
        else:
            with pytest.raises(RefusedError) as caught:
                restore(target, backup, database)
            assert "hostile.sql" in caught.value.message and "\n" not in caught.value.message
            assert not trap.server.execute("SELECT 1 FROM pg_class WHERE relnamespace = 2200", database=database)
        trap.server.execute("CREATE TABLE touched ()", database=database)  # event triggers would fire
    trap.assert_untouched()


@pytest.mark.parametrize("name", PAYLOADS)
def test_the_load_stops_payloads_that_came_after_the_check(
    trap: Trap, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is altered between check and load is judged again, statement by statement."""
    monkeypatch.setattr("dbtui.adapters.postgresql.load._refuse", lambda *_: None)
    backup = dump_of(tmp_path, trap.arm(PAYLOADS[name]))
    with empty_database(trap.server) as database, opened(trap.server.url()) as target:
        if name in DISARMED:
            restore(target, backup, database)
        else:
            with pytest.raises(RefusedError):
                restore(target, backup, database)
            assert not trap.server.execute("SELECT 1 FROM pg_class WHERE relnamespace = 2200", database=database)
    trap.assert_untouched()


# ---------------------------------------------------------------- archives


def hostile_archive(trap: Trap, directory: Path, form: str, replaced: dict[bytes, bytes]) -> StoredBackup:
    """A real archive whose table of contents says something else; texts keep their length."""
    source = unique_name("harmless")
    trap.server.execute(f'CREATE DATABASE "{source}" TEMPLATE template0')
    for sql in (
        "CREATE TABLE t (a int DEFAULT 1234567890123456789012345678901234567890123456789012345678901234567890)",
        "INSERT INTO t VALUES (1)",
        "CREATE INDEX i ON t (a)",
    ):
        trap.server.execute(sql.replace("1234567890" * 7, str(10**8)), database=source)
    trap.server.execute(f"COMMENT ON TABLE t IS '{'x' * 200}'", database=source)
    path = directory / f"hostile{'.dump' if form == 'c' else '.dir'}"
    tool = str(trap.server.binaries / "pg_dump")
    subprocess.run([tool, "-d", trap.server.url(source), "-F", form, "-f", str(path)], check=True)
    trap.server.execute(f'DROP DATABASE "{source}"')
    toc = path if form == "c" else path / "toc.dat"
    data = toc.read_bytes()
    for old, new in replaced.items():
        assert data.count(old) == 1, old
        data = data.replace(old, new.ljust(len(old)) if len(new) <= len(old) else new)
    toc.write_bytes(data)
    return stored(path)


COMMENT = b"COMMENT ON TABLE public.t IS '" + b"x" * 200 + b"';"
ARCHIVE_PAYLOADS = {
    "program": {COMMENT: b"COPY (SELECT 1) TO PROGRAM 'touch CANARY';"},
    "two statements": {COMMENT: b"COMMENT ON TABLE public.t IS 'x'; COPY (SELECT 1) TO PROGRAM 'touch CANARY';"},
    "code block": {COMMENT: b"DO $$ BEGIN COPY (SELECT 1) TO PROGRAM 'touch CANARY'; END $$;"},
    "large object": {COMMENT: b"SELECT lo_export(lo_from_bytea(0, 'x'), 'CANARY');"},
    "check": {COMMENT: b"ALTER TABLE public.t ADD CHECK (lo_export(lo_from_bytea(0, 'x'), 'CANARY') = 1);"},
    "copy from a program": {b"COPY public.t (a) FROM stdin;": b"COPY t FROM PROGRAM 'id';"},
    "drop": {b"DROP TABLE public.t;": b"DO $$BEGIN END$$;"},
    "drop of two": {b"DROP INDEX public.i;": b"DROP TABLE t;;DO '';"},
    "transaction": {COMMENT: b"COMMIT; CREATE TABLE x ();"},
    "psql": {COMMENT: b"\\! touch CANARY"},
}


@pytest.mark.parametrize("jobs", [1, 2])
@pytest.mark.parametrize("form", ["c", "d"])
@pytest.mark.parametrize("name", ARCHIVE_PAYLOADS)
def test_no_payload_of_an_archive_does_anything(trap: Trap, tmp_path: Path, name: str, form: str, jobs: int) -> None:
    replaced = {old: trap.arm(new.decode()).encode() for old, new in ARCHIVE_PAYLOADS[name].items()}
    backup = hostile_archive(trap, tmp_path, form, replaced)
    environ = environ_with(trap.server.binaries)
    with empty_database(trap.server) as database, opened(trap.server.url(), environ=environ) as target:
        with pytest.raises(RefusedError) as caught:
            restore(target, backup, database, jobs=jobs)
        assert "hostile" in caught.value.message
        assert not trap.server.execute("SELECT 1 FROM pg_class WHERE relnamespace = 2200", database=database)
    trap.assert_untouched()


@pytest.mark.parametrize("name", ["check constraint", "index", "generated column", "domain", "trigger before data"])
@pytest.mark.parametrize("form", ["c", "d"])
def test_code_in_an_honestly_made_archive_is_refused_to_a_superuser(
    trap: Trap, tmp_path: Path, name: str, form: str
) -> None:
    """Made by pg_dump from a database whose functions do nothing while the table is still empty."""
    source = unique_name("trojan")
    trap.server.execute(f'CREATE DATABASE "{source}" TEMPLATE template0')
    body = trap.arm(PAYLOADS[name]).replace(ROW, "")
    with closing(psycopg2.connect(trap.server.url(source))) as connection, connection, connection.cursor() as cursor:
        cursor.execute(body)
    path = tmp_path / f"hostile{'.dump' if form == 'c' else '.dir'}"
    tool = str(trap.server.binaries / "pg_dump")
    subprocess.run([tool, "-d", trap.server.url(source), "-F", form, "-f", str(path)], check=True)
    trap.server.execute(f'DROP DATABASE "{source}"')
    environ = environ_with(trap.server.binaries)
    with empty_database(trap.server) as database, opened(trap.server.url(), environ=environ) as target:
        if name == "trigger before data":  # pg_dump writes triggers after the data: then it is harmless
            restore(target, stored(path), database, jobs=2)
        else:
            with pytest.raises(RefusedError, match="this login's power"):
                restore(target, stored(path), database)
    trap.assert_untouched()


def test_inserts_in_an_archive_are_judged_too(trap: Trap, tmp_path: Path) -> None:
    source = unique_name("inserts")
    trap.server.execute(f'CREATE DATABASE "{source}" TEMPLATE template0')
    trap.server.execute("CREATE TABLE t (a text)", database=source)
    trap.server.execute(f"INSERT INTO t VALUES ('{'x' * 300}')", database=source)
    path = tmp_path / "hostile.dir"
    tool = str(trap.server.binaries / "pg_dump")
    options = ["-Fd", "-Z0", "--inserts", "-f", str(path)]
    subprocess.run([tool, "-d", trap.server.url(source), *options], check=True)
    trap.server.execute(f'DROP DATABASE "{source}"')
    old = b"INSERT INTO public.t VALUES ('" + b"x" * 300 + b"');"
    (file,) = path.glob("[0-9]*.dat")
    data = file.read_bytes()
    assert data.count(old) == 1
    program, call = "COPY (SELECT 1) TO PROGRAM 'touch CANARY';", "INSERT INTO t VALUES (lo_export(1, 'CANARY')::text);"
    for payload in (program, call):
        file.write_bytes(data.replace(old, trap.arm(payload).encode().ljust(len(old))))
        environ = environ_with(trap.server.binaries)
        with (
            empty_database(trap.server) as database,
            opened(trap.server.url(), environ=environ) as target,
            pytest.raises(DamagedBackupError),
        ):
            restore(target, stored(path), database)
    trap.assert_untouched()


# ---------------------------------------------------------------- those without power, and the honest


def test_a_login_without_power_is_stopped_by_the_server_alone(trap: Trap, tmp_path: Path) -> None:
    """For it the dump's own code is not judged: the server refuses programs, and everything is rolled back."""
    login = unique_name("weak")
    trap.server.execute(f"CREATE ROLE \"{login}\" LOGIN PASSWORD 'secret'")
    backup = dump_of(tmp_path, trap.arm(PAYLOADS["check constraint"]))
    with empty_database(trap.server, login) as database, opened(trap.server.url(database, login, "secret")) as target:
        with pytest.raises(DbtuiError, match=r"pg_execute_server_program|superuser"):
            restore(target, backup, database)
        assert not trap.server.execute("SELECT 1 FROM pg_class WHERE relnamespace = 2200", database=database)
    trap.assert_untouched()
    trap.server.execute(f'DROP ROLE "{login}"')


@pytest.mark.parametrize("power", ["IN ROLE pg_execute_server_program", "IN ROLE postgres", "CREATEROLE"])
def test_a_login_that_may_become_powerful_is_treated_as_a_superuser(trap: Trap, tmp_path: Path, power: str) -> None:
    login = unique_name("strong")
    trap.server.execute(f"CREATE ROLE \"{login}\" LOGIN PASSWORD 'secret' {power}")
    backup = dump_of(tmp_path, trap.arm(PAYLOADS["check constraint"]))
    with (
        empty_database(trap.server, login) as database,
        opened(trap.server.url(database, login, "secret")) as target,
    ):
        # Since version 16 CREATEROLE gives nobody such a role, and the server itself stops the program.
        is_weak = power == "CREATEROLE" and target.info.version_number >= 160000
        with pytest.raises(DbtuiError, match=r"pg_execute_server_program" if is_weak else "this login's power"):
            restore(target, backup, database)
    trap.assert_untouched()
    trap.server.execute(f'DROP ROLE "{login}"')


def test_the_check_names_every_payload_or_what_it_is(trap: Trap, tmp_path: Path) -> None:
    """Without a server, too, something is said of each of them."""
    for body in PAYLOADS.values():
        backup = dump_of(tmp_path, trap.arm(body))
        said: list[object] = []
        problems = drive(check_archive(backup, Cancellation()), said.append)
        assert problems or said


def test_an_honest_dump_with_dynamic_triggers_restores(trap: Trap, tmp_path: Path) -> None:
    body = (
        "CREATE TABLE public.t (a int);\n"
        "CREATE FUNCTION public.route() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "EXECUTE format('INSERT INTO t_%s VALUES ($1)', NEW.a) USING NEW.a; RETURN NULL; END $$;\n"
        "CREATE FUNCTION public.positive(i int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS "
        "$$ BEGIN RETURN i > 0; END $$;\n"
        "CREATE TABLE public.u (a int CHECK (public.positive(a)));\n"
        + ROW
        + "COPY public.u (a) FROM stdin;\n7\n\\.\n"
        + "CREATE TRIGGER r BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION public.route();\n"
    )
    with empty_database(trap.server) as database, opened(trap.server.url()) as target:
        restore(target, dump_of(tmp_path, body), database)
        assert trap.server.execute("SELECT (SELECT a FROM t), (SELECT a FROM u)", database=database) == [(1, 7)]
        triggers = trap.server.execute("SELECT tgname FROM pg_trigger WHERE NOT tgisinternal", database=database)
        assert triggers == [("r",)]
