"""What PgBouncer 1.18 to 1.25 say in their own columns, whatever their order, and what is asked how often."""

from datetime import UTC, datetime

import pytest

from dbtui.adapters.pgbouncer.clients import MOST_ASKED, collect_clients, linked_processes
from dbtui.adapters.pgbouncer.snapshot import collect_pooler, forget_settings
from dbtui.adapters.pgbouncer.versions import known_holes, parse_version
from dbtui.model.pools import PoolerPool, PoolerSettings, PoolerTotals
from tests.adapters.recorded_console import VERSIONS, RecordedConsole

LISTS = ("LISTS", "DATABASES", "USERS")
NOW = datetime(2026, 11, 22, tzinfo=UTC)


@pytest.fixture(params=VERSIONS)
def recorded(request: pytest.FixtureRequest) -> RecordedConsole:
    return RecordedConsole(request.param)


def test_the_versions_are_those_that_changed_columns() -> None:
    assert VERSIONS == ("1.18", "1.21", "1.23", "1.24", "1.25")


def test_pools_and_counters_mean_the_same_in_every_version(recorded: RecordedConsole) -> None:
    found = collect_pooler(recorded.console, NOW)
    assert found.pools == (
        PoolerPool(
            database="erp", user="app", cl_active=12, cl_waiting=7, sv_active=8, sv_idle=3, sv_used=4, sv_tested=5,
            sv_login=1, cl_cancel=3, sv_cancel=3, maxwait_seconds=2.25, pool_mode="transaction",
        ),
    )  # fmt: skip
    assignments = 900 if parse_version(recorded.version) >= (1, 23, 0) else None
    assert found.totals == (
        PoolerTotals(
            database="erp", xact_total=1000, query_total=2000, xact_seconds=5.5, query_seconds=4.5, wait_seconds=1.25,
            received_bytes=3000, sent_bytes=4000, assignment_total=assignments,
        ),
    )  # fmt: skip
    assert found.used_clients == 12 + 7 + 3 + 1  # without the two console sessions that SHOW LISTS counts
    assert (found.login_clients, found.used_servers) == (1, 24)


def test_the_order_of_columns_does_not_matter(recorded: RecordedConsole) -> None:
    straight = collect_pooler(recorded.console, NOW)
    for show in recorded.shows.values():
        show["columns"].reverse()
        for row in show["rows"]:
            row.reverse()
    recorded.kept.clear()
    turned = collect_pooler(recorded.console, NOW)
    assert (turned.pools, turned.totals, turned.databases) == (straight.pools, straight.totals, straight.databases)
    assert (turned.users, turned.settings) == (straight.users, straight.settings)


def test_limits_of_databases_and_users(recorded: RecordedConsole) -> None:
    found = collect_pooler(recorded.console, NOW)
    (database,), (user,) = found.databases, found.users
    assert (database.name, database.database, database.host, database.port) == ("erp", "erp_live", "10.0.0.5", 5432)
    assert (database.pool_size, database.reserve_pool_size, database.max_connections) == (8, 3, 40)
    assert (database.is_paused, database.is_disabled) == (True, False)
    knows_clients = parse_version(recorded.version) >= (1, 24, 0)
    assert database.max_client_connections == (300 if knows_clients else None)
    knows_users = parse_version(recorded.version) >= (1, 23, 0)
    assert (user.pool_size, user.max_connections, user.current_connections) == (
        (6, 50, 21) if knows_users else (None, None, None)
    )
    assert found.settings == PoolerSettings(
        max_client_conn=300, default_pool_size=8, min_pool_size=2, reserve_pool_size=3, reserve_pool_timeout_seconds=2,
        max_db_connections=40, max_user_connections=50, pool_mode="transaction", query_wait_timeout_seconds=15,
    )  # fmt: skip


def test_a_pause_of_everything_shows_from_1_19_on(recorded: RecordedConsole) -> None:
    recorded.set("SHOW DATABASES", "paused", 0)
    if recorded.version == "1.18.0":
        assert "before version 1.19" in " ".join(collect_pooler(recorded.console, NOW).gaps)
        assert "SHOW STATE" not in recorded.asked
        return
    assert not collect_pooler(recorded.console, NOW).databases[0].is_paused
    recorded.kept.clear()
    recorded.set("SHOW STATE", "value", "no", rows=[0])
    assert collect_pooler(recorded.console, NOW).databases[0].is_paused


def test_a_column_that_is_gone_is_a_gap_and_no_crash(recorded: RecordedConsole) -> None:
    show = recorded.shows["SHOW POOLS"]
    show["columns"][show["columns"].index("cl_waiting")] = "cl_patient"
    found = collect_pooler(recorded.console, NOW)
    assert any("cl_waiting" in gap for gap in found.gaps)
    assert found.pools[0].sv_active == 8


def test_who_may_order(recorded: RecordedConsole) -> None:
    for user, may in (("stats", False), ("root_of_pools", True), ("second", True)):
        recorded.user = user
        assert collect_pooler(recorded.console, NOW).is_admin is may


def test_what_is_asked_how_often(recorded: RecordedConsole, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr("dbtui.adapters.pgbouncer.snapshot.time.monotonic", lambda: clock[0])
    recorded.set("SHOW DATABASES", "paused", 0)
    for _ in range(120):
        collect_pooler(recorded.console, NOW)
        clock[0] += 1.0
    counts = {command: recorded.asked.count(command) for command in set(recorded.asked)}
    assert (counts["SHOW POOLS"], counts["SHOW STATS"], counts["SHOW CONFIG"]) == (120, 120, 2)
    assert {counts[f"SHOW {each}"] for each in LISTS} == {24}
    assert set(counts) - {"SHOW STATE"} == {f"SHOW {each}" for each in ("POOLS", "STATS", *LISTS, "CONFIG")}
    forget_settings(recorded.console)
    collect_pooler(recorded.console, NOW)
    assert recorded.asked.count("SHOW CONFIG") == 3


def test_a_pause_shows_at_the_next_look_and_so_does_its_end(recorded: RecordedConsole) -> None:
    recorded.set("SHOW DATABASES", "paused", 0)
    assert not collect_pooler(recorded.console, NOW).databases[0].is_paused
    recorded.set("SHOW DATABASES", "paused", 1)
    assert not collect_pooler(recorded.console, NOW).databases[0].is_paused  # servers work: nobody asks so soon
    recorded.set("SHOW POOLS", "sv_active", 0)
    assert collect_pooler(recorded.console, NOW).databases[0].is_paused
    recorded.set("SHOW DATABASES", "paused", 0)
    recorded.set("SHOW POOLS", "cl_waiting", 0)
    assert not collect_pooler(recorded.console, NOW).databases[0].is_paused


def test_a_file_that_was_read_again_shows_with_the_databases(
    recorded: RecordedConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("dbtui.adapters.pgbouncer.snapshot.time.monotonic", lambda: clock[0])
    assert collect_pooler(recorded.console, NOW).settings.default_pool_size == 8
    recorded.set("SHOW DATABASES", "pool_size", 30)
    recorded.shows["SHOW CONFIG"]["rows"] = [
        [row[0], "30", *row[2:]] if row[0] == "default_pool_size" else row
        for row in recorded.shows["SHOW CONFIG"]["rows"]
    ]
    clock[0] += 5.0
    found = collect_pooler(recorded.console, NOW)
    assert (found.databases[0].pool_size, found.settings.default_pool_size) == (30, 30)


def test_near_the_limit_of_clients_the_limit_is_asked_for_again(
    recorded: RecordedConsole, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr("dbtui.adapters.pgbouncer.snapshot.time.monotonic", lambda: clock[0])
    recorded.set("SHOW POOLS", "cl_active", 290)
    assert collect_pooler(recorded.console, NOW).settings.max_client_conn == 300
    recorded.shows["SHOW CONFIG"]["rows"] = [
        [row[0], "600", *row[2:]] if row[0] == "max_client_conn" else row
        for row in recorded.shows["SHOW CONFIG"]["rows"]
    ]
    clock[0] += 5.0
    assert collect_pooler(recorded.console, NOW).settings.max_client_conn == 600


def test_clients_with_the_servers_that_are_theirs_now(recorded: RecordedConsole) -> None:
    found = collect_clients(recorded.console, 10)
    waiting, linked, resting = found.clients
    assert (waiting.application, waiting.wait_seconds, waiting.server) == ("report", 2.25, None)
    assert linked.server is not None
    assert (linked.server.process_id, linked.server.local_port, linked.is_tls) == (4711, 40001, True)
    assert (linked.request_seconds, linked.connected_seconds, linked.client) == (10.0, 180.0, "10.0.0.9:51000")
    assert resting.server is None
    assert linked_processes(found.clients) == (4711,)
    has_ids = parse_version(recorded.version) >= (1, 24, 0)
    assert linked.client_id == ("101" if has_ids else "0xc1")
    assert resting.state == ("idle" if recorded.version.startswith("1.25") else "active")
    assert "SHOW FDS" not in recorded.asked


def test_few_are_returned_and_many_are_not_asked_for(recorded: RecordedConsole) -> None:
    found = collect_clients(recorded.console, 1)
    assert ([each.application for each in found.clients], found.omitted) == (["report"], 2)
    recorded.asked.clear()
    recorded.set("SHOW POOLS", "cl_active", MOST_ASKED)
    found = collect_clients(recorded.console, 1)
    assert not found.clients
    assert "stand still" in found.gaps[0]
    assert recorded.asked == ["SHOW POOLS"]


def test_a_link_that_only_one_side_has_is_no_link(recorded: RecordedConsole) -> None:
    recorded.set("SHOW SERVERS", "link", "0xc9")
    assert linked_processes(collect_clients(recorded.console, 10).clients) == ()


def test_numbers_that_are_none_and_hostile_names(recorded: RecordedConsole) -> None:
    recorded.set("SHOW POOLS", "maxwait", "soon")
    recorded.set("SHOW POOLS", "pool_mode", "\x1b[31mred")
    recorded.set("SHOW CONFIG", "value", "many", rows=range(2, 12))
    found = collect_pooler(recorded.console, NOW)
    assert found.pools[0].maxwait_seconds == 0.25
    assert "\x1b" not in found.pools[0].pool_mode
    assert found.settings.max_client_conn == PoolerSettings().max_client_conn


@pytest.mark.parametrize(
    ("version", "is_open"),
    [("1.23.1", False), ("1.24.0", True), ("1.24.1", True), ("1.25.1", True), ("1.25.2", False), ("1.26.0", False)],
)
def test_versions_that_let_who_may_look_end_clients(version: str, is_open: bool) -> None:
    holes = list(known_holes(version, {}))
    assert any("CVE-2026-6667" in hole and "1.25.2" in hole for hole in holes) is is_open


def test_a_hole_that_settings_open() -> None:
    config = {"track_extra_parameters": "IntervalStyle, search_path", "auth_user": "auth"}
    assert any("CVE-2025-12819" in hole for hole in known_holes("1.23.1", config))
    assert not list(known_holes("1.23.1", config | {"auth_user": ""}))
    assert not list(known_holes("1.25.2", config))
    assert parse_version("nonsense") == (0, 0, 0)
