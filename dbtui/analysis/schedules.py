"""Cron lines and systemd units for a command. Nothing is run through a shell that was not quoted for it.

cron(5), crontab(5): a `%` outside a backslash ends the command. systemd.service(5), "Command lines": `%` and `$` are
doubled, words with spaces stand in quotes; systemd.time(7), "Calendar events".
"""

import hashlib
import re
import shlex
from collections.abc import Sequence

from dbtui.errors import UsageError
from dbtui.model.schedules import Every, Schedule, ScheduleTexts

MARK = "# dbtui schedule:"
_AT = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])", re.ASCII)
_PLAIN = re.compile(r"[A-Za-z0-9_@+=:,./-]+", re.ASCII)
_CRON = {Every.HOUR: "{m} * * * *", Every.DAY: "{m} {h} * * *", Every.WEEK: "{m} {h} * * 1",
         Every.MONTH: "{m} {h} 1 * *"}  # fmt: skip
_CALENDAR = {Every.HOUR: "*-*-* *:{m:02}:00", Every.DAY: "*-*-* {h:02}:{m:02}:00",
             Every.WEEK: "Mon *-*-* {h:02}:{m:02}:00", Every.MONTH: "*-*-01 {h:02}:{m:02}:00"}  # fmt: skip


def parse_at(text: str) -> tuple[int, int]:
    """Return the hour and the minute that `03:15` says. Raises UsageError."""
    found = _AT.fullmatch(text)
    if found is None:
        raise UsageError(f"{text!r} is no time of day", "write hours and minutes, such as 03:15")
    return int(found[1]), int(found[2])


def name_schedule(words: Sequence[str]) -> str:
    """Return the name of what runs these words: legible, and the same for the same words only."""
    stem = re.sub(r"[^A-Za-z0-9_.]+", "-", "-".join(word for word in words if not word.startswith("-"))).strip("-.")
    digest = hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).hexdigest()[:6]
    return f"dbtui-{stem[:60]}-{digest}"


def write_texts(schedule: Schedule, words: Sequence[str]) -> ScheduleTexts:
    """Return the cron line and the units; `words` are those after `dbtui`. Raises UsageError for line breaks."""
    for text in (*schedule.argv, schedule.directory, *(part for pair in schedule.environ for part in pair)):
        if any(sign in text for sign in "\n\r\0"):
            raise UsageError("a line break cannot stand in a crontab or a unit", "leave it out of the command")
    name = name_schedule(words)
    return ScheduleTexts(name=name, cron_line=_cron_line(schedule, name), service=_service(schedule, name),
                         timer=_timer(schedule, name))  # fmt: skip


def _cron_line(schedule: Schedule, name: str) -> str:
    when = _CRON[schedule.every].format(h=schedule.hour, m=schedule.minute)
    environ = [f"{key}={shlex.quote(value)}" for key, value in schedule.environ]
    command = " ".join([f"cd {shlex.quote(schedule.directory)} &&", *environ, *map(shlex.quote, schedule.argv)])
    return f"{when} {command} {MARK} {name}".replace("%", r"\%")


def name_of_line(line: str) -> str:
    """Return the name that dbtui's mark at the end of a crontab's line tells; empty: it is not one of ours."""
    _, mark, name = line.rpartition(MARK)
    return name.strip().replace(r"\%", "%") if mark else ""


def put_line(crontab: str, texts: ScheduleTexts) -> str:
    """Return a crontab with the line in it, once: that of the same name is replaced, others stay as they are."""
    kept = [line for line in crontab.split("\n") if name_of_line(line) != texts.name]
    if kept and kept[-1] == "":
        kept.pop()
    return "\n".join([*kept, texts.cron_line]) + "\n"


def _service(schedule: Schedule, name: str) -> str:
    environ = "".join(f"Environment={_quote_unit(f'{key}={value}')}\n" for key, value in schedule.environ)
    return f"""[Unit]
Description={_double(name)}

[Service]
Type=oneshot
WorkingDirectory={_double(schedule.directory)}
{environ}ExecStart={" ".join(map(_quote_command, schedule.argv))}
UMask=0077
"""


def _timer(schedule: Schedule, name: str) -> str:
    when = _CALENDAR[schedule.every].format(h=schedule.hour, m=schedule.minute)
    return f"""[Unit]
Description={_double(name)}

[Timer]
OnCalendar={when}
Persistent=true
RandomizedDelaySec=60

[Install]
WantedBy=timers.target
"""


def _double(text: str) -> str:
    return text.replace("%", "%%")


def _quote_unit(text: str) -> str:
    """A word of a unit; specifiers are doubled, the rest is quoted where it must be."""
    text = _double(text)
    if _PLAIN.fullmatch(text.replace("%%", "")):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _quote_command(word: str) -> str:
    return _quote_unit(word).replace("$", "$$") or '""'
