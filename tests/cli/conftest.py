"""A small database on each engine, for the tests of commands."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.samples import MariadbSample, PostgresqlSample, Sample, SqliteSample
from tests.fix_servers import unique_name

NewSample = Callable[..., Sample]


@pytest.fixture
def new_sample(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NewSample]:
    """Makes a filled database: `new_sample("postgresql", "my name")`; dropped after the test with all it led to."""
    made: list[tuple[Sample, set[str]]] = []

    def make(engine: str, name: str = "") -> Sample:
        name = name or unique_name("erp")
        sample: Sample
        if engine == "sqlite":
            (tmp_path / "live").mkdir(exist_ok=True)
            sample = SqliteSample(tmp_path / "live" / f"{name}.db")
        elif engine == "postgresql":
            sample = PostgresqlSample(request.getfixturevalue("postgresql_server"), name)
        else:
            sample = MariadbSample(request.getfixturevalue("mariadb_server"), name)
        before = sample.databases()
        if engine != "sqlite":
            template = " TEMPLATE template0" if engine == "postgresql" else ""
            sample.execute(f"CREATE DATABASE {sample.quote(name)}{template}", sample.home)
        made.append((sample, before))
        sample.fill("varchar(200)" if engine == "mysql" else "text")
        return sample

    yield make
    for sample, before in made:
        for database in sample.databases() - before:
            sample.drop(database)


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def sample(request: pytest.FixtureRequest, new_sample: NewSample) -> Sample:
    """A filled database, once on each engine."""
    return new_sample(request.param)
