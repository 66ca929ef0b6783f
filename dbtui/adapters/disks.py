"""How much room a disk has."""

import os
from pathlib import Path


def free_bytes(path: Path) -> int | None:
    """Return the room for us on the disk where a path is, or would be; None when that cannot be told."""
    for place in (path, *path.parents):
        try:
            disk = os.statvfs(place)
        except OSError:
            continue
        return disk.f_bavail * disk.f_frsize
    return None
