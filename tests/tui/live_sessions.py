"""Sessions that never rest: each look finds all of them older and busy with something else, and is written to a log."""

import hashlib
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from dbtui.model.sessions import SessionsSnapshot
from dbtui.watches import Look
from tests.tui.fake_watches import FakeWatch, session, snapshot

LOG = "looks.log"
SESSIONS = 40


def busy_sessions(profile: str, number: int, changing: int, count: int) -> SessionsSnapshot:
    """Look number `number` at so many sessions, some of which change from look to look."""
    sessions = []
    for place in range(count):
        moment = number if place < changing else 0
        noise = hashlib.sha256(f"{moment} {place}".encode()).hexdigest()
        sql = f"/* look {moment:05} */ SELECT '{noise}'"
        sessions.append(session(8000 + place, sql=sql, query_seconds=float(moment % 60), transaction_seconds=61.0))
    return snapshot(profile, *sessions, taken_at=datetime.now(UTC))


@dataclass
class LiveWatch(FakeWatch):
    """Looks by itself, as often as it is asked to. Its log holds the number and the moment of each look."""

    log: Path = Path(LOG)
    changing: int = SESSIONS
    number: int = 0
    count: int = SESSIONS
    woken: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Begin."""
        self.begun = True
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            self.look()
            self.woken.wait(self.seconds)
            self.woken.clear()

    def look(self) -> None:
        """Look, and note it."""
        name = self.profile.name
        found = None
        if self._wants_sessions:
            self.number += 1
            found = busy_sessions(name, self.number, self.changing, self.count)
            with self.log.open("a") as log:
                log.write(f"{self.number} {time.monotonic()}\n")
        self.publish(Look(profile=name, status=self.statuses[name], sessions=found, last_seen_at=datetime.now(UTC)))
