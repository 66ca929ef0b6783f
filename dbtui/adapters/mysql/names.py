"""Names: quoted for SQL, shown to people, and made for databases that do not exist yet."""

from dbtui.errors import UsageError
from dbtui.model.backups import TableName
from dbtui.model.text import format_untrusted

#: Characters in a database's name (manual, "Identifier Length Limits").
NAME_LIMIT = 64
#: Databases of the server itself.
SYSTEM_SCHEMAS = ("information_schema", "mysql", "performance_schema", "sys")


def quote_name(name: str) -> str:
    """Return a name quoted with backticks. Raises UsageError when no server could have such a name."""
    if not name or "\0" in name or len(name) > NAME_LIMIT:
        raise UsageError(
            f"{show_name(name) or 'an empty name'} cannot be a name here",
            f"names have 1 to {NAME_LIMIT} characters and no NUL",
        )
    return "`" + name.replace("`", "``") + "`"


def quote_table(table: TableName) -> str:
    """Return a table's name with its database, quoted."""
    return f"{quote_name(table.schema)}.{quote_name(table.name)}" if table.schema else quote_name(table.name)


def quote_text(text: str) -> str:
    """Return a string literal that reads the same whatever sql_mode is: hexadecimal, as UTF-8."""
    return f"_utf8mb4 0x{text.encode().hex()}" if text else "''"


def show_name(name: str) -> str:
    """Return a name for a sentence: safe to print, cut when long."""
    return format_untrusted(name, 80)


def split_account(account: str) -> tuple[str, str]:
    """Split an account as the server writes it, `user@host`, at its last @."""
    user, _, host = account.rpartition("@")
    return user, host
