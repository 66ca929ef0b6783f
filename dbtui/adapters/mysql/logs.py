"""The logs of statements of MySQL and MariaDB, and how each is told from its first lines."""

import re

from dbtui.adapters.log_parsing import LogKind
from dbtui.adapters.mysql.log_general import HEAD, GeneralLogParser
from dbtui.adapters.mysql.log_slow import SlowLogParser
from dbtui.model.queries import LogFormat

_SLOW_LINE = re.compile(r"# (?:User@Host|Query_time): ")
_GENERAL_LINE = re.compile(HEAD)
_BANNER_LINE = re.compile(r"Time[ \t]+Id[ \t]+Command[ \t]+Argument$")


def _is_slow(lines: list[str]) -> bool:
    """A file that has only what the server wrote when it opened it counts as one: the general log is never so empty."""
    return any(_SLOW_LINE.match(line) for line in lines) or (
        any(_BANNER_LINE.match(line) for line in lines) and not _is_general(lines)
    )


def _is_general(lines: list[str]) -> bool:
    return any(_GENERAL_LINE.match(line) for line in lines)


LOG_KINDS = (
    LogKind(LogFormat.SLOW, "slow log of MySQL or MariaDB", _is_slow, lambda _lines, _prefix: SlowLogParser()),
    LogKind(
        LogFormat.GENERAL, "general log of MySQL or MariaDB", _is_general, lambda _lines, _prefix: GeneralLogParser()
    ),
)
