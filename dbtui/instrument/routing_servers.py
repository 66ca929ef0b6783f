"""What routing asks of a server, whatever its make: where its log is, and whether it still follows the primary."""

from typing import Any, Protocol

from dbtui.errors import UsageError
from dbtui.instrument.routing_looks import PrimaryLook, ReplicaLook
from dbtui.instrument.routing_mysql import GtidLog
from dbtui.instrument.routing_postgresql import PostgreSQLLog


class Log(Protocol):
    """How one make of server numbers its log. A position is opaque; `raw` is a DBAPI connection that rests.

    Whatever is asked leaves no transaction behind: a snapshot taken before the replica had caught up would be too old.
    """

    def parse(self, text: str) -> Any:
        """The position that `format` wrote. Raises UsageError."""

    def format(self, position: Any) -> str:
        """The position as text, for a cookie or a message."""

    def covers(self, reached: Any, wanted: Any) -> bool:
        """Whether who has applied everything up to `reached` has applied `wanted`."""

    def join(self, first: Any, second: Any) -> Any:
        """The position that covers both."""

    def distance_bytes(self, reached: Any, wanted: Any) -> int | None:
        """How much of the log lies between; None when this make of server cannot tell."""

    def ask_position(self, raw: Any) -> Any:
        """Where the primary's log ends now, commits that are not on disk yet included."""

    def ask_reached(self, raw: Any) -> tuple[bool, Any, bool]:
        """Whether the server is a replica still, how far it has applied the log, and whether the connection leads to
        this very process of it the next time, too."""

    def look_at_primary(self, raw: Any) -> PrimaryLook:
        """The primary's place in replication."""

    def look_at_replica(self, raw: Any) -> ReplicaLook:
        """A replica's."""


def choose_log(dialect: str) -> Log:
    """The log of a SQLAlchemy dialect's servers. Raises UsageError for those that have no replicas."""
    if dialect == "postgresql":
        return PostgreSQLLog()
    if dialect in ("mysql", "mariadb"):
        return GtidLog()
    raise UsageError(f"routing to replicas of {dialect} is not known here", "use PostgreSQL, MySQL or MariaDB")
