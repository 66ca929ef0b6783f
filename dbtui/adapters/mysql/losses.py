"""Values that a server takes in another form than they have in the dump.

Dumps switch the server's strict mode off, so it answers with a warning where it stores NULL, a question mark or a
shorter text instead of a value. The rows are then as many as before, and nothing but the warnings tells.
"""

import re
from collections.abc import Iterator

from dbtui.adapters.mysql.wire import MysqlConnection

#: Incorrect string value; incorrect value of a type, which becomes NULL.
_LOST = (1366, 1292)
#: Out of range, data truncated: also said of values that were stored so before, such as the empty one of an ENUM.
_CHANGED = (1264, 1265)
_VALUE = re.compile(r"'.*'(?= for column)", re.DOTALL)
LOSS_HINT = (
    "make the dump again with --default-character-set=utf8mb4, or begin it with a line SET NAMES …; that names the "
    "character set it is written in"
)


def find_losses(connection: MysqlConnection) -> Iterator[tuple[bool, str]]:
    """Yield what the server says it did to values of the last statement: whether it lost one, and its words."""
    result = getattr(connection, "_result", None)
    if result is None or not result.warning_count:
        return
    for _, number, said in connection.show_warnings():  # type: ignore[no-untyped-call]
        if int(number) in (*_LOST, *_CHANGED):
            words = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
            yield int(number) in _LOST, _VALUE.sub("'…'", words)
