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


def busy_sessions(profile: str, number: int, changing: int, count: int, wild: bool = False) -> SessionsSnapshot:
    """Look number `number` at so many sessions, some of which change from look to look; `wild`: in every column."""
    sessions = []
    for place in range(count):
        moment = number if place < changing else 0
        noise = hashlib.sha256(f"{moment} {place}".encode()).hexdigest()
        sql = f"/* look {moment:05} */ SELECT '{noise}'"
        others = {"user": noise[:8], "database": noise[8:18], "application": noise[18:32], "client": noise[32:48],
                  "wait": noise[48:]} if wild else {}  # fmt: skip
        sessions.append(session(8000 + place, sql=sql, query_seconds=float(moment % 60), transaction_seconds=61.0,
                                **others))  # fmt: skip
    return snapshot(profile, *sessions, taken_at=datetime.now(UTC))


@dataclass
class LiveWatch(FakeWatch):
    """Looks by itself, as often as it is asked to. Its log holds the number and the moment of each look."""

    log: Path = Path(LOG)
    changing: int = SESSIONS
    number: int = 0
    count: int = SESSIONS
    wild: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)

    def start(self) -> None:
        """Begin."""
        self.begun = True
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            began = time.monotonic()
            self.look()
            with self.changed:
                while (left := began + self.seconds - time.monotonic()) > 0:
                    self.changed.wait(left)

    def set_interval(self, seconds: float) -> None:
        """Look so often from now on."""
        with self.changed:
            self.seconds = seconds
            self.changed.notify_all()

    def look(self) -> None:
        """Look, and note it."""
        name = self.profile.name
        found = None
        if self._wants_sessions:
            self.number += 1
            found = busy_sessions(name, self.number, self.changing, self.count, self.wild)
            with self.log.open("a") as log:
                log.write(f"{self.number} {time.monotonic()}\n")
        self.publish(Look(profile=name, status=self.statuses[name], sessions=found, last_seen_at=datetime.now(UTC)))
