"""Policies of partitioned tables in the configuration file: [profiles.erp.partitions."public.audit_logs"]."""

from typing import Any, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from dbtui.analysis.policy_texts import with_words
from dbtui.errors import ConfigError, UsageError
from dbtui.model.policies import PartitionPolicy
from dbtui.model.tables import parse_table_name


class PolicyTable(msgspec.Struct, forbid_unknown_fields=True):
    """What such a table of the file may hold."""

    interval: int | str | UnsetType = UNSET
    premake: int | UnsetType = UNSET
    retention: int | str | UnsetType = UNSET
    archive: bool | str | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    grace: str | UnsetType = UNSET
    codec: str | UnsetType = UNSET
    values: list[str] | UnsetType = UNSET
    modulus: int | UnsetType = UNSET
    indexes: bool | UnsetType = UNSET


class Source(Protocol):
    """The file, to say where in it something is wrong."""

    def error(self, table: tuple[str, ...], key: str, message: str, hint: str = "") -> ConfigError:
        """Return the error that names the line of a key."""
        ...

    def place(self, table: tuple[str, ...], key: str = "") -> str:
        """Return `config.toml, line 12`."""
        ...


def parse_policy(source: Source, where: tuple[str, ...], typed: PolicyTable) -> PartitionPolicy:
    """Return the policy of the table that the last of `where` names. Raises ConfigError."""
    try:
        policy = PartitionPolicy(table=parse_table_name(where[-1]), origin=source.place(where))
    except UsageError as error:
        raise source.error(where, "", error.message, error.hint) from None
    words: dict[str, Any] = {key: getattr(typed, key) for key in typed.__struct_fields__}
    for key, value in words.items():
        if value is not UNSET:
            try:
                policy = with_words(policy, {key: value})
            except UsageError as error:
                raise source.error(where, key, f"{key}: {error.message}", error.hint) from None
    return policy
