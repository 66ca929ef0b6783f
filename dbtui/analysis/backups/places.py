"""Where backups lie: here, in remotes, or both; the histories of all these places made one."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from dbtui.analysis.backups.compare import is_of_database
from dbtui.model.backups import BackupEntry, EntryKind
from dbtui.model.shipping import BackupOrigin

HERE = "here"


def fingerprint_files(files: Iterable[tuple[str, int, str]]) -> str:
    """Return what tells the contents of one backup from those of another: of its files' paths, sizes and SHA-256."""
    lines = sorted(f"{path}\0{size}\0{sha256}\n" for path, size, sha256 in files)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def merge_places(here: Sequence[BackupEntry], remotes: Iterable[Sequence[BackupEntry]]) -> tuple[BackupEntry, ...]:
    """Return one history, newest first: a backup that lies in several places is one row.

    A copy has the same id and the same files. A row that lies here tells in `copies` where else it lies; of those that
    lie in remotes alone, the row is that of the first remote, and `copies` are the others.
    """
    rows: list[BackupEntry] = []
    places: dict[tuple[str, str], int] = {}
    for entry in here:
        if _is_copied(entry):
            places.setdefault((entry.backup_id, entry.fingerprint), len(rows))
        rows.append(entry)
    for history in remotes:
        for entry in history:
            key = (entry.backup_id, entry.fingerprint)
            at = places.get(key) if _is_copied(entry) else None
            if at is None:
                if _is_copied(entry):
                    places[key] = len(rows)
                rows.append(entry)
            elif entry.remote not in (rows[at].remote, *rows[at].copies):
                rows[at] = replace(rows[at], copies=(*rows[at].copies, entry.remote))
    return tuple(sorted(rows, key=lambda entry: (entry.began_at, entry.backup_id, not entry.remote), reverse=True))


def _is_copied(entry: BackupEntry) -> bool:
    """Whether a row can be a copy of another: a whole one, whose files are known."""
    return entry.kind is EntryKind.COMPLETE and bool(entry.fingerprint)


def is_of_origin(entry: BackupEntry, origin: BackupOrigin) -> bool:
    """Whether a backup was made from this database, and not from one that has its name elsewhere."""
    if entry.engine is not origin.engine or not is_of_database(entry, origin.database):
        return False
    return entry.url == origin.url or (bool(origin.profile) and entry.profile == origin.profile)


def are_mixed(entries: Iterable[BackupEntry]) -> bool:
    """Whether databases of one name, but of several servers, are among the backups."""
    origins: dict[str, str] = {}
    return any(
        entry.url and origins.setdefault(entry.database, entry.url) != entry.url for entry in entries
    )  # fmt: skip


def label_remotes(addresses: Iterable[str]) -> dict[str, str]:
    """Return a short name for each remote: `s3`, or `s3 backups/erp` where there are several of a kind."""
    names = list(dict.fromkeys(addresses))
    kinds = [name.partition("://")[0] for name in names]
    return {
        name: kind if kinds.count(kind) == 1 else name.replace("://", " ", 1)
        for name, kind in zip(names, kinds, strict=True)
    }  # fmt: skip


def list_places(entry: BackupEntry) -> tuple[str, ...]:
    """Return where a backup lies: empty stands for here, the others are addresses."""
    return (entry.remote, *entry.copies)


def describe_places(entry: BackupEntry, labels: Mapping[str, str]) -> str:
    """Return `here`, `s3` or `here + s3`."""
    return " + ".join(labels.get(place, place) if place else HERE for place in list_places(entry))
