"""A real application on real servers: every kind of relationship is recorded by its name; cured, nothing is."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.orm import ORMExecuteState, RelationshipProperty, Session

from dbtui.instrument import assert_no_n_plus_one
from dbtui.instrument.checking import NPlusOneFound
from tests.instrument.applications import ENGINES, Trace, application
from tests.orm_workloads import SIZE, WORKLOADS, Work, Workload

CURED = {"selectin", "joined", ""}


@pytest.fixture(params=ENGINES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/app.db"
    return str(request.getfixturevalue(f"{request.param}_database"))


def run(engine: Engine, work: Work) -> list[Any]:
    with Session(engine) as session:
        return work(session)


def test_every_kind_is_recorded_by_its_name_and_silent_when_cured(url: str, tmp_path: Path) -> None:
    with application(url) as engine:
        for number, workload in enumerate(WORKLOADS):
            with Trace(engine, tmp_path / f"{number}-spoilt.jsonl") as spoilt:
                shown = run(engine, workload.spoilt)
            with Trace(engine, tmp_path / f"{number}-cured.jsonl") as cured:
                assert run(engine, workload.cured) == shown, workload.name
            check_spoilt(workload, spoilt.lines)
            check_cured(workload, cured.lines)


def check_spoilt(workload: Workload, lines: list[dict[str, Any]]) -> None:
    found = Counter((line.get("relationship", ""), line.get("load", "")) for line in lines)
    assert found[workload.relationship, workload.load] >= SIZE, (workload.name, found)
    sites = {line["call_site"].rpartition(":")[0] for line in lines}
    assert sites == {"tests/orm_workloads.py"}, workload.name
    assert [line["seq"] for line in lines] == sorted(line["seq"] for line in lines)
    assert len({line["session"] for line in lines}) == 1


def check_cured(workload: Workload, lines: list[dict[str, Any]]) -> None:
    assert len(lines) <= 4, (workload.name, [line["sql"] for line in lines])
    assert {line.get("load", "") for line in lines} <= CURED, workload.name


def test_what_is_spoilt_is_found_with_its_cure_and_what_is_cured_is_silent(url: str) -> None:
    with application(url) as engine:
        for workload in WORKLOADS:
            with assert_no_n_plus_one(engine):
                run(engine, workload.cured)
            with pytest.raises(NPlusOneFound) as found, assert_no_n_plus_one(engine):
                run(engine, workload.spoilt)
            patterns = {pattern.name: pattern for pattern in found.value.patterns}
            assert workload.relationship in patterns, workload.name
            assert patterns[workload.relationship].count >= SIZE
            assert "tests/orm_workloads.py:" in str(found.value)
            assert "cure: " in str(found.value)


def test_the_recorder_tells_what_do_orm_execute_tells(tmp_path: Path) -> None:
    """SQLAlchemy's public event is what the recorder's reading of the execution context is held against."""
    told: list[tuple[str, bool, bool]] = []

    def listen(state: ORMExecuteState) -> None:
        path = state.loader_strategy_path
        last = [each for each in path.path if isinstance(each, RelationshipProperty)] if path is not None else []
        name = f"{last[-1].parent.class_.__name__}.{last[-1].key}" if state.is_relationship_load and last else ""
        told.append((name, state.lazy_loaded_from is not None, state.is_column_load))

    with application(f"sqlite:///{tmp_path}/app.db") as engine:
        event.listen(Session, "do_orm_execute", listen)
        try:
            with Trace(engine, tmp_path / "trace.jsonl") as trace:
                for workload in WORKLOADS:
                    run(engine, workload.spoilt)
                    run(engine, workload.cured)
        finally:
            event.remove(Session, "do_orm_execute", listen)
    columns = ("column", "refresh", "polymorphic")
    read = []
    for line in trace.lines:
        load, name = line.get("load", ""), line.get("relationship", "")
        is_own = load in (*columns, "dynamic")
        read.append(("" if is_own else name, load in ("lazy", "immediate"), load in columns))
    assert read == told
    assert len(told) > 2 * SIZE * 10
