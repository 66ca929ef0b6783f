"""A command that shall run again and again, and the texts by which cron or systemd run it."""

from dataclasses import dataclass
from enum import StrEnum


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
