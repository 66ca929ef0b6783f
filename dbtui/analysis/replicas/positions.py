"""Places in a log, comparable: PostgreSQL's is one number, MySQL's a file and an offset in it."""

import re
from collections.abc import Mapping

from dbtui.model.replicas import ServerReplication

#: The number of a log file (0 where there is one log), and bytes in it.
Point = tuple[int, int]

_NUMBER = re.compile(r"(\d+)$")


def point_of(position: int | None, log_file: str = "") -> Point | None:
    """Return a place; None when it is not known."""
    if position is None:
        return None
    found = _NUMBER.search(log_file)
    return (int(found[1]) if found else 0, position)


def end_of(server: ServerReplication) -> Point | None:
    """Return where a server's own log ends."""
    return point_of(server.position, server.log_file)


def sizes_of(server: ServerReplication | None) -> Mapping[int, int]:
    """Return the bytes of a server's log files by their numbers."""
    found = ((_NUMBER.search(name), size) for name, size in (server.log_files if server else ()))
    return {int(number[1]): size for number, size in found if number}


def bytes_between(older: Point | None, newer: Point | None, sizes: Mapping[int, int]) -> int | None:
    """Return how many bytes of log lie between two places: 0 when `older` is the newer one; None: not known.

    `sizes` are those of the log's files, needed where the places are in two of them.
    """
    if older is None or newer is None:
        return None
    if older >= newer:
        return 0
    if older[0] == newer[0]:
        return newer[1] - older[1]
    between = range(older[0], newer[0])
    if any(number not in sizes for number in between):
        return None
    return sum(sizes[number] for number in between) - older[1] + newer[1]


def latest(*points: Point | None) -> Point | None:
    """Return the furthest place that is known."""
    return max((point for point in points if point is not None), default=None)
