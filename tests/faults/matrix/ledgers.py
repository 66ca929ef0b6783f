"""Money that moves while backups are made: the sum of all accounts is the same in every moment the database ever had.

Each transfer takes from one account, gives to another, and writes a row that says so, in one transaction. A copy of
one moment has the whole sum, and each account exactly what its transfers say; a copy of several moments has neither.
"""

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

ACCOUNTS = 200
EACH = 1000
_PAUSE_SECONDS = 0.004
_AGAIN_SECONDS = 0.05


class Cursor(Protocol):
    """What the three drivers' cursors have in common."""

    def execute(self, sql: str, /) -> Any: ...
    def fetchone(self) -> Any: ...


#: Of a database that has the ledger: how many accounts, their sum, and how many do not have what their transfers say.
AUDIT = """
SELECT count(*), sum(a.balance), sum(CASE WHEN a.balance = 1000
    + coalesce((SELECT sum(t.amount) FROM transfers t WHERE t.recipient = a.id), 0)
    - coalesce((SELECT sum(t.amount) FROM transfers t WHERE t.payer = a.id), 0) THEN 0 ELSE 1 END)
FROM accounts a
"""


def judge_audit(row: tuple[Any, ...]) -> str:
    """Return what is wrong with an answer to AUDIT, nothing if all is well."""
    accounts, total, wrong = (int(value or 0) for value in row)
    if accounts != ACCOUNTS:
        return f"{accounts} accounts instead of {ACCOUNTS}"
    if total != ACCOUNTS * EACH:
        return f"the accounts hold {total} instead of {ACCOUNTS * EACH}"
    return f"{wrong} accounts are not what their transfers say" if wrong else ""


def transfer(cursor: Cursor, chance: random.Random, begin: str) -> None:
    """Move money between two accounts, in the transaction that the caller commits. Accounts are locked in order."""
    payer, recipient = chance.sample(range(1, ACCOUNTS + 1), 2)
    amount = chance.randint(1, 90)
    if begin:
        cursor.execute(begin)
    changes = sorted([(payer, -amount), (recipient, amount)])
    for account, change in changes:
        cursor.execute(f"UPDATE accounts SET balance = balance + {change} WHERE id = {account}")
    cursor.execute(f"INSERT INTO transfers (payer, recipient, amount) VALUES ({payer}, {recipient}, {amount})")


@contextmanager
def moving_money(
    move: Callable[[random.Random, Callable[[], bool]], None], threads: int = 2
) -> Iterator[Callable[[], int]]:
    """Move money in some threads during the block; yields what tells how many transfers were committed so far.

    `move` connects and transfers until it is told to stop or something fails; then it is called again, for the server
    may have been ended and started again meanwhile.
    """
    stopped = threading.Event()
    done = [0] * threads
    failures: list[BaseException] = []

    def work(number: int) -> None:
        chance = random.Random(number)

        def goes_on() -> bool:
            done[number] += 1
            return not stopped.wait(_PAUSE_SECONDS)

        while not stopped.is_set():
            try:
                move(chance, goes_on)
            except Exception as error:  # the server is being ended: that is what this is about
                failures[:] = [error]
                stopped.wait(_AGAIN_SECONDS)

    movers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(threads)]
    for mover in movers:
        mover.start()
    try:
        yield lambda: sum(done)
    finally:
        stopped.set()
        for mover in movers:
            mover.join()
        with contextlib.suppress(IndexError):
            if not any(done):
                raise failures[0]
