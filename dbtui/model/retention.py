"""Retention: which backups stay, which go, and why. The policy itself is in policies.py."""

from dataclasses import dataclass
from datetime import datetime

from dbtui.model.backups import EntryKind
from dbtui.model.connections import EngineName
from dbtui.model.policies import RetentionPolicy

PIN_SUFFIX = ".pin.json"
DELETING_SUFFIX = ".deleting.json"


@dataclass(frozen=True, slots=True, order=True)
class RetentionScope:
    """What backups must have in common to replace one another. `covers` is empty for all of a database."""

    database: str
    engine: EngineName
    server: str  # the URL, without anything secret
    covers: str = ""  # "definitions only", "only public.users", "without public.logs"


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionBackup:
    """A backup as retention sees it. `problem` says why it is no good one; `digest` is the SHA-256 of its manifest."""

    backup_id: str
    directory: str
    scope: RetentionScope
    began_at: datetime
    ended_at: datetime | None = None
    profile: str = ""
    size_bytes: int = 0
    packing: str = ""  # format and compression: only equal ones are compared by size
    proof: str | None = None
    is_pinned: bool = False
    problem: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of one backup, and why."""

    backup: RetentionBackup
    keeps: bool
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionGroup:
    """The verdicts on the backups of one scope in one directory, newest first. With `refusals` nothing is removed.

    `policy` is None where none was given. `is_clock_wrong`: the refusals are of a clock that nothing can be judged by.
    """

    scope: RetentionScope
    policy: RetentionPolicy | None
    verdicts: tuple[Verdict, ...]
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    is_clock_wrong: bool = False

    @property
    def directory(self) -> str:
        """Where they lie."""
        return self.verdicts[0].backup.directory if self.verdicts else ""

    @property
    def kept(self) -> tuple[RetentionBackup, ...]:
        """What stays."""
        return tuple(each.backup for each in self.verdicts if each.keeps)

    @property
    def removed(self) -> tuple[RetentionBackup, ...]:
        """What goes, oldest first."""
        return tuple(each.backup for each in reversed(self.verdicts) if not each.keeps)


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """Something in the directory that is no backup to be judged: a broken one, or one of another target."""

    backup_id: str
    kind: EntryKind
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionPlan:
    """What goes and what stays, by scope. `leftovers` are paths of deletions that did not come to their end."""

    taken_at: datetime
    directories: tuple[str, ...]
    groups: tuple[RetentionGroup, ...] = ()
    left_alone: tuple[LeftAlone, ...] = ()
    leftovers: tuple[str, ...] = ()

    @property
    def refusals(self) -> tuple[str, ...]:
        """Why nothing is removed, of the scopes where that is so."""
        return tuple(text for group in self.groups for text in group.refusals)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to be careful of."""
        return tuple(text for group in self.groups for text in group.warnings)

    @property
    def is_refused(self) -> bool:
        """Whether nothing at all may be removed: the clock is wrong, or every scope with something to judge refuses."""
        wrong = any(group.is_clock_wrong for group in self.groups)
        return wrong or bool(self.refusals and not any(group.removed for group in self.groups))

    @property
    def removed(self) -> tuple[RetentionBackup, ...]:
        """What goes, oldest first within each scope; nothing when the clock is wrong."""
        return () if self.is_refused else tuple(backup for group in self.groups for backup in group.removed)

    @property
    def kept(self) -> tuple[RetentionBackup, ...]:
        """What stays."""
        gone = {(each.directory, each.backup_id) for each in self.removed}
        everything = (verdict.backup for group in self.groups for verdict in group.verdicts)
        return tuple(each for each in everything if (each.directory, each.backup_id) not in gone)

    @property
    def freed_bytes(self) -> int:
        """How much goes."""
        return sum(each.size_bytes for each in self.removed)


@dataclass(frozen=True, slots=True)
class Pin:
    """Why a backup stays whatever the policy says. Its file's existence is the pin."""

    backup_id: str
    pinned_at: str  # ISO 8601, UTC
    operator: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireResult:
    """What was removed; `skipped` are ids that were to go and stayed, with the reason.

    `remains` are ids that are no backups any more, of which something still lies there, with the reason.
    """

    removed: tuple[str, ...] = ()
    freed_bytes: int = 0
    kept: int = 0
    finished: tuple[str, ...] = ()  # deletions of earlier runs that were brought to their end
    skipped: tuple[tuple[str, str], ...] = ()
    remains: tuple[tuple[str, str], ...] = ()
    refusals: tuple[str, ...] = ()


# ---------------------------------------------------------------- what survives when


@dataclass(frozen=True, slots=True)
class Survivor:
    """A backup at some moment of a simulation. `backup_id` is empty for one that is still to be made."""

    began_at: datetime
    size_bytes: int
    backup_id: str = ""


@dataclass(frozen=True, slots=True)
class SurvivalPoint:
    """What there is at a moment."""

    label: str
    at: datetime
    survivors: tuple[Survivor, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survival:
    """A year under a policy. `leaves` tells when each backup of today goes, None: not within that year."""

    scope: RetentionScope
    every_seconds: float
    is_rhythm_known: bool
    points: tuple[SurvivalPoint, ...]
    leaves: tuple[tuple[str, datetime | None], ...] = ()
