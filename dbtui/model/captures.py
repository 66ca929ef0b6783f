"""What somebody wants captured, what is written down before a server is changed for it, and what became of that."""

from dataclasses import dataclass
from datetime import datetime

from dbtui.model.connections import EngineName
from dbtui.model.queries import CaptureWay, SettingChange


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureWish:
    """What to capture. It ends after `seconds`, or when the server has written `most_bytes` for it.

    `sample_rate`: of transactions, 1.0 is every statement; None: a tenth, or every statement where few run.
    `free_bytes`: what the operator knows to be free where the
    server logs; None: find it out, or refuse. `way`: None is the best that this server has.
    """

    seconds: float = 60.0
    most_bytes: int = 64_000_000
    sample_rate: float | None = None
    free_bytes: int | None = None
    way: CaptureWay | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureJournal:
    """What puts a server back as it was; written before anything is changed.

    `server`: what the server says it is, so that another one at the same address is left alone. `url` holds no secret.
    `seconds`: how long it was to last; `deadline_at`: when it is over, however late it began.
    """

    capture_id: str
    profile: str
    engine: EngineName
    url: str
    server: str
    way: CaptureWay
    changes: tuple[SettingChange, ...]
    began_at: datetime
    seconds: float
    deadline_at: datetime
    most_bytes: int
    process: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StaleCapture:
    """A capture that nobody looks after any more, and whose settings may still be on.

    `is_restored`: its guard has put back what was ours; `left` is what somebody else had changed, and wants to be told.
    `last_words`: what kept its guard from putting it back. `problem`: why its journal cannot be read.
    """

    path: str
    journal: CaptureJournal | None = None
    left: tuple[str, ...] = ()
    is_restored: bool = False
    last_words: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureRepair:
    """What became of a stale capture. `left`: settings that are not what they were, and why."""

    capture_id: str
    profile: str
    is_restored: bool
    left: tuple[str, ...] = ()
    detail: str = ""
