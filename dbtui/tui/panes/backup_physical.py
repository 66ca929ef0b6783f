"""A backup that pgBackRest or Barman keeps, as lines."""

from datetime import datetime

from dbtui.analysis.repository_words import describe_backup
from dbtui.model.repositories import RepositoryBackup, RepositoryDetail, RepositoryReport
from dbtui.tui.cells import BLANK, Line, Span, Tone, line, strong
from dbtui.tui.dialogs.plan_lines import fact


def show_physical(backup: RepositoryBackup, report: RepositoryReport | None, now: datetime) -> list[Line]:
    """Return all that is known of a backup of a repository without asking its tool about it alone."""
    lines: list[Line] = [line(strong(backup.reference)), BLANK]
    if backup.problem:
        lines += [line(Span("✖ ", Tone.TROUBLE), Span(backup.problem, Tone.TROUBLE)), BLANK]
    if report is None:
        return lines
    described = describe_backup(report, RepositoryDetail(backup=backup), now)
    return [*lines, *(fact(label, text) for label, text in described if text and label != "backup")]
