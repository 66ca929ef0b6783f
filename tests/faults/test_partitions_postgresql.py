"""What goes wrong around partitions of PostgreSQL: locks that last, sessions that are ended, indexes half made."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbtui.model.partitions import StepKind, StepOutcome
from tests.routines.partition_lab import Lab


@pytest.fixture
def lab(postgresql_database: str, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(postgresql_database, tmp_path)
    made.create()
    yield made


def is_valid(lab: Lab, index: str) -> bool:
    return bool(lab.run(f"SELECT indisvalid FROM pg_index WHERE indexrelid = '{index}'::regclass")[0][0])


def test_an_index_becomes_valid_although_what_lacks_it_leaves_later(lab: Lab) -> None:
    lab.run("CREATE INDEX by_what ON ONLY logs (what)")
    with lab.holding(f'SELECT count(*) FROM "{lab.name(-14)}"'):
        result = lab.apply(lab.plan())
    built = [each.outcome for each in result.results if each.step.kind is StepKind.CREATE_INDEX]
    attached = [each.outcome for each in result.results if each.step.kind is StepKind.ATTACH_INDEX]
    assert set(built) == {StepOutcome.DONE}
    assert set(attached) == {StepOutcome.SKIPPED}
    assert lab.apply(lab.plan()).left == 0
    assert is_valid(lab, "by_what")
    assert lab.plan().is_converged


def test_a_session_that_waits_while_others_work_is_not_ended_for_it(lab: Lab) -> None:
    """Archives take longer than a server may let a session do nothing."""
    database = lab.url.rpartition("/")[2]
    lab.run(f"ALTER DATABASE \"{database}\" SET idle_session_timeout = '150ms'")
    result = lab.apply(lab.plan())
    assert {each.outcome for each in result.results} == {StepOutcome.DONE}
    assert result.left == 0


def test_a_session_in_the_way_is_named_once(lab: Lab) -> None:
    with lab.holding(f'SELECT count(*) FROM logs; SELECT count(*) FROM "{lab.name(-14)}"'):
        result = lab.apply(lab.plan())
    locked = next(each for each in result.results if each.outcome is StepOutcome.LOCKED)
    assert locked.detail.count("bystander") == 1
