"""Ages and times as words. Nothing here changes more often than once a minute, so that an idle screen stays silent."""

from datetime import UTC, datetime

from dbtui.model.text import format_duration


def format_age(moment: datetime, now: datetime) -> str:
    """Return how long ago `moment` was, in whole minutes, hours or days."""
    seconds = (now - moment).total_seconds()
    if seconds < 60:
        return "now"
    if seconds < 86400:
        return format_duration(seconds - seconds % 60) if seconds < 3600 else f"{int(seconds // 3600)} h"
    return f"{int(seconds // 86400)} d"


def age_text(moment: datetime, now: datetime) -> str:
    """Return `just now` or `3 min ago`."""
    age = format_age(moment, now)
    return "just now" if age == "now" else f"{age} ago"


def format_time(moment: datetime) -> str:
    """Return a moment as local time with its zone, to the second."""
    return f"{moment.astimezone():%Y-%m-%d %H:%M:%S %Z}"


def parse_time(text: str) -> datetime | None:
    """Return the moment that an ISO 8601 text means, None when it is not one."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def brief_age(seconds: float | None) -> str:
    """Return an age in one unit, seconds only within the first minute: `12 s`, `4 min`, `3 h`; empty if not known."""
    if seconds is None:
        return ""
    whole = max(0, int(seconds))
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"
