"""Generators driven to their end: their results come through, and they are closed however they are left."""

from collections.abc import Callable, Generator

import pytest

from dbtui.adapters.driving import exhaust, forward, report
from dbtui.model.events import Progressed


class Work:
    """Three steps and a result; remembers how it ended."""

    def __init__(self) -> None:
        self.ended = ""

    def run(self) -> Generator[int, None, str]:
        try:
            yield from (1, 2, 3)
            self.ended = "done"
        finally:
            self.ended = self.ended or "closed"
        return "result"


def refuse(step: int) -> None:
    raise ValueError(step)


def test_the_result_and_every_step_come_through() -> None:
    noted: list[int] = []
    assert exhaust(Work().run(), noted.append) == exhaust(Work().run()) == "result"
    assert noted == [1, 2, 3]
    shown: list[str] = []
    assert exhaust(forward(Work().run(), str), shown.append) == "result"
    assert shown == ["1", "2", "3"]
    assert list(report(Work().run(), None, "rows"))[-1] == Progressed(3, None, "rows")
    assert next(report(Work().run(), 3)) == Progressed(1, 3, "bytes")


@pytest.mark.parametrize(
    "drive", [lambda work: exhaust(work, refuse), lambda work: list(forward(work, refuse))], ids=["exhaust", "forward"]
)
def test_work_is_closed_when_a_step_is_refused(drive: Callable[[Generator[int, None, str]], object]) -> None:
    work = Work()
    running = work.run()
    with pytest.raises(ValueError, match="1"):
        drive(running)
    assert work.ended == "closed"


def test_work_is_closed_when_nobody_goes_on() -> None:
    work = Work()
    running = work.run()
    telling = report(running, None)
    next(telling)
    telling.close()
    assert work.ended == "closed"


def test_an_error_of_the_work_comes_through() -> None:
    def fail() -> Generator[int, None, None]:
        yield 1
        raise OSError("gone")

    for drive in (lambda: exhaust(fail()), lambda: list(forward(fail(), str))):
        with pytest.raises(OSError, match="gone"):
            drive()
