"""Pools as the one line of JSON that a publisher's socket answers with."""

import json
from collections.abc import Sequence
from typing import Any

from dbtui.model.pools import BUCKETS_SECONDS, AppPool, Timing

VERSION = 1


def format_pools(service: str, pid: int, started_at: float, monotonic_seconds: float, pools: Sequence[AppPool]) -> str:
    """Return the document, one line with its end. `started_at` in seconds since 1970: the counts began then."""
    document = {
        "version": VERSION,
        "service": service,
        "pid": pid,
        "started_at": started_at,
        "monotonic": monotonic_seconds,
        "pools": [_describe_pool(pool) for pool in pools],
        "bounds": BUCKETS_SECONDS,
    }
    return json.dumps(document, separators=(",", ":")) + "\n"


def format_problem(problem: str) -> str:
    """Return the line that answers what was not understood."""
    return json.dumps({"version": VERSION, "error": problem}) + "\n"


def _describe_pool(pool: AppPool) -> dict[str, Any]:
    return {
        "pool": pool.pool,
        "url": pool.url,
        "size": pool.size,
        "max_overflow": pool.max_overflow,
        "timeout": pool.timeout_seconds,
        "checked_in": pool.checked_in,
        "checked_out": pool.checked_out,
        "overflow": pool.overflow,
        "pending": pool.pending,
        "oldest_pending": pool.oldest_pending_seconds,
        "connecting": pool.connecting,
        "oldest_connecting": pool.oldest_connecting_seconds,
        "timeouts": pool.timeouts_total,
        "invalidated": pool.invalidated_total,
        "closed": pool.closed_total,
        "wait": _describe_timing(pool.wait),
        "abandoned": _describe_timing(pool.abandoned),
        "hold": _describe_timing(pool.hold),
        "create": _describe_timing(pool.create),
    }


def _describe_timing(timing: Timing) -> dict[str, Any]:
    return {"count": timing.count, "seconds": timing.seconds, "counts": timing.counts}
