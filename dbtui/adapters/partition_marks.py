"""What is written onto a table that was a partition, as its comment: catalogues forget where it came from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from dbtui.model.backups import TableName

_PREFIX = "dbtui:detached "


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionMark:
    """Whose partition a table was, with which bound, since when not any more, and which backup holds it."""

    parent: TableName
    bound_text: str
    detached_at: datetime | None
    archive: str = ""


def format_mark(mark: PartitionMark) -> str:
    """Return the comment that carries a mark."""
    fields = {
        "parent": [mark.parent.schema, mark.parent.name],
        "bound": mark.bound_text,
        "at": mark.detached_at.astimezone(UTC).isoformat(timespec="seconds") if mark.detached_at else "",
        "archive": mark.archive,
    }
    return _PREFIX + json.dumps(fields, ensure_ascii=False)


def parse_mark(comment: str) -> PartitionMark | None:
    """Return the mark that a comment carries; None when it is none of ours, or was changed by hand."""
    if not comment.startswith(_PREFIX):
        return None
    try:
        fields = json.loads(comment.removeprefix(_PREFIX))
        schema, name = fields["parent"]
        detached_at = datetime.fromisoformat(fields["at"]) if fields["at"] else None
        return PartitionMark(
            parent=TableName(str(schema), str(name)),
            bound_text=str(fields["bound"]),
            detached_at=detached_at,
            archive=str(fields["archive"]),
        )
    except (ValueError, KeyError, TypeError):
        return None
