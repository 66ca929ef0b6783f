"""DATABASE_URL, DB_REPLICA_URLS and the limits of routing: read, checked, and named when they are wrong."""

from collections.abc import Mapping
from dataclasses import dataclass

from dbtui.errors import UsageError
from dbtui.instrument.settings import read_bytes, read_seconds

PRIMARY_URL = "DATABASE_URL"
REPLICA_URLS = "DB_REPLICA_URLS"
LAG_SECONDS = "DB_REPLICA_LAG_SECONDS"
LAG_BYTES = "DB_REPLICA_LAG_BYTES"
WAIT_SECONDS = "DB_REPLICA_WAIT_SECONDS"

_LEAST_LAG_SECONDS = 0.001
_STALE_LOOKS, _STALE_SECONDS = 3, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingLimits:
    """What a replica must keep to be read from, and how long a read waits for it.

    `lag_seconds`, `lag_bytes`: a replica that is further behind the primary is not read from. `wait_seconds`: a read
    that must see a commit waits so long for its replica, then the primary serves it. `look_seconds`: the time between
    two looks at a server. `serve_without_primary`: while the primary is not seen, replicas are read from, however old.
    """

    lag_seconds: float = 10.0
    lag_bytes: int = 16 * 1024 * 1024
    wait_seconds: float = 0.25
    look_seconds: float = 1.0
    serve_without_primary: bool = False

    @property
    def stale_seconds(self) -> float:
        """How old a look may be that still says something: a busy process is not to lose its replicas."""
        return max(_STALE_LOOKS * self.look_seconds, _STALE_SECONDS)

    def __post_init__(self) -> None:
        if self.lag_seconds <= 0 or self.lag_bytes < 0 or self.wait_seconds < 0 or self.look_seconds <= 0:
            raise UsageError(f"{self} cannot be kept", "give positive seconds and bytes")


def read_limits(
    environ: Mapping[str, str], given: Mapping[str, float | None], *, serve_without_primary: bool = False
) -> RoutingLimits:
    """Return the limits of `given`, else of the environment, else the usual. Raises UsageError naming what is wrong."""
    usual = RoutingLimits()
    chosen = {name: value for name, value in given.items() if value is not None}
    if "lag_seconds" not in chosen:
        chosen["lag_seconds"] = read_seconds(environ, LAG_SECONDS, usual.lag_seconds, least=_LEAST_LAG_SECONDS)
    if "lag_bytes" not in chosen:
        chosen["lag_bytes"] = read_bytes(environ, LAG_BYTES, usual.lag_bytes)
    if "wait_seconds" not in chosen:
        chosen["wait_seconds"] = read_seconds(environ, WAIT_SECONDS, usual.wait_seconds)
    return RoutingLimits(
        lag_seconds=chosen["lag_seconds"],
        lag_bytes=int(chosen["lag_bytes"]),
        wait_seconds=chosen["wait_seconds"],
        look_seconds=chosen.get("look_seconds", usual.look_seconds),
        serve_without_primary=serve_without_primary,
    )


def read_urls(environ: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return the primary's URL and the replicas', which are separated by spaces or line ends. Raises UsageError."""
    primary = environ.get(PRIMARY_URL, "").strip()
    if not primary:
        raise UsageError(
            f"{PRIMARY_URL} is not set", f"set it to the primary's URL, and {REPLICA_URLS} to the replicas'"
        )
    return primary, tuple(environ.get(REPLICA_URLS, "").split())
