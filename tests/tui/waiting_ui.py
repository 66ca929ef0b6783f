"""Like `scripted_ui`, with sessions that also change their state and what they wait for with each look."""

import sys
from dataclasses import replace
from typing import Any

import pytest

from dbtui.model.sessions import Session, SessionsSnapshot
from tests.tui import live_sessions, scripted_ui

_WAITS = ("", "Lock: transactionid", "IO: DataFileRead", "Client: ClientRead")
_REAL = live_sessions.busy_sessions


def _waiting(session: Session, moment: int) -> Session:
    """What an application under load looks like from second to second."""
    idle = moment % 3 == 0
    return replace(session, state="idle in transaction" if idle else "active", is_active=not idle,
                   is_idle_in_transaction=idle, wait=_WAITS[moment % len(_WAITS)])  # fmt: skip


def _busy(profile: str, number: int, changing: int, *rest: Any) -> SessionsSnapshot:
    found = _REAL(profile, number, changing, *rest)
    sessions = [_waiting(each, number + place) if place < changing else each
                for place, each in enumerate(found.sessions)]  # fmt: skip
    return replace(found, sessions=tuple(sessions))


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_sessions, "busy_sessions", _busy)
        sys.exit(scripted_ui.main())
