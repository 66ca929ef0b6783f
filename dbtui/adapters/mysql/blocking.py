"""Who waits for whom: InnoDB's row locks, and metadata locks where the server tells who holds them."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dbtui.adapters.mysql.connect import MysqlTarget, Row
from dbtui.adapters.mysql.probes import gap_without_process, grant_performance_schema, measures_itself, probes_of
from dbtui.adapters.mysql.session_text import decode_text
from dbtui.adapters.mysql.waits import MetadataLock, find_blockers
from dbtui.model.sessions import Session

#: What metadata_lock_info calls a kind of lock, as performance_schema calls it.
_KINDS = {
    "Table metadata lock": "TABLE",
    "Backup lock": "BACKUP",
    "User lock": "USER LEVEL LOCK",
    "Schema metadata lock": "SCHEMA",
    "Global read lock": "GLOBAL",
    "Commit lock": "COMMIT",
}
_ROW_LOCK = "LOCK WAIT"
_INSTRUMENT = (
    "UPDATE performance_schema.setup_instruments SET enabled = 'YES' WHERE name = 'wait/lock/metadata/sql/mdl'"
)


@dataclass(slots=True)
class _Found:
    """Who blocks each session, and what it waits for."""

    blockers: dict[int, set[int]] = field(default_factory=dict)
    waits: dict[int, str] = field(default_factory=dict)


def collect_blocking(
    target: MysqlTarget, sessions: Sequence[Session], transactions: dict[int, Row]
) -> tuple[list[Session], tuple[str, ...]]:
    """Return the sessions with whom they wait for, and a gap for each kind of wait whose holder is not known.

    Nothing is asked while nobody waits.
    """
    found, gaps = _Found(), list[str]()
    if any(row["state"] == _ROW_LOCK for row in transactions.values()):
        _collect_row_locks(target, found)
    waiting = {each.session_id: each for each in sessions if _is_for_a_lock(each.wait)}
    if waiting:
        _collect_metadata_locks(target, waiting, found)
        unknown = [each for number, each in waiting.items() if not found.blockers.get(number)]
        gaps = _explain_unknown(target, unknown)
    return [_with_blocking(each, found, transactions.get(each.session_id)) for each in sessions], tuple(gaps)


def _with_blocking(session: Session, found: _Found, transaction: Row | None) -> Session:
    number = session.session_id
    wait = session.wait
    if transaction is not None and transaction["state"] == _ROW_LOCK:
        wait = f"Lock: row of {found.waits[number]}" if number in found.waits else "Lock: row"
    blockers = found.blockers.get(number, set()) - {number}
    return (
        replace(session, wait=wait, blocked_by=tuple(sorted(blockers))) if wait != session.wait or blockers else session
    )


def _collect_row_locks(target: MysqlTarget, found: _Found) -> None:
    probes = probes_of(target)
    if target.is_mariadb or target.info.version_number < 80000:
        rows = probes.collect("row_lock_waits", gap_without_process(target))
    else:
        gap = f"who holds a row lock needs {grant_performance_schema(target)}"
        rows = probes.collect("row_lock_waits_mysql", gap)
    for row in rows or ():
        found.blockers.setdefault(int(row["waiting"]), set()).add(int(row["blocking"]))
        if row["locked"]:
            found.waits[int(row["waiting"])] = decode_text(row["locked"])


def _collect_metadata_locks(target: MysqlTarget, waiting: dict[int, Session], found: _Found) -> None:
    texts = {number: each.sql for number, each in waiting.items()}
    locks = ask_for_locks(target, "metadata_waits") if measures_itself(target) else ()
    is_complete = any(lock.is_wanted for lock in locks)
    if not is_complete and target.is_mariadb:
        locks = ask_for_locks(target, "metadata_waits_mariadb")
    for number, blockers in find_blockers(locks, texts, is_complete=is_complete).items():
        found.blockers.setdefault(number, set()).update(blockers)


def ask_for_locks(target: MysqlTarget, name: str) -> tuple[MetadataLock, ...]:
    """Ask one of the two lists by its name in queries.sql; the gap is told when somebody waits, not here."""
    return tuple(_lock(row) for row in probes_of(target).collect(name, "") or ())


def _lock(row: Row) -> MetadataLock:
    kind = str(row["kind"])
    return MetadataLock(
        session=int(row["id"]),
        mode=str(row["mode"]).removeprefix("MDL_"),
        kind=_KINDS.get(kind, kind),
        schema=decode_text(row["object_schema"]),
        name=decode_text(row["object_name"]),
        is_wanted=bool(row["is_wanted"]),
    )


def _explain_unknown(target: MysqlTarget, unknown: Sequence[Session]) -> list[str]:
    """Return a sentence for each kind of wait, naming a session and what would tell the holder."""
    first: dict[str, Session] = {}
    for each in unknown:
        first.setdefault(each.wait, each)
    return [f'who holds what session {each.session_id} waits for ("{wait}") is not known: {_remedy(target, wait)}'
            for wait, each in first.items()]  # fmt: skip


def _is_for_a_lock(wait: str) -> bool:
    return wait.endswith(" lock") or wait == "Waiting for table flush"


def _remedy(target: MysqlTarget, wait: str) -> str:
    probes = probes_of(target)
    if "metadata" not in wait and wait not in ("User lock", "Waiting for backup lock"):
        return "this server tells nobody"
    if target.is_mariadb and "metadata_waits_mariadb" in probes.refused:
        return "INSTALL SONAME 'metadata_lock_info' makes the server tell"
    if "metadata_waits" in probes.refused:
        return grant_performance_schema(target)
    return "it was released meanwhile" if target.is_mariadb else _INSTRUMENT
