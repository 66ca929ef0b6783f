"""What ALTER SYSTEM holds: the lines of postgresql.auto.conf, which is not what is in effect."""

import re
from collections.abc import Collection

from dbtui.adapters.postgresql.connect import Connection, PostgresqlTarget

_FILE = "postgresql.auto.conf"
_MOST_BYTES = 4_000_000
#: The manual, "Setting Parameters", "Parameter Interaction via the Configuration File": quotes within are doubled.
_LINE = re.compile(r"^\s*([A-Za-z_][\w.$]*)\s*(?:=\s*|\s)(?:'((?:[^'\\]|''|\\.)*)'|([^\s'#]+))", re.MULTILINE)
_ESCAPED = re.compile(r"''|\\(.)", re.DOTALL)


def parse_auto_conf(text: str, names: Collection[str]) -> dict[str, str]:
    """Return what a configuration file says of some settings; the last line of a name wins.

    Others are not looked at: a replica's connection, with its password, stands there too.
    """
    found: dict[str, str] = {}
    for name, quoted, plain in _LINE.findall(text):
        if name.lower() in names:
            found[name.lower()] = plain or _ESCAPED.sub(lambda sign: sign[1] or "'", quoted)
    return found


def read_auto_conf(target: PostgresqlTarget, names: Collection[str], on: Connection | None = None) -> dict[str, str]:
    """Read what ALTER SYSTEM holds of some settings. Raises ServerError (without the right to read files)."""
    row = target.collect_one("read_server_file", on, path=_FILE, begins=0, size=_MOST_BYTES)
    return parse_auto_conf(bytes(row.content or b"").decode("utf-8", "replace"), names)
