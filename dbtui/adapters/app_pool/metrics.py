"""Pools from OpenMetrics or Prometheus text with OpenTelemetry's names, of whatever program writes them.

Sources: OpenMetrics 1.0, and OpenTelemetry's semantic conventions for database clients, `db.client.connection.*`.
"""

import math
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from dbtui.adapters.app_pool.parsing import MOST_POOLS, UnreadableError, clean_name, parse_start
from dbtui.model.pools import AppPool, Timing

_SAMPLE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'([A-Za-z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPE = re.compile(r"\\(.)")
_POOL_LABELS = ("db_client_connection_pool_name", "pool_name")
_STATE_LABELS = ("db_client_connection_state", "state")
_OTEL, _OURS = "db_client_connection_", "dbtui_connection_"
_MOST = 2.0**53
_LONGEST_HISTOGRAM = 64


@dataclass(slots=True)
class _Told:
    """What the text says of one pool: plain numbers by name, and cumulative buckets by name and bound."""

    numbers: dict[str, float] = field(default_factory=dict)
    buckets: dict[str, dict[float, float]] = field(default_factory=lambda: defaultdict(dict))


@dataclass(slots=True)
class _Process:
    """What the text says of the process."""

    service: str = ""
    pid: int = 0
    started_at: float | None = None


def parse_metrics(answer: bytes, source: str, monotonic_seconds: float) -> tuple[AppPool, ...]:
    """Read the pools of a metrics text; other metrics in it are left alone. Raises UnreadableError."""
    process = _Process()
    told: dict[tuple[str, str], _Told] = {}
    for line in answer.decode("utf-8", "replace").split("\n"):
        if not line.startswith(("#", " ")) and (found := _SAMPLE.match(line)):
            _note(found[1], _read_labels(found[2] or ""), _read_number(found[3]), process, told)
            if len(told) > MOST_POOLS:
                raise UnreadableError(f"it tells of more than {MOST_POOLS} pools")
    pools = [_pool(key, each, process, source, monotonic_seconds) for key, each in told.items()]
    if not pools:
        raise UnreadableError("it tells of no pool: there is no db_client_connection_count in it")
    return tuple(pools)


def _note(
    name: str, labels: Mapping[str, str], value: float | None, process: _Process, told: dict[tuple[str, str], _Told]
) -> None:
    if name == "target_info":
        process.service = process.service or labels.get("service_name", "")
        process.pid = process.pid or _whole(_read_number(labels.get("process_pid", "")))
    elif name == "process_start_time_seconds":
        process.started_at = value
    elif name.startswith((_OTEL, _OURS)) and value is not None:
        pool = next((labels[each] for each in _POOL_LABELS if each in labels), "")
        of = told.setdefault((labels.get("service_name", ""), pool), _Told())
        state = next((labels[each] for each in _STATE_LABELS if each in labels), "")
        if name.endswith("_bucket"):
            bound = float("inf") if labels.get("le") == "+Inf" else _read_number(labels.get("le", ""))
            buckets = of.buckets[name.removesuffix("_bucket")]
            if bound is not None and len(buckets) <= _LONGEST_HISTOGRAM:
                buckets[bound] = value
        else:
            of.numbers[f"{name}/{state}" if state else name] = value


def _read_labels(text: str) -> dict[str, str]:
    return {name: _ESCAPE.sub(lambda each: "\n" if each[1] == "n" else each[1], value)
            for name, value in _LABEL.findall(text)}  # fmt: skip


def _read_number(text: str) -> float | None:
    """A number that can be one of a pool's: finite, not negative, and countable."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= _MOST else None


def _whole(value: float | None) -> int:
    return int(value or 0)


def _pool(key: tuple[str, str], told: _Told, process: _Process, source: str, monotonic_seconds: float) -> AppPool:
    numbers = told.numbers
    used = numbers.get(f"{_OTEL}count/used")
    if used is None:
        raise UnreadableError("it does not tell how many connections are in use (db_client_connection_count)")
    size = _whole(numbers.get(f"{_OTEL}idle_max"))
    most = numbers.get(f"{_OTEL}max")
    return AppPool(
        source=source,
        service=clean_name(key[0] or process.service),
        pid=process.pid,
        pool=clean_name(key[1]),
        started_at=parse_start(process.started_at),
        monotonic_seconds=monotonic_seconds,
        size=size or _whole(most),
        max_overflow=-1 if most is None else max(0, _whole(most) - size) if size else 0,
        timeout_seconds=numbers.get(f"{_OURS}timeout_seconds"),
        checked_in=_whole(numbers.get(f"{_OTEL}count/idle")),
        checked_out=_whole(used),
        overflow=_whole(numbers.get(f"{_OURS}overflow")),
        pending=_whole(numbers.get(f"{_OTEL}pending_requests")),
        oldest_pending_seconds=numbers.get(f"{_OURS}oldest_pending_seconds", 0.0),
        timeouts_total=_whole(numbers.get(f"{_OTEL}timeouts_total")),
        invalidated_total=_whole(numbers.get(f"{_OURS}invalidated_total")),
        closed_total=_whole(numbers.get(f"{_OURS}closed_total")),
        wait=_timing(f"{_OTEL}wait_time_seconds", told),
        hold=_timing(f"{_OTEL}use_time_seconds", told),
        create=_timing(f"{_OTEL}create_time_seconds", told),
        abandoned=_timing(f"{_OURS}abandoned_time_seconds", told),
    )


def _timing(name: str, told: _Told) -> Timing:
    """A histogram from its cumulative buckets; one that does not rise is left out, its sum and count are kept."""
    buckets = sorted(told.buckets.get(name, {}).items())
    totals = [_whole(total) for _, total in buckets]
    counts = [total - before for before, total in zip([0, *totals], totals, strict=False)]
    bounds = tuple(bound for bound, _ in buckets if math.isfinite(bound))
    is_sound = bool(bounds) and len(counts) == len(bounds) + 1 and min(counts) >= 0
    return Timing(
        count=_whole(told.numbers.get(f"{name}_count")),
        seconds=told.numbers.get(f"{name}_sum", 0.0),
        counts=tuple(counts) if is_sound else (),
        bounds=bounds if is_sound else (),
    )
