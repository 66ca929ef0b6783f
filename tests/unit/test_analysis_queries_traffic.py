"""Connections of a pool, on which many requests follow one another: a loop is found there, and nothing else.

Requests of seven kinds come in turn, by chance. What is told of them differs: transactions, the pauses between them,
or neither, as in MySQL's slow log with autocommit.
"""

import random
from collections.abc import Callable
from math import floor

import pytest

from dbtui.model.queries import StatementEvent
from tests.unit.query_cases import detect
from tests.unit.query_dialects import DIALECTS, Dialect, Tape

STATEMENTS = 1500
TELLING: dict[str, tuple[bool, Callable[[float], float]]] = {
    "transactions": (True, lambda ts: ts),
    "transactions, whole seconds": (True, floor),
    "pauses": (False, lambda ts: ts),
    "nothing": (False, floor),
}

#: Of six thousand statements without a loop and six thousand with one: only transactions tell without a doubt.
MOST_WRONG = {"transactions": 0, "transactions, whole seconds": 0, "pauses": 1, "nothing": 1}


def serve(d: Dialect, seed: int, *, has_boundaries: bool, has_loop: bool) -> list[StatementEvent]:
    """Requests of a web application on four connections; one in twenty has an N+1 where there is one."""
    chance, tape = random.Random(seed), Tape()
    while len(tape.events) < STATEMENTS:
        tape.session = f"s{chance.randrange(4)}"
        tape.wait(chance.random() * 0.02)
        tape.run(*(["BEGIN"] if has_boundaries else []))
        tape.run(d.by_name("setting", "name", f"k{chance.randrange(50)}"), d.by_id("author", chance.randrange(200)))
        serve_one(d, tape, chance)
        if has_loop and chance.random() < 0.05:
            tape.run(d.rows("post"))
            for _ in range(10):
                tape.run(d.of("comment", "post_id", chance.randrange(999)))
        tape.run(*(["COMMIT"] if has_boundaries else []))
    return tape.events


def serve_one(d: Dialect, tape: Tape, chance: random.Random) -> None:
    """One request, without any loop."""
    post, author = chance.randrange(999), chance.randrange(200)
    several = [chance.randrange(99) for _ in range(9)]
    kinds = (
        (d.rows("post"), d.many("comment", "post_id", several)),
        (d.by_id("post", post), d.by_id("author", author), d.of("comment", "post_id", post)),
        (d.by_id("author", author), d.of("post", "author_id", author)),
        (d.count("comment", "author_id", author),),
        (d.rows("tag"),),
        (d.by_id("post", post), d.update("post", post)),
        (d.of("post", "author_id", author), d.many("comment", "post_id", several)),
    )
    tape.run(*chance.choice(kinds))


@pytest.mark.parametrize("telling", TELLING)
@pytest.mark.parametrize("dialect", [DIALECTS[0], DIALECTS[2], DIALECTS[4], DIALECTS[7]], ids=lambda each: each.name)
def test_a_loop_among_requests_is_found_and_requests_are_not(dialect: Dialect, telling: str) -> None:
    has_boundaries, told = TELLING[telling]
    wrong = missed = 0
    for seed in range(4):
        for has_loop in (False, True):
            served = serve(dialect, seed, has_boundaries=has_boundaries, has_loop=has_loop)
            found = detect([event._replace(ts=told(event.ts or 0.0)) for event in served]).findings
            loops = [each for each in found if each.repeats == 10 and each.parent and each.parent.tables == ("post",)]
            missed += has_loop and not loops
            wrong += len(found) - len(loops)
    assert missed == 0
    assert wrong <= MOST_WRONG[telling]
