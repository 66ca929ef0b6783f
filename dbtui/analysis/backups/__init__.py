"""Judging backups: their names, the plans to make and restore one, and whether a restore equals its manifest."""

from dbtui.analysis.backups.compare import assess_shrinking, compare_counts, is_of_database
from dbtui.analysis.backups.create import estimate_bytes, fit_options, plan_create
from dbtui.analysis.backups.differences import assess_differences, suspects
from dbtui.analysis.backups.names import (
    ParsedName,
    choose_backup_id,
    data_suffix,
    format_database,
    parse_backup_id,
    parse_data_name,
)
from dbtui.analysis.backups.restore import DestinationChoice, choose_destination, plan_restore, refuse_restore

__all__ = [
    "DestinationChoice",
    "ParsedName",
    "assess_differences",
    "assess_shrinking",
    "choose_backup_id",
    "choose_destination",
    "compare_counts",
    "data_suffix",
    "estimate_bytes",
    "fit_options",
    "format_database",
    "is_of_database",
    "parse_backup_id",
    "parse_data_name",
    "plan_create",
    "plan_restore",
    "refuse_restore",
    "suspects",
]
