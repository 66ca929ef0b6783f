"""The pre-flight: what a fleet may ask for against every limit, timeouts added up, and numbers to give instead."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbtui.analysis.pools import assess_fleet, format_pgbouncer_ini
from dbtui.model.ladders import FleetFacts, FleetFinding, FleetLevel, FleetPooler, FleetReport

POOLER = FleetPooler(pool_mode="transaction", query_wait_timeout_seconds=12, idle_transaction_timeout_seconds=60)
FLEET = FleetFacts(processes=6, pooler=POOLER, server_slots=97, statement_timeout_seconds=20)


def finding(report: FleetReport, name: str) -> FleetFinding:
    return next(each for each in report.findings if each.name == name)


def value(report: FleetReport, name: str) -> str:
    return next(each.value for each in (*report.pooler_settings, *report.application_settings) if each.name == name)


def test_six_processes_fit_and_the_seventh_does_not() -> None:
    fits = finding(assess_fleet(replace(FLEET, processes=6)), "max_client_conn")
    assert (fits.level, fits.asked, fits.limit) == (FleetLevel.OK, 90, 100)
    seventh = finding(assess_fleet(replace(FLEET, processes=7)), "max_client_conn")
    assert (seventh.level, seventh.asked) == (FleetLevel.TROUBLE, 105)
    assert "6 processes fit, the next is refused" in seventh.sentence
    assert seventh.recommendation is not None
    assert seventh.recommendation.command == "max_client_conn = 131"


def test_two_processes_already_share_twenty_servers() -> None:
    assert finding(assess_fleet(replace(FLEET, processes=1)), "default_pool_size").level is FleetLevel.OK
    two = finding(assess_fleet(replace(FLEET, processes=2)), "default_pool_size")
    assert (two.level, two.asked, two.limit) == (FleetLevel.REMARK, 30, 20)


def test_session_pooling_keeps_a_server_for_each_connection() -> None:
    report = assess_fleet(replace(FLEET, pooler=replace(POOLER, pool_mode="session")))
    two = finding(report, "default_pool_size")
    assert two.level is FleetLevel.TROUBLE
    assert two.recommendation is not None
    assert two.recommendation.command.startswith("pool_mode = transaction")


def test_the_rate_times_the_time_sizes_the_pool() -> None:
    report = assess_fleet(replace(FLEET, transactions_per_second=200, service_seconds=0.1))
    assert finding(report, "default_pool_size").level is FleetLevel.TROUBLE
    assert value(report, "default_pool_size") == "27"


def test_the_waits_add_up() -> None:
    facts = replace(FLEET, pooler=replace(POOLER, query_wait_timeout_seconds=120), request_timeout_seconds=60)
    report = assess_fleet(facts)
    assert [(each.name, each.seconds, each.total_seconds) for each in report.cascade] == [
        ("DB_POOL_TIMEOUT", 30, 30),
        ("query_wait_timeout", 120, 150),
        ("statement_timeout", 20, 170),
    ]
    wait = finding(report, "query_wait_timeout")
    assert wait.level is FleetLevel.TROUBLE
    assert wait.recommendation is not None
    assert wait.recommendation.command == "query_wait_timeout = 15"
    assert finding(report, "request timeout").level is FleetLevel.REMARK


def test_without_a_statement_timeout_the_sum_has_no_end() -> None:
    report = assess_fleet(replace(FLEET, statement_timeout_seconds=None))
    assert report.cascade[-1].total_seconds is None
    assert finding(report, "statement_timeout").level is FleetLevel.REMARK


def test_slots_with_and_without_a_pooler() -> None:
    within = finding(assess_fleet(FLEET), "max_connections")
    assert (within.level, within.asked) == (FleetLevel.OK, 20)
    direct = finding(assess_fleet(replace(FLEET, pooler=None, processes=7)), "max_connections")
    assert (direct.level, direct.asked) == (FleetLevel.TROUBLE, 105)
    assert "8 too many" in direct.sentence
    maria = replace(FLEET, pooler=None, is_postgresql=False, processes=20, server_slots=151, server_used_by_others=11)
    report = assess_fleet(maria)
    small = finding(report, "max_connections").recommendation
    assert small is not None
    assert small.command == "DB_POOL_SIZE=7 DB_MAX_OVERFLOW=0"
    assert value(report, "DB_POOL_SIZE") == "7"
    assert report.pooler_settings == ()


def test_no_limit_on_the_application_is_trouble() -> None:
    report = assess_fleet(replace(FLEET, max_overflow=-1))
    assert report.asked_connections is None
    assert finding(report, "DB_MAX_OVERFLOW").level is FleetLevel.TROUBLE
    assert value(report, "DB_MAX_OVERFLOW") == "10"


def test_threads_that_are_fewer_than_the_pool() -> None:
    report = assess_fleet(replace(FLEET, threads=4))
    assert "11 connections can never be used" in finding(report, "DB_POOL_SIZE").sentence
    assert (value(report, "DB_POOL_SIZE"), value(report, "DB_MAX_OVERFLOW")) == ("4", "0")


def test_the_worst_comes_first() -> None:
    levels = [each.level for each in assess_fleet(replace(FLEET, processes=40, pooler=FleetPooler())).findings]
    assert levels == sorted(levels, key=(FleetLevel.TROUBLE, FleetLevel.REMARK, FleetLevel.OK).index)
    assert assess_fleet(replace(FLEET, processes=40)).level is FleetLevel.TROUBLE


def test_every_number_of_the_fragment_has_its_reason_above_it() -> None:
    text = format_pgbouncer_ini(assess_fleet(replace(FLEET, host="db1", database="erp")))
    lines = text.splitlines()
    assert lines[:2] == ["[databases]", "erp = host=db1 port=5432 dbname=erp"]
    assert "pool_mode = transaction" in lines
    for number, line in enumerate(lines):
        if " = " in line and number > 1 and not line.startswith(";"):
            assert lines[number - 1].startswith("; ")


@pytest.mark.parametrize("name", ["erp prod", 'a"b', "x\nadmin_users = *", "Été", "%include /etc/passwd"])
def test_names_cannot_write_settings(name: str) -> None:
    text = format_pgbouncer_ini(assess_fleet(replace(FLEET, host="db1", database=name)))
    keys = [line.split(" = ")[0] for line in text.splitlines() if " = " in line and not line.startswith(";")]
    assert "admin_users" not in keys
    assert not any(line.startswith("%") for line in text.splitlines())
    assert text.splitlines()[2] == "* = host=db1 port=5432"


fleets = st.builds(
    FleetFacts,
    processes=st.integers(1, 500),
    pool_size=st.integers(0, 50),
    max_overflow=st.integers(-1, 50),
    pool_timeout_seconds=st.floats(0.5, 300),
    threads=st.none() | st.integers(1, 200),
    request_timeout_seconds=st.none() | st.floats(1, 600),
    statement_timeout_seconds=st.none() | st.floats(0, 600),
    pooler=st.none()
    | st.builds(
        FleetPooler,
        max_client_conn=st.integers(0, 5000),
        pool_size=st.integers(0, 200),
        reserve_pool_size=st.integers(0, 50),
        max_db_connections=st.integers(0, 200),
        query_wait_timeout_seconds=st.floats(0, 300),
        pools=st.integers(1, 20),
        other_clients=st.integers(0, 500),
    ),
    server_slots=st.none() | st.integers(1, 1000),
    server_used_by_others=st.integers(0, 100),
    server_cores=st.none() | st.integers(1, 128),
    transactions_per_second=st.none() | st.floats(0, 5000),
    service_seconds=st.none() | st.floats(0, 5),
    is_postgresql=st.booleans(),
)


@given(fleets)
def test_what_is_recommended_fits_together(facts: FleetFacts) -> None:
    report = assess_fleet(facts)
    assert len(report.cascade) == (2 if facts.pooler is None else 3)
    settings = {each.name: each.value for each in report.pooler_settings}
    if not settings:
        return
    size, reserve = int(settings["default_pool_size"]), int(settings["reserve_pool_size"])
    pools = 1 if facts.pooler is None else facts.pooler.pools
    assert size >= 1
    assert int(settings["min_pool_size"]) <= size
    assert int(settings["max_db_connections"]) == pools * (size + reserve)
    if facts.server_slots is not None and facts.server_slots - facts.server_used_by_others >= pools:
        assert pools * (size + reserve) <= facts.server_slots - facts.server_used_by_others
    if report.asked_connections is not None:
        assert int(settings["max_client_conn"]) > report.asked_connections
        assert size <= max(1, report.asked_connections)
    if facts.pool_timeout_seconds > 2:
        assert int(settings["query_wait_timeout"]) < facts.pool_timeout_seconds
    assert "None" not in format_pgbouncer_ini(report)
