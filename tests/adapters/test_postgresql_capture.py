"""What a capture on PostgreSQL needs: refused with what to do, and with exactly that done it works."""

import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dbtui.adapters.cancellation import Cancellation
from dbtui.adapters.postgresql import capture as planning
from dbtui.adapters.postgresql.auto_conf import parse_auto_conf, read_auto_conf
from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.top_queries import QUERIES
from dbtui.demo.servers import PostgreSQL, PostgreSQLReplica
from dbtui.errors import RefusedError
from dbtui.model.captures import CaptureJournal, CaptureWish
from dbtui.model.connections import EngineName
from dbtui.model.queries import CapturePlan, SettingChange
from tests.adapters.postgresql_targets import opened, wait_until
from tests.fix_servers import unique_name

WISH = CaptureWish(sample_rate=1.0)


@pytest.fixture(scope="module")
def server(server_directory: object) -> Iterator[PostgreSQL]:
    """A server that collects its log."""
    config = ["logging_collector = on", "log_destination = 'stderr'"]
    with PostgreSQL(server_directory, name=unique_name("pg"), config=config) as made:  # type: ignore[arg-type]
        yield made


def plan(target: PostgresqlTarget, wish: CaptureWish = WISH) -> CapturePlan:
    return QUERIES.plan_capture(target, wish)


def journal_of(made: CapturePlan) -> CaptureJournal:
    now = datetime.now(UTC)
    return CaptureJournal(
        capture_id="test", profile="erp", engine=EngineName.POSTGRESQL, url="", server=made.server, way=made.way,
        changes=made.changes, began_at=now, seconds=60, deadline_at=now + timedelta(minutes=1), most_bytes=10**8,
        process=os.getpid(),
    )  # fmt: skip


def changes_of(made: CapturePlan) -> dict[str, str]:
    return {change.name: change.value for change in made.changes}


def test_a_plan_says_what_it_changes_and_what_that_costs(server: PostgreSQL) -> None:
    with opened(server.url()) as target:
        everything, sample = plan(target), plan(target, CaptureWish(sample_rate=0.25))
    assert changes_of(everything) == {
        "log_min_duration_statement": "0", "log_parameter_max_length": "64", "log_destination": "stderr,jsonlog",
    }  # fmt: skip
    assert changes_of(sample)["log_transaction_sample_rate"] == "0.25"
    assert "log_min_duration_statement" not in changes_of(sample)
    assert not everything.refusal and everything.free_bytes and everything.statements_per_second is not None
    assert "half as many" in everything.cost and "no cost" in sample.cost
    assert any("stay there" in warning for warning in everything.warnings)


def test_everything_is_captured_where_little_runs(server: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a few transactions might hold no loop at all."""
    with opened(server.url()) as target:
        assert plan(target, CaptureWish()).sample_rate == 1.0
        monkeypatch.setattr("dbtui.adapters.postgresql.capture._QUIET", 0.0)
        busy = plan(target, CaptureWish())
        assert busy.sample_rate == 0.1
        assert changes_of(busy)["log_transaction_sample_rate"] == "0.1"


def test_what_is_so_already_is_not_changed(server: PostgreSQL) -> None:
    names = ("log_min_duration_statement", "log_parameter_max_length", "log_destination")
    for name, value in zip(names, ("0", "10", "csvlog"), strict=True):
        server.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    server.execute("SELECT pg_reload_conf()")
    try:
        with opened(server.url()) as target:
            wait_until(lambda: target.rows("SHOW log_destination")[0].log_destination == "csvlog")
            made = plan(target)
            assert made.changes == () and made.format == "csvlog" and not made.refusal
    finally:
        for name in names:
            server.execute(f"ALTER SYSTEM RESET {name}")
        server.execute("SELECT pg_reload_conf()")


def test_settings_of_roles_and_files_that_wait_are_told(server: PostgreSQL) -> None:
    role = unique_name("loud")
    server.execute(f"CREATE ROLE {role} LOGIN")
    server.execute(f"ALTER ROLE {role} SET log_min_duration_statement = '5s'")
    file = server.data / "postgresql.conf"
    file.write_text(f"{file.read_text()}work_mem = '6MB'\n")
    soon = time.time() + 2  # the server tells files' times in whole seconds
    os.utime(file, (soon, soon))
    with opened(server.url()) as target:
        warnings = "\n".join(plan(target).warnings)
    server.execute("SELECT pg_reload_conf()")
    server.execute(f"DROP ROLE {role}")
    assert f"role {role} has log_min_duration_statement = 5s of its own" in warnings
    assert "postgresql.conf was changed and not reloaded since" in warnings


def test_a_login_gets_the_grants_that_it_needs_and_no_more(server: PostgreSQL) -> None:
    login = unique_name("dba")
    server.execute(f"CREATE ROLE {login} LOGIN PASSWORD 'x'")
    url = server.url(user=login, password="x")
    with opened(url) as target:
        refusal = plan(target, replace(WISH, free_bytes=10**10)).refusal
    assert refusal.startswith("this login lacks rights; a superuser runs: ")
    grants = re.findall(r"GRANT [^;]*", refusal)
    assert len(grants) == 2 and f'in database "postgres" {grants[1]}' in refusal
    for grant in grants:
        server.execute(grant)
    with opened(url) as target:
        made = plan(target, replace(WISH, free_bytes=10**10))
        if made.refusal:  # the values of parameters come with a right of its own
            server.execute(re.findall(r"GRANT [^;]*", made.refusal)[0])
            made = plan(target, replace(WISH, free_bytes=10**10))
        assert not made.refusal
        names = [change.name for change in made.changes]
        with QUERIES.open_switch(target, journal_of(made)) as switch, QUERIES.open_tail(target, made) as tail:
            switch.apply()
            server.execute("SELECT 'seen'")
            wait_until(lambda: "SELECT 'seen'" in [event.sql for event in tail.read()[0]])
            assert switch.measure_growth() > 0
            assert switch.revert() == ()
            assert read_auto_conf(target, names) == {}
    server.execute(f"DROP OWNED BY {login}")
    server.execute(f"DROP ROLE {login}")


def test_without_knowing_the_room_it_is_refused(server: PostgreSQL, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "is_local_process", lambda _process_id: False)
    with opened(server.url()) as target:
        unknown = plan(target).refusal
        small = plan(target, CaptureWish(free_bytes=1000)).refusal
        assert not plan(target, CaptureWish(free_bytes=10**9)).refusal
    assert "cannot be told from here" in unknown and "256 MB is enough" in unknown and str(server.data) in unknown
    assert "1.0 kB are free" in small


def test_a_login_without_a_way_past_is_refused(server: PostgreSQL) -> None:
    with opened(server.url(), read_only=True) as target:
        assert "read-only" in plan(target).refusal


def test_without_the_collector_it_is_refused(postgresql_server: PostgreSQL) -> None:
    with opened(postgresql_server.url()) as target:
        refusal = plan(target).refusal
    assert "ALTER SYSTEM SET logging_collector = on, then restart" in refusal and "queries inspect" in refusal


def test_a_replica_is_refused(postgresql_replica: PostgreSQLReplica) -> None:
    with opened(postgresql_replica.url()) as target:
        assert "this server is a replica" in plan(target).refusal


@pytest.mark.parametrize(("role", "service"), [("rds_superuser", "Amazon RDS"), ("cloudsqlsuperuser", "Google Cloud")])
def test_a_managed_service_is_refused(server: PostgreSQL, role: str, service: str) -> None:
    server.execute(f"CREATE ROLE {role}")
    try:
        with opened(server.url()) as target:
            refusal = plan(target).refusal
    finally:
        server.execute(f"DROP ROLE {role}")
    assert service in refusal and "dbtui queries inspect" in refusal


def test_what_the_command_line_says_cannot_be_changed(new_postgresql: Callable[..., PostgreSQL]) -> None:
    class Insisting(PostgreSQL):
        def command(self) -> list[str]:
            return [*super().command(), "-c", "log_min_duration_statement=1000"]

    directory = new_postgresql().directory
    config = ["logging_collector = on"]
    with Insisting(directory, name=unique_name("pg"), config=config) as server, opened(server.url()) as target:
        assert "comes from the server's command line" in plan(target).refusal


def test_a_journal_of_another_server_is_not_applied(server: PostgreSQL) -> None:
    with opened(server.url()) as target:
        journal = replace(journal_of(plan(target)), server="PostgreSQL 1, timeline 1, port 1")
        with pytest.raises(RefusedError, match="this is PostgreSQL"), QUERIES.open_switch(target, journal):
            pass


def test_own_sessions_are_neither_logged_nor_summed_up(server: PostgreSQL) -> None:
    with opened(server.url()) as target:
        made = plan(target)
        with QUERIES.open_switch(target, journal_of(made)) as switch, QUERIES.open_tail(target, made) as tail:
            switch.apply()
            for _ in range(5):
                switch.measure_growth()
                events, _ = tail.read()
                assert events == []
            switch.revert()
    for path in (server.data / "log").glob("*.json"):
        assert "collect_log_files" not in path.read_text() and "pg_ls_logdir" not in path.read_text()


def test_a_lost_session_of_ours_gives_the_lock_up(server: PostgreSQL) -> None:
    """A guard whose connection was cut comes back over a new one; the server may not have noticed yet."""
    with opened(server.url()) as lost, opened(server.url()) as target:
        journal = journal_of(plan(lost))
        with QUERIES.open_switch(lost, journal), QUERIES.open_switch(target, journal, QUERIES.own_sessions(lost)):
            pass


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("log_destination = 'stderr'\n", {"log_destination": "stderr"}),
        ("# log_destination = 'a'\nlog_destination = 'it''s'\n", {"log_destination": "it's"}),
        ("log_destination = 'a'\nlog_destination = 'b'\n", {"log_destination": "b"}),
        ("  LOG_destination=csvlog # why\n", {"log_destination": "csvlog"}),
        ("log_destination 'a\\\\b'\n", {"log_destination": "a\\b"}),
        ("primary_conninfo = 'password=secret log_destination = ''x'''\n", {}),
        ("", {}),
    ],
)
def test_what_alter_system_holds_is_read(text: str, held: dict[str, str]) -> None:
    assert parse_auto_conf(text, ["log_destination"]) == held


def test_a_setting_that_nobody_held_is_reset(server: PostgreSQL) -> None:
    """Between "was not set" and "was set to the default" is a difference: the file says it, the setting does not."""
    server.execute("ALTER SYSTEM SET log_parameter_max_length = '-1'")
    server.execute("SELECT pg_reload_conf()")
    try:
        with opened(server.url()) as target:
            made = plan(target)
            assert {change.name: change.before for change in made.changes} == {
                "log_min_duration_statement": None, "log_parameter_max_length": "-1", "log_destination": None,
            }  # fmt: skip
            with QUERIES.open_switch(target, journal_of(made)) as switch:
                switch.apply()
                assert switch.revert() == ()
            names = [change.name for change in made.changes]
            assert read_auto_conf(target, names) == {"log_parameter_max_length": "-1"}
    finally:
        server.execute("ALTER SYSTEM RESET log_parameter_max_length")
        server.execute("SELECT pg_reload_conf()")


def test_reverting_twice_and_without_having_applied_changes_nothing(server: PostgreSQL) -> None:
    before = (server.data / "postgresql.auto.conf").read_text()
    with opened(server.url(), cancellation=Cancellation()) as target:
        journal = journal_of(plan(target))
        with QUERIES.open_switch(target, journal) as switch:
            assert switch.revert() == switch.revert() == ()
    assert (server.data / "postgresql.auto.conf").read_text() == before
    assert isinstance(journal.changes[0], SettingChange)
