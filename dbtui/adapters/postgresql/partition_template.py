"""What a new partition takes over from its newest sibling, beyond what LIKE copies."""

from __future__ import annotations

import json
from typing import Any

from dbtui.adapters.postgresql.connect import PostgresqlTarget
from dbtui.adapters.postgresql.sql import quote_name
from dbtui.errors import ServerError
from dbtui.model.partitions import PartitionGrant, PartitionTemplate, RowPolicy

_PIN = "pin_partition_text"
_REFUSED = ("42501", "55P03", "57014")  # no privilege, no lock in time, too slow


def collect_template(target: PostgresqlTarget, parent: int) -> tuple[PartitionTemplate, tuple[str, ...]]:
    """Return what new partitions of a table take over, and a sentence for each thing that they cannot."""
    row = target.collect_one("collect_partition_template", parent=parent)
    gaps: list[str] = []
    if row.replica_identity == "INDEX" and not row.replica_index:
        gaps.append(
            f"{row.name} tells its rows apart for replicas by an index that its parent lacks: new partitions do it by"
            " their primary key, or not at all"
        )
    return PartitionTemplate(
        owner=row.owner,
        grants=tuple(_grant(*json.loads(each)) for each in row.grants),
        revoked=tuple(row.revoked),
        options=tuple(row.options),
        tablespace=row.tablespace,
        replica_identity=row.replica_identity,
        replica_index=row.replica_index,
        row_security=row.row_security,
        policies=_collect_policies(target, row, gaps) if row.row_security else (),
        is_unlogged=row.is_unlogged,
        columns=tuple(row.columns),
    ), tuple(gaps)


def _grant(grantee: str, privilege: str, is_grantable: bool, column: str = "") -> PartitionGrant:
    return PartitionGrant(grantee, privilege, is_grantable, column)


def _collect_policies(target: PostgresqlTarget, row: Any, gaps: list[str]) -> tuple[RowPolicy, ...]:
    """All policies, or none: some of them alone could show rows that the others hide."""
    try:
        policies = target.collect("collect_row_policies", after=_PIN, identity=row.identity)
    except ServerError as error:
        if error.code not in _REFUSED:
            raise
        gaps.append(f"row policies of {row.name}: not known: {error.message}; new partitions show no row by themselves")
        return ()
    names = (f"{row.name}.", f"{quote_name(row.name)}.")
    if any(name in text for each in policies for text in (each.using_text, each.check_text) for name in names):
        gaps.append(
            f"a row policy of {row.name} names that table: new partitions have none, and show no row by themselves"
        )
        return ()
    return tuple(
        RowPolicy(
            name=each.name,
            command=each.command,
            is_permissive=each.is_permissive,
            roles=tuple(each.roles),
            using=each.using_text,
            check=each.check_text,
        )
        for each in policies
    )
