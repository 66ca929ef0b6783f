"""The fault matrix in its short form: a few trials of each kind, always the same ones. The full form: script/faults."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dbtui.demo.servers import ServerDirectory
from tests.faults.matrix.__main__ import try_it
from tests.faults.matrix.banks import SqliteWalBank
from tests.faults.matrix.kinds import KINDS
from tests.faults.matrix.ledgers import AUDIT, judge_audit, moving_money, transfer
from tests.faults.matrix.trials import Kind, Trial
from tests.faults.matrix.worlds import World

SEED = 20261123
MEGABYTES = 6


@pytest.fixture(scope="module")
def world(server_directory: ServerDirectory, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(server_directory, tmp_path_factory.mktemp("matrix") / "world", MEGABYTES, is_short=True) as world:
        yield world


@pytest.mark.parametrize(
    ("kind", "engine"),
    [pytest.param(kind, engine, id=f"{kind.name}-{engine}") for kind in KINDS for engine in kind.short],
)
def test_a_trial_survives(world: World, kind: Kind, engine: str) -> None:
    report = try_it(world, kind, Trial(kind.name, engine, 0, SEED))
    assert not report.losses, report.fault


def test_a_copy_of_two_moments_is_noticed(tmp_path: Path) -> None:
    """The ledger would tell: were accounts and transfers copied one after the other, or an account not at all."""
    bank = SqliteWalBank(tmp_path, 1)
    chance = random.Random(1)
    with closing(sqlite3.connect(bank.path, isolation_level=None)) as connection:
        cursor = connection.cursor()
        transfer(cursor, chance, "BEGIN")
        connection.execute("COMMIT")
        assert judge_audit(bank.audit("bank")) == ""
        connection.execute("CREATE TABLE later AS SELECT * FROM accounts")
        transfer(cursor, chance, "BEGIN")
        connection.execute("COMMIT")
        torn = connection.execute(AUDIT.replace("FROM accounts a", "FROM later a")).fetchone()
        assert judge_audit(torn) == "2 accounts are not what their transfers say"
        connection.execute("UPDATE later SET balance = balance - 1 WHERE id = 1")
        assert "hold 199999 instead of 200000" in judge_audit(
            connection.execute(AUDIT.replace("FROM accounts a", "FROM later a")).fetchone()
        )


def test_money_moves_during_the_block(tmp_path: Path) -> None:
    bank = SqliteWalBank(tmp_path, 1)
    with moving_money(bank.move) as moved:
        while moved() < 20:
            pass
    assert judge_audit(bank.audit("bank")) == ""
