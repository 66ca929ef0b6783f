"""Every error that dbtui raises on purpose.

    DbtuiError                 something an operator can act on; its text is one sentence, ready to be shown
    ├── UsageError             an option, URL or name that was typed is wrong
    │   └── ConfigError        the configuration file is wrong: names the file and, where known, the line
    ├── ConnectError           the server cannot be reached
    │   └── AuthenticationError  the server was reached and refused this login
    ├── LockedError            another run protects the same thing
    ├── RefusedError           refused for safety: read-only target, missing confirmation, non-empty target
    │   └── DamagedBackupError  a backup that is truncated, altered, hostile or of another engine
    ├── ToolError              a program this needs is missing, too old, or failed
    ├── MismatchError          what was restored is not what the backup should hold; it was dropped again
    ├── ServerError            the server refused a statement: carries its code (SQLSTATE or number)
    ├── RemoteError            a remote (bucket, SFTP server) said no, or does not hold what was sent
    │   ├── RemoteExistsError  the name is taken there
    │   └── RemoteDamageError  what it holds is not what was sent
    ├── StorageError           a file or directory here cannot be read or written, or the disk is full
    └── Cancelled              the operator, a signal or a deadline ended it

Exit codes are the front door's business: `dbtui.cli.exit_codes`.
"""


class DbtuiError(Exception):
    """Base of all. `message` says what was wrong and where; `hint`, if any, says what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}; {self.hint}" if self.hint else self.message


class UsageError(DbtuiError):
    """An option, URL or name that was typed is wrong."""


class ConfigError(UsageError):
    """The configuration file is wrong."""


class ConnectError(DbtuiError):
    """The server cannot be reached. `code` is the SQLSTATE or error number behind it, empty if there is none."""

    def __init__(self, message: str, hint: str = "", *, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class AuthenticationError(ConnectError):
    """The server was reached and refused this login."""


class LockedError(DbtuiError):
    """Another run protects the same thing."""


class RefusedError(DbtuiError):
    """Refused for safety; nothing was changed."""


class DamagedBackupError(RefusedError):
    """A backup that is truncated, altered, hostile or of another engine; nothing of it was run."""


class ToolError(DbtuiError):
    """A program this needs is missing, too old, or failed."""


class MismatchError(DbtuiError):
    """What was restored is not what the backup should hold; it was dropped again."""


class ServerError(DbtuiError):
    """The server refused a statement. `code` is its SQLSTATE or error number, empty if it gave none."""

    def __init__(self, message: str, hint: str = "", *, code: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class RemoteError(DbtuiError):
    """A remote said no, or does not hold what was sent."""


class RemoteExistsError(RemoteError):
    """The name is taken in the remote; nothing was written over."""


class RemoteDamageError(RemoteError):
    """What a remote holds has another size or checksum than what was sent."""


class StorageError(DbtuiError):
    """A file or directory here cannot be read or written, or the disk is full."""


class Cancelled(DbtuiError):
    """The operator, a signal or a deadline ended it."""
