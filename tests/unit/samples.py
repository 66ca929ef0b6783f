"""One manifest for the tests of what reads and judges manifests."""

from datetime import UTC, datetime

from dbtui.model.backups import BackupFile, BackupFormat, BackupTable, Manifest
from dbtui.model.connections import EngineName

MOMENT = datetime(2026, 11, 22, 15, 0, 0, tzinfo=UTC)
MANIFEST = Manifest(
    format_version=1,
    backup_id="erp-20261122T150000Z",
    engine=EngineName.POSTGRESQL,
    flavour="PostgreSQL",
    database="erp",
    profile="erp",
    url="postgresql://dba@db1:5432/erp",
    server_version="15.18",
    tool="pg_dump",
    tool_version="15.18",
    dbtui_version="0.1.0",
    format=BackupFormat.PLAIN,
    compression="none",
    encryption=None,
    begin_time="2026-11-22T15:00:00Z",
    end_time="2026-11-22T15:00:09Z",
    files=(BackupFile("erp-20261122T150000Z.sql", 4321, "00" * 32),),
    size_bytes=4321,
    tables=(
        BackupTable("public", "users", 10, "exact", 1000),
        BackupTable("public", "orders", 90, "exact", 9000),
    ),
    uncompressed_bytes=4321,
    database_bytes=100_000,
)
