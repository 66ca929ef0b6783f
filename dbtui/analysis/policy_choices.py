"""Which policy holds for a table: the one that was typed, the profile's, or the one that what is there follows."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dbtui.analysis.partitions import infer_policy
from dbtui.analysis.policy_texts import with_words
from dbtui.model.connections import ConnectionProfile
from dbtui.model.partitions import PartitionedTable
from dbtui.model.policies import PartitionPolicy
from dbtui.model.tables import TableName


def choose_policy(
    table: PartitionedTable, profile: ConnectionProfile, policy: PartitionPolicy | None, words: Mapping[str, Any]
) -> PartitionPolicy:
    """Return the policy that holds for a table: the given one, the profile's, else the one that what is there follows.

    `words` change it. Raises UsageError.
    """
    chosen = policy or find_policy(profile, table.table) or infer_policy(table)
    if chosen is None:
        chosen = PartitionPolicy(table=table.table, origin="command line")
    changed = with_words(replace(chosen, table=table.table), words)
    return replace(changed, origin=f"{chosen.origin}, command line") if words and chosen.origin else changed


def find_policy(profile: ConnectionProfile, table: TableName) -> PartitionPolicy | None:
    """Return what a profile says of a table; one that it names without a schema may be in any."""
    exact = (each for each in profile.partitions if each.table == table)
    loose = (each for each in profile.partitions if each.table == TableName("", table.name))
    return next(exact, None) or next(loose, None)
