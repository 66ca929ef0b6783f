"""The times in PostgreSQL's logs, as seconds since the epoch: `%m`, `%t`, `%n`, and those of csvlog and jsonlog."""

import re
from collections.abc import Callable
from datetime import UTC, datetime

#: Seconds east of Greenwich, as PostgreSQL's own default set of abbreviations has them; the most usual ones.
ZONES = {
    "UTC": 0, "GMT": 0, "Z": 0, "WET": 0, "WEST": 3600, "BST": 3600, "CET": 3600, "CEST": 7200, "MET": 3600,
    "MEST": 7200, "EET": 7200, "EEST": 10800, "SAST": 7200, "MSK": 10800, "MSD": 14400, "IST": 19800, "JST": 32400,
    "KST": 32400, "HKT": 28800, "SGT": 28800, "AWST": 28800, "ACST": 34200, "AEST": 36000, "AEDT": 39600,
    "NZST": 43200, "NZDT": 46800, "EST": -18000, "EDT": -14400, "CST": -21600, "CDT": -18000, "MST": -25200,
    "MDT": -21600, "PST": -28800, "PDT": -25200, "AKST": -32400, "AKDT": -28800, "HST": -36000,
}  # fmt: skip
_AMBIGUOUS = frozenset({"IST", "CST", "BST"})
_NUMERIC_ZONE = re.compile(r"([+-])(\d\d):?(\d\d)?")
_SECONDS_END = 19  # of "2026-11-23 02:53:00"
_MOST_KEPT = 4096


class TimeReader:
    """Reads a log's times. Lines of the same second share their date's arithmetic."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._zone = ""
        self._seconds: dict[str, float] = {}  # of this zone

    def read(self, text: str) -> float | None:
        """Return the time of `2026-11-23 02:53:00.454 UTC`, with or without its fraction, or of an epoch's seconds.

        None when it is none.
        """
        try:
            if text[23:] == self._zone and (second := self._seconds.get(text[:_SECONDS_END])) is not None:
                return second + float(text[19:23])
            if text[4:5] != "-":
                return float(text)
            if text[19:20] != ".":
                return self._read_second(text[:_SECONDS_END], text[19:])
            return self._read_second(text[:_SECONDS_END], text[23:]) + float(text[19:23])
        except ValueError:
            return None

    def _read_second(self, text: str, zone: str) -> float:
        if zone != self._zone or len(self._seconds) > _MOST_KEPT:
            self._zone = zone
            self._seconds.clear()
        if text not in self._seconds:
            local = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
            self._seconds[text] = local - self._offset(zone.strip())
        return self._seconds[text]

    def _offset(self, zone: str) -> float:
        """Seconds east of Greenwich."""
        if found := _NUMERIC_ZONE.fullmatch(zone):
            seconds = int(found[2]) * 3600 + int(found[3] or 0) * 60
            return -seconds if found[1] == "-" else seconds
        if zone in _AMBIGUOUS:
            self._warn(f"the time zone {zone} has several meanings: taken as UTC{ZONES[zone] / 3600:+g} h")
        if zone and zone not in ZONES:
            self._warn(f"the time zone {zone} is not known: its times are shown as if they were UTC")
        return ZONES.get(zone, 0)
