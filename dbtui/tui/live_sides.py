"""Which live database a backup is compared with."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dbtui.model.connections import ConnectionProfile

if TYPE_CHECKING:
    from dbtui.model.backups import BackupEntry


def choose_live(
    entry: "BackupEntry", opened: ConnectionProfile | None, profiles: Sequence[ConnectionProfile]
) -> ConnectionProfile | None:
    """Return the connection that a backup is compared with: the one it was made from, else the open one of its kind."""
    made_from = [profile for profile in profiles if profile.name == entry.profile]
    open_one = [opened] if opened is not None else []
    fitting = [profile for profile in (*made_from, *open_one) if profile.engine is entry.engine]
    return fitting[0] if fitting else None
