"""Who is connected, who waits for whom, and ending exactly one session, on real servers."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dbtui.adapters.postgresql.adapter import ADAPTER
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.sessions import SESSIONS
from dbtui.demo.servers import PgBouncer, PostgreSQL
from dbtui.errors import RefusedError
from dbtui.model.sessions import Hit, Session, SessionHit, SessionVerb
from tests.adapters.postgresql_sessions import (
    Crowd,
    add_login,
    any_database,
    any_server,
    await_state,
    chain,
    crowd,
    crowd_in,
    database_on,
    execute,
    newest_postgresql,
    pid_of,
    see,
)
from tests.adapters.postgresql_targets import opened, wait_until

__all__ = ["any_database", "any_server", "crowd", "newest_postgresql"]  # fixtures

CANCEL, TERMINATE = SessionVerb.CANCEL, SessionVerb.TERMINATE
SLEEP = "SELECT pg_sleep(60)"


def end(target: PostgresqlTarget, verb: SessionVerb, session: Session) -> SessionHit:
    return SESSIONS.end_session(target, verb, session, datetime.now(UTC))


# --- looking -----------------------------------------------------------------------------------------------------


def test_a_chain_of_locks_is_seen_from_its_root_to_its_last_victim(
    any_server: PostgreSQL, any_database: str, crowd: Crowd
) -> None:
    with opened(any_server.url(any_database)) as target:
        links = chain(crowd, target, 4)
        snapshot = SESSIONS.collect_sessions(target)
        seen = [next(s for s in snapshot.sessions if s.session_id == pid_of(link)) for link in links]
        assert [each.blocked_by for each in seen] == [(), *((pid_of(link),) for link in links[:3])]
        root, victim = seen[0], seen[1]
        assert (root.state, root.is_active, root.is_idle_in_transaction) == ("idle in transaction", False, True)
        assert root.wait == "Client: ClientRead" and root.query_seconds is None
        assert (victim.state, victim.is_active, victim.wait) == ("active", True, "Lock: transactionid")
        assert victim.sql == "UPDATE links SET n = n + 1 WHERE i = 0"
        assert (victim.user, victim.database, victim.application) == ("postgres", any_database, "link 1")
        assert victim.client.startswith("127.0.0.1:") and victim.is_tls is False and victim.is_client
        assert victim.started_at is not None and abs(datetime.now(UTC) - victim.started_at) < timedelta(minutes=5)
        ages = (victim.transaction_seconds, victim.query_seconds, victim.state_seconds)
        assert all(age is not None and 0 <= age < 60 for age in ages)
        assert (victim.transaction_seconds or 0) >= (victim.query_seconds or 0)
        assert snapshot.gaps == () and snapshot.user == "postgres" and snapshot.profile == "under test"


def test_own_sessions_and_the_server_s_own_workers_are_marked(postgresql_server: PostgreSQL) -> None:
    with opened(postgresql_server.url(socket=True)) as target, opened(postgresql_server.url()) as other:
        snapshot = SESSIONS.collect_sessions(target)
        own = {each.session_id for each in snapshot.sessions if each.is_own}
        assert {*target.own_processes(), *other.own_processes()} <= own
        assert see(target, target.own_processes()[0]).client == "local"
        workers = [each for each in snapshot.sessions if not each.is_client]
        assert "checkpointer" in {each.application for each in workers}
        assert not any(each.is_active for each in workers)


def test_a_number_that_was_ours_may_be_somebody_else_s_by_now(any_server: PostgreSQL, crowd: Crowd) -> None:
    with opened(any_server.url()) as target:
        stranger = crowd.join()
        target._processes.append(pid_of(stranger))
        assert not see(target, pid_of(stranger)).is_own


def test_parallel_workers_are_counted_with_their_leader(
    any_server: PostgreSQL, any_database: str, crowd: Crowd
) -> None:
    leader, locker = crowd.join("report"), crowd.join("migration")
    execute(leader, "CREATE TABLE wide AS SELECT i FROM generate_series(1, 20000) i; ANALYZE wide")
    leader.commit()
    for setting in ("min_parallel_table_scan_size", "parallel_setup_cost", "parallel_tuple_cost"):
        execute(leader, f"SET {setting} = 0")
    execute(leader, "SET parallel_leader_participation = off; SET jit = off")
    leader.commit()
    crowd.run(leader, "SELECT count(*) FROM wide WHERE pg_sleep(0.01) IS NOT NULL")
    with opened(any_server.url(any_database)) as target:
        wait_until(lambda: see(target, pid_of(leader)).workers == 2)
        others = [s for s in SESSIONS.collect_sessions(target).sessions if s.application == "report"]
        assert [each.session_id for each in others] == [pid_of(leader)]
    locker.rollback()


def test_a_statement_that_the_server_cut_is_marked(newest_postgresql: PostgreSQL) -> None:
    with opened(newest_postgresql.url()) as target, crowd_in(newest_postgresql.url()) as crowd:
        cut, whole, wide = crowd.join(), crowd.join(), crowd.join()
        execute(cut, "SELECT '" + "x" * 400 + "'")
        execute(whole, "SELECT '" + "x" * 150 + "'")
        execute(wide, "SELECT '" + "ü" * 400 + "'")
        assert see(target, pid_of(cut)).sql == "SELECT '" + "x" * 191 + "…"
        assert see(target, pid_of(whole)).sql == "SELECT '" + "x" * 150 + "'"
        assert see(target, pid_of(wide)).sql == "SELECT '" + "ü" * 95 + "…"


@pytest.mark.parametrize("stand", ["UTF8", "SQL_ASCII", "LATIN1", "EUC_JP"])
def test_texts_in_any_encoding_are_read_from_any_database(postgresql_server: PostgreSQL, stand: str) -> None:
    texts = {"LATIN1": b"SELECT 'caf\xe9'", "SQL_ASCII": b"SELECT '\xff\xfe'", "EUC_JP": b"SELECT '\xc6\xfc'"}
    shown = {"LATIN1": "SELECT 'café'", "SQL_ASCII": "SELECT '\ufffd\ufffd'", "EUC_JP": "SELECT '日'"}
    options = {encoding: f"ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'" for encoding in (*texts, "UTF8")}
    with crowd_in(postgresql_server.url()) as crowd, database_on(postgresql_server, options[stand]) as standing:
        for encoding, text in texts.items():
            with database_on(postgresql_server, options[encoding]) as name:
                speaker = crowd.join("\x1b[2Jérp[red]", postgresql_server.url(name))
                speaker.set_client_encoding(encoding)
                with speaker.cursor() as cursor:
                    cursor.execute(text)
                with opened(postgresql_server.url(standing)) as target:
                    assert see(target, pid_of(speaker)).sql == shown[encoding]
                    target.rows("SELECT 'ü'")  # the connection's own encoding is what it was
                speaker.close()


def test_what_a_login_may_not_see_is_a_gap_with_its_grant(any_server: PostgreSQL, crowd: Crowd) -> None:
    login = add_login(any_server)
    other = crowd.join()
    with opened(any_server.url("postgres", login, "x")) as target:
        snapshot = SESSIONS.collect_sessions(target)
        assert snapshot.gaps == (f'sessions of other logins need GRANT pg_read_all_stats TO "{login}"',)
        assert snapshot.is_partial
        hidden = see(target, pid_of(other))
        assert (hidden.sql, hidden.state, hidden.started_at, hidden.is_client) == ("", "", None, True)
        assert hidden.user == "postgres"
        any_server.execute(f"GRANT pg_read_all_stats TO {login}")
        seen = SESSIONS.collect_sessions(target)
        assert seen.gaps == () and not seen.is_partial
        assert see(target, pid_of(other)).state == "idle"


def test_a_prepared_transaction_that_blocks_is_a_session_without_a_process(newest_postgresql: PostgreSQL) -> None:
    with (
        database_on(newest_postgresql) as name,
        crowd_in(newest_postgresql.url(name)) as crowd,
        opened(newest_postgresql.url(name)) as target,
    ):
        first, second = crowd.join(), crowd.join()
        execute(first, "CREATE TABLE t AS SELECT 1 AS n")
        first.commit()
        execute(first, "UPDATE t SET n = 2")
        execute(first, "PREPARE TRANSACTION 'left over'")
        crowd.run(second, "UPDATE t SET n = 3")
        waiting = await_state(target, second, wait="Lock")
        assert waiting.blocked_by == (0,)
        left = see(target, 0)
        assert (left.database, left.user, left.is_client) == (name, "postgres", False) and "'left over'" in left.sql
        assert end(target, TERMINATE, left).hit is Hit.REFUSED
        newest_postgresql.execute("ROLLBACK PREPARED 'left over'", database=name)


# --- ending ------------------------------------------------------------------------------------------------------


def test_terminating_the_root_lets_the_chain_go_on(any_server: PostgreSQL, any_database: str, crowd: Crowd) -> None:
    with opened(any_server.url(any_database)) as target:
        links = chain(crowd, target, 3)
        root = see(target, pid_of(links[0]))
        (order,) = SESSIONS.show_orders(target, TERMINATE, [root])
        assert order.startswith("SELECT pg_catalog.pg_terminate_backend(a.pid)")
        assert f"a.pid = {root.session_id} AND a.backend_start = '{root.started_at:%Y-%m-%dT%H:%M:%S.%f}" in order
        assert end(target, TERMINATE, root) == SessionHit(session=root, hit=Hit.DONE)
        gone = {each.session_id for each in SESSIONS.collect_sessions(target).sessions}
        assert root.session_id not in gone
        await_state(target, links[1], "idle in transaction")
        again = end(target, TERMINATE, root)
        assert (again.hit, again.detail) == (Hit.GONE, "the session had ended already")


@pytest.mark.parametrize("verb", [CANCEL, TERMINATE])
def test_a_later_session_of_the_same_number_is_left_alone(
    any_server: PostgreSQL, any_database: str, crowd: Crowd, verb: SessionVerb
) -> None:
    with opened(any_server.url(any_database)) as target:
        sleeper = crowd.join()
        crowd.run(sleeper, SLEEP)
        now = await_state(target, sleeper)
        assert now.started_at is not None
        earlier = replace(now, started_at=now.started_at - timedelta(microseconds=1))
        assert end(target, verb, earlier).hit is Hit.REPLACED
        assert see(target, now.session_id).sql == SLEEP


def test_only_the_statement_that_was_seen_is_cancelled(any_server: PostgreSQL, any_database: str, crowd: Crowd) -> None:
    with opened(any_server.url(any_database)) as target:
        sleeper = crowd.join()
        crowd.run(sleeper, SLEEP)
        now = await_state(target, sleeper)
        assert now.query_started_at is not None
        earlier = replace(now, query_started_at=now.query_started_at - timedelta(microseconds=1))
        missed = end(target, CANCEL, earlier)
        assert (missed.hit, missed.detail) == (Hit.REPLACED, "it runs another statement now")
        assert see(target, now.session_id).is_active
        assert "pg_cancel_backend" in SESSIONS.show_orders(target, CANCEL, [now])[0]
        assert end(target, CANCEL, now).hit is Hit.DONE
        await_state(target, sleeper, "idle in transaction (aborted)")
        late = end(target, CANCEL, now)
        assert (late.hit, late.detail) == (Hit.GONE, "its statement had ended already")


def test_a_session_that_runs_nothing_cannot_be_cancelled(
    any_server: PostgreSQL, any_database: str, crowd: Crowd
) -> None:
    with opened(any_server.url(any_database)) as target:
        sitter = crowd.join()
        execute(sitter, "SELECT 1")
        refused = end(target, CANCEL, see(target, pid_of(sitter)))
        assert refused.hit is Hit.REFUSED and "only terminating it ends its transaction" in refused.detail
        assert SESSIONS.show_orders(target, CANCEL, [see(target, pid_of(sitter))]) == ()


def test_a_session_that_resists_is_still_there(
    any_server: PostgreSQL, any_database: str, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbtui.adapters.postgresql.session_orders._PATIENCE_SECONDS", 0.2)
    stubborn = crowd.join()
    crowd.run(
        stubborn,
        "DO $$ BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$",
    )
    with opened(any_server.url(any_database)) as target:
        resisted = end(target, CANCEL, await_state(target, stubborn, wait="Timeout"))
        assert resisted.hit is Hit.STILL_THERE and "it is still active" in resisted.detail
        assert end(target, TERMINATE, see(target, pid_of(stubborn))).hit is Hit.DONE


def test_what_must_not_be_ended_is_refused(postgresql_server: PostgreSQL) -> None:
    with opened(postgresql_server.url()) as target:
        sessions = SESSIONS.collect_sessions(target).sessions
        own = next(each for each in sessions if each.session_id == target.own_processes()[0])
        worker = next(each for each in sessions if each.application == "checkpointer")
        assert end(target, TERMINATE, own).detail == "it is a session of dbtui itself"
        assert end(target, TERMINATE, replace(own, is_own=False)).hit is Hit.REFUSED
        assert "belongs to the server" in end(target, TERMINATE, worker).detail
        claimed = end(target, TERMINATE, replace(worker, is_client=True))
        assert claimed.hit is not Hit.DONE
        assert see(target, worker.session_id).started_at == worker.started_at
    with opened(postgresql_server.url(), read_only=True) as target, pytest.raises(RefusedError, match="read-only"):
        end(target, TERMINATE, worker)


def test_a_missing_privilege_is_named_and_is_enough(any_server: PostgreSQL, any_database: str, crowd: Crowd) -> None:
    me, other = add_login(any_server), add_login(any_server)
    theirs = crowd.join("theirs", any_server.url(any_database, other, "x"))
    admins = crowd.join("admins")
    with opened(any_server.url(any_database, me, "x")) as target:
        blind = end(target, TERMINATE, see(target, pid_of(theirs)))
        assert blind.hit is Hit.REFUSED and f'GRANT pg_read_all_stats TO "{me}"' in blind.detail
        any_server.execute(f"GRANT pg_read_all_stats TO {me}")
        refused = end(target, TERMINATE, see(target, pid_of(theirs)))
        assert refused.hit is Hit.REFUSED and f'GRANT pg_signal_backend TO "{me}"' in refused.detail
        any_server.execute(f"GRANT pg_signal_backend TO {me}")
        above = end(target, TERMINATE, see(target, pid_of(admins)))
        assert (above.hit, above.detail) == (
            Hit.REFUSED,
            "it is a superuser's session: only a superuser may end it",
        )
        assert end(target, TERMINATE, see(target, pid_of(theirs))).hit is Hit.DONE


def test_all_of_it_works_through_a_pooler(postgresql_server: PostgreSQL, pgbouncer: PgBouncer) -> None:
    with (
        database_on(postgresql_server) as name,
        crowd_in(postgresql_server.url(name)) as crowd,
        opened(pgbouncer.url(name)) as target,
    ):
        assert target.is_pooled
        links = chain(crowd, target, 3)
        asking = [each for each in SESSIONS.collect_sessions(target).sessions if each.is_own]
        assert len(asking) == 1 and asking[0].sql.startswith("SET LOCAL client_encoding")
        assert end(target, TERMINATE, asking[0]).hit is Hit.REFUSED
        assert end(target, CANCEL, see(target, pid_of(links[1]))).hit is Hit.DONE
        assert end(target, TERMINATE, see(target, pid_of(links[0]))).hit is Hit.DONE
        assert target.rows("SHOW client_encoding")[0].client_encoding == "UTF8"


def test_the_adapter_offers_sessions() -> None:
    assert ADAPTER.sessions is SESSIONS


def test_many_that_wait_for_one_lock_are_seen_quickly(new_postgresql: Callable[..., PostgreSQL]) -> None:
    server = new_postgresql(config=["max_connections = 200"])
    with crowd_in(server.url()) as crowd, opened(server.url()) as target:
        holder = crowd.join("holder")
        execute(holder, "CREATE TABLE hot (n int)")
        holder.commit()
        execute(holder, "LOCK TABLE hot")
        for _ in range(100):
            crowd.run(crowd.join("victim", autocommit=True), "TABLE hot")
        wait_until(lambda: len(blocked_in(target)) == 100, 30)
        seen = blocked_in(target)
        assert all(each.blocked_by == (pid_of(holder),) for each in seen)
        assert end(target, TERMINATE, see(target, pid_of(holder))).hit is Hit.DONE
        wait_until(lambda: not blocked_in(target))


def blocked_in(target: PostgresqlTarget) -> list[Session]:
    return [each for each in SESSIONS.collect_sessions(target).sessions if each.blocked_by]
