"""Texts that nobody means well with: their length costs time in proportion, not in its square."""

from time import process_time

import pytest

from dbtui.analysis.queries.normalising import Normaliser
from tests.costs import least, quiet_heap

LONG = 60_000
FILLINGS = {
    "prose": "x" * LONG,
    "spaces": "a" + " " * LONG,
    "backslashes": "a='" + "\\" * LONG,
    "comments": "/*" * (LONG // 2),
    "lists": " IN (" * (LONG // 5),
    "quotes": "a='" * (LONG // 3),
    "parentheses": "(" * LONG,
}
FRAMES = (
    "SELECT 1 FROM t WHERE id = 1 /* {} */",
    "/* {} */ SELECT 1",
    "SELECT 1 /* {}",
    "SELECT '{}",
    "SELECT {} FROM t",
)


@pytest.mark.parametrize("filling", FILLINGS)
@pytest.mark.parametrize("frame", FRAMES)
def test_a_long_text_is_read_quickly(frame: str, filling: str) -> None:
    sql = frame.format(FILLINGS[filling])

    def seconds() -> float:
        normaliser = Normaliser()
        with quiet_heap():
            began = process_time()
            normaliser.read(sql)
            normaliser.values(sql)
            return process_time() - began

    assert least(seconds, 2.0) < 2.0  # the square of it takes five seconds and more


def test_a_comment_that_closes_once_for_all_that_it_opens_is_mysqls() -> None:
    assert Normaliser().shape("SELECT a /* /* b */ FROM t WHERE id = 5").text == "SELECT a FROM t WHERE id = ?"
    assert Normaliser().shape("SELECT a /* /* b */ c */ FROM t WHERE id = 5").text == "SELECT a FROM t WHERE id = ?"
