"""Who holds the metadata lock that somebody waits for.

MySQL's performance_schema tells held and wanted locks. MariaDB's plugin metadata_lock_info tells held ones alone: what
a session wants is then read from its statement, and from the upgradable lock that a change of a table takes first.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

#: A held lock that a request has to wait for: the tables in the comment of `MDL_lock::MDL_object_lock` (sql/mdl.cc).
_HELD = {
    "SHARED": {"EXCLUSIVE"},
    "SHARED_HIGH_PRIO": {"EXCLUSIVE"},
    "SHARED_READ": {"SHARED_NO_READ_WRITE", "EXCLUSIVE"},
    "SHARED_WRITE": {"SHARED_READ_ONLY", "SHARED_NO_WRITE", "SHARED_NO_READ_WRITE", "EXCLUSIVE"},
    "SHARED_UPGRADABLE": {"SHARED_UPGRADABLE", "SHARED_NO_WRITE", "SHARED_NO_READ_WRITE", "EXCLUSIVE"},
    "SHARED_READ_ONLY": {"SHARED_WRITE", "SHARED_NO_READ_WRITE", "EXCLUSIVE"},
    "SHARED_NO_WRITE": {"SHARED_WRITE", "SHARED_UPGRADABLE", "SHARED_NO_WRITE", "SHARED_NO_READ_WRITE", "EXCLUSIVE"},
}
#: A waiting request that goes first.
_WAITING = {
    "SHARED": {"EXCLUSIVE"},
    "SHARED_READ": {"SHARED_NO_READ_WRITE", "EXCLUSIVE"},
    "SHARED_WRITE": {"SHARED_READ_ONLY", "SHARED_NO_WRITE", "SHARED_NO_READ_WRITE", "EXCLUSIVE"},
    "SHARED_UPGRADABLE": {"EXCLUSIVE"},
    "SHARED_NO_WRITE": {"EXCLUSIVE"},
}
#: Kinds that know three modes only: intention exclusive and shared, each at peace with itself, and exclusive.
_SCOPES = {"GLOBAL", "COMMIT", "SCHEMA", "TABLESPACE", "BACKUP LOCK"}
_UPGRADABLE = {"SHARED_UPGRADABLE", "SHARED_NO_WRITE", "SHARED_NO_READ_WRITE"}
#: The server-wide lock of FLUSH TABLES WITH READ LOCK and BACKUP STAGE; who holds one of these keeps writers out.
_BACKUP = re.compile(r"BACKUP_(?:START|FLUSH|WAIT_\w+|FTWRL\d|BLOCK_DDL|BLOCK_COMMIT|LOCK)|SHARED")
_READING = re.compile(r"\W*(?:SELECT|WITH|TABLE|VALUES|CHECK|SHOW|DESC)", re.IGNORECASE)
_WRITING = re.compile(r"\W*(?:INSERT|UPDATE|DELETE|REPLACE|LOAD|CALL)\b", re.IGNORECASE)
_LOCKING = re.compile(r"\W*LOCK\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class MetadataLock:
    """A lock on the definition of something. `mode` without its MDL_; `is_wanted`: it is waited for."""

    session: int
    mode: str
    kind: str  # "TABLE", "BACKUP", "USER LEVEL LOCK"…
    schema: str
    name: str
    is_wanted: bool = False

    @property
    def object(self) -> tuple[str, str, str]:
        """What is locked."""
        return self.kind, self.schema, self.name


def find_blockers(
    locks: Iterable[MetadataLock], waiting: dict[int, str], *, is_complete: bool
) -> dict[int, tuple[int, ...]]:
    """Return for each session in `waiting` (with its statement) which sessions it waits for, as far as known.

    `is_complete`: the wanted locks are among `locks`; otherwise they are inferred.
    """
    known = tuple(locks)
    if not is_complete:
        known += tuple(wanted for session, sql in waiting.items() for wanted in _infer_wanted(known, session, sql))
    blockers: dict[int, set[int]] = {session: set() for session in waiting}
    for wanted in known:
        if wanted.is_wanted and wanted.session in blockers:
            blockers[wanted.session] |= {each.session for each in known if _is_in_the_way(each, wanted)}
    return {session: tuple(sorted(found)) for session, found in blockers.items()}


def _is_in_the_way(lock: MetadataLock, wanted: MetadataLock) -> bool:
    if lock.session == wanted.session or lock.object != wanted.object:
        return False
    if lock.kind == "BACKUP":
        return not lock.is_wanted and bool(_BACKUP.fullmatch(lock.mode)) != bool(_BACKUP.fullmatch(wanted.mode))
    if lock.kind in _SCOPES:
        return not lock.is_wanted and (lock.mode != wanted.mode or lock.mode == "EXCLUSIVE")
    if lock.is_wanted:
        return lock.mode in _WAITING.get(wanted.mode, ())
    if wanted.mode == "SHARED_NO_READ_WRITE":
        return lock.mode not in ("SHARED", "SHARED_HIGH_PRIO")
    return wanted.mode not in _HELD or lock.mode in _HELD[wanted.mode]


def _infer_wanted(locks: tuple[MetadataLock, ...], session: int, sql: str) -> Iterator[MetadataLock]:
    own = [lock for lock in locks if lock.session == session]
    upgrading = {lock.object for lock in own if lock.kind == "TABLE" and lock.mode in _UPGRADABLE}
    others = {lock.object for lock in locks if lock.session != session}
    for kind, schema, name in sorted(others):
        if kind == "BACKUP":
            yield MetadataLock(session, _backup_mode(own, sql), kind, schema, name, is_wanted=True)
        elif (kind, schema, name) in upgrading:
            yield MetadataLock(session, "EXCLUSIVE", kind, schema, name, is_wanted=True)
        elif not upgrading and _mentions(sql, name or schema):
            yield MetadataLock(session, _mode_of(sql, kind), kind, schema, name, is_wanted=True)


def _backup_mode(own: list[MetadataLock], sql: str) -> str:
    """A session that flushes or backs up waits for writers, every other one for whoever does that."""
    is_strong = any(lock.kind == "BACKUP" and _BACKUP.fullmatch(lock.mode) for lock in own)
    return "BACKUP_FTWRL1" if is_strong or re.match(r"\W*(?:FLUSH|BACKUP)\b", sql, re.IGNORECASE) else "BACKUP_DML"


def _mode_of(sql: str, kind: str) -> str:
    if kind == "TABLE" and _READING.match(sql):
        return "SHARED_READ"
    if kind == "TABLE" and _WRITING.match(sql):
        return "SHARED_WRITE"
    return "SHARED_NO_READ_WRITE" if kind == "TABLE" and _LOCKING.match(sql) else "EXCLUSIVE"


def _mentions(sql: str, name: str) -> bool:
    quoted = name.replace("`", "``")
    pattern = rf"(?<![\w$]){re.escape(name)}(?![\w$])|`{re.escape(quoted)}`"
    return bool(name) and re.search(pattern, sql, re.IGNORECASE) is not None
