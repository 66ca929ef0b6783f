"""What is known of versions of PgBouncer: holes that were closed later, and what came when.

Source: PgBouncer's changelog.
"""

import re
from collections.abc import Iterator, Mapping

_KILL_CLIENT_SINCE, _KILL_CLIENT_CLOSED = (1, 24, 0), (1, 25, 2)
_SEARCH_PATH_CLOSED = (1, 25, 1)
#: The first version that tells whether all of it is paused.
STATE_SINCE = (1, 19, 0)


def parse_version(text: str) -> tuple[int, int, int]:
    """Return `1.24.1` as numbers; what cannot be read is 0."""
    found = re.match(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else (0, 0, 0)


def known_holes(version_text: str, config: Mapping[str, str]) -> Iterator[str]:
    """Yield a warning for each known hole that this version has and that its settings open."""
    version = parse_version(version_text)
    if _KILL_CLIENT_SINCE <= version < _KILL_CLIENT_CLOSED:
        yield (
            f"PgBouncer {version_text} lets stats_users end clients by KILL_CLIENT (CVE-2026-6667): "
            "update to 1.25.2 or later"
        )
    tracked = [each.strip().lower() for each in config.get("track_extra_parameters", "").split(",")]
    if (1, 0, 0) < version < _SEARCH_PATH_CLOSED and "search_path" in tracked and config.get("auth_user"):
        yield (
            f"PgBouncer {version_text} with auth_user and search_path in track_extra_parameters runs SQL of strangers "
            "at login (CVE-2025-12819): update to 1.25.1 or later"
        )
