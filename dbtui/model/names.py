"""Names of the databases that a restore makes beside the one that is there: one way to spell them for all engines.

- erp_restored: a new one, where erp is not to be touched;
- erp_kept_20261122t150000z: what a restore replaced;
- erp__new_20261122t150000z_0a1b2c: being loaded; it outlives only a run that was killed.
"""

import re
from datetime import UTC, datetime
from pathlib import PurePath

from dbtui.model.connections import EngineName

_STAMP = "%Y%m%dt%H%M%Sz"
_UNFINISHED = re.compile(r"(?P<database>.+)__new_[0-9]{8}t[0-9]{6}z_[0-9a-f]{6}(\.[^./]*)?", re.DOTALL)
#: PostgreSQL manual, "Identifiers and Key Words", NAMEDATALEN: bytes. MySQL manual, "Identifier Length Limits".
_POSTGRESQL_BYTES, _MYSQL_CHARACTERS = 63, 64
#: What a file's name may have, less what SQLite itself lays beside a database.
FILE_NAME_BYTES = 255 - len("-journal")


def restored_suffix(number: int = 1) -> str:
    """Return what the name of a restored database ends with: the `number`-th to be tried."""
    return f"_restored{_counted(number)}"


def kept_suffix(moment: datetime, number: int = 1) -> str:
    """Return what the name of a replaced database ends with: the `number`-th to be tried for that second."""
    return f"_kept_{moment.astimezone(UTC):{_STAMP}}{_counted(number)}"


def loading_suffix(moment: datetime, unique: str) -> str:
    """Return what the name of a database ends with while it is loaded. `unique`: six hexadecimal digits."""
    return f"__new_{moment.astimezone(UTC):{_STAMP}}_{unique}"


def _counted(number: int) -> str:
    return "" if number == 1 else f"_{number}"


def parse_unfinished(name: str) -> str | None:
    """Return the beginning of the name of the database that was to be replaced by this one; None if none was."""
    found = _UNFINISHED.fullmatch(name)
    return found["database"] if found else None


def derive_name(engine: EngineName, database: str, suffix: str, extension: str = "") -> str:
    """Return `database` and `suffix`, the former cut where the engine allows no longer names.

    With SQLite, `database` is a path, the suffix comes before its extension, and `extension` is for one without.
    """
    if engine is EngineName.MYSQL:
        return database[: _MYSQL_CHARACTERS - len(suffix)].rstrip() + suffix
    if engine is EngineName.POSTGRESQL:
        return _cut(database, _POSTGRESQL_BYTES - len(suffix.encode())) + suffix
    folder, slash, name = database.rpartition("/")
    path = PurePath(name)
    tail = suffix + (path.suffix or extension)
    return folder + slash + _cut(path.stem, FILE_NAME_BYTES - len(_encode(tail))) + tail


def _encode(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def _cut(name: str, limit_bytes: int) -> str:
    encoded = _encode(name)
    return name if len(encoded) <= limit_bytes else encoded[: max(1, limit_bytes)].decode("utf-8", "ignore")
