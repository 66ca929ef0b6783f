"""Watches without servers: they publish what a world says, when they are begun, woken or asked for sessions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from dbtui.model.connections import ConnectionProfile, TargetStatus
from dbtui.model.sessions import Session, SessionsSnapshot
from dbtui.watches import Look


@dataclass
class FakeWatch:
    """One target's watch; `looks` may be published by a test at any time."""

    profile: ConnectionProfile
    publish: Callable[[Look], None]
    seconds: float
    statuses: Mapping[str, TargetStatus]
    sessions: Mapping[str, SessionsSnapshot]
    calls: list[str] = field(default_factory=list)
    begun: bool = False
    paused: bool = False
    _wants_sessions: bool = False

    @property
    def wants_sessions(self) -> bool:
        """Whether looks hold sessions."""
        return self._wants_sessions

    @wants_sessions.setter
    def wants_sessions(self, wanted: bool) -> None:
        self._wants_sessions = wanted
        if wanted and self.begun:
            self.look()

    def look(self) -> None:
        """Publish what the world says now."""
        name = self.profile.name
        now = datetime.now(UTC)
        status = replace(self.statuses[name], taken_at=now)
        snapshot = self.sessions.get(name) if self._wants_sessions and status.reachable else None
        if self._wants_sessions and snapshot is None and status.reachable:
            snapshot = SessionsSnapshot(profile=name, taken_at=now)
        down = not status.reachable
        self.publish(Look(profile=name, status=status, sessions=snapshot, attempt=int(down),
                          next_try_at=now + timedelta(seconds=8) if down else None,
                          last_seen_at=None if down else now))  # fmt: skip

    def start(self) -> None:
        """Look for the first time."""
        self.begun = True
        self.calls.append("start")
        self.look()

    def stop(self) -> None:
        """Note it."""
        self.calls.append("stop")

    def wake(self) -> None:
        """Look."""
        self.calls.append("wake")
        self.look()

    def pause(self) -> None:
        """Note it."""
        self.paused = True

    def resume(self) -> None:
        """Look again."""
        self.paused = False
        self.look()

    def set_interval(self, seconds: float) -> None:
        """Note it."""
        self.seconds = seconds


def session(session_id: int, **fields: Any) -> Session:
    """A session of an application, active since two seconds."""
    known: dict[str, Any] = {
        "user": "app", "database": "erp", "application": "erp-api", "client": "10.0.0.7:51022", "state": "active",
        "started_at": datetime(2026, 11, 22, 9, 0, tzinfo=UTC), "is_active": True, "query_seconds": 2.0,
        "transaction_seconds": 2.0, "state_seconds": 2.0, "sql": f"SELECT {session_id}", "is_tls": True, **fields,
    }  # fmt: skip
    return Session(session_id=session_id, **known)


def idle(session_id: int, **fields: Any) -> Session:
    """A session that rests."""
    return session(session_id, state="idle", is_active=False, query_seconds=None, transaction_seconds=None,
                   wait="Client: ClientRead", **fields)  # fmt: skip


def lock_chain() -> tuple[Session, ...]:
    """8123 holds its transaction open; 8200 waits for it, 8231 for 8200, 8240 for 8123; one rests, one is dbtui's."""
    blocked: dict[str, Any] = {"wait": "Lock: transactionid"}
    return (
        session(8123, state="idle in transaction", is_active=False, is_idle_in_transaction=True, query_seconds=None,
                transaction_seconds=130.0, state_seconds=120.0, sql="UPDATE accounts SET balance = 0 WHERE id = 1",
                wait="Client: ClientRead"),
        session(8200, blocked_by=(8123,), query_seconds=118.0, transaction_seconds=118.0, **blocked,
                sql="UPDATE accounts SET balance = balance + 1\nWHERE id = 1"),
        session(8231, user="report", application="report", blocked_by=(8200,), query_seconds=40.0,
                transaction_seconds=40.0, **blocked),
        session(8240, blocked_by=(8123,), query_seconds=7.0, transaction_seconds=7.0, **blocked),
        idle(8300, user="erp", application="psql"),
        session(8400, user="erp", application="dbtui", is_own=True),
        session(31, user="", database="", application="", client="", state="", is_active=False, is_client=False,
                transaction_seconds=None, query_seconds=None, sql="", wait="Activity: CheckpointerMain"),
    )  # fmt: skip


def snapshot(profile: str, *sessions: Session, **fields: Any) -> SessionsSnapshot:
    """Sessions of a server now."""
    known: dict[str, Any] = {"taken_at": datetime.now(UTC), "user": "erp", **fields}
    return SessionsSnapshot(profile=profile, sessions=sessions, **known)


def older(seconds: float, *sessions: Session) -> tuple[Session, ...]:
    """The same sessions some seconds later."""
    ages = ("transaction_seconds", "query_seconds", "state_seconds")
    return tuple(
        replace(each, **{age: getattr(each, age) + seconds for age in ages if getattr(each, age) is not None})
        for each in sessions
    )
