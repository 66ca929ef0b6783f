"""Repositories in the configuration file: `repository = "pgbackrest:main"`, or a table with more settings."""

import re
from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from dbtui.errors import ConfigError
from dbtui.model.repositories import Repository, RepositoryKind

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_EXAMPLE = 'write "pgbackrest:STANZA" or "barman:SERVER"'


class Source(Protocol):
    """The text of the file, to say where in it something is wrong."""

    def error(self, table: tuple[str, ...], key: str, message: str, hint: str = "") -> ConfigError:
        """Return the error that names the file and the line."""
        ...


class RepositoryTable(msgspec.Struct, forbid_unknown_fields=True):
    """`repository = { name = "barman:main", config = "/etc/barman.conf", run_as = ["sudo", "-u", "barman"] }`."""

    name: str
    config: str = ""
    run_as: list[str] = []


def parse_repository(source: Source, where: tuple[str, ...], value: str | Mapping[str, Any]) -> Repository | None:
    """Return the repository that a profile names; None: none. Raises ConfigError."""
    if not value:
        return None
    try:
        table = RepositoryTable(value) if isinstance(value, str) else msgspec.convert(value, RepositoryTable)
    except msgspec.ValidationError as error:
        raise source.error(where, "repository", f"repository: {error}", "known are name, config, run_as") from None
    word, _, name = table.name.partition(":")
    if word not in tuple(RepositoryKind) or _NAME.fullmatch(name) is None:
        raise source.error(where, "repository", f"{table.name!r} is no repository", _EXAMPLE)
    if table.config and not table.config.startswith("/"):
        raise source.error(where, "repository", "the repository's config is a relative path", "write it from / on")
    if table.run_as and (not all(table.run_as) or table.run_as[0].startswith("-")):
        raise source.error(where, "repository", "run_as is no command", 'write ["sudo", "-n", "-u", "barman"]')
    return Repository(RepositoryKind(word), name, table.config, tuple(table.run_as))
