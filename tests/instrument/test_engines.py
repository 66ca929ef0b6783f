"""Engines: which driver a URL means, what pool it gets, and how its connections call themselves."""

import os
import time
from pathlib import Path

import pytest
from sqlalchemy import URL, Engine, make_url, text
from sqlalchemy.exc import ResourceClosedError
from sqlalchemy.pool import NullPool, QueuePool, SingletonThreadPool, StaticPool

from dbtui.errors import UsageError
from dbtui.instrument import create_async_engine, create_engine
from dbtui.instrument.metered_pool import MeteredAsyncQueuePool, MeteredQueuePool
from tests.instrument.reading import run_in_child, run_python

# From Python 3.12 on, forking with threads earns a warning; prefork servers do it all the same.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")


def only_value(engine: Engine, sql: str) -> object:
    with engine.connect() as connection:
        return connection.execute(text(sql)).scalar_one()


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://u:p@h:5433/d", "postgresql+psycopg2"),
        ("postgres://u:p@h:5433/d", "postgresql+psycopg2"),
        ("postgres+psycopg2://u:p@h:5433/d", "postgresql+psycopg2"),
        ("mysql://u:p@h:5433/d", "mysql+pymysql"),
        ("mariadb://u:p@h:5433/d", "mysql+pymysql"),
        (make_url("mariadb://u:p@h:5433/d"), "mysql+pymysql"),
        (make_url("postgresql://u:p@h:5433/d"), "postgresql+psycopg2"),
    ],
)
def test_a_url_means_this_driver(url: str | URL, driver: str) -> None:
    engine = create_engine(url)
    assert engine.url.drivername == driver
    assert (engine.url.username, engine.url.password, engine.url.host, engine.url.port, engine.url.database) == (
        "u", "p", "h", 5433, "d",
    )  # fmt: skip
    assert isinstance(engine.pool, MeteredQueuePool)


def test_urls_are_read_as_everywhere_else() -> None:
    assert create_engine("postgresql://u:p#/@x@h/d").url.password == "p#/@x"
    assert create_engine("postgresql://%2Frun%2Fpg:5433/d").url.query == {"host": "/run/pg", "port": "5433"}
    assert create_engine("postgresql://u@h1:1,h2:2/d").url.query == {"host": ("h1:1", "h2:2")}
    assert create_engine("postgresql://[::1]:5433/d").url.host == "::1"
    assert create_engine("mysql://u@h/d?charset=utf8mb4").url.query == {"charset": "utf8mb4"}


@pytest.mark.parametrize(
    "url", ["nonsense", "postgresql://u:hunter2@h:port/d", "postgresql+psycopg2://u:hunter2@h:x/d"]
)
def test_a_wrong_url_is_an_error_without_its_password(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        create_engine(url)
    assert "hunter2" not in str(caught.value)


def test_the_environment_sizes_the_pool_and_options_win(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/a.db"
    monkeypatch.setenv("DB_POOL_SIZE", "3")
    monkeypatch.setenv("DB_MAX_OVERFLOW", "4")
    monkeypatch.setenv("DB_POOL_TIMEOUT", "7.5")
    pool = create_engine(url).pool
    assert isinstance(pool, MeteredQueuePool)
    assert (pool.size(), pool.max_overflow, pool.timeout()) == (3, 4, 7.5)
    monkeypatch.setenv("DB_POOL_SIZE", "wrong")
    pool = create_engine(url, pool_size=2, pool_timeout=1, max_overflow=0).pool
    assert isinstance(pool, MeteredQueuePool)
    assert (pool.size(), pool.max_overflow, pool.timeout()) == (2, 0, 1)
    with pytest.raises(UsageError, match="DB_POOL_SIZE is 'wrong'"):
        create_engine(url)


def test_pools_that_are_no_queue_stay_what_they_are(tmp_path: Path) -> None:
    assert isinstance(create_engine("sqlite://").pool, SingletonThreadPool)
    assert isinstance(create_engine(f"sqlite:///{tmp_path}/a.db", poolclass=NullPool).pool, NullPool)
    assert isinstance(create_engine("sqlite://", poolclass=StaticPool).pool, StaticPool)


def test_a_queue_pool_of_the_application_keeps_count_too(tmp_path: Path) -> None:
    class Own(QueuePool):
        pass

    pool = create_engine(f"sqlite:///{tmp_path}/a.db", poolclass=Own).pool
    assert isinstance(pool, MeteredQueuePool)
    assert isinstance(pool, Own)


def test_a_name_that_is_no_option_is_refused_as_sqlalchemy_does(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="pool_sise"):
        create_engine(f"sqlite:///{tmp_path}/a.db", pool_sise=3)


def test_postgresql_sees_who_connects(postgresql_database: str) -> None:
    question = "SELECT current_setting('application_name')"
    engine = create_engine(postgresql_database, service="erp-api")
    assert only_value(engine, question) == f"erp-api:{os.getpid()}"
    engine.dispose()

    def in_child() -> None:
        forked = create_engine(postgresql_database, service="x" * 100)
        name = str(only_value(forked, question))
        assert len(name) == 63
        assert name.endswith(f"x:{os.getpid()}")
        assert only_value(engine, question) == f"erp-api:{os.getpid()}"

    run_in_child(in_child)


def test_a_name_in_the_url_the_arguments_or_the_environment_stays(
    postgresql_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = "SELECT current_setting('application_name')"
    mark = "&" if "?" in postgresql_database else "?"
    by_url = create_engine(f"{postgresql_database}{mark}application_name=mine")
    by_argument = create_engine(postgresql_database, connect_args={"application_name": "mine"})
    monkeypatch.setenv("PGAPPNAME", "mine")
    for engine in (by_url, by_argument, create_engine(postgresql_database)):
        assert only_value(engine, question) == "mine"
        engine.dispose()


def test_mariadb_sees_who_connects(mariadb_database: str) -> None:
    engine = create_engine(mariadb_database, service="erp-api")
    with engine.connect() as connection:
        charset = connection.execute(text("SELECT @@character_set_client")).scalar_one()
        assert str(charset).startswith("utf8")
        raw = connection.connection.driver_connection
        assert raw is not None
        assert raw._connect_attrs["program_name"] == f"erp-api:{os.getpid()}"
    engine.dispose()


def test_the_program_has_a_name(tmp_path: Path) -> None:
    code = "import sys; sys.argv = ['/srv/erp/__main__.py']; from dbtui.instrument.engines import _program_name as n"
    assert run_python(f"{code}; print(n()); sys.argv = ['/usr/bin/gunicorn']; print(n())") == "erp\ngunicorn\n"


def test_a_connection_that_the_server_ended_is_replaced_before_use(
    postgresql_database: str, postgresql_server: object
) -> None:
    engine = create_engine(postgresql_database, pool_size=1)
    pid = only_value(engine, "SELECT pg_backend_pid()")
    other = create_engine(postgresql_database)
    only_value(other, f"SELECT pg_terminate_backend({pid})")
    while only_value(other, f"SELECT count(*) FROM pg_stat_activity WHERE pid = {pid}"):
        time.sleep(0.01)
    assert only_value(engine, "SELECT pg_backend_pid()") != pid
    assert isinstance(engine.pool, MeteredQueuePool)
    assert engine.pool.meter.invalidated.total == 1
    assert engine.pool.meter.create.read().count == 2
    engine.dispose()
    other.dispose()


def test_an_asyncio_url_names_its_driver() -> None:
    for url in ("postgresql://h/d", "mysql://h/d", "sqlite:////tmp/a.db", make_url("postgres://h/d")):
        with pytest.raises(UsageError, match="names no asyncio driver"):
            create_async_engine(url)


async def test_an_asyncio_engine_has_the_same_pool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DB_POOL_SIZE", "2")
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/a.db")
    pool = engine.sync_engine.pool
    assert isinstance(pool, MeteredAsyncQueuePool)
    assert pool.size() == 2
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
    assert pool.meter.hold.read().count == 1
    await engine.dispose()


def test_importing_it_brings_neither_driver_nor_screen() -> None:
    code = "from dbtui.instrument import create_engine, create_async_engine, publish_pool; import sys; "
    loaded = set(run_python(f"{code} print(*sys.modules)").split())
    unwanted = {"textual", "rich", "click", "msgspec", "psycopg2", "pymysql", "dbtui.config", "dbtui.adapters"}
    assert not loaded & unwanted
    bare = set(run_python("import dbtui.instrument, sys; print(*sys.modules)").split())
    assert "sqlalchemy" not in bare


def test_a_name_that_is_not_there_is_told() -> None:
    import dbtui.instrument

    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        dbtui.instrument.nothing  # noqa: B018


def test_results_are_those_of_any_engine(postgresql_database: str) -> None:
    engine = create_engine(postgresql_database)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE t AS SELECT 1 AS n"))
    with engine.connect() as connection:
        result = connection.execute(text("SELECT n FROM t"))
        assert [tuple(row) for row in result] == [(1,)]
    with pytest.raises(ResourceClosedError):
        connection.execute(text("SELECT 1"))
    engine.dispose()
