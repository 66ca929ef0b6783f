"""Connecting: what is said of the server, what a refusal means, how a running statement is cancelled."""

import logging
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.mysql import status
from dbtui.demo.servers import MariaDB
from dbtui.errors import AuthenticationError, Cancelled, ConnectError, RefusedError, ServerError
from tests.adapters.mysql_targets import open_mysql
from tests.fix_servers import unique_name


def test_the_server_introduces_itself(mariadb_database: str) -> None:
    target = open_mysql(mariadb_database)
    info = target.info
    assert (info.flavour, info.role, info.is_superuser, info.user) == ("MariaDB", "primary", True, "root@127.0.0.1")
    assert info.version_number == sum(
        int(part) * weight for part, weight in zip(info.version.split("."), (10000, 100, 1), strict=True)
    )
    assert info.database == target.database
    found = status.collect_status(target)
    assert (found.reachable, found.tables, found.size_bytes, found.problem) == (True, 0, 0, "")
    assert found.sessions_used is not None
    assert found.sessions_used >= 1
    assert found.sessions_available == 151
    target.close()


def test_over_the_socket_and_as_mysql_too(mariadb_server: MariaDB) -> None:
    target = open_mysql(mariadb_server.url("mysql", socket=True, scheme="mysql"))
    assert target.info.user == "root@localhost"
    target.close()


def test_a_password_of_any_characters_logs_in_and_is_never_shown(
    mariadb_server: MariaDB, caplog: pytest.LogCaptureFixture
) -> None:
    user, password = unique_name("u"), "pä'\"\\#% €\t:/@"
    mariadb_server.execute(f"CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY %s", [password])
    with caplog.at_level(logging.DEBUG):
        target = open_mysql(mariadb_server.url("", user, password))
    assert password not in caplog.text
    assert password not in repr(target) + repr(vars(target)) + repr(target.options)
    assert target.info.is_superuser is False
    target.close()
    with pytest.raises(AuthenticationError) as refused:
        open_mysql(mariadb_server.url("", user, "wrong-one"))
    assert "wrong-one" not in str(refused.value)
    assert "refused the password" in refused.value.message
    seen = refused.value.__traceback__
    while seen is not None:
        assert "wrong-one" not in repr(seen.tb_frame.f_locals.get("secret", "")) or seen.tb_next is None
        seen = seen.tb_next
    with pytest.raises(AuthenticationError, match="none was given"):
        open_mysql(mariadb_server.url("", user).replace(":@", "@"))


def test_refusals_have_one_clear_sentence(mariadb_server: MariaDB) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        with pytest.raises(ConnectError, match=f"nothing listens at 127.0.0.1:{port}"):
            open_mysql(f"mysql://u@127.0.0.1:{port}/d")
    with pytest.raises(ConnectError, match=r"host name in no-such-host\.invalid:3306"):
        open_mysql("mysql://u@no-such-host.invalid/d")
    with pytest.raises(ConnectError, match="no server socket at /nowhere"):
        open_mysql("mysql://u@localhost/d?unix_socket=/nowhere.sock")
    with pytest.raises(AuthenticationError):
        open_mysql(mariadb_server.url("", "nobody_knows_me", "x"))


def test_a_server_that_says_nothing_is_given_up() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with pytest.raises(ConnectError, match="did not answer in time"):
            open_mysql(f"mysql://u@127.0.0.1:{port}/d?connect_timeout=1")


def test_connecting_can_be_cancelled() -> None:
    cancellation = Cancellation()
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        threading.Timer(0.2, cancellation.request).start()
        began = time.monotonic()
        with pytest.raises(Cancelled):
            open_mysql(f"mysql://u@127.0.0.1:{port}/d?connect_timeout=30", cancellation)
        assert time.monotonic() - began < 5


def test_a_running_statement_is_cancelled_on_the_server(mariadb_server: MariaDB, mariadb_database: str) -> None:
    cancellation = Cancellation()
    target = open_mysql(mariadb_database, cancellation)
    threading.Timer(0.3, cancellation.request).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        target.rows("SELECT SLEEP(60)")
    assert time.monotonic() - began < 10
    running = "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT SLEEP(60)%%'"
    assert mariadb_server.execute(running) == []
    target.close()


def test_a_database_that_does_not_exist_is_a_problem_not_an_error(mariadb_server: MariaDB) -> None:
    target = open_mysql(mariadb_server.url("no_such_database"))
    found = status.collect_status(target)
    assert "no_such_database does not exist" in found.problem
    assert found.reachable
    target.close()


@pytest.fixture
def full_server(mariadb_server: MariaDB) -> Iterator[str]:
    """A login that may have one session only, and has it."""
    user = unique_name("one")
    mariadb_server.execute(f"CREATE USER '{user}'@'127.0.0.1' IDENTIFIED BY 'p' WITH MAX_USER_CONNECTIONS 1")
    first = open_mysql(mariadb_server.url("", user, "p"))
    yield mariadb_server.url("", user, "p")
    first.close()


def test_no_session_left(full_server: str) -> None:
    with pytest.raises(ConnectError, match=r"sessions|limits"):
        open_mysql(full_server)


def test_read_only_is_enforced_by_the_session(mariadb_database: str) -> None:
    target = open_mysql(mariadb_database, read_only=True)
    connection = target.connect(target.database)
    with pytest.raises(ServerError) as refused:
        target.rows("CREATE TABLE t (a int)", on=connection)
    assert refused.value.code == "1792"
    with pytest.raises(RefusedError, match="read-only"):
        target.refuse_read_only("this")
    target.close()


def test_tls_is_as_strict_as_it_was_asked_to_be(new_mariadb: Callable[..., MariaDB], mariadb_server: MariaDB) -> None:
    # In the home of another server of the same account, which can read what is there.
    place = mariadb_server.home / unique_name("tls")
    place.mkdir(mode=0o700)
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=db.test"]
    for name in ("server", "stranger"):
        made = [*words, "-keyout", str(place / f"{name}.key"), "-out", str(place / f"{name}.pem")]
        subprocess.run(made, check=True, capture_output=True)
    if mariadb_server.account:
        for path in (place, *place.iterdir()):
            os.chown(path, mariadb_server.account.uid, mariadb_server.account.gid)
    server = new_mariadb(options=[f"--ssl-cert={place}/server.pem", f"--ssl-key={place}/server.key"])
    for options in ({"ssl_ca": f"{place}/server.pem"}, {"ssl_mode": "required"}):
        target = open_mysql(server.url("", **options))  # type: ignore[arg-type]
        assert target.is_encrypted
        target.close()
    with pytest.raises(ConnectError, match=r"certificate|verify"):
        open_mysql(server.url("", ssl_ca=f"{place}/stranger.pem"))
    with pytest.raises(ConnectError, match=r"certificate|verify|ostname"):
        open_mysql(server.url("", ssl_ca=f"{place}/server.pem", ssl_verify_identity="1"))
    with pytest.raises(ConnectError):
        open_mysql(mariadb_server.url("", ssl_mode="required"))
