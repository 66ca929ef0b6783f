"""How fast the way to the terminal is, what may be sent now, and how often it is worth asking servers again.

Two things tell: writes that wait (a terminal, or a pseudo-terminal, that takes no more), and reports of the cursor's
position that are asked for after each frame. Over SSH the second is the only one: a megabyte fits between the program
and a slow line before any write waits. Terminals that answer nothing are measured by the first alone.
"""

import threading
from collections import deque

#: What may be under way to the terminal, in seconds: whatever is drawn is seen about so soon.
AHEAD_SECONDS = 0.4
#: The share of the link that live data may use; the rest is for keys.
SHARE = 0.5
#: The intervals that are offered when the link is slow.
STEPS_SECONDS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
#: A link this fast is not worth a thought, in bytes a second.
FAST = 100_000.0
#: A link slower than this deserves a longer interval even if the data would fit, in bytes a second.
SLOW = 25_000.0
#: The least and the most that is sent at once when the link is slow, in bytes.
LEAST_PIECE, MOST_PIECE = 600, 16_384
#: As long as nothing is known of the link, so much is sent at once, and so much at most without an answer, in bytes.
FIRST_PIECE, FIRST_WINDOW = 4096, 6000
#: A terminal that answers nothing is taken to be no slower than this as long as no write has waited, in bytes a second;
#: and so much, in bytes, may be under way to it at that rate before live data waits. What answers keys does not wait.
ASSUMED, ASSUMED_BYTES = 8000.0, 6000
#: What the kernel keeps at least for a pseudo-terminal before a write has to wait, in bytes (Linux 6: 18 kB).
KERNEL_BYTES = 16_000
#: A frame smaller than this is not worth an answer while the link is not known to be slow, in bytes.
LEAST_ASKED = 512
#: What is drawn so soon after a key answers the key, and says nothing about what live data needs, in seconds.
ECHO_SECONDS = 0.3
#: An answer that has not come by then will not come.
ANSWER_SECONDS = 5.0
_NOTICED_SECONDS = 0.05
_LEAST_SAMPLE_SECONDS = 0.25
#: How much faster a link without answers is taken to be for each second in which it was busy and no write waited: at
#: first. Beyond MODEST_HOPE times what was measured, it might be filled again to find out: not for PATIENCE_SECONDS,
#: which double each time it turns out to be as slow as before.
_HOPE = 0.03
MODEST_HOPE = 1.8
PATIENCE_SECONDS, MOST_PATIENCE_SECONDS = 60.0, 960.0


class Link:
    """Measures the way to the terminal. Times are seconds of one monotonic clock; any thread may call it."""

    def __init__(self, base_seconds: float = 1.0) -> None:
        self.base_seconds = base_seconds
        self.answers = False  # whether the terminal has ever said where its cursor is
        self.rate: float | None = None  # bytes a second; None: fast
        self.round_trip_seconds = 0.0
        self._interval = base_seconds
        self._lock = threading.Lock()
        self._waiting = 0  # bytes that are not written yet
        self._ahead = 0.0  # bytes that are written and, as far as is known, not yet shown
        self._at = 0.0
        self._is_proven = False  # whether the link is known to be fast
        self._full_at: float | None = None  # when a write had to wait
        self._since_full = 0  # bytes that were taken since then
        self._written = 0
        self._writing_at: float | None = None  # since when a write has not come back
        self._asked: deque[tuple[float, int]] = deque()  # when an answer was asked for, and the bytes before it
        self._since_asked = 0
        self._first_asked_at = self._answered_at = 0.0
        self._drawn: deque[tuple[float, int]] = deque()  # without what answers keys
        self._considered_at = 0.0
        self._key_at = 0.0
        self._hope = _HOPE
        self._measured, self._measured_at = 0.0, 0.0
        self._patience = PATIENCE_SECONDS

    # ------------------------------------------------------------ what happened

    def key_came(self, now: float) -> None:
        """The operator has pressed a key."""
        self._key_at = now

    def is_echo(self, now: float) -> bool:
        """Whether what is drawn now answers a key."""
        return now - self._key_at <= ECHO_SECONDS

    def queued(self, count: int, now: float) -> None:
        """So many bytes wait to be written."""
        with self._lock:
            self._waiting += count
            if not self.is_echo(now):
                self._drawn.append((now, count))

    def dropped(self) -> None:
        """What waited will never be written."""
        with self._lock:
            self._waiting = 0

    def writes(self, now: float) -> None:
        """A write begins."""
        self._writing_at = now

    def wrote(self, count: int, began: float, ended: float) -> None:
        """So many bytes were written between two moments."""
        with self._lock:
            self._waiting = max(0, self._waiting - count)
            self._writing_at = None
            since = self._drain(ended)
            if ended - began > _NOTICED_SECONDS:
                self._was_full(ended)
            elif self.rate is not None and not self.answers and self._ahead > self.rate * AHEAD_SECONDS / 2:
                self._be_hopeful(self.rate, min(1.0, since), ended)
            self._ahead += count
            self._written += count
            self._since_full += count
            self._since_asked += count
            self._consider(ended)

    def _was_full(self, now: float) -> None:
        """A write had to wait: the kernel's buffer was full, and what it has taken since the last time has got away.

        That is the rate, unless the buffer may have been empty in between: then it took as much as it holds.
        """
        if self._full_at is not None and self._since_full < KERNEL_BYTES:
            if now - self._full_at < _LEAST_SAMPLE_SECONDS:
                return
            self._learn(rate := self._since_full / (now - self._full_at))
            self._hope = _HOPE
            relapsed = now - self._measured_at > self._patience and rate < self._measured * MODEST_HOPE
            self._patience = min(MOST_PATIENCE_SECONDS, self._patience * 2) if relapsed else self._patience
            self._measured, self._measured_at = rate, now
        self._full_at, self._since_full = now, 0
        if not self.answers:
            self._ahead = float(min(self._written, KERNEL_BYTES))

    def _be_hopeful(self, rate: float, seconds: float, now: float) -> None:
        rate *= 1 + self._hope * seconds
        self._hope = min(0.5, self._hope * (1 + 0.1 * seconds))
        if rate < self._measured * MODEST_HOPE or now - self._measured_at > self._patience:
            self.rate = rate if self._measured else self.rate

    def asked(self, now: float) -> None:
        """The terminal was asked where its cursor is."""
        with self._lock:
            self._first_asked_at = self._first_asked_at or now
            self._asked.append((now, self._since_asked + self._waiting))
            self._since_asked = -self._waiting

    def is_worth_asking(self, cost: int, now: float) -> bool:
        """Whether an answer to a frame of about so many bytes tells something, if one may be hoped for."""
        hopes = self.answers or now - self._first_asked_at < ANSWER_SECONDS
        return hopes and (cost >= LEAST_ASKED or self.rate is not None)

    def answered(self, now: float) -> None:
        """The terminal has answered the oldest question: all that was sent before it is shown."""
        with self._lock:
            self.answers = True
            if not self._asked:
                return
            asked, count = self._asked.popleft()
            took = now - asked
            least = min(took, self.round_trip_seconds or took)
            self.round_trip_seconds = least
            busy = now - max(asked, self._answered_at) - least
            self._answered_at = now
            if busy >= _LEAST_SAMPLE_SECONDS and count > LEAST_PIECE:
                self._learn(count / busy)
            elif self.rate is None and count > FIRST_PIECE / 2:
                self._is_proven = True
            elif self.rate is not None and count / self.rate > 2 * max(busy, _LEAST_SAMPLE_SECONDS / 2):
                self._learn(self.rate * 1.5)
            self._ahead = float(self._unanswered())
            self._at = now

    def _unanswered(self) -> int:
        return sum(count for _, count in self._asked) + max(0, self._since_asked)

    def _learn(self, rate: float) -> None:
        rate = rate if self.rate is None or rate >= self.rate * 1.4 else (rate + self.rate) / 2
        self.rate = None if rate >= FAST else max(100.0, rate)
        self._is_proven = self.rate is None
        if self.rate is None:
            self._interval = self.base_seconds

    def _drain(self, now: float) -> float:
        """Take off what has been shown meanwhile, at the known rate. Returns the seconds since the last time."""
        since, self._at = max(0.0, now - self._at), now
        if self.rate is None:
            self._ahead = 0.0 if self.answers or self._is_proven else max(0.0, self._ahead - ASSUMED * since)
        elif not (self.answers and self._asked):
            self._ahead = max(0.0, self._ahead - self.rate * since)
        return since

    # ------------------------------------------------------------ what follows

    def wait_seconds(self, now: float) -> float:
        """Return how long to wait before more is sent; 0: send now."""
        with self._lock:
            self._drain(now)
            while self._asked and now - self._asked[0][0] > ANSWER_SECONDS:
                self._asked.popleft()
            if self._writing_at is not None and now - self._writing_at > _NOTICED_SECONDS:
                return 0.05
            if self._waiting > MOST_PIECE or (self._waiting and self.rate is not None):
                return 0.05
            if self.answers and self._asked and now - self._asked[0][0] > AHEAD_SECONDS + self.round_trip_seconds:
                return 0.05
            if self.rate is None:
                return 0.02 if self._is_bold(now) else 0.0
            late = (self._ahead + self._waiting) / self.rate - AHEAD_SECONDS
            return 0.0 if late <= 0 else min(0.25, max(0.02, late))

    def _is_bold(self, now: float) -> bool:
        """Whether more is under way than is wise while nothing is known of the link."""
        if self._is_proven:
            return False
        if self.answers:
            return bool(self._asked) and self._unanswered() > FIRST_WINDOW
        return not self.is_echo(now) and self._ahead + self._waiting > ASSUMED_BYTES

    @property
    def piece_bytes(self) -> int | None:
        """How much may be sent at once; None: all there is."""
        if self.rate is None:
            return None if self._is_proven else FIRST_PIECE
        return int(min(MOST_PIECE, max(LEAST_PIECE, self.rate * AHEAD_SECONDS)))

    @property
    def interval_seconds(self) -> float:
        """How often servers are worth asking: what they say must get through, and keys beside it."""
        return self._interval

    @property
    def is_slow(self) -> bool:
        """Whether the interval is longer than it would be on a fast link."""
        return self._interval > self.base_seconds

    @property
    def badge(self) -> str:
        """What the header says of a slow link, else nothing."""
        return f"link slow: every {self._interval:g} s" if self.is_slow else ""

    def consider(self, now: float) -> None:
        """Work out the interval anew: what was sent lately, and what the link takes."""
        with self._lock:
            self._consider(now, at_once=True)

    def _consider(self, now: float, at_once: bool = False) -> None:
        window = max(6.0, 3 * self._interval)
        while self._drawn and self._drawn[0][0] < now - window:
            self._drawn.popleft()
        if self.rate is None:
            self._interval = self.base_seconds
            return
        if not at_once and now - self._considered_at < max(2.0, self._interval):
            return
        self._considered_at = now
        a_tick = sum(count for _, count in self._drawn) / window * self._interval
        needed = max(self.base_seconds, a_tick / (self.rate * SHARE))
        needed = max(needed, self._interval / 2)  # down in steps
        steps = [step for step in STEPS_SECONDS if step > self.base_seconds] or [self.base_seconds]
        if self.rate >= SLOW:
            steps.insert(0, self.base_seconds)
        self._interval = next((step for step in steps if step >= needed), steps[-1])
