"""What is written onto a table that was a partition, as its comment: catalogues forget where it came from.

It is the comment's last line; what its owner wrote stands before it and stays.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime

from dbtui.model.backups import TableName

_PREFIX = "dbtui:detached "


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionMark:
    """Whose partition a table was, with which bound, since when not any more, and which backup holds it.

    `identity` is the table's own: one restored from a backup has the same comment, and is another table. 0: unknown.
    `comment` is what its owner wrote.
    """

    parent: TableName
    bound_text: str
    detached_at: datetime | None
    archive: str = ""
    identity: int = 0
    comment: str = ""


def format_mark(mark: PartitionMark) -> str:
    """Return the comment that carries a mark."""
    fields = {
        "parent": [mark.parent.schema, mark.parent.name],
        "bound": mark.bound_text,
        "at": mark.detached_at.astimezone(UTC).isoformat(timespec="seconds") if mark.detached_at else "",
        "archive": mark.archive,
        "identity": mark.identity,
    }
    above = f"{mark.comment}\n" if mark.comment else ""
    return above + _PREFIX + json.dumps(fields, ensure_ascii=False)


def parse_mark(comment: str) -> PartitionMark | None:
    """Return the mark that a comment carries; None when it is none of ours, or was changed by hand."""
    above, separator, ours = comment.rpartition(f"\n{_PREFIX}")
    if not separator:
        if not comment.startswith(_PREFIX):
            return None
        above, ours = "", comment.removeprefix(_PREFIX)
    try:
        fields = json.loads(ours)
        schema, name = fields["parent"]
        detached_at = datetime.fromisoformat(fields["at"]) if fields["at"] else None
        return PartitionMark(
            parent=TableName(str(schema), str(name)),
            bound_text=str(fields["bound"]),
            detached_at=detached_at,
            archive=str(fields["archive"]),
            identity=int(fields.get("identity", 0)),
            comment=above,
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
