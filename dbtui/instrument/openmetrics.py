"""Pools as OpenMetrics text, with the names of OpenTelemetry's semantic conventions for database clients.

The convention's `db.client.connection.*` are spelt as its rules for Prometheus spell them; what it has no name for is
`dbtui_connection_*`.
"""

from collections.abc import Callable, Iterator, Sequence

from dbtui.model.pools import AppPool, Timing

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_POOL = "db_client_connection_pool_name"
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
_Value = Callable[[AppPool], float | None]

_GAUGES: tuple[tuple[str, str, str, _Value], ...] = (
    ("db_client_connection_idle_max", "", "Connections that the pool keeps.", lambda pool: pool.size or None),
    ("db_client_connection_max", "", "Connections that the pool hands out at once.", lambda pool: pool.capacity),
    ("db_client_connection_pending_requests", "", "Who waits for a connection.", lambda pool: pool.pending),
    ("dbtui_connection_oldest_pending_seconds", "seconds", "How long the one who waits longest has waited.",
     lambda pool: pool.oldest_pending_seconds),
    ("dbtui_connection_connecting", "", "Connections in use that are still being made or tested.",
     lambda pool: pool.connecting),
    ("dbtui_connection_oldest_connecting_seconds", "seconds", "How long the longest of them has taken.",
     lambda pool: pool.oldest_connecting_seconds),
    ("dbtui_connection_overflow", "", "Connections beyond those that the pool keeps.", lambda pool: pool.overflow),
    ("dbtui_connection_timeout_seconds", "seconds", "After how long one who waits gives up.",
     lambda pool: pool.timeout_seconds),
)  # fmt: skip
_COUNTERS: tuple[tuple[str, str, _Value], ...] = (
    ("db_client_connection_timeouts", "Who gave up waiting at the time limit.", lambda pool: pool.timeouts_total),
    ("dbtui_connection_invalidated", "Connections found unusable.", lambda pool: pool.invalidated_total),
    ("dbtui_connection_closed", "Connections closed, for whatever reason.", lambda pool: pool.closed_total),
)
_HISTOGRAMS: tuple[tuple[str, str, Callable[[AppPool], Timing]], ...] = (
    ("db_client_connection_wait_time_seconds", "Time to get a place in the pool.", lambda pool: pool.wait),
    (
        "db_client_connection_use_time_seconds",
        "Time from getting a place in the pool to its return.",
        lambda pool: pool.hold,
    ),
    ("db_client_connection_create_time_seconds", "Time to make a new connection.", lambda pool: pool.create),
    ("dbtui_connection_abandoned_time_seconds", "Time that those waited who got none.", lambda pool: pool.abandoned),
)


def format_metrics(service: str, pid: int, started_at: float, pools: Sequence[AppPool]) -> str:
    """Return the text, complete with its end mark. `started_at` in seconds since 1970: the counts began then."""
    lines = [
        *_describe("target", "info", "The process that tells."),
        f'target_info{{service_name="{_escape(service)}",process_pid="{pid}"}} 1',
        *_describe("process_start_time_seconds", "gauge", "When this process began to count.", "seconds"),
        f"process_start_time_seconds {started_at}",
        *_describe("db_client_connection_count", "gauge", "Connections of the pool that are idle and that are used."),
    ]
    for pool in pools:
        lines.append(f"db_client_connection_count{_labels(pool, state='idle')} {pool.checked_in}")
        lines.append(f"db_client_connection_count{_labels(pool, state='used')} {pool.checked_out}")
    for name, unit, help_text, value in _GAUGES:
        lines += [*_describe(name, "gauge", help_text, unit), *_samples(name, pools, value)]
    for name, help_text, value in _COUNTERS:
        lines += [*_describe(name, "counter", help_text), *_samples(f"{name}_total", pools, value)]
    for name, help_text, timing in _HISTOGRAMS:
        lines += _describe(name, "histogram", help_text, "seconds")
        for pool in pools:
            lines += _format_histogram(name, pool, timing(pool))
    return "\n".join([*lines, "# EOF", ""])


def _describe(name: str, kind: str, help_text: str, unit: str = "") -> Iterator[str]:
    yield f"# TYPE {name} {kind}"
    if unit:
        yield f"# UNIT {name} {unit}"
    yield f"# HELP {name} {help_text}"


def _samples(name: str, pools: Sequence[AppPool], value: _Value) -> Iterator[str]:
    for pool in pools:
        number = value(pool)
        if number is not None:
            yield f"{name}{_labels(pool)} {number}"


def _format_histogram(name: str, pool: AppPool, timing: Timing) -> Iterator[str]:
    total = 0
    for bound, count in zip((*timing.bounds, "+Inf"), timing.counts, strict=True):
        total += count
        yield f"{name}_bucket{_labels(pool, le=str(bound))} {total}"
    yield f"{name}_count{_labels(pool)} {timing.count}"
    yield f"{name}_sum{_labels(pool)} {timing.seconds}"


def _labels(pool: AppPool, **more: str) -> str:
    pairs = [f'{_POOL}="{_escape(pool.pool)}"', *(f'{key}="{value}"' for key, value in more.items())]
    return "{" + ",".join(pairs) + "}"


def _escape(text: str) -> str:
    return text.translate(_ESCAPES)
