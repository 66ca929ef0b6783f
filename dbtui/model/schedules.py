"""A command that shall run again and again, and the texts by which cron or systemd run it."""

import shlex
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

#: Set, to its name, for what a schedule runs: then runs of reading commands are written down as well.
SCHEDULE_VARIABLE = "DBTUI_SCHEDULE"


class Every(StrEnum):
    """How often."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"  # on Mondays
    MONTH = "month"  # on the first


class Scheduler(StrEnum):
    """Who runs it."""

    CRON = "cron"
    SYSTEMD = "systemd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """When a command runs, by the clock of the machine; every hour only the minute counts.

    `argv` is the whole command line, `environ` what it needs to know, `directory` where it runs.
    """

    argv: tuple[str, ...]
    directory: str
    every: Every = Every.DAY
    hour: int = 3
    minute: int = 15
    environ: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleTexts:
    """One schedule, written for cron and for systemd. `name` is the same in both."""

    name: str
    cron_line: str
    service: str
    timer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleResult:
    """What was installed: `places` are the files that were written, `next_commands` what is left to type."""

    name: str
    scheduler: Scheduler
    places: tuple[str, ...] = ()
    next_commands: tuple[str, ...] = ()
    was_there: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleRemoval:
    """What is taken away with a schedule: lines of the crontab, files, and timers that systemd is told to stop."""

    name: str
    lines: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()  # before the files are removed: stop it; the last: forget it

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be taken away."""
        return not (self.lines or self.files)


@dataclass(frozen=True, slots=True)
class Timing:
    """When something is due, by the clock on the wall of the machine. Weekdays count from Monday, 0.

    `either_day`: a day of the month or a day of the week is enough, as cron has it when both are restricted.
    `by_running_clock`: cron runs it at every minute that fits, so in an hour that comes twice it runs twice; else
    once. `makes_up`: what falls into an hour that is skipped runs right after it (cron), else not at all (systemd).
    `zone`: the time zone it names itself; empty: the machine's.
    """

    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either_day: bool = False
    by_running_clock: bool = False
    makes_up: bool = False
    zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledSchedule:
    """A schedule that dbtui has installed for this user, as it stands there now. `name` is in the crontab or the unit.

    `words` are those after `dbtui`. `problem` says why it cannot be read, or will not run: somebody has changed it by
    hand. `next_run_at` is what systemd itself says, None when it was not asked or does not know.
    """

    name: str
    scheduler: Scheduler
    place: str  # "crontab", or the path of the timer
    text: str  # the line, or the times of the timer, as they stand there
    words: tuple[str, ...] = ()
    directory: str = ""
    environ: tuple[tuple[str, str], ...] = ()
    timings: tuple[Timing, ...] = ()
    problem: str = ""
    is_enabled: bool = True
    next_run_at: datetime | None = None
    installed_at: datetime | None = None  # None: not known

    @property
    def command(self) -> str:
        """The command as it is typed."""
        return shlex.join(("dbtui", *self.words)) if self.words else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRun:
    """One run of a command by its words. `ended_at` is None while it runs, and for ever when it was killed."""

    words: tuple[str, ...]
    began_at: datetime
    ended_at: datetime | None = None
    exit_code: int | None = None
    detail: str = ""
    operator: str = ""
    is_alive: bool = False

    @property
    def seconds(self) -> float | None:
        """How long it took; None: it has not ended."""
        return None if self.ended_at is None else (self.ended_at - self.began_at).total_seconds()


class Standing(StrEnum):
    """What is to be said of a schedule."""

    ON_TIME = "on time"
    RUNNING = "running"
    WAITING = "waiting for its first run"
    OVERDUE = "overdue"
    UNREADABLE = "unreadable"

    @property
    def is_trouble(self) -> bool:
        """Whether somebody should look at it."""
        return self in (Standing.OVERDUE, Standing.UNREADABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleState:
    """A schedule with what became of it. Times are UTC.

    `profile` is the profile that its command concerns, `database` that one's database; both empty when it names none
    that is configured. `reason` is a sentence.
    """

    schedule: InstalledSchedule
    standing: Standing
    reason: str = ""
    profile: str = ""
    database: str = ""
    next_run_at: datetime | None = None
    last_run: CommandRun | None = None
    last_success_at: datetime | None = None
    period_seconds: float | None = None

    @property
    def is_overdue(self) -> bool:
        """Whether it should have succeeded meanwhile."""
        return self.standing is Standing.OVERDUE
