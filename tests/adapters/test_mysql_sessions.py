"""Sessions of a real MariaDB: who waits for whom, and orders that hit exactly the session that was seen."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pymysql
import pytest

from dbtui.adapters.mysql.capabilities import collect_capabilities
from dbtui.adapters.mysql.connect import MysqlTarget
from dbtui.adapters.mysql.sessions import SESSIONS
from dbtui.adapters.mysql.status import collect_status
from dbtui.demo.servers import MariaDB
from dbtui.errors import RefusedError
from dbtui.model.sessions import Hit, Session, SessionHit, SessionsSnapshot, SessionVerb
from tests.adapters.mysql_targets import open_mysql
from tests.fix_servers import unique_name, wait_until

CANCEL, TERMINATE = SessionVerb.CANCEL, SessionVerb.TERMINATE


class Client:
    """An application's connection; `begin` leaves a statement running."""

    def __init__(self, server: MariaDB, database: str, **login: Any) -> None:
        self.connection = pymysql.connect(
            **{"unix_socket": str(server.socket), "user": server.superuser, "password": server.password,
               "database": database, "charset": "utf8mb4", "autocommit": True, **login}
        )  # fmt: skip
        self.number = int(self.connection.thread_id())  # type: ignore[no-untyped-call]
        self.error = 0
        self._thread: threading.Thread | None = None

    def run(self, *statements: str | bytes) -> None:
        for statement in statements:
            with self.connection.cursor() as cursor:
                cursor.execute(statement)

    def begin(self, statement: str | bytes) -> None:
        self._thread = threading.Thread(target=self._run, args=(statement,), daemon=True)
        self._thread.start()

    def _run(self, statement: str | bytes) -> None:
        try:
            self.run(statement)
        except (pymysql.Error, OSError) as error:
            self.error = error.args[0]

    def close(self) -> None:
        if self._thread:
            self._thread.join(20)
        if self.connection.open:
            self.connection.close()


@pytest.fixture
def world(mariadb_server: MariaDB, mariadb_database: str) -> Iterator["World"]:
    with ExitStack() as scope:
        yield World(mariadb_server, mariadb_database, scope)


class World:
    """A database with a table, its clients, and a target to look at them with."""

    def __init__(self, server: MariaDB, url: str, scope: ExitStack) -> None:
        self.server, self.url, self.scope = server, url, scope
        self.database = url.rsplit("/", 1)[1]
        server.execute("CREATE TABLE t (id INT PRIMARY KEY, v INT)", database=self.database)
        server.execute("INSERT INTO t VALUES (1, 0), (2, 0), (3, 0)", database=self.database)
        self.target = open_mysql(url)
        scope.callback(self.target.close)

    def client(self, **login: Any) -> Client:
        made = Client(self.server, self.database, **login)
        self.scope.callback(made.close)
        self.scope.callback(self.end, made.number)
        return made

    def end(self, number: int) -> None:
        if self.server.execute(f"SELECT 1 FROM information_schema.processlist WHERE id = {number}"):
            with _tolerating(1094):
                self.server.execute(f"KILL {number}")

    def look(self, target: MysqlTarget | None = None) -> SessionsSnapshot:
        return SESSIONS.collect_sessions(target or self.target)

    def session(self, client: Client) -> Session:
        return find(self.look(), client.number)

    def wait_for(self, client: Client, condition: Callable[[Session], object]) -> None:
        """InnoDB's lists stay as they are while they are read more often than every 0.1 s."""
        pause = threading.Event()
        wait_until(lambda: bool(condition(self.session(client)) or pause.wait(0.12)))

    def order(self, verb: SessionVerb, session: Session, taken_at: datetime | None = None) -> SessionHit:
        return SESSIONS.end_session(self.target, verb, session, taken_at or datetime.now(UTC))


@contextmanager
def _tolerating(number: int) -> Iterator[None]:
    try:
        yield
    except pymysql.Error as error:
        if error.args[0] != number:
            raise


def find(snapshot: SessionsSnapshot, number: int) -> Session:
    return next(each for each in snapshot.sessions if each.session_id == number)


def is_waiting(session: Session) -> bool:
    return "ait" in session.state or session.wait != ""


def test_an_idle_transaction_and_a_chain_of_four(world: World) -> None:
    root, second, third, fourth = (world.client() for _ in range(4))
    root.run("BEGIN", "UPDATE t SET v = 1 WHERE id = 1")
    second.run("BEGIN", "UPDATE t SET v = 1 WHERE id = 2")
    second.begin("UPDATE t SET v = 2 WHERE id = 1")
    world.wait_for(second, lambda each: each.blocked_by)
    third.run("BEGIN", "UPDATE t SET v = 1 WHERE id = 3")
    third.begin("UPDATE t SET v = 3 WHERE id = 2")
    world.wait_for(third, lambda each: each.blocked_by)
    fourth.begin("UPDATE t SET v = 4 WHERE id = 3")
    world.wait_for(fourth, lambda each: each.blocked_by)

    snapshot = world.look()
    blocked = {each.session_id: each.blocked_by for each in snapshot.sessions if each.blocked_by}
    assert blocked == {second.number: (root.number,), third.number: (second.number,), fourth.number: (third.number,)}
    holder, victim = find(snapshot, root.number), find(snapshot, second.number)
    assert holder.is_idle_in_transaction
    assert not holder.is_active
    assert holder.client == "local"
    assert holder.state == "Sleep"
    assert holder.transaction_seconds is not None
    assert victim.is_active
    assert victim.sql == "UPDATE t SET v = 2 WHERE id = 1"
    assert victim.wait == f"Lock: row of `{world.database}`.`t`"
    assert victim.query_seconds is not None
    assert snapshot.user == "root"

    status = collect_status(world.target)
    assert (status.sessions_blocked, status.sessions_idle_in_transaction) == (3, 1)
    assert status.oldest_transaction_seconds is not None

    hit = world.order(TERMINATE, holder, snapshot.taken_at)
    assert hit.hit is Hit.DONE
    world.wait_for(second, lambda each: not each.blocked_by)
    assert not any(each.session_id == root.number for each in world.look().sessions)
    assert world.order(TERMINATE, holder, snapshot.taken_at).hit is Hit.GONE


def test_ages_go_by_the_server_and_not_by_its_time_zone(new_mariadb: Callable[..., MariaDB]) -> None:
    """InnoDB tells begin times in the system's zone, the session's clock is in another."""
    server = new_mariadb(options=["--default-time-zone=+05:00"])
    server.execute("CREATE DATABASE d")
    server.execute("CREATE TABLE d.t (id INT PRIMARY KEY) SELECT 1 AS id")
    client, target = Client(server, "d"), open_mysql(server.url("d"))
    try:
        client.run("BEGIN", "SELECT * FROM t FOR UPDATE")
        age = find(SESSIONS.collect_sessions(target), client.number).transaction_seconds
        assert age is not None
        assert 0 <= age < 30
        assert (collect_status(target).oldest_transaction_seconds or 0) < 30
    finally:
        client.close()
        target.close()


def test_metadata_locks_are_a_gap_until_the_server_tells(new_mariadb: Callable[..., MariaDB]) -> None:
    server = new_mariadb()
    server.execute("CREATE DATABASE d")
    with ExitStack() as scope:
        world = World(server, server.url("d"), scope)
        reader, changer, late = (world.client() for _ in range(3))
        reader.run("BEGIN", "SELECT * FROM t")
        changer.begin("ALTER TABLE t ADD COLUMN w INT")
        world.wait_for(changer, is_waiting)
        late.begin("SELECT * FROM `d`.t")
        world.wait_for(late, is_waiting)
        snapshot = world.look()
        assert find(snapshot, changer.number).wait == "Waiting for table metadata lock"
        assert find(snapshot, changer.number).blocked_by == ()
        assert "INSTALL SONAME 'metadata_lock_info'" in snapshot.gaps[-1]

        server.execute("INSTALL SONAME 'metadata_lock_info'")
        assert find(world.look(), changer.number).blocked_by == (), "asked once for each connection"
        world.target.close()
        world.target = open_mysql(world.url)
        scope.callback(world.target.close)
        snapshot = world.look()
        assert find(snapshot, changer.number).blocked_by == (reader.number,)
        assert find(snapshot, late.number).blocked_by == (changer.number,)
        assert snapshot.gaps == ()
        assert world.order(TERMINATE, find(snapshot, reader.number), snapshot.taken_at).hit is Hit.DONE
        world.wait_for(changer, lambda each: not is_waiting(each))


def test_locks_and_programs_as_performance_schema_tells_them(new_mariadb: Callable[..., MariaDB]) -> None:
    """The lists that MySQL has too: wanted locks stand there, and what a client calls itself."""
    server = new_mariadb(options=["--performance-schema=ON", "--performance-schema-instrument=wait/lock/metadata/%=ON"])
    server.execute("CREATE DATABASE d")
    with ExitStack() as scope:
        world = World(server, server.url("d"), scope)
        reader, changer, late, writer = (world.client(program_name="billing") for _ in range(4))
        reader.run("BEGIN", "SELECT * FROM t")
        changer.begin("ALTER TABLE t ADD COLUMN w INT")
        world.wait_for(changer, is_waiting)
        late.begin("SELECT * FROM t")
        world.wait_for(late, is_waiting)
        snapshot = world.look()
        assert find(snapshot, changer.number).blocked_by == (reader.number,)
        assert find(snapshot, late.number).blocked_by == (changer.number,)
        assert find(snapshot, reader.number).application == "billing"
        assert find(snapshot, reader.number).is_tls is False
        assert snapshot.gaps == ()
        assert writer.number not in [number for each in snapshot.sessions for number in each.blocked_by]


def test_a_login_without_process_sees_its_own_and_the_grant(world: World) -> None:
    login = unique_name("low")[-30:]
    world.server.execute(f"CREATE USER `{login}`@'127.0.0.1' IDENTIFIED BY 'pw'")
    world.server.execute(f"GRANT SELECT ON `{world.database}`.* TO `{login}`@'127.0.0.1'")
    try:
        low = open_mysql(world.server.url(world.database, user=login, password="pw"))
        other = world.client()
        other.begin("SELECT SLEEP(30)")
        world.wait_for(other, lambda each: each.is_active)
        snapshot = world.look(low)
        assert {each.user for each in snapshot.sessions} == {login}
        assert [each.is_own for each in snapshot.sessions] == [True]
        grant = f"GRANT PROCESS ON *.* TO '{login}'@'127.0.0.1'"
        assert [grant in gap for gap in snapshot.gaps] == [True]
        assert snapshot.is_partial
        status = collect_status(low)
        assert status.sessions_blocked is None
        assert status.sessions_used
        assert any("GRANT SLAVE MONITOR ON *.*" in gap for gap in status.gaps)

        hit = SESSIONS.end_session(low, TERMINATE, world.session(other), datetime.now(UTC))
        assert hit.hit is Hit.GONE, "this login cannot see it"
        world.server.execute(f"GRANT PROCESS, SLAVE MONITOR ON *.* TO `{login}`@'127.0.0.1'")
        low.close()
        low = open_mysql(world.server.url(world.database, user=login, password="pw"))
        assert world.look(low).gaps == () and not world.look(low).is_partial
        assert not any("replica" in gap for gap in collect_status(low).gaps)
        held = {each.name: each.is_held for each in collect_capabilities(low).items}
        assert (held["PROCESS"], held["replication"], held["CONNECTION ADMIN"]) == (True, True, False)
        for verb in SessionVerb:
            hit = SESSIONS.end_session(low, verb, world.session(other), datetime.now(UTC))
            assert hit.hit is Hit.REFUSED
            assert f"GRANT CONNECTION ADMIN ON *.* TO '{login}'@'127.0.0.1'" in hit.detail
        low.close()
    finally:
        world.server.execute(f"DROP USER `{login}`@'127.0.0.1'")


def test_cancel_ends_the_statement_that_was_seen_and_no_other(world: World) -> None:
    client = world.client()
    client.begin("SELECT SLEEP(30), 'first'")
    world.wait_for(client, lambda each: "first" in each.sql)
    snapshot = world.look()
    seen = find(snapshot, client.number)
    (text,) = SESSIONS.show_orders(world.target, CANCEL, [seen])
    assert f"KILL QUERY ID {seen.query_id}" in text
    hit = world.order(CANCEL, seen, snapshot.taken_at)
    assert hit.hit is Hit.DONE
    world.wait_for(client, lambda each: each.state == "Sleep")
    again = world.order(CANCEL, seen, snapshot.taken_at)
    assert (again.hit, again.detail) == (Hit.GONE, "its statement had ended by itself")

    client.begin("SELECT SLEEP(30), 'second'")
    world.wait_for(client, lambda each: "second" in each.sql)
    assert world.order(CANCEL, seen, snapshot.taken_at).hit is Hit.REPLACED
    assert "second" in world.session(client).sql
    assert world.order(CANCEL, replace(seen, is_active=False), snapshot.taken_at).hit is Hit.GONE
    assert world.order(TERMINATE, seen, snapshot.taken_at).hit is Hit.DONE, "the session is still the one that was seen"


@pytest.mark.parametrize("change", [{"user": "somebody"}, {"client": "10.0.0.7:51022"}])
def test_a_number_that_is_another_session_now_is_left_alone(world: World, change: dict[str, str]) -> None:
    client = world.client()
    client.begin("SELECT SLEEP(30)")
    world.wait_for(client, lambda each: each.is_active)
    seen = replace(world.session(client), **change)  # type: ignore[arg-type]
    for verb in SessionVerb:
        hit = world.order(verb, seen)
        assert hit.hit is Hit.REPLACED
        assert f"number {client.number} is now root from local" in hit.detail
    assert world.session(client).is_active


def test_a_server_that_was_started_after_the_look(world: World) -> None:
    """Numbers begin again then: whoever has this one now is not who was seen."""
    client = world.client()
    seen = world.session(client)
    hit = world.order(TERMINATE, seen, datetime.now(UTC) - timedelta(days=400))
    assert hit.hit is Hit.REPLACED
    assert world.session(client)


def test_a_session_that_is_still_rolling_back_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dbtui.adapters.mysql.session_orders._WAIT_SECONDS", 0.0)
    client = world.client()
    client.run("BEGIN", "INSERT INTO t SELECT seq, 0 FROM seq_100_to_20000")
    hit = world.order(TERMINATE, world.session(client))
    assert hit.hit is Hit.STILL_THERE
    assert hit.detail.startswith("the server took the order")


def test_read_only_profiles_and_server_threads_are_refused(world: World) -> None:
    client = world.client()
    target = open_mysql(world.url, read_only=True)
    try:
        with pytest.raises(RefusedError, match="read-only"):
            SESSIONS.end_session(target, TERMINATE, world.session(client), datetime.now(UTC))
    finally:
        target.close()
    assert world.order(TERMINATE, replace(world.session(client), is_client=False)).hit is Hit.REFUSED
    assert world.session(client)


def test_hostile_names_and_bytes_that_are_no_text(world: World) -> None:
    name = "a'b`c\\[red]\x1b[31m\u202e"
    world.server.execute("CREATE USER %s@'127.0.0.1' IDENTIFIED BY 'pw'", (name,))
    database = unique_name("x") + "`[/]\u202e"
    world.server.execute(f"CREATE DATABASE `{database.replace('`', '``')}`")
    try:
        world.server.execute("GRANT ALL ON *.* TO %s@'127.0.0.1'", (name,))
        client = world.client(unix_socket=None, host="127.0.0.1", port=world.server.port, user=name, password="pw")
        client.connection.select_db(database)
        client.begin(b"SELECT SLEEP(30), '\xff\xe4 \xf0\x9f\x98\x80' /* \x1b[2J */")
        world.wait_for(client, lambda each: each.is_active)
        seen = world.session(client)
        assert (seen.user, seen.database) == (name, database)
        assert "\\xff\\xe4 \U0001f600" in seen.sql
        assert seen.client.startswith("127.0.0.1:")
        assert world.order(CANCEL, seen).hit is Hit.DONE
        assert world.order(TERMINATE, world.session(client)).hit is Hit.DONE
    finally:
        world.server.execute("DROP USER %s@'127.0.0.1'", (name,))
        world.server.execute(f"DROP DATABASE `{database.replace('`', '``')}`")


def test_long_statements_are_cut_and_say_so(world: World) -> None:
    client = world.client()
    client.begin("SELECT SLEEP(30), '" + "ä" * 60_000 + "'")
    world.wait_for(client, lambda each: each.is_active)
    seen = world.session(client)
    assert seen.sql.endswith("ä…")
    assert len(seen.sql.encode()) < 9000
    with pytest.raises(RefusedError, match="too long"):
        SESSIONS.explain(world.target, replace(seen, is_active=False))
    assert world.order(CANCEL, seen).hit is Hit.DONE


def test_own_sessions_and_threads_of_the_server_are_marked(world: World) -> None:
    second = open_mysql(world.url)
    try:
        own = [each for each in world.look().sessions if each.is_own]
        assert len(own) >= 2
        assert {each.application for each in own} == {"dbtui"}
    finally:
        second.close()
    world.server.execute("SET GLOBAL event_scheduler = ON")
    try:
        wait_until(lambda: any(each.user == "event_scheduler" for each in world.look().sessions))
        daemon = next(each for each in world.look().sessions if each.user == "event_scheduler")
        assert (daemon.is_client, daemon.is_active) == (False, False)
    finally:
        world.server.execute("SET GLOBAL event_scheduler = OFF")


def test_the_plan_of_what_runs_and_of_what_is_known_as_text(world: World) -> None:
    client = world.client()
    client.begin("SELECT SLEEP(0.3), a.* FROM t a, t b, t c, t d WHERE a.v >= 0")
    world.wait_for(client, lambda each: each.is_active)
    seen = world.session(client)
    plan = SESSIONS.explain(world.target, seen)
    assert plan.startswith("The plan it follows now:")
    assert "select_type" in plan
    assert world.session(client).query_id == seen.query_id, "it runs on"
    text = SESSIONS.explain(world.target, replace(seen, is_active=False, sql="SELECT * FROM t WHERE id = 2;"))
    assert text.startswith("The plan it would have:")
    assert "PRIMARY" in text
    changing = replace(seen, is_active=False, sql="DELETE FROM t WHERE id = 1")
    assert "PRIMARY" in SESSIONS.explain(world.target, changing)
    assert world.server.execute("SELECT COUNT(*) FROM t", database=world.database) == [(3,)]


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "SELECT 1; DROP TABLE t",
        "DROP TABLE t",
        "ANALYZE SELECT * FROM t",
        "ANALYZE FORMAT=JSON DELETE FROM t",
        "/*!50000 ANALYZE */ SELECT 1",
        "SELECT 1 INTO OUTFILE '/tmp/x'",
        "CALL p()",
        "FORMAT=JSON SELECT 1",
        "SELECT 1 …",
    ],
)
def test_what_explain_refuses(world: World, sql: str) -> None:
    seen = Session(session_id=1, user="root", database=world.database, sql=sql)
    with pytest.raises(RefusedError):
        SESSIONS.explain(world.target, seen)
    assert world.server.execute("SELECT COUNT(*) FROM t", database=world.database) == [(3,)]


def test_status_of_a_quiet_server(world: World) -> None:
    found = collect_status(world.target)
    assert found.started_at
    assert found.started_at < datetime.now(UTC)
    assert found.counters
    assert found.counters.queries
    assert found.sessions_available == 151
    assert (found.is_tls, found.is_pooled, found.lag_seconds) == (False, None, None)
    assert found.tables == 1
    world.server.execute("CREATE TABLE second_one (id INT)", database=world.database)
    again = collect_status(world.target)
    assert again.tables == 1, "tables are added up once a minute"
    assert again.started_at == found.started_at
    assert again.counters
    assert (again.counters.queries or 0) > found.counters.queries
    login = quote(world.server.superuser)
    assert f"{login}@" in (found.info.user if found.info else "")


def test_status_names_the_limit_of_a_login(world: World) -> None:
    login = unique_name("few")[-30:]
    world.server.execute(f"CREATE USER `{login}`@'127.0.0.1' IDENTIFIED BY 'pw' WITH MAX_USER_CONNECTIONS 5")
    world.server.execute(f"GRANT SELECT ON `{world.database}`.* TO `{login}`@'127.0.0.1'")
    target = open_mysql(world.server.url(world.database, user=login, password="pw"))
    try:
        gaps = collect_status(target).gaps
        assert "this login may have 5 sessions at most (max_user_connections)" in gaps
    finally:
        target.close()
        world.server.execute(f"DROP USER `{login}`@'127.0.0.1'")


def test_lag_of_a_real_replica_and_a_thread_that_was_stopped(new_mariadb: Callable[..., MariaDB]) -> None:
    primary = new_mariadb(options=["--server-id=1", "--log-bin"])
    replica = new_mariadb(options=["--server-id=2", "--read-only"])
    primary.execute("RESET MASTER")  # its log holds its own passwords
    primary.execute("CREATE DATABASE d")
    replica.execute(
        f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={primary.port}, MASTER_USER='root',"
        f" MASTER_PASSWORD='{primary.password}'"
    )
    replica.execute("START SLAVE")
    target = open_mysql(replica.url("mysql"))
    try:
        wait_until(lambda: collect_status(target).lag_seconds == 0)
        found = collect_status(target)
        assert found.info
        assert (found.info.role, found.gaps) == ("replica", ())
        workers = [each for each in SESSIONS.collect_sessions(target).sessions if each.user == "system user"]
        assert workers
        assert not any(each.is_client for each in workers)
        replica.execute("STOP SLAVE SQL_THREAD")
        found = collect_status(target)
        assert found.info
        assert (found.info.role, found.lag_seconds) == ("replica", None)
        assert found.gaps == ("replication thread SQL is stopped",)
    finally:
        target.close()
    with ExitStack() as scope:
        target = open_mysql(primary.url("d"))
        scope.callback(target.close)
        found = collect_status(target)
        assert found.info
        assert (found.info.role, found.lag_seconds) == ("primary", None)
        sender = next(each for each in SESSIONS.collect_sessions(target).sessions if "Binlog Dump" in each.state)
        assert not sender.is_active
