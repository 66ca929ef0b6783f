"""Connecting to PostgreSQL: URLs as people write them, refusals in a sentence, cancel, tools given the same login."""

import io
import os
import socket
import stat
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.libpq.conninfo import format_conninfo, parse_conninfo, parse_options
from dbtui.adapters.libpq.failures import translate, translate_connect
from dbtui.adapters.postgresql.adapter import ADAPTER
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.tools import find_tool
from dbtui.demo.servers import PgBouncer, PostgreSQL, PostgreSQLReplica
from dbtui.errors import AuthenticationError, Cancelled, ConnectError, RefusedError, ServerError, ToolError, UsageError
from tests.adapters.postgresql_targets import opened, profile_of
from tests.fix_servers import unique_name
from tests.frozen_network import FrozenNetwork

NASTY = 'we\'ird "name" \\ [red]\n-=; a=b'


# --- URLs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u@h:5433/d", {"user": "u", "host": "h", "port": "5433", "dbname": "d"}),
        ("postgres://u:p%40%2F@h/d%20b", {"user": "u", "password": "p@/", "host": "h", "dbname": "d b"}),
        ("postgresql+psycopg2:///d?host=/run/pg&port=6", {"host": "/run/pg", "port": "6", "dbname": "d"}),
        ("postgresql://h1:1,h2:2/d?target_session_attrs=primary", {"host": "h1,h2", "port": "1,2"}),
        ("postgresql:///d?host=h1:1&host=h2:2", {"host": "h1,h2", "port": "1,2", "dbname": "d"}),
        ("postgresql://[::1]:7/d", {"host": "::1", "port": "7"}),
        ("postgresql:///?service=prod", {"service": "prod"}),
        ("postgresql://%2Frun%2Fpg/d", {"host": "/run/pg", "dbname": "d"}),
        ("postgresql://h/d?sslmode=require&connect_timeout=3", {"sslmode": "require", "connect_timeout": "3"}),
    ],
)
def test_urls_become_what_libpq_takes(url: str, expected: dict[str, str]) -> None:
    found = parse_conninfo(url)
    assert {key: found.get(key) for key in expected} == expected
    assert parse_dsn(format_conninfo(found)) == found
    assert found["application_name"] == "dbtui"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql:/h/d", "malformed"),
        ("postgresql://h:port/d", "malformed"),
        ("postgresql://h/d?colour=red", "unknown parameter 'colour'"),
    ],
)
def test_a_wrong_url_is_a_sentence_about_what_is_wrong(url: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_conninfo(url)


def test_any_name_survives_quoting() -> None:
    assert parse_dsn(format_conninfo({"dbname": NASTY, "host": "a b"})) == {"dbname": NASTY, "host": "a b"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("-c statement_timeout=5s --work-mem=1MB", {"statement_timeout": "5s", "work_mem": "1MB"}),
        (r"-csearch_path=a,\ b", {"search_path": "a, b"}),
        ("-c nothing", None),
        ("--single", None),
        ("", {}),
    ],
)
def test_settings_are_read_out_of_options(options: str, expected: dict[str, str] | None) -> None:
    assert parse_options(options) == expected


# --- logins ------------------------------------------------------------------------------------------------------


def test_a_server_introduces_itself(postgresql_server: PostgreSQL, postgresql_database: str) -> None:
    with opened(postgresql_database) as target:
        info = target.info
    assert (info.flavour, info.role, info.user, info.is_superuser) == ("PostgreSQL", "primary", "postgres", True)
    assert info.version_number // 10000 == int(info.version.partition(".")[0])
    assert info.database == postgresql_database.rpartition("/")[2]
    assert "plpgsql" in info.extensions


def test_a_replica_says_so(postgresql_replica: PostgreSQLReplica) -> None:
    with opened(postgresql_replica.url()) as target:
        assert target.info.role == "replica"


def test_the_session_is_called_dbtui(postgresql_server: PostgreSQL, postgresql_database: str) -> None:
    with opened(postgresql_database) as target:
        names = postgresql_server.execute(
            "SELECT application_name FROM pg_stat_activity WHERE datname = %s", [target.info.database]
        )
    assert names == [("dbtui",)]


def test_nasty_database_names_work(postgresql_server: PostgreSQL) -> None:
    name = f"{NASTY}{unique_name('')}"
    quoted = '"' + name.replace('"', '""') + '"'
    postgresql_server.execute(f"CREATE DATABASE {quoted}")
    try:
        with opened(postgresql_server.url(name)) as target:
            assert target.info.database == name
            with target.tool_arguments(name) as (login, environ):
                psql = [str(target.tool("psql")), *login, "-XAtc", "SELECT current_database()"]
                assert subprocess.check_output(psql, env=environ, text=True).rstrip("\n") == name
    finally:
        postgresql_server.execute(f"DROP DATABASE {quoted}")


def test_read_only_is_kept_by_the_server(postgresql_database: str) -> None:
    with opened(postgresql_database, read_only=True) as target:
        with pytest.raises(ServerError, match="read-only transaction") as refused:
            target.rows("CREATE TABLE t()")
        assert refused.value.code == "25006"
        target._connection.rollback()
        with target.working(target.info.database) as connection:
            assert target.rows("SHOW default_transaction_read_only", on=connection)[0][0] == "on"
        with pytest.raises(RefusedError, match="read-only"):
            ADAPTER.backups.drop_database(target, "anything")


def test_settings_of_the_url_reach_the_session_and_the_tools(postgresql_database: str) -> None:
    with opened(f"{postgresql_database}?options=-c%20work_mem%3D7MB%20-c%20search_path%3Da,b") as target:
        assert target.rows("SHOW work_mem")[0].work_mem == "7MB"
        with target.tool_arguments(target.info.database) as (login, environ):
            psql = [str(target.tool("psql")), *login, "-XAtc", "SHOW search_path"]
            assert subprocess.check_output(psql, env=environ, text=True).strip() == "a,b"


def test_statements_are_refused_with_their_code(postgresql_database: str) -> None:
    with opened(postgresql_database) as target:
        with pytest.raises(ServerError, match='relation "nothing" does not exist') as refused:
            target.rows("SELECT * FROM nothing")
        assert refused.value.code == "42P01"


# --- passwords ------------------------------------------------------------------------------------------------------


@pytest.fixture
def login(postgresql_server: PostgreSQL) -> str:
    """A role with a password that has every sign a password file gives a meaning to."""
    name = unique_name("login")
    postgresql_server.execute(f"CREATE ROLE {name} LOGIN PASSWORD %s", [PASSWORD])
    return name


PASSWORD = "a:b\\c'd e"


def test_a_password_file_of_the_operator_is_enough(postgresql_server: PostgreSQL, login: str, own_home: None) -> None:
    passfile = Path(os.environ["HOME"]) / ".pgpass"
    passfile.write_text("*:*:*:*:" + PASSWORD.replace("\\", "\\\\").replace(":", "\\:") + "\n")
    passfile.chmod(0o600)
    with opened(postgresql_server.url("postgres", login)) as target:
        assert target.info.user == login
        with target.tool_arguments("postgres") as (arguments, environ):
            subprocess.run([target.tool("psql"), *arguments, "-Xwc", "SELECT 1"], env=environ, check=True)


def test_a_service_file_is_enough(postgresql_server: PostgreSQL, login: str, tmp_path: Path) -> None:
    service = tmp_path / "services"
    service.write_text(
        f"[there]\nhost=127.0.0.1\nport={postgresql_server.port}\nuser={login}\npassword={PASSWORD}\ndbname=postgres\n"
    )
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PGSERVICEFILE", str(service))
        with opened("postgresql:///?service=there") as target:
            assert target.info.user == login
            with target.tool_arguments("postgres") as (arguments, environ):
                subprocess.run([target.tool("psql"), *arguments, "-Xwc", "SELECT 1"], env=environ, check=True)


def test_tools_get_a_given_password_in_a_private_file_alone(postgresql_server: PostgreSQL, login: str) -> None:
    with opened(postgresql_server.url("postgres", login), password=PASSWORD) as target:
        with target.tool_arguments("postgres") as (arguments, environ):
            assert PASSWORD not in " ".join(arguments)
            assert PASSWORD not in "".join(environ.values())
            status = Path(environ["PGPASSFILE"]).stat()
            assert stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == 0o600
            subprocess.run([target.tool("psql"), *arguments, "-Xwc", "SELECT 1"], env=environ, check=True)
        assert not Path(environ["PGPASSFILE"]).exists()
        assert PASSWORD not in repr(vars(target))


def test_a_secret_that_only_arguments_could_carry_is_not_handed_on(postgresql_database: str) -> None:
    with (
        opened(f"{postgresql_database}?sslpassword=hidden") as target,
        pytest.raises(UsageError, match="cannot be given sslpassword safely"),
        target.tool_arguments("postgres"),
    ):
        pass


# --- refusals ------------------------------------------------------------------------------------------------------


def test_a_wrong_password_is_told_in_a_sentence(postgresql_server: PostgreSQL, login: str) -> None:
    with pytest.raises(AuthenticationError) as refused, opened(postgresql_server.url("postgres", login, "wrong")):
        pass
    assert f'127.0.0.1:{postgresql_server.port} refused the password of user "{login}"' in str(refused.value)
    assert "wrong" not in str(refused.value)


def test_no_password_is_told_in_a_sentence(postgresql_server: PostgreSQL, login: str) -> None:
    url = postgresql_server.url("postgres", login)
    with pytest.raises(AuthenticationError, match="asks for a password and none was given"), opened(url):
        pass


def test_a_role_that_may_not_log_in(postgresql_server: PostgreSQL) -> None:
    name = unique_name("nologin")
    postgresql_server.execute(f"CREATE ROLE {name} NOLOGIN PASSWORD 'x'")
    with pytest.raises(AuthenticationError, match="may not log in"), opened(postgresql_server.url("x", name, "x")):
        pass


def test_no_privilege_to_connect(postgresql_server: PostgreSQL, postgresql_database: str, login: str) -> None:
    database = postgresql_database.rpartition("/")[2]
    postgresql_server.execute(f'REVOKE CONNECT ON DATABASE "{database}" FROM PUBLIC')
    url = postgresql_server.url(database, login)
    with pytest.raises(AuthenticationError, match="may not connect to database"), opened(url, password=PASSWORD):
        pass


def test_a_database_that_does_not_exist_is_needed_only_for_a_dump(postgresql_server: PostgreSQL) -> None:
    with opened(postgresql_server.url("no such [red]\n")) as target:
        assert target.info.database == ""
        with pytest.raises(ConnectError) as refused:
            ADAPTER.collect_status(target)
        assert not ADAPTER.backups.collect_destination(target, "no such [red]\n").exists
    assert str(refused.value).startswith(
        f'database "no such [red]·" does not exist on 127.0.0.1:{postgresql_server.port}; create it'
    )


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u@127.0.0.1:1/d", "nothing listens at 127.0.0.1:1: connection refused"),
        ("postgresql://u@127.0.0.1:1,127.0.0.1:2/d", "nothing listens at 127.0.0.1:1 or 127.0.0.1:2"),
        ("postgresql://u@no-such-host.invalid/d", "host name in no-such-host.invalid:5432 is not known"),
        ("postgresql://u@/d?host=/no/such/dir", "there is no server socket at /no/such/dir"),
        ("postgresql:///?service=unheard", "service that the URL names is not defined"),
    ],
)
def test_a_server_that_is_not_there(url: str, said: str) -> None:
    with pytest.raises(ConnectError, match=said), opened(url):
        pass


def test_a_server_without_a_free_session(new_postgresql: Callable[..., PostgreSQL]) -> None:
    server = new_postgresql(config=["max_connections = 5", "superuser_reserved_connections = 1", "max_wal_senders = 0"])
    server.execute("CREATE ROLE joe LOGIN PASSWORD 'x'")
    url = server.url("postgres", "joe", "x")
    taken = [psycopg2.connect(url) for _ in range(4)]
    try:
        with pytest.raises(ConnectError, match="has no free session"), opened(url):
            pass
    finally:
        for connection in taken:
            connection.close()


def test_a_lost_connection_is_a_connect_error(postgresql_server: PostgreSQL, postgresql_database: str) -> None:
    with opened(postgresql_database) as target:
        postgresql_server.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [target.info.database]
        )
        with pytest.raises(ConnectError, match="the connection to the server was lost"):
            target.collect("collect_status")


# --- cancel ------------------------------------------------------------------------------------------------------


def test_cancel_ends_a_statement_on_the_server(postgresql_server: PostgreSQL, postgresql_database: str) -> None:
    cancellation = Cancellation()
    with opened(postgresql_database, cancellation=cancellation) as target:
        threading.Timer(0.3, cancellation.request).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            target.rows("SELECT pg_sleep(60)")
        assert time.monotonic() - began < 10
        active = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND state = 'active'"
        assert postgresql_server.execute(active, [target.info.database]) == [(0,)]


def test_a_shielded_connection_is_not_cancelled(postgresql_database: str) -> None:
    cancellation = Cancellation()
    with opened(postgresql_database, cancellation=cancellation) as target:
        connection = target.connect(target.info.database, shielded=True)
        cancellation.request()
        assert target.rows("SELECT pg_sleep(0.6), 1 AS one", on=connection)[0].one == 1


def test_cancel_ends_an_attempt_to_connect() -> None:
    """A listener that never answers: libpq itself would wait for connect_timeout."""
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        cancellation = Cancellation()
        threading.Timer(0.3, cancellation.request).start()
        began = time.monotonic()
        url = f"postgresql://u@127.0.0.1:{listener.getsockname()[1]}/d?connect_timeout=30"
        with pytest.raises(Cancelled), opened(url, cancellation=cancellation):
            pass
        assert time.monotonic() - began < 5


def test_cancel_over_a_network_that_carries_nothing(postgresql_server: PostgreSQL, postgresql_database: str) -> None:
    """The request itself is not answered either; it stops neither this thread nor any other."""
    cancellation = Cancellation()
    beats: list[float] = []
    with FrozenNetwork(postgresql_server.port) as network:
        url = postgresql_database.replace(f":{postgresql_server.port}/", f":{network.port}/")
        with opened(url, cancellation=cancellation) as target:
            target.rows("SELECT 1")
            network.freeze()
            threading.Timer(0.3, cancellation.request).start()
            ended = threading.Event()
            beating = threading.Thread(target=lambda: _beat(beats, ended))
            beating.start()
            began = time.monotonic()
            with pytest.raises(Cancelled):
                target.rows("SELECT pg_sleep(60)")
            assert time.monotonic() - began < 20
            ended.set()
            beating.join()
    assert max(later - sooner for sooner, later in pairwise(beats)) < 3


def test_a_session_ended_during_copy_says_why_and_prints_no_rows(
    postgresql_server: PostgreSQL, postgresql_database: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """psycopg2 loses the first error of two, and Python prints it with the row that the server was reading."""
    with opened(postgresql_database) as target:
        connection = target.connect(target.info.database)
        pid = connection.info.backend_pid

        class Rows(io.BytesIO):
            sent = 0

            def read(self, _size: int | None = -1, /) -> bytes:
                self.sent += 1
                if self.sent == 20:
                    postgresql_server.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
                return b"secret salary\n" * 5000 if self.sent < 400 else b""

        with connection.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE t (a text)")
            with pytest.raises(psycopg2.Error) as caught:
                cursor.copy_expert("COPY t FROM stdin", Rows())
        failure = translate(caught.value, "COPY t")
    assert isinstance(failure, ConnectError)
    assert "terminating connection due to administrator command" in failure.message
    assert capfd.readouterr() == ("", "")


def _beat(beats: list[float], ended: threading.Event) -> None:
    while not ended.wait(0.1):
        beats.append(time.monotonic())


# --- poolers ------------------------------------------------------------------------------------------------------


def test_a_pooler_is_noticed_and_its_sessions_left_clean(
    postgresql_server: PostgreSQL, pgbouncer: PgBouncer, postgresql_database: str
) -> None:
    name = postgresql_database.rpartition("/")[2]
    url = f"{pgbouncer.url(name)}?options=-c%20work_mem%3D7MB"
    with opened(url, read_only=True) as target:
        assert target.is_pooled
        with pytest.raises(ServerError, match="read-only"):
            target.rows("CREATE TABLE t()")
    with closing(psycopg2.connect(pgbouncer.url(name))) as other, other.cursor() as cursor:
        cursor.execute("SELECT current_setting('default_transaction_read_only'), current_setting('work_mem')")
        assert cursor.fetchall() == [("off", "4MB")]
    with opened(postgresql_database) as target:
        assert not target.is_pooled


def test_a_pooler_without_the_database(pgbouncer: PgBouncer) -> None:
    with opened(pgbouncer.url("nowhere_to_be_found")) as target, pytest.raises(ConnectError, match="does not exist"):
        target.check_database()


# --- tools and status ------------------------------------------------------------------------------------------------


def make_tool(directory: Path, name: str, version: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
    path.chmod(0o755)


def test_the_tool_of_the_servers_own_version_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbtui.adapters.postgresql.tools._INSTALLED", ())
    for folder, version in (("a", "14.9"), ("b", "16.2"), ("c", "16.4 (Debian 16.4-1)"), ("d", "18.0")):
        make_tool(tmp_path / folder, "pg_dump", version)
    environ = {"PATH": ":".join(str(tmp_path / folder) for folder in "abcd")}
    assert find_tool("pg_dump", 160001, environ).version == "16.4"
    assert find_tool("pg_dump", 150018, environ).version == "16.4"
    assert find_tool("pg_dump", 170000, environ).version == "18.0"
    with pytest.raises(ToolError, match=r"every pg_dump here is older .* PostgreSQL 19: found 14.9 .* 18.0"):
        find_tool("pg_dump", 190000, environ)
    with pytest.raises(ToolError, match="pg_dump is not installed here and the server is PostgreSQL 15"):
        find_tool("pg_dump", 150000, {"PATH": "/nowhere"})
    assert find_tool("pg_dump", 150000, {"DBTUI_PG_BIN": str(tmp_path / "d"), "PATH": ""}).version == "18.0"


def test_status_of_a_superuser(postgresql_server: PostgreSQL, postgresql_database: str) -> None:
    postgresql_server.execute("CREATE TABLE t()", database=postgresql_database.rpartition("/")[2])
    with opened(postgresql_database) as target:
        status = ADAPTER.collect_status(target)
    assert status.sessions_available == 97 and (status.sessions_used or 0) >= 1
    assert status.tables == 1 and (status.size_bytes or 0) > 1_000_000
    assert status.gaps == () and status.reachable


def test_status_says_what_a_plain_login_may_not_see(postgresql_server: PostgreSQL, login: str) -> None:
    with opened(postgresql_server.url("postgres", login), password=PASSWORD) as target:
        status = ADAPTER.collect_status(target)
    assert status.gaps == (f'sessions of other logins need GRANT pg_read_all_stats TO "{login}"',)
    assert status.size_bytes is not None


def test_the_adapter_opens_targets(postgresql_database: str) -> None:
    target = ADAPTER.open_target(profile_of(postgresql_database), None, Cancellation(), os.environ)
    assert isinstance(target, PostgresqlTarget)
    target.close()
    target.close()


@pytest.mark.parametrize("port", ["28000", "53300"])
def test_the_number_of_a_port_is_no_sqlstate(port: str) -> None:
    said = f'connection to server at "127.0.0.1", port {port} failed: Connection refused\n\tIs the server running?\n'
    error = translate_connect(psycopg2.OperationalError(said), {"host": "127.0.0.1", "port": port, "user": "app"})
    assert not isinstance(error, AuthenticationError)
    assert isinstance(error, ConnectError)
    assert (error.code, "connection refused" in error.message) == ("", True)
