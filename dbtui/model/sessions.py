"""Sessions of a server: who is connected, what each does, who waits for whom, and orders to end one."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One session as the server tells of it. None or empty: not known, or the login may not see it.

    `state` and `wait` are the server's own words. Ages are in seconds at the snapshot's `taken_at`, by the server's
    clock: `transaction_seconds` since its transaction began, `query_seconds` since its statement began (while it is
    active), `state_seconds` since it went into its state. `sql` is what runs, or what ran last.
    """

    session_id: int
    user: str = ""
    database: str = ""
    application: str = ""
    client: str = ""  # "10.0.0.7:51022", "local"
    state: str = ""
    wait: str = ""  # "Lock: transactionid", "Client: ClientRead"
    started_at: datetime | None = None
    transaction_seconds: float | None = None
    query_seconds: float | None = None
    state_seconds: float | None = None
    sql: str = ""
    blocked_by: tuple[int, ...] = ()
    is_active: bool = False
    is_idle_in_transaction: bool = False
    is_own: bool = False  # dbtui's own
    is_client: bool = True  # False: a worker of the server itself, never to be terminated
    is_tls: bool | None = None
    query_started_at: datetime | None = None  # of what runs or ran last, by the server's clock
    workers: int = 0  # the server's own workers that help this session (PostgreSQL: parallel workers)
    query_id: int | None = None  # the number of the statement that runs, where the server gives one (MariaDB)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsSnapshot:
    """All sessions of a server at one moment. `unsupported` says why an engine has none.

    `is_partial`: this login may not see other sessions, or who blocks whom; `gaps` say what it lacks.
    """

    profile: str
    taken_at: datetime
    sessions: tuple[Session, ...] = ()
    user: str = ""  # our own login, for "mine"
    gaps: tuple[str, ...] = field(default=())
    unsupported: str = ""
    is_partial: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplainedSession:
    """The plan of what a session ran at one moment, as its server words it."""

    session: Session
    taken_at: datetime
    plan: str


class SessionVerb(StrEnum):
    """What an operator may do to a session."""

    CANCEL = "cancel"  # its statement ends, the session goes on
    TERMINATE = "terminate"  # its connection ends, its transaction is rolled back


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsPlan:
    """An order to end statements or sessions: exactly which, by what, and what speaks against it.

    Each session is named with what tells it from a later one of the same number: `started_at`, or user, client and age.
    """

    verb: SessionVerb
    sessions: tuple[Session, ...]
    taken_at: datetime
    commands: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()  # asked for, and not there or not to be seen by the login


class Hit(StrEnum):
    """What became of one order."""

    DONE = "done"
    GONE = "gone"  # no session has that number any more, or the statement to be cancelled had ended
    REPLACED = "replaced"  # another session has that number, or another statement runs there: it was left alone
    REFUSED = "refused"  # the server said no; `detail` says why
    STILL_THERE = "still there"  # the server took the order and the session has not ended yet


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionHit:
    """What an order really did to one session."""

    session: Session
    hit: Hit
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsResult:
    """What an order did."""

    verb: SessionVerb
    hits: tuple[SessionHit, ...]
