"""A pytest plugin: `pytest_plugins = ["dbtui.instrument.pytest_plugin"]` in a conftest.py.

@pytest.mark.no_n_plus_one                               the whole test, on all engines
@pytest.mark.no_n_plus_one(threshold=5, allow=["Post.tags"])
def test_page(assert_no_n_plus_one): ...                 a fixture: with assert_no_n_plus_one(session): ...
"""

from collections.abc import Callable, Generator

import pytest

from dbtui.instrument import checking
from dbtui.instrument.patterns import THRESHOLD

_MARK = "no_n_plus_one"


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known."""
    meaning = "fail when statements are repeated for one object after the other"
    config.addinivalue_line("markers", f"{_MARK}(engine=None, threshold={THRESHOLD}, allow=()): {meaning}")


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Check a test that is marked, without its fixtures."""
    mark = pyfuncitem.get_closest_marker(_MARK)
    if mark is None:
        return (yield)
    with checking.assert_no_n_plus_one(*mark.args, **mark.kwargs):
        return (yield)


@pytest.fixture
def assert_no_n_plus_one() -> Callable[..., checking.NPlusOneCheck]:
    """Return `dbtui.instrument.assert_no_n_plus_one`."""
    return checking.assert_no_n_plus_one
