"""What a trace holds: sessions, transactions, scopes, rows, parameters without their values, and no secrets."""

import json
import logging
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, select, text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from dbtui.errors import StorageError, UsageError
from dbtui.instrument import record_statements, request_scope
from dbtui.instrument.trace_files import LEAST_BYTES
from dbtui.instrument.trace_lines import LineFormat, Params, mask_sql
from dbtui.model.queries import StatementEvent
from tests.fix_servers import wait_until
from tests.instrument.applications import Trace, application, read_trace
from tests.instrument.reading import run_threads
from tests.orm_models import Author, Base, Post


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    with application(f"sqlite:///{tmp_path}/app.db", 5) as made:
        yield made


def read_titles(engine: Engine) -> None:
    with Session(engine) as session:
        for post in session.scalars(select(Post)):
            _ = post.author.name


# --- what is in a line ---------------------------------------------------------------------------------------


def test_a_line_has_what_the_contract_says(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with Trace(engine, path) as trace, request_scope("GET /posts") as scope:
        read_titles(engine)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first, second = trace.lines[:2]
    assert first["sql"].startswith("SELECT post.id")
    assert "relationship" not in first
    assert (second["relationship"], second["load"]) == ("Post.author", "lazy")
    assert (first["seq"], second["seq"]) == (first["seq"], first["seq"] + 1)
    assert first["session"] == second["session"]
    assert {line["scope"] for line in trace.lines} == {scope}
    assert scope.startswith("GET /posts#")
    assert first["ts"] <= second["ts"]
    assert 0 < second["duration_ms"] < 10_000
    assert first["call_site"].startswith("tests/instrument/test_recorder.py:")
    assert len({line["transaction"] for line in trace.lines}) == 1
    assert len({str(line["params"]) for line in trace.lines[1:]}) == 5


def test_rows_are_told_by_drivers_that_know_them(postgresql_database: str, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with application(postgresql_database, 5) as server, Trace(server, path) as trace, Session(server) as session:
        session.scalars(select(Author)).all()
        session.execute(text("UPDATE author SET name = 'x' WHERE id < 3"))
        session.scalars(select(Author).where(Author.id == 0)).all()
    assert [line["rows"] for line in trace.lines] == [5, 2, 0]


def test_transactions_are_told_apart_and_stand_for_a_scope(engine: Engine, tmp_path: Path) -> None:
    with Trace(engine, tmp_path / "trace.jsonl") as trace, Session(engine) as session:
        session.execute(select(Post.id))
        session.execute(select(Post.id))
        session.commit()
        session.execute(select(Post.id))
        session.rollback()
        with request_scope("job", "17"):
            session.execute(select(Post.id))
    first, again, second, scoped = trace.lines
    assert first["transaction"] == again["transaction"] == first["scope"]
    assert len({first["transaction"], second["transaction"], scoped["transaction"]}) == 3
    assert scoped["scope"] == "job#17"


def test_scopes_nest_and_end(engine: Engine) -> None:
    seen: list[StatementEvent] = []
    with record_statements(engine, seen.append), engine.connect() as connection:
        with request_scope("outer", "1"):
            with request_scope("inner", "2"):
                connection.execute(text("SELECT 1"))
            connection.execute(text("SELECT 1"))
        connection.execute(text("SELECT 1"))

        @request_scope("decorated", "3")
        def run() -> None:
            connection.execute(text("SELECT 1"))

        run()
    assert [each.scope for each in seen] == ["inner#2", "outer#1", "", "decorated#3"]


def test_each_connection_is_a_session_also_after_the_engine_was_disposed_of(engine: Engine, tmp_path: Path) -> None:
    with Trace(engine, tmp_path / "trace.jsonl") as trace:
        with engine.connect() as one, engine.connect() as other:
            one.execute(text("SELECT 1"))
            other.execute(text("SELECT 2"))
        engine.dispose()
        with engine.connect() as fresh:
            fresh.execute(text("SELECT 3"))
    assert len({line["session"] for line in trace.lines}) == 3


def test_a_session_keeps_its_name_in_the_info_of_its_connection(engine: Engine) -> None:
    """Which is found without asking SQLAlchemy for it, in its own attributes."""
    seen: list[StatementEvent] = []
    with record_statements(engine, seen.append) as recorder, engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        kept = [line for key, line in connection.info.items() if key[0] == "dbtui.statements"]
        assert connection._dbapi_connection is not None
        assert connection._dbapi_connection._connection_record.info is connection.info
        assert recorder.flush()
        assert [line.name for line in kept] == [seen[-1].session]


def test_a_statement_that_fails_is_no_statement_that_ran(engine: Engine, tmp_path: Path) -> None:
    with Trace(engine, tmp_path / "trace.jsonl") as trace, engine.connect() as connection:
        with pytest.raises(Exception, match="no such table"):
            connection.execute(text("SELECT * FROM nowhere"))
        connection.execute(text("SELECT 1"))
    assert [line["sql"] for line in trace.lines] == ["SELECT 1"]


# --- parameters and secrets ----------------------------------------------------------------------------------


def record_value(engine: Engine, path: Path, value: object, **options: Any) -> Any:
    with Trace(engine, path, **options) as trace, engine.connect() as connection:
        for given in (value, value, "another"):
            connection.execute(text("SELECT :word"), {"word": given})
    return [line.get("params") for line in trace.lines]


def test_values_are_told_apart_and_not_told(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    same, again, other = record_value(engine, path, "4111 1111 1111 1111")
    assert same == again != other
    assert "4111" not in path.read_text()
    assert record_value(engine, tmp_path / "next.jsonl", "4111 1111 1111 1111")[0] != same


def test_values_on_request_cut_short_and_not_where_passwords_are_spoken_of(engine: Engine, tmp_path: Path) -> None:
    assert record_value(engine, tmp_path / "1", "x" * 100, params="values")[0] == ["x" * 63 + "…"]
    assert record_value(engine, tmp_path / "2", b"abc", params="values")[0] == ["<bytes>"]
    assert record_value(engine, tmp_path / "3", 5, params="values")[0] == [5]
    assert record_value(engine, tmp_path / "4", None, params="values")[0] == [None]
    assert record_value(engine, tmp_path / "5", 5, params="none")[0] is None
    with Trace(engine, tmp_path / "6", params="values") as trace, engine.connect() as connection:
        connection.execute(text("SELECT :password, 'hunter2' AS token"), {"password": "hunter3"})
    assert "hunter" not in (tmp_path / "6").read_text()
    assert trace.lines[0]["params"] == ["***"]


SECRETS = (
    "ALTER ROLE dba PASSWORD 'hunter2'",
    "CREATE USER 'dba'@'%' IDENTIFIED BY 'hun''ter2 hunter2'",
    'SET PASSWORD FOR dba = PASSWORD("hunter2")',
    'ALTER USER dba IDENTIFIED BY "hunter2"',
    r"ALTER ROLE dba PASSWORD 'a\' , 'hunter2'",
    "ALTER ROLE dba PASSWORD $$hunter2$$",
    "ALTER ROLE dba PASSWORD 'hunter2",
    "CREATE SUBSCRIPTION s CONNECTION 'host=a password=hunter2' PUBLICATION p",
    "SELECT crypt('hunter2', gen_salt('bf'))",
)


@pytest.mark.parametrize("sql", SECRETS)
def test_statements_that_speak_of_passwords_have_none(engine: Engine, tmp_path: Path, sql: str) -> None:
    masked = mask_sql(sql)
    assert "hunter" not in masked
    assert masked.split()[0] == sql.split()[0]


def test_other_statements_stay_as_they_are() -> None:
    for sql in ("SELECT 'it''s', \"Name\" FROM t", 'SELECT users.password AS users_password FROM "users"'):
        assert mask_sql(sql) == sql


def test_a_long_statement_is_cut_and_says_so(engine: Engine, tmp_path: Path) -> None:
    with Trace(engine, tmp_path / "trace.jsonl") as trace, engine.connect() as connection:
        connection.execute(text("SELECT 1 -- " + "x" * 100_000))
    assert trace.lines[0]["is_truncated"] is True
    assert len(trace.lines[0]["sql"]) == 64_000


def test_values_of_unknown_classes_are_not_asked_for_their_text() -> None:
    class Strange:
        def __str__(self) -> str:
            raise AssertionError("it was asked")

        __repr__ = __str__

    seen = StatementEvent("s", 1, "SELECT 1", params=(Strange(), [1, Strange()], float("nan")))
    modes: tuple[Params, ...] = ("values", "digests")
    for params in modes:
        line = json.loads(LineFormat(params).format_statement(seen))
        assert len(line["params"]) == 3


# --- where it goes -------------------------------------------------------------------------------------------


def test_a_function_is_called_in_a_thread_of_its_own(engine: Engine) -> None:
    threads, seen = set(), []

    def take(event: StatementEvent) -> None:
        threads.add(threading.current_thread())
        seen.append(event)

    with record_statements(engine, take) as recorder:
        read_titles(engine)
        assert recorder.flush()
        assert len(seen) == 6
    assert threading.current_thread() not in threads
    assert seen[1].relationship == "Post.author"
    assert str(seen[1].params and seen[1].params[0]).startswith("#")


def test_a_function_that_fails_is_told_of_once(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    def fail(_: StatementEvent) -> None:
        raise ValueError("no")

    with caplog.at_level(logging.ERROR, "dbtui.instrument"), record_statements(engine, fail) as recorder:
        read_titles(engine)
    assert len(caplog.records) == 1
    assert recorder.dropped == 6


def test_it_stops_and_may_be_started_again(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    recorder = record_statements(engine, path)
    read_titles(engine)
    recorder.stop()
    recorder.stop()
    read_titles(engine)
    assert len(read_trace(path)) == 6
    with Trace(engine, path) as trace:
        read_titles(engine)
    assert len(trace.lines) == 12


def test_two_recorders_of_one_engine(engine: Engine, tmp_path: Path) -> None:
    with Trace(engine, tmp_path / "1") as one, Trace(engine, tmp_path / "2") as other:
        read_titles(engine)
    assert [line["sql"] for line in one.lines] == [line["sql"] for line in other.lines]
    assert len(one.lines) == 6


def test_sessions_and_several_engines_are_sources(engine: Engine, tmp_path: Path) -> None:
    other = create_engine(f"sqlite:///{tmp_path}/other.db")
    Base.metadata.create_all(other)
    factory = sessionmaker(engine)
    with Session(other) as session, engine.connect() as connection:
        sources = [factory, session, scoped_session(factory), connection]
        with Trace(sources, tmp_path / "trace.jsonl") as trace:
            session.execute(select(Post.id))
            read_titles(engine)
    assert len(trace.lines) == 7
    assert len({line["database"] for line in trace.lines}) == 2
    other.dispose()


async def test_asyncio_engines_and_sessions_are_sources(engine: Engine, tmp_path: Path) -> None:
    made = create_async_engine(f"sqlite+aiosqlite:///{engine.url.database}")
    factory = async_sessionmaker(made)
    async with factory() as session, made.connect() as connection:
        for number, source in enumerate((made, factory, session, connection, [made])):
            with Trace(source, tmp_path / f"{number}.jsonl") as trace:
                await session.execute(select(Post.id))
            assert [line["call_site"].rpartition(":")[0] for line in trace.lines] == [
                "tests/instrument/test_recorder.py"
            ]
    await made.dispose()


@pytest.mark.parametrize(
    ("source", "target", "options", "wrong"),
    [
        ("postgresql://a", "t", {}, "a str has no statements"),
        (None, "t", {}, "a NoneType has no statements"),
        ([], "t", {}, "a list without an engine"),
        (Session(), "t", {}, "the Session is bound to no engine"),
        (AsyncSession(), "t", {}, "bound to no engine"),
        (sessionmaker(), "t", {}, "the sessionmaker is bound to no engine"),
        (create_engine("sqlite://"), 5, {}, "a int cannot be recorded to"),
        (create_engine("sqlite://"), "t", {"params": "all"}, "params='all' is not known"),
        (create_engine("sqlite://"), "t", {"most_waiting": 0}, "leaves no room"),
        (create_engine("sqlite://"), "t", {"most_bytes": 10}, "is too small"),
        (create_engine("sqlite://"), "/dev/null", {}, "is not a file"),
    ],
)
def test_what_cannot_be_is_said(source: Any, target: Any, options: Any, wrong: str, tmp_path: Path) -> None:
    target = tmp_path / target if isinstance(target, str) else target
    with pytest.raises(UsageError, match=wrong):
        record_statements(source, target, **options)


def test_a_directory_that_is_not_there_is_said(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file or directory"):
        record_statements(engine, tmp_path / "nowhere" / "trace.jsonl")
    with pytest.raises(StorageError, match="Is a directory"):
        record_statements(engine, tmp_path)


# --- bounds --------------------------------------------------------------------------------------------------


def test_what_does_not_fit_the_queue_is_counted_and_told(engine: Engine) -> None:
    gate, entered, seen = threading.Event(), threading.Event(), []

    def wait(event: StatementEvent) -> None:
        entered.set()
        gate.wait(20)
        seen.append(event)

    with record_statements(engine, wait, most_waiting=3) as recorder:
        read_titles(engine)
        wait_until(entered.is_set)
        for _ in range(5):
            read_titles(engine)
        gate.set()
    assert recorder.dropped > 0
    assert len(seen) + recorder.dropped == 36


def test_a_line_tells_how_many_were_dropped(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with record_statements(engine, path, most_waiting=1) as recorder:
        for _ in range(50):
            read_titles(engine)
    lines = read_trace(path)
    lost = [line["lost"] for line in lines if "lost" in line]
    assert sum(lost) == recorder.dropped > 0
    assert len(lines) - len(lost) + recorder.dropped == 300


def test_a_full_file_begins_anew_and_the_last_one_is_kept(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "trace.jsonl"
    with record_statements(engine, path, most_bytes=LEAST_BYTES) as recorder:
        for _ in range(100):
            read_titles(engine)
        assert recorder.flush()
    kept = path.with_name("trace.jsonl.1")
    assert sorted(each.name for each in tmp_path.glob("trace*")) == ["trace.jsonl", "trace.jsonl.1"]
    assert max(path.stat().st_size, kept.stat().st_size) <= LEAST_BYTES
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    numbers = [line["seq"] for line in read_trace(kept) + read_trace(path)]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert numbers[-1] == 600


def test_threads_are_recorded_in_the_order_of_their_sessions(engine: Engine, tmp_path: Path) -> None:
    def work(number: int) -> None:
        with request_scope("thread", str(number)):
            for _ in range(10):
                read_titles(engine)

    with Trace(engine, tmp_path / "trace.jsonl") as trace:
        run_threads(8, work)
    assert trace.recorder.dropped == 0
    assert len(trace.lines) == 8 * 10 * 6
    numbers: dict[str, list[int]] = {}
    for line in trace.lines:
        numbers.setdefault(line["session"], []).append(line["seq"])
    assert all(each == sorted(each) for each in numbers.values())
    assert {line["scope"] for line in trace.lines} == {f"thread#{number}" for number in range(8)}
