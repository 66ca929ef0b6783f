"""All about one connection, as lines; no screen takes part."""

from dataclasses import replace

import pytest

from dbtui.model.connections import ConnectionProfile, EngineName, ServerInfo, TargetStatus
from dbtui.tui.cells import plain_text
from dbtui.tui.panes.connection_detail import show_connection
from dbtui.tui.panes.connection_rows import Row, row_after
from dbtui.watches import Look
from tests.tui.world import NOW

PROFILE = ConnectionProfile(name="erp", engine=EngineName.POSTGRESQL, url="postgresql://erp@db1/erp")
INFO = ServerInfo(engine=EngineName.POSTGRESQL, flavour="PostgreSQL", version="15.18")
STATUS = TargetStatus(profile="erp", taken_at=NOW, info=INFO, size_bytes=8_000_000)


def _text(status: TargetStatus) -> str:
    row = row_after(Row(PROFILE), Look(profile="erp", status=status))
    return "\n".join(plain_text(drawn) for drawn in show_connection(row, NOW))


@pytest.mark.parametrize(
    ("tables", "said"),
    [(0, "8.0 MB  0 tables"), (1, "8.0 MB  1 table\n"), (42, "8.0 MB  42 tables"), (None, "8.0 MB\n")],
)
def test_tables_are_counted(tables: int | None, said: str) -> None:
    assert said in _text(replace(STATUS, tables=tables))


def test_why_a_connection_is_marked_is_said() -> None:
    text = _text(replace(STATUS, sessions_blocked=3, oldest_transaction_seconds=3700.0))
    assert "▲ 3 blocked\n▲ oldest transaction 1 h 1 min\n" in text
    assert "▲" not in _text(STATUS)
