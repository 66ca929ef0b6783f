"""`record_statements`: writes down each statement of an engine, with who ran it and what for."""

import atexit
import os
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from dbtui.errors import UsageError
from dbtui.instrument.call_sites import name_packages
from dbtui.instrument.engine_choice import Source, engines_of
from dbtui.instrument.taps import Tap, open_tap
from dbtui.instrument.trace_files import TraceFile
from dbtui.instrument.trace_lines import LineFormat, Params
from dbtui.instrument.trace_targets import CallTarget, FileTarget
from dbtui.instrument.trace_writer import Target, TraceWriter
from dbtui.model.queries import StatementEvent

MOST_BYTES = 256 * 1024 * 1024
MOST_WAITING = 10_000
_CLOSING_SECONDS = 5.0

_RECORDERS: weakref.WeakSet["Recorder"] = weakref.WeakSet()


def record_statements(
    engine: Source | Iterable[Source],
    target: str | os.PathLike[str] | Callable[[StatementEvent], object],
    *,
    params: Params = "digests",
    most_bytes: int = MOST_BYTES,
    most_waiting: int = MOST_WAITING,
    packages: Iterable[str] = (),
) -> "Recorder":
    """Write each statement that `engine` runs from now on to `target`; returns what stops that.

    `engine`: an Engine or AsyncEngine, a Session, AsyncSession or sessionmaker that is bound to one, or several.
    `target`: a file, to which `dbtui queries inspect` is given, or a function that is called with each StatementEvent
    in a thread of its own. The file is private (0600) and appended to, also by other processes; before it grows beyond
    `most_bytes` it becomes `<path>.1` and a new one begins. `params`: "digests" tell equal values from different ones
    and nothing else, "values" are cut to 64 characters, "none" leaves them out, as those of INSERT and UPDATE always
    are; strings in statements that speak of passwords are masked. `most_waiting`: statements that wait to be written;
    more are dropped and counted, and a line with `lost` says so. `packages`: the application's, when it is itself
    installed in site-packages.

    Begin before the first query: SQLAlchemy takes no listener while other threads run statements.

    A forked child goes on by itself; at exit what waits is written. Raises UsageError for a source without an engine
    or a target that cannot be, StorageError when the file cannot be opened. Later problems go to the log
    `dbtui.instrument`, never into the application.
    """
    engines = engines_of(engine)
    if params not in ("none", "digests", "values"):
        raise UsageError(f"params={params!r} is not known", 'write "none", "digests" or "values"')
    if most_waiting < 1:
        raise UsageError(f"most_waiting={most_waiting!r} leaves no room for a statement", "give 1 or more")
    made = _make_target(target, LineFormat(params), most_bytes)
    name_packages([packages] if isinstance(packages, str) else packages)
    return Recorder([open_tap(each) for each in engines], TraceWriter(made, most_waiting))


def _make_target(
    target: str | os.PathLike[str] | Callable[[StatementEvent], object], lines: LineFormat, most_bytes: int
) -> Target:
    if isinstance(target, str | os.PathLike):
        return FileTarget(TraceFile(Path(target), most_bytes), lines)
    if callable(target):
        return CallTarget(target, lines)
    raise UsageError(
        f"a {type(target).__name__} cannot be recorded to", "give a path or a function of one StatementEvent"
    )


class Recorder:
    """Records until it is stopped, or until the end of a `with` block. Made by `record_statements`."""

    def __init__(self, taps: list[Tap], writer: TraceWriter) -> None:
        self._taps = taps
        self._writer = writer
        self._is_stopped = False
        _RECORDERS.add(self)
        for tap in taps:
            tap.add(writer.put)

    @property
    def dropped(self) -> int:
        """How many statements ran and were not written: the queue was full, or the file could not be written."""
        return self._writer.dropped

    def flush(self, timeout_seconds: float = _CLOSING_SECONDS) -> bool:
        """Wait until all statements so far are written; False when that takes longer."""
        return self._writer.flush(timeout_seconds)

    def stop(self) -> None:
        """Record no more, and write what waits. May be called twice."""
        if not self._is_stopped:
            self._is_stopped = True
            for tap in self._taps:
                tap.remove(self._writer.put)
            self._writer.close(_CLOSING_SECONDS)

    def restart_in_child(self) -> None:
        """Go on in a process that was just forked; what waits to be written is its parent's."""
        self._writer.restart_in_child()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.stop()


def _restart_in_child() -> None:
    for recorder in list(_RECORDERS):
        recorder.restart_in_child()


def _stop_all() -> None:
    for recorder in list(_RECORDERS):
        recorder.stop()


os.register_at_fork(after_in_child=_restart_in_child)
atexit.register(_stop_all)
