"""Remotes that are asked beside the list here: none of them can hold it up."""

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dbtui.cli import backup_places
from dbtui.cli.invocation import Invocation
from dbtui.config import Settings
from dbtui.errors import Cancelled
from dbtui.history import History
from dbtui.jobs import JobRunner
from dbtui.model.events import Routine
from dbtui.model.remotes import RemoteAddress
from dbtui.model.shipping import RemoteHistory
from dbtui.routines.context import RoutineContext


@pytest.fixture
def invocation(tmp_path: Path) -> Invocation:
    runner = JobRunner(RoutineContext(), History(tmp_path))
    settings = Settings(remote="file:///srv/a", profiles=())
    return cast("Invocation", SimpleNamespace(runner=runner, settings=settings))


def test_what_heeds_no_limit_is_left_behind(invocation: Invocation, monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def block(_c: RoutineContext, address: RemoteAddress, _database: str) -> Routine[RemoteHistory]:
        released.wait(60)
        yield from ()
        return RemoteHistory(address=str(address))

    monkeypatch.setattr(backup_places, "collect_remote_history", block)
    monkeypatch.setattr(backup_places, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(backup_places, "_GRACE_SECONDS", 0.1)
    try:
        (history,) = backup_places.collect_histories(invocation, None, "")
        assert history.problem == "file:///srv/a is left out: no answer within 0.1 s"
        assert not released.is_set()
    finally:
        released.set()
        for thread in threading.enumerate():
            if thread.name.startswith("job "):
                thread.join(10)


def test_a_cancel_is_no_gap(invocation: Invocation, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(_c: RoutineContext, _address: RemoteAddress, _database: str) -> Routine[Any]:
        yield from ()
        raise Cancelled("cancelled (Ctrl-C)")

    monkeypatch.setattr(backup_places, "collect_remote_history", end)
    with pytest.raises(Cancelled):
        backup_places.collect_histories(invocation, None, "")


def test_what_is_not_foreseen_is_a_gap_too(invocation: Invocation, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_c: RoutineContext, _address: RemoteAddress, _database: str) -> Routine[Any]:
        yield from ()
        raise ValueError("unexpected")

    monkeypatch.setattr(backup_places, "collect_remote_history", fail)
    (history,) = backup_places.collect_histories(invocation, None, "")
    assert history.problem == "file:///srv/a is left out: unexpected"
