"""Schedules as they stand in a crontab and in units: found by dbtui's own mark, read, and taken out again.

What somebody has changed by hand is read as far as it can be, and never hidden.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePath

from dbtui.analysis.schedule_times import parse_calendar, parse_cron_times
from dbtui.analysis.schedules import MARK, name_of_line
from dbtui.errors import UsageError
from dbtui.model.schedules import InstalledSchedule, Scheduler, Timing

CRONTAB = "crontab"
_CRON_LINE = re.compile(r"\s*(@\w+|(?:\S+\s+){4}\S+)\s+(.*)", re.DOTALL)
_CRON_ZONE = re.compile(r"\s*CRON_TZ\s*=\s*[\"']?([^\"'\s]+)")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=", re.ASCII)
_SHELL_SIGNS = re.compile(r"[0-9]*[<>|&;].*", re.DOTALL)
_EXEC_SIGNS = "@-:+!|"
_UNIT_WORD = re.compile(r"""((?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')+)\s*""", re.DOTALL)
_UNIT_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
#: Other ways to set a timer off; when they do depends on more than the clock.
_OTHER_TIMES = ("OnActiveSec", "OnBootSec", "OnStartupSec", "OnUnitActiveSec", "OnUnitInactiveSec")

# ---------------------------------------------------------------- crontab


def find_lines(crontab: str) -> Iterator[InstalledSchedule]:
    """Yield what dbtui has put into a crontab, lines that were changed since included."""
    zone = ""
    for line in crontab.split("\n"):
        if found := _CRON_ZONE.match(line):
            zone = found[1]
        name = name_of_line(line)
        if name:
            yield _parse_line(name, line.strip(), zone)


def _parse_line(name: str, line: str, zone: str) -> InstalledSchedule:
    schedule = InstalledSchedule(name=name, scheduler=Scheduler.CRON, place=CRONTAB, text=line)
    if line.startswith("#"):
        return replace(schedule, problem="the line is commented out: cron does not run it")
    found = _CRON_LINE.match(line)
    if found is None:
        return replace(schedule, problem="the line does not begin with when it runs")
    command = found[2].rpartition(MARK)[0].replace(r"\%", "%")
    schedule = _with_shell_words(schedule, command)
    try:
        timing = parse_cron_times(found[1])
    except UsageError as error:
        return replace(schedule, problem=f"when it runs cannot be read: {error.message}")
    return replace(schedule, timings=(replace(timing, zone=zone),))


def _with_shell_words(schedule: InstalledSchedule, command: str) -> InstalledSchedule:
    """Read `cd DIRECTORY && NAME=VALUE… PROGRAM WORDS…`, whatever was put before or behind it."""
    try:
        words = shlex.split(command)
    except ValueError:
        return replace(schedule, problem="its command cannot be read: a quote is left open")
    directory = words[1] if len(words) > 2 and words[0] == "cd" else ""
    typed = _words_behind_program(words)
    before = words[: len(words) - len(typed)] if typed else []
    environ = [word.partition("=")[::2] for word in before if _ASSIGNMENT.match(word)]
    kept: list[str] = []
    for word in typed:
        if _SHELL_SIGNS.fullmatch(word):
            break
        kept.append(word)
    return _with_words(replace(schedule, directory=directory, environ=tuple((k, v) for k, v in environ)), kept)


def _words_behind_program(words: Sequence[str]) -> Sequence[str]:
    for index, word in enumerate(words):
        if PurePath(word).name == "dbtui" and (index == 0 or words[index - 1] != "cd"):
            return words[index + 1 :]
    return ()


def _with_words(schedule: InstalledSchedule, words: Sequence[str]) -> InstalledSchedule:
    if not words:
        return replace(schedule, problem="it does not run dbtui any more")
    return replace(schedule, words=tuple(words))


def take_out_lines(crontab: str, name: str) -> tuple[str, tuple[str, ...]]:
    """Return a crontab without the lines of a name, all others as they are to the byte, and what was taken out."""
    lines = crontab.split("\n")
    taken = tuple(line for line in lines if name_of_line(line) == name)
    return "\n".join(line for line in lines if name_of_line(line) != name), taken


# ---------------------------------------------------------------- units


def read_units(name: str, place: str, timer: str | None, service: str | None) -> InstalledSchedule:
    """Return what a timer and its service say; None: the file is not there or cannot be read."""
    schedule = InstalledSchedule(name=name, scheduler=Scheduler.SYSTEMD, place=place, text="")
    if service is not None:
        schedule = _with_service(schedule, _unit_settings(service))
    if service is None or timer is None:
        which = ".service" if service is None else ".timer"
        return replace(schedule, problem=f"{name}{which} is gone, or cannot be read")
    return _with_timer(schedule, _unit_settings(timer))


def _with_service(schedule: InstalledSchedule, settings: Sequence[tuple[str, str]]) -> InstalledSchedule:
    commands = [value for key, value in settings if key == "ExecStart" and value]
    directory = next((_single(value) for key, value in settings if key == "WorkingDirectory"), "")
    pairs = [pair for key, value in settings if key == "Environment" for pair in _split_unit(value)]
    environ = tuple((pair.partition("=")[0], pair.partition("=")[2]) for pair in pairs)
    schedule = replace(schedule, directory=directory, environ=environ)
    if len(commands) != 1:
        return replace(schedule, problem="its service runs no command, or more than one")
    words = [word.replace("$$", "$") for word in _split_unit(commands[0].lstrip(_EXEC_SIGNS))]
    return _with_words(schedule, _words_behind_program(words))


def _with_timer(schedule: InstalledSchedule, settings: Sequence[tuple[str, str]]) -> InstalledSchedule:
    texts: list[str] = []
    for key, value in settings:
        if key == "OnCalendar":
            texts = [*texts, value] if value else []  # an empty one takes back those before it
    schedule = replace(schedule, text="; ".join(f"OnCalendar={text}" for text in texts))
    others = [key for key, value in settings if key in _OTHER_TIMES and value]
    if others or not texts:
        what = f"by {others[0]}" if others else "by no OnCalendar"
        return replace(schedule, problem=schedule.problem or f"when it runs cannot be computed: {what}")
    timings: list[Timing] = []
    for text in texts:
        try:
            timings.append(parse_calendar(text))
        except UsageError as error:
            return replace(schedule, problem=schedule.problem or f"OnCalendar={text} cannot be read: {error.message}")
    return replace(schedule, timings=tuple(timings))


def _unit_settings(text: str) -> list[tuple[str, str]]:
    lines = re.sub(r"\\\n", " ", text).split("\n")
    pairs = [line.partition("=") for line in lines if not line.lstrip().startswith(("#", ";", "["))]
    return [(key.strip(), value.strip()) for key, equals, value in pairs if equals]


def _split_unit(text: str) -> list[str]:
    """The words of a setting: quotes and backslashes taken away, doubled percent signs made single."""
    return [_single(_unquote(found[1])) for found in _UNIT_WORD.finditer(text)]


def _unquote(word: str) -> str:
    parts = re.split(r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')""", word, flags=re.DOTALL)
    bare = [part[1:-1] if part[:1] in ('"', "'") and len(part) > 1 else part for part in parts]
    return "".join(_UNIT_ESCAPE.sub(r"\1", part) for part in bare)


def _single(text: str) -> str:
    return text.replace("%%", "%")
