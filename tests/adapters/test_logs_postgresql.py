"""Logs of real PostgreSQL servers, in all three formats at once, against what was run: simple and extended protocol."""

import random
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest
import sqlalchemy as sa

from dbtui.adapters.logs import open_log
from dbtui.demo.servers import PostgreSQL, ServerDirectory
from dbtui.demo.servers.base import clean_environment
from dbtui.demo.servers.postgresql import embedded_binaries, find_postgresql_binaries
from dbtui.model.queries import StatementEvent
from tests.fix_servers import unique_name, wait_until

SETTINGS = [
    "logging_collector = on",
    "log_directory = 'log'",
    "log_filename = 'statements.log'",
    "log_min_duration_statement = 0",
    "log_line_prefix = '%m [%p] %c %v %q%u@%d %a '",
    "lc_messages = 'C'",
]
SCRIPT = "\\set id random(1,20)\nselect name from item where id = :id;\nselect count(*)\nfrom item;\n"
TRANSACTIONS = 4
APPLICATION = "erp web 2"


@dataclass
class Ran:
    """A server's logs by format, and what was sent to it by its application."""

    logs: dict[str, Path]
    statements: list[str]

    def events(self, name: str) -> list[StatementEvent]:
        with open_log(self.logs[name]) as reader:
            events = list(reader)
        assert reader.report.unreadable == 0, reader.report
        return events

    def of(self, application: str, name: str = "jsonlog") -> list[StatementEvent]:
        return [event for event in self.events(name) if event.application == application]


def run_application(server: PostgreSQL) -> list[str]:
    """An application on SQLAlchemy; returns what psycopg2 says that it sent."""
    url = sa.make_url(server.url("postgres", application_name=APPLICATION)).set(drivername="postgresql+psycopg2")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    sent: list[str] = []

    @sa.event.listens_for(engine, "after_cursor_execute")
    def note(_connection: object, cursor: "object", *_rest: object) -> None:
        sent.append(cursor.query.decode())  # type: ignore[attr-defined]

    meta = sa.MetaData()
    item = sa.Table("item", meta, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.Text))
    with engine.begin() as connection:
        meta.create_all(connection)
        connection.execute(sa.insert(item), [{"id": n, "name": f"n'{n}\n\t\"ü€\\"} for n in range(1, 21)])
    with engine.connect() as connection:
        for number in range(1, 6):
            connection.execute(sa.select(item).where(item.c.id == number)).all()
        connection.execute(sa.text("select '-- no comment', $x$ a 'b' $x$ /* a\ncomment */\n\n  , 1 as \"A b\""))
        connection.commit()
        connection.execute(sa.text("prepare p(int, text) as select * from item where id = $1 or name = $2"))
        connection.execute(sa.text("execute p(5, 'a, ''b''')"))
        connection.rollback()
    streaming = engine.execution_options(yield_per=6)
    with streaming.connect() as connection:
        assert len(connection.execute(sa.select(item.c.id)).all()) == 20
    with engine.connect() as connection, pytest.raises(sa.exc.ProgrammingError):
        connection.execute(sa.text("select * from missing"))
    with engine.connect() as connection:
        connection.execute(sa.text("load 'auto_explain'"))
        connection.execute(sa.text("set auto_explain.log_min_duration = 0"))
        connection.execute(sa.text("set auto_explain.log_analyze = on"))
        connection.execute(sa.text("select id from item where id < 8"))
        connection.execute(sa.text("set auto_explain.log_format = 'json'"))
        connection.execute(sa.text("select id from item\nwhere id < 9"))
    engine.dispose()
    return sent


def run_pgbench(server: PostgreSQL, protocol: str, application: str) -> None:
    script = server.home / "script.sql"
    script.write_text(SCRIPT)
    options = ["-n", "-M", protocol, "-t", str(TRANSACTIONS), "-f", str(script)]
    url = server.url("postgres", application_name=application)
    environment = {**clean_environment(server.home), "PGPASSWORD": server.password}
    subprocess.run([str(BINARIES / "pgbench"), *options, url], check=True, capture_output=True, env=environment)


BINARIES = find_postgresql_binaries()
VERSIONS = {"system": BINARIES, "newest": embedded_binaries()}


def change_settings(server: PostgreSQL, **settings: str) -> None:
    """Change settings of every session that begins after this."""
    for name, value in settings.items():
        server.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    server.execute("SELECT pg_reload_conf()")
    wait_until(lambda: all(server.execute(f"SHOW {name}") == [(value,)] for name, value in settings.items()))


@pytest.fixture(scope="module", params=sorted(VERSIONS))
def ran(request: pytest.FixtureRequest, server_directory: ServerDirectory) -> Iterator[Ran]:
    version = re.search(r"\d+", subprocess.check_output([str(VERSIONS[request.param] / "postgres"), "-V"], text=True))
    assert version
    formats = "stderr,csvlog,jsonlog" if int(version[0]) >= 15 else "stderr,csvlog"
    config = [*SETTINGS, f"log_destination = '{formats}'"]
    with PostgreSQL(
        server_directory, name=unique_name("pglog"), config=config, binaries=VERSIONS[request.param]
    ) as server:
        statements = run_application(server)
        for protocol in ("simple", "extended", "prepared"):
            run_pgbench(server, protocol, f"timed-{protocol}")
        change_settings(server, log_min_duration_statement="-1", log_statement="all", log_duration="on")
        for protocol in ("simple", "extended", "prepared"):
            run_pgbench(server, protocol, f"twice-{protocol}")
        change_settings(server, log_duration="off")
        run_pgbench(server, "prepared", "untimed")
        server.execute("SELECT 'the end'")
        folder = server.data / "log"
        wait_until(lambda: all(b"'the end'" in path.read_bytes() for path in folder.iterdir()))
        yield Ran(
            {
                "stderr": folder / "statements.log",
                "csvlog": folder / "statements.csv",
                "jsonlog": folder / "statements.json",
            },
            statements,
        )


TRANSACTION_WORDS = ("BEGIN", "COMMIT", "ROLLBACK", "select pg_catalog.version()", "select current_schema()")


def test_what_the_application_sent_is_what_is_read(ran: Ran) -> None:
    """In order, once each, character by character; BEGIN and COMMIT are the driver's own, errors are no statements."""
    events = ran.of(APPLICATION)
    read = [event.sql for event in events if event.sql not in ("BEGIN", "COMMIT", "ROLLBACK")]
    sent = [text for text in ran.statements if not text.startswith("execute p(")]
    prepared = "select * from item where id = $1 or name = $2"
    assert [text for text in read if text in sent] == sent
    assert read.count(prepared) == 1
    extra = [text for text in read if text not in sent and text != prepared]
    own = re.compile(r"FETCH FORWARD|CLOSE |SELECT .*\nFROM pg_catalog|SELECT CAST|select|show|SELECT|DECLARE", re.I)
    assert all(own.match(text) for text in extra), extra
    assert "select * from missing" not in read
    assert all(event.duration_ms is not None and event.ts for event in events)
    assert {event.database for event in events} == {"postgres"}


def test_what_a_prepared_statement_was_run_with(ran: Ran) -> None:
    event = next(event for event in ran.of(APPLICATION) if event.sql.startswith("select * from item where id = $1"))
    assert event.params == ("5", "a, 'b'")


def test_transactions_are_told_apart(ran: Ran) -> None:
    """From BEGIN on statements have their transaction; the statement that ends it is logged outside."""
    events = [event for event in ran.of(APPLICATION) if event.sql in ("BEGIN", "COMMIT", "ROLLBACK")]
    assert {event.sql for event in events if event.transaction.endswith("/0")} <= {"COMMIT", "ROLLBACK"}
    assert all(not event.transaction.endswith("/0") for event in events if event.sql == "BEGIN")


def test_plans_add_rows_and_no_statements(ran: Ran) -> None:
    rows = {event.sql: event.rows for event in ran.of(APPLICATION) if event.rows is not None}
    assert rows["select id from item where id < 8"] == 7
    assert rows["select id from item\nwhere id < 9"] == 8


@pytest.mark.parametrize("protocol", ["simple", "extended", "prepared"])
@pytest.mark.parametrize("way", ["timed", "twice"])
@pytest.mark.parametrize("name", ["stderr", "csvlog", "jsonlog"])
def test_every_protocol_counts_each_statement_once(ran: Ran, protocol: str, way: str, name: str) -> None:
    events = ran.of(f"{way}-{protocol}", name)
    own = [event for event in events if "item" in event.sql]
    assert len(own) == 2 * TRANSACTIONS
    for first, second in zip(own[::2], own[1::2], strict=True):
        assert second.sql == "select count(*)\nfrom item;"
        assert second.params is None
        if protocol == "simple":
            assert re.fullmatch(r"select name from item where id = \d+;", first.sql)
        else:
            assert first.sql == "select name from item where id = $1;"
            assert first.params
            assert 1 <= int(str(first.params[0])) <= 20
    assert all(event.duration_ms is not None for event in own)


def test_statements_without_durations_are_statements(ran: Ran) -> None:
    events = [event for event in ran.of("untimed") if "item" in event.sql]
    assert len(events) == 2 * TRANSACTIONS
    assert {event.duration_ms for event in events} == {None}
    assert all(event.params for event in events[::2])


@pytest.mark.parametrize("name", ["stderr", "csvlog"])
def test_all_formats_give_the_same(ran: Ran, name: str) -> None:
    def by_session(events: list[StatementEvent]) -> list[list[StatementEvent]]:
        ordered = sorted(events, key=lambda event: (event.session, event.seq))
        return [
            [event._replace(seq=0) for event in group] for _, group in groupby(ordered, key=lambda event: event.session)
        ]

    assert by_session(ran.events(name)) == by_session(ran.events("jsonlog"))


@pytest.mark.parametrize("name", ["stderr", "csvlog", "jsonlog"])
def test_any_split_of_a_real_log_gives_the_same(ran: Ran, name: str) -> None:
    data = ran.logs[name].read_bytes()
    chance = random.Random(3)
    for most in (7, 300, 5000):
        with open_log(ran.logs[name]) as reader:
            parser = reader._parser
        events, at = [], 0
        while at < len(data):
            size = chance.randrange(1, most)
            events += parser.feed(data[at : at + size])
            at += size
        assert [*events, *parser.finish()] == ran.events(name)
