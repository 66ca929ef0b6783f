"""dbtui: back up, look into, restore and watch PostgreSQL, MySQL/MariaDB and SQLite from a terminal.

The two functions below are the public interface for use inside an application; they are imported when first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dbtui.public import create_backup, restore_backup

__version__ = "0.1.0"
__all__ = ["__version__", "create_backup", "restore_backup"]


def __getattr__(name: str) -> Any:
    if name in ("create_backup", "restore_backup"):
        from dbtui import public

        return getattr(public, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
