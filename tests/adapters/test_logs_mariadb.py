"""Logs of a real MariaDB, slow and general, against what an application on SQLAlchemy ran."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from dbtui.adapters.logs import open_log
from dbtui.demo.servers import MariaDB, ServerDirectory
from dbtui.model.queries import StatementEvent
from tests.fix_servers import unique_name


@dataclass
class Ran:
    logs: dict[str, Path]
    sessions: list[int]
    statements: list[tuple[str, int]]  # with the rows that came back or were changed

    def events(self, name: str) -> list[StatementEvent]:
        with open_log(self.logs[name]) as reader:
            events = list(reader)
        assert reader.report.unreadable == 0, reader.report
        return events

    def of_application(self, name: str) -> list[StatementEvent]:
        return [event for event in self.events(name) if int(event.session) in self.sessions]


def run_application(server: MariaDB) -> tuple[list[int], list[tuple[str, int]]]:
    url = sa.make_url(server.url("shop", socket=True, charset="utf8mb4")).set(drivername="mysql+pymysql")
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    sent: list[tuple[str, int]] = []
    sessions: list[int] = []

    @sa.event.listens_for(engine, "after_cursor_execute")
    def note(_connection: object, cursor: "object", *_rest: object) -> None:
        text = cursor._executed  # type: ignore[attr-defined]
        sent.append((text if isinstance(text, str) else bytes(text).decode(), cursor.rowcount))  # type: ignore[attr-defined]

    meta = sa.MetaData()
    item = sa.Table("item", meta, sa.Column("id", sa.Integer, primary_key=True), sa.Column("name", sa.String(99)))
    with engine.begin() as connection:
        sessions.append(connection.scalar(sa.text("select connection_id()")))
        meta.create_all(connection, checkfirst=False)
        connection.execute(sa.insert(item), [{"id": n, "name": f"n'{n}\n# Time: \"ü€\\ ;"} for n in range(1, 21)])
        connection.execute(sa.update(item).where(item.c.id < 4).values(name="#\n# x"))
    with engine.connect() as connection:
        sessions.append(connection.scalar(sa.text("select connection_id()")))
        for number in range(1, 6):
            connection.execute(sa.select(item).where(item.c.id <= number)).all()
        connection.execute(sa.text("select 'a' -- comment\n, '/* b */' /* c\n */ , `id` from item limit 2")).all()
        connection.execute(sa.text("prepare p from 'select * from item where id < ?'"))
        connection.execute(sa.text("set @a = 4"))
        connection.execute(sa.text("execute p using @a")).all()
        connection.rollback()
    engine.dispose()
    return sessions, sent


@pytest.fixture(scope="module")
def ran(server_directory: ServerDirectory) -> Iterator[Ran]:
    options = ["--slow-query-log=1", "--long-query-time=0", "--slow-query-log-file=slow.log", "--general-log=1"]
    with MariaDB(
        server_directory, name=unique_name("mlog"), options=[*options, "--general-log-file=general.log"]
    ) as server:
        server.execute("CREATE DATABASE shop")
        sessions, sent = run_application(server)
        server.execute("SET GLOBAL log_slow_verbosity = 'query_plan,explain,innodb'")
        server.execute("DROP TABLE shop.item")
        more, sent_more = run_application(server)
        server.execute("FLUSH LOGS")  # it opens them again: the lines of a new file come in the middle
        server.execute("SELECT 1")
        yield Ran(
            {"slow": server.data / "slow.log", "general": server.data / "general.log"},
            sessions + more,
            sent + sent_more,
        )


@pytest.mark.parametrize("name", ["slow", "general"])
def test_what_the_application_sent_is_what_is_read(ran: Ran, name: str) -> None:
    read = [event.sql.strip() for event in ran.of_application(name)]
    sent = [text.strip() for text, _ in ran.statements]  # the server does not keep the space around a statement
    executed = "select * from item where id < 4"  # what the server logs for EXECUTE
    expected = [executed if text.startswith("execute p") else text for text in sent]
    assert [text for text in read if text in expected] == expected
    extra = {text for text in read if text not in expected}
    assert all(text.startswith(("SET ", "SELECT ", "COMMIT", "ROLLBACK", "BEGIN", "select ")) for text in extra), extra


def test_the_slow_log_tells_rows(ran: Ran) -> None:
    events = {event.sql: event for event in ran.of_application("slow")}
    for text, rows in ran.statements:
        if text.startswith(("SELECT", "select 'a'", "INSERT", "UPDATE")):
            assert events[text].rows == rows, text
    assert events["select * from item where id < 4"].rows == 3
    assert all(event.duration_ms is not None and event.ts for event in events.values())


@pytest.mark.parametrize("name", ["slow", "general"])
def test_the_database_is_known(ran: Ran, name: str) -> None:
    assert {event.database for event in ran.of_application(name)} == {"shop"}


@pytest.mark.parametrize("name", ["slow", "general"])
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
        events += parser.finish()
        assert events == ran.events(name)[: len(events)]
        assert len(events) >= 2 * len(ran.statements) // 2
