"""A server's sums while somebody looks at them: each look is compared with the one before, and suspicions follow."""

from collections import deque
from dataclasses import dataclass

from dbtui.analysis.queries.normalising import Normaliser
from dbtui.analysis.queries.suspects import LEAST_WINDOWS, find_suspects
from dbtui.analysis.queries.top_queries import compare_top_queries
from dbtui.model.queries import QuerySchema, TopQueriesSnapshot
from dbtui.model.top_queries import QuerySuspect, TopQueriesWindow

#: So many windows are kept: what ended is no suspicion any more after as many looks.
KEPT_WINDOWS = 12
#: A window longer than this is no window of one watch: nobody looked meanwhile.
_LONGEST_SECONDS = 150.0


@dataclass(frozen=True, slots=True)
class LiveLook:
    """What is known after a look. `window`: since the look before, None after the first. `whole`: since the reset.

    `compared`: windows that suspicions can be based on, `needed`: how many they take.
    """

    snapshot: TopQueriesSnapshot
    whole: TopQueriesWindow
    window: TopQueriesWindow | None = None
    suspects: tuple[QuerySuspect, ...] = ()
    compared: int = 0
    needed: int = LEAST_WINDOWS
    schema: QuerySchema | None = None
    round_trip_seconds: float | None = None


class LiveSums:
    """Compares looks at one server. For one thread at a time."""

    def __init__(self) -> None:
        self._before: TopQueriesSnapshot | None = None
        self._windows: deque[TopQueriesWindow] = deque(maxlen=KEPT_WINDOWS)
        self._schema: QuerySchema | None = None
        self._round_trip_seconds: float | None = None
        self._normaliser = Normaliser()

    def take(self, snapshot: TopQueriesSnapshot) -> LiveLook:
        """Compare a look with the one before; one that is older than that changes nothing."""
        if snapshot.schema is not None:
            self._schema, self._round_trip_seconds = snapshot.schema, snapshot.round_trip_seconds
            self._normaliser = Normaliser(snapshot.schema.engine)
        before = self._before
        if before is not None and snapshot.monotonic_seconds <= before.monotonic_seconds:
            before = None
        else:
            self._before = snapshot
        window = compare_top_queries(before, snapshot) if before is not None else None
        if window is not None and self._is_usable(window):
            self._windows.append(window)
        return LiveLook(
            snapshot=snapshot,
            whole=compare_top_queries(None, snapshot),
            window=window,
            suspects=find_suspects(self._windows, self._normaliser.shape, self._schema),
            compared=len(self._windows),
            schema=self._schema,
            round_trip_seconds=self._round_trip_seconds,
        )

    @staticmethod
    def _is_usable(window: TopQueriesWindow) -> bool:
        return not window.is_since_reset and 0 < (window.seconds or 0) <= _LONGEST_SECONDS
