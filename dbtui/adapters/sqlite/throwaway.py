"""A place for one proof of a copy of SQLite: a private directory that goes with the proof."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from dbtui.adapters.throwaway.directories import ServerDirectory
from dbtui.adapters.throwaway.proving import NAME, Throwaway, choose_parent, needed_bytes
from dbtui.model.backups import StoredBackup
from dbtui.model.connections import ConnectionProfile, EngineName
from dbtui.model.proofs import ThrowawayPlan
from dbtui.model.urls import DatabaseUrl

_EXTRA_BYTES = 1 << 20


class ThrowawayFile(Throwaway):
    """The directory; the file in it is made by the restore."""

    def make(self, directory: ServerDirectory) -> None:
        """No server: only a directory of our own."""
        self.home = directory.add_subdirectory(NAME, None)

    def profile(self) -> ConnectionProfile:
        """A file that is not there yet."""
        path = str(Path(self.home, "proof.sqlite"))
        url = DatabaseUrl(engine=EngineName.SQLITE, database=path)
        return ConnectionProfile(
            name=NAME, engine=EngineName.SQLITE, url=str(url), database=path, origin="throwaway"
        )  # fmt: skip


def plan_throwaway(backup: StoredBackup, environ: Mapping[str, str]) -> ThrowawayPlan:
    """Find the room. Raises RefusedError."""
    needed = needed_bytes(backup, _EXTRA_BYTES)
    return ThrowawayPlan(
        server=f"SQLite {sqlite3.sqlite_version}",
        version=sqlite3.sqlite_version,
        parent=choose_parent(needed, environ, None, in_memory=bool(backup.encryption)),
        needed_bytes=needed,
    )
