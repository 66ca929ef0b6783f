"""A mapped application on real servers, seen by their logs alone: each page is found, and silent when it is cured."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from dbtui.adapters.logs import open_log
from dbtui.adapters.mapped_models import read_mapped_relations
from dbtui.config import parse_url
from dbtui.demo.servers import MariaDB, PostgreSQL
from dbtui.model.events import Routine
from dbtui.model.queries import PatternLevel, QueryFindings
from dbtui.routines.context import RoutineContext
from dbtui.routines.queries import Background, collect_background
from tests.adapters.postgresql_targets import drive
from tests.fix_servers import wait_until
from tests.orm_models import Base, fill
from tests.routines.orm_pages import CASES, Case, Page

ROOT = Path(__file__).parents[2]
SIZE = 12


class Application:
    """An engine over a filled database, and its server's log."""

    def __init__(self, url: str, background: Background, find_log: Callable[[], Path]) -> None:
        self.engine: Engine = create_engine(url)
        self.background = background
        self._find_log = find_log
        self._read = 0

    def judge(self, page: Page, *, is_told: bool) -> QueryFindings:
        """Load a page, and judge what the log says of it. `is_told`: with the server's keys and the models."""
        self._wait_for_log()
        with Session(self.engine) as session:
            page(session)
        said = self._wait_for_log()
        detector = (self.background if is_told else Background(engine=self.background.engine)).detector()
        with open_log(io.BytesIO(said)) as log:
            detector.feed_all(log)
        return detector.findings()

    def _wait_for_log(self) -> bytes:
        """Write a mark, wait for it in the log, and return what was logged before it since the last one."""
        mark = f"mark {uuid4().hex}"
        with self.engine.connect() as connection:
            connection.execute(text(f"SELECT '{mark}'"))
        path = self._find_log()
        wait_until(lambda: mark.encode() in path.read_bytes()[self._read :])
        content = path.read_bytes()
        said, self._read = content[self._read :], len(content)
        return said


def _background(url: str) -> Background:
    profile = parse_url(url, "shop")
    routine: Routine[Background] = collect_background(RoutineContext(environ=dict(os.environ)), profile)
    known = drive(routine)
    relations = read_mapped_relations("tests.orm_models:Base", ROOT)
    return Background(known.schema, relations, known.round_trip_seconds, known.engine)


def _fill(url: str) -> None:
    engine = create_engine(url)
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        fill(session, SIZE)
    engine.dispose()


@pytest.fixture(scope="module")
def applications(server_directory: object) -> Iterator[dict[str, Application]]:
    """One on PostgreSQL with a jsonlog, one on MariaDB with a slow log."""
    config = ["logging_collector = on", "log_destination = 'jsonlog'", "log_min_duration_statement = 0"]
    options = ["--slow-query-log=1", "--long-query-time=0", "--log-output=FILE", "--slow-query-log-file=slow.log"]
    with (
        PostgreSQL(server_directory, name="pg_orm_logs", config=config) as postgresql,  # type: ignore[arg-type]
        MariaDB(server_directory, name="maria_orm_logs", options=options) as mariadb,  # type: ignore[arg-type]
    ):
        mariadb.execute("CREATE DATABASE shop")
        urls = {"postgresql": postgresql.url(), "mariadb": mariadb.url("shop")}
        drivers = {"postgresql": "postgresql+psycopg2", "mariadb": "mariadb+pymysql"}
        made = {}
        for name, url in urls.items():
            driven = url.replace(name, drivers[name], 1)
            _fill(driven)
            find_log = (
                (lambda: max((postgresql.data / "log").glob("*.json")))
                if name == "postgresql"
                else (lambda: mariadb.data / "slow.log")
            )
            made[name] = Application(driven, _background(url), find_log)
        yield made
        for application in made.values():
            application.engine.dispose()


@pytest.mark.parametrize("engine", ["postgresql", "mariadb"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_page_is_found_and_silent_when_cured(applications: dict[str, Application], engine: str, case: Case) -> None:
    application = applications[engine]
    for is_told in (False, True):
        found = application.judge(case.lazy, is_told=is_told)
        about = [each for each in found.findings if case.table in each.children[0].shape.tables]
        assert about, (found.findings, found.others)
        first = about[0]
        assert first.level is PatternLevel.FINDING
        assert first.repeats >= SIZE - 1
        assert first.parent is not None
        if is_told and case.relation:
            assert first.cure is not None
            assert case.relation in first.cure.snippet
            assert first.cure.is_guess is not case.is_sure
    silent = application.judge(case.cured, is_told=True)
    assert silent.findings == ()
    assert silent.statements > 1
