"""What this user may do with an SQLite file."""

import os
import shlex
from collections.abc import Iterator, Mapping

from dbtui.adapters.sqlite.connect import SqliteTarget
from dbtui.adapters.sqlite.network_disks import network_disk
from dbtui.model.connections import ConnectionProfile
from dbtui.model.doctor import Capabilities, Capability, CredentialFile, InstalledTool


def collect_capabilities(target: SqliteTarget) -> Capabilities:
    """Look at the rights on the file and its directory. Raises ConnectError when it cannot be opened."""
    target.reader()
    remarks = []
    if kind := network_disk(target.path):
        remarks.append(f"the file lies on a network disk ({kind}), on which SQLite's locks cannot be relied on")
    return Capabilities(
        info=target.info,
        where=str(target.path),
        items=tuple(_rights(target)),
        is_local=True,
        remarks=tuple(remarks),
    )


def _rights(target: SqliteTarget) -> Iterator[Capability]:
    path, directory = target.path, target.path.absolute().parent
    file, folder = shlex.quote(str(path)), shlex.quote(str(directory))
    without = "no restore beside it, and no log of a database in WAL mode"
    for name, purpose, is_held, missing, grant in (
        ("read the file", "dump", os.access(path, os.R_OK), "nothing can be read", f"chmod u+r {file}"),
        ("write the file", "restore", os.access(path, os.W_OK), "no restore over it", f"chmod u+w {file}"),
        ("write its directory", "restore", os.access(directory, os.W_OK | os.X_OK), without, f"chmod u+wx {folder}"),
    ):
        yield Capability(name=name, purpose=purpose, is_held=is_held, without=missing, grant=grant)


def collect_tools(_environ: Mapping[str, str]) -> tuple[InstalledTool, ...]:
    """Nothing but the library is needed."""
    return ()


def collect_credential_files(
    _profile: ConnectionProfile | None, _environ: Mapping[str, str]
) -> tuple[CredentialFile, ...]:
    """A file has no logins."""
    return ()
